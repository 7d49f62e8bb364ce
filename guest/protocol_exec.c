/*
 * EXEC and EXIT: the largest request and its answer, checked and built.
 * Input:  bytes of a peer (hostile).
 * Runs:   any thread of either side; pure, no allocation, no I/O, no state.
 * Limits: PROTOCOL_EXEC_MAX bytes, PROTOCOL_ARGS_MAX arguments, PROTOCOL_ENV_MAX variables,
 *         PROTOCOL_RLIMITS_MAX limits.
 */
#include <string.h>

#include "guest/protocol_bytes.h"

#define EXEC_FIXED 24u
#define EXEC_MIN   (EXEC_FIXED + 3) /* three empty strings */
#define EXIT_MIN   40u              /* what version 1 began with */
#define EXIT_SIZE  64u

#define OPTION_TTY_SIZE     4u
#define OPTION_RLIMIT_SIZE  24u
#define OPTION_TIMEOUT_SIZE 4u
#define OPTIONS_MAX                                                                                          \
        (4u + OPTION_TTY_SIZE + 4u + OPTION_TIMEOUT_SIZE + PROTOCOL_RLIMITS_MAX * (4u + OPTION_RLIMIT_SIZE))
#define EXEC_FLAGS                                                                                           \
        ((uint32_t)(PROTOCOL_EXEC_STDIN | PROTOCOL_EXEC_DETACH | PROTOCOL_EXEC_TELL | PROTOCOL_EXEC_KEEP |   \
                    PROTOCOL_EXEC_LOG | PROTOCOL_EXEC_MAIN))

/* u16 rows, columns. */
static int parse_tty(const uint8_t *p, size_t len, struct protocol_exec *ret)
{
        if (len != OPTION_TTY_SIZE || ret->has_tty)
                return PROTOCOL_E_OPTION;
        ret->has_tty = true;
        ret->rows = get16(p);
        ret->cols = get16(p + 2);
        return PROTOCOL_OK;
}

static bool is_rlimit(const struct protocol_rlimit *l)
{
        return l->resource < PROTOCOL_RLIMITS_MAX && l->soft <= l->hard;
}

/* u32 resource, reserved; u64 soft, hard limit. */
static int parse_rlimit(const uint8_t *p, size_t len, struct protocol_exec *ret)
{
        if (len != OPTION_RLIMIT_SIZE || ret->nr_rlimits == PROTOCOL_RLIMITS_MAX)
                return PROTOCOL_E_OPTION;
        if (get32(p + 4))
                return PROTOCOL_E_RESERVED;

        struct protocol_rlimit *l = &ret->rlimits[ret->nr_rlimits++];

        *l = (struct protocol_rlimit){ get32(p), get64(p + 8), get64(p + 16) };
        return is_rlimit(l) ? PROTOCOL_OK : PROTOCOL_E_VALUE;
}

/* u32 milliseconds. */
static int parse_timeout(const uint8_t *p, size_t len, struct protocol_exec *ret)
{
        if (len != OPTION_TIMEOUT_SIZE || ret->timeout_ms)
                return PROTOCOL_E_OPTION;
        ret->timeout_ms = get32(p);
        return ret->timeout_ms ? PROTOCOL_OK : PROTOCOL_E_VALUE;
}

/* Records of u16 type, u16 length and as many bytes. */
static int parse_options(const uint8_t *p, const uint8_t *end, struct protocol_exec *ret)
{
        while (p < end) {
                if (end - p < 4 || end - p - 4 < get16(p + 2))
                        return PROTOCOL_E_OPTION;

                uint32_t type = get16(p);
                size_t len = get16(p + 2);
                int r = type & PROTOCOL_OPTION_MAY_SKIP ? PROTOCOL_OK : PROTOCOL_E_OPTION;

                p += 4;
                if (type == PROTOCOL_OPTION_TTY)
                        r = parse_tty(p, len, ret);
                else if (type == PROTOCOL_OPTION_RLIMIT)
                        r = parse_rlimit(p, len, ret);
                else if (type == PROTOCOL_OPTION_TIMEOUT)
                        r = parse_timeout(p, len, ret);
                if (r)
                        return r;
                p += len;
        }
        return PROTOCOL_OK;
}

static bool is_variable(const char *s)
{
        const char *equals = strchr(s, '=');

        return equals && equals != s;
}

/* Takes the strings behind the options. */
static int parse_strings(const uint8_t *at, const uint8_t *end, struct protocol_exec *ret)
{
        ret->cwd = take_string(&at, end, PROTOCOL_CWD_MAX);
        ret->user = ret->cwd ? take_string(&at, end, PROTOCOL_USER_MAX) : NULL;
        if (!ret->user)
                return PROTOCOL_E_STRING;
        ret->args = (const char *)at;
        for (uint32_t i = 0; i < ret->nr_args; i++) {
                if (!take_string(&at, end, PROTOCOL_EXEC_MAX))
                        return PROTOCOL_E_STRING;
        }
        ret->env = (const char *)at;
        for (uint32_t i = 0; i < ret->nr_env; i++) {
                const char *variable = take_string(&at, end, PROTOCOL_EXEC_MAX);

                if (!variable || !is_variable(variable))
                        return PROTOCOL_E_STRING;
        }
        return at == end ? PROTOCOL_OK : PROTOCOL_E_STRING;
}

/* u32 flags, container, number of arguments, of variables, length of options, reserved; options; strings. */
int protocol_parse_exec(const uint8_t *p, size_t len, struct protocol_exec *ret)
{
        if (len < EXEC_MIN || len > PROTOCOL_EXEC_MAX)
                return PROTOCOL_E_LENGTH;

        const uint8_t *at = p + EXEC_FIXED, *end = p + len;
        uint32_t options = get32(p + 16);

        ret->flags = get32(p);
        ret->container = get32(p + 4);
        ret->nr_args = get32(p + 8);
        ret->nr_env = get32(p + 12);
        ret->has_tty = false;
        ret->rows = ret->cols = 0;
        ret->timeout_ms = ret->nr_rlimits = 0;
        if (ret->flags & ~EXEC_FLAGS)
                return PROTOCOL_E_FLAGS;
        if (get32(p + 20))
                return PROTOCOL_E_RESERVED;
        if (!ret->nr_args || ret->nr_args > PROTOCOL_ARGS_MAX || ret->nr_env > PROTOCOL_ENV_MAX)
                return PROTOCOL_E_COUNT;
        if (options > len - EXEC_FIXED)
                return PROTOCOL_E_OPTION;

        int r = parse_options(at, at + options, ret);

        return r ? r : parse_strings(at + options, end, ret);
}

/*
 * u32 kind, value, flags, reserved; u64 user and system time in us, peak memory in KiB; u64 elapsed time in
 * us, bytes read and written.
 */
int protocol_parse_exit(const uint8_t *p, size_t len, struct protocol_exit *ret)
{
        if (len < EXIT_MIN)
                return PROTOCOL_E_LENGTH;

        uint32_t kind = get32(p), value = get32(p + 4);

        if (kind >= PROTOCOL_KIND_NR || value > 255 ||
            (kind == PROTOCOL_SIGNALLED && (value < 1 || value > 64)))
                return PROTOCOL_E_VALUE;
        *ret = (struct protocol_exit){ .kind = kind,
                                       .value = value,
                                       .flags = get32(p + 8),
                                       .utime_us = get64(p + 16),
                                       .stime_us = get64(p + 24),
                                       .maxrss_kib = get64(p + 32) };
        if (len >= EXIT_SIZE) {
                ret->elapsed_us = get64(p + 40);
                ret->read_bytes = get64(p + 48);
                ret->write_bytes = get64(p + 56);
        }
        return PROTOCOL_OK;
}

void protocol_strings(const char *first, uint32_t n, const char **ret)
{
        for (uint32_t i = 0; i < n; i++) {
                ret[i] = first;
                first += strlen(first) + 1;
        }
        ret[n] = NULL;
}

size_t protocol_put_exit(uint8_t *out, uint32_t id, const struct protocol_exit *e)
{
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;

        put32(p, e->kind);
        put32(p + 4, e->value);
        put32(p + 8, e->flags);
        put32(p + 12, 0);
        put64(p + 16, e->utime_us);
        put64(p + 24, e->stime_us);
        put64(p + 32, e->maxrss_kib);
        put64(p + 40, e->elapsed_us);
        put64(p + 48, e->read_bytes);
        put64(p + 56, e->write_bytes);
        return finish(out, PROTOCOL_EXIT, id, EXIT_SIZE);
}

/* Adds one string with its NUL; past the limit it only counts, so the caller sees that it is too long. */
static size_t add_string(uint8_t *out, size_t len, const char *s)
{
        size_t n = strlen(s) + 1;

        if (out && n <= PROTOCOL_EXEC_MAX - len)
                memcpy(out + PROTOCOL_HEADER_SIZE + len, s, n);
        return n > PROTOCOL_EXEC_MAX - len ? PROTOCOL_EXEC_MAX + 1 : len + n;
}

static size_t add_strings(uint8_t *out, size_t len, const char *const *list, uint32_t *ret_nr)
{
        uint32_t n = 0;

        for (; list && list[n] && len <= PROTOCOL_EXEC_MAX; n++)
                len = add_string(out, len, list[n]);
        *ret_nr = n;
        return len;
}

/* Return: bytes of options, written to @p. */
static size_t add_options(uint8_t p[OPTIONS_MAX], const struct protocol_exec_request *req)
{
        uint8_t *at = p;

        if (req->has_tty) {
                put16(at, PROTOCOL_OPTION_TTY);
                put16(at + 2, OPTION_TTY_SIZE);
                put16(at + 4, req->rows);
                put16(at + 6, req->cols);
                at += 4 + OPTION_TTY_SIZE;
        }
        for (uint32_t i = 0; i < req->nr_rlimits; i++) {
                put16(at, PROTOCOL_OPTION_RLIMIT);
                put16(at + 2, OPTION_RLIMIT_SIZE);
                put32(at + 4, req->rlimits[i].resource);
                put32(at + 8, 0);
                put64(at + 12, req->rlimits[i].soft);
                put64(at + 20, req->rlimits[i].hard);
                at += 4 + OPTION_RLIMIT_SIZE;
        }
        if (req->timeout_ms) {
                put16(at, PROTOCOL_OPTION_TIMEOUT);
                put16(at + 2, OPTION_TIMEOUT_SIZE);
                put32(at + 4, req->timeout_ms);
                at += 4 + OPTION_TIMEOUT_SIZE;
        }
        return (size_t)(at - p);
}

/* Return: PROTOCOL_OK, or what the agent would say of the parts that are not counted. */
static int check_request(const struct protocol_exec_request *req)
{
        if (req->flags & ~EXEC_FLAGS)
                return PROTOCOL_E_FLAGS;
        if (req->nr_rlimits > PROTOCOL_RLIMITS_MAX)
                return PROTOCOL_E_OPTION;
        for (uint32_t i = 0; i < req->nr_rlimits; i++) {
                if (!is_rlimit(&req->rlimits[i]))
                        return PROTOCOL_E_VALUE;
        }
        if ((req->cwd && strlen(req->cwd) > PROTOCOL_CWD_MAX) ||
            (req->user && strlen(req->user) > PROTOCOL_USER_MAX))
                return PROTOCOL_E_STRING;
        for (uint32_t i = 0; req->env && req->env[i]; i++) {
                if (!is_variable(req->env[i]))
                        return PROTOCOL_E_STRING;
        }
        return PROTOCOL_OK;
}

int protocol_build_exec(uint8_t *out, const struct protocol_exec_request *req, size_t *ret_size)
{
        uint8_t options[OPTIONS_MAX], *p = out ? out + PROTOCOL_HEADER_SIZE : NULL;
        uint32_t nr_args = 0, nr_env = 0;
        int r = check_request(req);

        if (r)
                return r;

        size_t nr_options = add_options(options, req);
        size_t len = add_string(out, EXEC_FIXED + nr_options, req->cwd ? req->cwd : "");

        len = add_string(out, len, req->user ? req->user : "");
        len = add_strings(out, len, req->args, &nr_args);
        if (len <= PROTOCOL_EXEC_MAX)
                len = add_strings(out, len, req->env, &nr_env);
        if (!nr_args || nr_args > PROTOCOL_ARGS_MAX || nr_env > PROTOCOL_ENV_MAX)
                return PROTOCOL_E_COUNT;
        if (len > PROTOCOL_EXEC_MAX)
                return PROTOCOL_E_LENGTH;
        if (p) {
                put32(p, req->flags);
                put32(p + 4, req->container);
                put32(p + 8, nr_args);
                put32(p + 12, nr_env);
                put32(p + 16, (uint32_t)nr_options);
                put32(p + 20, 0);
                memcpy(p + EXEC_FIXED, options, nr_options);
                finish(out, PROTOCOL_EXEC, req->id, len);
        }
        *ret_size = PROTOCOL_HEADER_SIZE + len;
        return PROTOCOL_OK;
}
