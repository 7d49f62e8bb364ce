/*
 * Terminals: a pseudo terminal for one command.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * terminal_open() - a new one of that size. @ret_ours does not block.
 * Return: 0 or a negative errno.
 */
int terminal_open(uint16_t rows, uint16_t cols, int *ret_ours, int *ret_commands);

/* terminal_resize() - whoever is in its foreground gets SIGWINCH if that is new. Return: 0 or a negative errno. */
int terminal_resize(int ours, uint16_t rows, uint16_t cols);

/* terminal_foreground() - Return: the process group in its foreground, 0 if there is none. */
pid_t terminal_foreground(int ours);

/*
 * terminal_end_of_file() - what has to be typed to say that there is no more input.
 * @last: the character before it. Return: bytes, at most 2; 0 if this terminal has nothing for it.
 */
size_t terminal_end_of_file(int ours, char last, char ret[2]);
