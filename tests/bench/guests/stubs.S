// SPDX-License-Identifier: Apache-2.0
// Interrupt stubs of the benches: the first instruction takes the time. They use RAX, RCX, RDX and R8 without saving them: the
// code that they interrupt says so.
    .text
    .balign 16
    .globl bench_stub, tick_stub, bench_eoi_empty
bench_stub:
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movq %rax, bench_time
    rdtsc
    movl %eax, %r8d
    movl $0x80b, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
    rdtsc
    subl %r8d, %eax
    movq %rax, eoi_ticks
    iretq

    .balign 16
tick_stub:
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movq %rax, tick_time
    movl $0x80b, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
    iretq

bench_eoi_empty:
    rdtsc
    movl %eax, %r8d
    movl $0x80b, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    rdtsc
    subl %r8d, %eax
    ret

/* RDI = doorbell, ESI = value (driver.h). The bench's debugger knows these labels. */
    .balign 16
    .globl bench_ring, bench_ring_write, bench_ring_after
bench_ring:
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movq %rax, %r9
    sti
bench_ring_write:
    movw %si, (%rdi)
bench_ring_after:
    nop
    cli
    movq %r9, %rax
    ret

    .globl bench_steps, bench_steps_end
bench_steps:
    jmp bench_steps
bench_steps_end:
    ret

    .bss
    .balign 8
    .globl bench_time, tick_time, eoi_ticks
bench_time:
    .skip 8
tick_time:
    .skip 8
eoi_ticks:
    .skip 8
    .section .note.GNU-stack, "", @progbits
