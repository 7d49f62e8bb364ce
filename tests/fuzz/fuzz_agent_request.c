/*
 * What the agent parses: a stream of frames as a client would send it.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
        if (!ok)
                abort();
}

/* Views must lie inside the payload, NUL included. */
static void check_exec(const struct protocol_exec *exec, const uint8_t *p, size_t len)
{
        static const char *list[PROTOCOL_ARGS_MAX + 1];
        const char *begin = (const char *)p, *end = begin + len;

        check(exec->nr_args >= 1 && exec->nr_args <= PROTOCOL_ARGS_MAX && exec->nr_env <= PROTOCOL_ENV_MAX);
        check(exec->cwd >= begin && strlen(exec->cwd) <= PROTOCOL_CWD_MAX);
        check(strlen(exec->user) <= PROTOCOL_USER_MAX);
        check(exec->nr_rlimits <= PROTOCOL_RLIMITS_MAX);
        for (uint32_t i = 0; i < exec->nr_rlimits; i++)
                check(exec->rlimits[i].resource < 16 && exec->rlimits[i].soft <= exec->rlimits[i].hard);
        protocol_strings(exec->args, exec->nr_args, list);
        check(list[exec->nr_args - 1] + strlen(list[exec->nr_args - 1]) + 1 == exec->env);
        protocol_strings(exec->env, exec->nr_env, list);
        for (uint32_t i = 0; i < exec->nr_env; i++)
                check(list[i] < end && strchr(list[i], '='));
        check(exec->nr_env ? list[exec->nr_env - 1] + strlen(list[exec->nr_env - 1]) + 1 == end
                           : exec->env == end);
}

static void on_frame(const struct protocol_frame *frame, const uint8_t *p)
{
        struct protocol_hello hello;
        struct protocol_exec exec;
        struct protocol_shutdown shutdown;

        if (frame->type == PROTOCOL_HELLO && !protocol_parse_hello(p, frame->len, &hello))
                check(hello.version_min && hello.version_min <= hello.version_max);
        if (frame->type == PROTOCOL_EXEC && !protocol_parse_exec(p, frame->len, &exec))
                check_exec(&exec, p, frame->len);
        if (frame->type == PROTOCOL_SHUTDOWN && !protocol_parse_shutdown(p, frame->len, &shutdown))
                check(shutdown.how < PROTOCOL_HOW_NR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct protocol_frame frame;

        while (!protocol_parse_header(data, size, PROTOCOL_FROM_CLIENT, &frame) &&
               size - PROTOCOL_HEADER_SIZE >= frame.len) {
                /* a copy as long as the payload: a read beyond it is seen */
                uint8_t *p = malloc(frame.len ? frame.len : 1);

                memcpy(p, data + PROTOCOL_HEADER_SIZE, frame.len);
                on_frame(&frame, p);
                free(p);
                data += PROTOCOL_HEADER_SIZE + frame.len;
                size -= PROTOCOL_HEADER_SIZE + frame.len;
        }
        return 0;
}
