#pragma once
/*
 * Requests on the control socket: a line each, "WORD [ARGUMENT]…\n", words apart by one space. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With its newline. */
#define CONTROL_LINE_MAX 1024u

enum control_word {
        CONTROL_STATUS,
        CONTROL_METRICS, /* [prometheus] */
        CONTROL_PAUSE,
        CONTROL_RESUME,
        CONTROL_STOP, /* [MILLISECONDS] of grace */
        CONTROL_KILL,
        CONTROL_BALLOON, /* [SIZE] to take from the guest */
        CONTROL_RATE,    /* DISK BANDWIDTH IOPS: bytes and requests a second, 0 for no limit */
        CONTROL_SUBSCRIBE,
};

enum control_parse_error {
        CONTROL_E_MORE = 1, /* a good beginning: the line has no end yet */
        CONTROL_E_LONG,     /* no newline in CONTROL_LINE_MAX bytes: there is no way to go on */
        CONTROL_E_WORD,     /* not a word that is known here: a newer client's, perhaps */
        CONTROL_E_ARGUMENT, /* too many, or one that cannot be */
};

struct control_request {
        enum control_word word;
        bool prometheus;
        bool has_grace;
        uint64_t grace_ms;
        bool has_target;
        uint64_t target_bytes;
        unsigned disk;
        uint64_t bandwidth, iops;
};

/*
 * control_parse() - the first request of @bytes
 * @ret_used: bytes to skip, but for CONTROL_E_MORE and CONTROL_E_LONG
 */
int control_parse(const char *bytes, size_t n, size_t *ret_used, struct control_request *ret);
