#pragma once
/*
 * One VM, described. Nothing is configured twice: the command line, the configuration file and the API
 * only fill this struct; config_check() is the one that judges it.
 *
 * Strings are borrowed from whoever filled it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/rate.h"

#define CONFIG_DISKS_MAX 16u
#define CONFIG_NETS_MAX  8u
#define CONFIG_LINES_MAX                                                                                     \
        16u /* disks and networks together: interrupt lines less those of vsock, rng, balloon */
#define CONFIG_QUEUES_MAX   7u            /* pairs of a network device */
#define CONFIG_MTU_MIN      68u           /* virtio 1.2, 5.1.4.1 */
#define CONFIG_MTU_MAX      65520u        /* with its headers it is one frame of 64 KiB */
#define CONFIG_TAP_MAX      15u           /* bytes of an interface's name */
#define CONFIG_SERIAL_MAX   20u           /* bytes of a disk's serial id: virtio 1.2, 5.2.6 */
#define CONFIG_STATS_MIN_NS 1000000000ull /* of the balloon: each is work for the guest */
#define CONFIG_CPUS_MAX     255u          /* ids of the local APIC that every kernel understands */
#define CONFIG_MEMORY_MIN   (32ull << 20)
#define CONFIG_MEMORY_MAX   (1ull << 40)
#define CONFIG_LOG_MIN      (256ull << 10) /* half of it holds the longest record twice */

enum config_platform {
        PLATFORM_AUTO,   /* native for our own kernel, ACPI for others */
        PLATFORM_NATIVE, /* devices on the kernel's command line, processors in an MP table */
        PLATFORM_ACPI,
};
extern const char *const config_platform_names[];

struct config_disk {
        const char *path;
        bool read_only;
        bool direct; /* O_DIRECT, past the host's page cache */
        char serial[CONFIG_SERIAL_MAX + 1];
        struct rate_config rate; /* all 0: no limit */
};

enum config_net_kind {
        NET_TAP,       /* tap device, by name */
        NET_TAP_FD,    /* the same, an open descriptor */
        NET_STREAM,    /* Unix socket to connect to: frames after their length */
        NET_STREAM_FD, /* the same, connected */
};

struct config_net {
        enum config_net_kind kind;
        const char *name; /* of the tap or the socket; NULL: it is a descriptor */
        int fd;
        bool has_mac; /* else it is made of its number */
        uint8_t mac[6];
        unsigned mtu;              /* 0: the tap's own, 1500, or CONFIG_MTU_MAX with vnet */
        unsigned queues;           /* pairs */
        bool vnet;                 /* on a stream: virtio's header precedes each frame */
        struct rate_config rx, tx; /* to the guest, from the guest; all 0: no limit */
};

/* Memory that the guest frees comes back by itself as long as this is on. */
struct config_balloon {
        bool on;
        uint64_t target_bytes;      /* to be taken from the guest */
        bool deflate_on_oom;        /* the guest takes it back rather than kill a process */
        uint64_t stats_interval_ns; /* 0: no statistics */
};

struct vm_config {
        const char *id; /* shown in logs */

        const char *kernel;
        const char *initrd; /* NULL: ours, with the agent; "none": none at all */
        const char *append;
        bool bare_cmdline; /* console= and panic= are not ours to say: what append says is all */
        enum config_platform platform;

        unsigned cpus;
        uint64_t memory_bytes;
        bool overcommit; /* more memory than is free is all right */

        unsigned nr_disks;
        bool has_image; /* disks[0] is the root */
        struct config_disk disks[CONFIG_DISKS_MAX];
        unsigned nr_nets;
        struct config_net nets[CONFIG_NETS_MAX];
        const char *vsock_path; /* NULL: no vsock */
        uint64_t guest_cid;
        bool rng;
        struct config_balloon balloon;
        const char *serial; /* "stdio", "off" or a file */

        const char *api_path;     /* Unix socket of the API; NULL: none */
        uint64_t boot_timeout_ns; /* 0: none. With the agent only */
        uint64_t grace_ns;        /* of a guest that is to power off, between SIGTERM and SIGKILL */
        uint64_t lifetime_ns;     /* then it is asked; 0: no limit */
        const char *control_path; /* Unix socket for requests; NULL: none */
        const char *exit_path;    /* file for how it ended; NULL: none */
        const char *output_path;  /* file for the main command's output; NULL: none */
        const char *log_path;     /* file for our own log; NULL: standard error */
        uint64_t log_limit_bytes; /* of the console's file, that of the output and the log's, each */
        int ready_fd;             /* -1: none. "ready\n" is written when the agent is */
        const char *timeline;     /* file for the stages of the boot, as JSON; NULL: none */
        const char *stats;        /* file for all counters at the end, as JSON; NULL: none */
        enum log_level log_level;
        bool log_json;
};

/* The device's address: what was given, or one of ours for interface @i. */
void config_net_mac(const struct vm_config *c, unsigned i, uint8_t ret[6]);

/* Return: 0, or -1 with *p filled (VMM_E_USAGE). Looks at no file. */
int must_check config_check(const struct vm_config *c, struct problem *p);
