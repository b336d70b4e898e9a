// SPDX-License-Identifier: Apache-2.0
// The other side of a virtqueue for tests and fuzzers: a guest's memory in pieces, and a driver of split and
// packed rings after virtio 1.2, 2.7 and 2.8. It reads and writes memory byte by byte, so it is right on any
// machine.
#ifndef SAGUARO_TESTS_VIRTQ_DRIVER_H
#define SAGUARO_TESTS_VIRTQ_DRIVER_H

#include <stdlib.h>
#include <string.h>
#include "virtio/queue.h"

#define VIRTQ_GUEST_PIECES 4u
#define VIRTQ_MAKER        __attribute__((unused)) static

/* ---- memory */

struct virtq_guest {
    struct virtio_memory memory; /* the first member */
    struct virtq_piece {
        uint64_t base, size;
        uint8_t *data;
        uint8_t *before; /* as virtq_guest_snapshot() found it */
        uint8_t *marked; /* a byte for each byte: was marked dirty since then */
    } piece[VIRTQ_GUEST_PIECES];
    unsigned maps, marks; /* calls so far */
    bool stray;           /* what is not RAM was marked */
    /* Called at each call from the device: what another CPU of the guest does meanwhile. */
    void (*meanwhile)(struct virtq_guest *guest);
    void *context;
};

VIRTQ_MAKER struct virtq_piece *virtq_guest_piece(struct virtq_guest *guest, uint64_t gpa) {
    for (unsigned i = 0; i < VIRTQ_GUEST_PIECES; i++)
        if (gpa - guest->piece[i].base < guest->piece[i].size)
            return &guest->piece[i];
    return NULL;
}

VIRTQ_MAKER void *virtq_guest_map(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous) {
    struct virtq_guest *guest = (struct virtq_guest *)memory;
    struct virtq_piece *piece = virtq_guest_piece(guest, gpa);

    guest->maps++;
    if (guest->meanwhile)
        guest->meanwhile(guest);
    if (!piece)
        return NULL;
    *contiguous = piece->size - (gpa - piece->base);
    return piece->data + (gpa - piece->base);
}

VIRTQ_MAKER void virtq_guest_dirty(struct virtio_memory *memory, uint64_t gpa, uint64_t size) {
    struct virtq_guest *guest = (struct virtq_guest *)memory;
    struct virtq_piece *piece = virtq_guest_piece(guest, gpa);

    guest->marks++;
    if (!piece || size == 0 || size > piece->size - (gpa - piece->base))
        guest->stray = true;
    else
        memset(piece->marked + (gpa - piece->base), 1, size);
    if (guest->meanwhile)
        guest->meanwhile(guest);
}

/* 64 KiB at 0x10000, 16 KiB behind it that lie elsewhere, 8 KiB at 4 GiB, the last page of all. */
VIRTQ_MAKER void virtq_guest_init(struct virtq_guest *guest) {
    static const struct virtq_piece piece[VIRTQ_GUEST_PIECES] = {
        {.base = 0x10000, .size = 0x10000},
        {.base = 0x20000, .size = 0x4000},
        {.base = 0x100000000, .size = 0x2000},
        {.base = 0xfffffffffffff000, .size = 0x1000},
    };
    memset(guest, 0, sizeof(*guest));
    guest->memory.map = virtq_guest_map;
    guest->memory.dirty = virtq_guest_dirty;
    for (unsigned i = 0; i < VIRTQ_GUEST_PIECES; i++) {
        guest->piece[i] = piece[i];
        /* Blocks of their own: a step over an end is noticed. */
        guest->piece[i].data = calloc(1, piece[i].size);
        guest->piece[i].before = calloc(1, piece[i].size);
        guest->piece[i].marked = calloc(1, piece[i].size);
        if (!guest->piece[i].data || !guest->piece[i].before || !guest->piece[i].marked)
            abort();
    }
}

VIRTQ_MAKER void virtq_guest_free(struct virtq_guest *guest) {
    for (unsigned i = 0; i < VIRTQ_GUEST_PIECES; i++) {
        free(guest->piece[i].data);
        free(guest->piece[i].before);
        free(guest->piece[i].marked);
    }
}

/* From here on what the device writes has to be marked; virtq_guest_marked() says whether it was. */
VIRTQ_MAKER void virtq_guest_snapshot(struct virtq_guest *guest) {
    for (unsigned i = 0; i < VIRTQ_GUEST_PIECES; i++) {
        memcpy(guest->piece[i].before, guest->piece[i].data, guest->piece[i].size);
        memset(guest->piece[i].marked, 0, guest->piece[i].size);
    }
}

VIRTQ_MAKER bool virtq_guest_marked(const struct virtq_guest *guest) {
    for (unsigned i = 0; i < VIRTQ_GUEST_PIECES; i++)
        for (uint64_t at = 0; at < guest->piece[i].size; at++)
            if (guest->piece[i].data[at] != guest->piece[i].before[at] && !guest->piece[i].marked[at])
                return false;
    return !guest->stray;
}

VIRTQ_MAKER uint8_t *virtq_guest_at(struct virtq_guest *guest, uint64_t gpa) {
    struct virtq_piece *piece = virtq_guest_piece(guest, gpa);
    if (!piece)
        abort();
    return piece->data + (gpa - piece->base);
}

VIRTQ_MAKER uint64_t virtq_guest_get(struct virtq_guest *guest, uint64_t gpa, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)*virtq_guest_at(guest, gpa + i) << 8 * i;
    return value;
}

VIRTQ_MAKER void virtq_guest_put(struct virtq_guest *guest, uint64_t gpa, unsigned size, uint64_t value) {
    for (unsigned i = 0; i < size; i++)
        *virtq_guest_at(guest, gpa + i) = (uint8_t)(value >> 8 * i);
}

/* ---- the driver */

#define VIRTQ_DRIVER_TABLE 32u /* entries of an indirect table, at most */

struct virtq_element {
    uint64_t gpa;
    uint32_t size;
    bool writable;
};

struct virtq_driver {
    struct virtq_guest *guest;
    uint16_t size;
    bool packed, event;
    uint64_t features;
    uint64_t descriptors, driver, device; /* areas */
    uint64_t tables;                      /* of indirect descriptors, one for each ring entry */
    uint16_t available;                   /* split: index; packed: offset, bit 15: wrap counter */
    uint16_t published, used;             /* likewise */
    uint16_t told;                        /* `published` when we last looked whether to notify */
    unsigned free;                        /* descriptors that are not in use */
    bool busy[VIRTQ_MAX_SIZE];            /* split: the descriptor; packed: the buffer ID */
    uint16_t count[VIRTQ_MAX_SIZE];       /* descriptors of the buffer with this head or ID */
    uint16_t next[VIRTQ_MAX_SIZE];        /* split: our own copy of the links */
};

/* Lays the queue out from `base` on, a multiple of 16: 0x2000 bytes, and 0x200 for each entry's table. */
VIRTQ_MAKER void virtq_driver_init(struct virtq_driver *driver, struct virtq_guest *guest, uint16_t size,
                                   uint64_t features, uint64_t base) {
    memset(driver, 0, sizeof(*driver));
    driver->guest = guest;
    driver->size = size;
    driver->features = features;
    driver->packed = (features & VIRTIO_RING_PACKED) != 0;
    driver->event = (features & VIRTIO_RING_EVENT) != 0;
    driver->descriptors = base;
    driver->driver = base + 0x1000;
    driver->device = base + 0x1400;
    driver->tables = base + 0x2000;
    driver->available = driver->used = driver->published = driver->told = driver->packed ? 0x8000 : 0;
    driver->free = size;
    memset(virtq_guest_at(guest, base), 0, 0x2000);
}

VIRTQ_MAKER int virtq_driver_enable(const struct virtq_driver *driver, struct virtq *queue,
                                    const struct virtq_position *position) {
    return virtq_enable(queue, &driver->guest->memory, driver->size, driver->descriptors, driver->driver,
                        driver->device, driver->features, position);
}

/* Both begin at another place: as if so much had gone on before. */
VIRTQ_MAKER struct virtq_position virtq_driver_start_at(struct virtq_driver *driver, uint16_t at) {
    driver->available = driver->used = driver->published = driver->told = at;
    if (!driver->packed) {
        virtq_guest_put(driver->guest, driver->driver + 2, 2, at);
        virtq_guest_put(driver->guest, driver->device + 2, 2, at);
    }
    return (struct virtq_position){.used = at};
}

/* Writes a descriptor: word[2] is flags and next of a split ring, buffer ID and flags of a packed one. */
VIRTQ_MAKER void virtq_driver_describe(struct virtq_driver *driver, uint64_t at, uint64_t gpa, uint32_t size,
                                       unsigned third, unsigned fourth) {
    virtq_guest_put(driver->guest, at, 8, gpa);
    virtq_guest_put(driver->guest, at + 8, 4, size);
    virtq_guest_put(driver->guest, at + 12, 2, third);
    virtq_guest_put(driver->guest, at + 14, 2, fourth);
}

VIRTQ_MAKER uint16_t virtq_driver_step(const struct virtq_driver *driver, uint16_t at, unsigned count) {
    if (!driver->packed)
        return (uint16_t)(at + count);
    for (; count > 0; count--)
        at = (at & 0x7fff) + 1 == driver->size ? (at & 0x8000) ^ 0x8000 : at + 1;
    return at;
}

VIRTQ_MAKER unsigned virtq_driver_free_id(struct virtq_driver *driver) {
    unsigned id = 0;
    while (driver->busy[id])
        id++;
    driver->busy[id] = true;
    return id;
}

VIRTQ_MAKER void virtq_driver_fill_table(struct virtq_driver *driver, uint64_t table,
                                         const struct virtq_element *element, unsigned count) {
    if (count > VIRTQ_DRIVER_TABLE)
        abort();
    for (unsigned i = 0; i < count; i++) {
        unsigned flags = (element[i].writable ? 2 : 0) | (!driver->packed && i + 1 < count ? 1 : 0);
        virtq_driver_describe(driver, table + 16 * i, element[i].gpa, element[i].size,
                              driver->packed ? 0xdead : flags, driver->packed ? flags : i + 1);
    }
}

/* Puts a buffer into the ring; with `indirect` by a table. Its head or ID; -1: there is no room. A split
 * ring's are available from virtq_driver_publish() on. */
VIRTQ_MAKER int virtq_driver_place(struct virtq_driver *driver, const struct virtq_element *element,
                                   unsigned count, bool indirect) {
    struct virtq_element whole;
    unsigned first = 0, previous = 0, head_flags = 0, id = 0;
    uint16_t at = driver->available, first_at = at;

    if (driver->free < (indirect ? 1 : count))
        return -1;
    if (driver->packed || indirect) {
        id = virtq_driver_free_id(driver);
        if (!driver->packed)
            driver->busy[id] = false;
    }
    if (indirect) {
        whole = (struct virtq_element){driver->tables + 16 * VIRTQ_DRIVER_TABLE * id, 16 * count, false};
        virtq_driver_fill_table(driver, whole.gpa, element, count);
        element = &whole;
        count = 1;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned flags =
            (element[i].writable ? 2 : 0) | (indirect ? 4 : 0) | (i + 1 < count ? 1 : 0); /* NEXT */
        if (driver->packed) {
            flags |= at & 0x8000 ? 0x80 : 0x8000;
            virtq_driver_describe(driver, driver->descriptors + 16 * (at & 0x7fff), element[i].gpa,
                                  element[i].size, i + 1 == count ? id : 0xbeef,
                                  i == 0 ? (at & 0x8000 ? 0 : 0x8080) : flags);
            if (i == 0)
                head_flags = flags;
            at = virtq_driver_step(driver, at, 1);
        } else {
            unsigned index = virtq_driver_free_id(driver);
            virtq_driver_describe(driver, driver->descriptors + 16 * index, element[i].gpa, element[i].size,
                                  flags, 0);
            if (i == 0) {
                first = index;
            } else {
                driver->next[previous] = (uint16_t)index;
                virtq_guest_put(driver->guest, driver->descriptors + 16 * previous + 14, 2, index);
            }
            previous = index;
        }
    }
    if (driver->packed) {
        virtq_guest_put(driver->guest, driver->descriptors + 16 * (first_at & 0x7fff) + 14, 2, head_flags);
        driver->available = driver->published = at;
    } else {
        id = first;
        virtq_guest_put(driver->guest, driver->driver + 4 + 2 * (driver->available % driver->size), 2, id);
        driver->available++;
    }
    driver->free -= count;
    driver->count[id] = (uint16_t)count;
    return (int)id;
}

VIRTQ_MAKER void virtq_driver_publish(struct virtq_driver *driver) {
    driver->published = driver->available;
    if (!driver->packed)
        virtq_guest_put(driver->guest, driver->driver + 2, 2, driver->published);
}

VIRTQ_MAKER int virtq_driver_add(struct virtq_driver *driver, const struct virtq_element *element,
                                 unsigned count, bool indirect) {
    int id = virtq_driver_place(driver, element, count, indirect);
    virtq_driver_publish(driver);
    return id;
}

/* Whether one of the positions from `from` up to `to`, stepped through one by one, is `event`. */
VIRTQ_MAKER bool virtq_driver_passes(const struct virtq_driver *driver, uint16_t from, uint16_t to,
                                     uint16_t event) {
    for (; from != to; from = virtq_driver_step(driver, from, 1))
        if (from == event)
            return true;
    return false;
}

/* Whether it rings the doorbell for what it published since the last call (2.7.10, 2.8.10). */
VIRTQ_MAKER bool virtq_driver_notifies(struct virtq_driver *driver) {
    uint16_t from = driver->told, to = driver->published;
    uint64_t area = driver->device;

    driver->told = to;
    if (from == to)
        return false;
    if (driver->packed) {
        unsigned flags = (unsigned)virtq_guest_get(driver->guest, area + 2, 2);
        uint16_t event = (uint16_t)virtq_guest_get(driver->guest, area, 2);
        return flags == 0 || (flags == 2 && virtq_driver_passes(driver, from, to, event));
    }
    if (driver->event) {
        area += 4 + 8 * driver->size;
        return virtq_driver_passes(driver, from, to, (uint16_t)virtq_guest_get(driver->guest, area, 2));
    }
    return !(virtq_guest_get(driver->guest, area, 2) & 1);
}

/* Takes the next used buffer, if there is one. */
VIRTQ_MAKER bool virtq_driver_used(struct virtq_driver *driver, unsigned *id, uint32_t *written) {
    struct virtq_guest *guest = driver->guest;

    if (driver->packed) {
        uint64_t at = driver->descriptors + 16 * (driver->used & 0x7fff);
        unsigned flags = (unsigned)virtq_guest_get(guest, at + 14, 2);
        unsigned expected = driver->used & 0x8000 ? 0x8080 : 0;
        if ((flags & 0x8080) != expected || driver->free == driver->size)
            return false;
        *written = (uint32_t)virtq_guest_get(guest, at + 8, 4);
        *id = (unsigned)virtq_guest_get(guest, at + 12, 2);
        if (*id >= driver->size || !driver->busy[*id] || (*written != 0) != ((flags & 2) != 0))
            abort();
        driver->busy[*id] = false;
        driver->used = virtq_driver_step(driver, driver->used, driver->count[*id]);
    } else {
        uint64_t at = driver->device + 4 + 8 * (driver->used % driver->size);
        if (virtq_guest_get(guest, driver->device + 2, 2) == driver->used)
            return false;
        *id = (unsigned)virtq_guest_get(guest, at, 4);
        *written = (uint32_t)virtq_guest_get(guest, at + 4, 4);
        if (*id >= driver->size || !driver->busy[*id])
            abort();
        unsigned index = *id;
        for (unsigned i = 0; i < driver->count[*id]; i++) {
            driver->busy[index] = false;
            index = driver->next[index];
        }
        driver->used++;
    }
    driver->free += driver->count[*id];
    return true;
}

/* Wants an interrupt from now on, or not. With the event index: when `ahead` more entries (split: buffers;
 * packed: descriptors) than the next were used. */
VIRTQ_MAKER void virtq_driver_interrupts(struct virtq_driver *driver, bool wanted, unsigned ahead) {
    uint16_t event = virtq_driver_step(driver, driver->used, ahead);

    if (driver->packed) {
        virtq_guest_put(driver->guest, driver->driver, 2, event);
        virtq_guest_put(driver->guest, driver->driver + 2, 2, !wanted ? 1 : driver->event ? 2 : 0);
    } else if (driver->event) {
        event = wanted ? event : (uint16_t)(driver->used - 1);
        virtq_guest_put(driver->guest, driver->driver + 4 + 2 * driver->size, 2, event);
    } else {
        virtq_guest_put(driver->guest, driver->driver, 2, !wanted);
    }
}

#endif
