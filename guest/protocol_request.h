/*
 * The small requests of the agent's protocol and their answers: processes, the machine, connections.
 *
 * A part of protocol.h, with the same rules: pure, no allocation, parsed structs are views, errors are
 * PROTOCOL_E_. docs/protocol.md has the bytes.
 */
#pragma once

#include "guest/protocol.h"

#define PROTOCOL_PROCESS_USER_MAX    64u
#define PROTOCOL_PROCESS_COMMAND_MAX 1024u
#define PROTOCOL_METRIC_NAME_MAX     64u

enum { PROTOCOL_SCOPE_PROCESS, PROTOCOL_SCOPE_GROUP, PROTOCOL_SCOPE_ALL, PROTOCOL_SCOPE_NR }; /* of SIGNAL */
enum {                                   /* flags of ATTACH */
       PROTOCOL_ATTACH_STDIN = 1u << 0,  /* STDIN frames follow; the last who said so has the input */
       PROTOCOL_ATTACH_REPLAY = 1u << 1, /* what the ring still holds comes first */
       PROTOCOL_ATTACH_QUIET = 1u << 2,  /* no output: waits for the EXIT only */
       PROTOCOL_ATTACH_LOSSY = 1u << 3,  /* too slow, it loses output (LOST) and holds up nobody */
};
enum { PROTOCOL_LIST_EXECS, PROTOCOL_LIST_ALL, PROTOCOL_LIST_NR };         /* of PROCESSES */
enum { PROTOCOL_CONNECT_TCP, PROTOCOL_CONNECT_UNIX, PROTOCOL_CONNECT_NR }; /* of CONNECT */
enum { /* flags of STARTED and of PROCESS records */
       PROTOCOL_PROCESS_TTY = 1u << 0,
       PROTOCOL_PROCESS_DETACHED = 1u << 1,
       PROTOCOL_PROCESS_STDIN = 1u << 2,
       PROTOCOL_PROCESS_MAIN = 1u << 3,
       PROTOCOL_PROCESS_ENDED = 1u << 4, /* its exit is kept for those who attach later */
};

/* The answer to EXEC with TELL, and to ATTACH. */
struct protocol_started {
        uint32_t proc; /* the agent's number of the exec, from 1, never used twice in a boot */
        uint32_t pid, flags;
};
struct protocol_signal {
        uint32_t proc, signal, scope; /* proc 0 = the exec of this connection */
};
struct protocol_resize {
        uint32_t proc;
        uint16_t rows, cols;
};
struct protocol_attach {
        uint32_t proc, flags;
};
struct protocol_connect {
        uint32_t kind, port;
        const char *address; /* TCP: IPv4 or IPv6, "" = loopback, 4 then 6; Unix: path, '@' = abstract */
};
struct protocol_environment {
        uint32_t nr;
        const char *items; /* nr strings behind each other: NAME=value sets, NAME alone removes */
};

/* One process in a PROCESS frame, where records stand behind each other. */
struct protocol_process {
        uint32_t proc, pid, ppid, uid, flags;      /* proc: the exec it belongs to, 0 = none */
        char state;                                /* as in /proc/PID/stat */
        uint64_t started_ns, cpu_us, memory_bytes; /* since 1970 */
        const char *user, *command; /* command: arguments joined by spaces, cut at 1024 bytes */
};

int protocol_parse_signal(const uint8_t *p, size_t len, struct protocol_signal *ret);
int protocol_parse_resize(const uint8_t *p, size_t len, struct protocol_resize *ret);
int protocol_parse_attach(const uint8_t *p, size_t len, struct protocol_attach *ret);
int protocol_parse_connect(const uint8_t *p, size_t len, struct protocol_connect *ret);
int protocol_parse_environment(const uint8_t *p, size_t len, struct protocol_environment *ret);
/* protocol_parse_u32() - PROCESSES, FREEZE, DONE of a PING; more bytes are ignored. */
int protocol_parse_u32(const uint8_t *p, size_t len, uint32_t max, uint32_t *ret);
/* protocol_parse_u64() - CLOCK, LOST, DONE of a LIST; likewise. */
int protocol_parse_u64(const uint8_t *p, size_t len, uint64_t *ret);
int protocol_parse_started(const uint8_t *p, size_t len, struct protocol_started *ret);
/* protocol_parse_process() - the record at @p. Return: 0 and its size in @ret_size. */
int protocol_parse_process(const uint8_t *p, size_t len, struct protocol_process *ret, size_t *ret_size);
/* protocol_parse_metric() - the line at @p, "name number\n". Return: 0 and its size; views into @p. */
int protocol_parse_metric(const uint8_t *p, size_t len, const char **ret_name, size_t *ret_name_len,
                          uint64_t *ret_value, size_t *ret_size);

size_t protocol_put_signal(uint8_t *out, uint32_t id, const struct protocol_signal *s);
size_t protocol_put_resize(uint8_t *out, uint32_t id, const struct protocol_resize *r);
size_t protocol_put_attach(uint8_t *out, uint32_t id, const struct protocol_attach *a);
size_t protocol_put_started(uint8_t *out, uint32_t id, const struct protocol_started *s);
/* protocol_put_connect() - Return: 0 if the address is too long for PROTOCOL_SMALL_MAX. */
size_t protocol_put_connect(uint8_t *out, uint32_t id, const struct protocol_connect *c);
/* protocol_put_process() - one record, no header; @out has PROTOCOL_SMALL_MAX bytes. */
size_t protocol_put_process(uint8_t *out, const struct protocol_process *s);
/* protocol_put_metric() - one line of a REPORT; @out has PROTOCOL_METRIC_LINE_MAX bytes. */
#define PROTOCOL_METRIC_LINE_MAX (PROTOCOL_METRIC_NAME_MAX + 22)
size_t protocol_put_metric(uint8_t *out, const char *name, uint64_t value);

/* protocol_build_environment() - as protocol_build_exec(); @items end with NULL. */
int protocol_build_environment(uint8_t *out, uint32_t id, const char *const *items, size_t *ret_size);
