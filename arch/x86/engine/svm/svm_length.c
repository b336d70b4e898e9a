// SPDX-License-Identifier: Apache-2.0
// The slow half of svm_length.h: the window onto the code is opened again, or the guest's tables are walked.
#include "arch/x86/engine/svm/svm_length.h"

unsigned svm_length_walk(struct x86_vcpu *vcpu, struct vmcb *vmcb, uint32_t opcode, unsigned opcode_length) {
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    const uint8_t text[3] = {(uint8_t)opcode, (uint8_t)(opcode >> 8), (uint8_t)(opcode >> 16)};
    uint64_t base, offset, page = svm_code_page(vmcb, &base, &offset);
    unsigned length = 0;

    /* Often only the window has moved on. */
    if (page == svm->code_page && vmcb->cr3 == svm->code_cr3 && base == svm->code_base &&
        offset <= PAGE_SIZE - 4 &&
        memcmp((const uint8_t *)arch_window_map(svm->code_physical) + offset, text, opcode_length) == 0) {
        length = opcode_length;
    } else {
        length = x86_instruction_length(vcpu, text, opcode_length, &svm->code_physical);
        svm->code_page = page;
        svm->code_base = base;
        svm->code_cr3 = vmcb->cr3;
        if (svm->code_physical == UINT64_MAX) {
            svm->code_page = UINT64_MAX;
            return length;
        }
    }
    svm->code = arch_window_map(svm->code_physical);
    svm->code_sequence = x86_cpu_this()->window_sequence;
    return length;
}
