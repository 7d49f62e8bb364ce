#pragma once
/*
 * Sandboxes as people and programs are shown them.
 */
#include "cli/out.h"
#include "sandbox/life.h"

/* One sandbox, looked at. A damaged config.json is told in problem, and the record is empty. */
struct listing {
        struct sandbox sandbox;
        struct record record;
        struct life_status status;
        struct problem problem;
        bool is_asked;     /* its agent too */
        const char *agent; /* health_look() */
};

/* listing_fill() - look at it; listing_fini() is due. */
void listing_fill(const struct sandbox *s, struct listing *ret);
void listing_fini(struct listing *l);

/* Words about how it is: "running for 5 minutes", "exited with 1, 3 hours ago". Return: @ret. */
const char *listing_status(const struct listing *l, char *ret, size_t size);
/* Its command, with blanks between. Return: @ret. */
const char *listing_command(const struct listing *l, char *ret, size_t size);
/* An object of all of it. */
void listing_json(const struct listing *l, struct out_json *j);
