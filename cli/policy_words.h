#pragma once
/*
 * --net, --allow and --deny: a policy from the words of a command line.
 */
#include "cli/cli.h"

/*
 * policy_words_read()
 * @net: a mode, or the path of a file; NULL: "allow" if a rule allows something, else no network
 * @rules: the option's name and its value, in the order given; behind those of the file
 * @ret: the policy's text, to be freed; NULL: no network
 * Return: 0, or -1 with @p.
 */
int must_check policy_words_read(const char *net, const struct cli_list *rules, char **ret,
                                 struct problem *p);
