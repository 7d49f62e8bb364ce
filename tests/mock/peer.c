/*
 * Scripted peers behind a Unix socket.
 */
#include "tests/mock/peer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        unlink(path);
        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) || listen(fd, 64)) {
                perror(path);
                exit(99);
        }
        return fd;
}

void peer_start(struct peer *p, void (*serve)(int client))
{
        static unsigned nr;
        int fd;

        snprintf(p->path, sizeof(p->path), "/tmp/vmlet-test-peer-%d-%u", getpid(), nr++);
        fd = listen_at(p->path);
        p->pid = fork();
        if (p->pid) {
                close(fd);
                return;
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN);
        for (;;) {
                int client = accept(fd, NULL, NULL);

                if (!fork()) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        close(fd);
                        serve(client);
                        _exit(0);
                }
                close(client);
        }
}

void peer_stop(struct peer *p)
{
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
}

void peer_say(int client, const void *bytes, size_t len)
{
        const char *at = bytes;

        while (len) {
                ssize_t n = send(client, at, len, MSG_NOSIGNAL);

                if (n <= 0)
                        _exit(0);
                at += n;
                len -= (size_t)n;
        }
}

void peer_say_frame(int client, enum protocol_type type, uint32_t id, const void *payload, uint32_t len)
{
        const struct protocol_frame frame = { .type = type, .id = id, .len = len };
        uint8_t header[PROTOCOL_HEADER_SIZE];

        peer_say(client, header, protocol_put_header(header, &frame));
        peer_say(client, payload, len);
}

static void read_all(int client, void *to, size_t len)
{
        if (len && recv(client, to, len, MSG_WAITALL) != (ssize_t)len)
                _exit(0);
}

void peer_say_welcome(int client)
{
        const struct protocol_welcome w = {
                .version = 1, .stdin_window = 65536, .release = "test", .message = ""
        };
        uint8_t frame[PROTOCOL_SMALL_MAX];
        char c = 0;

        while (c != '\n')
                read_all(client, &c, 1);
        peer_say(client, "OK 1\n", 5);
        peer_say(client, frame, protocol_put_welcome(frame, &w));
}

void peer_read_frame(int client, struct protocol_frame *ret, uint8_t *payload)
{
        uint8_t header[PROTOCOL_HEADER_SIZE];

        read_all(client, header, sizeof(header));
        if (protocol_parse_header(header, sizeof(header), PROTOCOL_FROM_CLIENT, ret))
                _exit(98);
        read_all(client, payload, ret->len);
}
