// SPDX-License-Identifier: Apache-2.0
// SVM without NRIP save (QEMU 7.2's, and the first CPUs with SVM): the bytes at RIP tell how long the
// instruction is that exited.
#include "arch/x86/engine/svm/svm.h"
#include "arch/x86/registers.h"

#include <string.h>

/*
 * The translation of the page that exits came from last is kept, with the CR3 it holds for. The bytes
 * themselves are read each time, and taken only if they are what the exit says, without prefixes; should the
 * guest have mapped other code there meanwhile, they will not be, and the slow way walks its tables.
 */
unsigned svm_length(struct x86_vcpu *vcpu, struct vmcb *vmcb, uint32_t opcode, unsigned opcode_length) {
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    bool long_mode = (vmcb->efer & EFER_LMA) && (vmcb->cs.attributes & X86_SEG_L);
    uint64_t base = long_mode ? 0 : vmcb->cs.base;
    uint64_t linear = vmcb->rip + base;
    uint64_t offset = linear & (PAGE_SIZE - 1);
    uint64_t page = (linear - offset) | long_mode;

    if (__builtin_expect(page == svm->code_page && vmcb->cr3 == svm->code_cr3 && base == svm->code_base &&
                             offset <= PAGE_SIZE - 4,
                         1)) {
        uint32_t bytes;
        memcpy(&bytes, (const uint8_t *)arch_window_map(svm->code_physical) + offset, sizeof(bytes));
        if (__builtin_expect(((bytes ^ opcode) & ((1u << opcode_length * 8) - 1)) == 0, 1))
            return opcode_length;
    }
    uint8_t text[3] = {(uint8_t)opcode, (uint8_t)(opcode >> 8), (uint8_t)(opcode >> 16)};
    uint64_t physical;
    unsigned length = x86_instruction_length(vcpu, text, opcode_length, &physical);
    svm->code_page = physical == UINT64_MAX ? UINT64_MAX : page;
    svm->code_base = base;
    svm->code_cr3 = vmcb->cr3;
    svm->code_physical = physical;
    return length;
}
