/*
 * The environment that every command gets beside its own: kept by ENVIRONMENT for all later EXECs.
 */
#pragma once

#include "guest/protocol_request.h"

#define ENVIRONMENT_BYTES_MAX (64u << 10)
#define ENVIRONMENT_ITEMS_MAX 1024u
#define ENVIRONMENT_HOME_MAX  256u

/*
 * environment_change() - set and remove what @e says, all or nothing.
 * Return: false if more than ENVIRONMENT_BYTES_MAX or ENVIRONMENT_ITEMS_MAX would have to be kept.
 */
bool environment_change(const struct protocol_environment *e);

/*
 * environment_complete() - put the variables that are not among the @n of @env behind them, and a NULL.
 * @env: has room for ENVIRONMENT_ITEMS_MAX more and the NULL. Return: how many there are now.
 */
uint32_t environment_complete(const char **env, uint32_t n);

/*
 * environment_finish() - put PATH and HOME behind the @n of @env, which ends with a NULL, where they are missing: two
 * more at most. @home: up to ENVIRONMENT_HOME_MAX characters. Return: the value of PATH.
 */
const char *environment_finish(const char **env, uint32_t n, const char *home);
