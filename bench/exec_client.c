/*
 * The client of bench/exec: runs a command often over one connection and tells what all of it cost.
 * Input:  exec_client SOCKET TIMES COMMAND [ARG...]; /proc/schedstat.
 * Runs:   on the host's side, one thread, with nothing of Python in the cost.
 * Limits: the command writes nothing.
 *
 * Prints one number: what the processors executed from the first request to the last exit, in nanoseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest/protocol.h"

static _Noreturn void fail(const char *what)
{
        perror(what);
        exit(1);
}

/* The sum of what each processor's tasks ran: field 7 of the lines "cpuN". */
static unsigned long long busy_ns(void)
{
        FILE *f = fopen("/proc/schedstat", "re");
        char line[512];
        unsigned long long sum = 0, busy;

        while (f && fgets(line, sizeof(line), f)) {
                if (sscanf(line, "cpu%*u %*u %*u %*u %*u %*u %*u %llu", &busy) == 1)
                        sum += busy;
        }
        if (f)
                (void)fclose(f);
        return sum;
}

static void send_all(int fd, const void *bytes, size_t len)
{
        if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
                fail("send");
}

static void receive_all(int fd, void *bytes, size_t len)
{
        if (recv(fd, bytes, len, MSG_WAITALL) != (ssize_t)len)
                fail("receive");
}

/* Whole frames come in one piece nearly always: one system call then takes both of its parts. */
static void expect(int fd, enum protocol_type type, uint8_t *payload, size_t size, uint32_t *ret_len)
{
        uint8_t bytes[PROTOCOL_HEADER_SIZE + 512];
        struct protocol_frame frame;
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

        if (n < (ssize_t)PROTOCOL_HEADER_SIZE ||
            protocol_parse_header(bytes, (size_t)n, PROTOCOL_FROM_AGENT, &frame))
                fail("no frame");
        if (frame.type != type || frame.len > size || frame.len > sizeof(bytes) - PROTOCOL_HEADER_SIZE) {
                (void)fprintf(stderr, "frame %#x: %.*s\n", (unsigned)frame.type, (int)frame.len,
                              (const char *)bytes + PROTOCOL_HEADER_SIZE + 8);
                exit(1);
        }

        size_t got = (size_t)n - PROTOCOL_HEADER_SIZE;

        memcpy(payload, bytes + PROTOCOL_HEADER_SIZE, got < frame.len ? got : frame.len);
        if (got < frame.len)
                receive_all(fd, payload + got, frame.len - got);
        *ret_len = frame.len;
}

static int open_connection(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        uint8_t hello[PROTOCOL_SMALL_MAX], welcome[512];
        uint32_t len;
        char c;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)))
                fail(path);
        (void)dprintf(fd, "CONNECT %u\n", PROTOCOL_PORT);
        do
                receive_all(fd, &c, 1);
        while (c != '\n');
        send_all(fd, hello, protocol_put_hello(hello, 0));
        expect(fd, PROTOCOL_WELCOME, welcome, sizeof(welcome), &len);
        return fd;
}

int main(int argc, char **argv)
{
        static uint8_t frame[PROTOCOL_HEADER_SIZE + PROTOCOL_EXEC_MAX];
        struct protocol_exec_request req = { .id = 1 };
        struct protocol_exit end;
        uint8_t payload[512];
        uint32_t len;
        size_t size;

        if (argc < 4)
                return 2;
        req.args = (const char *const *)argv + 3;
        if (protocol_build_exec(frame, &req, &size))
                return 2;

        int fd = open_connection(argv[1]);
        long times = strtol(argv[2], NULL, 10);
        unsigned long long before = busy_ns();

        for (long i = 0; i < times; i++) {
                send_all(fd, frame, size);
                expect(fd, PROTOCOL_EXIT, payload, sizeof(payload), &len);
                if (protocol_parse_exit(payload, len, &end) || end.kind || end.value)
                        fail("the command failed");
        }
        printf("%llu\n", busy_ns() - before);
        return 0;
}
