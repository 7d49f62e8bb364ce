#pragma once
/*
 * The terminal of the tool: raw while a command in a guest has it, as it was before whenever the tool stops or ends.
 */
#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

struct term {
        int fd; /* -1: no terminal, then nothing is done */
        bool raw;
        struct termios before;
};

/* term_init() - @fd is the terminal, if it is one. */
void term_init(struct term *t, int fd);
/* term_set_raw() - every key goes to the guest. Return: 0 or a negative errno. */
int term_set_raw(struct term *t);
void term_restore(struct term *t);
/* term_get_size() - of the terminal at @fd; 24 × 80 where it does not say */
void term_get_size(int fd, uint16_t *ret_rows, uint16_t *ret_cols);
