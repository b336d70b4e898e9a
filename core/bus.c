// SPDX-License-Identifier: Apache-2.0
// The bus: a sorted table of ranges. Readers take no lock: they search, copy what they found and look at the
// table's sequence number again; it is odd while a change is made. So a guest may move a range (a BAR,
// PMBASE) on one vCPU while another one accesses it.
#include "core/bus.h"

#include <errno.h>
#include <string.h>
#include "core/memory.h"

#define HINTS 32u /* power of two */

/* The bases stand apart, so that the search touches few cache lines. Ranges behind the last one have size 0.
 */
struct bus_table {
    uint32_t sequence;
    uint32_t count;      /* never more than BUS_MAX_RANGES, whenever it is read */
    uint8_t hint[HINTS]; /* the range that an address like this was last found in */
    uint64_t base[BUS_MAX_RANGES];
    struct bus_range range[BUS_MAX_RANGES];
};

int bus_init(struct bus *bus) {
    memset(bus, 0, sizeof(*bus));
    bus->table = heap_allocate(sizeof(struct bus_table), NULL);
    return bus->table != NULL ? 0 : -ENOMEM;
}

void bus_destroy(struct bus *bus) {
    if (bus->table != NULL)
        heap_free(bus->table, sizeof(struct bus_table), NULL);
    bus->table = NULL;
}

static void change_begin(struct bus_table *table) {
    __atomic_store_n(&table->sequence, table->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void change_end(struct bus_table *table) {
    __atomic_store_n(&table->sequence, table->sequence + 1, __ATOMIC_RELEASE);
}

/* Moves the ranges from `from` on, so that they start at `to`. */
static void table_move(struct bus_table *table, unsigned to, unsigned from) {
    size_t count = table->count - from;
    memmove(&table->range[to], &table->range[from], count * sizeof(table->range[0]));
    memmove(&table->base[to], &table->base[from], count * sizeof(table->base[0]));
}

int bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *device,
            const char *name) {
    if (size == 0 || base + (size - 1) < base || ops == NULL)
        return -EINVAL;
    int result = 0;
    spin_lock(&bus->lock);
    struct bus_table *table = bus->table;
    unsigned place = 0;
    while (place < table->count && table->base[place] < base)
        place++;
    if ((place > 0 && base - table->base[place - 1] < table->range[place - 1].size) ||
        (place < table->count && table->base[place] - base < size)) {
        result = -EEXIST;
    } else if (table->count == BUS_MAX_RANGES) {
        result = -ENOSPC;
    } else {
        change_begin(table);
        table_move(table, place + 1, place);
        table->base[place] = base;
        table->range[place] =
            (struct bus_range){.base = base, .size = size, .ops = ops, .device = device, .name = name};
        table->count++;
        change_end(table);
    }
    spin_unlock(&bus->lock);
    return result;
}

int bus_remove(struct bus *bus, uint64_t base) {
    int result = -ENOENT;
    spin_lock(&bus->lock);
    struct bus_table *table = bus->table;
    unsigned place = 0;
    while (place < table->count && table->base[place] != base)
        place++;
    if (place < table->count) {
        change_begin(table);
        table_move(table, place, place + 1);
        table->count--;
        memset(&table->range[table->count], 0, sizeof(table->range[0]));
        change_end(table);
        result = 0;
    }
    spin_unlock(&bus->lock);
    return result;
}

/* The last range that starts at or below `address`: the only one that can hold it. Index 0 if there is none.
 * Stays inside the arrays whatever a change does meanwhile. */
static inline unsigned table_search(const struct bus_table *table, uint64_t address) {
    unsigned place = 0;
    for (unsigned count = table->count; count > 1;) {
        unsigned half = count / 2;
        place += table->base[place + half] <= address ? half : 0;
        count -= half;
    }
    return place;
}

/* The range that holds `address`, or one that does not. A hint is only where to look first: it may be wrong.
 */
static inline const struct bus_range *table_look(const struct bus_table *table, uint64_t address) {
    uint8_t *hint = (uint8_t *)&table->hint[(address ^ address >> 12) % HINTS];
    const struct bus_range *range = &table->range[__atomic_load_n(hint, __ATOMIC_RELAXED)];
    if (__builtin_expect(address - range->base >= range->size, 0)) {
        unsigned place = table_search(table, address);
        range = &table->range[place];
        __atomic_store_n(hint, (uint8_t)place, __ATOMIC_RELAXED);
    }
    return range;
}

const struct bus_range *bus_find(const struct bus *bus, uint64_t address) {
    const struct bus_table *table = bus->table;
    const struct bus_range *range;
    uint32_t sequence;
    do {
        sequence = __atomic_load_n(&table->sequence, __ATOMIC_ACQUIRE) & ~1u;
        range = table_look(table, address);
        if (address - range->base >= range->size)
            range = NULL;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&table->sequence, __ATOMIC_RELAXED) != sequence);
    return range;
}

struct access {
    const struct bus_ops *ops;
    void *device;
    uint64_t offset;
};

/* Finds who takes the whole access; false: nobody. */
static inline bool find_access(const struct bus *bus, uint64_t address, unsigned size,
                               struct access *access) {
    const struct bus_table *table = bus->table;
    uint32_t sequence;
    bool found;
    do {
        sequence = __atomic_load_n(&table->sequence, __ATOMIC_ACQUIRE) & ~1u;
        const struct bus_range *range = table_look(table, address);
        access->ops = range->ops;
        access->device = range->device;
        access->offset = address - range->base;
        found = access->offset < range->size && size <= range->size - access->offset;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&table->sequence, __ATOMIC_RELAXED) != sequence);
    return found;
}

/* Ones for a size of 1 to 8 bytes. */
static inline uint64_t size_mask(unsigned size) {
    return UINT64_MAX >> (-(8 * size) & 63);
}

int bus_read(const struct bus *bus, struct vcpu *vcpu, uint64_t address, unsigned size, uint64_t *value) {
    struct access access;
    if (find_access(bus, address, size, &access) && access.ops->read != NULL) {
        uint64_t answer = 0;
        int result = access.ops->read(access.device, vcpu, access.offset, size, &answer);
        if (result == -EAGAIN)
            return result;
        if (result == 0) {
            *value = answer & size_mask(size);
            return 0;
        }
    }
    *value = size_mask(size);
    return -ENXIO;
}

int bus_write(const struct bus *bus, struct vcpu *vcpu, uint64_t address, unsigned size, uint64_t value) {
    struct access access;
    if (!find_access(bus, address, size, &access) || access.ops->write == NULL)
        return -ENXIO;
    int result = access.ops->write(access.device, vcpu, access.offset, size, value & size_mask(size));
    return result == 0 || result == -EAGAIN ? result : -ENXIO;
}
