// SPDX-License-Identifier: Apache-2.0
// A VMCS and the CPU's registers beside it, for unit tests of the VT-x engine's files. Included by one file
// of a test program.
#ifndef SAGUARO_TESTS_VMCS_MOCK_H
#define SAGUARO_TESTS_VMCS_MOCK_H

#include <string.h>
#include <vmx_inline.h>
#include "arch/x86/engine/vmx/vmx.h"

static struct {
    uint64_t field[0x8000];
    uint64_t cr2, dr6;
    uint64_t msr[6]; /* STAR to SFMASK, KERNEL_GS_BASE */
} mock;

struct vmx_caps vmx_caps;
struct vmx_controls vmx_controls;

uint64_t vmcs_read(uint32_t field) {
    return mock.field[field];
}

/* A field keeps as much as its width has. */
void vmcs_write(uint32_t field, uint64_t value) {
    static const uint64_t masks[4] = {0xffff, ~0ull, 0xffffffff, ~0ull};
    mock.field[field] = value & masks[field >> 13 & 3];
}

uint64_t guest_cr2_read(void) {
    return mock.cr2;
}
void guest_cr2_write(uint64_t value) {
    mock.cr2 = value;
}
uint64_t guest_dr6_read(void) {
    return mock.dr6;
}
void guest_dr6_write(uint64_t value) {
    mock.dr6 = value;
}

static uint64_t *mock_msr(uint32_t msr) {
    return &mock.msr[msr == 0xc0000102u ? 5 : msr - 0xc0000081u];
}
uint64_t guest_msr_read(uint32_t msr) {
    return *mock_msr(msr);
}
void guest_msr_write(uint32_t msr, uint64_t value) {
    *mock_msr(msr) = value;
}

#endif
