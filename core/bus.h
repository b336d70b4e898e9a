// SPDX-License-Identifier: Apache-2.0
// A VM's buses: which device answers at a guest-physical address or an I/O port.
#ifndef SAGUARO_CORE_BUS_H
#define SAGUARO_CORE_BUS_H

#include "core/atomic.h"

enum bus_space { BUS_MEMORY, BUS_PORT, BUS_SPACE_COUNT };

struct vcpu;

/*
 * A device's handlers. `offset` is relative to the range's base and `offset + size` lies inside the range;
 * size is 1, 2, 4 or 8. `value` is little-endian in a register's sense, upper bytes are ignored on write and
 * zeroed by the bus on read. Return 0 when done; -EAGAIN when the answer comes later (the vCPU has been
 * blocked by the handler and repeats the instruction); any other negative value: no such register, the bus
 * answers as if nobody was there.
 */
struct bus_ops {
    int (*read)(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value);
    int (*write)(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value);
};

struct bus_range {
    uint64_t base;
    uint64_t size;
    const struct bus_ops *ops;
    void *device;
    const char *name; /* for reports */
};

#define BUS_MAX_RANGES 64

/* Sorted by base, without overlaps. Changed under the lock; readers take none, and ranges may change while
 * vCPUs run. */
struct bus {
    struct spinlock lock;
    struct bus_table *table;
};

int bus_init(struct bus *bus); /* 0 or -ENOMEM */
void bus_destroy(struct bus *bus);

/* Adds a range. 0; -EEXIST: overlaps another; -ENOSPC: full; -EINVAL: empty or wraps. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *device,
            const char *name);
/* Removes the range that starts at `base`. 0 or -ENOENT. Another vCPU may still be inside the device, or
 * about to enter it: who frees the device has the vCPUs parked; who only moves it need not. */
int bus_remove(struct bus *bus, uint64_t base);

/* Finds the range that holds `address`; NULL: none. For reports; it holds until the bus is changed. */
const struct bus_range *bus_find(const struct bus *bus, uint64_t address);

/* Reads from whatever answers. An access that nobody claims, or that crosses a range's end, reads all ones
 * and -ENXIO is returned (the value is still set: a PC carries on). -EAGAIN as in bus_ops. */
int bus_read(const struct bus *bus, struct vcpu *vcpu, uint64_t address, unsigned size, uint64_t *value);
/* 0, -EAGAIN, or -ENXIO (nobody took it). */
int bus_write(const struct bus *bus, struct vcpu *vcpu, uint64_t address, unsigned size, uint64_t value);

#endif
