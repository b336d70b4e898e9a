// SPDX-License-Identifier: Apache-2.0
// A vCPU's emulator bound to its VM: guest memory, the bus, the local APIC's page, vector registers.
#ifndef SAGUARO_ARCH_X86_ENGINE_MMIO_H
#define SAGUARO_ARCH_X86_ENGINE_MMIO_H

#include <stddef.h>
#include "arch/x86/emulate/emulate.h"
#include "arch/x86/vm.h"

int mmio_create(struct x86_vcpu *vcpu); /* 0 or -ENOMEM */
void mmio_destroy(struct x86_vcpu *vcpu);

/* The vCPU comes to a CPU: addresses in the windows of another one, or of before, hold no longer. */
void mmio_load(struct x86_vcpu *vcpu);

/* True when no memory answers an access at `gpa`: a device does, or nobody. ROM is memory that does not take
 * writes. */
bool mmio_is_device(struct x86_vcpu *vcpu, uint64_t gpa, bool write);

/* The emulator with no more than emulate_device() looks at made current. */
struct emulate *mmio_emulator_short(struct x86_vcpu *vcpu);
/* The emulator with everything it looks at made current. Only by the CPU that runs the vCPU, or while it is
 * parked. */
struct emulate *mmio_emulator(struct x86_vcpu *vcpu);

/* Reads guest-virtual memory without side effects, as supervisor. 0 or -EFAULT. For reports. */
int mmio_peek(struct x86_vcpu *vcpu, uint64_t linear, void *buffer, size_t size);

/* A device access at a guest-physical address: the vCPU's APIC page or the bus. As bus_read() and
 * bus_write(). */
int mmio_read(struct x86_vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t *value);
int mmio_write(struct x86_vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t value);

#endif
