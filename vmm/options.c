/*
 * The options of `vmm`: one table for the command line, --help and the configuration file.
 * Input:  words of a person or a program.
 * Runs:   main thread.
 * Limits: CONFIG_FILE_MAX bytes of configuration file.
 */
#include "vmm/options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/io.h"
#include "vmm/base/json.h"
#include "vmm/base/parse.h"
#include "vmm/options_priv.h"
#include "vmm/status.h"

#define CONFIG_FILE_MAX (1u << 20)
#define HELP_COLUMN     30
#define UNSET           UINT64_MAX
#define MEMORY          (256ull << 20)
#define API_MEMORY      (128ull << 20) /* Firecracker's, for a machine that its clients describe */

enum kind {
        KIND_GROUP, /* a heading of --help */
        KIND_TEXT,
        KIND_SIZE,
        KIND_UNSIGNED,
        KIND_U64,
        KIND_INT,
        KIND_DURATION,
        KIND_FLAG, /* no value on the command line; on or off in a file */
        KIND_SWITCH,
        KIND_CHOICE,
        KIND_DISK,
        KIND_NET,
        KIND_BALLOON,
        KIND_CONFIG,
        KIND_MODE,
};

struct option {
        const char *name;
        enum kind kind;
        size_t offset;   /* in struct vm_config */
        const char *arg; /* how --help calls the value */
        const char *help;
        const char *const *choices;
        enum options_mode mode;
};

#define GROUP(text)                                                                                          \
        {                                                                                                    \
                .name = (text), .kind = KIND_GROUP                                                           \
        }
#define AT(field) offsetof(struct vm_config, field)
#define FIELD(n, k, field, a, h)                                                                             \
        {                                                                                                    \
                .name = (n), .kind = (k), .offset = AT(field), .arg = (a), .help = (h)                       \
        }
#define CHOICE(n, field, a, h, words)                                                                        \
        {                                                                                                    \
                .name = (n), .kind = KIND_CHOICE, .offset = AT(field), .arg = (a), .help = (h),              \
                .choices = (words)                                                                           \
        }
#define MODE(n, m, h)                                                                                        \
        {                                                                                                    \
                .name = (n), .kind = KIND_MODE, .mode = (m), .help = (h)                                     \
        }

static const char *const log_formats[] = { "text", "json", NULL };

static const struct option table[] = {
        GROUP("Guest"),
        FIELD("kernel", KIND_TEXT, kernel, "FILE", "a bzImage or an ELF vmlinux"),
        FIELD("initrd", KIND_TEXT, initrd, "FILE|none", "instead of our initramfs and its agent"),
        FIELD("append", KIND_TEXT, append, "WORDS", "goes to the end of the kernel's command line"),
        CHOICE("platform", platform, "KIND", "auto, native (our kernel) or acpi (any other)",
               config_platform_names),
        FIELD("cpus", KIND_UNSIGNED, cpus, "N", "vCPUs (1)"),
        FIELD("memory", KIND_SIZE, memory_bytes, "SIZE", "RAM, such as 512M or 2G (256M)"),
        FIELD("overcommit", KIND_FLAG, overcommit, NULL, "allow more memory than the host has free"),
        GROUP("Devices"),
        { .name = "image",
          .kind = KIND_DISK,
          .arg = "FILE[,WORDS]",
          .help = "the root disk, /dev/vda; unless rw, changes stay in the guest's memory; see --disk" },
        { .name = "disk",
          .kind = KIND_DISK,
          .arg = "FILE[,WORDS]",
          .help = "another disk, writable unless ro; also: direct, serial=ID, bw=SIZE a second, iops=N" },
        { .name = "net",
          .kind = KIND_NET,
          .arg = "SPEC[,WORDS]",
          .help = "tap=NAME, tapfd=N, stream=SOCKET or fd=N; also: mac, mtu, queues, vnet, bw, pps" },
        FIELD("vsock", KIND_TEXT, vsock_path, "SOCKET", "Unix socket that leads into the guest"),
        FIELD("guest-cid", KIND_U64, guest_cid, "N", "vsock address of the guest (3)"),
        FIELD("rng", KIND_SWITCH, rng, "on|off", "entropy device (on)"),
        { .name = "balloon",
          .kind = KIND_BALLOON,
          .arg = "WORDS",
          .help = "off, SIZE to take from the guest, deflate-on-oom, stats=TIME (free memory comes back)" },
        FIELD("serial", KIND_TEXT, serial, "stdio|off|FILE",
              "where the guest's console goes (stdio); Ctrl-A x ends"),
        GROUP("Life"),
        FIELD("boot-timeout", KIND_DURATION, boot_timeout_ns, "TIME",
              "end a guest whose agent is not ready by then (60s; 0: wait)"),
        FIELD("grace", KIND_DURATION, grace_ns, "TIME",
              "for the guest's processes to end after SIGTERM (10s)"),
        FIELD("lifetime", KIND_DURATION, lifetime_ns, "TIME", "then ask it to power off, as SIGTERM does"),
        FIELD("control", KIND_TEXT, control_path, "SOCKET",
              "take requests: status, pause, metrics and others"),
        FIELD("ready-fd", KIND_INT, ready_fd, "N", "write a line to this descriptor when the agent is ready"),
        FIELD("api-sock", KIND_TEXT, api_path, "SOCKET",
              "serve Firecracker's API; without --kernel, wait for its orders"),
        GROUP("Reports"),
        FIELD("id", KIND_TEXT, id, "NAME", "name of the VM in logs"),
        FIELD("exit-file", KIND_TEXT, exit_path, "FILE", "write how it ended, as JSON"),
        FIELD("timeline", KIND_TEXT, timeline, "FILE", "write the stages of the boot, as JSON"),
        FIELD("stats", KIND_TEXT, stats, "FILE", "write all counters at the end, as JSON"),
        FIELD("output", KIND_TEXT, output_path, "FILE", "keep what the main command writes, as records"),
        FIELD("log", KIND_TEXT, log_path, "FILE", "own log, instead of standard error"),
        FIELD("log-limit", KIND_SIZE, log_limit_bytes, "SIZE",
              "cap of each: console's file, output, log; with FILE.1 (10M)"),
        CHOICE("log-level", log_level, "LEVEL", "error, warning, info or debug (warning)", log_level_names),
        CHOICE("log-format", log_json, "FORMAT", "text or json (text)", log_formats),
        GROUP("Other"),
        { .name = "config",
          .kind = KIND_CONFIG,
          .arg = "FILE.json",
          .help = "read options from an object with their names as keys" },
        MODE("probe", OPTIONS_PROBE, "tell whether KVM can be used here, and why not"),
        MODE("probe-json", OPTIONS_PROBE_JSON, "the same as JSON"),
        MODE("help", OPTIONS_HELP, "this text"),
        MODE("version", OPTIONS_VERSION, "the version"),
};

static int set_words(struct options *o, const struct option *opt, const char *value, struct problem *p);
static int read_config_file(struct options *o, const char *path, struct problem *p);

static const struct option *find(const char *name)
{
        for (unsigned i = 0; i < array_size(table); i++)
                if (table[i].kind != KIND_GROUP && !strcmp(table[i].name, name))
                        return &table[i];
        return NULL;
}

static int unknown(const char *name, struct problem *p)
{
        const char *names[array_size(table) + 1], *meant;
        unsigned n = 0;

        for (unsigned i = 0; i < array_size(table); i++)
                if (table[i].kind != KIND_GROUP)
                        names[n++] = table[i].name;
        names[n] = NULL;
        meant = parse_closest(name, names);
        if (meant)
                return problem_set(p, VMM_E_USAGE, "unknown option '--%s'; did you mean --%s?", name, meant);
        return problem_set(p, VMM_E_USAGE, "unknown option '--%s'; see vmm --help", name);
}

static int bad_value(const struct option *opt, const char *value, const char *wanted, struct problem *p)
{
        return problem_set(p, VMM_E_USAGE, "--%s: '%s' is not %s", opt->name, value, wanted);
}

static int set_choice(void *field, const struct option *opt, const char *value, struct problem *p)
{
        for (unsigned i = 0; opt->choices[i]; i++) {
                if (strcmp(opt->choices[i], value))
                        continue;
                if (opt->offset == offsetof(struct vm_config, log_json))
                        *(bool *)field = i;
                else
                        *(unsigned *)field = i;
                return 0;
        }
        return problem_set(p, VMM_E_USAGE, "--%s: '%s' is unknown: choose %s", opt->name, value, opt->help);
}

static int set_number(void *field, const struct option *opt, const char *value, struct problem *p)
{
        uint64_t v;

        if (!parse_u64(value, &v) || (opt->kind == KIND_UNSIGNED && v > UINT32_MAX) ||
            (opt->kind == KIND_INT && v > INT32_MAX))
                return bad_value(opt, value, "a number in range", p);
        if (opt->kind == KIND_U64)
                *(uint64_t *)field = v;
        else if (opt->kind == KIND_UNSIGNED)
                *(unsigned *)field = (unsigned)v;
        else
                *(int *)field = (int)v;
        return 0;
}

/* SAFETY: the table pairs each offset with the kind of its field. */
static int set(struct options *o, const struct option *opt, const char *value, struct problem *p)
{
        void *field = (char *)&o->config + opt->offset;

        switch (opt->kind) {
        case KIND_TEXT:
                if (!*value)
                        return problem_set(p, VMM_E_USAGE, "--%s: %s is missing", opt->name, opt->arg);
                *(const char **)field = value;
                return 0;
        case KIND_SIZE:
                if (!parse_size(value, field))
                        return bad_value(opt, value, "a size such as 512M or 2G", p);
                return 0;
        case KIND_UNSIGNED:
        case KIND_U64:
        case KIND_INT:
                return set_number(field, opt, value, p);
        case KIND_DURATION:
                if (!parse_duration(value, field))
                        return bad_value(opt, value, "a time with its unit, such as 30s or 500ms", p);
                return 0;
        case KIND_FLAG:
        case KIND_SWITCH:
                if (!parse_bool(value, field))
                        return bad_value(opt, value, "on or off", p);
                return 0;
        case KIND_CHOICE:
                return set_choice(field, opt, value, p);
        case KIND_DISK:
        case KIND_NET:
        case KIND_BALLOON:
                return set_words(o, opt, value, p);
        case KIND_CONFIG:
                return read_config_file(o, value, p);
        case KIND_MODE:
                o->mode = opt->mode;
                return 0;
        case KIND_GROUP:
                break;
        }
        return 0;
}

static char *keep_text(struct options *o, const char *text)
{
        char *copy = strdup(text);
        char **texts = realloc(o->texts, (o->nr_texts + 1) * sizeof(*texts));

        if (texts)
                o->texts = texts;
        if (!copy || !texts) {
                free(copy);
                return NULL;
        }
        o->texts[o->nr_texts++] = copy;
        return copy;
}

/* Words between commas are cut apart in a copy that lasts. */
static int set_words(struct options *o, const struct option *opt, const char *value, struct problem *p)
{
        char *words = keep_text(o, value);

        if (!words)
                return problem_set(p, VMM_E_HOST, "out of memory");
        if (opt->kind == KIND_DISK)
                return options_add_disk(&o->config, opt->name, words, p);
        if (opt->kind == KIND_NET)
                return options_add_net(&o->config, words, p);
        return options_set_balloon(&o->config.balloon, words, p);
}

static int set_from_file(void *ctx, const char *key, const char *value, struct problem *p)
{
        const struct option *opt = find(key);
        struct options *o = ctx;
        const char *kept;

        if (!opt)
                return unknown(key, p);
        if (opt->kind == KIND_CONFIG || opt->kind == KIND_MODE)
                return problem_set(p, VMM_E_USAGE, "'%s' has no place in a configuration file", key);
        kept = keep_text(o, value);
        if (!kept)
                return problem_set(p, VMM_E_HOST, "out of memory");
        return set(o, opt, kept, p);
}

static int read_config_file(struct options *o, const char *path, struct problem *p)
{
        cleanup(freep) char *text = NULL;
        int r = io_read_file(path, CONFIG_FILE_MAX, &text);

        if (r < 0)
                return problem_set(p, VMM_E_INPUT, "cannot read configuration '%s': %s", path, strerror(-r));
        return json_each_setting(text, path, VMM_E_USAGE, set_from_file, o, p);
}

static bool takes_value(const struct option *opt)
{
        return opt->kind != KIND_FLAG && opt->kind != KIND_MODE;
}

/* One word, or two: "--name=value", "--name value", "--flag". Return: words used, or -1. */
static int read_word(struct options *o, char **argv, struct problem *p)
{
        cleanup(freep) char *name = NULL;
        const struct option *opt;
        const char *value;

        if (strncmp(argv[0], "--", 2) || !argv[0][2])
                return problem_set(p, VMM_E_USAGE,
                                   "unexpected '%s': every setting is an --option; see vmm --help", argv[0]);
        value = strchr(argv[0], '=');
        name = value ? strndup(argv[0] + 2, (size_t)(value - argv[0]) - 2) : strdup(argv[0] + 2);
        if (!name)
                return problem_set(p, VMM_E_HOST, "out of memory");
        opt = find(name);
        if (!opt)
                return unknown(name, p);
        if (value && !takes_value(opt))
                return problem_set(p, VMM_E_USAGE, "--%s takes no value", opt->name);
        if (!takes_value(opt))
                return set(o, opt, "on", p) ? -1 : 1;
        if (value)
                return set(o, opt, value + 1, p) ? -1 : 1;
        if (!argv[1])
                return problem_set(p, VMM_E_USAGE, "--%s: %s is missing", opt->name, opt->arg);
        return set(o, opt, argv[1], p) ? -1 : 2;
}

int options_read(struct options *o, int argc, char **argv, struct problem *p)
{
        *o = (struct options){
                .config = {
                        .id = "",
                        .cpus = 1,
                        .memory_bytes = UNSET,
                        .guest_cid = 3,
                        .rng = true,
                        .balloon.on = true,
                        .serial = "stdio",
                        .boot_timeout_ns = 60000000000ull,
                        .grace_ns = 10000000000ull,
                        .ready_fd = -1,
                        .log_limit_bytes = 10ull << 20,
                        .log_level = LOG_WARN,
                },
        };
        for (int i = 1; i < argc;) {
                int n = read_word(o, argv + i, p);

                if (n < 0)
                        return -1;
                if (o->mode == OPTIONS_HELP || o->mode == OPTIONS_VERSION)
                        return 0;
                i += n;
        }
        if (o->config.memory_bytes == UNSET)
                o->config.memory_bytes = o->config.api_path && !o->config.kernel ? API_MEMORY : MEMORY;
        return 0;
}

void options_fini(struct options *o)
{
        for (unsigned i = 0; i < o->nr_texts; i++)
                free(o->texts[i]);
        free(o->texts);
}

void options_help(void)
{
        (void)puts("vmm: runs one virtual machine on KVM\n\n"
                   "  vmm --kernel FILE --image FILE [OPTION]...");
        for (unsigned i = 0; i < array_size(table); i++) {
                const struct option *opt = &table[i];
                char left[64];

                if (opt->kind == KIND_GROUP) {
                        (void)printf("\n%s\n", opt->name);
                        continue;
                }
                (void)snprintf(left, sizeof(left), "--%s%s%s", opt->name, opt->arg ? " " : "",
                               opt->arg ? opt->arg : "");
                (void)printf("  %-*s %s\n", HELP_COLUMN, left, opt->help);
        }
        (void)puts("\nExit status\n"
                   "  0 powered off   1 trouble of the host   2 usage   3 kernel, image or socket unusable\n"
                   "  4 KVM unusable   5 too much memory or too many vCPUs   6 agent not ready in time\n"
                   "  10 reboot   11 triple fault   12 kernel panic   13 ended by a signal   14 KVM gave up");
}
