// SPDX-License-Identifier: Apache-2.0
// One VMRUN: loads the guest's general registers, runs it until #VMEXIT, saves them again (AMD APM vol. 2, 15.5).
// void svm_enter(struct x86_registers *registers, uint64_t guest_vmcb, uint64_t host_vmcb, uint64_t interrupt_shadow);
// both VMCBs by physical address.
// RAX, RSP, RIP and RFLAGS of the guest are in its VMCB.

    .macro load_guest
    mov 0x08(%rdi), %rcx
    mov 0x10(%rdi), %rdx
    mov 0x18(%rdi), %rbx
    mov 0x28(%rdi), %rbp
    mov 0x30(%rdi), %rsi
    mov 0x40(%rdi), %r8
    mov 0x48(%rdi), %r9
    mov 0x50(%rdi), %r10
    mov 0x58(%rdi), %r11
    mov 0x60(%rdi), %r12
    mov 0x68(%rdi), %r13
    mov 0x70(%rdi), %r14
    mov 0x78(%rdi), %r15
    mov 0x38(%rdi), %rdi
    .endm

    .text
    .globl svm_enter
    .type svm_enter, @function
svm_enter:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdx
    push %rdi
    mov %rsi, %rax
    jrcxz 1f

    // QEMU 7.2's VMRUN does not take the interrupt shadow from the VMCB, but does not end the host's either: the guest gets
    // that of the second STI. To a CPU it is nothing, for IF is set (Intel SDM vol. 2, STI; AMD APM vol. 3, STI).
    load_guest
    clgi
    sti
    vmload %rax
    sti
    vmrun %rax
    jmp 2f

1:  load_guest
    // RFLAGS.IF of the host decides whether a physical interrupt ends the guest's run (15.21.1); GIF keeps it out until then.
    clgi
    sti
    vmload %rax
    vmrun %rax

2:  vmsave %rax

    xchg %rdi, (%rsp)
    mov %rcx, 0x08(%rdi)
    mov %rdx, 0x10(%rdi)
    mov %rbx, 0x18(%rdi)
    mov %rbp, 0x28(%rdi)
    mov %rsi, 0x30(%rdi)
    mov %r8, 0x40(%rdi)
    mov %r9, 0x48(%rdi)
    mov %r10, 0x50(%rdi)
    mov %r11, 0x58(%rdi)
    mov %r12, 0x60(%rdi)
    mov %r13, 0x68(%rdi)
    mov %r14, 0x70(%rdi)
    mov %r15, 0x78(%rdi)
    pop %rcx
    mov %rcx, 0x38(%rdi)

    // The host's FS, GS, TR, LDTR and system-call MSRs, before anything can be delivered that needs them.
    pop %rax
    vmload %rax
    cli
    stgi

    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size svm_enter, . - svm_enter

// void svm_set_gif(void);
    .globl svm_set_gif
    .type svm_set_gif, @function
svm_set_gif:
    stgi
    ret
    .size svm_set_gif, . - svm_set_gif
    .section .note.GNU-stack, "", @progbits
