// SPDX-License-Identifier: Apache-2.0
// One VM entry: loads the guest's general registers, runs it until a VM exit, saves them again (Intel SDM vol. 3, ch. 26, 27).
// unsigned vmx_enter(struct x86_registers *registers, bool launched, uint64_t *host_rsp);
// 0: the guest ran (or its state was refused, which the exit reason says); 1: VMfail. RSP, RIP and RFLAGS of the guest are
// in the VMCS. *host_rsp is what the VMCS holds of ours.

#define VMCS_HOST_RSP 0x6c14

    .text
    .globl vmx_enter
    .type vmx_enter, @function
vmx_enter:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdi

    cmp %rsp, (%rdx)
    je 1f
    mov %rsp, (%rdx)
    mov $VMCS_HOST_RSP, %eax
    vmwrite %rsp, %rax
1:
    // The flag outlives the loads below.
    test %sil, %sil
    mov 0x00(%rdi), %rax
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
    jz 2f
    vmresume
    jmp 3f
2:
    vmlaunch
3:
    // VMfail: no exit happened.
    pop %rdi
    mov $1, %eax
    jmp 4f

    .globl vmx_exit_point
vmx_exit_point:
    xchg %rdi, (%rsp)
    mov %rax, 0x00(%rdi)
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
    xor %eax, %eax
4:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size vmx_enter, . - vmx_enter
    .section .note.GNU-stack, "", @progbits
