// SPDX-License-Identifier: Apache-2.0
// What a guest's IOMMU keeps (see virtio/iommu_store.h): mappings in any order in memory that is kept, and a
// sorted list of their numbers beside it. Every step leaves the memory as one that can be taken up again.
#include "virtio/iommu_store.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define FLAGS        (IOMMU_MAP_READ | IOMMU_MAP_WRITE | IOMMU_MAP_MMIO)
#define PHYSICAL_END (1ull << 52)

static const struct iommu_mapping *at(const struct iommu_store *store, unsigned index) {
    return &store->kept->mapping[store->order[index]];
}

/* The first mapping in order that ends at `address` of `domain` or later; store->count: none does. */
static unsigned first_from(const struct iommu_store *store, uint32_t domain, uint64_t address) {
    unsigned low = 0, high = store->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        const struct iommu_mapping *mapping = at(store, middle);
        if (mapping->domain < domain || (mapping->domain == domain && mapping->end < address))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether a mapping of that index exists and touches [.., end] of the domain. */
static bool reaches(const struct iommu_store *store, unsigned index, uint32_t domain, uint64_t end) {
    return index < store->count && at(store, index)->domain == domain && at(store, index)->start <= end;
}

bool iommu_store_sound(const struct iommu_mapping *mapping) {
    uint64_t mask = IOMMU_PAGE - 1;

    return !(mapping->start & mask) && !(mapping->physical & mask) && !((mapping->end + 1) & mask) &&
           mapping->start < mapping->end && mapping->end <= IOMMU_INPUT_END &&
           mapping->physical < PHYSICAL_END && mapping->domain < IOMMU_STORE_DOMAINS &&
           !(mapping->flags & ~(FLAGS | IOMMU_MAPPING_USED));
}

/* The order's unused numbers begin at store->count; the one at `from`, one of them, goes to `to`. */
static void insert(struct iommu_store *store, unsigned from, unsigned to) {
    uint16_t number = store->order[from];

    store->order[from] = store->order[store->count];
    memmove(&store->order[to + 1], &store->order[to], (store->count - to) * sizeof(store->order[0]));
    store->order[to] = number;
    store->count++;
}

int iommu_store_check(const struct iommu_store *store, const struct iommu_mapping *mapping) {
    if (reaches(store, first_from(store, mapping->domain, mapping->start), mapping->domain, mapping->end))
        return -EEXIST;
    return store->count == IOMMU_STORE_MAPPINGS ? -ENOSPC : 0;
}

int iommu_store_map(struct iommu_store *store, const struct iommu_mapping *mapping) {
    unsigned to = first_from(store, mapping->domain, mapping->start);
    int error = iommu_store_check(store, mapping);

    if (error)
        return error;
    struct iommu_mapping *kept = &store->kept->mapping[store->order[store->count]];
    kept->start = mapping->start;
    kept->end = mapping->end;
    kept->physical = mapping->physical;
    kept->domain = mapping->domain;
    __atomic_store_n(&kept->flags, mapping->flags | IOMMU_MAPPING_USED, __ATOMIC_RELEASE);
    insert(store, store->count, to);
    return 0;
}

/* Removes mappings [first, end) of the order. */
static void discard(struct iommu_store *store, unsigned first, unsigned end) {
    unsigned count = end - first;
    size_t size = count * sizeof(store->order[0]);

    for (unsigned i = first; i < end; i++)
        store->kept->mapping[store->order[i]].flags = 0;
    memcpy(store->moved, &store->order[first], size);
    memmove(&store->order[first], &store->order[end], (store->count - end) * sizeof(store->order[0]));
    store->count -= count;
    memcpy(&store->order[store->count], store->moved, size);
}

int iommu_store_covered(const struct iommu_store *store, uint32_t domain, uint64_t start, uint64_t end) {
    unsigned first = first_from(store, domain, start), last = first;

    for (; reaches(store, last, domain, end); last++)
        if (at(store, last)->start < start || at(store, last)->end > end)
            return -ERANGE;
    return (int)(last - first);
}

int iommu_store_unmap(struct iommu_store *store, uint32_t domain, uint64_t start, uint64_t end) {
    int count = iommu_store_covered(store, domain, start, end);
    unsigned first = first_from(store, domain, start);

    if (count > 0)
        discard(store, first, first + (unsigned)count);
    return count;
}

const struct iommu_mapping *iommu_store_next(const struct iommu_store *store, uint32_t domain,
                                             uint64_t address) {
    unsigned index = first_from(store, domain, address);

    return reaches(store, index, domain, UINT64_MAX) ? at(store, index) : NULL;
}

const struct iommu_mapping *iommu_store_find(const struct iommu_store *store, uint32_t domain,
                                             uint64_t address) {
    unsigned index = first_from(store, domain, address);

    return reaches(store, index, domain, address) ? at(store, index) : NULL;
}

uint32_t iommu_store_domain(const struct iommu_store *store, uint32_t domain) {
    for (unsigned i = 0; i < IOMMU_STORE_ENDPOINTS; i++) {
        uint32_t state = store->kept->endpoint[i];
        if ((state & IOMMU_ENDPOINT_ATTACHED) && (state & IOMMU_ENDPOINT_DOMAIN) == domain)
            return state;
    }
    return 0;
}

/* A domain without endpoints does not exist, and has no mappings. */
void iommu_store_attach(struct iommu_store *store, unsigned slot, uint32_t state) {
    uint32_t before = store->kept->endpoint[slot];

    __atomic_store_n(&store->kept->endpoint[slot], state, __ATOMIC_RELEASE);
    if ((before & IOMMU_ENDPOINT_ATTACHED) && !iommu_store_domain(store, before & IOMMU_ENDPOINT_DOMAIN))
        (void)iommu_store_unmap(store, before & IOMMU_ENDPOINT_DOMAIN, 0, UINT64_MAX);
}

void iommu_store_clear(struct iommu_store *store) {
    memset(store->kept->endpoint, 0, sizeof(store->kept->endpoint));
    discard(store, 0, store->count);
}

/* A domain is a bypass domain for all of its endpoints, or for none. */
static bool state_sound(const struct iommu_kept *kept, unsigned slot) {
    uint32_t state = kept->endpoint[slot];

    if (!state)
        return true;
    if (!(state & IOMMU_ENDPOINT_ATTACHED) ||
        (state & ~(IOMMU_ENDPOINT_ATTACHED | IOMMU_ENDPOINT_BYPASS | IOMMU_ENDPOINT_DOMAIN)))
        return false;
    for (unsigned i = 0; i < slot; i++)
        if (!((kept->endpoint[i] ^ state) & (IOMMU_ENDPOINT_ATTACHED | IOMMU_ENDPOINT_DOMAIN)) &&
            kept->endpoint[i] != state)
            return false;
    return true;
}

/* Whether a mapping that was found can be taken up. */
static bool belongs(const struct iommu_store *store, const struct iommu_mapping *mapping) {
    if (!(mapping->flags & IOMMU_MAPPING_USED) || !iommu_store_sound(mapping))
        return false;
    uint32_t state = iommu_store_domain(store, mapping->domain);
    return state && !(state & IOMMU_ENDPOINT_BYPASS) &&
           !reaches(store, first_from(store, mapping->domain, mapping->start), mapping->domain, mapping->end);
}

void iommu_store_init(struct iommu_store *store, struct iommu_kept *kept) {
    store->kept = kept;
    store->count = 0;
    for (unsigned i = 0; i < IOMMU_STORE_ENDPOINTS; i++)
        if (!state_sound(kept, i))
            kept->endpoint[i] = 0;
    for (unsigned i = 0; i < IOMMU_STORE_MAPPINGS; i++)
        store->order[i] = (uint16_t)i;
    for (unsigned i = 0; i < IOMMU_STORE_MAPPINGS; i++) {
        struct iommu_mapping *mapping = &kept->mapping[i];
        if (!belongs(store, mapping)) {
            mapping->flags = 0;
            continue;
        }
        /* Numbers below i have the places below i, so that i still has its own. */
        insert(store, i, first_from(store, mapping->domain, mapping->start));
    }
}
