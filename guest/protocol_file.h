/*
 * The FILE request of the agent's protocol and its answers: files and trees of the guest.
 *
 * A part of protocol.h, with the same rules: pure, no allocation, parsed structs are views, errors are
 * PROTOCOL_E_. docs/protocol.md has the bytes.
 */
#pragma once

#include "guest/protocol.h"

#define PROTOCOL_PATH_MAX  4095u
#define PROTOCOL_FILE_KEEP UINT32_MAX /* mode, uid, gid: what the kernel gives, or what is there */

enum protocol_file_op {
        PROTOCOL_FILE_STAT = 1, /* -> STATUS */
        PROTOCOL_FILE_LIST,     /* -> ENTRIES..., DONE with the offset of the next page, 0 = all told */
        PROTOCOL_FILE_READ,     /* offset, length -> DATA..., DONE */
        PROTOCOL_FILE_WRITE,    /* STDIN... with its end -> DONE. To a temporary, fsync, rename; or append */
        PROTOCOL_FILE_MKDIR,    /* mode, uid, gid, PARENTS -> DONE */
        PROTOCOL_FILE_REMOVE,   /* RECURSIVE -> DONE */
        PROTOCOL_FILE_RENAME,   /* path, to, EXCLUSIVE -> DONE */
        PROTOCOL_FILE_COPY,     /* path, to, RECURSIVE -> DONE */
        PROTOCOL_FILE_SYMLINK,  /* path = the link, to = what it says -> DONE */
        PROTOCOL_FILE_CHMOD,    /* mode, RECURSIVE -> DONE */
        PROTOCOL_FILE_CHOWN,    /* uid, gid, RECURSIVE, FOLLOW -> DONE */
        PROTOCOL_FILE_PACK,     /* path, to = name of the top or "" -> DATA... (a tar stream), DONE */
        PROTOCOL_FILE_UNPACK,   /* path = folder; STDIN... (a tar stream) with its end -> DONE */
        PROTOCOL_FILE_WATCH,    /* RECURSIVE -> EVENT (READY first) until the client closes */
        PROTOCOL_FILE_OP_NR
};

enum {                                 /* flags */
       PROTOCOL_FILE_FOLLOW = 1u << 0, /* the last name may be a symbolic link (STAT, READ, CHOWN, PACK) */
       PROTOCOL_FILE_RECURSIVE = 1u << 1,
       PROTOCOL_FILE_PARENTS = 1u << 2,   /* make the folders that are missing (MKDIR, WRITE, UNPACK) */
       PROTOCOL_FILE_APPEND = 1u << 3,    /* WRITE: at the end of what is there; not atomic */
       PROTOCOL_FILE_EXCLUSIVE = 1u << 4, /* nothing may be there yet (WRITE, RENAME, COPY) */
       PROTOCOL_FILE_NUMERIC = 1u << 5,   /* UNPACK: owners by number only; names of the stream are ignored */
       PROTOCOL_FILE_NO_OWNER = 1u << 6,  /* UNPACK: everything belongs to who unpacks, or to uid and gid */
       PROTOCOL_FILE_CONTENTS = 1u << 7,  /* PACK: what is in the folder, not the folder itself */
};

struct protocol_file {
        enum protocol_file_op op;
        uint32_t flags, mode, uid, gid;
        uint32_t depth; /* LIST RECURSIVE: levels, 0 = all */
        uint64_t offset,
                length; /* READ: range, length UINT64_MAX = to the end; LIST: entries to skip, and at most */
        const char *user;      /* as whom, "" = root */
        const char *path, *to; /* absolute, or relative to "/" */
};

/* One file. In ENTRIES these stand behind each other, and name is relative to the listed folder. */
struct protocol_status {
        uint32_t mode, uid, gid, nlink; /* mode as st_mode: the kind and the bits */
        uint64_t size, disk_bytes, mtime_ns, ino, rdev;
        const char *name, *target; /* target: of a symbolic link, else "" */
};

enum protocol_event_kind {
        PROTOCOL_EVENT_READY, /* the watch stands: what happens from now on is told */
        PROTOCOL_EVENT_CREATED,
        PROTOCOL_EVENT_WRITTEN,
        PROTOCOL_EVENT_REMOVED,
        PROTOCOL_EVENT_RENAMED_FROM,
        PROTOCOL_EVENT_RENAMED_TO,
        PROTOCOL_EVENT_ATTRIBUTES,
        PROTOCOL_EVENT_OVERFLOW, /* some events were lost: look again */
        PROTOCOL_EVENT_NR
};
struct protocol_event {
        enum protocol_event_kind kind;
        uint32_t cookie; /* the same in the two events of a rename, else 0 */
        bool is_dir;
        const char *name; /* relative to the watched folder, "" = itself */
};

#define PROTOCOL_STATUS_MAX (64u + 2 * (PROTOCOL_PATH_MAX + 1)) /* bytes of one record */

int protocol_parse_file(const uint8_t *p, size_t len, struct protocol_file *ret);
int protocol_parse_status(const uint8_t *p, size_t len, struct protocol_status *ret, size_t *ret_size);
int protocol_parse_event(const uint8_t *p, size_t len, struct protocol_event *ret);

/* protocol_build_file() - a whole frame; as protocol_build_exec(). NULL strings are "". */
int protocol_build_file(uint8_t *out, uint32_t id, const struct protocol_file *req, size_t *ret_size);
/* protocol_put_status() - one record, no header; @out has PROTOCOL_STATUS_MAX bytes. */
size_t protocol_put_status(uint8_t *out, const struct protocol_status *s);
/* protocol_put_event() - a whole frame; @out has PROTOCOL_HEADER_SIZE + PROTOCOL_STATUS_MAX bytes. */
size_t protocol_put_event(uint8_t *out, uint32_t id, const struct protocol_event *e);
