#pragma once
/*
 * What a transport gives a device. Loop thread.
 */

struct virtio_transport {
        /* An interrupt for used buffers of queue @qi. */
        void (*notify_queue)(struct virtio_transport *t, unsigned qi);
        /* An interrupt for a configuration change, NEEDS_RESET included. */
        void (*notify_config)(struct virtio_transport *t);
        /* A reset that had to wait is done. */
        void (*reset_done)(struct virtio_transport *t);
};
