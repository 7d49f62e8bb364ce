#pragma once
/*
 * Commands that do the same to each of several sandboxes.
 */
#include "cli/cli.h"
#include "sandbox/sandbox.h"

/* What is done to one. Return: 0, or -1 with @p. */
typedef int each_fn(const struct paths *paths, struct sandbox *s, void *options, struct problem *p);

/*
 * each_run() - read options into @options, and call @fn for every sandbox that is named behind them
 * @echo: print the word of each that succeeded, as docker does
 * Return: exit status.
 */
int each_run(const struct cli_command *command, int argc, char **argv, each_fn *fn, void *options, bool echo);
