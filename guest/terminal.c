/*
 * Terminals: the agent's end of a pseudo terminal.
 * Input:  sizes (checked requests); the settings that a command gave its terminal (hostile, only compared).
 * Runs:   the agent's only thread.
 * Limits: as many as the guest's devpts has.
 */
#include "guest/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441 /* <asm-generic/ioctls.h> */
#endif

int terminal_open(uint16_t rows, uint16_t cols, int *ret_ours, int *ret_commands)
{
        int unlocked = 0, ours = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), commands = -1;

        if (ours >= 0 && !ioctl(ours, TIOCSPTLCK, &unlocked))
                commands = ioctl(ours, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (commands >= 0 && !terminal_resize(ours, rows, cols)) {
                *ret_ours = ours;
                *ret_commands = commands;
                return 0;
        }

        int error = errno;

        if (commands >= 0)
                close(commands);
        if (ours >= 0)
                close(ours);
        return -error;
}

int terminal_resize(int ours, uint16_t rows, uint16_t cols)
{
        struct winsize size = { .ws_row = rows, .ws_col = cols };

        return ioctl(ours, TIOCSWINSZ, &size) ? -errno : 0;
}

pid_t terminal_foreground(int ours)
{
        pid_t group = 0;

        return ioctl(ours, TIOCGPGRP, &group) || group < 0 ? 0 : group;
}

/* In the middle of a line the first only hands over what was typed so far. */
size_t terminal_end_of_file(int ours, char last, char ret[2])
{
        struct termios t;

        if (tcgetattr(ours, &t) || t.c_cc[VEOF] == _POSIX_VDISABLE)
                return 0;
        ret[0] = ret[1] = (char)t.c_cc[VEOF];
        return !(t.c_lflag & ICANON) || last == '\n' || (last == '\r' && t.c_iflag & ICRNL) ? 1 : 2;
}
