/*
 * Whole trees as tar streams, in constant memory: the agent packs and unpacks with this, and so does the host.
 *
 * Both functions return 0, a negative errno of this system, or a positive TREE_E_; where is then in
 * ->where. Their structs are large: static memory, zeros at first.
 *
 * What is kept: kinds, modes, owners by name and number, times in nanoseconds, hard links, holes, extended
 * attributes. Beyond TREE_LINKS_MAX files with several names (or TREE_LINK_NAMES bytes of those) the other
 * names become files of their own; a file with more than TREE_EXTENTS_MAX pieces of data is written with its
 * last holes filled.
 */
#pragma once

#include "guest/owner.h"
#include "guest/tar.h"
#include "guest/walk.h"

#define TREE_CHUNK       65520u /* bytes given to write() at a time, but the last: 64 KiB with a frame's header */
#define TREE_HEADROOM    16u /* bytes that write() may use in front of what it is given */
#define TREE_LINKS_MAX   4096u
#define TREE_LINK_NAMES  (512u << 10)
#define TREE_EXTENTS_MAX 1024u
#define TREE_MAP_MAX     65536u /* extents of a sparse file that is read */
#define TREE_PENDING_MAX 128u   /* folders whose time is set when they are left; deeper ones get it at once */
#define TREE_KEEP        UINT32_MAX

enum {                        /* beside TAR_E_, which are the same numbers */
       TREE_E_CUT = TAR_E_NR, /* the stream ends too early */
       TREE_E_NAME,           /* "..", a name that is too long, or not the only one that is taken */
       TREE_E_LARGE,          /* an extended header larger than TAR_PAX_MAX */
       TREE_E_NR
};
const char *tree_strerror(int error);

enum {                            /* flags */
       TREE_CONTENTS = 1u << 0,   /* pack: what is in the folder, not the folder itself */
       TREE_FOLLOW = 1u << 1,     /* pack: if the top is a symbolic link, what it leads to */
       TREE_NUMERIC = 1u << 2,    /* unpack: owners by number only */
       TREE_NO_OWNER = 1u << 3,   /* unpack: everything belongs to uid and gid (TREE_KEEP: to who unpacks); no
                                     set-id bits */
       TREE_PRIVILEGED = 1u << 4, /* unpack: devices, set-id bits and all attributes too. Never on a host:
                                     what comes out of a guest is hostile */
       TREE_WHOLE = 1u << 5,      /* pack: an error where else another file system or a socket is left out */
};

/* Return: 0 or a negative errno, which ends the packing. TREE_HEADROOM bytes before @bytes are free. */
typedef int tree_write_fn(void *ctx, uint8_t *bytes, size_t len);

struct tree_link {
        uint64_t dev, ino;
        uint32_t name; /* at names + name - 1, 0 = free */
};

struct tree_pack {
        tree_write_fn *write;
        void *ctx;
        const char *where;
        unsigned flags;
        const char *top; /* what the top is called in the stream; NULL or "" = by its own name. Set before */
        uint64_t dev;    /* other file systems are not entered */
        size_t prefix_len, len, pax_len;
        uint32_t names_len, nr_links;
        struct walk walk;
        struct owner_cache owners;
        struct tar_extent extents[TREE_EXTENTS_MAX];
        struct tree_link links[2 * TREE_LINKS_MAX];
        char names[TREE_LINK_NAMES];
        char name[WALK_PATH_MAX + 512];
        char target[4096];
        char attributes[65536], value[65536];
        char pax[TAR_PAX_MAX];
        uint8_t out[TREE_HEADROOM + TREE_CHUNK];
};

/* tree_pack() - write @path (relative to @dir) as a stream with the end that belongs to it. */
int tree_pack(struct tree_pack *p, int dir, const char *path, unsigned flags, tree_write_fn *write,
              void *ctx);

/* The next bytes of the stream, valid until the next call. Return: their number, 0 at the end, or an errno. */
typedef ssize_t tree_read_fn(void *ctx, const uint8_t **ret);

struct tree_folder { /* one whose attributes are set when it is left */
        uint32_t path_len, mode;
        bool set_mode;
        int64_t mtime;
        uint32_t mtime_ns;
};

struct tree_unpack {
        tree_read_fn *read;
        void *ctx;
        const char *where;
        unsigned flags;
        const char *only;         /* no other name is taken in the root; NULL = any. Set before */
        uint32_t uid, gid;        /* with TREE_NO_OWNER */
        uint64_t skipped;         /* members that were left out: devices, kinds that are not known */
        uint64_t attributes_lost; /* the file system, or our rights, did not let them be set */
        int root, parent;         /* parent: the folder of the last member, -1 = none */
        bool parent_gives_group;
        uint32_t euid, egid, nr_folders;
        const uint8_t *at;
        size_t left;
        size_t pax_len, long_name_len, long_link_len;
        struct owner_cache owners;
        struct tar_map map;
        bool is_sparse;
        uint64_t real_size;
        struct tree_folder folders[TREE_PENDING_MAX];
        uint8_t block[TAR_BLOCK];
        char path[WALK_PATH_MAX + 1], link[WALK_PATH_MAX + 1];
        char parent_path[WALK_PATH_MAX + 1], folder_path[WALK_PATH_MAX + 1];
        char long_name[WALK_PATH_MAX + 1], long_link[WALK_PATH_MAX + 1];
        char pax[TAR_PAX_MAX + 1];
        struct tar_extent extents[TREE_MAP_MAX];
};

/*
 * tree_unpack() - read a stream into the folder @root, and nowhere else: absolute names count from it, ".."
 * is an error, no symbolic link is followed. What is there already is replaced, folders are joined. Sets
 * u->uid, u->gid before with TREE_NO_OWNER.
 */
int tree_unpack(struct tree_unpack *u, int root, unsigned flags, tree_read_fn *read, void *ctx);
