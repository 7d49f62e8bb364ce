/*
 * Finds the agent's socket of a sandbox.
 * Input:  a word of the command line (the user).
 * Runs:   the tool's only thread.
 * Limits: those of sandbox_find().
 */
#include "cli/target.h"

#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

int target_find(const char *word, struct target *ret, struct problem *problem)
{
        ret->name = word;
        if (strchr(word, '/')) {
                ret->socket = word;
                return 0;
        }
        if (sandbox_find(word, &ret->sandbox, problem))
                return -1;
        ret->socket = ret->sandbox.agent;
        if (access(ret->socket, F_OK))
                return problem_set(problem, CLI_FAILED, "sandbox %.64s does not run: vmlet start %.64s", word,
                                   word);
        return 0;
}

void target_fini(struct target *t)
{
        sandbox_fini(&t->sandbox);
}
