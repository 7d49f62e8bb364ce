/*
 * Frames of a guest: whatever is said to be good lies within the frame, and is from the guest.
 */
#include "net/frame_parse.h"

#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct lan lan;
        struct frame f;
        int r;

        lan_init(&lan);
        r = frame_parse(data, size, &lan, &f);
        ASSERT(r >= FRAME_OK && r < FRAME_E_NR && frame_strerror(r));
        if (r)
                return 0;
        ASSERT(size <= FRAME_MAX && f.packet >= data + FRAME_ETHERNET_LEN &&
               f.packet + f.packet_len <= data + size);
        if (f.kind == FRAME_ARP)
                return 0;
        ASSERT(f.body > f.packet && f.body + f.body_len <= f.packet + f.packet_len);
        ASSERT(f.src.family == f.dst.family);
        ASSERT(f.kind != FRAME_TCP || (f.tcp_header_len >= 20 && f.tcp_header_len <= f.body_len));
        ASSERT((f.kind != FRAME_TCP && f.kind != FRAME_ICMP) || lan_is_guest(&lan, &f.src));
        return 0;
}
