/*
 * Every counter of a machine, written.
 * Input:  counters of ours; names of KVM's counters, from the kernel.
 * Runs:   loop thread, or main thread.
 * Limits: none of its own.
 */
#include "vmm/metrics.h"

#include <inttypes.h>

#include "vmm/base/json.h"
#include "vmm/base/log.h"

/* Who gets each counter of one member of a family. */
struct emitter {
        void (*each)(void *ctx, const char *name, uint64_t n);
        void *ctx;
};

static unsigned nr_vcpus(const struct metrics_source *s)
{
        return s->nr_vcpus;
}

static unsigned nr_devices(const struct metrics_source *s)
{
        return s->devices ? devices_nr(s->devices) : 0;
}

static unsigned one(const struct metrics_source *s)
{
        (void)s;
        return 1;
}

static void each_exit(const struct metrics_source *s, unsigned i, const struct emitter *e)
{
        for (unsigned k = 0; k < VCPU_NR_EXITS; k++)
                e->each(e->ctx, vcpu_exit_names[k], vcpu_exits(s->vcpus[i], (enum vcpu_exit)k));
}

static void each_of_kvm(const struct metrics_source *s, unsigned i, const struct emitter *e)
{
        if (vcpu_kvm_stats(s->vcpus[i], e->each, e->ctx) < 0)
                log_debug("this kernel has no counters of vCPUs");
}

static void each_of_device(const struct metrics_source *s, unsigned i, const struct emitter *e)
{
        devices_each_stat(s->devices, i, e->each, e->ctx);
}

static void each_of_loop(const struct metrics_source *s, unsigned i, const struct emitter *e)
{
        struct loop_stats stats = loop_stats(s->loop);

        (void)i;
        e->each(e->ctx, "rounds", stats.rounds);
        e->each(e->ctx, "events", stats.events);
        e->each(e->ctx, "timers", stats.timers);
}

static void each_of_log(const struct metrics_source *s, unsigned i, const struct emitter *e)
{
        struct log_stats stats = log_stats();

        (void)s;
        (void)i;
        e->each(e->ctx, "written", stats.written);
        e->each(e->ctx, "dropped", stats.dropped);
}

enum { FAMILY_EXITS, FAMILY_KVM, FAMILY_DEVICES, FAMILY_LOOP, FAMILY_LOG, NR_FAMILIES };

static const struct family {
        const char *json;       /* key in JSON */
        const char *prometheus; /* name in Prometheus' format */
        const char *help;
        const char *of;   /* label that tells the members apart; NULL: there is one */
        const char *what; /* label that tells the counters apart */
        unsigned (*nr)(const struct metrics_source *s);
        void (*each)(const struct metrics_source *s, unsigned i, const struct emitter *e);
} families[NR_FAMILIES] = {
        { "exits", "vmlet_exits_total", "Exits of a vCPU to the monitor.", "vcpu", "kind", nr_vcpus,
          each_exit },
        { "kvm", "vmlet_kvm_total", "What KVM counts of a vCPU.", "vcpu", "counter", nr_vcpus, each_of_kvm },
        { "devices", "vmlet_device_total", "What a device counts.", "device", "counter", nr_devices,
          each_of_device },
        { "loop", "vmlet_loop_total", "Turns of the event loop, and what they did.", NULL, "counter", one,
          each_of_loop },
        { "log", "vmlet_log_lines_total", "Lines of the monitor's log.", NULL, "kind", one, each_of_log },
};

static const char *member_name(const struct metrics_source *s, unsigned family, unsigned i, char number[16])
{
        if (family == FAMILY_DEVICES)
                return devices_name(s->devices, i);
        (void)snprintf(number, 16, "%u", i);
        return number;
}

struct json_object {
        FILE *f;
        bool more;
};

static void put_json(void *ctx, const char *name, uint64_t n)
{
        struct json_object *o = ctx;

        if (o->more)
                (void)fputc(',', o->f);
        o->more = true;
        json_put_string(o->f, name);
        (void)fprintf(o->f, ":%" PRIu64, n);
}

/* "KEY":{"COUNTER":n,…} of one member. */
static void write_object(const struct metrics_source *s, unsigned family, unsigned i, const char *key,
                         FILE *f)
{
        struct json_object o = { .f = f };
        const struct emitter e = { put_json, &o };

        json_put_string(f, key);
        (void)fputs(":{", f);
        if (family == FAMILY_KVM)
                put_json(&o, "index", i);
        families[family].each(s, i, &e);
        (void)fputc('}', f);
}

static void write_json(const struct metrics_source *s, FILE *f)
{
        (void)fputs("{\"vcpus\":[", f);
        for (unsigned i = 0; i < s->nr_vcpus; i++) {
                (void)fputs(i ? ",{" : "{", f);
                write_object(s, FAMILY_EXITS, i, families[FAMILY_EXITS].json, f);
                (void)fputc(',', f);
                write_object(s, FAMILY_KVM, i, families[FAMILY_KVM].json, f);
                (void)fputc('}', f);
        }
        (void)fputs("],\"devices\":{", f);
        for (unsigned i = 0; i < nr_devices(s); i++) {
                if (i)
                        (void)fputc(',', f);
                write_object(s, FAMILY_DEVICES, i, devices_name(s->devices, i), f);
        }
        (void)fputs("}", f);
        for (unsigned family = FAMILY_LOOP; family < NR_FAMILIES; family++) {
                (void)fputc(',', f);
                write_object(s, family, 0, families[family].json, f);
        }
        (void)fputs("}\n", f);
}

struct sample {
        FILE *f;
        const struct family *family;
        const char *member;
};

/* Label values are names of ours and of the kernel: nothing in them needs an escape. */
static void put_sample(void *ctx, const char *name, uint64_t n)
{
        const struct sample *s = ctx;

        if (s->family->of)
                (void)fprintf(s->f, "%s{%s=\"%s\",%s=\"%s\"} %" PRIu64 "\n", s->family->prometheus,
                              s->family->of, s->member, s->family->what, name, n);
        else
                (void)fprintf(s->f, "%s{%s=\"%s\"} %" PRIu64 "\n", s->family->prometheus, s->family->what,
                              name, n);
}

static void write_prometheus(const struct metrics_source *s, FILE *f)
{
        for (unsigned family = 0; family < NR_FAMILIES; family++) {
                const struct family *fam = &families[family];

                (void)fprintf(f, "# HELP %s %s\n# TYPE %s counter\n", fam->prometheus, fam->help,
                              fam->prometheus);
                for (unsigned i = 0; i < fam->nr(s); i++) {
                        char number[16];
                        struct sample sample = { f, fam, member_name(s, family, i, number) };
                        const struct emitter e = { put_sample, &sample };

                        fam->each(s, i, &e);
                }
        }
}

void metrics_write(const struct metrics_source *s, FILE *f, enum metrics_format format)
{
        if (format == METRICS_JSON)
                write_json(s, f);
        else
                write_prometheus(s, f);
}
