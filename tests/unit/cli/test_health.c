/*
 * How an agent is, in a word, with agents by a script.
 */
#include "cli/health.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/mock/peer.h"
#include "tests/unit/run.h"

static struct peer peer;

static const char *look(void (*serve)(int client))
{
        const struct life_status status = { .state = LIFE_RUNNING, .is_ready = true };
        struct sandbox s = SANDBOX_NONE;
        const char *ret;

        peer_start(&peer, serve);
        snprintf(s.agent, sizeof(s.agent), "%s", peer.path);
        ret = health_look(&s, &status);
        peer_stop(&peer);
        unlink(peer.path);
        return ret;
}

static void serve_metrics(int client, unsigned after_ms, const char *report)
{
        static uint8_t payload[PROTOCOL_EXEC_MAX];
        struct protocol_frame frame = { 0 };

        peer_say_welcome(client);
        while (frame.type != PROTOCOL_METRICS)
                peer_read_frame(client, &frame, payload);
        usleep(after_ms * 1000);
        peer_say_frame(client, PROTOCOL_REPORT, frame.id, report, (uint32_t)strlen(report));
        pause();
}

static void fast(int client)
{
        serve_metrics(client, 0, "execs 1\nfrozen 0\n");
}

static void slow(int client)
{
        serve_metrics(client, HEALTH_BUSY_MS + 200, "execs 1\n");
}

static void frozen(int client)
{
        serve_metrics(client, 0, "frozen 1\n");
}

static void silent(int client)
{
        peer_say_welcome(client);
        pause();
}

static void liar(int client)
{
        serve_metrics(client, 0, "frozen much");
}

static void refusing(int client)
{
        static const uint8_t unsupported[8] = { PROTOCOL_FAULT_UNSUPPORTED };

        peer_say_welcome(client);
        peer_say_frame(client, PROTOCOL_ERROR, 1, unsupported, sizeof(unsupported));
        pause();
}

START_TEST(test_answers)
{
        ck_assert_str_eq(look(fast), "ready");
        ck_assert_str_eq(look(slow), "busy");
        ck_assert_str_eq(look(frozen), "frozen");
        ck_assert_str_eq(look(refusing), "ready");
        ck_assert_str_eq(look(liar), "stuck"); /* nothing that could be understood */
}
END_TEST

START_TEST(test_silence)
{
        ck_assert_str_eq(look(silent), "stuck");
}
END_TEST

/* What the monitor tells is enough: there is nobody to be asked. */
START_TEST(test_nobody_asked)
{
        static const struct {
                struct life_status status;
                const char *word;
        } cases[] = {
                { { .state = LIFE_CREATED }, NULL },
                { { .state = LIFE_ENDING, .is_ready = true }, NULL },
                { { .state = LIFE_EXITED }, NULL },
                { { .state = LIFE_KILLED }, NULL },
                { { .state = LIFE_STARTING }, "booting" },
                { { .state = LIFE_RUNNING }, "booting" },
                { { .state = LIFE_PAUSED, .is_ready = true }, "paused" },
                { { .state = LIFE_STARTING, .is_mute = true }, "stuck" },
        };
        const struct sandbox s = SANDBOX_NONE;

        for (size_t i = 0; i < array_size(cases); i++)
                ck_assert_pstr_eq(health_look(&s, &cases[i].status), cases[i].word);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_answers, test_silence, test_nobody_asked };

        return run_tests("health", tests, array_size(tests));
}
