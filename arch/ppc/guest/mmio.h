// SPDX-License-Identifier: Apache-2.0
// Loads and stores of a guest to device memory, and those that a real TLB entry cannot serve (see
// SHADOW_CONFLICT).
#ifndef SAGUARO_ARCH_PPC_GUEST_MMIO_H
#define SAGUARO_ARCH_PPC_GUEST_MMIO_H

#include "arch/ppc/vm.h"

/*
 * Executes the load or store at the guest's PC. On the bus (BUS_MEMORY) a value is what a load in the CPU's
 * own, big-endian order leaves in a register: a device with little-endian registers swaps. What does not fit
 * a device is refused: an access that is not aligned, dcbz, lmw and the like (alignment interrupt),
 * instructions that nobody needs there, lwarx among them (machine check). True: done, or the guest has taken
 * an interrupt. False: the device answers later, PC is as it was.
 */
bool mmio_execute(struct ppc_vcpu *vcpu);

#endif
