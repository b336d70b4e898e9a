// SPDX-License-Identifier: Apache-2.0
// Endpoints that are functions of the machine (virtio/iommu.h): the hypervisor is told first, what is kept
// changes then. So a request that is done again after our program ended leaves both as it should.
#ifndef SAGUARO_VIRTIO_IOMMU_PASSED_H
#define SAGUARO_VIRTIO_IOMMU_PASSED_H

#include "virtio/iommu.h"

/* What one run of the device may spend: a request, a call of the hypervisor's and 64 KiB of addresses count
 * one each. It ends with what is beyond. */
#define IOMMU_PASSED_BUDGET 256u

/*
 * Each of the first three returns -EINPROGRESS when iommu->spent has reached the budget: it is called again,
 * with the same values, in the next run, and goes on where it was. Until it is through, what the store says
 * of the domains and endpoints concerned stays as it was.
 */

/* The endpoint in `slot` goes to another state. 0, or what the hypervisor said: it is not attached then. */
int iommu_passed_move(struct virtio_iommu *iommu, unsigned slot, uint32_t state);
/* For all of them that are in the mapping's domain. 0, or what the hypervisor said: none has it then. */
int iommu_passed_map(struct virtio_iommu *iommu, const struct iommu_mapping *mapping);
/* What is mapped within [start, end] is about to be unmapped. 0. */
int iommu_passed_unmap(struct virtio_iommu *iommu, uint32_t domain, uint64_t start, uint64_t end);
/* Those that are in no domain reach all of the guest's RAM, or nothing. False: one of them cannot be kept
 * from it, and all reach it. */
bool iommu_passed_bypass(struct virtio_iommu *iommu, bool open);

#endif
