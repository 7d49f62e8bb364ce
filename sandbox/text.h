#pragma once
/*
 * Texts of a guest, made fit for a terminal.
 */
#include <stddef.h>
#include <stdint.h>

/*
 * text_printable() - copy UTF-8 so that nothing in it acts on a terminal: control characters, marks that turn the
 * direction of writing, and bytes that are no UTF-8 become '?'. What does not fit is cut between characters.
 * @size: of @to, at least 1
 * Return: columns, one for each character.
 */
size_t text_printable(const char *text, size_t len, char *to, size_t size);

/* text_utf8() - the character at @text, of at least one byte. Return: its length; 0 and no *ret if it is none. */
size_t text_utf8(const char *text, size_t len, uint32_t *ret);
