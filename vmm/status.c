/*
 * Words for exit statuses.
 * Input:  statuses of ours.
 * Runs:   any thread.
 * Limits: none.
 */
#include "vmm/status.h"

const char *status_name(int status)
{
        switch ((enum vmm_status)status) {
        case VMM_OK:
                return "powered-off";
        case VMM_E_HOST:
                return "host";
        case VMM_E_USAGE:
                return "usage";
        case VMM_E_INPUT:
                return "input";
        case VMM_E_KVM:
                return "kvm";
        case VMM_E_RESOURCES:
                return "resources";
        case VMM_E_BOOT_TIMEOUT:
                return "boot-timeout";
        case VMM_REBOOT:
                return "reboot";
        case VMM_TRIPLE_FAULT:
                return "triple-fault";
        case VMM_PANIC:
                return "panic";
        case VMM_ENDED:
                return "ended";
        case VMM_GUEST_FAILED:
                return "guest-failed";
        }
        return "unknown";
}
