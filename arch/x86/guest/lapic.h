// SPDX-License-Identifier: Apache-2.0
// A vCPU's local APIC (Intel SDM vol. 3, ch. 11): the software model that every engine uses.
#ifndef SAGUARO_ARCH_X86_GUEST_LAPIC_H
#define SAGUARO_ARCH_X86_GUEST_LAPIC_H

#include <stdbool.h>
#include <stdint.h>
#include "core/part.h"

struct vm;
struct vcpu;
struct lapic;

extern const struct part lapic_part; /* "x86.lapic", per vCPU */

/* Delivery modes of ICR, LVT, I/O APIC and MSI. */
enum lapic_delivery {
    LAPIC_FIXED = 0,
    LAPIC_LOWEST = 1,
    LAPIC_SMI = 2,
    LAPIC_NMI = 4,
    LAPIC_INIT = 5,
    LAPIC_SIPI = 6,
    LAPIC_EXTINT = 7
};

struct lapic_message {
    uint32_t destination; /* 8-bit in xAPIC and I/O APIC form, 32-bit in x2APIC form */
    bool logical;
    bool x2apic;      /* destination is 32 bits wide */
    bool level;       /* level-triggered */
    bool assert;      /* level of INIT: false is the de-assert, ignored */
    uint8_t delivery; /* enum lapic_delivery */
    uint8_t vector;
};

/* Delivers to all vCPUs of `vm` that match; `source` (NULL: a device) is for self and all-but-self, which the
 * caller has already resolved with `shorthand` (0 none, 1 self, 2 all, 3 all but self). Any CPU, any context.
 * Returns how many vCPUs took it. */
unsigned lapic_deliver(struct vm *vm, struct vcpu *source, unsigned shorthand,
                       const struct lapic_message *message);

/*
 * The highest vector that may be injected now (above PPR), or -1. Only by the vCPU's own run loop.
 * X86_REQUEST_EVENT is raised once for each change that may make a vector deliverable (a new IRR bit, EOI,
 * TPR, enabling, LINT0, ...): a run loop that cannot inject (IF clear, interrupt shadow) keeps the request or
 * opens an interrupt window.
 */
int lapic_pending(struct lapic *lapic);
/* The engine injected `vector`: IRR to ISR. */
void lapic_accept(struct lapic *lapic, uint8_t vector);
/* True when a halted vCPU should wake: a deliverable vector. Any CPU. */
bool lapic_has_work(struct lapic *lapic);
/* Whether the 8259's INTR reaches this vCPU (APIC disabled, or LVT LINT0 = ExtINT and not masked). */
bool lapic_accepts_pic(const struct lapic *lapic);
/* LINT1 as NMI source etc. is by lapic_deliver(). */

/*
 * Virtual-interrupt delivery (Intel SDM vol. 3, ch. 29): while a page of 4 KiB holds a vCPU's pending and
 * served interrupts the CPU delivers and ends them without exits. The model takes them back when something
 * needs to see them; X86_REQUEST_EVENT is raised then, and the engine calls lapic_page_load() again before
 * the next entry. Only by the vCPU's run loop.
 */
enum lapic_page {
    LAPIC_PAGE_NONE,   /* the CPU cannot: the APIC is off, or its page is not at PC_LAPIC_BASE */
    LAPIC_PAGE_TRAP,   /* xAPIC mode, disabled by software: accesses of its page have to exit */
    LAPIC_PAGE_XAPIC,  /* it may, in xAPIC mode */
    LAPIC_PAGE_X2APIC, /* it may, in x2APIC mode */
};
/* What the CPU may do for this APIC now. */
enum lapic_page lapic_page_wanted(const struct lapic *lapic);
/* A write of the guest's that the CPU put into the page and left the rest of to us: the register at `offset`.
 */
void lapic_page_write(struct lapic *lapic, uint32_t offset);
/* Moves what is pending (and, the first time, all else) into vcpu->apic_page. *rvi, *svi: the highest vector
 * pending and in service, 0: none. eoi_exit: bits of the vectors whose end has to be seen. */
void lapic_page_load(struct lapic *lapic, uint8_t *rvi, uint8_t *svi, uint64_t eoi_exit[4]);
/* The end of an interrupt whose bit was set in eoi_exit; the page is up to date. */
void lapic_page_eoi(struct lapic *lapic, uint8_t vector);
/* Takes everything back: before the vCPU blocks or leaves its CPU. Cheap when there is nothing to do. */
void lapic_page_unload(struct lapic *lapic);

/* CR8 <-> TPR bits 7:4. */
uint64_t lapic_cr8(struct lapic *lapic);
void lapic_set_cr8(struct lapic *lapic, uint64_t value);

/* APIC_BASE (MSR 0x1b), TSC deadline (0x6e0) and the x2APIC MSRs 0x800-0x8ff. 0; -EINVAL: the guest gets
 * #GP(0). */
int lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *value);
int lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t value);
/* The hot path of lapic_msr_write(0x80b, 0): end of interrupt. */
void lapic_eoi(struct lapic *lapic);

/* xAPIC registers at APIC_BASE: offset 0..0xfff, 32-bit accesses at 16-byte steps (others as the SDM
 * says: 11.4.1). The page is not on the VM's bus, because each vCPU has its own and may move it: the run loop
 * asks lapic_mmio_base() first. */
uint64_t lapic_mmio_base(const struct lapic *lapic); /* 0: not in xAPIC mode */
int lapic_mmio_read(struct lapic *lapic, uint32_t offset, unsigned size, uint64_t *value);
int lapic_mmio_write(struct lapic *lapic, uint32_t offset, unsigned size, uint64_t value);

/* Whether APIC_BASE.EN is set: CPUID.1:EDX.APIC follows it. */
bool lapic_enabled(const struct lapic *lapic);

/* The PIC's INTR went up (or is still up after an acknowledge). To all LINT0 inputs: ExtINT asks the run loop
 * to look, fixed and NMI take it as an edge. Any CPU. */
void lapic_pic_output(struct vm *vm);

/* What firmware leaves on the bootstrap processor: enabled, LINT0 = ExtINT, LINT1 = NMI. For loaders that
 * start an operating system directly (after reset). */
void lapic_virtual_wire(struct lapic *lapic);

/* x86_vcpu.tsc_offset was changed: a TSC deadline that is armed is moved. Also called after a load, once the
 * vCPU's TSC has been set: before that a loaded deadline does not run. The vCPU's run loop, or parked. */
void lapic_tsc_changed(struct lapic *lapic);

/* INIT: everything but the APIC ID and APIC_BASE to reset values. */
void lapic_init_reset(struct lapic *lapic);
uint32_t lapic_id(const struct lapic *lapic);

#endif
