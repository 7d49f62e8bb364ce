/*
 * The stream of frames on the monitor's log port.
 * Input:  bytes of the guest, hostile.
 * Runs:   any thread.
 * Limits: OUTPUT_EXIT_MAX bytes of an EXIT; no other payload is kept.
 */
#include "vmm/output_parse.h"

#include <string.h>

#include "vmm/base/num.h"

static size_t take(uint8_t *to, uint32_t *have, size_t wanted, const uint8_t *bytes, size_t n)
{
        size_t part = (size_t)num_min(wanted, n);

        memcpy(to + *have, bytes, part);
        *have += (uint32_t)part;
        return part;
}

static int begin_frame(struct output_parser *o)
{
        struct protocol_frame frame;
        int r = protocol_parse_header(o->head, sizeof(o->head), PROTOCOL_FROM_AGENT, &frame);

        if (r)
                return r;
        if (frame.type != PROTOCOL_STDOUT && frame.type != PROTOCOL_STDERR && frame.type != PROTOCOL_EXIT)
                return PROTOCOL_E_TYPE;
        if (frame.type == PROTOCOL_EXIT && frame.len > sizeof(o->exit))
                return PROTOCOL_E_LENGTH;
        o->type = frame.type;
        o->left = frame.len;
        o->exit_len = 0;
        return 0;
}

static void end_frame(struct output_parser *o)
{
        o->head_len = 0;
}

int output_parse(struct output_parser *o, const uint8_t *bytes, size_t n, size_t *ret_used,
                 struct output_piece *ret)
{
        int r = 0;

        *ret = (struct output_piece){ .kind = OUTPUT_NOTHING };
        if (o->head_len < PROTOCOL_HEADER_SIZE) {
                *ret_used = take(o->head, &o->head_len, PROTOCOL_HEADER_SIZE - o->head_len, bytes, n);
                if (o->head_len < PROTOCOL_HEADER_SIZE)
                        return 0;
                r = begin_frame(o);
                if (!r && !o->left && o->type != PROTOCOL_EXIT)
                        end_frame(o);
                return r;
        }
        if (o->type == PROTOCOL_EXIT) {
                *ret_used = take(o->exit, &o->exit_len, o->left, bytes, n);
        } else {
                *ret_used = (size_t)num_min(o->left, n);
                ret->kind = o->type == PROTOCOL_STDOUT ? OUTPUT_STDOUT : OUTPUT_STDERR;
                ret->bytes = bytes;
                ret->len = *ret_used;
        }
        o->left -= (uint32_t)*ret_used;
        if (o->left)
                return 0;
        end_frame(o);
        if (o->type == PROTOCOL_EXIT) {
                r = protocol_parse_exit(o->exit, o->exit_len, &ret->exit);
                if (!r)
                        ret->kind = OUTPUT_EXIT;
        }
        return r;
}
