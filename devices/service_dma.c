// SPDX-License-Identifier: Apache-2.0
// The service VM's functions behind an IOMMU: one domain, in which its own memory lies where it is, and
// messages that only the function they are made for can send.
#include "devices/service_dma.h"

#include <errno.h>

#include "core/log.h"
#include "core/service_internal.h"
#include "drivers/iommu/iommu.h"

static struct iommu_domain *domain; /* NULL: the machine has no IOMMU */

/* One of its functions did what it may not. A few of these are in the log, and harmless; if they do not end,
 * its driver has lost the function, and a new start resets that. */
static void fault(struct iommu_domain *of, const struct iommu_fault *what, bool suspended) {
    (void)of;
    if (suspended)
        vm_crash(service.vm->vcpu[0], "PCI %04x:%02x:%02x.%x goes on with DMA where it may not",
                 what->segment, what->requester >> 8, what->requester >> 3 & 31, what->requester & 7);
}

int service_dma_create(void) {
    if (!iommu_present()) {
        log_warning("no IOMMU is in use: DMA is unprotected: a card or a disk of the machine that goes wrong "
                    "can reach all memory");
        return 0;
    }
    int error = iommu_domain_create(&domain, "the service VM", &service.vm->memory.account, fault);
    if (!error)
        error = service_dma_map(&service.vm->memory);
    if (error)
        log_error("the service VM's memory cannot be made known to the IOMMU (%d)", error);
    return error;
}

int service_dma_map(const struct guest_memory *memory) {
    uint64_t part;
    int error = 0;

    if (!domain)
        return 0;
    for (uint64_t offset = 0; offset < memory->size && !error; offset += part) {
        uint64_t physical = guest_memory_backing(memory, offset, &part);
        if (part > memory->size - offset)
            part = memory->size - offset;
        error = iommu_map(domain, physical, physical, part, true);
    }
    iommu_flush(domain);
    return error;
}

/* Whether an IOMMU is between the function and memory. */
static bool behind(const struct host_pci *pci, struct iommu_device *device) {
    return domain && host_pci_dma(pci, device) && iommu_covers(device);
}

bool service_dma_attach(const struct host_pci *pci, const char *name) {
    struct iommu_device device;

    if (!domain)
        return true;
    if (!host_pci_dma(pci, &device)) {
        log_warning("PCI %s: it is behind too many bridges: it cannot be used", name);
        return false;
    }
    if (!iommu_covers(&device)) {
        log_warning("PCI %s: no IOMMU translates its DMA: it can reach all memory", name);
        return true;
    }
    const char *why = iommu_attach(domain, &device);
    if (why)
        log_warning("PCI %s: it cannot be used: %s", name, why);
    return !why;
}

void service_dma_detach(const struct host_pci *pci) {
    struct iommu_device device;

    if (behind(pci, &device))
        iommu_detach(domain, &device);
}

int service_dma_message(const struct host_pci *pci, uint64_t *address, uint32_t *data, int *interrupt) {
    struct iommu_device device;

    if (!behind(pci, &device))
        return 0;
    int number = iommu_interrupt_remap(&device, address, data);
    if (number == -ENODEV)
        return 0;
    if (number < 0)
        return -ENOSPC;
    *interrupt = number;
    return 0;
}

void service_dma_forget(int *interrupt) {
    if (*interrupt != SERVICE_DMA_NONE)
        iommu_interrupt_free(*interrupt);
    *interrupt = SERVICE_DMA_NONE;
}
