// SPDX-License-Identifier: Apache-2.0
// Lengths of the instructions that trap most, from their bytes alone: the short way for CPUs that do not save
// the next RIP.
#include "arch/x86/emulate/emulate.h"

static unsigned two_byte(const uint8_t *bytes, unsigned at, unsigned available) {
    if (at >= available)
        return 0;
    uint8_t byte = bytes[at++];
    switch (byte) {
    case 0x06: /* CLTS */
    case 0x08: /* INVD */
    case 0x09: /* WBINVD */
    case 0x30: /* WRMSR */
    case 0x31: /* RDTSC */
    case 0x32: /* RDMSR */
    case 0x33: /* RDPMC */
    case 0xa2: /* CPUID */
    case 0xaa: /* RSM */
        return at;
    case 0x20: /* MOV from and to CR and DR: ModRM names registers whatever its mod */
    case 0x21:
    case 0x22:
    case 0x23:
        return at < available ? at + 1 : 0;
    case 0x01: /* VMCALL, MONITOR, MWAIT, XGETBV, XSETBV, VMRUN.., SWAPGS, RDTSCP: register forms */
        return at < available && bytes[at] >= 0xc0 ? at + 1 : 0;
    default:
        return 0;
    }
}

unsigned emulate_fast_length(const uint8_t *bytes, unsigned available, bool long_mode) {
    unsigned at = 0;
    if (available > EMULATE_INSTRUCTION_MAX)
        available = EMULATE_INSTRUCTION_MAX;
    while (at < available) {
        uint8_t byte = bytes[at++];
        switch (byte) {
        case 0x0f:
            return two_byte(bytes, at, available);
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
        case 0x66:
        case 0x67:
        case 0xf2:
        case 0xf3:
            continue;
        case 0x6c: /* INS, OUTS */
        case 0x6d:
        case 0x6e:
        case 0x6f:
        case 0x90: /* PAUSE */
        case 0x9c: /* PUSHF, POPF */
        case 0x9d:
        case 0xcc: /* INT3 */
        case 0xcf: /* IRET */
        case 0xec: /* IN, OUT by DX */
        case 0xed:
        case 0xee:
        case 0xef:
        case 0xf1: /* ICEBP */
        case 0xf4: /* HLT */
            return at;
        case 0xcd: /* INT n */
        case 0xe4: /* IN, OUT by immediate */
        case 0xe5:
        case 0xe6:
        case 0xe7:
            return at < available ? at + 1 : 0;
        default:
            if (long_mode && byte >= 0x40 && byte <= 0x4f)
                continue;
            return 0;
        }
    }
    return 0;
}
