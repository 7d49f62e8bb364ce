/*
 * Walks a tree in constant memory, whatever its shape, while others change it: for the agent and the host.
 *
 * Symbolic links are told as files and never followed. A folder is told before what is in it (ENTER) and
 * after (LEAVE). What vanishes meanwhile is left out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WALK_PATH_MAX  16384u /* characters from the top; the kernel takes 4095 at a time */
#define WALK_DEPTH_MAX 4096u
#define WALK_FDS       64u /* folders that stay open; deeper ones are come back to by ".." */

enum walk_event {
        WALK_FILE,   /* anything but a folder */
        WALK_ENTER,  /* a folder, opened */
        WALK_LEAVE,  /* all that was in it has been told */
        WALK_DENIED, /* a folder that cannot be entered, or what lies too deep (-ENAMETOOLONG) */
};
enum { WALK_SKIP = 1, WALK_STOP = 2 }; /* do not enter; end the walk */

struct walk_entry {
        int dir;          /* the folder that holds it */
        const char *name; /* in it */
        const char *path; /* from the top, "" = the top itself */
        unsigned depth;   /* 0 = the top */
        int fd;           /* ENTER, LEAVE: itself, borrowed */
        bool is_file;     /* FILE: a regular one, when its folder was read */
        int error;        /* DENIED: negative errno */
};

/* Return: 0 to go on, WALK_SKIP (ENTER only), WALK_STOP, or a negative errno that ends the walk. */
typedef int walk_fn(void *ctx, enum walk_event event, const struct walk_entry *e);

struct walk_level {
        uint64_t dev, ino;
        int64_t offset; /* where to go on reading */
        int fd;         /* -1 = closed meanwhile */
        uint32_t path_len;
};

/* Large: static memory, used for one walk at a time. Nothing of it needs to be set. */
struct walk {
        walk_fn *fn;
        void *ctx;
        int top_dir;
        const char *top_name;
        unsigned depth; /* levels that are in use */
        bool is_file;   /* the entry at hand */
        size_t chunk;   /* bytes to read of a folder at once: few where each entry is a folder */
        struct walk_level levels[WALK_DEPTH_MAX];
        char path[WALK_PATH_MAX + 1];
        uint64_t entries[4096];
};

/*
 * walk_tree() - walk @name in @dir. @follow: if @name itself is a symbolic link, go where it leads.
 * Return: 0, WALK_STOP, or a negative errno; then w->path says where.
 */
int walk_tree(struct walk *w, int dir, const char *name, bool follow, walk_fn *fn, void *ctx);
