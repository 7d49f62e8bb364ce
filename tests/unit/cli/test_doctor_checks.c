/*
 * The checks of doctor on hosts laid out in a folder: each says what is wrong, and what to do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "tests/unit/run.h"

static char root[64];
static struct doctor_host host = { .root = root, .runtime = "/tmp", .data = "/tmp" };
static struct doctor_finding finding;

static void lay(const char *path, const char *text)
{
        char whole[512];

        (void)snprintf(whole, sizeof(whole), "%s%s", root, path);
        for (char *at = strchr(whole + 1, '/'); at; at = strchr(at + 1, '/')) {
                *at = 0;
                (void)mkdir(whole, 0700);
                *at = '/';
        }

        FILE *f = fopen(whole, "w");

        ck_assert_ptr_nonnull(f);
        ck_assert_int_ge(fputs(text, f), 0);
        ck_assert_int_eq(fclose(f), 0);
}

static void set_up_root(void)
{
        strcpy(root, "/tmp/vmlet-doctor-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(root));
}

static void remove_root(void)
{
        char command[128];

        (void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
        ck_assert_int_eq(system(command), 0);
}

/* Whatever is not well comes with what to do about it. */
static enum doctor_level look(const char *name)
{
        finding = (struct doctor_finding){ 0 };
        for (const struct doctor_check *c = doctor_checks; c->name; c++) {
                if (!strcmp(c->name, name)) {
                        c->look(&host, &finding);
                        ck_assert_uint_gt(strlen(finding.what), 8);
                        ck_assert_msg(finding.level == DOCTOR_OK || *finding.advice, "%s: %s", name,
                                      finding.what);
                        return finding.level;
                }
        }
        ck_abort_msg("no check %s", name);
        return DOCTOR_BAD;
}

static const struct row {
        const char *name, *path, *text;
        enum doctor_level level;
        const char *says; /* in the finding or the advice */
} rows[] = {
        { "processor", "/proc/cpuinfo", "flags : fpu vme de\n", DOCTOR_BAD, "firmware" },
        { "processor", "/proc/cpuinfo", "flags : fpu hypervisor\n", DOCTOR_BAD, "nested" },
        { "processor", "/proc/cpuinfo", "flags : fpu svm hypervisor\n", DOCTOR_NOTE,
          "itself a virtual machine" },
        { "processor", "/proc/cpuinfo", "flags : fpu vmx\n", DOCTOR_OK, "vmx" },
        { "processor", "/proc/cpuinfo", "flags : fpu vmx_x notsvm\n", DOCTOR_BAD, "no virtualization" },
        { "kernel", "/proc/sys/kernel/osrelease", "4.19.0-1\n", DOCTOR_WARN, "5.10" },
        { "kernel", "/proc/sys/kernel/osrelease", "6.12.1\n", DOCTOR_OK, "6.12.1" },
        { "kernel", "/proc/sys/kernel/osrelease", "nonsense\n", DOCTOR_WARN, "version" },
        { "rcu", "/sys/kernel/rcu_expedited", "0\n", DOCTOR_NOTE, "rcu_expedited" },
        { "rcu", "/sys/kernel/rcu_expedited", "1\n", DOCTOR_OK, "expedited" },
        { "nx", "/sys/module/kvm/parameters/nx_huge_pages", "Y\n", DOCTOR_NOTE, "favordynmods" },
        { "nx", "/sys/module/kvm/parameters/nx_huge_pages", "N\n", DOCTOR_OK, "no thread" },
        { "huge-pages", "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n",
          DOCTOR_WARN, "madvise" },
        { "huge-pages", "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n", DOCTOR_OK,
          "huge" },
        { "huge-pages", "/sys/kernel/mm/transparent_hugepage/enabled", "", DOCTOR_OK, "huge" },
        { "memory", "/proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    1024 kB\n", DOCTOR_WARN, "0.00 GiB" },
        { "memory", "/proc/meminfo", "MemAvailable: 8388608 kB\n", DOCTOR_OK, "8.0 GiB" },
        { "memory", "/proc/meminfo", "MemAvailable: 1024 kB\n", DOCTOR_WARN, "512 MiB" },
        { "memory", "/proc/sys/vm/overcommit_memory", "2\n", DOCTOR_WARN, "in full" },
        { "limits", "/proc/sys/kernel/pid_max", "32768\n", DOCTOR_NOTE, "32768 threads" },
        { "clock", "/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n", DOCTOR_WARN,
          "hpet" },
        { "clock", "/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n", DOCTOR_OK,
          "tsc" },
        { "network", "/proc/sys/net/ipv4/ping_group_range", "0\t2147483647\n", DOCTOR_WARN, "no resolver" },
        { "network", "/etc/resolv.conf", "search example.org\n", DOCTOR_WARN, "nameserver" },
        { "network", "/etc/resolv.conf", "nameserver 127.0.0.53\n", DOCTOR_NOTE, "ping_group_range" },
        { "ksm", "/sys/kernel/mm/ksm/run", "1\n", DOCTOR_WARN, "ksm/run" },
        { "ksm", "/sys/kernel/mm/ksm/run", "0\n", DOCTOR_OK, "off" },
        { "smt", "/sys/devices/system/cpu/smt/active", "1\n", DOCTOR_NOTE, "smt/control" },
        { "smt", "/sys/devices/system/cpu/smt/active", "0\n", DOCTOR_OK, "core" },
};

START_TEST(test_each_finding)
{
        const struct row *row = &rows[_i];

        set_up_root();
        lay(row->path, row->text);

        enum doctor_level level = look(row->name);

        remove_root();
        ck_assert_msg(level == row->level, "%s of '%s': %s: %s", row->name, row->text,
                      doctor_level_names[level], finding.what);
        ck_assert_msg(strstr(finding.what, row->says) || strstr(finding.advice, row->says),
                      "'%s' is not in '%s', '%s'", row->says, finding.what, finding.advice);
}
END_TEST

START_TEST(test_network)
{
        set_up_root();
        lay("/etc/resolv.conf", "nameserver 192.0.2.53\n");
        lay("/proc/sys/net/ipv4/ping_group_range", "1\t0\n");
        ck_assert_int_eq(look("network"), DOCTOR_NOTE);
        lay("/proc/sys/net/ipv4/ping_group_range", "100\t200\n");
        host.gid = 200;
        ck_assert_int_eq(look("network"), DOCTOR_OK);
        host.gid = 201;
        ck_assert_int_eq(look("network"), DOCTOR_NOTE);
        host.gid = 0;
        remove_root();
}
END_TEST

START_TEST(test_cgroups)
{
        set_up_root();
        ck_assert_int_eq(look("cgroups"), DOCTOR_WARN); /* none at all */
        lay("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
        lay("/sys/fs/cgroup/cgroup.subtree_control", "");
        host.uid = 0;
        ck_assert_int_eq(look("cgroups"), DOCTOR_OK);
        host.uid = 1000;
        ck_assert_int_eq(look("cgroups"), DOCTOR_WARN);
        ck_assert_ptr_nonnull(strstr(finding.advice, "loginctl enable-linger 1000"));
        lay("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers",
            "memory pids\n");
        ck_assert_int_eq(look("cgroups"), DOCTOR_WARN);
        ck_assert_ptr_nonnull(strstr(finding.advice, "Delegate="));
        lay("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers",
            "cpu memory pids\n");
        ck_assert_int_eq(look("cgroups"), DOCTOR_OK);
        host.uid = 0;
        remove_root();
}
END_TEST

/* Whatever is missing, every check says something. */
START_TEST(test_empty_host)
{
        set_up_root();
        for (const struct doctor_check *c = doctor_checks; c->name; c++)
                (void)look(c->name);
        host.runtime = NULL;
        ck_assert_int_eq(look("sockets"), DOCTOR_BAD);
        host.runtime = "/tmp";
        remove_root();
}
END_TEST

START_TEST(test_this_process)
{
        const struct rlimit few = { .rlim_cur = 64, .rlim_max = 64 };
        struct doctor_host here = host;

        set_up_root();
        host.data = host.runtime = "/nonexistent";
        ck_assert_int_eq(look("disk"), DOCTOR_WARN);
        ck_assert_int_eq(look("sockets"), DOCTOR_WARN);
        host = here;
        host.uid = 1000;
        ck_assert_int_eq(unsetenv("XDG_RUNTIME_DIR"), 0);
        ck_assert_int_eq(look("sockets"), DOCTOR_NOTE);
        host = here;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        ck_assert_int_eq(look("limits"), DOCTOR_WARN);
        remove_root();
}
END_TEST

int main(void)
{
        const struct run_test tests[] = { { test_each_finding, (int)array_size(rows) },
                                          { test_network, 1 },
                                          { test_cgroups, 1 },
                                          { test_empty_host, 1 },
                                          { test_this_process, 1 } };

        return run_loop_tests("doctor", tests, array_size(tests));
}
