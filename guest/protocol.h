/*
 * The frames between a client on the host and the agent in the guest: the one definition of them.
 *
 * docs/protocol.md is the same in words, byte by byte. Both sides compile protocol.c; nothing in it
 * allocates, does I/O or keeps state. All integers are little endian. Errors are positive (the peer is at
 * fault); PROTOCOL_E_MORE says that the bytes so far are a good beginning. Parsed structs are views: they
 * point into the bytes they were parsed from.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_VERSION      1u
#define PROTOCOL_PORT         1024u /* vsock port of the agent */
#define PROTOCOL_LOG_PORT     1026u /* vsock port of the monitor: takes what a command with EXEC_LOG writes */
#define PROTOCOL_LOG_FROM_MAX 1023u /* from no higher port: Linux gives these to nobody without a privilege */
#define PROTOCOL_HEADER_SIZE  16u

#define PROTOCOL_EXEC_MAX     (256u << 10) /* payload of EXEC: twice Linux's longest argument */
#define PROTOCOL_DATA_MAX     (64u << 10)  /* payload of STDIN, STDOUT, STDERR: one full pipe */
#define PROTOCOL_ARGS_MAX     4096u
#define PROTOCOL_ENV_MAX      4096u
#define PROTOCOL_CWD_MAX      4095u /* PATH_MAX without its NUL */
#define PROTOCOL_USER_MAX     255u
#define PROTOCOL_TEXT_MAX     1024u /* text of ERROR, message of HELLO */
#define PROTOCOL_RELEASE_MAX  63u   /* release of the agent, in HELLO */
#define PROTOCOL_GRACE_MAX_MS 3600000u

enum protocol_type {
        /* client to agent */
        PROTOCOL_HELLO = 0x01,
        PROTOCOL_EXEC = 0x02,
        PROTOCOL_STDIN = 0x03,
        PROTOCOL_SHUTDOWN = 0x04,
        PROTOCOL_PING = 0x05,
        PROTOCOL_SIGNAL = 0x06,
        PROTOCOL_RESIZE = 0x07,
        PROTOCOL_ATTACH = 0x08,
        PROTOCOL_PROCESSES = 0x09,
        PROTOCOL_FILE = 0x0a, /* protocol_file.h */
        PROTOCOL_METRICS = 0x0b,
        PROTOCOL_CLOCK = 0x0c,
        PROTOCOL_FREEZE = 0x0d,
        PROTOCOL_SYNC = 0x0e,
        PROTOCOL_CONNECT = 0x0f,
        PROTOCOL_ENVIRONMENT = 0x10,
        /* agent to client */
        PROTOCOL_WELCOME = 0x81,
        PROTOCOL_STDOUT = 0x82,
        PROTOCOL_STDERR = 0x83,
        PROTOCOL_EXIT = 0x84,
        PROTOCOL_ERROR = 0x85,
        PROTOCOL_DONE = 0x86,
        PROTOCOL_WINDOW = 0x87,
        PROTOCOL_STARTED = 0x88,
        PROTOCOL_LOST = 0x89,
        PROTOCOL_PROCESS = 0x8a,
        PROTOCOL_DATA = 0x8b,
        PROTOCOL_STATUS = 0x8c,
        PROTOCOL_ENTRIES = 0x8d,
        PROTOCOL_EVENT = 0x8e,
        PROTOCOL_REPORT = 0x8f,
};

enum protocol_side { PROTOCOL_FROM_CLIENT, PROTOCOL_FROM_AGENT };

enum { /* what parsers and builders return */
       PROTOCOL_OK,
       PROTOCOL_E_MORE,     /* not all bytes are there yet */
       PROTOCOL_E_TYPE,     /* unknown type, or not one of this direction */
       PROTOCOL_E_FLAGS,    /* a flag that means nothing here */
       PROTOCOL_E_LENGTH,   /* shorter or longer than the type allows */
       PROTOCOL_E_ID,       /* id 0 where one is needed, or the reverse */
       PROTOCOL_E_RESERVED, /* a reserved field that is not 0 */
       PROTOCOL_E_COUNT,    /* no argument, or too many arguments or variables */
       PROTOCOL_E_STRING,   /* a string that does not end, is too long, or a variable without '=' */
       PROTOCOL_E_OPTION,   /* options cut off, or one that is not known and must be */
       PROTOCOL_E_VALUE,    /* a number out of its range */
       PROTOCOL_E_VERSION,  /* WELCOME with a version that HELLO did not offer */
       PROTOCOL_E_NR
};

enum { PROTOCOL_STDIN_END = 1u << 0 }; /* header flags of STDIN: no more will come */
enum {                                 /* flags of EXEC */
       PROTOCOL_EXEC_STDIN = 1u << 0,  /* STDIN frames follow (else it reads /dev/null) */
       PROTOCOL_EXEC_DETACH = 1u << 1, /* goes on without its connection; can be attached to */
       PROTOCOL_EXEC_TELL = 1u << 2,   /* STARTED is wanted */
       PROTOCOL_EXEC_KEEP = 1u << 3,   /* what it started may outlive it */
       PROTOCOL_EXEC_LOG = 1u << 4,    /* its output and EXIT also go to the monitor's log port */
       PROTOCOL_EXEC_MAIN = 1u << 5,   /* the guest powers off when it has ended */
};
enum { PROTOCOL_OPTION_TTY = 1, PROTOCOL_OPTION_RLIMIT = 2, PROTOCOL_OPTION_TIMEOUT = 3 }; /* of EXEC */
enum { /* capabilities in WELCOME */
       PROTOCOL_CAP_EXEC = 1u << 0,
       PROTOCOL_CAP_SHUTDOWN = 1u << 1,
       PROTOCOL_CAP_PROCESS = 1u << 2, /* options and flags of EXEC, SIGNAL, RESIZE, ATTACH, PROCESSES */
       PROTOCOL_CAP_FILE = 1u << 3,
       PROTOCOL_CAP_MACHINE = 1u << 4, /* METRICS, CLOCK, FREEZE, SYNC, ENVIRONMENT */
       PROTOCOL_CAP_CONNECT = 1u << 5,
};
enum { PROTOCOL_STATE_OK, PROTOCOL_STATE_NO_ROOT, PROTOCOL_STATE_NR };
enum { PROTOCOL_POWER_OFF, PROTOCOL_REBOOT, PROTOCOL_HOW_NR };
enum { PROTOCOL_EXITED, PROTOCOL_SIGNALLED, PROTOCOL_KIND_NR };
enum { /* flags of EXIT */
       PROTOCOL_EXIT_CORE = 1u << 0,
       PROTOCOL_EXIT_OOM = 1u << 1,       /* the kernel's OOM killer ended something in its cgroup */
       PROTOCOL_EXIT_TIMED_OUT = 1u << 2, /* its own time limit killed it */
};
enum { PROTOCOL_OPTION_MAY_SKIP = 0x8000 }; /* an option type with this bit may be left aside if unknown */

enum protocol_fault { /* code of ERROR; the first group ends the connection */
                      PROTOCOL_FAULT_MALFORMED = 1,
                      PROTOCOL_FAULT_VERSION,
                      PROTOCOL_FAULT_CROWDED, /* too many connections */
                      PROTOCOL_FAULT_BUSY,    /* this connection runs a command already */
                      PROTOCOL_FAULT_UNSUPPORTED,
                      PROTOCOL_FAULT_NO_ROOT,   /* the guest has no root file system: see the text */
                      PROTOCOL_FAULT_NOT_FOUND, /* no such command */
                      PROTOCOL_FAULT_NOT_EXECUTABLE,
                      PROTOCOL_FAULT_NO_USER,
                      PROTOCOL_FAULT_CWD,
                      PROTOCOL_FAULT_NO_CONTAINER,
                      PROTOCOL_FAULT_RESOURCES,  /* memory, processes or descriptors of the guest ran out */
                      PROTOCOL_FAULT_STOPPING,   /* the guest shuts down */
                      PROTOCOL_FAULT_NO_PROCESS, /* no such exec, or not one that can be attached to */
                      PROTOCOL_FAULT_SYSTEM,     /* the guest's kernel refused: its error number says why */
                      PROTOCOL_FAULT_NR
};

struct protocol_frame {
        enum protocol_type type;
        uint16_t flags;
        uint32_t id;  /* of the request, chosen by the client; 0 = the connection itself */
        uint32_t len; /* of the payload */
};

struct protocol_hello {
        uint16_t version_min, version_max;
        uint64_t capabilities;
};

struct protocol_welcome {
        uint16_t version, state;
        uint32_t stdin_window; /* bytes of STDIN that may be under way in one exec */
        uint64_t capabilities;
        uint8_t boot_id[16];
        const char *release, *message; /* NUL-terminated; message says why state is not OK */
};

#define PROTOCOL_RLIMITS_MAX 16u /* as many as Linux has */
struct protocol_rlimit {
        uint32_t resource; /* RLIMIT_ of Linux */
        uint64_t soft, hard;
};

struct protocol_exec {
        uint32_t flags, container;
        const char *cwd, *user; /* "" = "/", "" = root; user is USER[:GROUP], each a name or a number */
        const char *args, *env; /* nr_args, nr_env strings behind each other */
        uint32_t nr_args, nr_env;
        bool has_tty;
        uint16_t rows, cols;
        uint32_t timeout_ms; /* 0 = none */
        uint32_t nr_rlimits;
        struct protocol_rlimit rlimits[PROTOCOL_RLIMITS_MAX];
};

/* Times, peak memory and bytes are those of its whole cgroup. */
struct protocol_exit {
        uint32_t kind, value, flags;
        uint64_t utime_us, stime_us, maxrss_kib;
        uint64_t elapsed_us, read_bytes, write_bytes; /* bytes of disks; 0 from an agent that does not tell */
};
struct protocol_error {
        uint32_t code, host_errno;
        const char *text;
        uint32_t text_len;
};
struct protocol_shutdown {
        uint32_t how, grace_ms;
};

/* What a client asks for; args and env end with NULL, cwd and user may be NULL. */
struct protocol_exec_request {
        uint32_t id, flags, container;
        const char *cwd, *user;
        const char *const *args, *const *env;
        bool has_tty;
        uint16_t rows, cols;
        uint32_t timeout_ms, nr_rlimits;
        const struct protocol_rlimit *rlimits;
};

/* protocol_parse_header() - check the fixed header; the payload is what follows it. */
int protocol_parse_header(const uint8_t *bytes, size_t len, enum protocol_side from,
                          struct protocol_frame *ret);

/* protocol_parse_*() - check one payload. @len is what the header said, all of it must be there. */
int protocol_parse_hello(const uint8_t *p, size_t len, struct protocol_hello *ret);
int protocol_parse_welcome(const uint8_t *p, size_t len, struct protocol_welcome *ret);
int protocol_parse_exec(const uint8_t *p, size_t len, struct protocol_exec *ret);
int protocol_parse_exit(const uint8_t *p, size_t len, struct protocol_exit *ret);
int protocol_parse_error(const uint8_t *p, size_t len, struct protocol_error *ret);
int protocol_parse_shutdown(const uint8_t *p, size_t len, struct protocol_shutdown *ret);
int protocol_parse_window(const uint8_t *p, size_t len, uint32_t *ret);

/* protocol_strings() - point @ret[0..@n) at @n checked strings behind each other; @ret[@n] = NULL. */
void protocol_strings(const char *first, uint32_t n, const char **ret);

/*
 * protocol_put_*() - write one whole frame, or just the header where the payload is put behind it by the
 * caller.
 * @out has room for PROTOCOL_SMALL_MAX bytes. Return: bytes written. Texts that are too long are cut.
 */
#define PROTOCOL_SMALL_MAX (PROTOCOL_HEADER_SIZE + 64 + PROTOCOL_TEXT_MAX + PROTOCOL_RELEASE_MAX)
size_t protocol_put_header(uint8_t *out, const struct protocol_frame *frame);
size_t protocol_put_hello(uint8_t *out, uint64_t capabilities);
size_t protocol_put_welcome(uint8_t *out, const struct protocol_welcome *w);
size_t protocol_put_shutdown(uint8_t *out, uint32_t id, uint32_t how, uint32_t grace_ms);
size_t protocol_put_exit(uint8_t *out, uint32_t id, const struct protocol_exit *e);
size_t protocol_put_error(uint8_t *out, uint32_t id, uint32_t code, uint32_t host_errno, const char *text);
size_t protocol_put_window(uint8_t *out, uint32_t id, uint32_t bytes);
size_t protocol_put_u32(uint8_t *out, enum protocol_type type, uint32_t id, uint32_t value);
size_t protocol_put_u64(uint8_t *out, enum protocol_type type, uint32_t id, uint64_t value);

/*
 * protocol_build_exec() - build an EXEC frame.
 * @out: where to, or NULL to learn the size only. Return: 0 and the size, or why the agent would refuse it.
 */
int protocol_build_exec(uint8_t *out, const struct protocol_exec_request *req, size_t *ret_size);

const char *protocol_strerror(int error);       /* of a positive PROTOCOL_E_ */
const char *protocol_fault_name(uint32_t code); /* of a PROTOCOL_FAULT_, "unknown" for others */
