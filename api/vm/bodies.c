/*
 * The bodies of the API, as tables.
 * Input:  none.
 * Runs:   loop thread.
 * Limits: those of Firecracker's API where it has them.
 */
#include "api/vm/bodies.h"

#include "vmm/base/compiler.h"
#include "vmm/config.h"

#define VCPUS_MAX      32u
#define INTERVAL_S_MAX 65535u

#define AT(type, field) offsetof(struct type, field)
#define FIELD(k, type, n)                                                                                    \
        {                                                                                                    \
                .name = #n, .kind = (k), .offset = AT(type, n)                                               \
        }
#define REQUIRED(k, type, n)                                                                                 \
        {                                                                                                    \
                .name = #n, .kind = (k), .offset = AT(type, n), .required = true                             \
        }
#define NUMBER(type, n, low, high)                                                                           \
        {                                                                                                    \
                .name = #n, .kind = SCHEMA_NUMBER, .offset = AT(type, n), .min = (low), .max = (high)        \
        }
#define REQUIRED_NUMBER(type, n, low, high)                                                                  \
        {                                                                                                    \
                .name = #n, .kind = SCHEMA_NUMBER, .offset = AT(type, n), .min = (low), .max = (high),       \
                .required = true                                                                             \
        }
#define CHOICE(type, n, words)                                                                               \
        {                                                                                                    \
                .name = #n, .kind = SCHEMA_CHOICE, .offset = AT(type, n), .choices = (words)                 \
        }
#define REQUIRED_CHOICE(type, n, words)                                                                      \
        {                                                                                                    \
                .name = #n, .kind = SCHEMA_CHOICE, .offset = AT(type, n), .choices = (words),                \
                .required = true                                                                             \
        }
#define OBJECT(type, n, schema)                                                                              \
        {                                                                                                    \
                .name = #n, .kind = SCHEMA_OBJECT, .offset = AT(type, n), .object = &(schema)                \
        }
#define SCHEMA(name_, type, table)                                                                           \
        {                                                                                                    \
                .name = (name_), .size = sizeof(struct type), .fields = (table),                             \
                .nr_fields = array_size(table)                                                               \
        }

static const char *const templates[] = { "None", "C3", "T2", "T2S", "T2CL", "T2A", "V1N1", NULL };
static const char *const pages[] = { "None", "Transparent", "2M", NULL };
static const char *const caches[] = { "Unsafe", "Writeback", NULL };
static const char *const engines[] = { "Sync", "Async", NULL };
static const char *const levels[] = { "Off", "Error", "Warning", "Info", "Debug", "Trace", NULL };
static const char *const actions[] = { "FlushMetrics", "InstanceStart", "SendCtrlAltDel", NULL };
static const char *const states[] = { "Paused", "Resumed", NULL };

static const struct schema_field bucket[] = {
        REQUIRED_NUMBER(body_bucket, size, 0, 0),
        NUMBER(body_bucket, one_time_burst, 0, 0),
        REQUIRED_NUMBER(body_bucket, refill_time, 0, 0),
};
static const struct schema bucket_schema = SCHEMA("TokenBucket", body_bucket, bucket);

static const struct schema_field rate[] = {
        OBJECT(body_rate, bandwidth, bucket_schema),
        OBJECT(body_rate, ops, bucket_schema),
};
static const struct schema rate_schema = SCHEMA("RateLimiter", body_rate, rate);

static const struct schema_field boot[] = {
        REQUIRED(SCHEMA_TEXT, body_boot, kernel_image_path),
        FIELD(SCHEMA_TEXT, body_boot, initrd_path),
        FIELD(SCHEMA_TEXT, body_boot, boot_args),
};
const struct schema body_boot_schema = SCHEMA("BootSource", body_boot, boot);

static const struct schema_field machine[] = {
        REQUIRED_NUMBER(body_machine, vcpu_count, 1, VCPUS_MAX),
        REQUIRED_NUMBER(body_machine, mem_size_mib, CONFIG_MEMORY_MIN >> 20, CONFIG_MEMORY_MAX >> 20),
        FIELD(SCHEMA_FLAG, body_machine, smt),
        FIELD(SCHEMA_FLAG, body_machine, track_dirty_pages),
        CHOICE(body_machine, cpu_template, templates),
        CHOICE(body_machine, huge_pages, pages),
};
const struct schema body_machine_schema = SCHEMA("MachineConfiguration", body_machine, machine);

static const struct schema_field machine_update[] = {
        NUMBER(body_machine, vcpu_count, 1, VCPUS_MAX),
        NUMBER(body_machine, mem_size_mib, CONFIG_MEMORY_MIN >> 20, CONFIG_MEMORY_MAX >> 20),
        FIELD(SCHEMA_FLAG, body_machine, smt),
        FIELD(SCHEMA_FLAG, body_machine, track_dirty_pages),
        CHOICE(body_machine, cpu_template, templates),
        CHOICE(body_machine, huge_pages, pages),
};
const struct schema body_machine_update_schema =
        SCHEMA("MachineConfigurationUpdate", body_machine, machine_update);

static const struct schema_field cpu[] = {
        FIELD(SCHEMA_LIST, body_cpu, kvm_capabilities), FIELD(SCHEMA_LIST, body_cpu, cpuid_modifiers),
        FIELD(SCHEMA_LIST, body_cpu, msr_modifiers),    FIELD(SCHEMA_LIST, body_cpu, reg_modifiers),
        FIELD(SCHEMA_LIST, body_cpu, vcpu_features),
};
const struct schema body_cpu_schema = SCHEMA("CpuConfig", body_cpu, cpu);

static const struct schema_field drive[] = {
        REQUIRED(SCHEMA_TEXT, body_drive, drive_id),   REQUIRED(SCHEMA_FLAG, body_drive, is_root_device),
        FIELD(SCHEMA_TEXT, body_drive, partuuid),      CHOICE(body_drive, cache_type, caches),
        FIELD(SCHEMA_FLAG, body_drive, is_read_only),  FIELD(SCHEMA_TEXT, body_drive, path_on_host),
        OBJECT(body_drive, rate_limiter, rate_schema), CHOICE(body_drive, io_engine, engines),
        FIELD(SCHEMA_TEXT, body_drive, socket),
};
const struct schema body_drive_schema = SCHEMA("Drive", body_drive, drive);

static const struct schema_field drive_update[] = {
        REQUIRED(SCHEMA_TEXT, body_drive_update, drive_id),
        FIELD(SCHEMA_TEXT, body_drive_update, path_on_host),
        OBJECT(body_drive_update, rate_limiter, rate_schema),
};
const struct schema body_drive_update_schema = SCHEMA("PartialDrive", body_drive_update, drive_update);

static const struct schema_field net[] = {
        REQUIRED(SCHEMA_TEXT, body_net, iface_id),      REQUIRED(SCHEMA_TEXT, body_net, host_dev_name),
        FIELD(SCHEMA_TEXT, body_net, guest_mac),        OBJECT(body_net, rx_rate_limiter, rate_schema),
        OBJECT(body_net, tx_rate_limiter, rate_schema),
};
const struct schema body_net_schema = SCHEMA("NetworkInterface", body_net, net);

static const struct schema_field net_update[] = {
        REQUIRED(SCHEMA_TEXT, body_net_update, iface_id),
        OBJECT(body_net_update, rx_rate_limiter, rate_schema),
        OBJECT(body_net_update, tx_rate_limiter, rate_schema),
};
const struct schema body_net_update_schema = SCHEMA("PartialNetworkInterface", body_net_update, net_update);

/* virtio 1.2, 5.10.4: 0, 1, 2 and the highest are reserved. */
static const struct schema_field vsock[] = {
        REQUIRED_NUMBER(body_vsock, guest_cid, 3, UINT32_MAX - 1),
        REQUIRED(SCHEMA_TEXT, body_vsock, uds_path),
        FIELD(SCHEMA_TEXT, body_vsock, vsock_id),
};
const struct schema body_vsock_schema = SCHEMA("Vsock", body_vsock, vsock);

static const struct schema_field entropy[] = { OBJECT(body_entropy, rate_limiter, rate_schema) };
const struct schema body_entropy_schema = SCHEMA("EntropyDevice", body_entropy, entropy);

static const struct schema_field serial[] = {
        FIELD(SCHEMA_TEXT, body_serial, serial_out_path),
        OBJECT(body_serial, rate_limiter, bucket_schema),
};
const struct schema body_serial_schema = SCHEMA("SerialDevice", body_serial, serial);

static const struct schema_field balloon[] = {
        REQUIRED_NUMBER(body_balloon, amount_mib, 0, UINT32_MAX),
        REQUIRED(SCHEMA_FLAG, body_balloon, deflate_on_oom),
        NUMBER(body_balloon, stats_polling_interval_s, 0, INTERVAL_S_MAX),
        FIELD(SCHEMA_FLAG, body_balloon, free_page_hinting),
        FIELD(SCHEMA_FLAG, body_balloon, free_page_reporting),
};
const struct schema body_balloon_schema = SCHEMA("Balloon", body_balloon, balloon);

static const struct schema_field balloon_update[] = {
        REQUIRED_NUMBER(body_balloon_update, amount_mib, 0, UINT32_MAX),
};
const struct schema body_balloon_update_schema = SCHEMA("BalloonUpdate", body_balloon_update, balloon_update);

static const struct schema_field balloon_stats_update[] = {
        REQUIRED_NUMBER(body_balloon_stats_update, stats_polling_interval_s, 0, INTERVAL_S_MAX),
};
const struct schema body_balloon_stats_update_schema =
        SCHEMA("BalloonStatsUpdate", body_balloon_stats_update, balloon_stats_update);

static const struct schema_field logger[] = {
        FIELD(SCHEMA_TEXT, body_logger, log_path),
        { .name = "level",
          .kind = SCHEMA_CHOICE,
          .offset = AT(body_logger, level),
          .choices = levels,
          .any_case = true },
        FIELD(SCHEMA_FLAG, body_logger, show_level),
        FIELD(SCHEMA_FLAG, body_logger, show_log_origin),
        FIELD(SCHEMA_TEXT, body_logger, module),
};
const struct schema body_logger_schema = SCHEMA("Logger", body_logger, logger);

static const struct schema_field metrics[] = { REQUIRED(SCHEMA_TEXT, body_metrics, metrics_path) };
const struct schema body_metrics_schema = SCHEMA("Metrics", body_metrics, metrics);

static const struct schema_field action[] = { REQUIRED_CHOICE(body_action, action_type, actions) };
const struct schema body_action_schema = SCHEMA("InstanceActionInfo", body_action, action);

static const struct schema_field vm[] = { REQUIRED_CHOICE(body_vm, state, states) };
const struct schema body_vm_schema = SCHEMA("Vm", body_vm, vm);
