// SPDX-License-Identifier: Apache-2.0
// PCI functions of virtio devices: configuration through ECAM, places of BARs, the capabilities, the MSI-X
// table (virtio 1.2, 4.1.4; PCI Local Bus 3.0, 6.7 and 6.8).
#include "tests/guests/virtio/virtio.h"

#define ECAM            0xb0000000u
#define BAR_STEP        0x10000u
#define CAPABILITIES    0x34
#define CAPABILITY_MOST 48u
#define VENDOR_SPECIFIC 0x09
#define MSIX            0x11

static uint64_t ecam(const struct virtio *v, unsigned offset) {
    return ECAM + (v->devfn << 12 | offset);
}

uint32_t pci_read(const struct virtio *v, unsigned offset, unsigned size) {
    uint64_t at = ecam(v, offset);
    return size == 1   ? *(volatile uint8_t *)at
           : size == 2 ? *(volatile uint16_t *)at
                       : *(volatile uint32_t *)at;
}

void pci_write(const struct virtio *v, unsigned offset, unsigned size, uint32_t value) {
    uint64_t at = ecam(v, offset);
    if (size == 1)
        *(volatile uint8_t *)at = (uint8_t)value;
    else if (size == 2)
        *(volatile uint16_t *)at = (uint16_t)value;
    else
        *(volatile uint32_t *)at = value;
}

void virtio_command(const struct virtio *v, uint32_t command) {
    pci_write(v, PCI_COMMAND, 2, command);
}

void virtio_place(struct virtio *v) {
    virtio_command(v, 0);
    for (unsigned i = 0; i < 2; i++)
        pci_write(v, PCI_BAR0 + 4 * i, 4, v->bar[i]);
    virtio_command(v, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* ---- the capabilities */

static void read_structure(struct virtio *v, unsigned at) {
    struct place place = {pci_read(v, at + 4, 1), pci_read(v, at + 8, 4), pci_read(v, at + 12, 4)};
    switch (pci_read(v, at + 3, 1)) {
    case 1:
        v->common = place;
        break;
    case 2:
        v->notify = place;
        v->multiplier = pci_read(v, at + 16, 4);
        break;
    case 3:
        v->isr = place;
        break;
    case 4:
        v->config = place;
        break;
    default:
        break;
    }
}

static void read_capabilities(struct virtio *v) {
    unsigned at = pci_read(v, CAPABILITIES, 1) & ~3u;
    for (unsigned i = 0; at && i < CAPABILITY_MOST; i++, at = pci_read(v, at + 1, 1) & ~3u) {
        unsigned kind = pci_read(v, at, 1);
        if (kind == VENDOR_SPECIFIC) {
            read_structure(v, at);
        } else if (kind == MSIX) {
            uint32_t table = pci_read(v, at + 4, 4), pending = pci_read(v, at + 8, 4);
            v->msix = at;
            v->vectors = (pci_read(v, at + 2, 2) & 0x7ff) + 1;
            v->table = (struct place){table & 7, table & ~7u, v->vectors * 16};
            v->pending = (struct place){pending & 7, pending & ~7u, 8};
        }
    }
}

static uint32_t size_bar(const struct virtio *v, unsigned bar) {
    uint32_t before = pci_read(v, PCI_BAR0 + 4 * bar, 4);
    pci_write(v, PCI_BAR0 + 4 * bar, 4, UINT32_MAX);
    uint32_t mask = pci_read(v, PCI_BAR0 + 4 * bar, 4) & ~15u;
    pci_write(v, PCI_BAR0 + 4 * bar, 4, before);
    return mask ? -mask : 0;
}

unsigned virtio_find(struct virtio *list, unsigned most) {
    unsigned count = 0;
    for (unsigned devfn = 0; devfn < 256 && count < most; devfn++) {
        struct virtio *v = &list[count];
        *v = (struct virtio){.devfn = devfn};
        uint32_t id = pci_read(v, 0, 4);
        if ((id & 0xffff) != 0x1af4 || id >> 16 < 0x1040 || id >> 16 > 0x107f)
            continue;
        v->id = (id >> 16) - 0x1040;
        for (unsigned i = 0; i < 2; i++) {
            v->bar_size[i] = size_bar(v, i);
            v->bar[i] = BAR_SPACE + (2 * count + i) * BAR_STEP;
        }
        read_capabilities(v);
        virtio_place(v);
        count++;
    }
    return count;
}

/* ---- MSI-X */

void msix_control(const struct virtio *v, uint32_t bits) {
    pci_write(v, v->msix + 2, 2, bits);
}

static volatile uint32_t *entry_of(const struct virtio *v, unsigned entry) {
    return mmio32(v->bar[v->table.bar] + v->table.offset + 16 * entry);
}

void msix_entry(const struct virtio *v, unsigned entry, uint64_t address, uint32_t data, bool masked) {
    volatile uint32_t *at = entry_of(v, entry);
    at[3] = 1;
    at[0] = (uint32_t)address;
    at[1] = (uint32_t)(address >> 32);
    at[2] = data;
    at[3] = masked;
}

void msix_mask(const struct virtio *v, unsigned entry, bool masked) {
    entry_of(v, entry)[3] = masked;
}

bool msix_pending(const struct virtio *v, unsigned entry) {
    return *mmio32(v->bar[v->pending.bar] + v->pending.offset + entry / 32 * 4) >> entry % 32 & 1;
}

/* ---- checks */

static bool sound(const struct virtio *v, const struct place *place, unsigned align) {
    return place->size && place->bar < 2 && !(place->offset % align) &&
           place->size <= v->bar_size[place->bar] && place->offset <= v->bar_size[place->bar] - place->size;
}

/* The description of a function, with nothing of it in use. */
void check_pci(struct virtio *v) {
    check_range(pci_read(v, 8, 1), 1, 255, "revision 1 at least: a device without legacy interface");
    check_equal(pci_read(v, 0x0e, 1), 0, "header type 0");
    check(pci_read(v, 6, 2) & 0x10, "there are capabilities");
    check_equal(pci_read(v, 0x3d, 1), 1, "INTA");
    if (v->id == 1)
        check_equal(pci_read(v, 8, 4) >> 8, 0x020000, "class Ethernet");
    else if (v->id == 2)
        check_equal(pci_read(v, 8, 4) >> 24, 0x01, "class mass storage");
    for (unsigned i = 0; i < 2; i++) {
        uint32_t size = v->bar_size[i];
        check(size >= 4096 && !(size & (size - 1)), "a BAR's size is a power of two");
        check_equal(pci_read(v, PCI_BAR0 + 4 * i, 4), v->bar[i], "a BAR reads back: memory, 32 bits");
    }
    for (unsigned i = 2; i < 6; i++) {
        pci_write(v, PCI_BAR0 + 4 * i, 4, UINT32_MAX);
        if (pci_read(v, PCI_BAR0 + 4 * i, 4))
            check(false, "a BAR that is not there reads 0");
    }
    check(sound(v, &v->common, 4) && v->common.size >= C_SIZE, "the common configuration");
    check(sound(v, &v->notify, 2) && v->multiplier && !(v->multiplier & (v->multiplier - 1)),
          "the notification area");
    check(sound(v, &v->isr, 1), "the ISR");
    check(!v->config.size || sound(v, &v->config, 4), "the device configuration");
    check(v->msix && sound(v, &v->table, 8) && sound(v, &v->pending, 8), "the MSI-X table");
    check_equal(v->vectors, common_read(v, C_NUM_QUEUES, 2) + 1, "a vector for each queue and one more");
    pci_write(v, 0, 4, 0);
    pci_write(v, 8, 4, 0);
    pci_write(v, v->msix, 2, UINT32_MAX);
    pci_write(v, v->msix + 4, 4, UINT32_MAX);
    check(pci_read(v, 0, 2) == 0x1af4 && pci_read(v, v->msix, 1) == MSIX &&
              (pci_read(v, v->msix + 4, 4) & ~7u) == v->table.offset,
          "what is read-only cannot be written");
    pci_write(v, 0x3c, 1, 0x5a);
    check_equal(pci_read(v, 0x3c, 1), 0x5a, "the interrupt line register is the guest's own");
    virtio_command(v, 0xffff);
    check_equal(pci_read(v, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX,
                "bits of the command register");
    virtio_command(v, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}
