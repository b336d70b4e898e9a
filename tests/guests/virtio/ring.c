// SPDX-License-Identifier: Apache-2.0
// The driver's side of split and packed rings (virtio 1.2, 2.7 and 2.8).
#include "tests/guests/virtio/virtio.h"

#define AVAILABLE        0x0080u /* flags of a packed descriptor */
#define USED             0x8000u
#define EVENT_DISABLE    1u
#define EVENT_DESCRIPTOR 2u

static void barrier(void) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ring_clear(struct ring *r, struct virtio *v, unsigned index, unsigned size) {
    for (unsigned i = 0; i < RING_MOST; i++)
        r->table[i] = r->indirect[i] = (struct descriptor){0};
    for (unsigned i = 0; i < array_count(r->driver); i++)
        r->driver[i] = r->device[i] = 0;
    r->v = v;
    r->index = index;
    r->size = size;
    r->packed = v->features & F_PACKED;
    r->event = v->features & F_EVENT;
    r->doorbell = 0;
    r->next = r->used = r->free = r->id = 0;
    r->wrap = r->uwrap = true;
}

static void put_address(const struct virtio *v, unsigned field, const void *address) {
    common_write(v, field, 4, (uint32_t)(uint64_t)address);
    common_write(v, field + 4, 4, (uint32_t)((uint64_t)address >> 32));
}

bool ring_enable(struct ring *r, struct virtio *v, unsigned index, unsigned size, uint16_t vector) {
    ring_clear(r, v, index, size);
    common_write(v, C_QUEUE_SELECT, 2, index);
    r->doorbell = common_read(v, C_QUEUE_NOTIFY_OFF, 2) * v->multiplier;
    common_write(v, C_QUEUE_SIZE, 2, size);
    common_write(v, C_QUEUE_VECTOR, 2, vector);
    put_address(v, C_QUEUE_DESC, r->table);
    put_address(v, C_QUEUE_DRIVER, r->driver);
    put_address(v, C_QUEUE_DEVICE, r->device);
    common_write(v, C_QUEUE_ENABLE, 2, 1);
    return common_read(v, C_QUEUE_ENABLE, 2) == 1;
}

void ring_set(struct ring *r, unsigned at, uint64_t address, uint32_t size, unsigned flags, unsigned next) {
    volatile struct descriptor *d = &r->table[at];
    d->address = address;
    d->size = size;
    d->third = (uint16_t)flags;
    d->fourth = (uint16_t)next;
}

/* ---- making available */

/* available: flags, index, then the ring. */
void ring_offer(struct ring *r, uint16_t head) {
    volatile uint16_t *available = r->driver;
    available[2 + r->next % r->size] = head;
    barrier();
    available[1] = ++r->next;
    barrier();
}

static unsigned flags_of(const struct piece *pieces, unsigned i, unsigned count) {
    return (pieces[i].write ? RING_WRITE : 0) | (i + 1 < count ? RING_NEXT : 0);
}

static unsigned add_split(struct ring *r, const struct piece *pieces, unsigned count, bool indirect) {
    unsigned head = r->free, number = indirect ? 1 : count;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = indirect ? i : (head + i) % r->size;
        struct descriptor *to = indirect ? &r->indirect[at] : &r->table[at];
        *to = (struct descriptor){(uint64_t)pieces[i].data, pieces[i].size,
                                  (uint16_t)flags_of(pieces, i, count),
                                  (uint16_t)(indirect ? i + 1 : (at + 1) % r->size)};
    }
    if (indirect)
        ring_set(r, head, (uint64_t)r->indirect, count * sizeof(struct descriptor), RING_INDIRECT, 0);
    r->free = (uint16_t)((head + number) % r->size);
    ring_offer(r, (uint16_t)head);
    return head;
}

static uint16_t packed_flags(const struct ring *r, unsigned flags) {
    return (uint16_t)(flags | (r->wrap ? AVAILABLE : USED));
}

static void packed_step(struct ring *r) {
    if (++r->next == r->size) {
        r->next = 0;
        r->wrap = !r->wrap;
    }
}

static unsigned add_packed(struct ring *r, const struct piece *pieces, unsigned count, bool indirect) {
    unsigned number = indirect ? 1 : count, id = r->id;
    volatile struct descriptor *first = &r->table[r->next];
    uint16_t first_flags = 0;
    r->id = (uint16_t)((id + 1) % r->size);
    r->count[id] = (uint16_t)number;
    for (unsigned i = 0; indirect && i < count; i++)
        r->indirect[i] = (struct descriptor){(uint64_t)pieces[i].data, pieces[i].size, 0,
                                             pieces[i].write ? RING_WRITE : 0};
    for (unsigned i = 0; i < number; i++) {
        volatile struct descriptor *d = &r->table[r->next];
        uint16_t flags = packed_flags(r, indirect ? RING_INDIRECT : flags_of(pieces, i, count));
        d->address = indirect ? (uint64_t)r->indirect : (uint64_t)pieces[i].data;
        d->size = indirect ? count * (uint32_t)sizeof(struct descriptor) : pieces[i].size;
        d->third = (uint16_t)id;
        if (i)
            d->fourth = flags;
        else
            first_flags = flags;
        packed_step(r);
    }
    barrier();
    first->fourth = first_flags;
    barrier();
    return id;
}

unsigned ring_add(struct ring *r, const struct piece *pieces, unsigned count, bool indirect) {
    return r->packed ? add_packed(r, pieces, count, indirect) : add_split(r, pieces, count, indirect);
}

void ring_kick(const struct ring *r) {
    barrier();
    virtio_notify(r->v, r->doorbell, r->index);
}

/* ---- what was used */

static bool used_split(struct ring *r, unsigned *id, uint32_t *written) {
    const volatile uint16_t *ring = r->device;
    if (ring[1] == r->used)
        return false;
    barrier();
    const volatile uint32_t *entry = (const volatile uint32_t *)(ring + 2) + 2 * (r->used % r->size);
    *id = entry[0];
    *written = entry[1];
    r->used++;
    return true;
}

static bool used_packed(struct ring *r, unsigned *id, uint32_t *written) {
    const volatile struct descriptor *d = &r->table[r->used];
    unsigned flags = d->fourth & (AVAILABLE | USED);
    if (flags != (r->uwrap ? AVAILABLE | USED : 0))
        return false;
    barrier();
    *id = d->third;
    *written = d->size;
    unsigned next = r->used + (*id < r->size ? r->count[*id] : 1u);
    if (next >= r->size) {
        next -= r->size;
        r->uwrap = !r->uwrap;
    }
    r->used = (uint16_t)next;
    return true;
}

bool ring_used(struct ring *r, unsigned *id, uint32_t *written) {
    return r->packed ? used_packed(r, id, written) : used_split(r, id, written);
}

bool ring_wait(struct ring *r, unsigned *id, uint32_t *written) {
    uint64_t end = now_us() + WAIT_MS * 1000ull;
    while (!ring_used(r, id, written)) {
        if (now_us() > end)
            return false;
        pause_cpu();
    }
    return true;
}

/* ---- interrupts */

void ring_interrupt(struct ring *r, bool wanted) {
    volatile uint16_t *driver = r->driver;
    if (r->packed)
        driver[1] = wanted ? 0 : EVENT_DISABLE;
    else if (r->event) /* one that was just before does not come again soon */
        driver[2 + r->size] = (uint16_t)(wanted ? r->used : r->used - 1);
    else
        driver[0] = wanted ? 0 : 1;
    barrier();
}

/* Packed: each buffer is taken to have one descriptor. */
void ring_interrupt_after(struct ring *r, unsigned buffers) {
    volatile uint16_t *driver = r->driver;
    if (r->packed) {
        unsigned at = r->used + buffers - 1;
        bool wrap = r->uwrap;
        if (at >= r->size) {
            at -= r->size;
            wrap = !wrap;
        }
        driver[0] = (uint16_t)(at | (wrap ? 0x8000u : 0));
        driver[1] = EVENT_DESCRIPTOR;
    } else {
        driver[2 + r->size] = (uint16_t)(r->used + buffers - 1);
    }
    barrier();
}
