/*
 * Packs and unpacks as the agent and the host do, from the command line: for test_tree.py.
 *
 *         tree_tool pack PATH FLAGS [TOP] > stream
 *         tree_tool unpack FOLDER FLAGS [PIECE [ONLY]] < stream
 *
 * Exit status: 0, 1 an errno of this system, 2 the stream is at fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/tree.h"

static struct tree_pack packer;
static struct tree_unpack unpacker;
static size_t piece = 65536;

static int write_out(void *ctx, uint8_t *bytes, size_t len)
{
        (void)ctx;
        memset(bytes - TREE_HEADROOM, 0xee, TREE_HEADROOM);
        return fwrite(bytes, 1, len, stdout) == len ? 0 : -EIO;
}

static ssize_t read_in(void *ctx, const uint8_t **ret)
{
        static uint8_t bytes[65536];

        (void)ctx;
        *ret = bytes;
        return read(0, bytes, piece);
}

int main(int argc, char **argv)
{
        int r;

        if (argc < 4)
                return 3;

        unsigned flags = (unsigned)atoi(argv[3]);

        if (!strcmp(argv[1], "pack")) {
                packer.top = argc > 4 ? argv[4] : NULL;
                r = tree_pack(&packer, AT_FDCWD, argv[2], flags, write_out, NULL);
        } else {
                int fd = open(argv[2], O_RDONLY | O_DIRECTORY);

                piece = argc > 4 ? (size_t)atoi(argv[4]) : piece;
                unpacker.only = argc > 5 ? argv[5] : NULL;
                unpacker.uid = unpacker.gid = TREE_KEEP;
                r = tree_unpack(&unpacker, fd, flags, read_in, NULL);
                fprintf(stderr, "skipped %llu\n", (unsigned long long)unpacker.skipped);
        }
        if (r) {
                const char *where = argv[1][0] == 'p' ? packer.where : unpacker.where;

                fprintf(stderr, "%s: %s\n", where, r < 0 ? strerror(-r) : tree_strerror(r));
        }
        return r < 0 ? 1 : r > 0 ? 2 : 0;
}
