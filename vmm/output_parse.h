#pragma once
/*
 * What the agent sends to the monitor's log port: frames of guest/protocol.h, of the types STDOUT, STDERR
 * and EXIT. Pure: a stream goes in, in pieces of any size, and pieces of output come out.
 */
#include <stddef.h>
#include <stdint.h>

#include "guest/protocol.h"

/* An EXIT may be longer in later versions, as far as its header may say. */
#define OUTPUT_EXIT_MAX 512u

/* The state between two calls; zeroed at first. */
struct output_parser {
        uint8_t head[PROTOCOL_HEADER_SIZE];
        uint32_t head_len; /* == PROTOCOL_HEADER_SIZE: in a payload */
        enum protocol_type type;
        uint32_t left; /* of the payload */
        uint32_t exit_len;
        uint8_t exit[OUTPUT_EXIT_MAX];
};

enum output_kind { OUTPUT_NOTHING, OUTPUT_STDOUT, OUTPUT_STDERR, OUTPUT_EXIT };

struct output_piece {
        enum output_kind kind;
        const uint8_t *bytes; /* STDOUT, STDERR: a view, len > 0 */
        size_t len;
        struct protocol_exit exit;
};

/*
 * output_parse() - take a part of @bytes (@n > 0) and tell what it was
 * @ret_used: bytes that were taken, at least 1
 * Return: 0, or a positive PROTOCOL_E_: then the stream makes no more sense.
 */
int output_parse(struct output_parser *o, const uint8_t *bytes, size_t n, size_t *ret_used,
                 struct output_piece *ret);
