// SPDX-License-Identifier: Apache-2.0
// The hypervisor's side of a PCI function that the service VM answers for (abi/service.h): configuration
// space, BARs, MSI-X and INTx are kept here; accesses to what is behind the BARs become requests and
// doorbells (core/service.h).
#ifndef SAGUARO_DEVICES_SERVICE_PCI_H
#define SAGUARO_DEVICES_SERVICE_PCI_H

#include <stdbool.h>
#include <stdint.h>
#include "abi/service.h"

struct vm;
struct state_writer;
struct state_reader;
struct service_function;

#define SERVICE_PCI_STATE_VERSION 1

/* Makes device `number` as `description`, a copy that nobody else writes, says, and adds it to the VM's bus
 * as it is after power-on. Each field is checked but `vm`, which has led to `vm`. 0; -EINVAL: a field is
 * wrong; -EEXIST: the place on the bus is taken; -ENOMEM. */
int service_pci_create(struct vm *vm, unsigned number, const struct service_device *description,
                       struct service_function **out);
/* Takes it away and frees it. All vCPUs of the VM are parked: one could still be inside a BAR's handler. */
void service_pci_destroy(struct service_function *f);
/* Power-on: BARs are nowhere, MSI-X is off, INTx is down, nothing is pending. */
void service_pci_reset(struct service_function *f);

/* The service VM changes its configuration space: size 1, 2 or 4 bytes, whatever the guest may write there.
 * Until the next reset. 0; -EINVAL: outside of it, or a byte that is the hypervisor's: command, status,
 * header type, BARs, interrupt pin, the MSI-X capability. */
int service_pci_config(struct service_function *f, unsigned offset, unsigned size, uint32_t value);
/* Sends the message of MSI-X vector `vector`, or keeps it pending while the vector or the function is masked
 * or the function is no bus master. 0; -ENXIO: MSI-X is off; -EINVAL: there is no such vector. */
int service_pci_interrupt(struct service_function *f, unsigned vector);
/* The level of INTx, as the status register shows it. The pin follows unless the guest has disabled it
 * (command, bit 10) or enabled MSI-X. 0; -EINVAL: the function has no pin. */
int service_pci_line(struct service_function *f, bool level);

/* Fields of one record of SERVICE_PCI_STATE_VERSION, which the caller opens and closes. load: -EINVAL leaves
 * the function reset. All vCPUs are parked, and for load the machine's own parts are loaded already. */
void service_pci_save(struct service_function *f, struct state_writer *writer);
int service_pci_load(struct service_function *f, struct state_reader *reader);

#endif
