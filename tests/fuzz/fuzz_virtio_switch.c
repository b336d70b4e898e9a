// SPDX-License-Identifier: Apache-2.0
// Any bytes as frames, with any values for checksum and segmentation, through a switch to a receiver that
// takes offloads and one that takes none: nothing is read outside the frame, the work is bounded, what
// arrives is consistent; also when the sender changes the frame meanwhile.
// fuzz-sources: virtio/switch.c virtio/switch_table.c virtio/offload.c virtio/frame.c
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/frame_fixture.h"
#include "tests/unit/virtq_buffers.h"
#include "virtio/switch.h"

static struct ether_switch lan;
static struct switch_port ports[3];
static uint32_t whole_size, payload_seen;
static uint8_t *sender;    /* the frame in the sender's memory */
static uint32_t change_at; /* where it is changed once the frame is on its way */

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static int receive(struct switch_port *port, const struct frame *frame) {
    static uint8_t copy[FRAME_MAX_SIZE];
    const struct frame_offload *offload = &frame->offload;

    require(frame->size >= FRAME_HEADER && frame->size <= whole_size);
    require(frame_read(frame, 0, copy, sizeof(copy)) == frame->size);
    if (port == &ports[1]) { /* takes nothing */
        require(offload->flags == 0 && offload->gso_type == 0 && offload->gso_size == 0);
    } else if (offload->flags != 0) {
        require(offload->csum_start + offload->csum_offset + 2u <= frame->size);
        if (offload->gso_type != 0) {
            require(offload->gso_size != 0 && offload->header_size < frame->size);
            require(offload->csum_start < offload->header_size);
        }
    } else {
        require(offload->gso_type == 0);
    }
    payload_seen += frame->size;
    if (sender != NULL && change_at < whole_size) {
        sender[change_at] ^= 0x5a;
    }
    return 0;
}

static const struct switch_port_class port_class = {.receive = receive};

/* Sends what is in the sender's memory, in a block of its own. */
static void send(const uint8_t *bytes, uint32_t size, const struct frame_offload *offload) {
    static struct virtq_buffer buffer;
    static struct virtq queue;
    uint8_t head[FRAME_HEAD];
    struct frame frame;

    whole_size = size;
    sender = malloc(size);
    require(sender != NULL);
    memcpy(sender, bytes, size);
    memset(&buffer, 0, sizeof(buffer));
    buffer_add(&buffer, sender, 1, false);
    buffer_add(&buffer, sender + 1, size - 1, false);
    frame_from_buffer(&frame, head, &queue, &buffer, 0, size);
    frame.offload = *offload;
    (void)frame_flow(&frame);
    (void)frame_vlan(&frame);
    payload_seen = 0;
    const unsigned work = switch_send(&ports[0], &frame);
    require(work >= 1 && work <= 1 + 2 * OFFLOAD_MAX_SEGMENTS);
    require(payload_seen <= 2 * (OFFLOAD_MAX_SEGMENTS * OFFLOAD_HEAD + size));
    free(sender);
    sender = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t bytes[8192];
    struct frame_offload offload;
    uint32_t length;

    if (size < 32) {
        return 0;
    }
    switch_init(&lan, "fuzz", 1);
    memset(ports, 0, sizeof(ports));
    for (unsigned i = 0; i < 3; i++) {
        ports[i].class = &port_class;
        ports[i].mtu = 65535;
        ports[i].limit = 2;
        (void)switch_attach(&lan, &ports[i]);
        switch_set_link(&ports[i], true);
    }
    ports[2].offloads = data[0] >> 2;
    change_at = data[1] | (uint32_t)(data[0] & 1) << 8;
    memset(bytes, 0, sizeof(bytes));
    if ((data[0] & 2) != 0) {
        /* Ten bytes of what is said of the frame, then the frame. */
        offload = (struct frame_offload){.flags = data[2],
                                         .gso_type = data[3],
                                         .gso_size = (uint16_t)(data[6] | (data[7] & 15) << 8),
                                         .csum_start = (uint16_t)(data[8] | data[9] << 8),
                                         .csum_offset = (uint16_t)(data[10] | data[11] << 8)};
        length = (uint32_t)(size - 12 < 2048 ? size - 12 : 2048);
        memcpy(bytes, data + 12, length);
        length += data[4] * 16u;
        send(bytes, length, &offload);
        return 0;
    }
    /* A sound frame, of which some bytes are then changed: two of a place, one of a value each; places behind
     * the first 512 are those of the offload values. */
    const struct frame_kind kind = {.ipv6 = (data[2] & 1) != 0,
                                    .udp = (data[2] & 2) != 0,
                                    .tags = (uint8_t)(data[2] >> 2) % 3,
                                    .options = (uint8_t)((data[2] >> 4 & 3) * 8),
                                    .tcp_more = (uint8_t)((data[2] >> 6) * 8),
                                    .flags = data[3],
                                    .payload = 1 + data[4] * 16u,
                                    .gso_size = (uint16_t)(data[5] * 8)};
    length = frame_build(bytes, mac_b, mac_a, &kind, &offload);
    for (size_t i = 6; i + 3 <= size && i < 60; i += 3) {
        const unsigned place = data[i] | (data[i + 1] & 3u) << 8;
        if (place < 512) {
            bytes[place] ^= data[i + 2];
        } else if (place < 512 + sizeof(offload)) {
            ((uint8_t *)&offload)[place - 512] ^= data[i + 2];
        }
    }
    send(bytes, length, &offload);
    return 0;
}
