/*
 * The agent's frames: checks and builds them.
 * Input:  bytes of a peer (hostile): the agent parses a client's, the host parses the agent's.
 * Runs:   any thread of either side; pure, no allocation, no I/O, no state.
 * Limits: one frame of at most PROTOCOL_EXEC_MAX payload bytes; see the table of types.
 */
#include <string.h>

#include "guest/protocol_bytes.h"

#define HELLO_SIZE    16u
#define WELCOME_FIXED 32u
#define EXEC_MIN      27u /* fixed part and three empty strings */
#define EXIT_SIZE     40u
#define ERROR_FIXED   8u
#define SHUTDOWN_SIZE 8u
#define WINDOW_SIZE   4u

struct rule {
        uint16_t type, flags; /* flags that may be set */
        enum protocol_side side;
        bool of_request; /* id must not be 0; where false it must be, but ERROR may have either */
        uint32_t min, max;
};

/* Replies may grow at their end (max is larger than what is read now); requests may not. */
static const struct rule rules[] = {
        { PROTOCOL_HELLO, 0, PROTOCOL_FROM_CLIENT, false, HELLO_SIZE, HELLO_SIZE },
        { PROTOCOL_EXEC, 0, PROTOCOL_FROM_CLIENT, true, EXEC_MIN, PROTOCOL_EXEC_MAX },
        { PROTOCOL_STDIN, PROTOCOL_STDIN_END, PROTOCOL_FROM_CLIENT, true, 0, PROTOCOL_DATA_MAX },
        { PROTOCOL_SHUTDOWN, 0, PROTOCOL_FROM_CLIENT, true, SHUTDOWN_SIZE, SHUTDOWN_SIZE },
        { PROTOCOL_PING, 0, PROTOCOL_FROM_CLIENT, true, 0, 0 },
        { PROTOCOL_SIGNAL, 0, PROTOCOL_FROM_CLIENT, true, 16, 16 },
        { PROTOCOL_RESIZE, 0, PROTOCOL_FROM_CLIENT, true, 8, 8 },
        { PROTOCOL_ATTACH, 0, PROTOCOL_FROM_CLIENT, true, 8, 8 },
        { PROTOCOL_PROCESSES, 0, PROTOCOL_FROM_CLIENT, true, 4, 4 },
        { PROTOCOL_FILE, 0, PROTOCOL_FROM_CLIENT, true, 51, 12288 },
        { PROTOCOL_METRICS, 0, PROTOCOL_FROM_CLIENT, true, 0, 0 },
        { PROTOCOL_CLOCK, 0, PROTOCOL_FROM_CLIENT, true, 8, 8 },
        { PROTOCOL_FREEZE, 0, PROTOCOL_FROM_CLIENT, true, 4, 4 },
        { PROTOCOL_SYNC, 0, PROTOCOL_FROM_CLIENT, true, 0, 0 },
        { PROTOCOL_CONNECT, 0, PROTOCOL_FROM_CLIENT, true, 9, 4104 },
        { PROTOCOL_ENVIRONMENT, 0, PROTOCOL_FROM_CLIENT, true, 4, PROTOCOL_EXEC_MAX },
        { PROTOCOL_WELCOME, 0, PROTOCOL_FROM_AGENT, false, WELCOME_FIXED + 2, 4096 },
        { PROTOCOL_STDOUT, 0, PROTOCOL_FROM_AGENT, true, 1, PROTOCOL_DATA_MAX },
        { PROTOCOL_STDERR, 0, PROTOCOL_FROM_AGENT, true, 1, PROTOCOL_DATA_MAX },
        { PROTOCOL_EXIT, 0, PROTOCOL_FROM_AGENT, true, EXIT_SIZE, 512 },
        { PROTOCOL_ERROR, 0, PROTOCOL_FROM_AGENT, false, ERROR_FIXED, ERROR_FIXED + PROTOCOL_TEXT_MAX },
        { PROTOCOL_DONE, 0, PROTOCOL_FROM_AGENT, true, 0, 512 },
        { PROTOCOL_WINDOW, 0, PROTOCOL_FROM_AGENT, true, WINDOW_SIZE, WINDOW_SIZE },
        { PROTOCOL_STARTED, 0, PROTOCOL_FROM_AGENT, true, 16, 512 },
        { PROTOCOL_LOST, 0, PROTOCOL_FROM_AGENT, true, 8, 8 },
        { PROTOCOL_PROCESS, 0, PROTOCOL_FROM_AGENT, true, 0, 65536 },
        { PROTOCOL_DATA, 0, PROTOCOL_FROM_AGENT, true, 1, PROTOCOL_DATA_MAX },
        { PROTOCOL_STATUS, 0, PROTOCOL_FROM_AGENT, true, 66, 12288 },
        { PROTOCOL_ENTRIES, 0, PROTOCOL_FROM_AGENT, true, 0, 65536 },
        { PROTOCOL_EVENT, 0, PROTOCOL_FROM_AGENT, true, 13, 8192 },
        { PROTOCOL_REPORT, 0, PROTOCOL_FROM_AGENT, true, 0, 65536 },
};

static const struct rule *find_rule(uint32_t type, enum protocol_side from)
{
        for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
                if (rules[i].type == type && rules[i].side == from)
                        return &rules[i];
        }
        return NULL;
}

/* Header: u32 length, u16 type, u16 flags, u32 id, u32 reserved. */
int protocol_parse_header(const uint8_t *bytes, size_t len, enum protocol_side from,
                          struct protocol_frame *ret)
{
        if (len < PROTOCOL_HEADER_SIZE)
                return PROTOCOL_E_MORE;

        uint32_t payload = get32(bytes), type = get16(bytes + 4), flags = get16(bytes + 6),
                 id = get32(bytes + 8);
        const struct rule *rule = find_rule(type, from);

        if (!rule)
                return PROTOCOL_E_TYPE;
        if (flags & ~(uint32_t)rule->flags)
                return PROTOCOL_E_FLAGS;
        if (payload < rule->min || payload > rule->max)
                return PROTOCOL_E_LENGTH;
        if (type != PROTOCOL_ERROR && rule->of_request != (id != 0))
                return PROTOCOL_E_ID;
        if (get32(bytes + 12))
                return PROTOCOL_E_RESERVED;
        ret->type = (enum protocol_type)type;
        ret->flags = (uint16_t)flags;
        ret->id = id;
        ret->len = payload;
        return PROTOCOL_OK;
}

/* Versions min and max, u32 reserved, u64 capabilities. */
int protocol_parse_hello(const uint8_t *p, size_t len, struct protocol_hello *ret)
{
        if (len != HELLO_SIZE)
                return PROTOCOL_E_LENGTH;
        if (get32(p + 4))
                return PROTOCOL_E_RESERVED;
        if (!get16(p) || get16(p) > get16(p + 2))
                return PROTOCOL_E_VALUE;
        ret->version_min = get16(p);
        ret->version_max = get16(p + 2);
        ret->capabilities = get64(p + 8);
        return PROTOCOL_OK;
}

/* u16 version, u16 state, u32 stdin window, u64 capabilities, 16 bytes of boot id, release, message. */
int protocol_parse_welcome(const uint8_t *p, size_t len, struct protocol_welcome *ret)
{
        if (len < WELCOME_FIXED + 2)
                return PROTOCOL_E_LENGTH;

        const uint8_t *at = p + WELCOME_FIXED, *end = p + len;
        const char *release = take_string(&at, end, PROTOCOL_RELEASE_MAX);
        const char *message = release ? take_string(&at, end, PROTOCOL_TEXT_MAX) : NULL;

        if (!message)
                return PROTOCOL_E_STRING;
        if (get16(p) != PROTOCOL_VERSION)
                return PROTOCOL_E_VERSION;
        if (get16(p + 2) >= PROTOCOL_STATE_NR)
                return PROTOCOL_E_VALUE;
        ret->version = get16(p);
        ret->state = get16(p + 2);
        ret->stdin_window = get32(p + 4);
        ret->capabilities = get64(p + 8);
        memcpy(ret->boot_id, p + 16, sizeof(ret->boot_id));
        ret->release = release;
        ret->message = message;
        return PROTOCOL_OK;
}

/* u32 code, u32 Linux error number or 0, text without a NUL. */
int protocol_parse_error(const uint8_t *p, size_t len, struct protocol_error *ret)
{
        if (len < ERROR_FIXED || len > ERROR_FIXED + PROTOCOL_TEXT_MAX)
                return PROTOCOL_E_LENGTH;
        if (!get32(p))
                return PROTOCOL_E_VALUE;
        ret->code = get32(p);
        ret->host_errno = get32(p + 4);
        ret->text = (const char *)p + ERROR_FIXED;
        ret->text_len = (uint32_t)(len - ERROR_FIXED);
        return PROTOCOL_OK;
}

/* u32 how, u32 time between SIGTERM and SIGKILL in ms. */
int protocol_parse_shutdown(const uint8_t *p, size_t len, struct protocol_shutdown *ret)
{
        if (len != SHUTDOWN_SIZE)
                return PROTOCOL_E_LENGTH;
        if (get32(p) >= PROTOCOL_HOW_NR || get32(p + 4) > PROTOCOL_GRACE_MAX_MS)
                return PROTOCOL_E_VALUE;
        ret->how = get32(p);
        ret->grace_ms = get32(p + 4);
        return PROTOCOL_OK;
}

int protocol_parse_window(const uint8_t *p, size_t len, uint32_t *ret)
{
        if (len != WINDOW_SIZE)
                return PROTOCOL_E_LENGTH;
        if (!get32(p) || get32(p) > PROTOCOL_DATA_MAX)
                return PROTOCOL_E_VALUE;
        *ret = get32(p);
        return PROTOCOL_OK;
}

size_t protocol_put_header(uint8_t *out, const struct protocol_frame *frame)
{
        put32(out, frame->len);
        put16(out + 4, (uint32_t)frame->type);
        put16(out + 6, frame->flags);
        put32(out + 8, frame->id);
        put32(out + 12, 0);
        return PROTOCOL_HEADER_SIZE;
}

size_t protocol_put_hello(uint8_t *out, uint64_t capabilities)
{
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;

        put16(p, PROTOCOL_VERSION);
        put16(p + 2, PROTOCOL_VERSION);
        put32(p + 4, 0);
        put64(p + 8, capabilities);
        return finish(out, PROTOCOL_HELLO, 0, HELLO_SIZE);
}

size_t protocol_put_welcome(uint8_t *out, const struct protocol_welcome *w)
{
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;

        put16(p, w->version);
        put16(p + 2, w->state);
        put32(p + 4, w->stdin_window);
        put64(p + 8, w->capabilities);
        memcpy(p + 16, w->boot_id, sizeof(w->boot_id));

        uint8_t *at = put_text(p + WELCOME_FIXED, w->release, PROTOCOL_RELEASE_MAX);

        *at++ = 0;
        at = put_text(at, w->message, PROTOCOL_TEXT_MAX);
        *at++ = 0;
        return finish(out, PROTOCOL_WELCOME, 0, (size_t)(at - p));
}

size_t protocol_put_shutdown(uint8_t *out, uint32_t id, uint32_t how, uint32_t grace_ms)
{
        put32(out + PROTOCOL_HEADER_SIZE, how);
        put32(out + PROTOCOL_HEADER_SIZE + 4, grace_ms);
        return finish(out, PROTOCOL_SHUTDOWN, id, SHUTDOWN_SIZE);
}

size_t protocol_put_error(uint8_t *out, uint32_t id, uint32_t code, uint32_t host_errno, const char *text)
{
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;

        put32(p, code);
        put32(p + 4, host_errno);

        uint8_t *end = put_text(p + ERROR_FIXED, text, PROTOCOL_TEXT_MAX);

        return finish(out, PROTOCOL_ERROR, id, (size_t)(end - p));
}

size_t protocol_put_window(uint8_t *out, uint32_t id, uint32_t bytes)
{
        put32(out + PROTOCOL_HEADER_SIZE, bytes);
        return finish(out, PROTOCOL_WINDOW, id, WINDOW_SIZE);
}

size_t protocol_put_u32(uint8_t *out, enum protocol_type type, uint32_t id, uint32_t value)
{
        put32(out + PROTOCOL_HEADER_SIZE, value);
        return finish(out, type, id, 4);
}

size_t protocol_put_u64(uint8_t *out, enum protocol_type type, uint32_t id, uint64_t value)
{
        put64(out + PROTOCOL_HEADER_SIZE, value);
        return finish(out, type, id, 8);
}

const char *protocol_strerror(int error)
{
        static const char *const texts[] = {
                [PROTOCOL_OK] = "well-formed",
                [PROTOCOL_E_MORE] = "more bytes are needed",
                [PROTOCOL_E_TYPE] = "unknown frame type",
                [PROTOCOL_E_FLAGS] = "unknown flag",
                [PROTOCOL_E_LENGTH] = "length out of range",
                [PROTOCOL_E_ID] = "wrong request id",
                [PROTOCOL_E_RESERVED] = "reserved field is not zero",
                [PROTOCOL_E_COUNT] = "too few or too many arguments or variables",
                [PROTOCOL_E_STRING] = "malformed string",
                [PROTOCOL_E_OPTION] = "malformed or unknown option",
                [PROTOCOL_E_VALUE] = "value out of range",
                [PROTOCOL_E_VERSION] =
                        "another version of the agent's protocol: agent and client must be of one release",
        };

        _Static_assert(sizeof(texts) / sizeof(texts[0]) == PROTOCOL_E_NR, "one text for each error");
        return error >= 0 && error < PROTOCOL_E_NR ? texts[error] : "unknown error";
}

const char *protocol_fault_name(uint32_t code)
{
        static const char *const names[] = {
                [PROTOCOL_FAULT_MALFORMED] = "malformed",
                [PROTOCOL_FAULT_VERSION] = "version",
                [PROTOCOL_FAULT_CROWDED] = "crowded",
                [PROTOCOL_FAULT_BUSY] = "busy",
                [PROTOCOL_FAULT_UNSUPPORTED] = "unsupported",
                [PROTOCOL_FAULT_NO_ROOT] = "no-root",
                [PROTOCOL_FAULT_NOT_FOUND] = "not-found",
                [PROTOCOL_FAULT_NOT_EXECUTABLE] = "not-executable",
                [PROTOCOL_FAULT_NO_USER] = "no-user",
                [PROTOCOL_FAULT_CWD] = "cwd",
                [PROTOCOL_FAULT_NO_CONTAINER] = "no-container",
                [PROTOCOL_FAULT_RESOURCES] = "resources",
                [PROTOCOL_FAULT_STOPPING] = "stopping",
                [PROTOCOL_FAULT_NO_PROCESS] = "no-process",
                [PROTOCOL_FAULT_SYSTEM] = "system",
        };

        _Static_assert(sizeof(names) / sizeof(names[0]) == PROTOCOL_FAULT_NR, "one name for each fault");
        return code > 0 && code < PROTOCOL_FAULT_NR ? names[code] : "unknown";
}
