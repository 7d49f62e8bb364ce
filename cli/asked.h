#pragma once
/*
 * What run and create are asked for: their common options, as a record.
 */
#include "cli/cli.h"
#include "cli/env.h"
#include "cli/keys.h"
#include "sandbox/record.h"
#include "sandbox/sandbox.h"
#include "sandbox/settings_parse.h"

struct asked {
        struct cli_list env_words, env_files, labels, ports;
        struct cli_list rules; /* "allow" or "deny", and what */
        const char *name, *hostname, *user, *workdir, *cpus, *disk, *disk_rate, *kernel, *detach_keys, *net;
        bool interactive, tty, detach, rm, line;
        uint64_t memory_bytes, lifetime_ns, boot_timeout_ns, pids, cpu_shares;
        struct keys keys;
        struct env env;
        struct settings settings; /* of the user: what he did not say */
        char *image_path, *kernel_path, *policy;
        struct record record; /* borrows from all of these */
};

/*
 * asked_read() - options, IMAGE, and the command behind it
 * @a: zeroed; asked_fini() is due in either case
 * Return: 0, 1 when --help was shown, or -1 with @p.
 */
int must_check asked_read(const struct cli_command *command, int argc, char **argv, const struct paths *paths,
                          struct asked *a, struct problem *p);
void asked_fini(struct asked *a);

/*
 * asked_line() - what --shell makes of COMMAND: its one word is a line for the guest's shell
 * @ret: borrows the word; ends with NULL
 */
int must_check asked_line(char **words, int nr, const char *ret[static 4], struct problem *p);

/* asked_is_shell() - is that what -it gives whoever named no command? */
bool asked_is_shell(const struct record_list *args);

/* asked_make() - the sandbox, within the user's limits. Return: 0 and its lock, or -1 with @p. */
int must_check asked_make(struct asked *a, const struct paths *paths, struct sandbox *ret, int *ret_lock,
                          struct problem *p);
