#pragma once
/*
 * Which names an address was resolved for, and until when. Of fixed size: nothing is allocated after pins_new().
 * Time is the caller's, in ns of any steady clock.
 */
#include "net/address.h"
#include "net/name.h"
#include "net/policy.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"

/* Pairs of name and address: what a busy guest resolves in an hour. When full, what ends first goes. */
#define PINS_MAX 4096u
/* A record's lifetime is raised and cut to these: a guest's resolver library may keep an answer a little longer. */
#define PINS_TTL_MIN_S 30u
#define PINS_TTL_MAX_S 3600u

struct pins;

/* Return: 0 or -ENOMEM. */
int must_check pins_new(struct pins **ret);
void pins_free(struct pins *p);
DEFINE_CLEANUP(struct pins *, pins_free)

/* pins_put() - again for the same pair: the later end counts. Of one address POLICY_NAMES_MAX names at most. */
void pins_put(struct pins *p, const struct address *address, const char *name, uint32_t ttl_s,
              uint64_t now_ns);
/* The names stay readable until the next pins_put() or pins_forget(). */
void pins_find(struct pins *p, const struct address *address, uint64_t now_ns, struct policy_names *ret);
/* Everything: for another policy. */
void pins_forget(struct pins *p);
unsigned pins_count(const struct pins *p);
