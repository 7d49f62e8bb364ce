/*
 * What the agent tells for good, into a file.
 * Input:  frames (guest, hostile), read by output_parse().
 * Runs:   the socket is watched on the loop thread; it is read, and the file written, on the worker.
 * Limits: one connection, BATCH_BYTES of it in memory; more waits in the socket, and then in the guest.
 *
 * syscalls: loop: socketpair; worker: recvfrom writev
 */
#include "vmm/output.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "vmm/base/endian.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/output_parse.h"

#define BATCH_BYTES (64u << 10)
/* Records of one write; each has two parts. */
#define BATCH_RECORDS 64u

struct record {
        le64_t time_ns;
        uint8_t kind;
        uint8_t reserved[3];
        le32_t len;
};
_Static_assert(sizeof(struct record) == OUTPUT_RECORD_HEADER, "as output.h has it");

struct output {
        struct loop *loop;
        struct worker *worker;
        struct ev ev;          /* our end; fd -1: nobody is connected */
        struct work work;      /* reading is the worker's, from the event to done() */
        struct log_bucket log; /* loop */

        pthread_mutex_t lock; /* one batch at a time; for all below */
        struct capfile *file;
        bool over;             /* the socket has nothing more for us */
        const char *complaint; /* NULL: none */
        struct output_parser parser;
        bool has_main;
        struct protocol_exit main;
        uint64_t lost_bytes; /* of the file, when it was last looked at */
        unsigned nr_records;
        struct record records[BATCH_RECORDS];
        struct iovec parts[2 * BATCH_RECORDS];
        uint8_t *batch; /* owned; there while somebody is connected */
};

static uint64_t now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void write_records(struct output *o)
{
        if (o->nr_records)
                capfile_write(o->file, o->parts, 2 * o->nr_records);
        o->nr_records = 0;
}

static void add_record(struct output *o, const struct output_piece *piece)
{
        struct iovec *parts = &o->parts[2 * o->nr_records];
        struct record *rec = &o->records[o->nr_records];
        union {
                const uint8_t *in;
                void *out; /* writev() only reads */
        } bytes = { .in = piece->bytes };

        *rec = (struct record){
                .time_ns = le64_of(now_ns()),
                .kind = piece->kind == OUTPUT_STDOUT ? 1 : 2,
                .len = le32_of((uint32_t)piece->len),
        };
        parts[0] = (struct iovec){ rec, sizeof(*rec) };
        parts[1] = (struct iovec){ bytes.out, piece->len };
        if (++o->nr_records == BATCH_RECORDS)
                write_records(o);
}

static void end_stream(struct output *o, const char *complaint)
{
        o->over = true;
        o->complaint = complaint;
}

static void take_bytes(struct output *o, const uint8_t *bytes, size_t n)
{
        struct output_piece piece;
        size_t used;

        for (; n; bytes += used, n -= used) {
                int r = output_parse(&o->parser, bytes, n, &used, &piece);

                if (r) {
                        end_stream(o, protocol_strerror(r));
                        break;
                }
                if (piece.kind == OUTPUT_EXIT) {
                        o->main = piece.exit;
                        o->has_main = true;
                } else if (piece.kind != OUTPUT_NOTHING) {
                        add_record(o, &piece);
                }
        }
        write_records(o);
}

/* Return: true when there may be more at once. */
static bool read_batch(struct output *o)
{
        ssize_t n = recv(o->ev.fd, o->batch, BATCH_BYTES, MSG_DONTWAIT);

        if (n > 0)
                take_bytes(o, o->batch, (size_t)n);
        else if (!n || (errno != EAGAIN && errno != EINTR))
                end_stream(o, NULL);
        return n > 0 && !o->over;
}

static void on_worker(struct work *work)
{
        struct output *o = container_of(work, struct output, work);

        (void)pthread_mutex_lock(&o->lock);
        if (!o->over)
                (void)read_batch(o);
        (void)pthread_mutex_unlock(&o->lock);
}

static void disconnect(struct output *o)
{
        loop_remove(o->loop, &o->ev);
        fd_closep(&o->ev.fd);
        free(o->batch);
        o->batch = NULL;
}

static void on_done(struct work *work)
{
        struct output *o = container_of(work, struct output, work);
        bool over, lost;
        const char *complaint;

        (void)pthread_mutex_lock(&o->lock);
        over = o->over;
        complaint = o->complaint;
        lost = o->file->lost_bytes != o->lost_bytes;
        o->lost_bytes = o->file->lost_bytes;
        (void)pthread_mutex_unlock(&o->lock);
        if (complaint)
                log_guest(&o->log, "output", "the guest sent what is no output: %s", complaint);
        if (lost)
                log_guest(&o->log, "output", "the file cannot be written: output of the guest is lost");
        if (over || loop_change(o->loop, &o->ev, EPOLLIN | EPOLLONESHOT) < 0)
                disconnect(o);
}

static int on_readable(struct ev *ev, uint32_t events)
{
        struct output *o = container_of(ev, struct output, ev);

        (void)events;
        worker_submit(o->worker, &o->work); /* EPOLLONESHOT: the event comes back when we say so */
        return 0;
}

int output_connect(struct output *o)
{
        int pair[2], r;

        if (o->ev.fd >= 0)
                return err_new(-EBUSY);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return err_new(-errno);
        o->ev.fd = pair[0];
        o->batch = malloc(BATCH_BYTES);
        o->parser = (struct output_parser){ 0 };
        o->over = false;
        o->complaint = NULL;
        r = o->batch ? loop_add(o->loop, &o->ev, EPOLLIN | EPOLLONESHOT) : err_new(-ENOMEM);
        if (r < 0) {
                disconnect(o);
                fd_closep(&pair[1]);
                return err_trace(r);
        }
        return pair[1];
}

void output_drain(struct output *o)
{
        (void)pthread_mutex_lock(&o->lock);
        while (o->ev.fd >= 0 && !o->over && read_batch(o))
                ;
        o->over = true;
        (void)pthread_mutex_unlock(&o->lock);
}

bool output_main(const struct output *o, struct protocol_exit *ret)
{
        *ret = o->main;
        return o->has_main;
}

void output_set_worker(struct output *o, struct worker *worker)
{
        o->worker = worker;
}

int output_new(struct output **ret, struct loop *loop, struct capfile *file)
{
        struct output *o = calloc(1, sizeof(*o));

        if (!o)
                return err_new(-ENOMEM);
        (void)pthread_mutex_init(&o->lock, NULL);
        o->loop = loop;
        o->file = file;
        o->ev = (struct ev){ .call = on_readable, .fd = -1 };
        o->work = (struct work){ .run = on_worker, .done = on_done };
        *ret = o;
        return 0;
}

void output_free(struct output *o)
{
        if (!o)
                return;
        disconnect(o);
        (void)pthread_mutex_destroy(&o->lock);
        free(o);
}
