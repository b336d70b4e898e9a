// SPDX-License-Identifier: Apache-2.0
// The loop that runs a vCPU: requests from outside, the choice of what to inject, exceptions; the same for
// every engine.
#include "arch/x86/barrier.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/engine/mmio.h"
#include "arch/x86/fpu.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/pic.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/host_map.h"
#include "arch/x86/registers.h"
#include "arch/x86/vcpu.h"
#include "core/log.h"

#define EVENT_ERROR_VALID (1u << 11)
#define EVENT_VALID       (1u << 31)

bool x86_eoi_exits;

uint32_t x86_event_info(const struct x86_event *event) {
    return event->vector | (uint32_t)event->type << 8 | EVENT_VALID |
           (event->has_error ? EVENT_ERROR_VALID : 0);
}

void x86_interrupted(struct x86_vcpu *vcpu, uint32_t info, uint32_t error) {
    struct x86_event *event = &vcpu->state->pending;
    uint8_t type = info >> 8 & 7;
    uint8_t vector = (uint8_t)info;

    /* INTn, INT1, INT3 and INTO: RIP is at the instruction (AMD APM vol. 2, 15.20; Intel SDM vol. 3, 27.2.4),
     * which is executed again. */
    if (type > X86_EVENT_EXCEPTION || (type == X86_EVENT_EXCEPTION && (vector == 3 || vector == 4)))
        return;
    event->valid = 1;
    event->type = type;
    event->vector = vector;
    event->has_error = (info & EVENT_ERROR_VALID) != 0;
    event->error = error;
}

/* Division error, invalid TSS, segment not present, stack fault, general protection (AMD APM vol. 2, table
 * 8-3). */
static bool contributory(uint8_t vector) {
    return vector == 0 || (vector >= 10 && vector <= 13);
}

void x86_inject_exception(struct x86_vcpu *vcpu, uint8_t vector, int64_t error) {
    struct x86_event *pending = &vcpu->state->pending;

    if (pending->valid && pending->type == X86_EVENT_EXCEPTION) {
        if (pending->vector == VECTOR_DF && (contributory(vector) || vector == VECTOR_PF)) {
            pending->valid = 0;
            exit_shutdown(vcpu);
            return;
        }
        if ((contributory(pending->vector) && contributory(vector)) ||
            (pending->vector == VECTOR_PF && (contributory(vector) || vector == VECTOR_PF))) {
            vector = VECTOR_DF;
            error = 0;
        }
    } else if (pending->valid) {
        /* An interrupt whose delivery was cut short: it is delivered after the exception. */
        vcpu->postponed = *pending;
        __atomic_or_fetch(&vcpu->core.requests, X86_REQUEST_EVENT, __ATOMIC_RELAXED);
    }
    if (error >= 0) {
        /* Real mode has no error codes (Intel SDM vol. 3, 20.1.4), and VM entry insists on that. */
        x86_need(vcpu, X86_STATE_CONTROL);
        if (!(vcpu->state->system.cr0 & CR0_PE))
            error = -1;
    }
    pending->valid = 1;
    pending->type = X86_EVENT_EXCEPTION;
    pending->vector = vector;
    pending->has_error = error >= 0;
    pending->error = error >= 0 ? (uint32_t)error : 0;
}

void x86_inject_page_fault(struct x86_vcpu *vcpu, uint64_t address, uint32_t error) {
    x86_need(vcpu, X86_STATE_CONTROL);
    vcpu->state->system.cr2 = address;
    x86_changed(vcpu, X86_STATE_CONTROL);
    x86_inject_exception(vcpu, VECTOR_PF, error);
}

static void inject_interrupt(struct x86_vcpu *vcpu, uint8_t vector) {
    vcpu->state->pending = (struct x86_event){.valid = 1, .type = X86_EVENT_INTERRUPT, .vector = vector};
}

/* Something may have become deliverable: injects it, or asks for an exit when it can be. */
static void deliver(struct x86_vcpu *vcpu) {
    bool by_cpu = engine->apic_load && engine->apic_load(vcpu);

    if (vcpu->postponed.valid) {
        if (vcpu->state->pending.valid || !engine->interruptible(vcpu)) {
            engine->interrupt_window(vcpu);
            return;
        }
        vcpu->state->pending = vcpu->postponed;
        vcpu->postponed.valid = 0;
        __atomic_or_fetch(&vcpu->core.requests, X86_REQUEST_EVENT, __ATOMIC_RELAXED);
        return;
    }
    int vector = by_cpu ? -1 : lapic_pending(vcpu->lapic);
    struct pic *pic = x86_vm(vcpu->core.vm)->pc.pic;
    bool by_pic = pic_pending(pic) && lapic_accepts_pic(vcpu->lapic);

    if (vector < 0 && !by_pic)
        return;
    if (!engine->interruptible(vcpu)) {
        engine->interrupt_window(vcpu);
        return;
    }
    if (vector < 0) {
        inject_interrupt(vcpu, pic_acknowledge(pic));
        return;
    }
    lapic_accept(vcpu->lapic, (uint8_t)vector);
    inject_interrupt(vcpu, (uint8_t)vector);
    /* No end of an interrupt in the APIC has us look at the PIC. */
    if (__builtin_expect(by_pic, 0))
        engine->interrupt_window(vcpu);
    if (!x86_eoi_exits)
        pv_eoi_offer(vcpu, (uint8_t)vector);
}

static void deliver_nmi(struct x86_vcpu *vcpu) {
    if (!engine->nmi_open(vcpu))
        return; /* tried again after the next exit */
    vcpu->state->nmi_pending = 0;
    vcpu->state->nmi_blocked = 1;
    vcpu->state->pending = (struct x86_event){.valid = 1, .type = X86_EVENT_NMI, .vector = VECTOR_NMI};
    engine->nmi_injected(vcpu);
}

/* INIT and SIPI (Intel SDM vol. 3, 8.4.2 to 8.4.4). */
static void start_up(struct x86_vcpu *vcpu, uint32_t requests) {
    if (requests & X86_REQUEST_INIT) {
        vcpu_init_reset(vcpu);
        vcpu_debug_load(vcpu); /* DR0 to DR3 are in the CPU */
    }
    if ((requests & X86_REQUEST_SIPI) && vcpu->state->activity == X86_WAIT_FOR_SIPI)
        vcpu_sipi(vcpu, __atomic_load_n(&vcpu->sipi_vector, __ATOMIC_ACQUIRE));
}

static void take_requests(struct x86_vcpu *vcpu) {
    uint32_t requests =
        __atomic_fetch_and(&vcpu->core.requests, VCPU_REQUEST_PARK | VCPU_REQUEST_LOAD, __ATOMIC_ACQ_REL);

    if (requests & (X86_REQUEST_INIT | X86_REQUEST_SIPI))
        start_up(vcpu, requests);
    if (requests & X86_REQUEST_TLB)
        engine->tlb_flush(vcpu);
    if (requests & VCPU_REQUEST_RESUMED)
        pv_refresh(vcpu, true);
    if (vcpu->state->activity == X86_WAIT_FOR_SIPI)
        return;
    if (requests & X86_REQUEST_NMI)
        vcpu->state->nmi_pending = 1;
    if (vcpu->state->activity == X86_HALTED && arch_vcpu_pending(&vcpu->core)) {
        vcpu->state->activity = X86_ACTIVE;
        pv_take_kick(vcpu);
    }
    /* Before interrupts (AMD APM vol. 2, 8.5). */
    if (vcpu->state->nmi_pending && vcpu->state->activity == X86_ACTIVE)
        deliver_nmi(vcpu);
    if (requests & X86_REQUEST_EVENT)
        deliver(vcpu);
}

/* The vCPU comes to this CPU. */
static void load(struct x86_vcpu *vcpu) {
    struct cpu *cpu = vcpu->core.cpu;

    if (cpu->window_vm != vcpu->core.vm) {
        barrier_between_vms();
        window_forget();
        cpu->window_vm = vcpu->core.vm;
    }
    fpu_load(vcpu);
    vcpu_debug_load(vcpu);
    engine->vcpu_load(vcpu);
    mmio_load(vcpu);
    pv_scheduled(vcpu);
}

/* What the vCPU was held for is there: an access to a device of the service VM's is repeated. False: it waits
 * again, for the answer to another one of the same instruction. */
static bool answered(struct x86_vcpu *vcpu) {
    bool again = vcpu->core.hold == VCPU_HOLD_ANSWER;

    vcpu->core.hold = VCPU_HOLD_NONE;
    return !again || exit_nested_again(vcpu) != ENGINE_BLOCK;
}

enum vcpu_run_result arch_vcpu_run(struct vcpu *core) {
    struct x86_vcpu *vcpu = x86_vcpu(core);
    struct cpu *cpu = core->cpu;
    enum vcpu_run_result result;
    enum engine_next next = ENGINE_AGAIN;

    if (__builtin_expect(core->hold, 0) && vcpu_held(core))
        return VCPU_RUN_BLOCK; /* a request to park is found by the scheduler */
    load(vcpu);
    if (__builtin_expect(core->hold, 0) && !answered(vcpu)) {
        result = VCPU_RUN_BLOCK;
        goto out;
    }
    /* What had become pending while it was away has been noted by a request; only a state that was loaded has
     * to be looked at. */
    __atomic_or_fetch(&core->requests, X86_REQUEST_EVENT, __ATOMIC_RELAXED);
    for (;;) {
        /* Who wants something from us sets its bit, then looks at in_guest; we the other way round. */
        __atomic_exchange_n(&core->in_guest, 1, __ATOMIC_SEQ_CST);
        uint32_t requests = __atomic_load_n(&core->requests, __ATOMIC_ACQUIRE);
        if (__builtin_expect(requests | __atomic_load_n(&cpu->reschedule, __ATOMIC_ACQUIRE) |
                                 vcpu->state->nmi_pending,
                             0)) {
            __atomic_store_n(&core->in_guest, 0, __ATOMIC_RELEASE);
            if (requests & VCPU_REQUEST_PARK) {
                result = VCPU_RUN_PARK;
                break;
            }
            if (requests & ~(VCPU_REQUEST_PARK | VCPU_REQUEST_LOAD))
                take_requests(vcpu);
            if (vcpu->state->nmi_pending)
                deliver_nmi(vcpu);
            if (vcpu->state->activity != X86_ACTIVE) {
                pv_eoi_sync(core);
                lapic_page_unload(vcpu->lapic);
                result = VCPU_RUN_BLOCK;
                break;
            }
            if (__atomic_load_n(&cpu->reschedule, __ATOMIC_ACQUIRE)) {
                result = VCPU_RUN_RESCHEDULE;
                break;
            }
            __atomic_exchange_n(&core->in_guest, 1, __ATOMIC_SEQ_CST);
            if (__atomic_load_n(&core->requests, __ATOMIC_ACQUIRE))
                continue;
        }
        next = engine->run(vcpu);
        if (__builtin_expect(next == ENGINE_BLOCK, 0)) {
            if (core->hold || !__atomic_load_n(&core->requests, __ATOMIC_ACQUIRE)) {
                result = VCPU_RUN_BLOCK;
                break;
            }
        }
    }
out:
    __atomic_store_n(&core->in_guest, 0, __ATOMIC_RELEASE);
    if (result == VCPU_RUN_RESCHEDULE)
        pv_preempted(vcpu);
    engine->vcpu_put(vcpu);
    vcpu_debug_save(vcpu);
    fpu_save(vcpu);
    return result;
}

bool arch_vcpu_pending(struct vcpu *core) {
    struct x86_vcpu *vcpu = x86_vcpu(core);
    uint32_t requests = __atomic_load_n(&core->requests, __ATOMIC_ACQUIRE);

    if (requests & (X86_REQUEST_INIT | X86_REQUEST_SIPI))
        return true;
    if (vcpu->state->activity == X86_WAIT_FOR_SIPI || vcpu->state->activity == X86_SHUTDOWN)
        return false;
    if (vcpu->state->activity == X86_ACTIVE)
        return true;
    if (((requests & X86_REQUEST_NMI) || vcpu->state->nmi_pending) && !vcpu->state->nmi_blocked)
        return true;
    if (pv_kicked(vcpu))
        return true;
    if (!(vcpu->state->registers.rflags & RFLAGS_IF))
        return false;
    return lapic_has_work(vcpu->lapic) ||
           (pic_pending(x86_vm(core->vm)->pc.pic) && lapic_accepts_pic(vcpu->lapic));
}
