// SPDX-License-Identifier: Apache-2.0
// Endpoints that are functions of the machine (see virtio/iommu_passed.h). The hypervisor keeps tables for
// each of them apart, so that what is done for a domain is done for each that is in it.
#include "virtio/iommu_passed.h"

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

static void spend(struct virtio_iommu *iommu, const struct iommu_mapping *mapping) {
    iommu->spent += 1 + (unsigned)((mapping->end - mapping->start) / SERVICE_MAX_DMA);
}

static int map_one(struct virtio_iommu *iommu, unsigned slot, const struct iommu_mapping *mapping) {
    spend(iommu, mapping);
    return iommu->machine->map(iommu, slot - VIRTIO_IOMMU_PASSED_SLOT, mapping);
}

static void unmap_one(struct virtio_iommu *iommu, unsigned slot, const struct iommu_mapping *mapping) {
    spend(iommu, mapping);
    iommu->machine->unmap(iommu, slot - VIRTIO_IOMMU_PASSED_SLOT, mapping);
}

static int confine(struct virtio_iommu *iommu, unsigned slot, bool on) {
    iommu->spent++;
    return iommu->machine->confine(iommu, slot - VIRTIO_IOMMU_PASSED_SLOT, on);
}

/* All mappings of a domain, for one endpoint. */
static void unmap_domain(struct virtio_iommu *iommu, unsigned slot, uint32_t domain) {
    const struct iommu_mapping *mapping = iommu_store_next(&iommu->store, domain, 0);

    for (; mapping; mapping = iommu_store_next(&iommu->store, domain, mapping->end + 1))
        unmap_one(iommu, slot, mapping);
}

static int map_domain(struct virtio_iommu *iommu, unsigned slot, uint32_t domain) {
    const struct iommu_mapping *mapping = iommu_store_next(&iommu->store, domain, 0);
    int error = 0;

    for (; mapping && !error; mapping = iommu_store_next(&iommu->store, domain, mapping->end + 1))
        error = map_one(iommu, slot, mapping);
    return error;
}

int iommu_passed_move(struct virtio_iommu *iommu, unsigned slot, uint32_t state) {
    uint32_t before = iommu_store_endpoint(&iommu->store, slot);
    uint32_t domain = state & IOMMU_ENDPOINT_DOMAIN;

    if (!is_passed(iommu, slot))
        return 0;
    /* First it reaches nothing, then other things. */
    if (before && is_confined(iommu, before))
        unmap_domain(iommu, slot, before & IOMMU_ENDPOINT_DOMAIN);
    int error = confine(iommu, slot, is_confined(iommu, state));
    if (!error && state && is_confined(iommu, state))
        error = map_domain(iommu, slot, domain);
    if (error && state) {
        if (is_confined(iommu, state))
            unmap_domain(iommu, slot, domain);
        (void)confine(iommu, slot, is_confined(iommu, 0));
    }
    return error;
}

int iommu_passed_map(struct virtio_iommu *iommu, const struct iommu_mapping *mapping) {
    int error = 0;
    unsigned slot;

    for (slot = 0; slot < IOMMU_STORE_ENDPOINTS && !error; slot++)
        if (is_in(iommu, slot, mapping->domain))
            error = map_one(iommu, slot, mapping);
    for (slot = error ? slot - 1 : 0; slot-- > 0;)
        if (is_in(iommu, slot, mapping->domain))
            unmap_one(iommu, slot, mapping);
    return error;
}

void iommu_passed_unmap(struct virtio_iommu *iommu, uint32_t domain, uint64_t start, uint64_t end) {
    const struct iommu_mapping *mapping = iommu_store_next(&iommu->store, domain, start);

    for (; mapping && mapping->start <= end;
         mapping = iommu_store_next(&iommu->store, domain, mapping->end + 1))
        for (unsigned slot = 0; slot < IOMMU_STORE_ENDPOINTS; slot++)
            if (is_in(iommu, slot, domain))
                unmap_one(iommu, slot, mapping);
}

bool iommu_passed_bypass(struct virtio_iommu *iommu, bool open) {
    int error = 0;
    unsigned slot;

    for (slot = 0; slot < IOMMU_STORE_ENDPOINTS && !error; slot++)
        if (is_passed(iommu, slot) && !iommu_store_endpoint(&iommu->store, slot))
            error = confine(iommu, slot, !open);
    if (!error || open)
        return true;
    for (slot = 0; slot < IOMMU_STORE_ENDPOINTS; slot++)
        if (is_passed(iommu, slot) && !iommu_store_endpoint(&iommu->store, slot))
            (void)confine(iommu, slot, false);
    return false;
}
