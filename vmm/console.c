/*
 * Standard input to the guest's serial port.
 * Input:  keys of a person, bytes of a pipe.
 * Runs:   loop thread; console_has_room() on any.
 * Limits: CHUNK_BYTES held while the guest does not read.
 */
#include "vmm/console.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/err.h"

#define CHUNK_BYTES 256u
#define ESCAPE_KEY  1u /* Ctrl-A */

struct console {
        struct loop *loop;
        struct serial *serial;
        void (*on_quit)(void *ctx);
        void *ctx;
        struct ev input;
        struct loop_post room;
        bool escaped;
        size_t held_at, held_len;
        uint8_t held[CHUNK_BYTES];
};

/* For the ways out that pass no owner: exit(3) and the signals that end a process. */
static struct termios saved;
static volatile sig_atomic_t is_raw;

static const int fatal[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGQUIT, SIGSYS };
static struct sigaction before[array_size(fatal)]; /* the exit file's, or the default */

static void restore(void)
{
        if (is_raw)
                (void)!tcsetattr(STDIN_FILENO, TCSANOW, &saved);
        is_raw = 0;
}

static void on_fatal(int sig)
{
        restore();
        for (unsigned i = 0; i < array_size(fatal); i++)
                if (fatal[i] == sig)
                        (void)sigaction(sig, &before[i], NULL);
        (void)raise(sig); /* comes when we return */
}

static void make_raw(void)
{
        struct sigaction action = { .sa_handler = on_fatal };
        struct termios raw;

        /* In the background a terminal is not ours to change: SIGTTOU would stop us. */
        if (tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &saved) < 0)
                return;
        raw = saved;
        cfmakeraw(&raw);
        raw.c_oflag |= OPOST; /* our own lines go to the same terminal */
        for (unsigned i = 0; i < array_size(fatal); i++)
                (void)!sigaction(fatal[i], &action, &before[i]);
        (void)atexit(restore);
        is_raw = 1;
        (void)!tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

/* Only a terminal has keys that mean something to us. Return: bytes left for the guest. */
static size_t take_escapes(struct console *c, uint8_t *bytes, size_t n)
{
        size_t kept = 0;

        if (!is_raw)
                return n;
        for (size_t i = 0; i < n; i++) {
                uint8_t b = bytes[i];

                if (!c->escaped && b == ESCAPE_KEY) {
                        c->escaped = true;
                        continue;
                }
                if (c->escaped && b == 'x')
                        c->on_quit(c->ctx);
                else if (c->escaped && b == 'a')
                        bytes[kept++] = ESCAPE_KEY;
                else
                        bytes[kept++] = b;
                c->escaped = false;
        }
        return kept;
}

/* Hands on what is held. Return: true when nothing is left. */
static bool feed(struct console *c)
{
        c->held_at += serial_feed(c->serial, c->held + c->held_at, c->held_len - c->held_at);
        return c->held_at == c->held_len;
}

static void stop_input(struct console *c)
{
        loop_remove(c->loop, &c->input);
}

static int on_input(struct ev *ev, uint32_t events)
{
        struct console *c = container_of(ev, struct console, input);
        ssize_t n;

        (void)events;
        n = read(STDIN_FILENO, c->held, sizeof(c->held));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n <= 0) {
                stop_input(c);
                return 0;
        }
        c->held_at = 0;
        c->held_len = take_escapes(c, c->held, (size_t)n);
        if (!feed(c))
                stop_input(c); /* until the guest reads: on_room() */
        return 0;
}

static void on_room(struct loop_post *post)
{
        struct console *c = container_of(post, struct console, room);

        if (c->held_at == c->held_len || !feed(c))
                return;
        if (loop_add(c->loop, &c->input, EPOLLIN) < 0)
                return; /* input ends; the guest lives on */
}

void console_has_room(struct console *c)
{
        loop_post(c->loop, &c->room);
}

int console_new(struct console **ret, struct loop *loop, struct serial *serial, void (*on_quit)(void *ctx),
                void *ctx)
{
        struct console *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return err_new(-ENOMEM);
        *c = (struct console){
                .loop = loop,
                .serial = serial,
                .on_quit = on_quit,
                .ctx = ctx,
                .input = { .call = on_input, .fd = STDIN_FILENO },
                .room = { .call = on_room },
        };
        make_raw();
        r = loop_add(loop, &c->input, EPOLLIN);
        /* No standard input, or a file, which epoll refuses: a guest has no keyboard then. */
        (void)r;
        *ret = c;
        return 0;
}

void console_free(struct console *c)
{
        if (!c)
                return;
        stop_input(c);
        restore();
        free(c);
}
