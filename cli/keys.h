#pragma once
/*
 * The keys that leave a command running and give the terminal back, as docker writes them: "ctrl-p,ctrl-q".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS_MAX     16
#define KEYS_DEFAULT "ctrl-p,ctrl-q"

struct keys {
        uint8_t sequence[KEYS_MAX];
        size_t nr;   /* 0: there is no way to detach */
        size_t held; /* of the sequence, pressed so far and not passed on */
};

/* keys_parse() - letters and digits, or ctrl- and one of a-z @ [ \ ] ^ _, with commas between. "" = none. */
bool keys_parse(const char *text, struct keys *ret);

/*
 * keys_filter() - what was typed, without the sequence; the beginning of one is held back until it is clear what it is
 * @to: KEYS_MAX + @n bytes; may be the same memory, if it begins KEYS_MAX bytes before @from
 * @ret_detached: the whole sequence was pressed; what was typed behind it is dropped
 * Return: bytes in @to
 */
size_t keys_filter(struct keys *k, const uint8_t *from, size_t n, uint8_t *to, bool *ret_detached);
