/*
 * A policy from the command line.
 * Input:  words and files of the user.
 * Runs:   the tool's only thread.
 * Limits: those of net/policy.h.
 */
#include "cli/policy_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/policy_parse.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/io.h"
#include "vmm/base/parse.h"

static int read_file(const char *path, struct policy *policy, struct problem *p)
{
        cleanup(freep) char *text = NULL;
        struct policy_mistake mistake;
        int r = io_read_file(path, POLICY_TEXT_MAX, &text);

        if (r < 0)
                return problem_set(p, CLI_FAILED, "--net: cannot read %.300s: %s", path,
                                   r == -EFBIG ? "it is too large" : strerror(-r));
        if (policy_parse(text, strlen(text), policy, &mistake))
                return 0;
        if (mistake.line)
                return problem_set(p, CLI_FAILED, "%.300s line %u: %s", path, mistake.line, mistake.text);
        return problem_set(p, CLI_FAILED, "%.300s: %s", path, mistake.text);
}

static int read_mode(const char *word, struct policy *policy, struct problem *p)
{
        static const char *const modes[] = { "none", "deny", "allow", "public", NULL };
        struct policy_mistake mistake;
        enum policy_mode mode;
        const char *closest;

        if (strchr(word, '/') || strchr(word, '.'))
                return read_file(word, policy, p);
        if (policy_parse_mode(word, &mode, &mistake)) {
                policy_init(policy, mode);
                return 0;
        }
        closest = parse_closest(word, modes);
        return problem_set(
                p, CLI_FAILED, "--net '%.64s': write none, deny, allow, public, or the path of a file%s%s%s",
                word, closest ? "; did you mean " : "", closest ? closest : "", closest ? "?" : "");
}

static bool has_allow(const struct cli_list *rules)
{
        for (size_t i = 0; i < rules->n; i += 2)
                if (!strcmp(rules->items[i], "allow"))
                        return true;
        return false;
}

static int add_rules(struct policy *policy, const struct cli_list *rules, struct problem *p)
{
        struct policy_mistake mistake;

        for (size_t i = 0; i < rules->n; i += 2)
                if (!policy_add(policy, !strcmp(rules->items[i], "allow"), rules->items[i + 1], &mistake))
                        return problem_set(p, CLI_FAILED, "--%s %.100s: %s", rules->items[i],
                                           rules->items[i + 1], mistake.text);
        if (policy->mode != POLICY_NONE && !policy_check(policy, &mistake))
                return problem_set(p, CLI_FAILED, "the network's rules: %s", mistake.text);
        return 0;
}

int policy_words_read(const char *net, const struct cli_list *rules, char **ret, struct problem *p)
{
        cleanup(freep) struct policy *policy = calloc(1, sizeof(*policy));
        cleanup(freep) char *text = malloc(POLICY_TEXT_MAX);

        *ret = NULL;
        if (!policy || !text)
                return problem_set(p, CLI_FAILED, "out of memory");
        if (!net && !rules->n)
                return 0;
        if (!net && !has_allow(rules))
                return problem_set(p, CLI_FAILED,
                                   "--deny alone leaves nothing to reach: say --net public, or "
                                   "--allow, too");
        if (net ? read_mode(net, policy, p) : read_mode("allow", policy, p))
                return -1;
        if (policy->mode == POLICY_NONE && rules->n)
                return problem_set(p, CLI_FAILED, "--%s: with --net none there is no network to have rules",
                                   rules->items[0]);
        if (add_rules(policy, rules, p))
                return -1;
        if (policy->mode == POLICY_NONE)
                return 0;
        if (!policy_write(policy, text, POLICY_TEXT_MAX))
                return problem_set(p, CLI_FAILED, "the network's rules: too many");
        *ret = steal_ptr(&text);
        return 0;
}
