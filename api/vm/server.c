/*
 * HTTP on the loop: libmicrohttpd without a thread of its own.
 * Input:  connections of clients, hostile.
 * Runs:   loop thread.
 * Limits: CONNECTIONS at a time, the others wait; CONNECTION_BYTES of head, ROUTES_BODY_MAX of body;
 *         IDLE_S seconds without a byte end a connection. No connection, no timer.
 */
#include "api/vm/api.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "api/vm/routes.h"
#include "vmm/base/compiler.h"
#include "vmm/base/log.h"

#define CONNECTIONS      16u
#define CONNECTION_BYTES (32u << 10)
#define IDLE_S           60u
/* A body that is too long is read on to its end, so that the client hears the answer; not for ever. */
#define DRAIN_MAX (1u << 20)
#define NS_PER_MS 1000000ull

struct api {
        struct vm vm;
        struct MHD_Daemon *daemon;
        struct ev ev;            /* the daemon's epoll */
        struct loop_timer timer; /* the oldest connection's time is up */
        bool gone_bad;
};

/* A request that is coming in. */
struct incoming {
        size_t len; /* so far, also of what was not kept */
        char *body;
};

static enum MHD_Result queue(struct MHD_Connection *c, struct routes_answer *a)
{
        enum MHD_Result r = MHD_NO;
        struct MHD_Response *response =
                MHD_create_response_from_buffer(a->len, a->body, MHD_RESPMEM_MUST_FREE);

        if (!response) {
                free(a->body);
                return MHD_NO;
        }
        if (MHD_add_response_header(response, MHD_HTTP_HEADER_SERVER, "vmlet API") == MHD_YES &&
            (!a->len ||
             MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json") == MHD_YES))
                r = MHD_queue_response(c, a->status, response);
        MHD_destroy_response(response);
        return r;
}

static enum MHD_Result too_long(struct MHD_Connection *c)
{
        struct routes_answer a;

        routes_fault(413, "The body of the request is larger than the limit of 51200 bytes.", &a);
        return queue(c, &a);
}

static_assert(ROUTES_BODY_MAX == 51200, "as the words say");

/* The first call for a request: its head is here. */
static enum MHD_Result begin(struct MHD_Connection *c, void **at)
{
        const char *said = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

        if (said && strtoull(said, NULL, 10) > DRAIN_MAX)
                return too_long(c);
        *at = calloc(1, sizeof(struct incoming));
        return *at ? MHD_YES : MHD_NO;
}

static enum MHD_Result add(struct incoming *in, const char *data, size_t len)
{
        char *body;

        if (len > DRAIN_MAX - in->len)
                return MHD_NO;
        if (in->len + len <= ROUTES_BODY_MAX) {
                body = realloc(in->body, in->len + len);
                if (!body)
                        return MHD_NO;
                in->body = body;
                memcpy(body + in->len, data, len);
        }
        in->len += len;
        return MHD_YES;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path, const char *method,
                                  const char *version, const char *data, size_t *len, void **at)
{
        struct incoming *in = *at;
        struct routes_answer answer;
        struct api *api = ctx;

        (void)version;
        if (!in)
                return begin(c, at);
        if (*len) {
                size_t n = *len;

                *len = 0;
                return add(in, data, n);
        }
        if (in->len > ROUTES_BODY_MAX)
                return too_long(c);
        routes_answer(&api->vm, method, path, in->body, in->len, &answer);
        log_debug("API: %s %s: %u", method, path, answer.status);
        return queue(c, &answer);
}

static void on_completed(void *ctx, struct MHD_Connection *c, void **at, enum MHD_RequestTerminationCode why)
{
        struct incoming *in = *at;

        (void)ctx;
        (void)c;
        (void)why;
        if (in)
                free(in->body);
        free(in);
        *at = NULL;
}

static unsigned nr_connections(const struct api *api)
{
        return MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/*
 * Does what is to be done, and sets the timer for what is left. A daemon that was full looks for new clients
 * again at the beginning of a run only, so whenever one has gone there is another run: nothing else would wake us.
 */
static void turn(struct api *api)
{
        MHD_UNSIGNED_LONG_LONG ms;
        unsigned before;

        do {
                before = nr_connections(api);
                if (MHD_run(api->daemon) != MHD_YES && !api->gone_bad) {
                        api->gone_bad = true;
                        log_warn("the API's server has failed; the VM goes on");
                }
        } while (nr_connections(api) < before);
        if (MHD_get_timeout(api->daemon, &ms) == MHD_YES)
                loop_timer_set(api->vm.cfg.loop, &api->timer, ms * NS_PER_MS);
        else
                loop_timer_clear(api->vm.cfg.loop, &api->timer);
}

static int on_ready(struct ev *ev, uint32_t events)
{
        (void)events;
        turn(container_of(ev, struct api, ev));
        return 0;
}

static int on_time(struct loop_timer *timer)
{
        turn(container_of(timer, struct api, timer));
        return 0;
}

int api_new(struct api **ret, const struct api_config *cfg)
{
        cleanup(api_freep) struct api *api = calloc(1, sizeof(*api));
        int listen_fd = cfg->listen_fd, r;

        if (!api) {
                fd_closep(&listen_fd);
                return err_new(-ENOMEM);
        }
        vm_init(&api->vm, cfg);
        api->timer.call = on_time;
        api->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, api,
                                       MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
                                       CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                       (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
                                       MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
        if (!api->daemon) {
                fd_closep(&listen_fd);
                return err_new(-EIO);
        }
        api->ev = (struct ev){ .call = on_ready,
                               .fd = MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd };
        r = loop_add(cfg->loop, &api->ev, EPOLLIN);
        if (r < 0)
                return err_trace(r);
        *ret = steal_ptr(&api);
        return 0;
}

void api_set_started(struct api *api, struct control *control)
{
        vm_set_started(&api->vm, control);
}

void api_free(struct api *api)
{
        if (!api)
                return;
        loop_remove(api->vm.cfg.loop, &api->ev);
        loop_timer_clear(api->vm.cfg.loop, &api->timer);
        if (api->daemon)
                MHD_stop_daemon(api->daemon);
        vm_fini(&api->vm);
        free(api);
}
