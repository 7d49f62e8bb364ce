/*
 * The options of run and create.
 * Input:  the command line and the environment (the user).
 * Runs:   the tool's only thread.
 * Limits: those of record.h and of the protocol.
 */
#include "cli/asked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/policy_words.h"
#include "sandbox/forward.h"
#include "sandbox/images.h"
#include "sandbox/limits.h"
#include "sandbox/settings.h"
#include "sandbox/store.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/parse.h"

#define MEMORY_DEFAULT (512ull << 20)
#define MEMORY_MIN     (32ull << 20)
#define MEMORY_MAX     (1ull << 40)
#define MEMORY_UNIT    (2ull << 20)
#define DISK_DEFAULT   (8ull << 30)

/* What a person who named no command gets: the best shell there is. */
static const char *const shell[] = { "/bin/sh", "-c",
                                     "command -v bash >/dev/null && exec bash -l; exec sh -l" };

bool asked_is_shell(const struct record_list *args)
{
        return args->nr == array_size(shell) && !strcmp(args->items[2], shell[2]);
}

int asked_line(char **words, int nr, const char *ret[static 4], struct problem *p)
{
        if (nr != 1)
                return problem_set(p, CLI_FAILED, "--shell: %s, such as 'cd /srv && make'",
                                   nr ? "write the line as one word, in quotes" : "which line? In quotes");
        ret[0] = "/bin/sh";
        ret[1] = "-c";
        ret[2] = words[0];
        ret[3] = NULL;
        return 0;
}

static int read_env(struct asked *a, struct problem *p)
{
        const char *terminal = a->tty ? getenv("TERM") : NULL;

        if (terminal && *terminal && env_add(&a->env, "TERM", "--tty", p))
                return -1;
        for (size_t i = 0; i < a->env_files.n; i++)
                if (env_add_file(&a->env, a->env_files.items[i], p))
                        return -1;
        for (size_t i = 0; i < a->env_words.n; i++)
                if (env_add(&a->env, a->env_words.items[i], "--env", p))
                        return -1;
        for (size_t i = 0; i < a->env.nr; i++)
                if (record_add(&a->record.env, a->env.items[i]))
                        return problem_set(p, CLI_FAILED, "out of memory");
        return 0;
}

/* What was not said is as config.toml has it. */
static int take_defaults(struct asked *a, const struct paths *paths, struct problem *p)
{
        const struct settings *s = &a->settings;

        if (settings_read(paths, &a->settings, p))
                return -1;
        if (!a->cpus && *s->cpus)
                a->cpus = s->cpus;
        if (!a->disk && *s->disk && !a->rm)
                a->disk = s->disk;
        if (!a->kernel && *s->kernel)
                a->kernel = s->kernel;
        if (!a->memory_bytes && *s->memory && !parse_size(s->memory, &a->memory_bytes))
                return problem_set(p, CLI_FAILED, "%.300s/config.toml: memory '%.32s' is no size",
                                   paths->config, s->memory);
        return 0;
}

/* The words of a disk's limit; the monitor takes others too, which are not the user's to say. */
static bool is_rate(const char *words)
{
        bool good = true;

        while (good) {
                size_t len = strcspn(words, ",");
                char word[64];
                uint64_t v = 0;

                snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word)), words);
                good = len < sizeof(word) &&
                       ((!strncmp(word, "bw=", 3) && parse_size(word + 3, &v)) ||
                        (!strncmp(word, "iops=", 5) && parse_u64(word + 5, &v))) &&
                       v;
                if (!words[len])
                        return good;
                words += len + 1;
        }
        return false;
}

static int read_sizes(struct asked *a, struct problem *p)
{
        struct record *r = &a->record;

        r->cpus_milli = 1000;
        if (a->cpus && !limits_parse_cpus(a->cpus, &r->cpus_milli))
                return problem_set(p, CLI_FAILED, "--cpus %.32s: write 2 or 1.5, from 0.01 to 255", a->cpus);
        r->memory_bytes = a->memory_bytes ? a->memory_bytes : MEMORY_DEFAULT;
        if (r->memory_bytes < MEMORY_MIN || r->memory_bytes > MEMORY_MAX)
                return problem_set(p, CLI_FAILED, "--memory: from 32M to 1T");
        r->memory_bytes = (r->memory_bytes + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
        r->disk_bytes = a->rm ? 0 : DISK_DEFAULT;
        if (a->disk && !strcmp(a->disk, "none"))
                r->disk_bytes = 0;
        else if (a->disk && (!parse_size(a->disk, &r->disk_bytes) || !r->disk_bytes))
                return problem_set(p, CLI_FAILED, "--disk %.32s: write a size such as 8G, or none", a->disk);
        if (a->disk_rate && !r->disk_bytes)
                return problem_set(p, CLI_FAILED, "--disk-rate: there is no disk; say --disk SIZE too");
        if (a->disk_rate && !is_rate(a->disk_rate))
                return problem_set(p, CLI_FAILED,
                                   "--disk-rate %.64s: write bw=SIZE, iops=N or both, such as "
                                   "bw=20M,iops=500",
                                   a->disk_rate);
        if (a->cpu_shares && (a->cpu_shares < 2 || a->cpu_shares > 262144))
                return problem_set(p, CLI_FAILED, "--cpu-shares: from 2 to 262144");
        if (a->pids > 4194304)
                return problem_set(p, CLI_FAILED, "--pids-limit: at most 4194304");
        r->cpu_shares = a->cpu_shares;
        r->pids = a->pids;
        return 0;
}

/* By the agent, or where the sandbox has a network by its gateway, which knows UDP and no sockets of files. */
static int read_port(struct asked *a, const char *word, struct problem *p)
{
        size_t len = strlen(word), behind = strcspn(word, "/");
        char plain[FORWARD_PATH_MAX + 80];
        struct forward_spec spec;
        bool udp = len > 4 && !strcmp(word + len - 4, "/udp"),
             tcp = len > 4 && !strcmp(word + len - 4, "/tcp");

        if (udp && !a->policy)
                return problem_set(p, CLI_FAILED,
                                   "--publish %.64s: UDP needs a network: say --net deny, or more, too",
                                   word);
        snprintf(plain, sizeof(plain), "%.*s", (int)(udp || tcp ? len - 4 : len), word);
        if (forward_parse(plain, &spec, p))
                return -1;
        if (!((const struct sockaddr_in *)&spec.listen)->sin_port)
                return problem_set(p, CLI_FAILED, "--publish %.64s: say which port", word);
        if (a->policy && !spec.port)
                return problem_set(
                        p, CLI_FAILED,
                        "--publish %.64s: with a network a port of the guest is needed, not '%.64s'", word,
                        word + behind);
        return record_add(&a->record.ports, word) ? problem_set(p, CLI_FAILED, "out of memory") : 0;
}

static int read_names(struct asked *a, struct problem *p)
{
        struct record *r = &a->record;

        if (a->name && !sandbox_is_name(a->name))
                return problem_set(
                        p, CLI_FAILED,
                        "--name '%.80s': 1 to %u letters, digits, '_', '.' and '-', the first a letter or "
                        "digit, and not 12 hexadecimal digits",
                        a->name, SANDBOX_NAME_MAX);
        if (a->hostname && !sandbox_is_name(a->hostname))
                return problem_set(p, CLI_FAILED, "--hostname '%.80s': letters, digits, '.' and '-'",
                                   a->hostname);
        for (size_t i = 0; i < a->labels.n; i++) {
                const char *label = a->labels.items[i];

                if (!*label || *label == '=')
                        return problem_set(p, CLI_FAILED, "--label '%.64s': write NAME or NAME=VALUE", label);
                if (record_add(&r->labels, label))
                        return problem_set(p, CLI_FAILED, "out of memory");
        }
        for (size_t i = 0; i < a->ports.n; i++)
                if (read_port(a, a->ports.items[i], p))
                        return -1;
        r->name = a->name;
        r->hostname = a->hostname ? a->hostname : a->name;
        return 0;
}

static int read_command(struct asked *a, char **argv, int nr, struct problem *p)
{
        bool wants_shell = !nr && a->interactive && a->tty;
        const char *const *from = wants_shell ? shell : (const char *const *)argv;
        const char *line[4] = { NULL };

        if (a->line) {
                if (asked_line(argv, nr, line, p))
                        return -1;
                from = line;
                nr = 3;
        } else if (wants_shell) {
                nr = (int)array_size(shell);
        }
        for (int i = 0; i < nr; i++)
                if (record_add(&a->record.args, from[i]))
                        return problem_set(p, CLI_FAILED, "out of memory");
        return 0;
}

static int find_files(struct asked *a, const struct paths *paths, struct problem *p)
{
        if (images_find(paths, a->record.image, &a->image_path, p) ||
            images_find_kernel(paths, a->kernel, &a->kernel_path, p))
                return -1;
        a->record.image_path = a->image_path;
        a->record.kernel = a->kernel_path;
        return 0;
}

static void fill_plain(struct asked *a)
{
        struct record *r = &a->record;
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        r->created_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        r->user = a->user;
        r->workdir = a->workdir;
        r->disk_rate = a->disk_rate;
        r->network = a->policy;
        r->temporary = a->rm;
        r->interactive = a->interactive;
        r->tty = a->tty;
        r->lifetime_ns = a->lifetime_ns;
        r->boot_timeout_ns = a->boot_timeout_ns;
}

int asked_read(const struct cli_command *command, int argc, char **argv, const struct paths *paths,
               struct asked *a, struct problem *p)
{
        int at = 0, r = cli_parse(command, argc, argv, a, &at, p);

        if (r)
                return r;
        if (take_defaults(a, paths, p))
                return -1;
        a->record.image = at < argc ? argv[at++] : a->settings.image;
        if (!*a->record.image)
                return problem_set(p, CLI_FAILED, "which image? vmlet %s %s", command->name, command->usage);
        if (at < argc && !strcmp(argv[at], "--"))
                at++;
        else if (at < argc && argv[at][0] == '-')
                return problem_set(p, CLI_FAILED,
                                   "%.64s: options go before the image, or write -- before the command",
                                   argv[at]);
        if (!keys_parse(a->detach_keys ? a->detach_keys : KEYS_DEFAULT, &a->keys))
                return problem_set(p, CLI_FAILED,
                                   "--detach-keys %.64s: write letters or ctrl-LETTER with commas between",
                                   a->detach_keys);
        if (policy_words_read(a->net, &a->rules, &a->policy, p))
                return -1;
        if (read_names(a, p) || read_sizes(a, p) || read_env(a, p) ||
            read_command(a, argv + at, argc - at, p))
                return -1;
        fill_plain(a);
        return find_files(a, paths, p);
}

void asked_fini(struct asked *a)
{
        record_fini(&a->record);
        env_fini(&a->env);
        free(a->env_words.items);
        free(a->env_files.items);
        free(a->labels.items);
        free(a->ports.items);
        free(a->rules.items);
        free(a->policy);
        free(a->image_path);
        free(a->kernel_path);
}

int asked_make(struct asked *a, const struct paths *paths, struct sandbox *ret, int *ret_lock,
               struct problem *p)
{
        if (store_new(paths, &a->record, ret, ret_lock, p))
                return -1;
        if (!settings_allow_disk(paths, &a->record, p))
                return 0;
        store_drop(paths, ret);
        fd_closep(ret_lock);
        return -1;
}
