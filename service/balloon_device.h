// SPDX-License-Identifier: Apache-2.0
// Guests' memory balloons (virtio/balloon.h): what a guest gives back is filled with zeroes and stays its
// own; how much it is to give back, and what it says of its memory, is between it and the operator.
#ifndef SAGUARO_SERVICE_BALLOON_DEVICE_H
#define SAGUARO_SERVICE_BALLOON_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include "service/device.h"
#include "virtio/balloon.h"

struct balloon_figures {
    bool driver;      /* the guest's driver is there */
    uint64_t wanted;  /* bytes that it is to give back */
    uint64_t given;   /* bytes that it has given back, as it says */
    uint64_t cleared; /* bytes of pages that were cleared: given back or reported free, and not zero then;
                         since the service VM started */
};

/* No guest has one after this. */
void balloon_device_init(void);
/* Makes that of VM `vm`. It is not behind the guest's IOMMU: page numbers are physical (virtio 1.2, 5.5.6),
 * and drivers use it without. 0; -ENOMEM; or device_add()'s error. */
int balloon_device_make(unsigned vm, const struct device_place *place);
/* False: the VM has none. */
bool balloon_device_look(unsigned vm, struct balloon_figures *figures);
/* The guest is to give back so many bytes, until it starts anew: rounded down to pages; up to 16 TiB. The VM
 * has one. */
void balloon_device_want(unsigned vm, uint64_t bytes);
/* Asks the driver, which is there, what it says of the guest's memory. answer() is called once that has come;
 * bit n of `known`: stat[n], by enum virtio_balloon_stat, was given. Another question takes its place. */
void balloon_device_ask(unsigned vm, void (*answer)(unsigned vm, const uint64_t *stat, uint16_t known));

#endif
