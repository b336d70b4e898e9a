// SPDX-License-Identifier: Apache-2.0
// What DMA and which messages the service VM's functions are allowed, where the machine has an IOMMU. Where
// it has none, everything here succeeds and does nothing.
#ifndef SAGUARO_DEVICES_SERVICE_DMA_H
#define SAGUARO_DEVICES_SERVICE_DMA_H

#include "devices/host_pci.h"

struct guest_memory;

/* Makes the service VM's domain, which maps its own memory; says so where there is no IOMMU. Once, before the
 * calls below. 0, or a negative errno after a line in the log. */
int service_dma_create(void);
/* Memory that its functions may reach from now on, at its physical addresses, which are the device's
 * addresses without an IOMMU, too. 0, -EINVAL, -ENOMEM. */
int service_dma_map(const struct guest_memory *memory);
/* A function is the service VM's: before it is a bus master. False: it cannot be, after a line in the log,
 * where it is called `name`. */
bool service_dma_attach(const struct host_pci *pci, const char *name);
/* It is nobody's again. It is no bus master any more, and its interrupts are off. */
void service_dma_detach(const struct host_pci *pci);
/* Makes a plain message, as arch_host_message() has it, one that this function may send: *address and *data
 * are what it has to write. *interrupt: for service_dma_forget(); SERVICE_DMA_NONE before. 0, or -ENOSPC. */
int service_dma_message(const struct host_pci *pci, uint64_t *address, uint32_t *data, int *interrupt);
/* It may not any more. *interrupt: as it was given, or SERVICE_DMA_NONE, which it is afterwards. */
#define SERVICE_DMA_NONE (-1)
void service_dma_forget(int *interrupt);

#endif
