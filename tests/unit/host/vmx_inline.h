// SPDX-License-Identifier: Apache-2.0
// The VMX instructions for unit tests: a VMCS, and the registers that a guest has in the CPU, are the test's.
#ifndef SAGUARO_TESTS_VMX_INLINE_H
#define SAGUARO_TESTS_VMX_INLINE_H

#include <stdint.h>

/* The test defines these. */
uint64_t vmcs_read(uint32_t field);
void vmcs_write(uint32_t field, uint64_t value);
uint64_t guest_cr2_read(void);
void guest_cr2_write(uint64_t value);
uint64_t guest_dr6_read(void);
void guest_dr6_write(uint64_t value);
uint64_t guest_msr_read(uint32_t msr);
void guest_msr_write(uint32_t msr, uint64_t value);

#endif
