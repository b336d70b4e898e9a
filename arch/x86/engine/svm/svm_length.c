// SPDX-License-Identifier: Apache-2.0
// The slow half of svm_length.h: the window onto the code is opened again, or the guest's tables are walked.
#include "arch/x86/engine/svm/svm_length.h"

unsigned svm_length_walk(struct x86_vcpu *vcpu, struct vmcb *vmcb, uint32_t opcode, unsigned opcode_length) {
    const uint8_t text[3] = {(uint8_t)opcode, (uint8_t)(opcode >> 8), (uint8_t)(opcode >> 16)};
    uint64_t base, offset, page = svm_code_page(vmcb, &base, &offset);
    struct svm_code *code = svm_code(vcpu, page);
    unsigned length = 0;

    /* Often only the window has moved on. */
    if (page == code->page && vmcb->cr3 == code->cr3 && base == code->base && offset <= PAGE_SIZE - 4 &&
        memcmp((const uint8_t *)arch_window_map(code->physical) + offset, text, opcode_length) == 0) {
        length = opcode_length;
    } else {
        length = x86_instruction_length(vcpu, text, opcode_length, &code->physical);
        code->page = page;
        code->base = base;
        code->cr3 = vmcb->cr3;
        if (code->physical == UINT64_MAX) {
            code->page = UINT64_MAX;
            return length;
        }
    }
    code->window = arch_window_map(code->physical);
    code->sequence = x86_cpu_this()->window_sequence;
    return length;
}
