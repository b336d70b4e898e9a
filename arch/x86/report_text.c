// SPDX-License-Identifier: Apache-2.0
// The words of a report (Intel SDM vol. 3, 6.13 and 6.15; AMD APM vol. 2, 8.2).
#include "arch/x86/report_text.h"

#include <stdio.h>

const char *trap_name(unsigned vector) {
    static const char *const names[32] = {
        [0] = "divide error",
        [1] = "debug exception",
        [2] = "NMI",
        [3] = "breakpoint",
        [4] = "overflow",
        [5] = "bound range exceeded",
        [6] = "invalid opcode",
        [7] = "device not available",
        [8] = "double fault",
        [10] = "invalid TSS",
        [11] = "segment not present",
        [12] = "stack fault",
        [13] = "general protection fault",
        [14] = "page fault",
        [16] = "x87 floating-point error",
        [17] = "alignment check",
        [18] = "machine check",
        [19] = "SIMD floating-point error",
        [20] = "virtualization exception",
        [21] = "control protection exception",
        [28] = "hypervisor injection exception",
        [29] = "VMM communication exception",
        [30] = "security exception",
    };
    return vector < 32 && names[vector] ? names[vector] : "reserved exception";
}

#define ERROR_PRESENT  0x01u
#define ERROR_WRITE    0x02u
#define ERROR_USER     0x04u
#define ERROR_RESERVED 0x08u
#define ERROR_FETCH    0x10u
#define ERROR_KEY      0x20u

static const char *page_fault_reason(uint64_t error) {
    if (error & ERROR_RESERVED)
        return "whose page-table entry has reserved bits set";
    if (!(error & ERROR_PRESENT))
        return "which is not mapped";
    if (error & ERROR_KEY)
        return "which a protection key forbids";
    if (error & ERROR_FETCH)
        return "which is mapped but not executable";
    if (error & ERROR_WRITE)
        return "which is mapped but not writable";
    return "which is mapped but not accessible";
}

void trap_explain(char *text, size_t size, unsigned vector, uint64_t error, uint64_t address) {
    if (!size)
        return;
    text[0] = 0;
    switch (vector) {
    case 14: {
        const char *what = "read of";
        if (error & ERROR_FETCH)
            what = "instruction fetch from";
        else if (error & ERROR_WRITE)
            what = "write to";
        snprintf(text, size, "%s%s 0x%lx, %s", error & ERROR_USER ? "user-mode " : "", what,
                 (unsigned long)address, page_fault_reason(error));
        break;
    }
    case 10:
    case 11:
    case 12:
    case 13: {
        static const char *const table[4] = {"GDT", "IDT", "LDT", "IDT"};
        if (error)
            snprintf(text, size, "%s entry %u%s", table[error >> 1 & 3], (unsigned)(error >> 3 & 0x1fff),
                     error & 1 ? ", while an outside event was delivered" : "");
        else
            snprintf(text, size, "no selector involved");
        break;
    }
    case 21: {
        static const char *const reasons[] = {"unknown",       "near return",    "far return",
                                              "missing ENDBR", "RSTORSSP token", "SETSSBSY token"};
        unsigned code = (unsigned)error & 0x7fff;
        snprintf(text, size, "%s", reasons[code < sizeof(reasons) / sizeof(reasons[0]) ? code : 0]);
        break;
    }
    default:
        break;
    }
}
