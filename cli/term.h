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
/* term_get_size() - of the terminal that is @in, or else @out; 24 × 80 where none says */
void term_get_size(int in, int out, uint16_t *ret_rows, uint16_t *ret_cols);
