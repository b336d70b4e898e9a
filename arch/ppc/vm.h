// SPDX-License-Identifier: Apache-2.0
// The Book E side of a VM and a vCPU: the architectural state, what the shadow of the guest's TLB needs, the
// board's parts.
#ifndef SAGUARO_ARCH_PPC_VM_H
#define SAGUARO_ARCH_PPC_VM_H

#include "abi/ppc/vcpu.h"
#include "core/vm.h"

/* Requests beside core's (vcpu->requests). */
#define PPC_REQUEST_EVENT 0x00010000u /* an interrupt may have become deliverable */
#define PPC_REQUEST_FLUSH 0x00020000u /* forget the shadow entries before the next entry */
#define PPC_REQUEST_START 0x00040000u /* released from the spin table: see vcpu_release() */
#define PPC_REQUEST_RESET 0x00080000u /* the board resets this vCPU */
#define PPC_REQUEST_TLB   0x00100000u /* another vCPU's tlbivax: see shadow_broadcast() */

#define PPC_SLOW_MASKED   0x1u /* an interrupt waits until MSR lets it through */
#define PPC_SLOW_MAGIC    0x2u /* the guest uses its magic page: registers that it holds are there */

enum ppc_exit_cause {
    PPC_EXIT_INTERRUPT,  /* the host's */
    PPC_EXIT_TIMER,      /* the host's decrementer */
    PPC_EXIT_PRIVILEGED, /* an emulated instruction */
    PPC_EXIT_FAST,       /* of those: by the fast path in traps.S */
    PPC_EXIT_SYSTEM_CALL,
    PPC_EXIT_HYPERCALL,
    PPC_EXIT_TLB_FILL, /* a TLB miss that the guest's own TLB answers */
    PPC_EXIT_TLB_MISS, /* one that the guest gets */
    PPC_EXIT_STORAGE,  /* data or instruction storage interrupt */
    PPC_EXIT_MMIO,
    PPC_EXIT_PROGRAM,     /* program interrupts that the guest gets */
    PPC_EXIT_UNAVAILABLE, /* floating point, SPE */
    PPC_EXIT_ALIGNMENT,
    PPC_EXIT_WAIT,
    PPC_EXIT_OTHER,
    PPC_EXIT_CAUSE_COUNT
};

struct ppc_exit_record {
    uint32_t pc;
    uint32_t vector; /* IVOR number */
    uint32_t esr;
    uint32_t dear;
};
#define PPC_EXIT_RECORDS 16 /* power of two */

struct shadow; /* guest/shadow.h */
struct board;  /* guest/board.h */

struct ppc_vcpu {
    struct vcpu core;
    struct ppc_vcpu_state *state; /* the master copy: a heap object of its own */
    struct shadow *shadow;
    struct cpu
        *code_seen; /* whose instruction cache has nothing out of date of this life's memory; or NULL */
    /* What a trap left for the exit's handler; written by traps.S. */
    uint32_t vector; /* IVOR number: 0-15, 32-35 */
    uint32_t exit_esr;
    uint32_t exit_dear;
    /* The CPU's registers while the guest runs; kept by guest/, loaded by traps.S at each entry. */
    uint32_t host_msr;
    uint32_t host_pid0, host_pid1;
    uint32_t other_pid0, other_pid1; /* host PIDs of the mode with the other MSR[PR]; 0: not known */
    uint32_t slow; /* PPC_SLOW_*: not 0: a fast path in traps.S leaves every instruction to emulate.c */
    /* Clocks. */
    uint64_t clock_seen;             /* time base up to which FIT and watchdog are reckoned */
    uint64_t dec_expires;            /* host time base when DEC passes 0; UINT64_MAX: it stands at 0 */
    struct timer timer;              /* the next of DEC, FIT and watchdog */
    uint32_t external;               /* the MPIC's output to this vCPU; atomic */
    uint32_t release_pc, release_r3; /* with PPC_REQUEST_START */
    uint64_t exits[PPC_EXIT_CAUSE_COUNT];
    struct ppc_exit_record record[PPC_EXIT_RECORDS];
    uint32_t record_next;
    uint8_t *magic; /* the magic page, one of the heap's; NULL until the guest asks for it */
};

struct ppc_vm {
    struct vm core;
    struct board *board;
};

static inline struct ppc_vm *ppc_vm(struct vm *vm) {
    return container_of(vm, struct ppc_vm, core);
}
static inline struct ppc_vcpu *ppc_vcpu(struct vcpu *vcpu) {
    return container_of(vcpu, struct ppc_vcpu, core);
}

/* ---- who offers what to whom ---- */

/* arch/ppc/traps.S: enters the guest with vcpu->state->registers, host_msr, host_pid0/1 and the guest's
 * SPRG3-7, and comes back after the next exception that the fast path does not deal with: vector, exit_esr
 * and exit_dear tell. Interrupts of the host (external, decrementer) are not taken yet when it returns. */
void ppc_enter(struct ppc_vcpu *vcpu);

/* arch/ppc/guest/run.c: the run loop and the handling of exits. */
void vcpu_power_on(struct ppc_vcpu *vcpu); /* reset values; vCPU 0 runs, the others are held */
/* Any CPU, any context: the spin table releases a held vCPU. */
void vcpu_release(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t r3);
/* Any CPU, any context: the MPIC's interrupt output to a vCPU rose or fell. */
void vcpu_set_external(struct ppc_vcpu *vcpu, bool asserted);
/* A new image's start: where vCPU 0 begins (ePAPR 5.4: r3 device tree, r6 magic, r7 size of the mapped area).
 */
void vcpu_boot(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t device_tree, uint32_t mapped_size);

/* arch/ppc/guest/mpic.c. */
bool mpic_core_int(struct vm *vm); /* GCR[M] = external proxy: EPR is loaded when the interrupt is taken */
/* As reading IACK does: the vector of the interrupt now in service, or the spurious vector. */
uint32_t mpic_acknowledge(struct vm *vm, unsigned index);

/* arch/ppc/guest/board.c: parts, memory layout, device tree. */
int board_create(struct vm *vm);
void board_destroy(struct vm *vm);
/* arch/ppc/load/load.c: the image, initrd and device tree into a VM that has been reset. 0 or negative errno,
 * after having said what on the log. */
int load_image(struct vm *vm);

#endif
