// SPDX-License-Identifier: Apache-2.0
// Commands from the network driver (virtio 1.2, 5.1.6.5): receive filters, address, queue pairs, offloads.
#include <string.h>
#include "virtio/net_internal.h"

#define ACK_OK          0u
#define ACK_ERROR       1u

#define CLASS_RX        0u
#define CLASS_MAC       1u
#define CLASS_VLAN      2u
#define CLASS_ANNOUNCE  3u
#define CLASS_MQ        4u
#define CLASS_OFFLOADS  5u

#define RX_LAST_BASIC   1u /* those after it, to RX_LAST, need NET_F_CTRL_RX_EXTRA */
#define RX_LAST         5u
#define MAC_TABLE_SET   0u
#define MAC_ADDRESS_SET 1u
#define VLAN_ADD        0u
#define VLAN_REMOVE     1u
#define MAX_ENTRIES     4096u /* of a table that we read at all */

struct command {
    struct net *net;
    struct virtq *queue;
    const struct virtq_buffer *buffer;
    uint8_t class, number;
};

/* Reads `size` bytes of what follows the two of the command, from `offset` on. */
static bool get(const struct command *command, size_t offset, void *data, size_t size) {
    return virtq_read(command->queue, command->buffer, 2 + offset, data, size) == size;
}

static bool set_mode(const struct command *command) {
    struct net_own *own = net_own(command->net);
    uint64_t needs = command->number <= RX_LAST_BASIC ? NET_F_CTRL_RX : NET_F_CTRL_RX_EXTRA;
    uint8_t on;

    if (command->number > RX_LAST || !virtio_has(&command->net->device, needs) || !get(command, 0, &on, 1) ||
        on > 1)
        return false;
    own->modes &= (uint8_t) ~(1u << command->number);
    own->modes |= (uint8_t)(on << command->number);
    return true;
}

/* Reads a number of addresses at *offset, of which the first `room` are kept. False: it is not there. */
static bool get_table(const struct command *command, size_t *offset, uint8_t macs[][6], unsigned room,
                      uint32_t *count) {
    uint8_t number[4], last;

    if (!get(command, *offset, number, sizeof(number)))
        return false;
    *count = number[0] | (uint32_t)number[1] << 8 | (uint32_t)number[2] << 16 | (uint32_t)number[3] << 24;
    if (*count > MAX_ENTRIES)
        return false;
    uint32_t kept = *count < room ? *count : room;
    if (kept > 0 && !get(command, *offset + 4, macs, (size_t)kept * 6))
        return false;
    *offset += 4 + (size_t)*count * 6;
    return get(command, *offset - 1, &last, 1); /* the others are there, too */
}

static bool set_table(const struct command *command) {
    struct net_own *own = net_own(command->net);
    uint8_t macs[NET_MACS][6], overflow = own->overflow & NET_MANY_VLANS;
    uint32_t unicast, multicast;
    size_t offset = 0;

    memset(macs, 0, sizeof(macs));
    if (!get_table(command, &offset, macs, NET_MACS, &unicast))
        return false;
    if (unicast > NET_MACS) {
        unicast = 0;
        overflow |= NET_MANY_UNICAST;
    }
    if (!get_table(command, &offset, macs + unicast, NET_MACS - unicast, &multicast))
        return false;
    if (multicast > NET_MACS - unicast) {
        multicast = 0;
        overflow |= NET_MANY_MULTICAST;
    }
    memcpy(own->macs, macs, sizeof(macs));
    own->unicast = (uint8_t)unicast;
    own->multicast = (uint8_t)multicast;
    own->overflow = overflow;
    return true;
}

/* A port that is locked to its address keeps it: its frames would be dropped. */
static bool set_address(const struct command *command) {
    uint8_t mac[6];

    if (!virtio_has(&command->net->device, NET_F_CTRL_MAC_ADDR) || !get(command, 0, mac, sizeof(mac)) ||
        (mac[0] & 1))
        return false;
    if (command->net->port.locked && memcmp(mac, command->net->port.mac, 6) != 0)
        return false;
    memcpy(net_own(command->net)->mac, mac, 6);
    return true;
}

static bool change_vlans(const struct command *command) {
    struct net_own *own = net_own(command->net);
    uint8_t number[2];
    unsigned at = 0;

    if (!virtio_has(&command->net->device, NET_F_CTRL_VLAN) || command->number > VLAN_REMOVE ||
        !get(command, 0, number, sizeof(number)))
        return false;
    uint16_t vlan = (uint16_t)(number[0] | number[1] << 8);
    if (vlan > 4095)
        return false;
    while (at < own->vlan_count && own->vlans[at] != vlan)
        at++;
    if (command->number == VLAN_REMOVE) {
        if (at < own->vlan_count)
            own->vlans[at] = own->vlans[--own->vlan_count];
    } else if (at == NET_VLANS) {
        own->overflow |= NET_MANY_VLANS; /* until the device is reset */
    } else if (at == own->vlan_count) {
        own->vlans[own->vlan_count++] = vlan;
    }
    return true;
}

static bool set_pairs(const struct command *command) {
    uint8_t number[2];

    if (command->number != 0 || !virtio_has(&command->net->device, NET_F_MQ) ||
        !get(command, 0, number, sizeof(number)))
        return false;
    uint32_t pairs = number[0] | (uint32_t)number[1] << 8;
    if (pairs < 1 || pairs > command->net->pairs)
        return false;
    net_own(command->net)->pairs = (uint8_t)pairs;
    return true;
}

static bool set_offloads(const struct command *command) {
    struct virtio_device *device = &command->net->device;
    uint8_t number[8];
    uint64_t value = 0;

    if (command->number != 0 || !virtio_has(device, NET_F_CTRL_GUEST_OFFLOADS) ||
        !get(command, 0, number, sizeof(number)))
        return false;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)number[i] << 8 * i;
    if (value & ~(device->record->features & NET_GUEST_OFFLOADS))
        return false;
    net_own(command->net)->guest_offloads = value;
    command->net->port.offloads = net_offloads(command->net);
    return true;
}

static bool execute(const struct command *command) {
    const struct virtio_device *device = &command->net->device;

    switch (command->class) {
    case CLASS_RX:
        return set_mode(command);
    case CLASS_MAC:
        if (command->number == MAC_ADDRESS_SET)
            return set_address(command);
        return command->number == MAC_TABLE_SET && virtio_has(device, NET_F_CTRL_RX) && set_table(command);
    case CLASS_VLAN:
        return change_vlans(command);
    case CLASS_ANNOUNCE:
        if (command->number != 0 || !virtio_has(device, NET_F_GUEST_ANNOUNCE))
            return false;
        net_own(command->net)->announce = 0;
        return true;
    case CLASS_MQ:
        return set_pairs(command);
    case CLASS_OFFLOADS:
        return set_offloads(command);
    default:
        return false;
    }
}

unsigned net_command(struct net *net, unsigned index, const struct virtq_buffer *buffer, uint32_t *written) {
    struct command command = {.net = net, .queue = &net->device.queue[index], .buffer = buffer};
    uint8_t head[2];

    *written = 0;
    if (virtq_read(command.queue, buffer, 0, head, sizeof(head)) < sizeof(head) || buffer->write_size < 1) {
        virtio_device_break(&net->device, "a command is too short, or has no place for its answer");
        return 1;
    }
    command.class = head[0];
    command.number = head[1];
    uint8_t ack = execute(&command) ? ACK_OK : ACK_ERROR;
    virtq_write(command.queue, buffer, 0, &ack, 1);
    *written = 1;
    return 1;
}
