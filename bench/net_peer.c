/*
 * Both ends of the connections of bench/net: in the guest it opens and closes them one after the other, on the host it takes them.
 * Input:  net_peer connect ADDRESS PORT CONNECTIONS, net_peer serve PORT CONNECTIONS.
 * Runs:   one thread.
 * Limits: none.
 *
 * The server closes first. At the tenth part and at the last it says how many it has had and the nanoseconds since the tenth
 * part, and waits for a byte on its standard input, so that whoever started it can look at what lies between.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 128

static int fail(const char *what)
{
        (void)fprintf(stderr, "net_peer: %s: %s\n", what, strerror(errno));
        return EXIT_FAILURE;
}

static uint64_t now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int connect_all(struct sockaddr_in to, unsigned long n)
{
        for (unsigned long i = 0; i < n; i++) {
                int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                char byte;

                if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
                        return fail("connect");
                if (read(fd, &byte, 1) != 0)
                        return fail("no end of the connection");
                (void)close(fd);
        }
        return EXIT_SUCCESS;
}

static int serve(struct sockaddr_in at, unsigned long n)
{
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
        uint64_t began = now_ns();

        if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, BACKLOG) < 0)
                return fail("listen");
        (void)printf("listens\n");
        (void)fflush(stdout);
        for (unsigned long i = 1; i <= n; i++) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                char byte;

                if (fd < 0)
                        return fail("accept");
                if (i == n / 10 || i == n) {
                        (void)printf("%lu %llu\n", i, (unsigned long long)(now_ns() - began));
                        (void)fflush(stdout);
                        if (read(STDIN_FILENO, &byte, 1) != 1)
                                return fail("standard input");
                        began = now_ns();
                }
                (void)close(fd);
        }
        return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        struct sockaddr_in address = { .sin_family = AF_INET };

        if (argc == 5 && !strcmp(argv[1], "connect") && inet_pton(AF_INET, argv[2], &address.sin_addr) == 1) {
                address.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
                return connect_all(address, strtoul(argv[4], NULL, 10));
        }
        if (argc == 4 && !strcmp(argv[1], "serve")) {
                address.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
                return serve(address, strtoul(argv[3], NULL, 10));
        }
        (void)fprintf(stderr, "net_peer: connect ADDRESS PORT CONNECTIONS, or serve PORT CONNECTIONS\n");
        return EXIT_FAILURE;
}
