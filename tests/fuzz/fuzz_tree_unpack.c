/*
 * A whole stream into a folder: nothing may appear, or change, outside of it. The first byte: flags and the
 * length of the pieces. A wrong checksum is mended, for a fuzzer does not find it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tree_unpack unpacker;
/* In memory where that can be. */
static char base[32] = "/dev/shm/vmlet-fuzz-XXXXXX";
static char root_path[64], outside[64], witness[80];

struct stream {
        uint8_t *at;
        size_t left, piece;
};

static void check(bool ok)
{
        if (!ok)
                abort();
}

static ssize_t next(void *ctx, const uint8_t **ret)
{
        struct stream *s = ctx;
        size_t n = s->piece < s->left ? s->piece : s->left;

        *ret = s->at;
        s->at += n;
        s->left -= n;
        return (ssize_t)n;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        return ftw->level ? remove(path) : 0;
}

/* Names may be longer than nftw() can say. */
static int clear(void *ctx, enum walk_event event, const struct walk_entry *e)
{
        if (event == WALK_DENIED) {
                *(bool *)ctx = true;
                return fchmodat(e->dir, e->name, 0700, 0);
        }
        if (event == WALK_ENTER)
                return fchmod(e->fd, 0700);
        return e->depth ? unlinkat(e->dir, e->name, event == WALK_LEAVE ? AT_REMOVEDIR : 0) : 0;
}

static void begin(void)
{
        if (*root_path)
                return;
        if (access("/dev/shm", W_OK))
                strcpy(base, "/tmp/vmlet-fuzz-XXXXXX");
        check(mkdtemp(base) != NULL);
        snprintf(root_path, sizeof(root_path), "%s/root", base);
        snprintf(outside, sizeof(outside), "%s/outside", base);
        snprintf(witness, sizeof(witness), "%s/witness", outside);
        check(!mkdir(root_path, 0700) && !mkdir(outside, 0700));

        int fd = open(witness, O_CREAT | O_WRONLY, 0600);

        check(fd >= 0 && write(fd, "untouched", 9) == 9);
        close(fd);
}

static unsigned count(const char *path)
{
        DIR *d = opendir(path);
        unsigned n = 0;

        check(d != NULL);
        while (readdir(d))
                n++;
        closedir(d);
        return n - 2;
}

static void end(void)
{
        if (nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0)
                rmdir(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static bool registered;
        struct stat before, after;

        if (!size)
                return 0;
        begin();
        if (!registered)
                atexit(end);
        registered = true;

        uint8_t *copy = malloc(size);
        struct stream s = { copy, size - 1, data[0] & 0x80 ? 65536 : 1 + (data[0] & 0x60) };

        memcpy(copy, data + 1, size - 1);
        for (size_t at = 0; at + TAR_BLOCK < size; at += TAR_BLOCK) {
                uint32_t sum = 8 * ' ';

                if (memcmp(copy + at + 257, "ustar", 5) != 0)
                        continue;
                for (size_t i = 0; i < TAR_BLOCK; i++)
                        sum += i - 148 < 8 ? 0 : copy[at + i];
                for (size_t i = 0; i < 6; i++)
                        copy[at + 153 - i] = (uint8_t)('0' + (sum >> 3 * i & 7));
                copy[at + 154] = 0;
        }

        int root = open(root_path, O_RDONLY | O_DIRECTORY);

        check(root >= 0 && !stat(witness, &before));
        unpacker.uid = unpacker.gid = TREE_KEEP;
        check(tree_unpack(&unpacker, root, (data[0] & 3u) << 2, next, &s) < TREE_E_NR);
        close(root);
        check(!stat(witness, &after) && count(base) == 2 && count(outside) == 1);
        check(before.st_size == after.st_size && before.st_mode == after.st_mode && after.st_nlink == 1);
        check(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec &&
              before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
        for (bool again = true; again;) {
                static struct walk walk;

                again = false;
                (void)walk_tree(&walk, AT_FDCWD, root_path, false, clear, &again);
        }
        free(copy);
        return 0;
}
