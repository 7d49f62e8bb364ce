/* The API without sockets: bodies by their tables, requests and their answers, the configuration that comes out. */
#include "api/vm/routes.h"

#include <string.h>

#include "tests/unit/run.h"

/* A structure of every kind, and its table. */
struct inner {
        bool given;
        struct schema_number n;
};
struct outer {
        bool given;
        struct schema_text text;
        struct schema_flag flag;
        struct schema_number number, choice, list;
        struct inner inner;
};
static const char *const words[] = { "one", "Two", NULL };
static const struct schema_field inner_fields[] = {
        { .name = "n", .kind = SCHEMA_NUMBER, .offset = offsetof(struct inner, n), .required = true },
};
static const struct schema inner_schema = { "Inner", sizeof(struct inner), inner_fields, 1 };
static const struct schema_field fields[] = {
        { .name = "text", .kind = SCHEMA_TEXT, .offset = offsetof(struct outer, text) },
        { .name = "flag", .kind = SCHEMA_FLAG, .offset = offsetof(struct outer, flag) },
        { .name = "number",
          .kind = SCHEMA_NUMBER,
          .offset = offsetof(struct outer, number),
          .required = true,
          .min = 3,
          .max = 5 },
        { .name = "choice",
          .kind = SCHEMA_CHOICE,
          .offset = offsetof(struct outer, choice),
          .choices = words,
          .any_case = true },
        { .name = "list", .kind = SCHEMA_LIST, .offset = offsetof(struct outer, list) },
        { .name = "inner",
          .kind = SCHEMA_OBJECT,
          .offset = offsetof(struct outer, inner),
          .object = &inner_schema },
};
static const struct schema outer_schema = { "Outer", sizeof(struct outer), fields, array_size(fields) };

START_TEST(test_read_and_write)
{
        static const char text[] =
                "{\"text\":\"a\\\"b\",\"flag\":true,\"number\":4,\"choice\":\"two\",\"list\":[1,[]],"
                "\"inner\":{\"n\":9223372036854775807}}";
        struct problem p = { 0 };
        struct json_t *doc;
        struct outer o;
        char *out = NULL;
        size_t len = 0;
        FILE *f;

        ck_assert(!schema_read(&outer_schema, text, strlen(text), &o, &doc, &p));
        ck_assert(o.given && o.inner.given && o.flag.v && !strcmp(o.text.v, "a\"b"));
        ck_assert_uint_eq(o.number.v, 4);
        ck_assert_uint_eq(o.choice.v, 1);
        ck_assert_uint_eq(o.list.v, 2);
        ck_assert_uint_eq(o.inner.n.v, INT64_MAX);
        f = open_memstream(&out, &len);
        schema_write(&outer_schema, &o, f);
        (void)fclose(f);
        ck_assert_str_eq(out,
                         "{\"text\":\"a\\\"b\",\"flag\":true,\"number\":4,\"choice\":\"Two\",\"list\":[],"
                         "\"inner\":{\"n\":9223372036854775807}}");
        free(out);
        json_free(doc);
}
END_TEST

START_TEST(test_bad_bodies)
{
        static const struct {
                const char *text, *says;
        } rows[] = {
                { "", "deserializing" },
                { "{", "deserializing" },
                { "3", "must be an object" },
                { "null", "must be an object" },
                { "{\"number\":4} x", "deserializing" },
                { "{\"number\":4,\"number\":4}", "duplicate" },
                { "{}", "missing field `number`" },
                { "{\"number\":null}", "missing field `number`" },
                { "{\"number\":2}", "from 3 to 5" },
                { "{\"number\":6}", "from 3 to 5" },
                { "{\"number\":-1}", "from 3 to 5" },
                { "{\"number\":4.0}", "`number` must be" },
                { "{\"number\":\"4\"}", "`number` must be" },
                { "{\"number\":9223372036854775808}", "too big" },
                { "{\"number\":4,\"text\":1}", "`text` must be a string" },
                { "{\"number\":4,\"text\":\"\\u0000\"}", "deserializing" },
                { "{\"number\":4,\"flag\":0}", "`flag` must be true or false" },
                { "{\"number\":4,\"choice\":\"\"}", "one of \"one\", \"Two\"" },
                { "{\"number\":4,\"choice\":1}", "one of \"one\", \"Two\"" },
                { "{\"number\":4,\"list\":{}}", "`list` must be a list" },
                { "{\"number\":4,\"inner\":[]}", "`inner` must be an object" },
                { "{\"number\":4,\"inner\":{}}", "missing field `n`" },
                { "{\"number\":4,\"inner\":{\"m\":1}}", "unknown field `m` of Inner" },
                { "{\"number\":4,\"Number\":4}", "unknown field `Number` of Outer" },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct json_t *doc = NULL;
                struct problem p = { 0 };
                struct outer o;

                ck_assert(schema_read(&outer_schema, rows[i].text, strlen(rows[i].text), &o, &doc, &p));
                ck_assert_msg(strstr(p.text, rows[i].says), "%s: %s", rows[i].text, p.text);
                ck_assert(!doc && !o.given && !o.text.given);
        }
}
END_TEST

/* What start() was given last. */
static struct vm_config started;
static unsigned starts;

static int on_start(void *ctx, const struct vm_config *c, struct control **ret, struct problem *p)
{
        (void)ret;
        started = *c;
        starts++;
        return problem_set(p, 3, "%s", (const char *)ctx);
}

static struct vm_config base = { .id = "",
                                 .cpus = 1,
                                 .memory_bytes = 128ull << 20,
                                 .log_limit_bytes = CONFIG_LOG_MIN,
                                 .guest_cid = 3,
                                 .rng = true };
static struct vm vm;

static void set_up(void)
{
        static char words_of_start[] = "no \"start\" \xc3 today";
        const struct api_config cfg = { .base = &base, .start = on_start, .ctx = words_of_start };

        vm_init(&vm, &cfg);
}

static void ask(unsigned status, const char *says, const char *method, const char *path, const char *body)
{
        struct routes_answer a;

        routes_answer(&vm, method, path, body, body ? strlen(body) : 0, &a);
        ck_assert_msg(a.status == status, "%s %s: %u, %s", method, path, a.status, a.body ? a.body : "");
        ck_assert_msg(says ? a.body && strstr(a.body, says) : !a.body && !a.len, "%s %s: %s", method, path,
                      a.body ? a.body : "");
        free(a.body);
}

START_TEST(test_configuration)
{
        const struct config_disk disk = { .path = "/dev/zero",
                                          .direct = true,
                                          .serial = "it",
                                          .rate.bandwidth = { .size = 7, .refill_ms = 8 } };

        base.nr_disks = 1;
        base.disks[0] = disk;
        set_up();
        ask(200,
            "\"path_on_host\":\"/dev/zero\",\"rate_limiter\":{\"bandwidth\":{\"size\":7,\"one_time_burst\":0,"
            "\"refill_time\":8}}}",
            "GET", "/vm/config", NULL);
        ask(400, "PUT /boot-source", "PUT", "/actions", "{\"action_type\":\"InstanceStart\"}");
        ask(204, NULL, "PUT", "/boot-source", "{\"kernel_image_path\":\"/dev/null\"}");
        ask(204, NULL, "PUT", "/drives/more",
            "{\"drive_id\":\"more\",\"is_root_device\":false,\"path_on_host\":\"/dev/full\",\"rate_limiter\":"
            "{\"ops\":{\"size\":5,\"refill_time\":100}}}");
        ask(204, NULL, "PUT", "/drives/root",
            "{\"drive_id\":\"root\",\"is_root_device\":true,\"is_read_only\":true,\"path_on_host\":\"/dev/"
            "null\"}");
        ask(204, NULL, "PUT", "/vsock", "{\"guest_cid\":9,\"uds_path\":\"v\"}");
        ask(204, NULL, "PATCH", "/machine-config", "{\"vcpu_count\":32}");
        ask(400, "no \\\"start\\\" ? today", "PUT", "/actions", "{\"action_type\":\"InstanceStart\"}");
        ck_assert_uint_eq(starts, 1);
        ck_assert_str_eq(started.kernel, "/dev/null");
        ck_assert_str_eq(started.initrd, "none");
        ck_assert(started.bare_cmdline && strstr(started.append, "8250.nr_uarts=0"));
        ck_assert(started.has_image && started.nr_disks == 3 && !started.rng);
        ck_assert(!strcmp(started.disks[0].path, "/dev/null") && started.disks[0].read_only);
        ck_assert(!strcmp(started.disks[1].path, "/dev/zero") && started.disks[1].direct);
        ck_assert(started.disks[1].rate.bandwidth.size == 7 && !started.disks[1].rate.ops.size);
        ck_assert(!strcmp(started.disks[2].path, "/dev/full") && started.disks[2].rate.ops.size == 5);
        ck_assert_uint_eq(started.disks[2].rate.ops.refill_ms, 100);
        ck_assert(started.guest_cid == 9 && !strcmp(started.vsock_path, "v"));
        ck_assert_uint_eq(started.cpus, 32);
        /* What was refused may be mended and tried again. */
        ask(204, NULL, "PUT", "/boot-source",
            "{\"kernel_image_path\":\"/dev/zero\",\"initrd_path\":\"agent\",\"boot_args\":\"a b\"}");
        ask(204, NULL, "PUT", "/drives/root",
            "{\"drive_id\":\"root\",\"is_root_device\":true,\"partuuid\":\"0f-1\",\"path_on_host\":\"/dev/"
            "null\"}");
        ask(204, NULL, "PUT", "/entropy", "{}");
        ask(400, "today", "PUT", "/actions", "{\"action_type\":\"InstanceStart\"}");
        ck_assert(!started.initrd && started.rng && !started.has_image);
        ck_assert_str_eq(started.append, "root=PARTUUID=0f-1 rw a b");
        vm_fini(&vm);
}
END_TEST

START_TEST(test_config_is_shown)
{
        static const char expected[] =
                "{\"drives\":[{\"drive_id\":\"x\",\"is_root_device\":false,\"cache_type\":\"Writeback\","
                "\"is_read_only\":false,\"path_on_host\":\"/dev/null\",\"io_engine\":\"Sync\"}],"
                "\"boot-source\":{\"kernel_image_path\":\"/dev/null\",\"boot_args\":\"\\u000a\\\"\"},"
                "\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":64,\"smt\":false,\"track_dirty_"
                "pages\":false,"
                "\"huge_pages\":\"Transparent\"},\"network-interfaces\":[]}";

        set_up();
        ask(204, NULL, "PUT", "/machine-config",
            "{\"vcpu_count\":2,\"mem_size_mib\":64,\"huge_pages\":\"Transparent\"}");
        ask(204, NULL, "PUT", "/boot-source",
            "{\"kernel_image_path\":\"/dev/null\",\"boot_args\":\"\\n\\\"\"}");
        ask(204, NULL, "PUT", "/drives/x",
            "{\"drive_id\":\"x\",\"is_root_device\":false,\"cache_type\":\"Writeback\",\"path_on_host\":\"/"
            "dev/null\"}");
        ask(200, expected, "GET", "/vm/config", NULL);
        vm_fini(&vm);
}
END_TEST

#define NET(id, rest) "{\"iface_id\":\"" id "\",\"host_dev_name\":\"tap_" id "\"" rest "}"

START_TEST(test_network_interfaces)
{
        set_up();
        ask(204, NULL, "PUT", "/network-interfaces/a", NET("a", ",\"guest_mac\":\"06:00:AC:10:00:02\""));
        ask(204, NULL, "PUT", "/network-interfaces/b",
            NET("b", ",\"tx_rate_limiter\":{\"bandwidth\":{\"size\":1000,\"refill_time\":10}}"));
        ask(204, NULL, "PUT", "/network-interfaces/a", NET("a", ",\"guest_mac\":\"06:00:ac:10:00:02\""));
        ask(400, "already in use", "PUT", "/network-interfaces/b",
            NET("b", ",\"guest_mac\":\"06:00:ac:10:00:02\""));
        ask(400, "no address of one", "PUT", "/network-interfaces/b",
            NET("b", ",\"guest_mac\":\"07:00:ac:10:00:02\""));
        ask(400, "no address of one", "PUT", "/network-interfaces/b",
            NET("b", ",\"guest_mac\":\"6:0:ac:10:0:2\""));
        ask(400, "does not match", "PUT", "/network-interfaces/c", NET("b", ""));
        ask(400, "1 to 15 bytes", "PUT", "/network-interfaces/c",
            "{\"iface_id\":\"c\",\"host_dev_name\":\"\"}");
        ask(400, "1 to 15 bytes", "PUT", "/network-interfaces/c",
            "{\"iface_id\":\"c\",\"host_dev_name\":\"1234567890123456\"}");
        ask(400, "missing field", "PUT", "/network-interfaces/c", "{\"iface_id\":\"c\"}");
        ask(400, "before starting", "PATCH", "/network-interfaces/a", "{\"iface_id\":\"a\"}");
        for (char id[] = "c"; *id <= 'h'; (*id)++) {
                char path[32], body[80];

                (void)snprintf(path, sizeof(path), "/network-interfaces/%s", id);
                (void)snprintf(body, sizeof(body), "{\"iface_id\":\"%s\",\"host_dev_name\":\"t%s\"}", id, id);
                ask(204, NULL, "PUT", path, body);
        }
        ask(400, "More than 8", "PUT", "/network-interfaces/i", NET("i", ""));
        ask(204, NULL, "PUT", "/boot-source", "{\"kernel_image_path\":\"/dev/null\"}");
        ask(400, "today", "PUT", "/actions", "{\"action_type\":\"InstanceStart\"}");
        ck_assert_uint_eq(started.nr_nets, 8);
        ck_assert(started.nets[0].kind == NET_TAP && started.nets[0].has_mac &&
                  started.nets[0].mac[2] == 0xac);
        ck_assert_str_eq(started.nets[1].name, "tap_b");
        ck_assert(!started.nets[1].has_mac && started.nets[1].tx.bandwidth.size == 1000);
        ck_assert(!started.nets[1].rx.bandwidth.size && started.nets[1].queues == 1);
        vm_fini(&vm);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_read_and_write, test_bad_bodies, test_configuration,
                                       test_config_is_shown, test_network_interfaces };

        return run_tests("api", tests, array_size(tests));
}
