#pragma once
/*
 * From the words of a command line, or of a configuration file, to a struct vm_config. One table names
 * every option; --help and the file's keys come from it.
 */
#include "vmm/config.h"

enum options_mode {
        OPTIONS_RUN,
        OPTIONS_HELP,
        OPTIONS_VERSION,
        OPTIONS_PROBE,
        OPTIONS_PROBE_JSON,
};

/* What was read; the config's strings live here. */
struct options {
        enum options_mode mode;
        struct vm_config config;
        unsigned nr_texts;
        char **texts; /* owned: strings that came from a file */
};

/*
 * options_read() - defaults, then the words of @argv in order (a --config file where it stands)
 * Return: 0, or -1 with *p filled (VMM_E_USAGE, VMM_E_INPUT).
 */
int must_check options_read(struct options *o, int argc, char **argv, struct problem *p);
void options_fini(struct options *o);

/* The text of --help, on standard output. */
void options_help(void);
