/*
 * Raw mode and size of a terminal.
 * Input:  none but the terminal's own settings.
 * Runs:   the tool's only thread.
 * Limits: none.
 */
#include "cli/term.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/err.h"

void term_init(struct term *t, int fd)
{
        *t = (struct term){ .fd = fd >= 0 && isatty(fd) ? fd : -1 };
}

int term_set_raw(struct term *t)
{
        struct termios raw;

        if (t->fd < 0)
                return 0;
        if (!t->raw && tcgetattr(t->fd, &t->before) < 0)
                return err_new(-errno);
        raw = t->before;
        cfmakeraw(&raw);
        /* What was typed before stays: it was meant for the command. In the background this stops the tool. */
        if (tcsetattr(t->fd, TCSADRAIN, &raw) < 0)
                return err_new(-errno);
        t->raw = true;
        return 0;
}

void term_restore(struct term *t)
{
        if (!t->raw)
                return;
        t->raw = false;
        (void)!tcsetattr(t->fd, TCSADRAIN, &t->before); /* a terminal that is gone needs nothing */
}

void term_get_size(int in, int out, uint16_t *ret_rows, uint16_t *ret_cols)
{
        struct winsize size = { 0 };
        bool known = !ioctl(in, TIOCGWINSZ, &size) || !ioctl(out, TIOCGWINSZ, &size);

        known = known && size.ws_row && size.ws_col;
        *ret_rows = known ? size.ws_row : 24;
        *ret_cols = known ? size.ws_col : 80;
}
