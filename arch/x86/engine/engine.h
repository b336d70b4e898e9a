// SPDX-License-Identifier: Apache-2.0
// The interface of an engine (SVM, VT-x, lite): what differs between the ways to run a guest. Everything with
// one meaning for all of them is in this folder's other files: run.c (requests, injection), exit.c (exits),
// mmio.c (emulation).
#ifndef SAGUARO_ARCH_X86_ENGINE_ENGINE_H
#define SAGUARO_ARCH_X86_ENGINE_ENGINE_H

#include "arch/x86/vm.h"

/* What follows after one entry and exit. */
enum engine_next {
    ENGINE_AGAIN, /* the exit is dealt with: enter again, unless there is a request */
    ENGINE_BLOCK, /* the vCPU waits: state->activity says for what */
};

struct engine {
    const char *name; /* "SVM", "VT-x" */

    /* Can this CPU run it? 0; -ENODEV: another maker's CPU; -ENOTSUP: `why` says what is missing and what to
     * do. */
    int (*probe)(char *why, size_t size);
    /* Switches it on for this CPU. 0; -ENOTSUP, -ENOMEM. */
    int (*cpu_enable)(void);

    /* The second-level page tables: their format and the largest leaf's shift. */
    const struct paging_format *(*nested_format)(void);
    unsigned (*nested_largest)(void);
    /* True: this CPU must find no code in a large page of the second level (paging.small_code). NULL: it may.
     */
    bool (*small_code)(void);

    int (*vm_create)(struct x86_vm *vm); /* permission maps and the like; 0 or -ENOMEM */
    void (*vm_destroy)(struct x86_vm *vm);
    int (*vcpu_create)(struct x86_vcpu *vcpu); /* 0 or -ENOMEM */
    void (*vcpu_destroy)(struct x86_vcpu *vcpu);

    /* The vCPU comes to this CPU, or leaves it. put() has everything that lives in the CPU alone saved into
     * `state`. */
    void (*vcpu_load)(struct x86_vcpu *vcpu);
    void (*vcpu_put)(struct x86_vcpu *vcpu);

    /* Copies groups of state (X86_STATE_*) out of the hardware's structure into vcpu->state. Use x86_need().
     */
    void (*fetch)(struct x86_vcpu *vcpu, uint32_t groups);

    /* Enters the guest and handles the exit. Returns without entering when a request has come in. */
    enum engine_next (*run)(struct x86_vcpu *vcpu);

    /* True when an external interrupt could be injected at the next entry (RFLAGS.IF, no shadow, nothing else
     * to inject). */
    bool (*interruptible)(struct x86_vcpu *vcpu);
    /* Asks for an exit as soon as it could; X86_REQUEST_EVENT is set again then. */
    void (*interrupt_window)(struct x86_vcpu *vcpu);
    /* The same for an NMI: true when one can be injected; else an exit follows when NMIs are open again
     * (X86_REQUEST_NMI is set then). */
    bool (*nmi_open)(struct x86_vcpu *vcpu);
    /* An NMI has been put into state->pending: NMIs are closed until IRET. */
    void (*nmi_injected)(struct x86_vcpu *vcpu);
    /* The whole of `state` is another one (power-on, INIT, SIPI, load): what the engine was in the middle of
     * is forgotten, and NMIs are as state->nmi_blocked says. The other vCPUs and their APICs may be new too.
     * May be NULL. */
    void (*reset)(struct x86_vcpu *vcpu);

    /* Has the CPU deliver the local APIC's interrupts by itself, all that are pending now. False: it cannot
     * now, and they are injected. NULL: it never can. */
    bool (*apic_load)(struct x86_vcpu *vcpu);

    /* True: the CPU can log which pages a guest writes. It does for VMs with page_log set, from each vCPU's
     * next tlb_flush() on, and what it logged is in the VM's memory.dirty whenever no vCPU is in the guest.
     * NULL: it cannot. */
    bool (*page_log)(void);

    void (*tlb_flush)(struct x86_vcpu *vcpu);  /* forget the vCPU's translations before the next entry */
    void (*tsc_offset)(struct x86_vcpu *vcpu); /* vcpu->tsc_offset or the VM's tsc_ratio has changed */
    bool (*tsc_scaling)(void); /* the CPU can multiply the TSC by tsc_ratio; NULL: it cannot */

    const char *(*exit_name)(uint64_t code); /* for reports */
};

extern const struct engine svm_engine;
extern const struct engine vmx_engine;

/* The engine of this machine; set by arch_engine_select(). */
extern const struct engine *engine;
/* Ends of interrupts have to exit (svm.c says where): no guest is offered to end one without. Set by probe().
 */
extern bool x86_eoi_exits;

/* Chooses the engine for this machine, on the boot CPU. 0, or -ENOTSUP after having said on the log what is
 * missing and what to do. */
int arch_engine_select(void);
/* Switches the engine on for this CPU; each CPU calls it before sched_loop(). 0 or a negative errno (logged).
 */
int arch_engine_cpu_init(void);

/* registers and interrupt_shadow are always current between exit and entry; the groups are fetched when
 * somebody needs them. Makes sure that vcpu->state holds current copies of these groups. Only by the CPU that
 * runs the vCPU, or while it is parked (engine->vcpu_put() leaves everything current). */
static inline void x86_need(struct x86_vcpu *vcpu, uint32_t groups) {
    uint32_t missing = groups & ~vcpu->present;
    if (missing) {
        engine->fetch(vcpu, missing);
        vcpu->present |= missing;
    }
}

/* state was changed: the engine loads these groups before the next entry. They must be present. */
static inline void x86_changed(struct x86_vcpu *vcpu, uint32_t groups) {
    vcpu->changed |= groups;
}

/* ---- run.c ---- */

/* x86_event.type: the numbers of VMCB and VMCS. */
#define X86_EVENT_INTERRUPT 0
#define X86_EVENT_NMI       2
#define X86_EVENT_EXCEPTION 3

/* An event in the form that VMCB (EVENTINJ, lower half) and VMCS (entry's interruption information) share. */
uint32_t x86_event_info(const struct x86_event *event);
/* The exit interrupted the delivery of an event (EXITINTINFO, IDT-vectoring information): it is delivered
 * again. */
void x86_interrupted(struct x86_vcpu *vcpu, uint32_t info, uint32_t error);

/* Queues an exception for the next entry. A second one while the first is being delivered follows the rules
 * of double faults (AMD APM vol. 2, 8.2.9; Intel SDM vol. 3, table 6-5); a third shuts the guest down.
 * `error` < 0: none. */
void x86_inject_exception(struct x86_vcpu *vcpu, uint8_t vector, int64_t error);
void x86_inject_page_fault(struct x86_vcpu *vcpu, uint64_t address, uint32_t error);

/* ---- exit.c: exits by meaning. Each leaves RIP where execution goes on. ---- */

#define VECTOR_DE       0
#define VECTOR_DB       1
#define VECTOR_NMI      2
#define VECTOR_UD       6
#define VECTOR_DF       8
#define VECTOR_GP       13
#define VECTOR_PF       14
#define VECTOR_AC       17
#define VECTOR_MC       18

/* Exceptions that exit. #UD: the other maker's hypercall. #AC and #DB: their delivery can loop for ever
 * inside the CPU when a guest arranges it (CVE-2015-5307, CVE-2015-8104); reflecting them breaks the loop.
 * #MC belongs to the host. */
#define EXIT_EXCEPTIONS (1u << VECTOR_UD | 1u << VECTOR_AC | 1u << VECTOR_DB | 1u << VECTOR_MC)

/* `length`: of the instruction, for those that the engine has found. */
/* exit_cpuid() is in exit_inline.h. */
void exit_msr_read(struct x86_vcpu *vcpu, unsigned length);
void exit_msr_write(struct x86_vcpu *vcpu, unsigned length);
enum engine_next exit_hypercall(struct x86_vcpu *vcpu, unsigned length);
void exit_xsetbv(struct x86_vcpu *vcpu, unsigned length);
enum engine_next exit_halt(struct x86_vcpu *vcpu, unsigned length);
/* IN and OUT of a register; string forms go to exit_emulate(). */
enum engine_next exit_port(struct x86_vcpu *vcpu, uint16_t port, unsigned size, bool in, unsigned length);
/* A second-level fault at `gpa`. `write`, `fetch`: the kind of access. */
enum engine_next exit_nested_fault(struct x86_vcpu *vcpu, uint64_t gpa, bool write, bool fetch);
/* The last one, or the last exit_emulate(), again: the answer that its device owed is there. */
enum engine_next exit_nested_again(struct x86_vcpu *vcpu);
/* The same for the CPU's own access to the guest's page tables at `gpa`. */
enum engine_next exit_nested_table_fault(struct x86_vcpu *vcpu, uint64_t gpa);
/* Emulates the instruction at RIP, whatever it is. */
enum engine_next exit_emulate(struct x86_vcpu *vcpu);
/* MOV to or from CR8. */
void exit_cr8(struct x86_vcpu *vcpu, bool write, unsigned gpr, unsigned length);
/* #UD in the guest: the other maker's hypercall instruction, or a real one. */
enum engine_next exit_undefined(struct x86_vcpu *vcpu);
/* #AC in the guest. */
void exit_alignment(struct x86_vcpu *vcpu);
/* A machine check while the guest ran: the host's handler gets it. */
void exit_machine_check(void);
void exit_shutdown(struct x86_vcpu *vcpu);
/* PAUSE in a loop. The instruction itself is run again, which does no harm. */
void exit_pause(struct x86_vcpu *vcpu);
/* WBINVD and INVD. */
void exit_cache(struct x86_vcpu *vcpu, unsigned length);
/* An instruction that the guest's CPU does not have. */
void exit_absent(struct x86_vcpu *vcpu);
void exit_rdpmc(struct x86_vcpu *vcpu);

/* The uncommon half of x86_skip(): `rip` is where execution goes on, before it is wrapped outside 64-bit
 * mode. */
void x86_skip_slow(struct x86_vcpu *vcpu, uint64_t rip);

/* Moves RIP past an instruction, with what follows from it: RF and the interrupt shadow end, TF traps. */
static inline void x86_skip(struct x86_vcpu *vcpu, unsigned length) {
    struct x86_registers *registers = &vcpu->state->registers;
    uint64_t rip = registers->rip + length;

    vcpu->state->interrupt_shadow = 0;
    /* Outside 64-bit mode RIP wraps at 4 GiB; TF and RF are bits 8 and 16. */
    if (__builtin_expect(((rip ^ registers->rip) >> 32) | (registers->rflags & 0x10100u), 0))
        x86_skip_slow(vcpu, rip);
    else
        registers->rip = rip;
}

/* Length of the instruction at RIP when the CPU does not tell: `opcode` is what the exit says it is (1 to 3
 * bytes). 0: the bytes there are something else (the guest changed them meanwhile), or a fault was queued:
 * enter the guest again. `page`, if not NULL, gets the host-physical page that the instruction lies in, or
 * UINT64_MAX. */
unsigned x86_instruction_length(struct x86_vcpu *vcpu, const uint8_t *opcode, unsigned opcode_length,
                                uint64_t *page);
/* Decodes the instruction at RIP. NULL: a fault was queued or it cannot be decoded (#UD queued). */
const struct emulate_instruction *x86_decode(struct x86_vcpu *vcpu);

/* Notes an exit for the statistics and the report. */
static inline void x86_exit_note(struct x86_vcpu *vcpu, enum x86_exit_cause cause, uint64_t code,
                                 uint64_t info) {
    struct x86_exit_record *record = &vcpu->record[vcpu->record_next++ % X86_EXIT_RECORDS];
    vcpu->exits[cause]++;
    record->rip = vcpu->state->registers.rip;
    record->code = code;
    record->info = info;
}

#endif
