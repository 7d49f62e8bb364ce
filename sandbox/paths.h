#pragma once
/*
 * Where the tool keeps what it keeps, by the XDG rules.
 *
 *   data    ${XDG_DATA_HOME:-~/.local/share}/vmlet   sandboxes and images
 *   run     ${XDG_RUNTIME_DIR}/vmlet                 sockets, and all of a sandbox that is --rm but its disk
 *   cache   ${VMLET_CACHE:-${XDG_CACHE_HOME:-~/.cache}/vmlet}
 *   config  ${XDG_CONFIG_HOME:-~/.config}/vmlet
 *
 * Where XDG_RUNTIME_DIR is not set, run is /run/user/UID/vmlet if that folder is ours, else /tmp/vmlet-UID.
 * For root without those variables they are /var/lib/vmlet, /run/vmlet, ~/.cache/vmlet and /etc/vmlet. A
 * variable that holds no absolute path is taken for unset, as XDG has it.
 */
#include "vmm/base/compiler.h"
#include "vmm/base/err.h"

#define PATHS_MAX    1024u /* of any of the four; what is added to them is short */
#define PATHS_FAILED 125

struct paths {
        char data[PATHS_MAX], run[PATHS_MAX], cache[PATHS_MAX], config[PATHS_MAX];
};

/*
 * paths_find() - the four, as text: nothing is made.
 * Return: 0, or -1 with @p; also when run is there and is not ours alone, for its place may be anybody's.
 */
int must_check paths_find(struct paths *ret, struct problem *p);

/*
 * paths_make() - make @path and what is missing above it, each 0700.
 * Return: 0, or -1 with @p when it cannot be made, is no folder, or belongs to somebody else.
 */
int must_check paths_make(const char *path, struct problem *p);

/* paths_make_private() - likewise, and refuse a symbolic link and one that others may look into. */
int must_check paths_make_private(const char *path, struct problem *p);
