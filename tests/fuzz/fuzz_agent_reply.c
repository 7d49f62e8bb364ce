/*
 * What the host parses: the bytes of a socket behind which there may be anything, fed in pieces to the client.
 */
#include <stdlib.h>
#include <string.h>

#include "sandbox/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
        if (!ok)
                abort();
}

/* Touches all that an event points to. Return: a sum, so that the reads are not left out. */
static unsigned touch(const struct agent_event *event)
{
        unsigned sum = 0;

        for (size_t i = 0; i < event->len; i++)
                sum += event->bytes[i];
        if (event->kind == AGENT_WELCOME)
                sum += (unsigned)(strlen(event->welcome.release) + strlen(event->welcome.message));
        for (uint32_t i = 0; event->kind == AGENT_ERROR && i < event->error.text_len; i++)
                sum += (unsigned char)event->error.text[i];
        if (event->kind == AGENT_EXIT)
                check(event->exit.value <= 255);
        return sum;
}

/* Takes what it has to say. Return: false once the peer has been found out. */
static bool drain(struct agent *a)
{
        static const uint8_t input[PROTOCOL_DATA_MAX];
        struct agent_event event;

        do {
                if (agent_next(a, &event))
                        return false;
                if (touch(&event) == ~0u)
                        return false;
        } while (event.kind != AGENT_NOTHING);

        size_t room = agent_stdin_room(a), queued;

        check(room <= PROTOCOL_DATA_MAX && agent_stdin(a, input, room, false) == 0);
        agent_out(a, &queued);
        agent_sent(a, queued);
        return true;
}

/* The first byte says how long the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *args[] = { "true", NULL };
        const struct protocol_exec_request req = { .flags = PROTOCOL_EXEC_STDIN, .args = args };
        struct agent *a;

        if (!size || agent_new(&a))
                return 0;
        check(agent_exec(a, &req) == 0);

        size_t piece = data[0] ? data[0] : 65536;

        for (data++, size--; size;) {
                size_t room;
                uint8_t *to = agent_room(a, &room);
                size_t n = piece < size ? piece : size;

                check(room > 0);
                n = n < room ? n : room;
                memcpy(to, data, n);
                agent_fed(a, n);
                data += n;
                size -= n;
                if (!drain(a))
                        break;
        }
        agent_free(a);
        return 0;
}
