// SPDX-License-Identifier: Apache-2.0
// Deliberate faults. Each line here ends in a report that tests/boot looks for.
#include "arch/x86/selftest.h"

#include <string.h>
#include "arch/x86/fixup.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/platform.h"
#include "arch/x86/registers.h"
#include "core/cpu.h"
#include "core/log.h"

extern char text_start[], image_end[];

/* Recursion that no compiler turns into a loop. */
__attribute__((noinline)) static uint64_t overflow(volatile uint64_t *above) {
    volatile uint64_t here[64];
    here[0] = *above + 1;
    if (!here[0])
        return 0;
    return overflow(here) + here[0];
}

static void safe(void) {
    uint64_t value;
    /* XCR0 without x87 is refused by every CPU; unknown MSRs are not by every emulator (QEMU 7.2). */
    int bad = xsetbv_safe(0, 0);
    int good = rdmsr_safe(MSR_APIC_BASE, &value);
    log_info("selftest safe: %s", bad == -EFAULT && good == 0 && value != 0 ? "ok" : "FAILED");
}

/* A fault, and another one in its report: the current vCPU's structure ends at the end of the image. */
static void nested(volatile const char *address) {
    uint64_t end = (uint64_t)image_end;
    __asm__("" : "+r"(end));
    const void **last = (const void **)(end - sizeof(*last));

    *last = text_start;
    cpu_this()->current = (struct vcpu *)last;
    (void)*address;
}

void selftest_run(void) {
    char name[16];

    if (!platform_option("selftest", name, sizeof(name)))
        return;
    log_info("selftest: %s", name);
    /* Addresses that the compiler must not know. */
    uint64_t address = 0;
    __asm__("" : "+r"(address));
    if (!strcmp(name, "text")) {
        *(volatile char *)text_start = 0x90;
    } else if (!strcmp(name, "data")) {
        static char code[16] = {(char)0xc3};
        ((void (*)(void))code)();
    } else if (!strcmp(name, "null")) {
        (void)*(volatile uint64_t *)address;
    } else if (!strcmp(name, "nested")) {
        nested((const char *)address);
    } else if (!strcmp(name, "guard")) {
        volatile uint64_t zero = 0;
        overflow(&zero);
    } else if (!strcmp(name, "nmi")) {
        host_apic_nmi_self();
    } else if (!strcmp(name, "panic")) {
        panic("selftest");
    } else if (!strcmp(name, "safe")) {
        safe();
    } else if (!strcmp(name, "poweroff")) {
        arch_power_off();
    } else if (!strcmp(name, "reboot")) {
        arch_reboot();
    } else {
        log_warning("selftest: no test of that name");
    }
}
