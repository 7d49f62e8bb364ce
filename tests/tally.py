#!/usr/bin/env python3
"""tally.py FOLDER SUITE...: prints what the suites of ./check gave, and as the last line N passed, N failed.

A suite has in FOLDER SUITE.status (exit status and seconds), and its tests in one of
    SUITE.json   meson's log; a program of unit tests counts with each of its tests
    SUITE.N.xml  pytest's JUnit logs
    SUITE.tsv    lines of a result (passed, failed, skipped) and a name
A suite that ended badly, or without having run a test, counts as a failure of its own.
Exit status: 0 if something passed and nothing failed.
"""

import json
import pathlib
import re
import sys
import xml.etree.ElementTree

CHECKS = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.MULTILINE)


class Suite:
    def __init__(self, folder, name):
        self.name, self.passed, self.skipped, self.failures = name, 0, 0, []
        for pattern, read in ((".json", self.read_meson), (".[0-9].xml", self.read_junit), (".tsv", self.read_lines)):
            for path in sorted(folder.glob(name + pattern)):
                read(path)
        try:
            status, self.seconds = map(int, (folder / (name + ".status")).read_text().split())
        except (OSError, ValueError):
            status, self.seconds = -1, 0
        if status and not self.failures:
            self.failures.append("the suite did not end well" if status != 124 else "the suite took too long")
        elif not self.passed and not self.failures:
            self.failures.append("no test ran")

    def add(self, result, name):
        if result == "passed":
            self.passed += 1
        elif result == "skipped":
            self.skipped += 1
        else:
            self.failures.append(name)

    def read_meson(self, path):
        for line in path.read_text().splitlines():
            test = json.loads(line)
            counts = CHECKS.findall(test.get("stdout", ""))
            bad = sum(int(failures) + int(errors) for _, failures, errors in counts)
            self.passed += sum(int(checks) for checks, _, _ in counts) - bad
            name = test["name"].split(" / ")[-1]
            if test["result"] == "SKIP":
                self.add("skipped", name)
            elif test["result"] != "OK":
                self.failures += [name] * max(bad, 1)
            elif not counts:
                self.add("passed", name)

    def read_junit(self, path):
        for case in xml.etree.ElementTree.parse(path).iter("testcase"):
            kinds = {child.tag for child in case}
            result = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            self.add(result, f"{case.get('classname', '').split('.')[-1]}::{case.get('name')}")

    def read_lines(self, path):
        for line in path.read_text().splitlines():
            result, name = line.split("\t", 1)
            self.add(result, name)


def main():
    folder = pathlib.Path(sys.argv[1])
    suites = [Suite(folder, name) for name in sys.argv[2:]]
    print(f"\n{'suite':<18}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for s in suites:
        print(f"{s.name:<18}{s.passed:>8}{len(s.failures):>8}{s.skipped:>9}{s.seconds:>9}")
    for s in suites:
        for name in dict.fromkeys(s.failures):
            print(f"failed: {s.name}: {name}")
    passed, failed = sum(s.passed for s in suites), sum(len(s.failures) for s in suites)
    print(f"\n{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
