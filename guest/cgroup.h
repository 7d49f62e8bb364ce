/*
 * Control groups: one for each exec, kept and used again when it is empty.
 *
 * They live below the folder that cgroup_init() names: user/NUMBER. Nothing is made before the first is
 * taken. Without cgroups (cgroup_take() gives NULL) commands run all the same, and are counted by process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CGROUP_PATH "/sys/fs/cgroup/vmlet"
#define CGROUPS_MAX 192u /* one for each exec */

struct cgroup;

struct cgroup_usage {
        uint64_t user_us, system_us;
        uint64_t peak_bytes, memory_bytes;
        uint64_t read_bytes, write_bytes;
        uint64_t oom_kills;
};

/* cgroup_init() - @path: CGROUP_PATH, or NULL = use none. @tasks_max: of all commands together, 0 = no limit. */
void cgroup_init(const char *path, uint32_t tasks_max);

/* cgroup_user() - the folder that holds all of them, made when it is missing. Return: borrowed, or -1. */
int cgroup_user(void);

/* cgroup_take() - an empty one. Return: NULL if there is none to be had. */
struct cgroup *cgroup_take(void);

/* cgroup_folder() - for clone3(). Return: borrowed until cgroup_started(), or -1. */
int cgroup_folder(struct cgroup *cg);

/* cgroup_started() - the command is in it. */
void cgroup_started(struct cgroup *cg);

/* cgroup_number() - its name below user/. */
uint32_t cgroup_number(const struct cgroup *cg);

bool cgroup_is_empty(struct cgroup *cg);

/* cgroup_events() - a new descriptor that has EPOLLPRI when it may have become empty, or -1. */
int cgroup_events(struct cgroup *cg);

/* cgroup_signal() - to every process in it. */
void cgroup_signal(struct cgroup *cg, int signal);

/* cgroup_move_rest() - what is left in it lives on, in a group for all such. */
void cgroup_move_rest(struct cgroup *cg);

/* cgroup_read() - what was used since it was taken. */
void cgroup_read(struct cgroup *cg, struct cgroup_usage *ret);

/* cgroup_give_back() - after its last cgroup_read(). @good: it is empty, and worked: another may have it. */
void cgroup_give_back(struct cgroup *cg, bool good);
