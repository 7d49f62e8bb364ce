#pragma once
/*
 * The bodies of the API: a struct and a schema for each definition of openapi.yaml.
 */
#include "api/vm/schema.h"

struct body_bucket {
        bool given;
        struct schema_number size, one_time_burst, refill_time;
};
struct body_rate {
        bool given;
        struct body_bucket bandwidth, ops;
};
struct body_boot {
        bool given;
        struct schema_text kernel_image_path, initrd_path, boot_args;
};
struct body_machine {
        bool given;
        struct schema_number vcpu_count, mem_size_mib, cpu_template, huge_pages;
        struct schema_flag smt, track_dirty_pages;
};
struct body_cpu {
        bool given;
        struct schema_number kvm_capabilities, cpuid_modifiers, msr_modifiers, reg_modifiers, vcpu_features;
};
struct body_drive {
        bool given;
        struct schema_text drive_id, partuuid, path_on_host, socket;
        struct schema_flag is_root_device, is_read_only;
        struct schema_number cache_type, io_engine;
        struct body_rate rate_limiter;
};
struct body_drive_update {
        bool given;
        struct schema_text drive_id, path_on_host;
        struct body_rate rate_limiter;
};
struct body_net {
        bool given;
        struct schema_text iface_id, host_dev_name, guest_mac;
        struct body_rate rx_rate_limiter, tx_rate_limiter;
};
struct body_net_update {
        bool given;
        struct schema_text iface_id;
        struct body_rate rx_rate_limiter, tx_rate_limiter;
};
struct body_vsock {
        bool given;
        struct schema_number guest_cid;
        struct schema_text uds_path, vsock_id;
};
struct body_entropy {
        bool given;
        struct body_rate rate_limiter;
};
struct body_serial {
        bool given;
        struct schema_text serial_out_path;
        struct body_bucket rate_limiter;
};
struct body_balloon {
        bool given;
        struct schema_number amount_mib, stats_polling_interval_s;
        struct schema_flag deflate_on_oom, free_page_hinting, free_page_reporting;
};
struct body_balloon_update {
        bool given;
        struct schema_number amount_mib;
};
struct body_balloon_stats_update {
        bool given;
        struct schema_number stats_polling_interval_s;
};
struct body_logger {
        bool given;
        struct schema_text log_path, module;
        struct schema_number level;
        struct schema_flag show_level, show_log_origin;
};
struct body_metrics {
        bool given;
        struct schema_text metrics_path;
};
struct body_action {
        bool given;
        struct schema_number action_type;
};
struct body_vm {
        bool given;
        struct schema_number state;
};

/* One that holds any of them. */
union body_any {
        struct body_boot boot;
        struct body_machine machine;
        struct body_cpu cpu;
        struct body_drive drive;
        struct body_drive_update drive_update;
        struct body_net net;
        struct body_net_update net_update;
        struct body_vsock vsock;
        struct body_entropy entropy;
        struct body_serial serial;
        struct body_balloon balloon;
        struct body_balloon_update balloon_update;
        struct body_balloon_stats_update balloon_stats_update;
        struct body_logger logger;
        struct body_metrics metrics;
        struct body_action action;
        struct body_vm vm;
};

/* The order of the words in the tables. */
enum { TEMPLATE_NONE };
enum { PAGES_NONE, PAGES_TRANSPARENT, PAGES_2M };
enum { ACTION_FLUSH_METRICS, ACTION_START, ACTION_CTRL_ALT_DEL };
enum { STATE_PAUSED, STATE_RESUMED };
enum { LEVEL_OFF, LEVEL_ERROR, LEVEL_WARNING, LEVEL_INFO, LEVEL_DEBUG, LEVEL_TRACE };

extern const struct schema body_boot_schema, body_machine_schema, body_machine_update_schema, body_cpu_schema,
        body_drive_schema, body_drive_update_schema, body_net_schema, body_net_update_schema,
        body_vsock_schema, body_entropy_schema, body_serial_schema, body_balloon_schema,
        body_balloon_update_schema, body_balloon_stats_update_schema, body_logger_schema, body_metrics_schema,
        body_action_schema, body_vm_schema;
