/*
 * What the files of FILE share. Operations return 0 when all but the last frame is sent, a negative errno,
 * or FILE_ANSWERED.
 */
#pragma once

#include <sys/stat.h>

#include "guest/file.h"
#include "guest/protocol_file.h"

enum { FILE_ANSWERED = 1 }; /* the last frame was sent as well */

/* file_status() - what STATUS and ENTRIES tell of @name in @dir. @target has PROTOCOL_PATH_MAX + 1 bytes. */
void file_status(int dir, const char *name, const struct stat *st, char *target, struct protocol_status *ret);
