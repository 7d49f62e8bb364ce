/*
 * EXEC and EXIT: the largest request and its answer, checked and built.
 * Input:  bytes of a peer (hostile).
 * Runs:   any thread of either side; pure, no allocation, no I/O, no state.
 * Limits: PROTOCOL_EXEC_MAX bytes, PROTOCOL_ARGS_MAX arguments, PROTOCOL_ENV_MAX variables.
 */
#include <string.h>

#include "guest/protocol_bytes.h"

#define EXEC_FIXED 24u
#define EXEC_MIN   (EXEC_FIXED + 3) /* three empty strings */
#define EXIT_SIZE  40u

/* Records of u16 type, u16 length and as many bytes. None is defined yet. */
static int check_options(const uint8_t *p, const uint8_t *end)
{
        while (p < end) {
                if (end - p < 4 || end - p - 4 < get16(p + 2))
                        return PROTOCOL_E_OPTION;
                if (!(get16(p) & PROTOCOL_OPTION_MAY_SKIP))
                        return PROTOCOL_E_OPTION;
                p += 4u + get16(p + 2);
        }
        return PROTOCOL_OK;
}

static bool is_variable(const char *s)
{
        const char *equals = strchr(s, '=');

        return equals && equals != s;
}

/* u32 flags, container, number of arguments, of variables, length of options, reserved; options; strings. */
int protocol_parse_exec(const uint8_t *p, size_t len, struct protocol_exec *ret)
{
        if (len < EXEC_MIN || len > PROTOCOL_EXEC_MAX)
                return PROTOCOL_E_LENGTH;

        uint32_t flags = get32(p), nr_args = get32(p + 8), nr_env = get32(p + 12), options = get32(p + 16);
        const uint8_t *at = p + EXEC_FIXED, *end = p + len;

        if (flags & ~(uint32_t)PROTOCOL_EXEC_STDIN)
                return PROTOCOL_E_FLAGS;
        if (get32(p + 20))
                return PROTOCOL_E_RESERVED;
        if (!nr_args || nr_args > PROTOCOL_ARGS_MAX || nr_env > PROTOCOL_ENV_MAX)
                return PROTOCOL_E_COUNT;
        if (options > len - EXEC_FIXED || check_options(at, at + options))
                return PROTOCOL_E_OPTION;
        at += options;

        const char *cwd = take_string(&at, end, PROTOCOL_CWD_MAX);
        const char *user = cwd ? take_string(&at, end, PROTOCOL_USER_MAX) : NULL;
        const char *args = (const char *)at;

        for (uint32_t i = 0; user && i < nr_args; i++) {
                if (!take_string(&at, end, PROTOCOL_EXEC_MAX))
                        return PROTOCOL_E_STRING;
        }

        const char *env = (const char *)at;

        for (uint32_t i = 0; user && i < nr_env; i++) {
                const char *variable = take_string(&at, end, PROTOCOL_EXEC_MAX);

                if (!variable || !is_variable(variable))
                        return PROTOCOL_E_STRING;
        }
        if (!user || at != end)
                return PROTOCOL_E_STRING;
        *ret = (struct protocol_exec){ .flags = flags,
                                       .container = get32(p + 4),
                                       .cwd = cwd,
                                       .user = user,
                                       .args = args,
                                       .env = env,
                                       .nr_args = nr_args,
                                       .nr_env = nr_env };
        return PROTOCOL_OK;
}

/* u32 kind, value, flags, reserved; u64 user and system time in us, peak memory in KiB. */
int protocol_parse_exit(const uint8_t *p, size_t len, struct protocol_exit *ret)
{
        if (len < EXIT_SIZE)
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

int protocol_build_exec(uint8_t *out, const struct protocol_exec_request *req, size_t *ret_size)
{
        const char *cwd = req->cwd ? req->cwd : "", *user = req->user ? req->user : "";
        uint32_t nr_args = 0, nr_env = 0;

        if (strlen(cwd) > PROTOCOL_CWD_MAX || strlen(user) > PROTOCOL_USER_MAX)
                return PROTOCOL_E_STRING;
        for (uint32_t i = 0; req->env && req->env[i]; i++) {
                if (!is_variable(req->env[i]))
                        return PROTOCOL_E_STRING;
        }

        size_t len = add_string(out, add_string(out, EXEC_FIXED, cwd), user);

        len = add_strings(out, len, req->args, &nr_args);
        if (len <= PROTOCOL_EXEC_MAX)
                len = add_strings(out, len, req->env, &nr_env);
        if (!nr_args || nr_args > PROTOCOL_ARGS_MAX || nr_env > PROTOCOL_ENV_MAX)
                return PROTOCOL_E_COUNT;
        if (len > PROTOCOL_EXEC_MAX)
                return PROTOCOL_E_LENGTH;
        if (out) {
                uint8_t *p = out + PROTOCOL_HEADER_SIZE;

                put32(p, req->flags);
                put32(p + 4, req->container);
                put32(p + 8, nr_args);
                put32(p + 12, nr_env);
                put32(p + 16, 0);
                put32(p + 20, 0);
                finish(out, PROTOCOL_EXEC, req->id, len);
        }
        *ret_size = PROTOCOL_HEADER_SIZE + len;
        return PROTOCOL_OK;
}
