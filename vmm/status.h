#pragma once
/*
 * How `vmm` ends: its exit statuses, as README.md and vmm(1) tell them.
 */

enum vmm_status {
        VMM_OK = 0,             /* the guest powered itself off */
        VMM_E_HOST = 1,         /* the host failed us: memory, disk, kernel */
        VMM_E_USAGE = 2,        /* an option or a setting that cannot be */
        VMM_E_INPUT = 3,        /* kernel, initrd, image or socket cannot be used */
        VMM_E_KVM = 4,          /* /dev/kvm is absent, not permitted, too old or busy */
        VMM_E_RESOURCES = 5,    /* more memory or vCPUs than there are */
        VMM_E_BOOT_TIMEOUT = 6, /* the guest did not become ready in time */
        VMM_REBOOT = 10,        /* the guest asked for a reboot */
        VMM_TRIPLE_FAULT = 11,  /* the guest's processor gave up */
        VMM_PANIC = 12,         /* the guest's kernel panicked */
        VMM_ENDED = 13,         /* a signal asked for the end, and the guest did not power off by itself */
        VMM_GUEST_FAILED = 14,  /* KVM cannot run this guest on */
};

/* A word for it, for programs: "powered-off", "panic". */
const char *status_name(int status);
