#pragma once
/*
 * How a VM ended (--exit-file), for whoever started it and is not there to wait for it: one JSON object
 * that is there in whole or not at all.
 *
 *   {"status":0,"name":"powered-off","reason":"lifetime","main":null,"ended_ns":1700000000000000000}
 *
 * reason: "lifetime" when that asked for the end, else words for a person. main: how the main command ended
 * ({"kind":"exited","value":0,…}), or null when none told. ended_ns: since 1970. For a monitor
 * that a bug of its own ended the status is 128 + the signal and the name "crashed"; one that was killed, or
 * had no stack left, leaves no file. Main thread.
 */
#include <limits.h>
#include <stdbool.h>

#include "guest/protocol.h"
#include "vmm/base/compiler.h"
#include "vmm/base/err.h"

struct exit_file {
        int folder;                                    /* -1: none */
        char name[NAME_MAX + 1], beside[NAME_MAX + 1]; /* the file, and what it is until it is whole */
};
#define EXIT_FILE_NONE ((struct exit_file){ .folder = -1 })

/* What the guest's end was about, beside the status and its words. */
struct exit_report {
        bool is_lifetime;
        bool has_main;
        struct protocol_exit main;
};

/*
 * exit_file_open() - hold its folder, and remove the file of an earlier run; from now on until it is written
 *                    or closed, a crash of any thread writes it, so @file stays where it is
 * Return: 0, or -1 with *p filled.
 */
int must_check exit_file_open(struct exit_file *file, const char *path, struct problem *p);
/* Does nothing for EXIT_FILE_NONE. What cannot be written is logged. @words: may be "". */
void exit_file_write(const struct exit_file *file, int status, const char *words,
                     const struct exit_report *report);
void exit_file_close(struct exit_file *file);
