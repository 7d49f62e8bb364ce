/*
 * FILE and its answers: what is right both ways, and tables of what is not.
 */
#include "guest/protocol_file.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"

static uint8_t out[PROTOCOL_HEADER_SIZE + 12288];

static const struct protocol_file plain = { .op = PROTOCOL_FILE_STAT,
                                            .mode = PROTOCOL_FILE_KEEP,
                                            .uid = PROTOCOL_FILE_KEEP,
                                            .gid = PROTOCOL_FILE_KEEP };

static char *repeat(size_t n)
{
        char *s = malloc(n + 1);

        memset(s, 'x', n);
        s[n] = 0;
        return s;
}

START_TEST(test_both_ways)
{
        const struct protocol_file req = { .op = PROTOCOL_FILE_COPY,
                                           .flags = PROTOCOL_FILE_RECURSIVE | PROTOCOL_FILE_EXCLUSIVE,
                                           .mode = 0640,
                                           .uid = 1,
                                           .gid = 2,
                                           .depth = 3,
                                           .offset = 1ull << 40,
                                           .length = UINT64_MAX,
                                           .user = "bob:wheel",
                                           .path = "/a",
                                           .to = "b\n" };
        struct protocol_frame frame;
        struct protocol_file got;
        size_t size, size_only;

        ck_assert_int_eq(protocol_build_file(NULL, 5, &req, &size_only), 0);
        ck_assert_int_eq(protocol_build_file(out, 5, &req, &size), 0);
        ck_assert_uint_eq(size, size_only);
        ck_assert_int_eq(protocol_parse_header(out, size, PROTOCOL_FROM_CLIENT, &frame), 0);
        ck_assert_uint_eq(frame.len + PROTOCOL_HEADER_SIZE, size);
        ck_assert_int_eq(protocol_parse_file(out + PROTOCOL_HEADER_SIZE, frame.len, &got), 0);
        ck_assert(got.op == req.op && got.flags == req.flags && got.mode == req.mode && got.uid == req.uid);
        ck_assert(got.gid == req.gid && got.depth == req.depth && got.offset == req.offset);
        ck_assert_uint_eq(got.length, req.length);
        ck_assert_str_eq(got.user, req.user);
        ck_assert_str_eq(got.path, req.path);
        ck_assert_str_eq(got.to, req.to);
}
END_TEST

static int rebuild(struct protocol_file req)
{
        struct protocol_file got;
        size_t size;
        int r = protocol_build_file(out, 1, &req, &size);

        return r ? r : protocol_parse_file(out + PROTOCOL_HEADER_SIZE, size - PROTOCOL_HEADER_SIZE, &got);
}

START_TEST(test_limits)
{
        struct protocol_file req = plain;
        char *most_path = repeat(PROTOCOL_PATH_MAX), *path = repeat(PROTOCOL_PATH_MAX + 1),
             *most_user = repeat(PROTOCOL_USER_MAX), *user = repeat(PROTOCOL_USER_MAX + 1);

        req.user = most_user;
        req.path = req.to = most_path;
        ck_assert_int_eq(rebuild(req), 0);
        req.to = path;
        ck_assert_int_eq(rebuild(req), PROTOCOL_E_STRING);
        req.to = NULL;
        req.user = user;
        ck_assert_int_eq(rebuild(req), PROTOCOL_E_STRING);
        req.user = NULL;
        req.mode = 07777;
        ck_assert_int_eq(rebuild(req), 0);
        req.mode = 010000;
        ck_assert_int_eq(rebuild(req), PROTOCOL_E_VALUE);
        req = plain;
        req.op = PROTOCOL_FILE_OP_NR;
        ck_assert_int_eq(rebuild(req), PROTOCOL_E_VALUE);
        req.op = (enum protocol_file_op)0;
        ck_assert_int_eq(rebuild(req), PROTOCOL_E_VALUE);
        req = plain;
        req.flags = PROTOCOL_FILE_RECURSIVE;
        ck_assert_int_eq(rebuild(req), PROTOCOL_E_FLAGS);
        for (uint32_t op = 1; op < PROTOCOL_FILE_OP_NR; op++) {
                req.op = (enum protocol_file_op)op;
                req.flags = 0x100;
                ck_assert_int_eq(rebuild(req), PROTOCOL_E_FLAGS);
                req.flags = 0;
                ck_assert_int_eq(rebuild(req), 0);
        }
        free(most_path);
        free(path);
        free(most_user);
        free(user);
}
END_TEST

START_TEST(test_malformed_requests)
{
        struct protocol_file req = plain, got;
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;
        size_t size;

        req.path = "/etc";
        ck_assert_int_eq(protocol_build_file(out, 1, &req, &size), 0);
        size -= PROTOCOL_HEADER_SIZE;
        ck_assert_int_eq(protocol_parse_file(p, 50, &got), PROTOCOL_E_LENGTH);
        ck_assert_int_eq(protocol_parse_file(p, size - 1, &got), PROTOCOL_E_STRING);
        p[size] = 0;
        ck_assert_int_eq(protocol_parse_file(p, size + 1, &got), PROTOCOL_E_STRING); /* a byte too many */
        p[40] = 1;
        ck_assert_int_eq(protocol_parse_file(p, size, &got), PROTOCOL_E_RESERVED);
}
END_TEST

START_TEST(test_status)
{
        const struct protocol_status s = { .mode = 0120777,
                                           .uid = 1,
                                           .gid = 2,
                                           .nlink = 3,
                                           .size = 1ull << 50,
                                           .disk_bytes = 512,
                                           .mtime_ns = 1700000000123456789,
                                           .ino = 5,
                                           .rdev = 6,
                                           .name = "link",
                                           .target = "where" };
        uint8_t p[PROTOCOL_STATUS_MAX + 4];
        struct protocol_status got;
        size_t size = protocol_put_status(p, &s), got_size;

        ck_assert_uint_eq(size, 64 + 5 + 6);
        ck_assert_int_eq(protocol_parse_status(p, size, &got, &got_size), 0);
        ck_assert(got_size == size && got.mode == s.mode && got.uid == s.uid && got.gid == s.gid);
        ck_assert(got.nlink == s.nlink && got.size == s.size && got.disk_bytes == s.disk_bytes);
        ck_assert(got.mtime_ns == s.mtime_ns && got.ino == s.ino && got.rdev == s.rdev);
        ck_assert_str_eq(got.name, "link");
        ck_assert_str_eq(got.target, "where");

        ck_assert_int_eq(protocol_parse_status(p, size - 1, &got, &got_size), PROTOCOL_E_LENGTH);
        ck_assert_int_eq(protocol_parse_status(p, 65, &got, &got_size), PROTOCOL_E_LENGTH);
        p[0] = (uint8_t)(size - 1); /* the target does not end */
        ck_assert_int_eq(protocol_parse_status(p, size, &got, &got_size), PROTOCOL_E_STRING);
        p[0] = (uint8_t)(size + 4); /* a later agent tells more */
        ck_assert_int_eq(protocol_parse_status(p, size + 4, &got, &got_size), 0);
        ck_assert_uint_eq(got_size, size + 4);

        char *name = repeat(PROTOCOL_PATH_MAX);
        const struct protocol_status longest = { .name = name, .target = name };

        ck_assert_uint_eq(protocol_put_status(p, &longest), PROTOCOL_STATUS_MAX);
        ck_assert_int_eq(protocol_parse_status(p, PROTOCOL_STATUS_MAX, &got, &got_size), 0);
        free(name);
}
END_TEST

START_TEST(test_events)
{
        const struct protocol_event e = {
                .kind = PROTOCOL_EVENT_RENAMED_TO, .cookie = 77, .is_dir = true, .name = "a/b"
        };
        struct protocol_frame frame;
        struct protocol_event got;
        size_t size = protocol_put_event(out, 9, &e);
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;

        ck_assert_int_eq(protocol_parse_header(out, size, PROTOCOL_FROM_AGENT, &frame), 0);
        ck_assert_int_eq(protocol_parse_event(p, frame.len, &got), 0);
        ck_assert(got.kind == e.kind && got.cookie == 77 && got.is_dir);
        ck_assert_str_eq(got.name, "a/b");
        ck_assert_int_eq(protocol_parse_event(p, 12, &got), PROTOCOL_E_LENGTH);
        ck_assert_int_eq(protocol_parse_event(p, frame.len - 1, &got), PROTOCOL_E_STRING);
        p[8] = 2;
        ck_assert_int_eq(protocol_parse_event(p, frame.len, &got), PROTOCOL_E_VALUE);
        p[8] = 0;
        p[0] = PROTOCOL_EVENT_NR;
        ck_assert_int_eq(protocol_parse_event(p, frame.len, &got), PROTOCOL_E_VALUE);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_both_ways, test_limits, test_malformed_requests, test_status,
                                       test_events };

        return run_tests("protocol_file", tests, array_size(tests));
}
