#pragma once
/*
 * The only door to a running machine: signals, the control socket and the API do what they do through here.
 * Loop thread, all of it.
 *
 *   state     what it is                                            leaves for
 *   STARTING  made, but no vCPU has run yet                         RUNNING
 *   RUNNING   the guest runs                                        PAUSED, ENDING
 *   PAUSED    no vCPU is in the guest, devices take nothing new     RUNNING, ENDING
 *   ENDING    the guest was asked to power off, or is being ended   -
 */
#include "virtio/balloon/balloon.h"
#include "virtio/core/device.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/loop.h"
#include "vmm/base/rate.h"
#include "vmm/bus/irq.h"
#include "vmm/metrics.h"

struct control;

enum control_state { CONTROL_STARTING, CONTROL_RUNNING, CONTROL_PAUSED, CONTROL_ENDING };
#define CONTROL_NR_STATES 4
extern const char *const control_state_names[CONTROL_NR_STATES];

/* Who asked for the end, for the words about it. */
enum control_cause { CONTROL_BY_NOBODY, CONTROL_BY_SIGNAL, CONTROL_BY_LIFETIME, CONTROL_BY_REQUEST };

struct control_config {
        struct loop *loop;
        struct devices *devices; /* NULL: none */
        struct vcpu *const *vcpus;
        unsigned nr_vcpus;
        struct virtio_dev *vsock;  /* NULL: no way to the agent */
        struct irq *button;        /* the power button, for guests without an agent; NULL: none */
        uint64_t grace_ns;         /* for the guest's processes to end; 0: at once */
        uint64_t lifetime_ns;      /* from control_set_started(); 0: no end of it */
        void (*on_end)(void *ctx); /* the end is here, whatever the guest does */
        void (*on_paused)(void *ctx, bool paused); /* NULL: nobody cares */
        void *ctx;
};

/*
 * control_new() - from now on SIGTERM, SIGINT and (unless it was ignored) SIGHUP ask the guest to power off;
 *                 the second one, or a moment after the end of the grace, calls on_end()
 */
int must_check control_new(struct control **ret, const struct control_config *cfg);
void control_free(struct control *control);
DEFINE_CLEANUP(struct control *, control_free)

/* From the machine: the vCPUs run from now on; the agent takes requests from now on. */
void control_set_started(struct control *control);
void control_set_ready(struct control *control);

enum control_state control_state(const struct control *control);
bool control_is_ready(const struct control *control);
/* Since control_set_started(), 0 before. */
uint64_t control_uptime_ns(const struct control *control);
/* Who asked first. */
enum control_cause control_cause(const struct control *control);

/*
 * control_pause() - when it returns, no vCPU runs guest code, and devices take nothing from their queues;
 *                   what is in flight comes to its end. The time limit of the boot stands still, --lifetime
 *                   does not.
 * Return: 0, also when it is paused already; -EBUSY when it has not started, or is to end.
 */
int must_check control_pause(struct control *control);
/* Return: 0, also when it runs; -EBUSY when it has not started. */
int must_check control_resume(struct control *control);

/*
 * control_press() - ask the guest to power off, as a person would by the button: no time limit, no other means
 * Return: 0; -EBUSY when it has not started, or is to end; -EOPNOTSUPP when nobody in it would hear
 */
int must_check control_press(struct control *control);

/* As if a signal had come: a paused guest runs again, to power off. The second time it is ended at once. */
void control_ask_end(struct control *control);
/* The same with a grace of its own, which may be 0: at once. The second time it can only shorten it. */
void control_stop(struct control *control, uint64_t grace_ns);

/*
 * The balloon. All return 0, or -ENODEV when there is none.
 * control_balloon_set() - -EINVAL: as much as the guest has, or more
 * control_balloon_interval() - how often statistics come; -EINVAL: less than CONFIG_STATS_MIN_NS; -ENOTSUP: the
 *                              device was made without them
 */
int must_check control_balloon_set(struct control *control, uint64_t target_bytes);
int must_check control_balloon_interval(struct control *control, uint64_t interval_ns);
int must_check control_balloon_state(struct control *control, struct balloon_state *ret);

/*
 * control_disk_rate() - other limits for a disk, by its number, from now on. Return: 0, or -ENODEV.
 * control_disk_replace() - another file for it, of any size, opened and locked as the first was; what is in flight
 *                          ends with the old one. Return: 0, or -1 with *p filled.
 */
int must_check control_disk_rate(struct control *control, unsigned disk, const struct rate_config *rate);
int must_check control_disk_replace(struct control *control, unsigned disk, const char *path,
                                    struct problem *p);

/* control_net_rates() - other limits for a network, by its number; NULL: as they are. Return: 0, or -ENODEV */
int must_check control_net_rates(struct control *control, unsigned net, const struct rate_config *rx,
                                 const struct rate_config *tx);

/* All counters, as metrics_write() has them. */
void control_write_metrics(struct control *control, FILE *f, enum metrics_format format);

/* What happens to the machine, for those who want to know. */
enum control_event { CONTROL_IS_READY, CONTROL_IS_PAUSED, CONTROL_IS_RESUMED, CONTROL_IS_STOPPING };
#define CONTROL_NR_EVENTS 4
extern const char *const control_event_names[CONTROL_NR_EVENTS]; /* "ready", "paused", … */

/* Embedded in its owner, who may remove it at any time but from the call. */
struct control_listener {
        void (*call)(struct control_listener *listener, enum control_event event);
        struct control_listener *next;
};
void control_listen(struct control *control, struct control_listener *listener);
void control_unlisten(struct control *control, struct control_listener *listener);
