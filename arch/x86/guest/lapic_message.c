// SPDX-License-Identifier: Apache-2.0
// Interrupt messages between a guest's local APICs, and from its I/O APIC and MSIs: which vCPUs one addresses
// and how each takes it (Intel SDM vol. 3, 11.6 and 11.12.9-10).
#include "arch/x86/guest/lapic_internal.h"
#include "core/log.h"

static struct lapic *lapic_of(const struct vm *vm, unsigned index) {
    struct vcpu *vcpu = vm->vcpu[index];
    struct lapic *lapic = vcpu ? x86_vcpu(vcpu)->lapic : NULL;
    if (!lapic || __atomic_load_n(&lapic->mode, __ATOMIC_RELAXED) == LAPIC_OFF)
        return NULL;
    return lapic;
}

/* One APIC takes a message that addresses it. False: it does not listen. */
static bool take(struct lapic *lapic, const struct lapic_message *message) {
    switch (message->delivery) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST:
        if (!lapic_software_enabled(lapic))
            return false;
        if (message->vector < 16) {
            lapic_error(lapic, LAPIC_ESR_RECEIVE_VECTOR);
            return false;
        }
        lapic_set_irr(lapic, message->vector, message->level);
        return true;
    case LAPIC_NMI:
        vcpu_request(lapic->vcpu, X86_REQUEST_NMI);
        return true;
    case LAPIC_INIT:
        /* The de-assert of old set arbitration IDs and does nothing else. */
        if (!message->level || message->assert)
            vcpu_request(lapic->vcpu, X86_REQUEST_INIT);
        return true;
    case LAPIC_SIPI:
        __atomic_store_n(&x86_vcpu(lapic->vcpu)->sipi_vector, message->vector, __ATOMIC_RELAXED);
        vcpu_request(lapic->vcpu, X86_REQUEST_SIPI);
        return true;
    case LAPIC_SMI: {
        static struct log_limit limit = {.burst = 1};
        if (log_allowed(&limit))
            log_warning("%s: an SMI was sent; there is no system-management mode", lapic->vcpu->vm->name);
        return true;
    }
    default: /* ExtINT by message: the PIC is wired to LINT0 alone */
        return false;
    }
}

/* Whether a message's destination field names this APIC. */
static bool matches(const struct lapic *lapic, const struct lapic_message *message) {
    uint32_t destination = message->destination;

    if (destination == (message->x2apic ? 0xffffffffu : 0xffu))
        return true;
    if (!message->logical)
        return destination == lapic_index(lapic);
    if (lapic->mode == LAPIC_X2APIC) {
        uint32_t own = lapic_x2apic_ldr(lapic);
        return destination >> 16 == own >> 16 && (destination & own & 0xffff) != 0;
    }
    if (destination > 0xff)
        return false;
    uint32_t own = __atomic_load_n(&lapic->ldr, __ATOMIC_RELAXED) >> 24;
    if (__atomic_load_n(&lapic->dfr, __ATOMIC_RELAXED) >> 28 == 0xf)
        return (destination & own) != 0;
    return destination >> 4 == own >> 4 && (destination & own & 0xf) != 0;
}

/* Arbitration: the lowest processor priority wins, equals take turns (11.6.2.4). */
static unsigned deliver_lowest(struct vm *vm, struct vcpu *source, unsigned shorthand,
                               const struct lapic_message *message) {
    struct lapic *first = vm->vcpu[0] ? x86_vcpu(vm->vcpu[0])->lapic : NULL;
    uint32_t start = first ? __atomic_load_n(&first->rotation, __ATOMIC_RELAXED) : 0;
    struct lapic *best = NULL;
    uint32_t best_threshold = 0;

    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        struct lapic *lapic = lapic_of(vm, (start + n) % vm->vcpu_count);
        if (!lapic || !lapic_software_enabled(lapic))
            continue;
        if (shorthand ? shorthand == 3 && lapic->vcpu == source : !matches(lapic, message))
            continue;
        uint32_t threshold = __atomic_load_n(&lapic->threshold, __ATOMIC_RELAXED);
        if (!best || threshold < best_threshold) {
            best = lapic;
            best_threshold = threshold;
        }
    }
    if (!best)
        return 0;
    __atomic_store_n(&first->rotation, lapic_index(best) + 1, __ATOMIC_RELAXED);
    return take(best, message);
}

unsigned lapic_deliver(struct vm *vm, struct vcpu *source, unsigned shorthand,
                       const struct lapic_message *message) {
    unsigned taken = 0;

    if (shorthand == 1) {
        struct lapic *lapic = source ? lapic_of(vm, source->index) : NULL;
        return lapic && take(lapic, message);
    }
    if (message->delivery == LAPIC_LOWEST)
        return deliver_lowest(vm, source, shorthand, message);
    /* What most messages are: to one, by its ID. */
    if (!shorthand && !message->logical && message->destination < vm->vcpu_count) {
        struct lapic *lapic = lapic_of(vm, message->destination);
        return lapic && take(lapic, message);
    }
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct lapic *lapic = lapic_of(vm, i);
        if (!lapic)
            continue;
        if (shorthand ? shorthand == 3 && lapic->vcpu == source : !matches(lapic, message))
            continue;
        taken += take(lapic, message);
    }
    return taken;
}

void lapic_send(struct lapic *lapic, uint32_t icr, uint32_t destination) {
    unsigned shorthand = icr >> 18 & 3;
    struct lapic_message message = {
        .destination = destination,
        .logical = (icr & 0x800) != 0,
        .x2apic = lapic->mode == LAPIC_X2APIC,
        .assert = (icr & 0x4000) != 0,
        .delivery = icr >> 8 & 7,
        .vector = (uint8_t)icr,
    };

    /* The trigger mode counts for INIT alone (11.6.1): other IPIs are edges. */
    message.level = message.delivery == LAPIC_INIT && (icr & 0x8000);
    switch (message.delivery) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST:
        if (message.vector < 16) {
            lapic_error(lapic, LAPIC_ESR_SEND_VECTOR);
            return;
        }
        break;
    case LAPIC_INIT:
    case LAPIC_SIPI:
        /* Not to oneself (table 11-3). */
        if (shorthand == 1 || shorthand == 2)
            return;
        break;
    case LAPIC_SMI:
    case LAPIC_NMI:
        break;
    default: /* reserved */
        return;
    }
    lapic_deliver(lapic->vcpu->vm, lapic->vcpu, shorthand, &message);
}

void lapic_send_self(struct lapic *lapic, uint8_t vector) {
    if (vector < 16)
        lapic_error(lapic, LAPIC_ESR_RECEIVE_VECTOR);
    else if (lapic_software_enabled(lapic))
        lapic_set_irr(lapic, vector, false);
}
