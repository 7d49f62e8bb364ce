#pragma once
/*
 * How a sandbox's agent is, in a word. Asks the guest, and waits for it.
 */
#include "sandbox/life.h"

#define HEALTH_ANSWER_MS 5000 /* later than that, the agent is stuck */
#define HEALTH_BUSY_MS   1000 /* later than that, it is busy */

/*
 * health_look() - "booting", "ready", "busy", "stuck", "paused", "frozen", or NULL: it does not run
 * @status: what life_look() found just now
 */
const char *health_look(const struct sandbox *s, const struct life_status *status);
