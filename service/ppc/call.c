// SPDX-License-Identifier: Apache-2.0
// Calls of the hypervisor on PowerPC: sc (abi/service.h).
#include "service/arch.h"

int service_call(enum service_call number, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    register uint32_t r11 __asm__("r11") = number;
    register uint32_t r3 __asm__("r3") = a;
    register uint32_t r4 __asm__("r4") = b;
    register uint32_t r5 __asm__("r5") = c;
    register uint32_t r6 __asm__("r6") = d;

    __asm__ volatile("sc"
                     : "+r"(r11), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6)
                     :
                     : "r7", "r8", "r9", "r10", "r12", "ctr", "xer", "cr0", "memory");
    return (int)r3;
}
