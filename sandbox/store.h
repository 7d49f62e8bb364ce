#pragma once
/*
 * The folders of sandboxes: made, listed, removed, and put in order after a tool that was killed.
 *
 * A folder is filled as `.new-ID` and renamed when it is whole; it is renamed to `.del-ID` and then
 * emptied. So what is called ID is whole, and what is called otherwise is garbage once nobody works on it:
 * store_repair() takes it away.
 *
 *   config.json  what was asked for (record.h)      running  locked while a monitor lives (lock.h)
 *   state.json   when it was started last           exit.json  how its monitor ended
 *   network.*    its network (network.h)
 *   disk.img     what the guest writes              console, output, vmm.log, events.jsonl
 *
 * The second folder of sandbox.h has a file `running` of its own. That of a temporary one is made first and removed
 * last; one that was left is garbage when it is not locked and no such sandbox is to be seen.
 */
#include "sandbox/record.h"
#include "sandbox/sandbox.h"

/* Of an unfinished folder that nobody has locked: younger, and its maker may be about to. */
#define STORE_NEW_S 10

/*
 * store_new() - make a sandbox; @r gets its id
 * @ret_lock: the lock of the running one, held: the sandbox is the caller's to start, or to close
 *
 * A temporary one is not written through to any disk, and needs no folder but the runtime one.
 *
 * Return: 0, or -1 with @p, and nothing is left.
 */
int must_check store_new(const struct paths *paths, struct record *r, struct sandbox *ret, int *ret_lock,
                         struct problem *p);

/* store_remove() - all of it. Return: 0, or -1 with @p; one that runs is refused. */
int must_check store_remove(const struct paths *paths, const struct sandbox *s, struct problem *p);

/* store_drop() - likewise, by who holds its lock; what cannot be removed stays as garbage. */
void store_drop(const struct paths *paths, const struct sandbox *s);

struct store_entry {
        char id[SANDBOX_ID_SIZE];
        bool temporary;
};

/* store_list() - all that are whole, in no order. @ret: to be freed. */
int must_check store_list(const struct paths *paths, struct store_entry **ret, size_t *ret_nr,
                          struct problem *p);

/* Is there such a sandbox, or is one of that ID being made? */
bool store_has(const struct paths *paths, const char *id);

/*
 * store_repair() - take away what is left of tools that were killed, and temporary sandboxes that ended; end
 * what runs without the command that it was started for. What cannot be done is left for another time.
 */
void store_repair(const struct paths *paths);
