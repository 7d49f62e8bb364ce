#pragma once
/*
 * Strict parsing of what a person writes. The whole string must be meant: no leading space, no rest.
 * All are pure. Return: true and *ret, or false with *ret untouched.
 */
#include <stdbool.h>
#include <stdint.h>

bool parse_u64(const char *text, uint64_t *ret);
/* "512M", "2G", "4096": bytes; K, M, G, T are powers of 1024, an "iB" or "B" may follow. */
bool parse_size(const char *text, uint64_t *ret_bytes);
/* "30s", "500ms", "5m", "1h": a unit is required, but for 0. */
bool parse_duration(const char *text, uint64_t *ret_ns);
bool parse_bool(const char *text, bool *ret);

/*
 * parse_closest() - the word of a NULL-terminated list that was probably meant
 * Return: NULL when nothing is near.
 */
const char *parse_closest(const char *text, const char *const *words);
