/*
 * Short texts for people, put together without printf: it would be the largest part of the agent.
 */
#pragma once

#include "guest/protocol.h"

struct text {
        char s[PROTOCOL_TEXT_MAX + 1];
};

/* text_set(t, part, ...) - join strings; what does not fit is cut. */
#define text_set(t, ...) text_join((t), (const char *const[]){ __VA_ARGS__, NULL })
void text_join(struct text *t, const char *const *parts);

/* text_console() - say @t on the guest's console and in its kernel log. */
void text_console(const struct text *t);

/* text_number() - read a decimal number of at most @max. Return: false if @s is not one, whole. */
bool text_number(const char *s, size_t len, uint32_t max, uint32_t *ret);
