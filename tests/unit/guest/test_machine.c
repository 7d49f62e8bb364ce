/*
 * What the agent knows of the machine and does to it, asked for over a connection of the engine.
 */
#include "guest/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/environment.h"
#include "guest/lines.h"
#include "tests/unit/guest/talk.h"

static struct engine engine;
static struct talk t;

static void begin(void)
{
        engine_start(&engine, NULL);
        talk_open(&t, &engine);
}

static void end(void)
{
        close(t.fd);
        engine_stop(&engine);
}

static char file[32];

static void write_file(const void *bytes, size_t len)
{
        strcpy(file, "/tmp/vmlet-test-XXXXXX");

        int fd = mkstemp(file);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
        close(fd);
}

struct seen {
        unsigned n, stop_at;
        size_t longest, total;
        char last[16];
};

static bool on_line(char *line, size_t len, void *owner)
{
        struct seen *seen = owner;

        seen->n++;
        seen->total += len;
        if (len > seen->longest)
                seen->longest = len;
        if (len < sizeof(seen->last)) {
                memcpy(seen->last, line, len);
                seen->last[len] = 0;
        }
        return seen->n != seen->stop_at;
}

START_TEST(test_lines)
{
        static char long_lines[2 * LINES_LONGEST + 64];
        struct seen seen = { 0 };

        write_file("one\n\ntwo", 8);
        ck_assert(lines_each(file, on_line, &seen));
        ck_assert_uint_eq(seen.n, 3);
        ck_assert_str_eq(seen.last, "two"); /* also without its newline */
        seen = (struct seen){ .stop_at = 1 };
        ck_assert(lines_each(file, on_line, &seen));
        ck_assert_uint_eq(seen.n, 1);
        unlink(file);
        ck_assert(!lines_each(file, on_line, &seen));

        /* as long as may be, one more, and what follows */
        memset(long_lines, 'x', sizeof(long_lines));
        long_lines[LINES_LONGEST - 1] = '\n';
        long_lines[2 * LINES_LONGEST] = '\n';
        memcpy(long_lines + 2 * LINES_LONGEST + 1, "end\n", 4);
        write_file(long_lines, 2 * LINES_LONGEST + 5);
        seen = (struct seen){ 0 };
        ck_assert(lines_each(file, on_line, &seen));
        ck_assert_uint_eq(seen.n, 2);
        ck_assert_uint_eq(seen.longest, LINES_LONGEST - 1);
        ck_assert_str_eq(seen.last, "end");
        unlink(file);
}
END_TEST

START_TEST(test_lines_of_an_endless_file)
{
        struct seen seen = { 0 };
        char *line = malloc(4096);
        int fd;

        memset(line, 'x', 4096);
        line[4095] = '\n';
        strcpy(file, "/tmp/vmlet-test-XXXXXX");
        fd = mkstemp(file);
        for (size_t i = 0; i < 2 * LINES_MOST / 4096; i++)
                ck_assert_int_eq(write(fd, line, 4096), 4096);
        close(fd);
        ck_assert(lines_each(file, on_line, &seen));
        ck_assert_uint_ge(seen.n, LINES_MOST / 4096);
        ck_assert_uint_le(seen.n, LINES_MOST / 4096 + 2);
        unlink(file);
        free(line);
}
END_TEST

static bool has_metric(const char *name, uint64_t least, uint64_t most)
{
        const uint8_t *at = t.bytes, *stop = t.bytes + t.frame.len;

        while (at < stop) {
                const char *found;
                size_t len, size;
                uint64_t value;

                ck_assert_int_eq(protocol_parse_metric(at, (size_t)(stop - at), &found, &len, &value, &size),
                                 0);
                if (len == strlen(name) && !memcmp(found, name, len)) {
                        ck_assert_msg(value >= least && value <= most, "%s %llu", name,
                                      (unsigned long long)value);
                        return true;
                }
                at += size;
        }
        return false;
}

START_TEST(test_report)
{
        static const struct {
                const char *name;
                uint64_t least, most;
        } rows[] = {
                { "uptime_ms", 1, 1ull << 50 },
                { "cpus", 1, 4096 },
                { "cpu_user_us", 1, 1ull << 60 },
                { "cpu_system_us", 1, 1ull << 60 },
                { "cpu_idle_us", 0, 1ull << 60 },
                { "load_1m_milli", 0, 1ull << 32 },
                { "memory_total_bytes", 1 << 20, 1ull << 50 },
                { "memory_free_bytes", 1, 1ull << 50 },
                { "memory_available_bytes", 1, 1ull << 50 },
                { "memory_cached_bytes", 0, 1ull << 50 },
                { "processes", 0, 1 << 22 },
                { "execs", 0, 0 },
                { "disk_read_bytes", 0, 1ull << 60 },
                { "disk_written_bytes", 0, 1ull << 60 },
                { "root_total_bytes", 0, 1ull << 60 },
                { "root_free_bytes", 0, 1ull << 60 },
                { "net_received_bytes", 0, 1ull << 60 },
                { "net_sent_bytes", 0, 1ull << 60 },
                { "agent_memory_bytes", 1, 1 << 26 },
                { "agent_descriptors", 3, 64 },
                { "frozen", 0, 0 },
        };

        begin();
        talk_frame(&t, PROTOCOL_METRICS, 9, NULL, 0);
        talk_expect(&t, PROTOCOL_REPORT, 9);
        for (size_t i = 0; i < array_size(rows); i++)
                ck_assert_msg(has_metric(rows[i].name, rows[i].least, rows[i].most), "%s is missing",
                              rows[i].name);
        end();
}
END_TEST

/* Even with the longest numbers there is room for every name. */
START_TEST(test_report_fits)
{
        static const struct machine_facts facts = { .execs = UINT32_MAX, .frozen = true };
        size_t names = 0, longest = 0;

        begin();
        talk_frame(&t, PROTOCOL_METRICS, 9, NULL, 0);
        talk_expect(&t, PROTOCOL_REPORT, 9);
        for (size_t i = 0; i < t.frame.len; i++)
                names += t.bytes[i] == '\n';
        for (size_t i = 0; i < t.frame.len; i++)
                longest += !(t.bytes[i] >= '0' && t.bytes[i] <= '9');
        ck_assert_uint_eq(names, 21);
        ck_assert_uint_le(PROTOCOL_HEADER_SIZE + longest + 20 * names,
                          PROTOCOL_SMALL_MAX - PROTOCOL_METRIC_LINE_MAX);

        uint8_t frame[PROTOCOL_SMALL_MAX];

        ck_assert_uint_le(machine_report(frame, 1, &facts), sizeof(frame));
        end();
}
END_TEST

static void send_exec(uint32_t id, const char *script, const char *const *env)
{
        static uint8_t frame[PROTOCOL_HEADER_SIZE + PROTOCOL_EXEC_MAX];
        const char *args[] = { "sh", "-c", script, NULL };
        struct protocol_exec_request req = { .id = id, .args = args, .env = env };
        size_t size;

        ck_assert_int_eq(protocol_build_exec(frame, &req, &size), 0);
        talk_send(&t, frame, size);
}

static void expect_output(uint32_t id, const char *text)
{
        char got[1024] = "";

        while (talk_next(&t) && t.frame.type == PROTOCOL_STDOUT && strlen(got) + t.frame.len < sizeof(got))
                strcat(got, (const char *)t.bytes);
        ck_assert_str_eq(got, text);
        ck_assert_int_eq(t.frame.type, PROTOCOL_EXIT);
        ck_assert_uint_eq(t.frame.id, id);
}

static void send_environment(uint32_t id, const char *const *items)
{
        static uint8_t frame[PROTOCOL_HEADER_SIZE + PROTOCOL_EXEC_MAX];
        size_t size;

        ck_assert_int_eq(protocol_build_environment(frame, id, items, &size), 0);
        talk_send(&t, frame, size);
}

START_TEST(test_environment_of_commands)
{
        static const char *const set[] = { "A=1", "B=2", "A=3", "PATH=/bin:/usr/bin", "HOME=/h", NULL };
        static const char *const change[] = { "B", "C=", "NOT_THERE", NULL };
        static const char *const own[] = { "A=own", NULL };

        begin();
        send_environment(1, set);
        talk_expect(&t, PROTOCOL_DONE, 1);
        send_exec(2, "echo $A $B $PATH $HOME", NULL);
        expect_output(2, "3 2 /bin:/usr/bin /h\n");
        send_exec(3, "echo $A $B; env | grep -c ^A=", own); /* its own goes before */
        expect_output(3, "own 2\n1\n");
        send_environment(4, change);
        talk_expect(&t, PROTOCOL_DONE, 4);
        send_exec(5, "echo $A ${B-no} ${C-no}.", NULL);
        expect_output(5, "3 no .\n");
        talk_frame(&t, PROTOCOL_ENVIRONMENT, 6, "\1\0\0\0=x", 7);
        talk_expect_error(&t, 0, PROTOCOL_FAULT_MALFORMED);
        ck_assert(!talk_next(&t));
        end();
}
END_TEST

START_TEST(test_environment_limits)
{
        static char name[ENVIRONMENT_ITEMS_MAX + 1][16], large[ENVIRONMENT_BYTES_MAX + 1];
        static const char *items[ENVIRONMENT_ITEMS_MAX + 2];
        const char *one[] = { large, NULL }, *more[] = { "ONE=more", NULL },
                   *gone[] = { "N7", "ONE=more", NULL };

        begin();
        for (size_t i = 0; i <= ENVIRONMENT_ITEMS_MAX; i++) {
                snprintf(name[i], sizeof(name[i]), "N%zu=%zu", i, i);
                items[i] = name[i];
        }
        send_environment(1, items);
        talk_expect_error(&t, 1, PROTOCOL_FAULT_RESOURCES);
        items[ENVIRONMENT_ITEMS_MAX] = NULL;
        send_environment(2, items);
        talk_expect(&t, PROTOCOL_DONE, 2);
        send_environment(3, more);
        talk_expect_error(&t, 3, PROTOCOL_FAULT_RESOURCES);
        send_environment(4, gone); /* all of it or nothing */
        talk_expect(&t, PROTOCOL_DONE, 4);
        send_exec(5, "echo $N0 ${N7-no} $N1023 $ONE; env | grep -c ^N", NULL);
        expect_output(5, "0 no 1023 more\n1023\n");
        for (size_t i = 0; i < ENVIRONMENT_ITEMS_MAX; i++)
                strchr(name[i], '=')[0] = 0;
        send_environment(6, items);
        talk_expect(&t, PROTOCOL_DONE, 6);

        /* ONE=more and its NUL are there */
        memset(large, 'x', ENVIRONMENT_BYTES_MAX);
        large[1] = '=';
        large[ENVIRONMENT_BYTES_MAX - 9] = 0;
        send_environment(7, one);
        talk_expect_error(&t, 7, PROTOCOL_FAULT_RESOURCES);
        large[ENVIRONMENT_BYTES_MAX - 10] = 0;
        send_environment(8, one);
        talk_expect(&t, PROTOCOL_DONE, 8);
        end();
}
END_TEST

START_TEST(test_ping_counts_and_freeze_refuses)
{
        static const uint8_t yes[4] = { 1 }, no[4] = { 0 }, two[4] = { 2 };
        uint32_t n;

        begin();
        send_exec(1, "sleep 1000", NULL);
        talk_frame(&t, PROTOCOL_PING, 2, NULL, 0);
        talk_expect(&t, PROTOCOL_DONE, 2);
        ck_assert_int_eq(protocol_parse_u32(t.bytes, t.frame.len, UINT32_MAX, &n), 0);
        ck_assert_uint_eq(n, 1);
        talk_frame(&t, PROTOCOL_FREEZE, 3, yes, 4); /* a child would have to share the connection */
        talk_expect_error(&t, 3, PROTOCOL_FAULT_BUSY);
        talk_frame(&t, PROTOCOL_SYNC, 4, NULL, 0);
        talk_expect_error(&t, 4, PROTOCOL_FAULT_BUSY);
        close(t.fd);

        talk_open(&t, &engine);
        talk_frame(&t, PROTOCOL_FREEZE, 1, yes, 4);
        talk_expect(&t, PROTOCOL_DONE, 1);
        send_exec(2, "true", NULL);
        talk_expect_error(&t, 2, PROTOCOL_FAULT_BUSY);
        talk_frame(&t, PROTOCOL_METRICS, 3, NULL, 0);
        talk_expect(&t, PROTOCOL_REPORT, 3);
        ck_assert(has_metric("frozen", 1, 1));
        talk_frame(&t, PROTOCOL_FREEZE, 4, no, 4);
        talk_expect(&t, PROTOCOL_DONE, 4);
        send_exec(5, "echo on", NULL);
        expect_output(5, "on\n");
        talk_frame(&t, PROTOCOL_FREEZE, 6, two, 4);
        talk_expect_error(&t, 0, PROTOCOL_FAULT_MALFORMED);
        end();
}
END_TEST

START_TEST(test_sync_and_clock)
{
        begin();
        talk_frame(&t, PROTOCOL_SYNC, 1, NULL, 0);
        talk_frame(&t, PROTOCOL_PING, 2, NULL, 0); /* waits for its turn behind the child */
        talk_expect(&t, PROTOCOL_DONE, 1);
        talk_expect(&t, PROTOCOL_DONE, 2);
        talk_frame(&t, PROTOCOL_CLOCK, 3, "\xff\xff\xff\xff\xff\xff\xff\xff",
                   8); /* beyond what the kernel counts */
        talk_expect_error(&t, 3, PROTOCOL_FAULT_SYSTEM);
        ck_assert_uint_eq(t.error.host_errno, EINVAL);
        end();
}
END_TEST

/* Finds the record of @pid in the last frame. */
static bool find_process(uint32_t pid, struct protocol_process *ret)
{
        size_t size;

        for (size_t at = 0; at < t.frame.len; at += size) {
                ck_assert_int_eq(protocol_parse_process(t.bytes + at, t.frame.len - at, ret, &size), 0);
                if (ret->pid == pid)
                        return true;
        }
        return false;
}

START_TEST(test_processes)
{
        struct protocol_process p = { 0 };
        static const uint8_t all[4] = { 1 };
        bool found = false, has_first = false;

        begin();
        talk_frame(&t, PROTOCOL_PROCESSES, 1, all, 4);
        for (;;) {
                ck_assert(talk_next(&t));
                if (t.frame.type != PROTOCOL_PROCESS)
                        break;
                has_first = has_first || find_process(1, &p);
                if (!found && find_process((uint32_t)getpid(), &p)) {
                        found = true;
                        ck_assert_uint_eq(p.ppid, (uint32_t)getppid());
                        ck_assert_uint_eq(p.uid, getuid());
                        ck_assert(getuid() || !strcmp(p.user, "root"));
                        ck_assert_ptr_nonnull(strstr(p.command, "test_machine"));
                        ck_assert(p.state == 'R' || p.state == 'S');
                        ck_assert_uint_gt(p.memory_bytes, 100000);
                        ck_assert_uint_gt(p.started_ns, 1500000000ull * 1000000000);
                }
        }
        ck_assert_int_eq(t.frame.type, PROTOCOL_DONE);
        ck_assert(found && !has_first);
        end();
}
END_TEST

START_TEST(test_without_a_root)
{
        static const struct engine_options options = { PROTOCOL_STATE_NO_ROOT, "no disk" };
        static const enum protocol_type types[] = { PROTOCOL_METRICS, PROTOCOL_SYNC };

        engine_start(&engine, &options);
        talk_open(&t, &engine);
        for (uint32_t i = 0; i < array_size(types); i++) {
                talk_frame(&t, types[i], i + 1, NULL, 0);
                talk_expect_error(&t, i + 1, PROTOCOL_FAULT_NO_ROOT);
        }
        end();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_lines,
                test_lines_of_an_endless_file,
                test_report,
                test_report_fits,
                test_environment_of_commands,
                test_environment_limits,
                test_ping_counts_and_freeze_refuses,
                test_sync_and_clock,
                test_processes,
                test_without_a_root,
        };

        return run_tests("machine", tests, array_size(tests));
}
