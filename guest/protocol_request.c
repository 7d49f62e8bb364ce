/*
 * The small requests and their answers, checked and built.
 * Input:  payloads of a peer (hostile): the agent parses a client's, the host parses the agent's.
 * Runs:   any thread of either side; pure, no allocation, no I/O, no state.
 * Limits: the table of types bounds each payload; strings have the limits beside their names.
 *
 * Requests are as long as they are; answers may be longer than what is known here, and the rest is ignored.
 */
#include "guest/protocol_request.h"

#include <string.h>

#include "guest/protocol_bytes.h"

#define SIGNAL_SIZE     16u
#define RESIZE_SIZE     8u
#define ATTACH_SIZE     8u
#define STARTED_SIZE    16u
#define CONNECT_FIXED   8u
#define CONNECT_MAX     4095u /* characters of the address */
#define ENVIRONMENT_MIN 4u
#define PROCESS_FIXED   56u
#define PROCESS_ZERO    25u /* first of seven bytes that are 0 */
#define SIGNAL_MAX      64u
#define PORT_MAX        65535u
#define ATTACH_FLAGS                                                                                         \
        (PROTOCOL_ATTACH_STDIN | PROTOCOL_ATTACH_REPLAY | PROTOCOL_ATTACH_QUIET | PROTOCOL_ATTACH_LOSSY)

_Static_assert(PROCESS_FIXED + PROTOCOL_PROCESS_USER_MAX + 1 + PROTOCOL_PROCESS_COMMAND_MAX + 1 <=
                       PROTOCOL_SMALL_MAX,
               "a record fits where small frames do");

/* u32 number, signal, scope, reserved. */
int protocol_parse_signal(const uint8_t *p, size_t len, struct protocol_signal *ret)
{
        if (len != SIGNAL_SIZE)
                return PROTOCOL_E_LENGTH;
        if (get32(p + 12))
                return PROTOCOL_E_RESERVED;
        if (!get32(p + 4) || get32(p + 4) > SIGNAL_MAX || get32(p + 8) >= PROTOCOL_SCOPE_NR)
                return PROTOCOL_E_VALUE;
        *ret = (struct protocol_signal){ .proc = get32(p), .signal = get32(p + 4), .scope = get32(p + 8) };
        return PROTOCOL_OK;
}

/* u32 number, u16 rows, columns. */
int protocol_parse_resize(const uint8_t *p, size_t len, struct protocol_resize *ret)
{
        if (len != RESIZE_SIZE)
                return PROTOCOL_E_LENGTH;
        *ret = (struct protocol_resize){ .proc = get32(p), .rows = get16(p + 4), .cols = get16(p + 6) };
        return PROTOCOL_OK;
}

/* u32 number, flags. */
int protocol_parse_attach(const uint8_t *p, size_t len, struct protocol_attach *ret)
{
        if (len != ATTACH_SIZE)
                return PROTOCOL_E_LENGTH;
        if (get32(p + 4) & ~(uint32_t)ATTACH_FLAGS)
                return PROTOCOL_E_FLAGS;
        if (!get32(p))
                return PROTOCOL_E_VALUE;
        *ret = (struct protocol_attach){ .proc = get32(p), .flags = get32(p + 4) };
        return PROTOCOL_OK;
}

/* u32 kind, port; address. A Unix socket has no port, and its name is not empty. */
int protocol_parse_connect(const uint8_t *p, size_t len, struct protocol_connect *ret)
{
        if (len < CONNECT_FIXED + 1)
                return PROTOCOL_E_LENGTH;

        uint32_t kind = get32(p), port = get32(p + 4);
        const uint8_t *at = p + CONNECT_FIXED;
        const char *address = take_string(&at, p + len, CONNECT_MAX);

        if (!address || at != p + len)
                return PROTOCOL_E_STRING;
        if (kind >= PROTOCOL_CONNECT_NR)
                return PROTOCOL_E_VALUE;
        if (kind == PROTOCOL_CONNECT_TCP && (!port || port > PORT_MAX))
                return PROTOCOL_E_VALUE;
        if (kind == PROTOCOL_CONNECT_UNIX && (port || !*address || !strcmp(address, "@")))
                return PROTOCOL_E_VALUE;
        *ret = (struct protocol_connect){ .kind = kind, .port = port, .address = address };
        return PROTOCOL_OK;
}

/* u32 number of strings; strings. */
int protocol_parse_environment(const uint8_t *p, size_t len, struct protocol_environment *ret)
{
        if (len < ENVIRONMENT_MIN || len > PROTOCOL_EXEC_MAX)
                return PROTOCOL_E_LENGTH;

        const uint8_t *at = p + ENVIRONMENT_MIN, *end = p + len;

        if (get32(p) > PROTOCOL_ENV_MAX)
                return PROTOCOL_E_COUNT;
        for (uint32_t i = 0; i < get32(p); i++) {
                const char *item = take_string(&at, end, PROTOCOL_EXEC_MAX);

                if (!item || !*item || *item == '=')
                        return PROTOCOL_E_STRING;
        }
        if (at != end)
                return PROTOCOL_E_STRING;
        *ret = (struct protocol_environment){ .nr = get32(p), .items = (const char *)p + ENVIRONMENT_MIN };
        return PROTOCOL_OK;
}

int protocol_parse_u32(const uint8_t *p, size_t len, uint32_t max, uint32_t *ret)
{
        if (len < 4)
                return PROTOCOL_E_LENGTH;
        if (get32(p) > max)
                return PROTOCOL_E_VALUE;
        *ret = get32(p);
        return PROTOCOL_OK;
}

int protocol_parse_u64(const uint8_t *p, size_t len, uint64_t *ret)
{
        if (len < 8)
                return PROTOCOL_E_LENGTH;
        *ret = get64(p);
        return PROTOCOL_OK;
}

/* u32 number, process id, flags, reserved. */
int protocol_parse_started(const uint8_t *p, size_t len, struct protocol_started *ret)
{
        if (len < STARTED_SIZE)
                return PROTOCOL_E_LENGTH;
        if (!get32(p))
                return PROTOCOL_E_VALUE;
        *ret = (struct protocol_started){ .proc = get32(p), .pid = get32(p + 4), .flags = get32(p + 8) };
        return PROTOCOL_OK;
}

/*
 * u32 size, number, process id, parent, user id, flags; u8 state, 7 bytes of 0; u64 started, CPU time,
 * memory; user and command.
 */
int protocol_parse_process(const uint8_t *p, size_t len, struct protocol_process *ret, size_t *ret_size)
{
        if (len < PROCESS_FIXED + 2)
                return PROTOCOL_E_LENGTH;

        uint32_t size = get32(p);

        if (size < PROCESS_FIXED + 2 || size > len)
                return PROTOCOL_E_LENGTH;

        const uint8_t *at = p + PROCESS_FIXED, *end = p + size;
        const char *user = take_string(&at, end, PROTOCOL_PROCESS_USER_MAX);
        const char *command = user ? take_string(&at, end, PROTOCOL_PROCESS_COMMAND_MAX) : NULL;

        if (!command)
                return PROTOCOL_E_STRING;
        *ret = (struct protocol_process){ .proc = get32(p + 4),
                                          .pid = get32(p + 8),
                                          .ppid = get32(p + 12),
                                          .uid = get32(p + 16),
                                          .flags = get32(p + 20),
                                          .state = (char)p[24],
                                          .started_ns = get64(p + 32),
                                          .cpu_us = get64(p + 40),
                                          .memory_bytes = get64(p + 48),
                                          .user = user,
                                          .command = command };
        *ret_size = size;
        return PROTOCOL_OK;
}

static bool is_name(uint8_t c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

int protocol_parse_metric(const uint8_t *p, size_t len, const char **ret_name, size_t *ret_name_len,
                          uint64_t *ret_value, size_t *ret_size)
{
        size_t name = 0, i;
        uint64_t value = 0;

        while (name < len && name <= PROTOCOL_METRIC_NAME_MAX && is_name(p[name]))
                name++;
        if (!name || name > PROTOCOL_METRIC_NAME_MAX || name == len || p[name] != ' ')
                return PROTOCOL_E_STRING;
        for (i = name + 1; i < len && p[i] >= '0' && p[i] <= '9'; i++) {
                if (__builtin_mul_overflow(value, 10u, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(p[i] - '0'), &value))
                        return PROTOCOL_E_VALUE;
        }
        if (i == name + 1 || i == len || p[i] != '\n')
                return PROTOCOL_E_STRING;
        *ret_name = (const char *)p;
        *ret_name_len = name;
        *ret_value = value;
        *ret_size = i + 1;
        return PROTOCOL_OK;
}

size_t protocol_put_signal(uint8_t *out, uint32_t id, const struct protocol_signal *s)
{
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;

        put32(p, s->proc);
        put32(p + 4, s->signal);
        put32(p + 8, s->scope);
        put32(p + 12, 0);
        return finish(out, PROTOCOL_SIGNAL, id, SIGNAL_SIZE);
}

size_t protocol_put_resize(uint8_t *out, uint32_t id, const struct protocol_resize *r)
{
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;

        put32(p, r->proc);
        put16(p + 4, r->rows);
        put16(p + 6, r->cols);
        return finish(out, PROTOCOL_RESIZE, id, RESIZE_SIZE);
}

size_t protocol_put_attach(uint8_t *out, uint32_t id, const struct protocol_attach *a)
{
        put32(out + PROTOCOL_HEADER_SIZE, a->proc);
        put32(out + PROTOCOL_HEADER_SIZE + 4, a->flags);
        return finish(out, PROTOCOL_ATTACH, id, ATTACH_SIZE);
}

size_t protocol_put_started(uint8_t *out, uint32_t id, const struct protocol_started *s)
{
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;

        put32(p, s->proc);
        put32(p + 4, s->pid);
        put32(p + 8, s->flags);
        put32(p + 12, 0);
        return finish(out, PROTOCOL_STARTED, id, STARTED_SIZE);
}

size_t protocol_put_connect(uint8_t *out, uint32_t id, const struct protocol_connect *c)
{
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;
        size_t len = strlen(c->address) + 1;

        if (len > PROTOCOL_SMALL_MAX - PROTOCOL_HEADER_SIZE - CONNECT_FIXED)
                return 0;
        put32(p, c->kind);
        put32(p + 4, c->port);
        memcpy(p + CONNECT_FIXED, c->address, len);
        return finish(out, PROTOCOL_CONNECT, id, CONNECT_FIXED + len);
}

size_t protocol_put_process(uint8_t *out, const struct protocol_process *s)
{
        uint8_t *at = out + PROCESS_FIXED;

        put32(out + 4, s->proc);
        put32(out + 8, s->pid);
        put32(out + 12, s->ppid);
        put32(out + 16, s->uid);
        put32(out + 20, s->flags);
        out[24] = (uint8_t)s->state;
        memset(out + PROCESS_ZERO, 0, 7);
        put64(out + 32, s->started_ns);
        put64(out + 40, s->cpu_us);
        put64(out + 48, s->memory_bytes);
        at = put_text(at, s->user, PROTOCOL_PROCESS_USER_MAX);
        *at++ = 0;
        at = put_text(at, s->command, PROTOCOL_PROCESS_COMMAND_MAX);
        *at++ = 0;
        put32(out, (uint32_t)(at - out));
        return (size_t)(at - out);
}

size_t protocol_put_metric(uint8_t *out, const char *name, uint64_t value)
{
        uint8_t *at = put_text(out, name, PROTOCOL_METRIC_NAME_MAX);
        uint8_t digits[20];
        size_t n = 0;

        do {
                digits[n++] = (uint8_t)('0' + value % 10);
                value /= 10;
        } while (value);
        *at++ = ' ';
        while (n)
                *at++ = digits[--n];
        *at++ = '\n';
        return (size_t)(at - out);
}

int protocol_build_environment(uint8_t *out, uint32_t id, const char *const *items, size_t *ret_size)
{
        size_t len = ENVIRONMENT_MIN;
        uint32_t n = 0;

        for (; items[n]; n++) {
                size_t size = strlen(items[n]) + 1;

                if (size == 1 || *items[n] == '=')
                        return PROTOCOL_E_STRING;
                if (n == PROTOCOL_ENV_MAX)
                        return PROTOCOL_E_COUNT;
                if (size > PROTOCOL_EXEC_MAX - len)
                        return PROTOCOL_E_LENGTH;
                if (out)
                        memcpy(out + PROTOCOL_HEADER_SIZE + len, items[n], size);
                len += size;
        }
        if (out) {
                put32(out + PROTOCOL_HEADER_SIZE, n);
                finish(out, PROTOCOL_ENVIRONMENT, id, len);
        }
        *ret_size = PROTOCOL_HEADER_SIZE + len;
        return PROTOCOL_OK;
}
