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
        struct agent_event event;

        do {
                if (agent_next(a, &event))
                        return false;
                if (touch(&event) == ~0u)
                        return false;
        } while (event.kind != AGENT_NOTHING);

        size_t room, queued;
        uint8_t *to = agent_input(a, &room);

        check(to && room <= PROTOCOL_DATA_MAX);
        memset(to, 0, room);
        agent_input_done(a, room, false);
        agent_out(a, &queued);
        agent_sent(a, queued);
        return true;
}

/* One of each: what may answer differs. */
static int ask(struct agent *a, unsigned which)
{
        static const char *const args[] = { "true", NULL };
        const struct protocol_exec_request exec = {
                .flags = which & 1 ? PROTOCOL_EXEC_STDIN : PROTOCOL_EXEC_STDIN | PROTOCOL_EXEC_TELL,
                .args = args
        };
        const struct protocol_attach attach = { .proc = 1, .flags = PROTOCOL_ATTACH_STDIN };
        const struct protocol_file file = { .op = which & 15, .path = "/", .to = "/x" };
        const struct protocol_connect to = { .kind = PROTOCOL_CONNECT_TCP, .port = 1, .address = "" };

        switch (which >> 4) {
        case 1:
                return agent_attach(a, &attach);
        case 2:
                return agent_plain(a, PROTOCOL_PROCESSES, 0);
        case 3:
                return agent_plain(a, PROTOCOL_METRICS, 0);
        case 4:
                return agent_connect(a, &to);
        case 5:
                return agent_file(a, &file);
        default:
                return agent_exec(a, &exec);
        }
}

/* The first byte says how long the pieces are, the second what was asked for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct agent *a;

        if (size < 2 || agent_new(&a))
                return 0;
        if (ask(a, data[1])) {
                agent_free(a);
                return 0;
        }

        size_t piece = data[0] ? data[0] : 65536;

        for (data += 2, size -= 2; size;) {
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
