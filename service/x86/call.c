// SPDX-License-Identifier: Apache-2.0
// Calls of the hypervisor on x86: VMCALL, or VMMCALL on the CPUs that have that one. Both lead to it, the
// foreign one by an exception first.
#include "service/x86/call.h"

#include "service/arch.h"

static bool vmmcall;

void call_init(void) {
    uint32_t leaf = 0, ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(leaf), "=b"(ebx), "+c"(ecx), "=d"(edx));
    vmmcall = (ebx == 0x68747541 && edx == 0x69746e65 && ecx == 0x444d4163) || /* AuthenticAMD */
              (ebx == 0x6f677948 && edx == 0x6e65476e && ecx == 0x656e6975);   /* HygonGenuine */
}

int service_call(enum service_call number, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    uint64_t result = number;

    if (vmmcall)
        __asm__ volatile("vmmcall" : "+a"(result) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    else
        __asm__ volatile("vmcall" : "+a"(result) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return (int)(uint32_t)result;
}
