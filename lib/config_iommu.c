// SPDX-License-Identifier: Apache-2.0
// Which guests have an IOMMU, and which of their devices are behind it.
#include "lib/config.h"

#include <stdbool.h>

/* A slot is taken by each device whatever it is: see make_guest() in service/devices.c. */
uint32_t config_iommu_slots(const struct config_guest *guest) {
    uint32_t slots = 0, slot = CONFIG_FIRST_SLOT;
    bool controller = false;

    if (guest->iommu == CONFIG_IOMMU_NONE) {
        return 0;
    }
    for (uint32_t i = 0; i < guest->net_count; i++, slot++) {
        const struct config_net *net = &guest->nets[i];

        if (net->type == CONFIG_NET_VIRTIO && net->transport == CONFIG_TRANSPORT_PCI) {
            slots |= 1u << slot;
        }
    }
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        const struct config_guest_disk *disk = &guest->disks[i];

        if (disk->type == CONFIG_DISK_AHCI) {
            slot += !controller;
            controller = true;
            continue;
        }
        if (disk->transport == CONFIG_TRANSPORT_PCI) {
            slots |= 1u << slot;
        }
        slot++;
    }
    for (uint32_t i = 0; i < guest->passthrough_count; i++) {
        slots |= 1u << (CONFIG_PASSED_SLOT + i);
    }
    if (guest->transport == CONFIG_TRANSPORT_PCI) {
        slots |= guest->entropy << slot;
        slots |= guest->virtio_console << (slot + guest->entropy);
    }
    return slots;
}

uint32_t config_iommus(const struct config *config) {
    uint32_t iommus = 0;

    for (uint32_t guest = 0; guest < config->guest_count; guest++) {
        iommus += config->guests[guest].iommu != CONFIG_IOMMU_NONE;
    }
    return iommus;
}
