// SPDX-License-Identifier: Apache-2.0
// The local APIC of a host CPU (Intel SDM vol. 3, ch. 11; AMD APM vol. 2, ch. 16).
#include "arch/x86/host_apic.h"

#include <errno.h>
#include <stddef.h>
#include "arch/x86/host_map.h"
#include "arch/x86/registers.h"
#include "arch/x86/traps.h"
#include "core/arch.h"

#define APIC_ID            0x020u
#define APIC_VERSION       0x030u
#define APIC_TPR           0x080u
#define APIC_EOI           0x0b0u
#define APIC_SPURIOUS      0x0f0u
#define APIC_ESR           0x280u
#define APIC_LVT_CMCI      0x2f0u
#define APIC_ICR           0x300u
#define APIC_ICR_HIGH      0x310u
#define APIC_LVT_TIMER     0x320u
#define APIC_LVT_THERMAL   0x330u
#define APIC_LVT_COUNTER   0x340u
#define APIC_LVT_LINT0     0x350u
#define APIC_LVT_LINT1     0x360u
#define APIC_LVT_ERROR     0x370u
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE  0x3e0u

#define APIC_BASE_ENABLE   (1ull << 11)
#define APIC_BASE_X2       (1ull << 10)
#define APIC_SW_ENABLE     0x100u

#define ICR_NMI            0x400u
#define ICR_INIT           0x500u
#define ICR_STARTUP        0x600u
#define ICR_PENDING        0x1000u
#define ICR_ASSERT         0x4000u
#define ICR_ALL_OTHER      0xc0000u

#define LVT_NMI            0x400u
#define LVT_ACTIVE_LOW     0x2000u
#define LVT_LEVEL          0x8000u

#define DIVIDE_BY_1        0xbu

static volatile uint32_t *registers; /* xAPIC */
static bool x2;
static bool ready;
static uint64_t apic_base;

static uint32_t apic_read(uint32_t offset) {
    if (x2)
        return (uint32_t)msr_read(MSR_X2APIC + offset / 16);
    return registers[offset / 4];
}

static void apic_write(uint32_t offset, uint32_t value) {
    if (x2)
        msr_write(MSR_X2APIC + offset / 16, value);
    else
        registers[offset / 4] = value;
}

bool host_apic_x2(void) {
    return x2;
}

uint32_t host_apic_id(void) {
    if (cpuid_read(0, 0).eax >= 0xb) {
        struct cpuid_registers topology = cpuid_read(0xb, 0);
        if (topology.ebx)
            return topology.edx;
    }
    return cpuid_read(1, 0).ebx >> 24;
}

int host_apic_init(uint64_t base, bool plain) {
    struct cpuid_registers features = cpuid_read(1, 0);

    if (!(features.edx & 1u << 9))
        return -ENODEV;
    uint64_t msr = msr_read(MSR_APIC_BASE);
    x2 = (features.ecx & 1u << 21) && (!plain || (msr & APIC_BASE_X2));
    if (!base)
        base = msr & 0x000ffffffffff000ull;
    apic_base = base;
    if (!x2) {
        registers = map_device(base, 4096);
        if (!registers)
            return -ENOMEM;
    }
    return 0;
}

void host_apic_enable(void) {
    uint64_t msr = msr_read(MSR_APIC_BASE) & 0xfff;

    /* From x2APIC back to xAPIC leads through off. The boot CPU was not in x2APIC mode: no CPU should be. */
    if (!x2 && (msr & APIC_BASE_X2)) {
        msr &= ~(APIC_BASE_X2 | APIC_BASE_ENABLE);
        msr_write(MSR_APIC_BASE, msr | apic_base);
    }
    msr |= apic_base | APIC_BASE_ENABLE;
    if (x2) {
        /* From off to x2APIC leads through xAPIC mode (Intel SDM vol. 3, 11.12.5). */
        if (!(msr & APIC_BASE_X2))
            msr_write(MSR_APIC_BASE, msr);
        msr |= APIC_BASE_X2;
    }
    msr_write(MSR_APIC_BASE, msr);
    unsigned last = apic_read(APIC_VERSION) >> 16 & 0xff;

    apic_write(APIC_SPURIOUS, APIC_SW_ENABLE | VECTOR_SPURIOUS);
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
    apic_write(APIC_TIMER_INITIAL, 0);
    apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
    apic_write(APIC_LVT_LINT1, APIC_LVT_MASKED);
    if (last >= 3)
        apic_write(APIC_LVT_ERROR, APIC_LVT_MASKED);
    if (last >= 4)
        apic_write(APIC_LVT_COUNTER, APIC_LVT_MASKED);
    if (last >= 5)
        apic_write(APIC_LVT_THERMAL, APIC_LVT_MASKED);
    if (last >= 6)
        apic_write(APIC_LVT_CMCI, APIC_LVT_MASKED);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_ESR, 0);
    /* What the firmware left in service would block ours: at most one of each vector. */
    for (unsigned i = 0; i < 256; i++) {
        uint32_t in_service = 0;
        for (unsigned word = 0; word < 8; word++)
            in_service |= apic_read(0x100 + 16 * word);
        if (!in_service)
            break;
        apic_write(APIC_EOI, 0);
    }
    __atomic_store_n(&ready, true, __ATOMIC_RELEASE);
}

void host_apic_eoi(void) {
    apic_write(APIC_EOI, 0);
}

void host_apic_recheck(void) {
    apic_write(APIC_TPR, 0);
}

void host_apic_nmi_pin(unsigned pin, bool active_low, bool level) {
    apic_write(pin ? APIC_LVT_LINT1 : APIC_LVT_LINT0,
               LVT_NMI | (active_low ? LVT_ACTIVE_LOW : 0) | (level ? LVT_LEVEL : 0));
}

static void send(uint32_t apic_id, uint32_t command) {
    if (x2) {
        /* WRMSR to the ICR is not serialising: what was written before has to be visible to who is woken. */
        __asm__ volatile("mfence; lfence" ::: "memory");
        msr_write(MSR_X2APIC + APIC_ICR / 16, (uint64_t)apic_id << 32 | command);
        return;
    }
    apic_write(APIC_ICR_HIGH, apic_id << 24);
    apic_write(APIC_ICR, command);
    for (unsigned i = 0; (apic_read(APIC_ICR) & ICR_PENDING) && i < 100000; i++)
        cpu_relax();
}

void host_apic_send(uint32_t apic_id, unsigned vector) {
    send(apic_id, ICR_ASSERT | vector);
}

void host_apic_send_init(uint32_t apic_id) {
    send(apic_id, ICR_INIT | ICR_ASSERT);
}

void host_apic_send_startup(uint32_t apic_id, unsigned page) {
    send(apic_id, ICR_STARTUP | ICR_ASSERT | page);
}

void host_apic_nmi_others(void) {
    if (__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
        send(0, ICR_NMI | ICR_ASSERT | ICR_ALL_OTHER);
}

void host_apic_nmi_self(void) {
    /* The self shorthand allows only fixed interrupts (Intel SDM vol. 3, 11.6.1): by its own ID then. */
    send(host_apic_id(), ICR_NMI | ICR_ASSERT);
}

void host_apic_timer_setup(uint32_t lvt) {
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, lvt);
    /* The MSR of the deadline mode must not overtake this write (Intel SDM vol. 3, 11.5.4.1). */
    __asm__ volatile("mfence" ::: "memory");
}

void host_apic_timer_set(uint32_t count) {
    apic_write(APIC_TIMER_INITIAL, count);
}

uint32_t host_apic_timer_get(void) {
    return apic_read(APIC_TIMER_CURRENT);
}
