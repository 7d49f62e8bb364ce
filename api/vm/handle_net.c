/*
 * Requests about network interfaces.
 * Input:  checked bodies.
 * Runs:   loop thread.
 * Limits: CONFIG_NETS_MAX interfaces.
 */
#include <string.h>

#include "api/vm/handle.h"

static struct vm_net *find(struct vm *vm, const char *id)
{
        for (unsigned i = 0; i < vm->nr_nets; i++)
                if (!strcmp(vm->nets[i].body.iface_id.v, id))
                        return &vm->nets[i];
        return NULL;
}

static int check_mac(struct vm *vm, const struct body_net *b, struct problem *p)
{
        uint8_t mac[6], other[6];

        if (!b->guest_mac.given)
                return 0;
        if (!config_parse_mac(b->guest_mac.v, mac) || mac[0] & 1)
                return problem_set(p, VM_REFUSED, "`guest_mac` is no address of one interface: '%.32s'.",
                                   b->guest_mac.v);
        for (unsigned i = 0; i < vm->nr_nets; i++) {
                const struct body_net *o = &vm->nets[i].body;

                if (strcmp(o->iface_id.v, b->iface_id.v) && o->guest_mac.given &&
                    config_parse_mac(o->guest_mac.v, other) && !memcmp(mac, other, sizeof(mac)))
                        return problem_set(p, VM_REFUSED, "The MAC address is already in use: %s",
                                           b->guest_mac.v);
        }
        return 0;
}

int handle_put_net(struct vm *vm, struct request *q)
{
        const struct body_net *b = &q->body->net;
        struct vm_net *n = find(vm, q->id);
        size_t len = strlen(b->host_dev_name.v);

        if (handle_check_id(q, b->iface_id.v) || check_mac(vm, b, q->p))
                return -1;
        if (!len || len > CONFIG_TAP_MAX)
                return problem_set(q->p, VM_REFUSED, "`host_dev_name` must have 1 to %u bytes.",
                                   CONFIG_TAP_MAX);
        if (!n && vm->nr_nets == CONFIG_NETS_MAX)
                return problem_set(q->p, VM_REFUSED, "More than %u network interfaces are not supported.",
                                   CONFIG_NETS_MAX);
        if (!n)
                n = &vm->nets[vm->nr_nets++];
        json_free(n->doc);
        *n = (struct vm_net){ .body = *b, .doc = q->doc };
        q->doc = NULL;
        return 0;
}

/* A bucket that is not named stays as it is. */
static void merge(struct body_rate *rate, const struct body_rate *change)
{
        rate->given |= change->given;
        if (change->bandwidth.given)
                rate->bandwidth = change->bandwidth;
        if (change->ops.given)
                rate->ops = change->ops;
}

int handle_patch_net(struct vm *vm, struct request *q)
{
        const struct body_net_update *b = &q->body->net_update;
        struct vm_net *n = find(vm, q->id);
        struct body_rate rx, tx;
        struct rate_config rx_limit, tx_limit;

        if (handle_check_id(q, b->iface_id.v))
                return -1;
        if (!n)
                return problem_set(q->p, VM_REFUSED, "There is no network interface '%s'.", q->id);
        rx = n->body.rx_rate_limiter;
        tx = n->body.tx_rate_limiter;
        merge(&rx, &b->rx_rate_limiter);
        merge(&tx, &b->tx_rate_limiter);
        rx_limit = vm_rate(&rx);
        tx_limit = vm_rate(&tx);
        if (control_net_rates(vm->control, (unsigned)(n - vm->nets),
                              b->rx_rate_limiter.given ? &rx_limit : NULL,
                              b->tx_rate_limiter.given ? &tx_limit : NULL) < 0)
                return problem_set(q->p, VM_REFUSED, "The network interface cannot be limited.");
        n->body.rx_rate_limiter = rx;
        n->body.tx_rate_limiter = tx;
        return 0;
}
