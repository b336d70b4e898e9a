// SPDX-License-Identifier: Apache-2.0
// The host's clock. The TSC's frequency comes from CPUID (Intel SDM vol. 2, leaves 15H and 16H; the
// hypervisor leaf 40000010H), or is measured against the PM timer or channel 2 of the 8254.
#include "arch/x86/clock.h"

#include <errno.h>
#include <stddef.h>
#include "arch/x86/registers.h"
#include "core/arch.h"
#include "core/log.h"

#define PM_TIMER_FREQUENCY 3579545u
#define PIT_FREQUENCY      1193182u
#define MEASURE            30u /* 1/s of a measurement: 33 ms, within the 54 ms after which the 8254 wraps */
#define SAMPLES            8u
#define STALLED            100000u /* reads of a counter without change: it does not count */
#define LOWEST             10000000ull
#define HIGHEST            20000000000ull

uint64_t clock_tsc_base;
uint64_t clock_multiplier;
static uint64_t inverse; /* TSC ticks per ns, 32.32 */
static uint64_t frequency;
static const char *source = "unknown";
static uint16_t pm_port;

void clock_start(uint64_t tsc) {
    clock_tsc_base = tsc;
}

uint64_t clock_tsc_frequency(void) {
    return frequency;
}

const char *clock_source(void) {
    return source;
}

uint64_t clock_from_tsc(uint64_t tsc) {
    return tsc <= clock_tsc_base ? 0 : time_from_tsc(tsc);
}

uint64_t tsc_from_clock(uint64_t time) {
    unsigned __int128 ticks = (((unsigned __int128)time * inverse) >> 32) + 1;
    return ticks > UINT64_MAX - clock_tsc_base ? UINT64_MAX : clock_tsc_base + (uint64_t)ticks;
}

void clock_delay(uint64_t nanoseconds) {
    uint64_t start = tsc_read();
    uint64_t ticks = (uint64_t)(((unsigned __int128)nanoseconds * inverse) >> 32);
    while (tsc_read() - start < ticks)
        cpu_relax();
}

static bool sane(uint64_t hertz) {
    return hertz >= LOWEST && hertz <= HIGHEST;
}

static uint64_t frequency_from_cpuid(void) {
    uint32_t last = cpuid_read(0, 0).eax;

    if (last >= 0x15) {
        struct cpuid_registers r = cpuid_read(0x15, 0);
        if (r.eax && r.ebx && r.ecx) {
            uint64_t hertz = (uint64_t)r.ecx * r.ebx / r.eax;
            if (sane(hertz)) {
                source = "CPUID 15H";
                return hertz;
            }
        }
        /* The ratio without the crystal: the TSC counts at the base frequency (Intel SDM vol. 3, 18.7.3). */
        if (r.eax && r.ebx && last >= 0x16) {
            uint64_t hertz = (cpuid_read(0x16, 0).eax & 0xffff) * 1000000ull;
            if (sane(hertz)) {
                source = "CPUID 16H";
                return hertz;
            }
        }
    }
    if (cpuid_read(1, 0).ecx >> 31 & 1) {
        struct cpuid_registers r = cpuid_read(0x40000000, 0);
        if (r.eax >= 0x40000010 && r.eax < 0x40001000) {
            uint64_t hertz = cpuid_read(0x40000010, 0).eax * 1000ull;
            if (sane(hertz)) {
                source = "CPUID 40000010H";
                return hertz;
            }
        }
    }
    return 0;
}

/* A counter of known frequency. Those that count down are read negated. */
struct reference {
    uint32_t (*read)(void);
    uint32_t mask;
    uint32_t frequency;
};

static uint32_t pm_timer_read(void) {
    return port_read32(pm_port);
}

#define PIT_CHANNEL2 0x42u
#define PIT_COMMAND  0x43u
#define PORT_B       0x61u

static void pit_start(void) {
    port_write8(PORT_B, (uint8_t)((port_read8(PORT_B) & 0x0c) | 0x01)); /* gate on, speaker off */
    port_write8(PIT_COMMAND, 0xb4); /* channel 2, both bytes, rate generator */
    port_write8(PIT_CHANNEL2, 0);
    port_write8(PIT_CHANNEL2, 0);
}

static uint32_t pit_read(void) {
    port_write8(PIT_COMMAND, 0x80); /* latch channel 2 */
    uint32_t low = port_read8(PIT_CHANNEL2);
    uint32_t high = port_read8(PIT_CHANNEL2);
    return 0u - (high << 8 | low);
}

/* Reads both clocks as close together as several tries allow: something else may run in between (SMM, the
 * machine that emulates this one). */
static void sample(const struct reference *reference, uint64_t *tsc, uint32_t *count) {
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t before = tsc_read();
        uint32_t value = reference->read();
        uint64_t after = tsc_read();
        if (after - before < best) {
            best = after - before;
            *tsc = before + best / 2;
            *count = value;
        }
    }
}

static uint64_t measure(const struct reference *reference) {
    uint64_t tsc_first, tsc_last;
    uint32_t first, last, previous;
    unsigned unchanged = 0;

    sample(reference, &tsc_first, &first);
    for (previous = first; ((previous - first) & reference->mask) < reference->frequency / MEASURE;) {
        uint32_t count = reference->read();
        if (count == previous && ++unchanged > STALLED)
            return 0;
        if (count != previous)
            unchanged = 0;
        previous = count;
        cpu_relax();
    }
    sample(reference, &tsc_last, &last);
    uint64_t ticks = (last - first) & reference->mask;
    unsigned __int128 scaled = (unsigned __int128)(tsc_last - tsc_first) * reference->frequency;
    uint64_t high = (uint64_t)(scaled >> 64);
    uint64_t low = (uint64_t)scaled;
    uint64_t result, rest;
    if (!ticks || high >= ticks)
        return 0;
    __asm__("divq %4" : "=a"(result), "=d"(rest) : "a"(low), "d"(high), "r"(ticks));
    return sane(result) ? result : 0;
}

static uint64_t frequency_measured(uint16_t pm_timer, bool wide) {
    uint64_t hertz = 0;

    if (pm_timer) {
        struct reference reference = {pm_timer_read, wide ? UINT32_MAX : 0xffffffu, PM_TIMER_FREQUENCY};
        pm_port = pm_timer;
        hertz = measure(&reference);
        source = "the ACPI PM timer";
    }
    if (!hertz) {
        struct reference reference = {pit_read, 0xffffu, PIT_FREQUENCY};
        pit_start();
        hertz = measure(&reference);
        source = "the 8254";
    }
    return hertz;
}

/* CPUID names the frequency of the CPU that it describes. An emulator (Bochs 2.7) may run its TSC at quite
 * another. */
static uint64_t frequency_checked(uint64_t told, uint16_t pm_timer, bool wide) {
    const char *told_by = source;
    uint64_t measured = frequency_measured(pm_timer, wide);

    if (!measured || (measured < told + told / 8 && measured > told - told / 8)) {
        source = told_by;
        return told;
    }
    log_warning("TSC: %s says %lu kHz, but it counts at %lu kHz", told_by, (unsigned long)(told / 1000),
                (unsigned long)(measured / 1000));
    return measured;
}

int clock_calibrate(uint16_t pm_timer, bool wide) {
    frequency = frequency_from_cpuid();
    frequency = frequency ? frequency_checked(frequency, pm_timer, wide) : frequency_measured(pm_timer, wide);
    if (!frequency)
        return -ENODEV;
    /* Both quotients are below 2^64: the frequency is at least 10 MHz. */
    inverse =
        (uint64_t)(frequency / 1000000000ull) << 32 | ((frequency % 1000000000ull) << 32) / 1000000000ull;
    clock_multiplier = (1000000000ull << 32) / frequency;
    return 0;
}
