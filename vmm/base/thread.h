#pragma once
/*
 * Named threads. A thread starts with every signal blocked (signals belong to the main thread) and ends
 * by returning; nothing is ever cancelled. Whoever starts it tells it to stop and joins it.
 */
#include <pthread.h>
#include <stdbool.h>

#include "vmm/base/compiler.h"

/* The embedder's storage, zeroed at first. */
struct thread {
        pthread_t id;
        bool started;
        void (*run)(void *arg);
        void *arg;
        char name[16];
};

/*
 * thread_start() - run @run(@arg) on a thread of its own
 * @name: up to 15 characters, as ps and top show it
 */
int must_check thread_start(struct thread *thread, const char *name, void (*run)(void *arg), void *arg);

/* Waits for its end. Does nothing for one that was never started. */
void thread_join(struct thread *thread);

/* Sends @sig to it; as below, and one that has ended needs none. */
void thread_kick(struct thread *thread, int sig);

/*
 * thread_kick_and_join() - as thread_join(), for one that may be in a system call that waits
 * @sig: is sent to it until it has ended, for one signal that comes right before the call is lost on it.
 *       It must be unblocked there, with a handler.
 */
void thread_kick_and_join(struct thread *thread, int sig);

/* Is the caller this thread? For ASSERTs. */
bool thread_is_self(const struct thread *thread);
