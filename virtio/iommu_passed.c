// SPDX-License-Identifier: Apache-2.0
// Endpoints that are functions of the machine (see virtio/iommu_passed.h). The hypervisor keeps tables for
// each of them apart, so that what is done for a domain is done for each that is in it. All that may be long
// goes in pieces, and over several turns of the program's loop.
#include "virtio/iommu_passed.h"

#include <errno.h>

/* Where iommu->walk is (0: nowhere, nothing is under way). */
enum { AWAY = 1, INTO, BACK };

static bool is_passed(const struct virtio_iommu *iommu, unsigned slot) {
    return iommu->machine && slot >= VIRTIO_IOMMU_PASSED_SLOT && (iommu->slots & 1u << slot);
}

static bool is_in(const struct virtio_iommu *iommu, unsigned slot, uint32_t domain) {
    uint32_t state = iommu_store_endpoint(&iommu->store, slot);

    return is_passed(iommu, slot) && (state & IOMMU_ENDPOINT_ATTACHED) && !(state & IOMMU_ENDPOINT_BYPASS) &&
           (state & IOMMU_ENDPOINT_DOMAIN) == domain;
}

/* Whether tables of its own say what it reaches. */
static bool is_confined(const struct virtio_iommu *iommu, uint32_t state) {
    return state ? !(state & IOMMU_ENDPOINT_BYPASS) : virtio_iommu_blocked(iommu);
}

static int confine(struct virtio_iommu *iommu, unsigned slot, bool on) {
    iommu->spent++;
    return iommu->machine->confine(iommu, slot - VIRTIO_IOMMU_PASSED_SLOT, on);
}

static void enter(struct iommu_walk *walk, unsigned phase, uint64_t at) {
    walk->phase = phase;
    walk->at = at;
}

/* The part of a mapping that begins at `at`, if that is beyond its start, and goes to the hypervisor in one
 * call. */
static struct iommu_mapping piece_of(const struct iommu_mapping *mapping, uint64_t at) {
    struct iommu_mapping piece = *mapping;

    if (at > piece.start) {
        piece.physical += at - piece.start;
        piece.start = at;
    }
    if (piece.end - piece.start >= SERVICE_MAX_DMA)
        piece.end = piece.start + (SERVICE_MAX_DMA - 1);
    return piece;
}

/* Has the function in `slot` reach what `one` maps, or no longer; NULL: what the domain maps up to `end`.
 * From walk->at on. 0; -EINPROGRESS; or what map said. */
static int go(struct virtio_iommu *iommu, unsigned slot, const struct iommu_mapping *one, uint32_t domain,
              uint64_t end, bool on) {
    unsigned number = slot - VIRTIO_IOMMU_PASSED_SLOT;
    struct iommu_walk *walk = &iommu->walk;

    for (;;) {
        const struct iommu_mapping *mapping = one ? one : iommu_store_next(&iommu->store, domain, walk->at);
        if (!mapping || mapping->start > end || walk->at > mapping->end)
            return 0;
        if (iommu->spent >= IOMMU_PASSED_BUDGET)
            return -EINPROGRESS;
        const struct iommu_mapping piece = piece_of(mapping, walk->at);
        iommu->spent += 1 + (unsigned)((piece.end - piece.start) >> 16);
        int error = 0;
        if (on)
            error = iommu->machine->map(iommu, number, &piece);
        else
            iommu->machine->unmap(iommu, number, &piece);
        if (error)
            return error;
        walk->at = piece.end + 1;
    }
}

/* First it reaches nothing, then other things. */
int iommu_passed_move(struct virtio_iommu *iommu, unsigned slot, uint32_t state) {
    struct iommu_walk *walk = &iommu->walk;
    uint32_t before = iommu_store_endpoint(&iommu->store, slot);
    uint32_t domain = state & IOMMU_ENDPOINT_DOMAIN;
    bool confined = is_confined(iommu, state);

    if (!is_passed(iommu, slot))
        return 0;
    if (!walk->phase) {
        enter(walk, AWAY, 0);
        walk->moving = 1u << slot;
    }
    if (walk->phase == AWAY) {
        if (before && is_confined(iommu, before) &&
            go(iommu, slot, NULL, before & IOMMU_ENDPOINT_DOMAIN, UINT64_MAX, false))
            return -EINPROGRESS;
        walk->error = confine(iommu, slot, confined);
        enter(walk, !state ? 0 : walk->error ? BACK : confined ? INTO : 0, 0);
    }
    if (walk->phase == INTO) {
        walk->error = go(iommu, slot, NULL, domain, UINT64_MAX, true);
        if (walk->error == -EINPROGRESS)
            return -EINPROGRESS;
        enter(walk, walk->error ? BACK : 0, 0);
    }
    if (walk->phase == BACK) {
        if (confined && go(iommu, slot, NULL, domain, UINT64_MAX, false))
            return -EINPROGRESS;
        (void)confine(iommu, slot, is_confined(iommu, 0));
        enter(walk, 0, 0);
    }
    walk->moving = 0;
    return walk->error;
}

int iommu_passed_map(struct virtio_iommu *iommu, const struct iommu_mapping *mapping) {
    struct iommu_walk *walk = &iommu->walk;
    unsigned *slot = &walk->slot;

    if (!walk->phase) {
        enter(walk, INTO, mapping->start);
        walk->error = 0;
        *slot = 0;
    }
    for (; walk->phase == INTO && *slot < IOMMU_STORE_ENDPOINTS; ++*slot, walk->at = mapping->start) {
        if (!is_in(iommu, *slot, mapping->domain))
            continue;
        walk->error = go(iommu, *slot, mapping, 0, UINT64_MAX, true);
        if (walk->error == -EINPROGRESS)
            return -EINPROGRESS;
        if (!walk->error)
            continue;
        walk->last = *slot;
        *slot = 0;
        enter(walk, BACK, mapping->start);
        break;
    }
    for (; walk->phase == BACK && *slot <= walk->last; ++*slot, walk->at = mapping->start)
        if (is_in(iommu, *slot, mapping->domain) && go(iommu, *slot, mapping, 0, UINT64_MAX, false))
            return -EINPROGRESS;
    enter(walk, 0, 0);
    return walk->error;
}

int iommu_passed_unmap(struct virtio_iommu *iommu, uint32_t domain, uint64_t start, uint64_t end) {
    struct iommu_walk *walk = &iommu->walk;

    if (!walk->phase) {
        enter(walk, AWAY, start);
        walk->slot = 0;
    }
    for (; walk->slot < IOMMU_STORE_ENDPOINTS; walk->slot++, walk->at = start)
        if (is_in(iommu, walk->slot, domain) && go(iommu, walk->slot, NULL, domain, end, false))
            return -EINPROGRESS;
    enter(walk, 0, 0);
    return 0;
}

/* One that is on its way into a domain, or out of it, learns at its end whether it is open. */
static bool is_loose(const struct virtio_iommu *iommu, unsigned slot) {
    return is_passed(iommu, slot) && !iommu_store_endpoint(&iommu->store, slot) &&
           !(iommu->walk.moving & 1u << slot);
}

bool iommu_passed_bypass(struct virtio_iommu *iommu, bool open) {
    int error = 0;
    unsigned slot;

    for (slot = 0; slot < IOMMU_STORE_ENDPOINTS && !error; slot++)
        if (is_loose(iommu, slot))
            error = confine(iommu, slot, !open);
    if (!error || open)
        return true;
    for (slot = 0; slot < IOMMU_STORE_ENDPOINTS; slot++)
        if (is_loose(iommu, slot))
            (void)confine(iommu, slot, false);
    return false;
}
