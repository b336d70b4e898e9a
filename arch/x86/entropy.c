// SPDX-License-Identifier: Apache-2.0
// Random bytes from the CPU: RDSEED, which draws on its source itself, else RDRAND, the generator behind it
// (Intel SDM vol. 1, 7.3.17; AMD APM vol. 3, RDRAND and RDSEED).
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "arch/x86/registers.h"
#include "core/arch.h"

#define SEED_TRIES   64u /* RDSEED is empty now and then, more often while other CPUs draw on it, too */
#define RANDOM_TRIES 10u /* Intel's advice: after ten the generator is broken */
#define SAMPLES      4u

enum source { SOURCE_UNKNOWN, SOURCE_NONE, SOURCE_RANDOM, SOURCE_SEED };

static bool draw_seed(uint64_t *value) {
    for (unsigned i = 0; i < SEED_TRIES; i++) {
        bool drawn;
        __asm__ volatile("rdseed %0\n\tsetc %1" : "=r"(*value), "=qm"(drawn) : : "cc");
        if (drawn)
            return true;
        cpu_relax();
    }
    return false;
}

static bool draw_random(uint64_t *value) {
    for (unsigned i = 0; i < RANDOM_TRIES; i++) {
        bool drawn;
        __asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(*value), "=qm"(drawn) : : "cc");
        if (drawn)
            return true;
    }
    return false;
}

/* Whether it gives anything but the same value again and again, as some CPUs do with old firmware. */
static bool sound(bool (*draw)(uint64_t *value)) {
    uint64_t first, value;

    if (!draw(&first))
        return false;
    for (unsigned i = 1; i < SAMPLES; i++)
        if (draw(&value) && value != first)
            return true;
    return false;
}

static enum source find(void) {
    bool seed = cpuid_read(0, 0).eax >= 7 && (cpuid_read(7, 0).ebx >> 18 & 1);
    bool random = cpuid_read(1, 0).ecx >> 30 & 1;

    if (seed && sound(draw_seed))
        return SOURCE_SEED;
    return random && sound(draw_random) ? SOURCE_RANDOM : SOURCE_NONE;
}

int arch_entropy(uint8_t *bytes, unsigned size) {
    static enum source found; /* two CPUs that look at a time find the same */
    enum source source = __atomic_load_n(&found, __ATOMIC_RELAXED);
    unsigned done = 0;

    if (source == SOURCE_UNKNOWN) {
        source = find();
        __atomic_store_n(&found, source, __ATOMIC_RELAXED);
    }
    if (source == SOURCE_NONE)
        return -ENODEV;
    while (done < size) {
        unsigned part = size - done < sizeof(uint64_t) ? size - done : sizeof(uint64_t);
        uint64_t value;
        if (!(source == SOURCE_SEED ? draw_seed(&value) : draw_random(&value)))
            break;
        memcpy(bytes + done, &value, part);
        done += part;
    }
    return (int)done;
}
