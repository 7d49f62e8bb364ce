/*
 * The payloads of the small requests and answers. The first byte says which parser gets the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/protocol_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
        if (!ok)
                abort();
}

static void on_request(uint8_t type, const uint8_t *p, size_t len)
{
        static const char *list[PROTOCOL_ENV_MAX + 1];
        struct protocol_signal signal;
        struct protocol_resize resize;
        struct protocol_attach attach;
        struct protocol_connect connect;
        struct protocol_environment environment;

        if (type == PROTOCOL_SIGNAL && !protocol_parse_signal(p, len, &signal))
                check(signal.signal >= 1 && signal.signal <= 64 && signal.scope < PROTOCOL_SCOPE_NR);
        if (type == PROTOCOL_RESIZE && !protocol_parse_resize(p, len, &resize))
                check(len == 8);
        if (type == PROTOCOL_ATTACH && !protocol_parse_attach(p, len, &attach))
                check(attach.proc && attach.flags < 16);
        if (type == PROTOCOL_CONNECT && !protocol_parse_connect(p, len, &connect))
                check(connect.kind < PROTOCOL_CONNECT_NR &&
                      connect.address + strlen(connect.address) + 1 == (const char *)p + len);
        if (type == PROTOCOL_ENVIRONMENT && !protocol_parse_environment(p, len, &environment)) {
                protocol_strings(environment.items, environment.nr, list);
                for (uint32_t i = 0; i < environment.nr; i++)
                        check(*list[i] && *list[i] != '=' && list[i] < (const char *)p + len);
        }
}

static void on_processes(const uint8_t *p, size_t len)
{
        struct protocol_process process;
        size_t size;

        for (; len && !protocol_parse_process(p, len, &process, &size); p += size, len -= size) {
                check(size && size <= len);
                check(strlen(process.user) <= PROTOCOL_PROCESS_USER_MAX);
                check(strlen(process.command) <= PROTOCOL_PROCESS_COMMAND_MAX);
        }
}

static void on_report(const uint8_t *p, size_t len)
{
        const char *name;
        size_t name_len, size;
        uint64_t value;

        for (; len && !protocol_parse_metric(p, len, &name, &name_len, &value, &size); p += size, len -= size)
                check(size > name_len && size <= len && name_len <= PROTOCOL_METRIC_NAME_MAX);
}

static void on_answer(uint8_t type, const uint8_t *p, size_t len)
{
        struct protocol_started started;
        uint32_t small;
        uint64_t large;

        if (type == PROTOCOL_PROCESS)
                on_processes(p, len);
        if (type == PROTOCOL_REPORT)
                on_report(p, len);
        if (type == PROTOCOL_STARTED && !protocol_parse_started(p, len, &started))
                check(started.proc);
        if (type == PROTOCOL_LOST && !protocol_parse_u64(p, len, &large))
                check(len >= 8);
        if (type == PROTOCOL_DONE && !protocol_parse_u32(p, len, 100, &small))
                check(small <= 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!size)
                return 0;

        /* a copy as long as the payload: a read beyond it is seen */
        uint8_t *p = malloc(size > 1 ? size - 1 : 1);

        memcpy(p, data + 1, size - 1);
        on_request(data[0], p, size - 1);
        on_answer(data[0], p, size - 1);
        free(p);
        return 0;
}
