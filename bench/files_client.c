/*
 * The client of bench/files: one tree or file to the agent or from it, over a connection of its own.
 * Input:  files_client SOCKET put|get|write|read LOCAL REMOTE
 * Runs:   on the host's side, one thread, with nothing of Python in the cost.
 * Limits: whatever goes wrong ends it.
 *
 * Prints the most memory it had, in KiB.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest/protocol_file.h"
#include "guest/tree.h"

static struct tree_pack packer;
static struct tree_unpack unpacker;
static uint8_t frame_bytes[PROTOCOL_HEADER_SIZE + PROTOCOL_DATA_MAX];

static _Noreturn void fail(const char *what)
{
        perror(what);
        exit(1);
}

static void send_all(int fd, const void *bytes, size_t len)
{
        if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
                fail("send");
}

/* The payload lies behind the header. */
static struct protocol_frame receive(int fd)
{
        struct protocol_frame frame;
        uint8_t *payload = frame_bytes + PROTOCOL_HEADER_SIZE;

        if (recv(fd, frame_bytes, PROTOCOL_HEADER_SIZE, MSG_WAITALL) != PROTOCOL_HEADER_SIZE ||
            protocol_parse_header(frame_bytes, PROTOCOL_HEADER_SIZE, PROTOCOL_FROM_AGENT, &frame) ||
            (frame.len && recv(fd, payload, frame.len, MSG_WAITALL) != (ssize_t)frame.len))
                fail("receive");
        if (frame.type == PROTOCOL_ERROR) {
                (void)fprintf(stderr, "%.*s\n", (int)frame.len - 8, (const char *)payload + 8);
                exit(1);
        }
        return frame;
}

static int open_connection(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char c;

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)))
                fail(path);
        (void)dprintf(fd, "CONNECT %u\n", PROTOCOL_PORT);
        do {
                if (recv(fd, &c, 1, 0) != 1)
                        fail("connect");
        } while (c != '\n');
        send_all(fd, frame_bytes, protocol_put_hello(frame_bytes, 0));
        receive(fd);
        return fd;
}

static int put_piece(void *ctx, uint8_t *bytes, size_t len)
{
        struct protocol_frame frame = { .type = PROTOCOL_STDIN, .id = 1, .len = (uint32_t)len };

        protocol_put_header(bytes - PROTOCOL_HEADER_SIZE, &frame);
        send_all(*(const int *)ctx, bytes - PROTOCOL_HEADER_SIZE, PROTOCOL_HEADER_SIZE + len);
        return 0;
}

static ssize_t get_piece(void *ctx, const uint8_t **ret)
{
        struct protocol_frame frame = receive(*(const int *)ctx);

        *ret = frame_bytes + PROTOCOL_HEADER_SIZE;
        return frame.type == PROTOCOL_DATA ? (ssize_t)frame.len : 0;
}

static void end_input(int fd)
{
        struct protocol_frame end = { .type = PROTOCOL_STDIN, .flags = PROTOCOL_STDIN_END, .id = 1 };

        send_all(fd, frame_bytes, protocol_put_header(frame_bytes, &end));
        receive(fd);
}

/* Nothing is ever given back, so it is what there is now; the kernel's own figure of the most is a rough one. */
static long most_memory_kib(void)
{
        FILE *f = fopen("/proc/self/smaps_rollup", "re");
        char line[256];
        long kib = 0;

        while (f && fgets(line, sizeof(line), f))
                (void)sscanf(line, "Rss: %ld", &kib);
        if (f)
                (void)fclose(f);
        return kib;
}

static void put_tree(int fd, const char *local)
{
        if (tree_pack(&packer, AT_FDCWD, local, TREE_CONTENTS, put_piece, &fd))
                fail("pack");
        end_input(fd);
}

static void get_tree(int fd, const char *local)
{
        int root = open(local, O_RDONLY | O_DIRECTORY);

        if (root < 0 || tree_unpack(&unpacker, root, TREE_PRIVILEGED, get_piece, &fd))
                fail("unpack");
}

static void write_file(int fd, const char *local)
{
        static uint8_t bytes[TREE_HEADROOM + TREE_CHUNK];
        int from = open(local, O_RDONLY);
        ssize_t n;

        while ((n = read(from, bytes + TREE_HEADROOM, TREE_CHUNK)) > 0)
                put_piece(&fd, bytes + TREE_HEADROOM, (size_t)n);
        if (n < 0)
                fail(local);
        end_input(fd);
}

static void read_file(int fd, const char *local)
{
        int to = open(local, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        const uint8_t *bytes;
        ssize_t n;

        while ((n = get_piece(&fd, &bytes)) > 0) {
                if (write(to, bytes, (size_t)n) != n)
                        fail(local);
        }
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                enum protocol_file_op op;
                uint32_t flags;
                void (*run)(int fd, const char *local);
        } orders[] = {
                { "put", PROTOCOL_FILE_UNPACK, PROTOCOL_FILE_PARENTS, put_tree },
                { "get", PROTOCOL_FILE_PACK, PROTOCOL_FILE_CONTENTS, get_tree },
                { "write", PROTOCOL_FILE_WRITE, 0, write_file },
                { "read", PROTOCOL_FILE_READ, 0, read_file },
        };
        struct protocol_file req = { .mode = PROTOCOL_FILE_KEEP,
                                     .uid = PROTOCOL_FILE_KEEP,
                                     .gid = PROTOCOL_FILE_KEEP,
                                     .length = UINT64_MAX };
        size_t size;

        for (size_t i = 0; argc == 5 && i < sizeof(orders) / sizeof(orders[0]); i++) {
                if (strcmp(argv[2], orders[i].name) != 0)
                        continue;

                int fd = open_connection(argv[1]);

                req.op = orders[i].op;
                req.flags = orders[i].flags;
                req.path = argv[4];
                if (protocol_build_file(frame_bytes, 1, &req, &size))
                        return 2;
                send_all(fd, frame_bytes, size);
                orders[i].run(fd, argv[3]);
                printf("%ld\n", most_memory_kib());
                return 0;
        }
        return 2;
}
