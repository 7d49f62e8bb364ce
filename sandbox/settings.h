#pragma once
/*
 * The user's settings, and the limits that they set for all his sandboxes together.
 */
#include "sandbox/record.h"
#include "sandbox/sandbox.h"
#include "sandbox/settings_parse.h"

/* settings_read() - config.toml; without one, nothing is set. Return: 0, or -1 with @p. */
int must_check settings_read(const struct paths *paths, struct settings *ret, struct problem *p);

/*
 * settings_allow_start(), settings_allow_disk() - may @r, of @id, run beside those that run, and its disk lie beside
 * those that are there? It has to be there itself and, to be started, locked: so of two that come at once, both
 * see the other.
 * Return: 0, or -1 with @p.
 */
int must_check settings_allow_start(const struct paths *paths, const struct record *r, struct problem *p);
int must_check settings_allow_disk(const struct paths *paths, const struct record *r, struct problem *p);
