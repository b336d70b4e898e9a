// SPDX-License-Identifier: Apache-2.0
// Between the parts of a guest's MPIC: delivery (mpic.c), registers (mpic_registers.c), timers (mpic_timer.c)
// and saved state (mpic_state.c).
#ifndef SAGUARO_ARCH_PPC_GUEST_MPIC_INTERNAL_H
#define SAGUARO_ARCH_PPC_GUEST_MPIC_INTERNAL_H

#include "arch/ppc/guest/mpic.h"
#include "core/vm.h"

#define MPIC_IPIS         4u
#define MPIC_TIMERS       8u /* two groups of four */
#define MPIC_GROUPS       2u
/* Sources with numbers of our own. */
#define MPIC_IPI          MPIC_SOURCES
#define MPIC_TIMER        (MPIC_IPI + MPIC_IPIS)
#define MPIC_COUNT        (MPIC_TIMER + MPIC_TIMERS)
#define MPIC_WORDS        ((MPIC_COUNT + 31) / 32)
#define MPIC_NESTING      15u /* interrupts in service at once: each of a higher priority than the last */

/* Vector/priority registers. */
#define VPR_MASKED        0x80000000u
#define VPR_ACTIVE        0x40000000u /* computed: requested or in service */
#define VPR_POLARITY      0x00800000u
#define VPR_LEVEL         0x00400000u /* external pins only */
#define VPR_PRIORITY      0x000f0000u
#define VPR_VECTOR        0x0000ffffu
#define VPR_SHIFT         16

#define GCR_RESET         0x80000000u
#define GCR_MODE          0x60000000u
#define GCR_PASS_THROUGH  0x00000000u /* external pin 0 goes to vCPU 0 directly */
#define GCR_PROXY         0x60000000u /* EPR is loaded when the interrupt is taken */

#define GTBCR_INHIBIT     0x80000000u
#define GTBCR_COUNT       0x7fffffffu
#define GTCCR_TOGGLE      0x80000000u
#define TCR_RATIO         0x00000300u /* the platform's clock by 8, 16, 32, 64 */
#define TCR_SHIFT         8

#define TASK_PRIORITY_MAX 15u
#define MPIC_STANDSTILL   UINT64_MAX /* of a timer that does not count */

struct mpic_source {
    uint32_t vpr;         /* without VPR_ACTIVE */
    uint16_t destination; /* bit n: vCPU n */
    /* Requests that wait: of an IPI or timer one for each vCPU, else bit 0. */
    uint16_t pending;
    uint16_t in_service; /* bit n: on vCPU n */
    bool line;
};

struct mpic_timer {
    uint32_t base;    /* GTBCR */
    uint32_t stopped; /* count, while it stands still */
    uint64_t expires; /* time_now() when it reaches 0; MPIC_STANDSTILL */
    bool toggle;
};

struct mpic_cpu {
    uint8_t task_priority;
    uint8_t depth; /* of what is in service; the last one has the highest priority */
    bool output;
    struct {
        uint16_t source;
        uint8_t priority; /* when it was acknowledged */
    } service[MPIC_NESTING];
};

struct mpic {
    struct spinlock lock;
    struct vm *vm;
    uint32_t gcr; /* GCR_MODE */
    uint32_t pir;
    uint32_t spurious; /* vector */
    uint32_t tfrr[MPIC_GROUPS];
    uint32_t tcr[MPIC_GROUPS];
    uint32_t msir[MPIC_MSI_COUNT];
    uint32_t requests[MPIC_WORDS]; /* bit n: source n has its line up, or a request that waits */
    uint32_t requested;            /* bit n: requests[n] is not 0 */
    uint32_t counting;             /* bit n: timer n does not stand still */
    struct mpic_source source[MPIC_COUNT];
    struct mpic_timer timer[MPIC_TIMERS];
    struct mpic_cpu cpu[VM_MAX_VCPUS];
    struct timer alarm; /* the next timer of the guest's that has somebody to interrupt */
};

_Static_assert(VM_MAX_VCPUS <= 16, "a bit for each vCPU");
_Static_assert(MPIC_WORDS <= 32, "a bit for each word");

/* All of these with the lock held. */

/* mpic.c */
static inline uint16_t mpic_vcpus(const struct mpic *mpic) {
    return (uint16_t)((1u << mpic->vm->vcpu_count) - 1);
}
static inline bool mpic_multicast(unsigned source) {
    return source >= MPIC_IPI;
}
/* The bits of its vector/priority register that a source has. */
uint32_t mpic_vpr_bits(unsigned source);
uint32_t mpic_vpr_read(const struct mpic *mpic, unsigned source);
void mpic_vpr_write(struct mpic *mpic, unsigned source, uint32_t value);
void mpic_line(struct mpic *mpic, unsigned source, bool asserted);
/* Adds to the requests that wait. */
void mpic_raise(struct mpic *mpic, unsigned source, uint16_t pending);
/* MSIIR was written. */
void mpic_note_message(struct mpic *mpic, uint32_t value);
/* Keeps `requests` and `requested` true after a source's fields were changed. */
void mpic_note(struct mpic *mpic, unsigned source);
uint32_t mpic_take(struct mpic *mpic, unsigned cpu);
void mpic_end(struct mpic *mpic, unsigned cpu);
/* After any change: drives the vCPUs' inputs and sets the alarm. */
void mpic_update(struct mpic *mpic);
/* Power-on values; the lines stay as their devices drive them. */
void mpic_defaults(struct mpic *mpic);

/* mpic_registers.c */
extern const struct bus_ops mpic_ops;

/* mpic_timer.c */
void mpic_timers_reset(struct mpic *mpic);
/* Lets the timers do what they have to have done by now. */
void mpic_timers_run(struct mpic *mpic);
void mpic_timers_alarm(struct mpic *mpic);
/* When a timer reaches 0, or MPIC_STANDSTILL. */
void mpic_timer_expires(struct mpic *mpic, unsigned timer, uint64_t expires);
/* Registers; the timers have been run. */
uint32_t mpic_timer_count(const struct mpic *mpic, unsigned timer); /* GTCCR */
void mpic_timer_base(struct mpic *mpic, unsigned timer, uint32_t value);
void mpic_timer_control(struct mpic *mpic, unsigned group, uint32_t value);

/* mpic_state.c */
void mpic_save(struct vm *vm, unsigned index, struct state_writer *writer);
int mpic_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version);

#endif
