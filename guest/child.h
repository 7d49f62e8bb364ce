/*
 * Worker children: requests that may wait for a disk, a file system or a slow client run in a forked child,
 * which has the connection for itself until they have ended.
 *
 * The agent's loop does not touch the socket meanwhile. A child that ends well leaves the connection between
 * two frames and the agent takes it back; after any other end the agent closes it. When the client goes away
 * the child gets SIGTERM. All child_ functions but child_start() are for the child: it has blocking
 * descriptors, its own static memory, and may fail by ending.
 */
#pragma once

#include <sys/types.h>

#include "guest/text.h"

struct child {
        int fd; /* the client */
        uint32_t id;
        const uint8_t *rest; /* of the client's bytes, those that had been read before; first of the input */
        size_t rest_len;
};

/*
 * What a child does. @payload: of the request, its length checked by the frame's header only.
 * Return: true if all frames of the request have been read and its last one was sent.
 */
typedef bool child_fn(struct child *c, const uint8_t *payload, uint32_t len);

struct child_plan {
        child_fn *run;
        int fd;
        const struct protocol_frame *frame;
        const uint8_t *payload;
        size_t rest_len; /* bytes that were read behind the payload, if they are input of this request */
        const uint8_t *unsent;
        size_t unsent_len; /* answers to earlier requests: the child sends them first */
};

/* child_start() - Return: its process, or a negative errno. The descriptor is shared until the child's end. */
pid_t child_start(const struct child_plan *plan);

/* child_send() - send all of it, or end: the client is gone. */
void child_send(struct child *c, const void *bytes, size_t len);

/* child_receive() - read exactly @len bytes, or end: the client is gone. */
void child_receive(struct child *c, void *to, size_t len);

/* child_done() - send DONE. Return: true. */
bool child_done(struct child *c);

/* child_fail() - send ERROR with CHILD_WORDS("joined ", "strings"). Return: true. */
#define CHILD_WORDS(...)                                                                                     \
        (const char *const[])                                                                                \
        {                                                                                                    \
                __VA_ARGS__, NULL                                                                            \
        }
bool child_fail(struct child *c, uint32_t fault, int error, const char *const *parts);

/* child_malformed() - send the ERROR that ends a connection. Return: false. */
bool child_malformed(struct child *c, const char *why);

/* child_become() - give up root for @user, "" = stay. Return: false, and ERROR was sent. */
bool child_become(struct child *c, const char *user);
