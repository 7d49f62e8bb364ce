#pragma once
/*
 * What was kept of a sandbox's output: that of its command, its console, its monitor's log; read as
 * vmm/capfile.h says, and followed while it runs.
 */
#include "sandbox/logs_parse.h"
#include "sandbox/sandbox.h"

enum logs_which { LOGS_OUTPUT, LOGS_CONSOLE, LOGS_MONITOR };

struct logs_config {
        enum logs_which which;
        bool follow;
        uint64_t tail; /* lines; UINT64_MAX = all */
        /* @r: for console and log without a time, as LOGS_STDOUT. Return: 0, or -1 to end. */
        int (*on_record)(void *ctx, const struct logs_record *r);
        void *ctx;
};

/*
 * logs_read() - all that there is, and when it follows, what comes until the sandbox has ended
 * Return: 0, or -1 with @p.
 */
int must_check logs_read(const struct sandbox *s, const struct logs_config *config, struct problem *p);
