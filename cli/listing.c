/*
 * Sandboxes in words and as JSON.
 * Input:  records and states, checked by sandbox/.
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include "cli/listing.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/asked.h"
#include "sandbox/network.h"

void listing_fill(const struct sandbox *s, struct listing *ret)
{
        *ret = (struct listing){ .sandbox = *s };
        ret->sandbox.run_fd = -1; /* stays the caller's */
        life_look(s, &ret->status);
        if (!record_read(s->folder, &ret->record, &ret->problem) && ret->record.name)
                snprintf(ret->sandbox.name, sizeof(ret->sandbox.name), "%s", ret->record.name);
}

void listing_fini(struct listing *l)
{
        record_fini(&l->record);
}

static const char *since(char word[static OUT_WORD], uint64_t ns)
{
        struct timespec now;
        uint64_t at;

        clock_gettime(CLOCK_REALTIME, &now);
        at = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        return out_duration(word, at > ns ? at - ns : 0);
}

const char *listing_status(const struct listing *l, char *ret, size_t size)
{
        const struct life_status *s = &l->status;
        const char *name = life_state_names[s->state];
        uint64_t started = s->started_ns ? s->started_ns : l->record.created_ns;
        char word[OUT_WORD];

        if (l->problem.status)
                snprintf(ret, size, "damaged%s%s", s->state == LIFE_CREATED ? "" : ", ",
                         s->state == LIFE_CREATED ? "" : name);
        else if (life_is_alive(s) && started)
                snprintf(ret, size, "%s for %s", name, since(word, started));
        else if (s->state == LIFE_EXITED && s->ended_ns)
                snprintf(ret, size, "exited with %d, %s ago", s->code, since(word, s->ended_ns));
        else if (s->state == LIFE_FAILED || s->state == LIFE_KILLED)
                snprintf(ret, size, "%s: %s", name, s->reason);
        else
                snprintf(ret, size, "%s", name);
        return ret;
}

const char *listing_command(const struct listing *l, char *ret, size_t size)
{
        const struct record_list *args = &l->record.args;
        size_t n = 0;

        *ret = 0;
        if (asked_is_shell(args)) {
                snprintf(ret, size, "(a shell)");
                return ret;
        }
        for (size_t i = 0; i < args->nr && n < size - 1; i++)
                n += (size_t)snprintf(ret + n, size - n, "%s%s", i ? " " : "", args->items[i]);
        return ret;
}

static void put_list(struct out_json *j, const char *key, const struct record_list *list)
{
        out_json_open(j, key, '[');
        for (size_t i = 0; i < list->nr; i++)
                out_json_text(j, NULL, list->items[i]);
        out_json_close(j, ']');
}

static void put_asked(const struct record *r, struct out_json *j)
{
        char time[OUT_WORD];

        if (r->created_ns)
                out_json_text(j, "created", out_time(time, r->created_ns));
        out_json_text(j, "image", r->image);
        out_json_text(j, "image_path", r->image_path);
        out_json_text(j, "kernel", r->kernel);
        put_list(j, "command", &r->args);
        put_list(j, "env", &r->env);
        out_json_text(j, "user", r->user);
        out_json_text(j, "workdir", r->workdir);
        out_json_text(j, "hostname", r->hostname);
        out_json_bool(j, "tty", r->tty);
        out_json_bool(j, "interactive", r->interactive);
        put_list(j, "labels", &r->labels);
        put_list(j, "ports", &r->ports);
        out_json_number(j, "cpus_milli", r->cpus_milli);
        out_json_number(j, "cpu_shares", r->cpu_shares);
        out_json_number(j, "memory_bytes", r->memory_bytes);
        out_json_number(j, "disk_bytes", r->disk_bytes);
        out_json_text(j, "disk_rate", r->disk_rate);
        out_json_number(j, "pids_limit", r->pids);
        out_json_number(j, "lifetime_ns", r->lifetime_ns);
}

static void put_status(const struct life_status *s, struct out_json *j)
{
        char time[OUT_WORD];

        out_json_text(j, "state", life_state_names[s->state]);
        if (s->started_ns)
                out_json_text(j, "started", out_time(time, s->started_ns));
        if (s->vmm[0])
                out_json_text(j, "vmm", s->vmm);
        if (s->ended_ns)
                out_json_text(j, "ended", out_time(time, s->ended_ns));
        if (s->state >= LIFE_EXITED) {
                out_json_number(j, "exit_code", (uint64_t)s->code);
                out_json_bool(j, "oom", s->oom);
        }
        if (s->reason[0])
                out_json_text(j, "reason", s->reason);
}

void listing_json(const struct listing *l, struct out_json *j)
{
        const struct sandbox *s = &l->sandbox;
        cleanup(freep) char *policy = NULL;
        struct problem ignored = { 0 };

        out_json_open(j, NULL, '{');
        out_json_text(j, "id", s->id);
        out_json_text(j, "name", s->name[0] ? s->name : NULL);
        put_status(&l->status, j);
        if (l->is_asked)
                out_json_text(j, "agent", l->agent);
        if (l->problem.status)
                out_json_text(j, "problem", l->problem.text);
        else
                put_asked(&l->record, j);
        (void)!network_read(s, &policy, &ignored); /* NULL: it has none */
        out_json_text(j, "network", policy);
        out_json_bool(j, "rm", s->temporary);
        out_json_text(j, "folder", s->folder);
        out_json_text(j, "agent_socket", s->agent);
        out_json_text(j, "control_socket", s->control);
        out_json_close(j, '}');
}
