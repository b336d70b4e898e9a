// SPDX-License-Identifier: Apache-2.0
// SVM without NRIP save (QEMU 7.2's, and the first CPUs with SVM): the bytes at RIP tell how long the
// instruction is that exited.
#ifndef SAGUARO_ARCH_X86_ENGINE_SVM_SVM_LENGTH_H
#define SAGUARO_ARCH_X86_ENGINE_SVM_SVM_LENGTH_H

#include <string.h>
#include "arch/x86/engine/svm/svm.h"
#include "arch/x86/registers.h"
#include "arch/x86/x86_cpu.h"

/* The part of an address that tells where the last instruction was: its linear page, with bit 10 set in
 * 64-bit mode. */
static inline uint64_t svm_code_page(const struct vmcb *vmcb, uint64_t *base, uint64_t *offset) {
    uint64_t mode =
        vmcb->efer & EFER_LMA & (uint64_t)(vmcb->cs.attributes & X86_SEG_L) << 1; /* LMA is bit 10, L bit 9 */
    *base = mode ? 0 : vmcb->cs.base;
    uint64_t linear = vmcb->rip + *base;
    *offset = linear & (PAGE_SIZE - 1);
    return (linear & ~(PAGE_SIZE - 1)) | mode;
}

static inline struct svm_code *svm_code(struct x86_vcpu *vcpu, uint64_t page) {
    return &svm_vcpu(vcpu)->code[page / PAGE_SIZE % SVM_CODE_PAGES];
}

/* Walks the guest's tables, decodes, and keeps where the page was. 0: enter again. */
unsigned svm_length_walk(struct x86_vcpu *vcpu, struct vmcb *vmcb, uint32_t opcode, unsigned opcode_length);

/*
 * Length of the instruction that exited. The translations of the pages that exits came from last are kept,
 * with the CR3 they hold for. The bytes themselves are read each time, and taken only if they are what the
 * exit says, without prefixes; should the guest have mapped other code there meanwhile, they will not be, and
 * the slow way walks its tables. 0: enter again.
 */
static inline unsigned svm_length(struct x86_vcpu *vcpu, struct vmcb *vmcb, uint32_t opcode,
                                  unsigned opcode_length) {
    uint64_t base, offset, page = svm_code_page(vmcb, &base, &offset);
    const struct svm_code *code = svm_code(vcpu, page);

    if (__builtin_expect(page == code->page && vmcb->cr3 == code->cr3 && base == code->base &&
                             offset <= PAGE_SIZE - 4 && code->sequence == x86_cpu_this()->window_sequence,
                         1)) {
        uint32_t bytes;
        memcpy(&bytes, code->window + offset, sizeof(bytes));
        if (__builtin_expect(((bytes ^ opcode) << (32 - opcode_length * 8)) == 0, 1))
            return opcode_length;
    }
    return svm_length_walk(vcpu, vmcb, opcode, opcode_length);
}

#endif
