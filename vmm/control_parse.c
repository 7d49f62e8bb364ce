/*
 * Requests on the control socket.
 * Input:  bytes of local clients, hostile.
 * Runs:   any thread.
 * Limits: CONTROL_LINE_MAX bytes a line, WORDS_MAX words.
 */
#include "vmm/control_parse.h"

#include <string.h>

#include "vmm/base/compiler.h"
#include "vmm/base/num.h"
#include "vmm/base/parse.h"

#define WORDS_MAX 4u
/* An hour, as the agent's protocol has it. */
#define GRACE_MAX_MS 3600000u

static const char *const words[] = {
        [CONTROL_STATUS] = "status",   [CONTROL_METRICS] = "metrics", [CONTROL_PAUSE] = "pause",
        [CONTROL_RESUME] = "resume",   [CONTROL_STOP] = "stop",       [CONTROL_KILL] = "kill",
        [CONTROL_BALLOON] = "balloon", [CONTROL_RATE] = "rate",       [CONTROL_SUBSCRIBE] = "subscribe",
};

static int parse_word(const char *text, enum control_word *ret)
{
        for (unsigned i = 0; i < array_size(words); i++) {
                if (strcmp(text, words[i]))
                        continue;
                *ret = (enum control_word)i;
                return 0;
        }
        return CONTROL_E_WORD;
}

static int parse_rate(char *const *args, struct control_request *ret)
{
        uint64_t disk;

        if (!parse_u64(args[0], &disk) || disk > UINT32_MAX || !parse_size(args[1], &ret->bandwidth) ||
            !parse_u64(args[2], &ret->iops))
                return CONTROL_E_ARGUMENT;
        ret->disk = (unsigned)disk;
        return 0;
}

static int parse_arguments(char *const *args, unsigned n, struct control_request *ret)
{
        switch (ret->word) {
        case CONTROL_METRICS:
                ret->prometheus = n == 1 && !strcmp(args[0], "prometheus");
                return !n || ret->prometheus ? 0 : CONTROL_E_ARGUMENT;
        case CONTROL_STOP:
                ret->has_grace =
                        n == 1 && parse_u64(args[0], &ret->grace_ms) && ret->grace_ms <= GRACE_MAX_MS;
                return !n || ret->has_grace ? 0 : CONTROL_E_ARGUMENT;
        case CONTROL_BALLOON:
                ret->has_target = n == 1 && parse_size(args[0], &ret->target_bytes);
                return !n || ret->has_target ? 0 : CONTROL_E_ARGUMENT;
        case CONTROL_RATE:
                return n == 3 ? parse_rate(args, ret) : CONTROL_E_ARGUMENT;
        case CONTROL_STATUS:
        case CONTROL_PAUSE:
        case CONTROL_RESUME:
        case CONTROL_KILL:
        case CONTROL_SUBSCRIBE:
                break;
        }
        return n ? CONTROL_E_ARGUMENT : 0;
}

int control_parse(const char *bytes, size_t n, size_t *ret_used, struct control_request *ret)
{
        const char *end = memchr(bytes, '\n', num_min(n, CONTROL_LINE_MAX));
        char line[CONTROL_LINE_MAX], *rest = line, *args[WORDS_MAX];
        unsigned nr = 0;
        int r;

        *ret = (struct control_request){ 0 };
        if (!end)
                return n < CONTROL_LINE_MAX ? CONTROL_E_MORE : CONTROL_E_LONG;
        n = (size_t)(end - bytes);
        *ret_used = n + 1;
        memcpy(line, bytes, n);
        line[n] = 0;
        if (memchr(line, 0, n))
                return CONTROL_E_WORD;
        r = parse_word(strsep(&rest, " "), &ret->word);
        while (rest && nr < WORDS_MAX)
                args[nr++] = strsep(&rest, " ");
        if (r)
                return r;
        return rest ? CONTROL_E_ARGUMENT : parse_arguments(args, nr, ret);
}
