/*
 * WATCH: tells what changes in a folder, or in all of a tree.
 * Input:  a checked request; the kernel's events, names in them (hostile).
 * Runs:   in a worker child, until it is killed because the client left.
 * Limits: WATCHES_MAX folders, the kernel's own queue; what is beyond is told as OVERFLOW.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "guest/file_priv.h"

#define WATCHES_MAX 8192u /* a power of two */
#define NAME_SIZE   256u
#define INSIDE      (IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO)
#define ITSELF      (IN_DELETE_SELF | IN_MOVE_SELF)
#define EVENT_BYTES (PROTOCOL_HEADER_SIZE + PROTOCOL_STATUS_MAX)
#define OUT_SIZE    (64u << 10)
#define LEVELS_MAX  2048u /* of a path of PROTOCOL_PATH_MAX */
enum { FREE = 0, GONE = -1 };

struct watched {
        int wd;     /* or FREE, GONE */
        int parent; /* wd of the folder that holds it, 0 = this is the top */
        char name[NAME_SIZE];
};

static struct {
        struct child *c;
        int fd;
        unsigned nr;
        bool recursive;
        bool tell_new; /* what a walk meets is new */
        size_t len;
        int chain[WALK_DEPTH_MAX]; /* of a walk: the watches above */
        int first_parent;          /* of its top */
        struct watched table[WATCHES_MAX];
        uint8_t out[OUT_SIZE];
} w;

static struct watched *find(int wd)
{
        for (unsigned i = 0; i < WATCHES_MAX; i++) {
                struct watched *at = &w.table[((unsigned)wd + i) % WATCHES_MAX];

                if (at->wd == wd)
                        return at;
                if (at->wd == FREE)
                        break;
        }
        return NULL;
}

static bool insert(int wd, int parent, const char *name)
{
        struct watched *at = find(wd);

        for (unsigned i = 0; !at && i < WATCHES_MAX; i++) {
                struct watched *slot = &w.table[((unsigned)wd + i) % WATCHES_MAX];

                if (slot->wd <= 0)
                        at = slot;
        }
        if (!at)
                return false;
        w.nr += at->wd != wd;
        at->wd = wd;
        at->parent = parent;
        strncpy(at->name, name, NAME_SIZE - 1);
        return true;
}

static void forget(struct watched *at)
{
        at->wd = GONE;
        w.nr--;
}

/* The path of @name in the folder @wd, put together from its end. Return: NULL if it is too long. */
static const char *path_of(int wd, const char *name)
{
        static char path[PROTOCOL_PATH_MAX + 1];
        size_t at = PROTOCOL_PATH_MAX, len = strnlen(name, NAME_SIZE);

        path[at] = 0;
        memcpy(path + (at -= len), name, len);
        for (unsigned level = 0; level < LEVELS_MAX; level++) {
                const struct watched *folder = find(wd);

                if (!folder || !folder->parent)
                        return path + at;
                len = strlen(folder->name);
                if (len + 1 > at)
                        return NULL;
                if (path[at])
                        path[--at] = '/';
                memcpy(path + (at -= len), folder->name, len);
                wd = folder->parent;
        }
        return NULL;
}

static void flush(void)
{
        child_send(w.c, w.out, w.len);
        w.len = 0;
}

static void tell(enum protocol_event_kind kind, uint32_t cookie, bool is_dir, const char *path)
{
        struct protocol_event event = { .kind = path ? kind : PROTOCOL_EVENT_OVERFLOW,
                                        .cookie = cookie,
                                        .is_dir = is_dir,
                                        .name = path ? path : "" };

        if (w.len + EVENT_BYTES > OUT_SIZE)
                flush();
        w.len += protocol_put_event(w.out + w.len, w.c->id, &event);
}

static int add(const char *path, int parent, const char *name, uint32_t mask)
{
        int wd = w.nr < WATCHES_MAX ? inotify_add_watch(w.fd, path, mask) : -1;

        if (wd < 0 || !insert(wd, parent, name))
                return -1;
        return wd;
}

static const char *fd_path(int fd)
{
        static char path[32] = "/proc/self/fd/";
        char digits[12];
        size_t n = 0, at = strlen("/proc/self/fd/");

        do
                digits[n++] = (char)('0' + fd % 10);
        while ((fd /= 10));
        while (n)
                path[at++] = digits[--n];
        path[at] = 0;
        return path;
}

/* A tree is met: watch its folders, and tell what is in it if that came after the watch began. */
static int on_walk(void *ctx, enum walk_event event, const struct walk_entry *e)
{
        int parent = e->depth ? w.chain[e->depth - 1] : w.first_parent;

        (void)ctx;
        if (event == WALK_LEAVE)
                return 0;
        if (w.tell_new && e->depth)
                tell(PROTOCOL_EVENT_CREATED, 0, event != WALK_FILE, path_of(parent, e->name));
        if (event != WALK_ENTER)
                return 0;

        const char *slash = strrchr(e->name, '/');
        int wd = add(fd_path(e->fd), parent, slash ? slash + 1 : e->name, INSIDE | (parent ? 0 : ITSELF));

        if (wd < 0) {
                tell(PROTOCOL_EVENT_OVERFLOW, 0, true, path_of(parent, e->name));
                return e->depth ? WALK_SKIP : -ENOSPC;
        }
        w.chain[e->depth] = wd;
        return w.recursive ? 0 : WALK_SKIP;
}

/* Is @at the folder @wd, or in it? */
static bool is_within(const struct watched *at, int wd)
{
        for (unsigned level = 0; at && level < LEVELS_MAX; level++) {
                if (at->wd == wd)
                        return true;
                at = at->parent ? find(at->parent) : NULL;
        }
        return false;
}

/* A folder left the tree, or its place in it: nothing below it is watched any more. */
static void drop(int parent, const char *name)
{
        static bool within[WATCHES_MAX];
        int wd = 0;

        for (unsigned i = 0; i < WATCHES_MAX && !wd; i++) {
                if (w.table[i].wd > 0 && w.table[i].parent == parent && !strcmp(w.table[i].name, name))
                        wd = w.table[i].wd;
        }
        for (unsigned i = 0; wd && i < WATCHES_MAX; i++)
                within[i] = w.table[i].wd > 0 && is_within(&w.table[i], wd);
        for (unsigned i = 0; wd && i < WATCHES_MAX; i++) {
                if (within[i]) {
                        inotify_rm_watch(w.fd, w.table[i].wd);
                        forget(&w.table[i]);
                }
        }
}

/* A folder appeared. Its path may be longer than the kernel takes: then it is told as lost. */
static void appear(const struct protocol_file *req, int parent, const char *name, bool is_new)
{
        static char path[2 * PROTOCOL_PATH_MAX + 2];
        const char *rest = path_of(parent, name);
        size_t len = strlen(req->path);

        if (!rest)
                return;
        memcpy(path, req->path, len);
        path[len] = '/';
        memcpy(path + len + 1, rest, strlen(rest) + 1);
        w.first_parent = parent;
        w.tell_new = is_new;
        if (walk_tree(&file_walk, AT_FDCWD, path, false, on_walk, NULL) == -ENAMETOOLONG)
                tell(PROTOCOL_EVENT_OVERFLOW, 0, true, rest);
}

/* Some events were lost, folders among them perhaps. */
static void look_again(const struct protocol_file *req)
{
        tell(PROTOCOL_EVENT_OVERFLOW, 0, false, "");
        w.first_parent = 0;
        w.tell_new = false;
        if (w.recursive)
                walk_tree(&file_walk, AT_FDCWD, req->path, true, on_walk, NULL);
}

static void on_event(const struct protocol_file *req, const struct inotify_event *event)
{
        static const struct {
                uint32_t bit;
                enum protocol_event_kind kind;
        } kinds[] = {
                { IN_CREATE, PROTOCOL_EVENT_CREATED },      { IN_MODIFY, PROTOCOL_EVENT_WRITTEN },
                { IN_DELETE, PROTOCOL_EVENT_REMOVED },      { IN_DELETE_SELF, PROTOCOL_EVENT_REMOVED },
                { IN_MOVE_SELF, PROTOCOL_EVENT_REMOVED },   { IN_MOVED_FROM, PROTOCOL_EVENT_RENAMED_FROM },
                { IN_MOVED_TO, PROTOCOL_EVENT_RENAMED_TO }, { IN_ATTRIB, PROTOCOL_EVENT_ATTRIBUTES },
        };
        const char *name = event->len ? event->name : "";
        struct watched *at = find(event->wd);
        bool is_dir = event->mask & IN_ISDIR;

        if (event->mask & IN_Q_OVERFLOW) {
                look_again(req);
                return;
        }
        if (!at)
                return; /* of a folder that has left */
        if (event->mask & IN_IGNORED) {
                forget(at);
                return;
        }
        if (!*name && at->parent)
                return; /* the folder above tells it too */
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                if (event->mask & kinds[i].bit)
                        tell(kinds[i].kind, event->cookie, is_dir, path_of(event->wd, name));
        }
        if (!w.recursive || !is_dir || !*name)
                return;
        if (event->mask & (IN_MOVED_FROM | IN_DELETE))
                drop(event->wd, name);
        if (event->mask & (IN_CREATE | IN_MOVED_TO))
                appear(req, event->wd, name, event->mask & IN_CREATE);
}

int file_watch(struct child *c, const struct protocol_file *req)
{
        static uint64_t bytes[8192 / 8];
        struct stat st;
        int r;

        w.c = c;
        w.recursive = req->flags & PROTOCOL_FILE_RECURSIVE;
        w.fd = inotify_init1(IN_CLOEXEC);
        if (w.fd < 0 || stat(req->path, &st))
                return -errno;
        if (S_ISDIR(st.st_mode))
                r = walk_tree(&file_walk, AT_FDCWD, req->path, true, on_walk, NULL);
        else
                r = add(req->path, 0, "", INSIDE | ITSELF) < 0 ? -errno : 0;
        if (r < 0)
                return r;
        tell(PROTOCOL_EVENT_READY, 0, false, "");
        for (;;) {
                flush();

                ssize_t n = read(w.fd, bytes, sizeof(bytes));

                if (n < 0)
                        return -errno;
                for (ssize_t at = 0; at < n;) {
                        /* SAFETY: the kernel pads its records to the alignment of the struct. */
                        const struct inotify_event *event = (const void *)((const uint8_t *)bytes + at);

                        at += (ssize_t)(sizeof(*event) + event->len);
                        on_event(req, event);
                }
        }
}
