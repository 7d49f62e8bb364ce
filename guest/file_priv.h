/*
 * What the files of FILE share. Operations return 0 when all but the last frame is sent, a negative errno,
 * or FILE_ANSWERED.
 */
#pragma once

#include <sys/stat.h>

#include "guest/file.h"
#include "guest/protocol_file.h"
#include "guest/walk.h"

#ifndef SYS_renameat2
#define SYS_renameat2 316
#endif
#define FILE_NOREPLACE 1u /* RENAME_NOREPLACE */

/*
 * Of what a DATA frame carries: with its header it is one packet of the socket. All of FILE's large buffers
 * are static: they cost nothing before a child uses them.
 */
#define FILE_CHUNK (PROTOCOL_DATA_MAX - PROTOCOL_HEADER_SIZE)

enum { FILE_ANSWERED = 1 }; /* the last frame was sent as well */

typedef int file_operation(struct child *c, const struct protocol_file *req);
file_operation file_list, file_read, file_write, file_remove, file_rename, file_copy, file_chmod, file_chown,
        file_pack, file_unpack, file_watch;

/* The one walk of a child; where in it an operation failed and why, if no errno says it: told with the error. */
extern struct walk file_walk;
extern const char *file_where, *file_why;

/* file_status() - what STATUS and ENTRIES tell of @name in @dir. @target has PROTOCOL_PATH_MAX + 1 bytes. */
void file_status(int dir, const char *name, const struct stat *st, char *target, struct protocol_status *ret);

/* file_parents() - make the folders above the last name of @path that are missing. */
int file_parents(const char *path);

/* file_split() - Return: the last name of @path, and an open folder that holds it, or a negative errno. */
int file_split(const char *path, const char **ret_name);

/* file_remove_at() - a file, or a folder with all that is in it. Made of system calls: a signal's handler may. */
int file_remove_at(int dir, const char *name);

/*
 * file_copy_folder() - the folder of @req, whose status is @st, to @name in @dir. @fresh: that must not be there;
 * else it is joined.
 */
int file_copy_folder(const struct protocol_file *req, const struct stat *st, int dir, const char *name,
                     bool fresh);

/* The client's STDIN frames, read exactly up to the one that ends them. */
struct file_input {
        struct child *c;
        bool begun, ended;
        struct protocol_frame next; /* its header was read with the frame before it */
        uint8_t bytes[PROTOCOL_DATA_MAX + PROTOCOL_HEADER_SIZE];
};
/* file_input_next() - Return: bytes in in->bytes, 0 at the end, -EPROTO: not a frame that may be here. */
int file_input_next(struct file_input *in);

/*
 * Something that gets its name when it is whole; SIGTERM in between leaves nothing. begin() finds a name for it, which
 * the caller makes; open() makes it a file of bytes, which replaces no folder.
 */
struct file_temporary {
        int dir, fd;      /* fd: -1 = there is nothing to fsync */
        const char *name; /* that it will have */
        const char *now;  /* that it has until then, both in dir */
};
int file_temporary_begin(struct file_temporary *t, const char *path);
int file_temporary_open(struct file_temporary *t, const char *path, bool exclusive, struct stat *ret_old);
int file_temporary_finish(struct file_temporary *t, bool exclusive); /* fsync, rename, fsync */
void file_temporary_abandon(struct file_temporary *t);

/* file_is_device() - or a fifo or socket: what WRITE and COPY do not replace by a file, but RENAME does. */
bool file_is_device(const struct stat *old);

/* file_give() - owner, then mode; PROTOCOL_FILE_KEEP leaves it. */
int file_give(int fd, uint32_t uid, uint32_t gid, uint32_t mode);
