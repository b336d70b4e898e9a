// SPDX-License-Identifier: Apache-2.0
// Deliberate faults. Each line here ends in a report that a boot test looks for.
#include "arch/ppc/selftest.h"

#include <string.h>
#include "arch/ppc/fixup.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/layout.h"
#include "arch/ppc/platform.h"
#include "arch/ppc/ppc_cpu.h"
#include "arch/ppc/window.h"
#include "core/log.h"
#include "core/timer.h"

#define OPTION      "selftest="
#define TIMER_WAIT  5000000ull /* ns */
#define TIMER_WAKES 16u        /* interrupts that may come before it */

extern char text_start[];

/* Recursion that no compiler turns into a loop. */
__attribute__((noinline)) static uint32_t overflow(volatile uint32_t *above) {
    volatile uint32_t here[64];
    here[0] = *above + 1;
    if (here[0] == 0)
        return 0;
    return overflow(here) + here[0];
}

/* Two frames shown in turn, through windows whose TLB entries are thrown away meanwhile. */
static bool windows_work(void) {
    uint64_t page[2] = {frame_allocate(PAGE_SHIFT, NULL), frame_allocate(LARGE_PAGE_SHIFT, NULL)};
    bool good = page[0] != 0 && page[1] != 0;
    volatile uint32_t *at[2] = {NULL, NULL};

    if (good) {
        at[0] = arch_window_map(page[0]);
        at[1] = arch_window_map(page[1]);
        *at[0] = 1;
        *at[1] = 2;
        tlb_flash(MMUCSR0_TLB0_FI);
        good = *at[0] == 1 && *at[1] == 2;
        volatile uint32_t *large = arch_window_map_large(page[1]);
        good = good && large[0] == 2 && large[LARGE_PAGE_SIZE / 4 - 1] == 0;
        window_forget();
        uint32_t word;
        good = good && read32_safe((uint32_t)at[0], &word) != 0 && read32_safe((uint32_t)large, &word) != 0;
        good = good && *(volatile uint32_t *)arch_window_map(page[0]) == 1;
    }
    if (page[0] != 0)
        frame_free(page[0], PAGE_SHIFT, NULL);
    if (page[1] != 0)
        frame_free(page[1], LARGE_PAGE_SHIFT, NULL);
    return good;
}

static bool fired;

static void fire(struct timer *timer) {
    (void)timer;
    fired = true;
}

/* The decrementer ends a sleep, not before its time. */
static bool timer_works(void) {
    static struct timer timer;
    uint64_t deadline = time_now() + TIMER_WAIT;

    timer_init(&timer, fire);
    timer_arm(&timer, deadline);
    for (unsigned i = 0; i < TIMER_WAKES && !fired; i++)
        arch_cpu_idle();
    return fired && time_now() >= deadline;
}

static void safe(void) {
    uint32_t bad = 1, code = 0;
    bool faulted = read32_safe(0, &bad) != 0 && bad == 0;
    bool read = read32_safe((uint32_t)text_start, &code) == 0 && code != 0;
    uint64_t before = time_now(), after = time_now();
    bool good = faulted && read && windows_work() && timer_works() && after >= before;

    log_info("selftest safe: %s", good ? "ok" : "FAILED");
}

/* A fault, and another one in its report: the current vCPU's structure ends with the data's mapping. */
static void nested(volatile const char *address) {
    cpu_this()->current = (struct vcpu *)(IMAGE_END - 4);
    *(uint32_t *)(IMAGE_END - 4) = (uint32_t)text_start;
    (void)*address;
}

void selftest_run(void) {
    const char *name = strchr(platform_machine()->arguments, 's');

    while (name != NULL && strncmp(name, OPTION, sizeof(OPTION) - 1) != 0)
        name = strchr(name + 1, 's');
    if (name == NULL)
        return;
    name += sizeof(OPTION) - 1;
    log_info("selftest: %s", name);
    /* Addresses that the compiler must not know. */
    uint32_t address = 0;
    __asm__("" : "+r"(address));
    if (strcmp(name, "text") == 0) {
        *(volatile char *)text_start = 0x60;
    } else if (strcmp(name, "data") == 0) {
        static uint32_t code[1] = {0x4e800020}; /* blr */
        ((void (*)(void))code)();
    } else if (strcmp(name, "null") == 0) {
        (void)*(volatile uint32_t *)address;
    } else if (strcmp(name, "nested") == 0) {
        nested((const char *)address);
    } else if (strcmp(name, "stack") == 0) {
        volatile uint32_t zero = 0;
        overflow(&zero);
    } else if (strcmp(name, "panic") == 0) {
        panic("selftest");
    } else if (strcmp(name, "safe") == 0) {
        safe();
    } else if (strcmp(name, "poweroff") == 0) {
        arch_power_off();
    } else if (strcmp(name, "reboot") == 0) {
        arch_reboot();
    } else {
        log_warning("selftest: no test of that name");
    }
}
