// SPDX-License-Identifier: Apache-2.0
// The loop that runs a vCPU: requests from outside, interrupts of its own, entry, and what each exit means.
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/guest/decode.h"
#include "arch/ppc/guest/emulate.h"
#include "arch/ppc/guest/hypercall.h"
#include "arch/ppc/guest/interrupt.h"
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/mmio.h"
#include "arch/ppc/guest/shadow.h"
#include "arch/ppc/guest/translate.h"
#include "arch/ppc/guest/vcpu.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/window.h"

#define VECTORS      (IVOR_PERFORMANCE + 1)

/* What is asked of a vCPU from outside and dealt with here; core's own two are dealt with by their users. */
#define OWN_REQUESTS (~(VCPU_REQUEST_PARK | VCPU_REQUEST_LOAD))

static void count(struct ppc_vcpu *vcpu, enum ppc_exit_cause cause) {
    vcpu->exits[cause]++;
}

/* ---- exits. True: the vCPU goes on; false: it waits for a device's answer. */

static bool host_interrupt(struct ppc_vcpu *vcpu) {
    count(vcpu, vcpu->vector == IVOR_DECREMENTER ? PPC_EXIT_TIMER : PPC_EXIT_INTERRUPT);
    arch_interrupts_poll();
    return true;
}

/* A load or store that is executed here. */
static bool device(struct ppc_vcpu *vcpu) {
    count(vcpu, PPC_EXIT_MMIO);
    return mmio_execute(vcpu);
}

/* A real entry is missing or forbids an access; the guest's own TLB says what that means. */
static bool memory_access(struct ppc_vcpu *vcpu, uint32_t address, enum tlb_access access) {
    if (magic_covers(vcpu, address)) {
        if (access == TLB_EXECUTE) {
            guest_interrupt_syndrome(vcpu, IVOR_INST_STORAGE, 0);
            return true;
        }
        count(vcpu, PPC_EXIT_TLB_FILL);
        magic_touched(vcpu);
        shadow_fill_page(vcpu, address, arch_heap_physical(vcpu->magic));
        return true;
    }
    const struct ppc_tlb_entry *entry = translate(vcpu, address, access, vcpu->exit_esr);
    if (!entry) {
        count(vcpu, vcpu->vector == IVOR_DATA_TLB || vcpu->vector == IVOR_INST_TLB ? PPC_EXIT_TLB_MISS
                                                                                   : PPC_EXIT_STORAGE);
        return true;
    }
    if (shadow_fill(vcpu, entry, address, access) == SHADOW_FILLED) {
        count(vcpu, PPC_EXIT_TLB_FILL);
        return true;
    }
    if (access != TLB_EXECUTE)
        return device(vcpu);
    count(vcpu, PPC_EXIT_OTHER);
    guest_machine_check(vcpu, MCSR_BUS_IAERR, address);
    return true;
}

static bool instruction_access(struct ppc_vcpu *vcpu) {
    return memory_access(vcpu, vcpu->state->registers.pc, TLB_EXECUTE);
}

static bool data_access(struct ppc_vcpu *vcpu) {
    return memory_access(vcpu, vcpu->exit_dear, vcpu->exit_esr & ESR_ST ? TLB_WRITE : TLB_READ);
}

/* Locking a cache's lines: the real CPU never lets user mode (MSR[UCLE] is off). */
static void cache_lock(struct ppc_vcpu *vcpu) {
    struct ppc_vcpu_state *state = vcpu->state;
    uint32_t word;

    if ((state->msr & MSR_PR) && !(state->msr & MSR_UCLE)) {
        guest_interrupt_data(vcpu, IVOR_DATA_STORAGE, vcpu->exit_esr & (ESR_DLK | ESR_ILK | ESR_ST),
                             vcpu->exit_dear);
        return;
    }
    if (!translate_fetch(vcpu, state->registers.pc, &word))
        return;
    if (emulate_cache_lock(vcpu, word))
        state->registers.pc += 4;
    else
        guest_interrupt_program(vcpu, ESR_PIL);
}

static bool data_storage(struct ppc_vcpu *vcpu) {
    if (vcpu->exit_esr & (ESR_DLK | ESR_ILK)) {
        count(vcpu, PPC_EXIT_PRIVILEGED);
        cache_lock(vcpu);
        return true;
    }
    if (vcpu->exit_esr & ESR_BO) {
        count(vcpu, PPC_EXIT_STORAGE);
        guest_interrupt_data(vcpu, IVOR_DATA_STORAGE, vcpu->exit_esr & (ESR_BO | ESR_ST), vcpu->exit_dear);
        return true;
    }
    return data_access(vcpu);
}

static bool alignment(struct ppc_vcpu *vcpu) {
    count(vcpu, PPC_EXIT_ALIGNMENT);
    guest_interrupt_data(vcpu, IVOR_ALIGNMENT, vcpu->exit_esr & (ESR_ST | ESR_SPE), vcpu->exit_dear);
    return true;
}

static bool program(struct ppc_vcpu *vcpu) {
    uint32_t esr = vcpu->exit_esr & (ESR_PIL | ESR_PPR | ESR_PTR);
    uint32_t word;

    /* The guest's user mode runs as it would on the CPU; a trap instruction is the guest's in any mode. */
    if ((vcpu->state->msr & MSR_PR) || (esr & ESR_PTR)) {
        count(vcpu, PPC_EXIT_PROGRAM);
        guest_interrupt_program(vcpu, esr);
        return true;
    }
    if (!translate_fetch(vcpu, vcpu->state->registers.pc, &word)) {
        count(vcpu, PPC_EXIT_OTHER);
        return true;
    }
    if (emulate_instruction(vcpu, word) == EMULATE_ILLEGAL) {
        count(vcpu, PPC_EXIT_PROGRAM);
        guest_interrupt_program(vcpu, ESR_PIL);
        return true;
    }
    count(vcpu, PPC_EXIT_PRIVILEGED);
    return true;
}

static bool system_call(struct ppc_vcpu *vcpu) {
    if (hypercall_handle(vcpu)) {
        count(vcpu, PPC_EXIT_HYPERCALL);
        return !vcpu->core.hold;
    }
    count(vcpu, PPC_EXIT_SYSTEM_CALL);
    guest_interrupt(vcpu, IVOR_SYSTEM_CALL);
    return true;
}

/* Units that the guest cannot have: the interrupt is its own. */
static bool unavailable(struct ppc_vcpu *vcpu) {
    count(vcpu, PPC_EXIT_UNAVAILABLE);
    guest_interrupt_syndrome(vcpu, vcpu->vector, vcpu->exit_esr & ESR_SPE);
    return true;
}

static bool (*const exits[VECTORS])(struct ppc_vcpu *vcpu) = {
    [IVOR_DATA_STORAGE] = data_storage,
    [IVOR_INST_STORAGE] = instruction_access,
    [IVOR_EXTERNAL] = host_interrupt,
    [IVOR_ALIGNMENT] = alignment,
    [IVOR_PROGRAM] = program,
    [IVOR_FP_UNAVAILABLE] = unavailable,
    [IVOR_SYSTEM_CALL] = system_call,
    [IVOR_AP_UNAVAILABLE] = unavailable,
    [IVOR_DECREMENTER] = host_interrupt,
    [IVOR_DATA_TLB] = data_access,
    [IVOR_INST_TLB] = instruction_access,
    [IVOR_SPE_UNAVAILABLE] = unavailable,
    [IVOR_SPE_FP_DATA] = unavailable,
    [IVOR_SPE_FP_ROUND] = unavailable,
};

static bool handle_exit(struct ppc_vcpu *vcpu) {
    vcpu->record[vcpu->record_next++ % PPC_EXIT_RECORDS] = (struct ppc_exit_record){
        .pc = vcpu->state->registers.pc,
        .vector = vcpu->vector,
        .esr = vcpu->exit_esr,
        .dear = vcpu->exit_dear,
    };
    if (vcpu->vector >= VECTORS || !exits[vcpu->vector]) {
        count(vcpu, PPC_EXIT_OTHER);
        vm_crash(&vcpu->core, "interrupt %u of the real CPU came while the guest ran", vcpu->vector);
        return true;
    }
    return exits[vcpu->vector](vcpu);
}

/* ---- the loop */

static void take_requests(struct ppc_vcpu *vcpu) {
    uint32_t requests = __atomic_fetch_and(&vcpu->core.requests, ~OWN_REQUESTS, __ATOMIC_ACQ_REL);

    if (requests & PPC_REQUEST_RESET)
        vcpu_power_on(vcpu);
    if (requests & PPC_REQUEST_FLUSH)
        shadow_forget(vcpu);
    if (requests & PPC_REQUEST_TLB)
        shadow_take_broadcast(vcpu);
    if (requests & PPC_REQUEST_START)
        vcpu_start(vcpu);
    if (requests & VCPU_REQUEST_RESUMED)
        clock_resume(vcpu);
    if (vcpu->state->activity != PPC_HELD)
        guest_interrupts_update(vcpu);
}

/* The vCPU comes to this CPU. 0 or -ENOMEM. */
static int load(struct ppc_vcpu *vcpu) {
    struct cpu *cpu = vcpu->core.cpu;

    if (cpu->window_vm != vcpu->core.vm) {
        window_forget();
        cpu->window_vm = vcpu->core.vm;
        /* What another VM has taught the branch buffer is none of this one's. */
        spr_write(SPR_BUCSR, spr_read(SPR_BUCSR) | BUCSR_BBFI);
        /* User mode reads and writes these without a trap (2.9.1, 2.9.2). */
        spr_write(SPR_BBEAR, 0);
        spr_write(SPR_BBTAR, 0);
        context_sync();
        vcpu->code_seen = NULL;
    }
    /* The guest's kernel sees to what it writes itself; not to its image, nor to what its earlier lives or
     * other VMs had where its memory is now. */
    if (vcpu->code_seen != cpu) {
        cache_forget_code();
        vcpu->code_seen = cpu;
    }
    return shadow_load(vcpu);
}

/* Into the guest and out again. */
static bool enter(struct ppc_vcpu *vcpu) {
    magic_enter(vcpu);
    ppc_enter(vcpu);
    __atomic_store_n(&vcpu->core.in_guest, 0, __ATOMIC_RELEASE);
    magic_exit(vcpu);
    return handle_exit(vcpu);
}

/* What the vCPU was held for is there: an access to a device of the service VM's is repeated. False: it waits
 * again. */
static bool answered(struct ppc_vcpu *vcpu) {
    bool again = vcpu->core.hold == VCPU_HOLD_ANSWER;

    vcpu->core.hold = VCPU_HOLD_NONE;
    return !again || mmio_execute(vcpu);
}

enum vcpu_run_result arch_vcpu_run(struct vcpu *core) {
    struct ppc_vcpu *vcpu = ppc_vcpu(core);
    struct cpu *cpu = core->cpu;
    enum vcpu_run_result result;

    if (core->hold && vcpu_held(core))
        return VCPU_RUN_BLOCK; /* a request to park is found by the scheduler */
    if (load(vcpu)) {
        vm_crash(core, "no memory for the shadow TLB of CPU %u", cpu->number);
        return VCPU_RUN_RESCHEDULE;
    }
    /* What other vCPUs' tlbivax has taken away meanwhile is gone for an access that is repeated, too: their
     * tlbsync has not waited for it. */
    if (core->hold && (__atomic_load_n(&core->requests, __ATOMIC_ACQUIRE) & PPC_REQUEST_TLB))
        shadow_take_broadcast(vcpu);
    if (core->hold && !answered(vcpu)) {
        shadow_put(vcpu);
        return VCPU_RUN_BLOCK;
    }
    /* The clock's timer moves to this CPU; what came while the vCPU was away is found. */
    __atomic_or_fetch(&core->requests, PPC_REQUEST_EVENT, __ATOMIC_RELAXED);
    for (;;) {
        uint32_t requests = __atomic_load_n(&core->requests, __ATOMIC_ACQUIRE);

        if (requests & VCPU_REQUEST_PARK) {
            result = VCPU_RUN_PARK;
            break;
        }
        if ((requests & OWN_REQUESTS) || (vcpu->slow & PPC_SLOW_MASKED))
            take_requests(vcpu);
        if (vcpu->state->activity != PPC_RUNNING) {
            count(vcpu, PPC_EXIT_WAIT);
            result = VCPU_RUN_BLOCK;
            break;
        }
        if (__atomic_load_n(&cpu->reschedule, __ATOMIC_ACQUIRE)) {
            result = VCPU_RUN_RESCHEDULE;
            break;
        }
        /* Who wants something from us sets its bit, then looks at in_guest; we the other way round. */
        __atomic_exchange_n(&core->in_guest, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&core->requests, __ATOMIC_ACQUIRE) ||
            __atomic_load_n(&cpu->reschedule, __ATOMIC_ACQUIRE)) {
            __atomic_store_n(&core->in_guest, 0, __ATOMIC_RELEASE);
            continue;
        }
        if (!enter(vcpu) && (core->hold || !__atomic_load_n(&core->requests, __ATOMIC_ACQUIRE))) {
            result = VCPU_RUN_BLOCK;
            break;
        }
    }
    shadow_put(vcpu);
    return result;
}

bool arch_vcpu_pending(struct vcpu *core) {
    const struct ppc_vcpu *vcpu = ppc_vcpu(core);

    switch (vcpu->state->activity) {
    case PPC_RUNNING:
        return true;
    case PPC_WAITING:
        return guest_interrupt_ready(vcpu);
    default: /* held: a request releases it */
        return false;
    }
}
