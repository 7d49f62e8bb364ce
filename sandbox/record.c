/*
 * config.json of a sandbox.
 * Input:  files of the user's own, possibly damaged.
 * Runs:   any thread of the tool.
 * Limits: RECORD_MAX bytes.
 */
#include "sandbox/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/sandbox.h"
#include "sandbox/text.h"
#include "vmm/base/io.h"
#include "vmm/base/json.h"
#include "vmm/base/parse.h"

enum kind { TEXT, NUMBER, FLAG, LIST };

struct field {
        const char *key;
        enum kind kind;
        size_t offset;
};

#define AT(key, kind, field)                                                                                 \
        {                                                                                                    \
                key, kind, offsetof(struct record, field)                                                    \
        }
static const struct field fields[] = {
        AT("id", TEXT, id),
        AT("name", TEXT, name),
        AT("created_ns", NUMBER, created_ns),
        AT("image", TEXT, image),
        AT("image_path", TEXT, image_path),
        AT("kernel", TEXT, kernel),
        AT("args", LIST, args),
        AT("env", LIST, env),
        AT("user", TEXT, user),
        AT("workdir", TEXT, workdir),
        AT("hostname", TEXT, hostname),
        AT("tty", FLAG, tty),
        AT("interactive", FLAG, interactive),
        AT("temporary", FLAG, temporary),
        AT("labels", LIST, labels),
        AT("ports", LIST, ports),
        AT("cpus_milli", NUMBER, cpus_milli),
        AT("cpu_shares", NUMBER, cpu_shares),
        AT("memory_bytes", NUMBER, memory_bytes),
        AT("disk_bytes", NUMBER, disk_bytes),
        AT("disk_rate", TEXT, disk_rate),
        AT("lifetime_ns", NUMBER, lifetime_ns),
        AT("boot_timeout_ns", NUMBER, boot_timeout_ns),
        AT("pids", NUMBER, pids),
};
#undef AT

int record_add(struct record_list *list, const char *text)
{
        const char **items = realloc(list->items, (list->nr + 2) * sizeof(*items));

        if (!items)
                return err_new(-ENOMEM);
        items[list->nr++] = text;
        items[list->nr] = NULL;
        list->items = items;
        return 0;
}

/* SAFETY: the table pairs each offset with the kind of its field. */
static void *field_of(const struct record *r, const struct field *f)
{
        return (void *)((uintptr_t)r + f->offset);
}

static int put_text(FILE *to, const struct field *f, const char *text, struct problem *p)
{
        uint32_t c;

        for (size_t len = strlen(text), n, at = 0; at < len; at += n) {
                n = text_utf8(text + at, len - at, &c);
                if (!n)
                        return problem_set(p, SANDBOX_FAILED, "%s: '%.64s' is not UTF-8 text", f->key, text);
        }
        json_put_string(to, text);
        return 0;
}

static int put_list(FILE *to, const struct field *f, const struct record_list *list, struct problem *p)
{
        fputc('[', to);
        for (size_t i = 0; i < list->nr; i++) {
                if (i)
                        fputs(", ", to);
                if (put_text(to, f, list->items[i], p))
                        return -1;
        }
        fputc(']', to);
        return 0;
}

/* What was not asked for is left out. */
static int put_field(FILE *to, const struct record *r, const struct field *f, struct problem *p)
{
        const void *at = field_of(r, f);
        const char *text = f->kind == TEXT ? *(const char *const *)at : NULL;
        uint64_t number = f->kind == NUMBER ? *(const uint64_t *)at : 0;
        const struct record_list *list = f->kind == LIST ? at : NULL;

        if (!(text || number || (list && list->nr) || (f->kind == FLAG && *(const bool *)at)))
                return 0;
        fprintf(to, "%s\"%s\": ", f == fields ? "{" : ",\n ", f->key);
        if (text)
                return put_text(to, f, text, p);
        if (list)
                return put_list(to, f, list, p);
        if (number)
                fprintf(to, "%" PRIu64, number);
        else
                fputs("true", to);
        return 0;
}

static int put_all(const struct record *r, FILE *to, struct problem *p)
{
        for (size_t i = 0; i < array_size(fields); i++)
                if (put_field(to, r, &fields[i], p))
                        return -1;
        fputs("}\n", to);
        return 0;
}

static int write_file(int folder_fd, const char *text, size_t len, bool sync)
{
        cleanup(fd_closep) int fd =
                openat(folder_fd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return err_new(-errno);
        r = io_write_all(fd, text, len);
        if (r < 0)
                return err_trace(r);
        return sync && fsync(fd) < 0 ? err_new(-errno) : 0;
}

int record_write(const struct record *r, int folder_fd, bool sync, struct problem *p)
{
        cleanup(freep) char *text = NULL;
        size_t len;
        FILE *to = open_memstream(&text, &len);
        int bad, e;

        if (!to)
                return problem_set(p, SANDBOX_FAILED, "out of memory");
        bad = put_all(r, to, p);
        if (fclose(to) || bad)
                return problem_set(p, SANDBOX_FAILED, "out of memory");
        if (len > RECORD_MAX)
                return problem_set(p, SANDBOX_FAILED, "command, environment and labels of more than %u KiB",
                                   RECORD_MAX >> 10);
        e = write_file(folder_fd, text, len, sync);
        if (e < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot write the sandbox's config.json: %s",
                                   strerror(-e));
        return 0;
}

static const char *own(struct record *r, const char *text)
{
        char **owned = realloc(r->owned, (r->nr_owned + 1) * sizeof(*owned));
        char *copy = strdup(text);

        if (owned)
                r->owned = owned;
        if (!owned || !copy) {
                free(copy);
                return NULL;
        }
        r->owned[r->nr_owned++] = copy;
        return copy;
}

int record_set(struct record *r, const char *key, const char *value, struct problem *p)
{
        for (size_t i = 0; i < array_size(fields); i++) {
                const struct field *f = &fields[i];
                void *at = field_of(r, f);
                bool ok = true;

                if (strcmp(f->key, key))
                        continue;
                if (f->kind == TEXT)
                        ok = (*(const char **)at = own(r, value));
                else if (f->kind == NUMBER)
                        ok = parse_u64(value, at);
                else if (f->kind == FLAG)
                        ok = parse_bool(value, at);
                else
                        ok = (value = own(r, value)) && !record_add(at, value);
                return ok ? 0 : problem_set(p, SANDBOX_FAILED, "'%s' cannot be understood", key);
        }
        return 0;
}

static int set_field(void *ctx, const char *key, const char *value, struct problem *p)
{
        return record_set(ctx, key, value, p);
}

int record_parse(const char *text, const char *name, struct record *ret, struct problem *p)
{
        *ret = (struct record){ 0 };
        if (!json_each_setting(text, name, SANDBOX_FAILED, set_field, ret, p)) {
                if (ret->id && sandbox_is_id(ret->id) && ret->image_path && ret->kernel &&
                    (!ret->name || sandbox_is_name(ret->name)))
                        return 0;
                (void)!problem_set(p, SANDBOX_FAILED, "%s: not the whole description of a sandbox", name);
        }
        record_fini(ret);
        return -1;
}

int record_read(const char *folder, struct record *ret, struct problem *p)
{
        char path[SANDBOX_FOLDER_MAX + 16];
        cleanup(freep) char *text = NULL;
        int r;

        *ret = (struct record){ 0 };
        snprintf(path, sizeof(path), "%s/config.json", folder);
        r = io_read_file(path, RECORD_MAX, &text);
        if (r < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot read %.300s: %s", path, strerror(-r));
        return record_parse(text, path, ret, p);
}

void record_fini(struct record *r)
{
        for (size_t i = 0; i < r->nr_owned; i++)
                free(r->owned[i]);
        free(r->owned);
        free(r->args.items);
        free(r->env.items);
        free(r->labels.items);
        free(r->ports.items);
        *r = (struct record){ 0 };
}
