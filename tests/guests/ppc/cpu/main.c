// SPDX-License-Identifier: Apache-2.0
// Checks of an e500v2 from inside: privileged instructions, special-purpose registers, interrupts, timers.
#include "tests/guests/ppc/cpu/cpu.h"

#include "tests/guests/ppc/runtime/guest.h"

bool exact, shared;

#define MAGIC     0xfffff000u
#define MAGIC_MSR (MAGIC + 92)
#define KVM_CALL  0x4b564d21u
#define KVM_MAP   (42u << 16 | 4)

static uint32_t msr_now(void) {
    uint32_t value;
    __asm__ volatile("mfmsr %0" : "=r"(value)::"memory");
    return value;
}

/* Everything that follows has to be as it is without. */
static void use_magic_page(void) {
    register uint32_t call __asm__("r0") = KVM_CALL;
    register uint32_t address __asm__("r3") = MAGIC;
    register uint32_t physical __asm__("r4") = MAGIC | 1;
    register uint32_t number __asm__("r11") = KVM_MAP;

    __asm__ volatile("sc"
                     : "+r"(call), "+r"(address), "+r"(physical), "+r"(number)
                     :
                     : "r5", "r6", "r7", "r8", "r9", "r10", "r12", "cr0", "cr1", "cr5", "cr6", "cr7", "lr",
                       "ctr", "xer", "memory");
    check_equal(address, 0, "the magic page is mapped");
    volatile uint32_t *msr = (volatile uint32_t *)MAGIC_MSR;
    check_equal(*msr, msr_now(), "MSR on the magic page");
    *msr |= MSR_CE;
    check_equal(msr_now() & MSR_CE, MSR_CE, "MSR is changed there");
    *msr &= ~MSR_CE;
    check_equal(msr_now() & MSR_CE, 0, "and back");
}

void guest_main(void) {
    exact = guest_option("exact");
    shared = guest_option("shared");
    if (guest_option("magic"))
        use_magic_page();
    test_privileged();
    test_registers();
    test_moves();
    test_interrupts();
    test_timers();
}
