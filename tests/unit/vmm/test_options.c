/* From words to a configuration, and its judge. */
#include "tests/unit/run.h"

#include <string.h>
#include <unistd.h>

#include "vmm/base/io.h"
#include "vmm/options.h"
#include "vmm/status.h"

#define WORDS_MAX 8

struct row {
        const char *words[WORDS_MAX];
        int status;
        const char *says;
};

static int read_words(struct options *o, const char *const *words, struct problem *p)
{
        char copies[WORDS_MAX][64], *argv[WORDS_MAX + 2] = { copies[0] };
        int argc = 1;

        *p = (struct problem){ 0 };
        for (; argc <= WORDS_MAX && words[argc - 1]; argc++)
                argv[argc] = strcpy(copies[argc - 1], words[argc - 1]);
        argv[argc] = NULL;
        return options_read(o, argc, argv, p);
}

START_TEST(test_what_is_wrong_is_said)
{
        static const struct row rows[] = {
                { { "--kernl", "x" }, VMM_E_USAGE, "did you mean --kernel?" },
                { { "--kernel" }, VMM_E_USAGE, "--kernel: FILE is missing" },
                { { "--kernel=" }, VMM_E_USAGE, "--kernel: FILE is missing" },
                { { "--cpus", "two" }, VMM_E_USAGE, "'two'" },
                { { "--cpus", "4294967296" }, VMM_E_USAGE, "number" },
                { { "--memory", "1.5G" }, VMM_E_USAGE, "size" },
                { { "--grace", "10" }, VMM_E_USAGE, "unit" },
                { { "--rng", "maybe" }, VMM_E_USAGE, "on or off" },
                { { "--platform", "pc" }, VMM_E_USAGE, "choose" },
                { { "--overcommit=on" }, VMM_E_USAGE, "takes no value" },
                { { "kernel" }, VMM_E_USAGE, "unexpected 'kernel'" },
                { { "-k" }, VMM_E_USAGE, "unexpected '-k'" },
                { { "--" }, VMM_E_USAGE, "unexpected '--'" },
                { { "--disk", "a,serial=" }, VMM_E_USAGE, "1 to 20" },
                { { "--disk", "a,serial=123456789012345678901" }, VMM_E_USAGE, "1 to 20" },
                { { "--disk", "a,bw=" }, VMM_E_USAGE, "'bw=' is not a size a second, such as bw=10M" },
                { { "--disk", "a,bw=0" }, VMM_E_USAGE, "'bw=0' is not a size" },
                { { "--disk", "a,bw=10M/s" }, VMM_E_USAGE, "'bw=10M/s' is not a size" },
                { { "--disk", "a,bw=16777216T" }, VMM_E_USAGE, "is not a size" },
                { { "--image", "a,iops=0" }, VMM_E_USAGE, "--image: 'iops=0' is not a number of requests" },
                { { "--disk", "a,iops=1k" }, VMM_E_USAGE, "'iops=1k' is not a number" },
                { { "--disk", "a,ops=1" }, VMM_E_USAGE, "bw=SIZE and iops=N are known" },
                { { "--balloon", "" }, VMM_E_USAGE, "--balloon: '' is unknown" },
                { { "--balloon", "64M,oom" }, VMM_E_USAGE, "'oom' is unknown" },
                { { "--balloon", "stats=5" }, VMM_E_USAGE, "'stats=5' is unknown" },
                { { "--disk", ",ro" }, VMM_E_USAGE, "FILE is missing" },
                { { "--net", "" }, VMM_E_USAGE, "begin with tap=NAME, tapfd=N, stream=SOCKET or fd=N" },
                { { "--net", "eth0" }, VMM_E_USAGE, "'eth0' is unknown" },
                { { "--net", "tap=" }, VMM_E_USAGE, "names nothing" },
                { { "--net", "tap=1234567890123456" }, VMM_E_USAGE, "names nothing" },
                { { "--net", "tapfd=x" }, VMM_E_USAGE, "not a number" },
                { { "--net", "fd=2147483648" }, VMM_E_USAGE, "not a number in range" },
                { { "--net", "tap=t,mac=2:0:0:0:0:1" }, VMM_E_USAGE, "02:00:00:00:00:01" },
                { { "--net", "tap=t,mac=02:00:00:00:00:01:" }, VMM_E_USAGE, "MAC" },
                { { "--net", "tap=t,mac=02:00:00:00:00:g1" }, VMM_E_USAGE, "MAC" },
                { { "--net", "tap=t,mtu=1k" }, VMM_E_USAGE, "'mtu=1k' is not a number" },
                { { "--net", "tap=t,pps=0" }, VMM_E_USAGE, "'pps=0' is not a number of packets" },
                { { "--net", "tap=t,iops=1" }, VMM_E_USAGE, "bw=SIZE and pps=N are known" },
                { { "--config", "/nonexistent" }, VMM_E_INPUT, "cannot read" },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct problem p;
                struct options o;

                ck_assert_int_eq(read_words(&o, rows[i].words, &p), -1);
                ck_assert_msg(p.status == rows[i].status && strstr(p.text, rows[i].says), "%s: %s",
                              rows[i].words[0], p.text);
                options_fini(&o);
        }
}
END_TEST

START_TEST(test_what_is_right_is_taken)
{
        static const char *const words[] = {
                "--kernel=k", "--cpus", "4",           "--memory=1G", "--disk=d,ro,serial=abc",
                "--image",    "i",      "--overcommit"
        };
        const char *list[WORDS_MAX + 1] = { NULL };
        struct problem p;
        struct options o;

        memcpy(list, words, sizeof(words));
        ck_assert_int_eq(read_words(&o, list, &p), 0);
        ck_assert_uint_eq(o.config.cpus, 4);
        ck_assert_uint_eq(o.config.memory_bytes, 1ull << 30);
        ck_assert_uint_eq(o.config.nr_disks, 2);
        /* The image is the first disk wherever it stands. */
        ck_assert_str_eq(o.config.disks[0].path, "i");
        ck_assert(o.config.disks[0].read_only && o.config.has_image && o.config.overcommit);
        ck_assert_str_eq(o.config.disks[1].path, "d");
        ck_assert_str_eq(o.config.disks[1].serial, "abc");
        ck_assert(o.config.disks[1].read_only);
        ck_assert_int_eq(config_check(&o.config, &p), 0);
        options_fini(&o);
}
END_TEST

START_TEST(test_rates_and_balloons)
{
        static const char *const words[WORDS_MAX + 1] = { "--disk=d,bw=10M,iops=100", "--image=i,iops=1",
                                                          "--balloon=64M,stats=5s,deflate-on-oom" },
                                                   *const off[WORDS_MAX + 1] = { "--balloon=64M",
                                                                                 "--balloon=off" };
        const struct rate_config *rate;
        struct problem p;
        struct options o;

        ck_assert_int_eq(read_words(&o, words, &p), 0);
        rate = &o.config.disks[1].rate;
        ck_assert(rate->bandwidth.size == 10 << 20 && rate->bandwidth.refill_ms == 1000);
        ck_assert(rate->ops.size == 100 && rate->ops.refill_ms == 1000 && !rate->ops.one_time_burst);
        rate = &o.config.disks[0].rate;
        ck_assert(!rate->bandwidth.size && rate->ops.size == 1);
        ck_assert(o.config.balloon.on && o.config.balloon.deflate_on_oom);
        ck_assert_uint_eq(o.config.balloon.target_bytes, 64 << 20);
        ck_assert_uint_eq(o.config.balloon.stats_interval_ns, 5000000000ull);
        options_fini(&o);
        ck_assert_int_eq(read_words(&o, off, &p), 0);
        ck_assert(!o.config.balloon.on && !o.config.balloon.target_bytes);
        options_fini(&o);
}
END_TEST

START_TEST(test_networks)
{
        static const char *const words[WORDS_MAX + 1] = { "--net=tap=t123456789abcde,queues=7,bw=1M,pps=9",
                                                          "--net=stream=s,vnet,mtu=68",
                                                          "--net=fd=5,mac=fe:DC:00:00:00:01,mtu=65520",
                                                          "--net=tapfd=7" };
        const struct config_net *n;
        struct problem p;
        struct options o;
        uint8_t mac[6];

        ck_assert_int_eq(read_words(&o, words, &p), 0);
        ck_assert_uint_eq(o.config.nr_nets, 4);
        n = o.config.nets;
        ck_assert(n[0].kind == NET_TAP && n[0].queues == 7 && n[0].tx.bandwidth.size == 1 << 20 &&
                  n[0].rx.ops.size == 9);
        ck_assert_str_eq(n[0].name, "t123456789abcde");
        ck_assert(n[1].kind == NET_STREAM && n[1].vnet && n[1].mtu == 68 && !strcmp(n[1].name, "s"));
        ck_assert(n[2].kind == NET_STREAM_FD && n[2].fd == 5 && !n[2].name && n[2].mtu == 65520);
        ck_assert(n[3].kind == NET_TAP_FD && n[3].fd == 7 && n[3].queues == 1 && !n[3].mtu);
        config_net_mac(&o.config, 2, mac);
        ck_assert_mem_eq(mac, "\xfe\xdc\0\0\0\1", 6);
        config_net_mac(&o.config, 3, mac);
        ck_assert_mem_eq(mac, "\x02vmlt\5", 6);
        o.config.kernel = "k";
        ck_assert_int_eq(config_check(&o.config, &p), 0);
        options_fini(&o);
}
END_TEST

START_TEST(test_limits_of_networks)
{
        static const struct {
                struct config_net net;
                unsigned disks;
                const char *says; /* NULL: it is good */
        } rows[] = {
                { { .kind = NET_TAP, .queues = 1 }, 15, NULL },
                { { .kind = NET_TAP, .queues = 1 }, 16, "16 disks and 1 networks are more than 16" },
                { { .kind = NET_TAP, .queues = 7 }, 0, NULL },
                { { .kind = NET_TAP, .queues = 8 }, 0, "1 to 7" },
                { { .kind = NET_TAP, .queues = 0 }, 0, "1 to 7" },
                { { .kind = NET_TAP_FD, .queues = 2 }, 0, "by its name" },
                { { .kind = NET_STREAM, .queues = 2 }, 0, "by its name" },
                { { .kind = NET_TAP, .queues = 1, .vnet = true }, 0, "vnet" },
                { { .kind = NET_STREAM, .queues = 1, .mtu = 67 }, 0, "68 to 65520" },
                { { .kind = NET_STREAM, .queues = 1, .mtu = 65521 }, 0, "68 to 65520" },
                { { .kind = NET_TAP, .queues = 1, .has_mac = true, .mac = { 3 } }, 0, "of a group" },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct vm_config c = { .kernel = "k",
                                       .cpus = 1,
                                       .memory_bytes = 64 << 20,
                                       .guest_cid = 3,
                                       .nr_nets = 1,
                                       .nr_disks = rows[i].disks,
                                       .nets = { rows[i].net },
                                       .log_limit_bytes = CONFIG_LOG_MIN };
                struct problem p = { 0 };
                int r = config_check(&c, &p);

                ck_assert_msg(!r == !rows[i].says && (!r || strstr(p.text, rows[i].says)), "row %u: %s", i,
                              p.text);
        }
}
END_TEST

START_TEST(test_eight_networks_and_no_more)
{
        char words[CONFIG_NETS_MAX + 1][16], *argv[CONFIG_NETS_MAX + 3] = { words[0] };
        struct problem p = { 0 };
        struct options o;

        for (unsigned i = 0; i <= CONFIG_NETS_MAX; i++)
                argv[i + 1] = strcpy(words[i], "--net=tap=t");
        ck_assert_int_eq(options_read(&o, CONFIG_NETS_MAX + 1, argv, &p), 0);
        options_fini(&o);
        ck_assert_int_eq(options_read(&o, CONFIG_NETS_MAX + 2, argv, &p), -1);
        ck_assert(strstr(p.text, "more than 8 networks"));
        options_fini(&o);
}
END_TEST

START_TEST(test_limits_of_the_balloon)
{
        static const struct {
                struct config_balloon balloon;
                bool ok;
        } rows[] = {
                { { .target_bytes = (64 << 20) - 1 }, true },  { { .target_bytes = 64 << 20 }, false },
                { { .stats_interval_ns = 0 }, true },          { { .stats_interval_ns = 999999999 }, false },
                { { .stats_interval_ns = 1000000000 }, true },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct vm_config c = { .kernel = "k",
                                       .cpus = 1,
                                       .memory_bytes = 64 << 20,
                                       .guest_cid = 3,
                                       .balloon = rows[i].balloon,
                                       .log_limit_bytes = CONFIG_LOG_MIN };
                struct problem p = { 0 };

                ck_assert_msg((config_check(&c, &p) == 0) == rows[i].ok, "row %u: %s", i, p.text);
        }
}
END_TEST

START_TEST(test_disks_up_to_the_limit)
{
        char *argv[CONFIG_DISKS_MAX + 3];
        struct problem p = { 0 };
        struct options o;

        for (unsigned i = 0; i < CONFIG_DISKS_MAX + 2; i++)
                argv[i] = strdup("--disk=d");
        argv[CONFIG_DISKS_MAX + 2] = NULL;
        ck_assert_int_eq(options_read(&o, CONFIG_DISKS_MAX + 1, argv, &p), 0);
        options_fini(&o);
        ck_assert_int_eq(options_read(&o, CONFIG_DISKS_MAX + 2, argv, &p), -1);
        ck_assert_ptr_nonnull(strstr(p.text, "more than 16 disks"));
        options_fini(&o);
        for (unsigned i = 0; i < CONFIG_DISKS_MAX + 2; i++)
                free(argv[i]);
}
END_TEST

static int read_file(struct options *o, const char *text, struct problem *p)
{
        char path[] = "/tmp/vmlet-test-XXXXXX";
        const char *words[WORDS_MAX] = { "--config", path };
        int fd = mkstemp(path), r;

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(io_write_all(fd, text, strlen(text)), 0);
        close(fd);
        r = read_words(o, words, p);
        unlink(path);
        return r;
}

START_TEST(test_a_file_says_the_same)
{
        struct problem p;
        struct options o;

        ck_assert_int_eq(
                read_file(
                        &o,
                        "{\"kernel\": \"k\", \"cpus\": 3, \"overcommit\": true, \"disk\": [\"a\", \"b,ro\"]}",
                        &p),
                0);
        ck_assert_str_eq(o.config.kernel, "k");
        ck_assert_uint_eq(o.config.cpus, 3);
        ck_assert(o.config.overcommit);
        ck_assert_uint_eq(o.config.nr_disks, 2);
        options_fini(&o);
}
END_TEST

START_TEST(test_a_file_that_is_wrong)
{
        static const struct {
                const char *text, *says;
        } rows[] = {
                { "", "not JSON" },
                { "[1]", "not a JSON object" },
                { "{\"kernl\":\"x\"}", "did you mean" },
                { "{\"cpus\":1.5}", "cpus" },
                { "{\"cpus\":{}}", "cpus" },
                { "{\"cpus\":[[1]]}", "cpus" },
                { "{\"help\":true}", "no place" },
                { "{\"cpus\":1,\"cpus\":2}", "not JSON" },
                { "{\"config\":\"x\"}", "no place" },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct problem p;
                struct options o;

                ck_assert_int_eq(read_file(&o, rows[i].text, &p), -1);
                ck_assert_msg(p.status == VMM_E_USAGE && strstr(p.text, rows[i].says), "%s: %s", rows[i].text,
                              p.text);
                options_fini(&o);
        }
}
END_TEST

START_TEST(test_limits_of_the_configuration)
{
        static const struct {
                uint64_t memory;
                unsigned cpus;
                uint64_t cid;
                bool ok;
        } rows[] = {
                { 32ull << 20, 1, 3, true },
                { (32ull << 20) - 1, 1, 3, false },
                { 30ull << 20, 1, 3, false },
                { 1ull << 40, 255, 3, true },
                { (1ull << 40) + (2 << 20), 1, 3, false },
                { 33ull << 20, 1, 3, false },
                { 64ull << 20, 0, 3, false },
                { 64ull << 20, 256, 3, false },
                { 64ull << 20, 1, 2, false },
                { 64ull << 20, 1, UINT32_MAX, false },
                { 64ull << 20, 1, UINT32_MAX - 1, true },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct vm_config c = {
                        .kernel = "k",
                        .cpus = rows[i].cpus,
                        .memory_bytes = rows[i].memory,
                        .guest_cid = rows[i].cid,
                        .log_limit_bytes = 256u << 10,
                };
                struct problem p = { 0 };

                ck_assert_msg((config_check(&c, &p) == 0) == rows[i].ok, "row %u: %s", i, p.text);
                c.log_limit_bytes--;
                ck_assert_int_eq(config_check(&c, &p), -1);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_what_is_wrong_is_said, test_what_is_right_is_taken,     test_disks_up_to_the_limit,
                test_a_file_says_the_same,  test_a_file_that_is_wrong,       test_limits_of_the_configuration,
                test_rates_and_balloons,    test_limits_of_the_balloon,      test_networks,
                test_limits_of_networks,    test_eight_networks_and_no_more,
        };

        return run_tests("options", tests, array_size(tests));
}
