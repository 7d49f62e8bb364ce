/*
 * FILE's payload, status records and events; the first byte says which.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/protocol_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
        if (!ok)
                abort();
}

/* What is accepted can be built again, and is the same then. */
static void on_file(const uint8_t *p, size_t len)
{
        static uint8_t out[PROTOCOL_HEADER_SIZE + 12288];
        struct protocol_file file;
        size_t size;

        if (protocol_parse_file(p, len, &file))
                return;
        check(protocol_build_file(out, 1, &file, &size) == 0);
        check(size == PROTOCOL_HEADER_SIZE + len && !memcmp(out + PROTOCOL_HEADER_SIZE, p, len));
}

static void on_entries(const uint8_t *p, size_t len)
{
        static uint8_t out[PROTOCOL_STATUS_MAX];
        struct protocol_status status;
        size_t size;

        for (; !protocol_parse_status(p, len, &status, &size); p += size, len -= size) {
                check(size <= len && strlen(status.name) + strlen(status.target) + 66 <= size);
                check(protocol_put_status(out, &status) <= size);
        }
}

static void on_event(const uint8_t *p, size_t len)
{
        struct protocol_event event;

        if (!protocol_parse_event(p, len, &event))
                check(event.kind < PROTOCOL_EVENT_NR && strlen(event.name) + 13 <= len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static void (*const parsers[])(const uint8_t *, size_t) = { on_file, on_entries, on_event };

        if (!size)
                return 0;

        uint8_t *p = malloc(size); /* as long as the bytes: a read beyond them is seen */

        memcpy(p, data + 1, size - 1);
        parsers[data[0] % 3](p, size - 1);
        free(p);
        return 0;
}
