// SPDX-License-Identifier: Apache-2.0
// The guest's own page tables: linear to guest-physical with the faults and error codes of the CPU (Intel SDM
// vol. 3 ch. 4).
#include "arch/x86/emulate/internal.h"

#include <errno.h>

#define ENTRY_P      0x001ull
#define ENTRY_W      0x002ull
#define ENTRY_U      0x004ull
#define ENTRY_A      0x020ull
#define ENTRY_D      0x040ull
#define ENTRY_PS     0x080ull
#define ENTRY_NX     (1ull << 63)

#define ERROR_P      0x01u
#define ERROR_W      0x02u
#define ERROR_U      0x04u
#define ERROR_RSVD   0x08u
#define ERROR_I      0x10u

#define ADDRESS_MASK 0x000ffffffffff000ull
#define WALK_TRIES   16u

static enum emulate_result page_fault(struct emulate *emulate, uint64_t linear, unsigned access, bool user,
                                      uint32_t error) {
    const struct x86_system *system = emulate->system;
    if (access & EMULATE_WRITE)
        error |= ERROR_W;
    if (user)
        error |= ERROR_U;
    if ((access & EMULATE_EXECUTE) &&
        ((system->cr4 & CR4_SMEP) || ((system->cr4 & CR4_PAE) && (system->efer & EFER_NXE))))
        error |= ERROR_I;
    emulate->fault.cr2 = linear;
    return emulate_raise(emulate, VECTOR_PF, error);
}

/* Ors bits into an entry. 0: done; 1: the entry is no longer what was walked. Tables in ROM keep their bits.
 */
static int mark(struct emulate *emulate, uint64_t gpa, uint64_t entry, unsigned size, uint64_t bits) {
    uint64_t expected = entry, desired = entry | bits;
    if (size == 8)
        return emulate->ops->cmpxchg_guest(emulate->context, gpa, 8, &expected, &desired) == 1;
    uint32_t expected32 = (uint32_t)expected, desired32 = (uint32_t)desired;
    return emulate->ops->cmpxchg_guest(emulate->context, gpa, 4, &expected32, &desired32) == 1;
}

/* `rights`: the AND over all levels of the entries' W, U and A, and of NX inverted. */
static bool permitted(const struct emulate *emulate, uint64_t rights, unsigned access, bool user) {
    const struct x86_system *system = emulate->system;
    if (user) {
        if (!(rights & ENTRY_U) || ((access & EMULATE_WRITE) && !(rights & ENTRY_W)))
            return false;
    } else {
        if ((access & EMULATE_WRITE) && !(rights & ENTRY_W) && (system->cr0 & CR0_WP))
            return false;
        if (rights & ENTRY_U) {
            if (access & EMULATE_EXECUTE) {
                if (system->cr4 & CR4_SMEP)
                    return false;
            } else if ((system->cr4 & CR4_SMAP) &&
                       ((access & EMULATE_IMPLICIT) || !(emulate->registers->rflags & FLAG_AC))) {
                return false;
            }
        }
    }
    return !(access & EMULATE_EXECUTE) || (rights & ENTRY_NX);
}

/* Sets accessed bits at all levels and the dirty bit in the last, where they are missing. */
static enum emulate_result mark_all(struct emulate *emulate, struct walk_trace *trace, unsigned size,
                                    unsigned access) {
    for (unsigned i = 0; i < trace->count; i++) {
        uint64_t bits = ENTRY_A | (i + 1 == trace->count && (access & EMULATE_WRITE) ? ENTRY_D : 0);
        uint64_t entry = trace->step[i].entry;
        if ((entry & bits) != bits && mark(emulate, trace->step[i].gpa, entry, size, bits))
            return EMULATE_CHANGED;
    }
    return EMULATE_OK;
}

/* 2-level paging with 4-byte entries. EMULATE_CHANGED: an entry changed under it. */
static enum emulate_result walk_legacy(struct emulate *emulate, uint64_t linear, unsigned access, bool user,
                                       uint64_t *gpa, struct walk_trace *trace) {
    const struct x86_system *system = emulate->system;
    uint64_t table = system->cr3 & 0xfffff000u, rights = ~0ull, entry;
    unsigned shift = 22;
    for (;; shift = 12) {
        unsigned i = trace->count++;
        trace->step[i].gpa = table + (linear >> shift & 0x3ff) * 4;
        trace->step[i].entry = 0;
        if (emulate->ops->read_guest(emulate->context, trace->step[i].gpa, &trace->step[i].entry, 4) != 0)
            return EMULATE_UNHANDLED;
        entry = trace->step[i].entry;
        if (!(entry & ENTRY_P))
            return page_fault(emulate, linear, access, user, 0);
        rights &= entry | ENTRY_NX;
        if (shift == 12) {
            *gpa = (entry & 0xfffff000u) | (linear & 0xfff);
            break;
        }
        if ((entry & ENTRY_PS) && (system->cr4 & CR4_PSE)) {
            /* Bits 20-13 are address bits 39-32 (PSE-36 and its 40-bit form), bit 21 is reserved. */
            if (entry & (0x200000u | (~emulate->physical_mask >> 32 & 0xff) << 13))
                return page_fault(emulate, linear, access, user, ERROR_P | ERROR_RSVD);
            *gpa = (entry & 0xffc00000u) | (entry >> 13 & 0xff) << 32 | (linear & 0x3fffff);
            break;
        }
        table = entry & 0xfffff000u;
    }
    if (!permitted(emulate, rights, access, user))
        return page_fault(emulate, linear, access, user, ERROR_P);
    return access & EMULATE_PEEK ? EMULATE_OK : mark_all(emulate, trace, 4, access);
}

/* PAE, 4-level and 5-level paging with 8-byte entries. EMULATE_CHANGED: an entry changed under it. */
static enum emulate_result walk_wide(struct emulate *emulate, uint64_t linear, unsigned access, bool user,
                                     uint64_t *gpa, struct walk_trace *trace) {
    const struct x86_system *system = emulate->system;
    int (*const read)(void *, uint64_t, void *, unsigned) = emulate->ops->read_guest;
    uint64_t reserved = ADDRESS_MASK & ~emulate->physical_mask, rights = ~0ull, table, entry;
    unsigned shift;
    if (!(system->efer & EFER_NXE))
        reserved |= ENTRY_NX;
    if (system->efer & EFER_LMA) {
        shift = system->cr4 & CR4_LA57 ? 48 : 39;
        table = system->cr3 & ADDRESS_MASK & emulate->physical_mask;
    } else { /* a PDPTE has no rights and no accessed bit, and its NX is reserved as well */
        if (read(emulate->context, (system->cr3 & 0xffffffe0u) + (linear >> 30 & 3) * 8, &entry, 8) != 0)
            return EMULATE_UNHANDLED;
        if (!(entry & ENTRY_P))
            return page_fault(emulate, linear, access, user, 0);
        reserved |= 0x7ff0000000000000ull;
        /* Bit 5 is reserved as well, but QEMU 7.2 sets it as if it was an accessed bit. Hardware refuses such
         * an entry before anything of ours looks at it. */
        if (entry & (reserved | ENTRY_NX | 0x1c6u))
            return page_fault(emulate, linear, access, user, ERROR_P | ERROR_RSVD);
        shift = 21;
        table = entry & ADDRESS_MASK;
    }
    for (;; shift -= 9) {
        unsigned i = trace->count++;
        trace->step[i].gpa = table + (linear >> shift & 0x1ff) * 8;
        if (read(emulate->context, trace->step[i].gpa, &entry, 8) != 0)
            return EMULATE_UNHANDLED;
        trace->step[i].entry = entry;
        if (!(entry & ENTRY_P))
            return page_fault(emulate, linear, access, user, 0);
        if (entry & reserved)
            return page_fault(emulate, linear, access, user, ERROR_P | ERROR_RSVD);
        rights &= entry ^ ENTRY_NX;
        table = entry & ADDRESS_MASK;
        if (shift == 12) {
            *gpa = table | (linear & 0xfff);
            break;
        }
        if (entry & ENTRY_PS) {
            uint64_t offset_mask = (1ull << shift) - 1;
            /* Reserved: PS above 1-GB pages; below, the address bits under the page size (bit 12 is PAT). */
            if (shift > 30 || (entry & (offset_mask & ~0x1fffull)))
                return page_fault(emulate, linear, access, user, ERROR_P | ERROR_RSVD);
            *gpa = (table & ~offset_mask) | (linear & offset_mask);
            break;
        }
    }
    if (!permitted(emulate, rights, access, user))
        return page_fault(emulate, linear, access, user, ERROR_P);
    if ((access & EMULATE_PEEK) || ((rights & ENTRY_A) && (!(access & EMULATE_WRITE) || (entry & ENTRY_D))))
        return EMULATE_OK;
    return mark_all(emulate, trace, 8, access);
}

enum emulate_result walk_traced(struct emulate *emulate, uint64_t linear, unsigned access, uint64_t *gpa,
                                struct walk_trace *trace) {
    const struct x86_system *system = emulate->system;
    trace->count = 0;
    if (!(system->cr0 & CR0_PG)) {
        *gpa = linear & emulate->physical_mask; /* 32 bits; a 64-bit mode without paging does not exist */
        return EMULATE_OK;
    }
    bool user = system->cpl == 3 && !(access & EMULATE_IMPLICIT);
    for (unsigned tries = 0; tries < WALK_TRIES; tries++) {
        trace->count = 0;
        enum emulate_result result = system->cr4 & CR4_PAE
                                         ? walk_wide(emulate, linear, access, user, gpa, trace)
                                         : walk_legacy(emulate, linear, access, user, gpa, trace);
        if (result != EMULATE_CHANGED)
            return result;
    }
    return EMULATE_RETRY;
}

enum emulate_result emulate_walk(struct emulate *emulate, uint64_t linear, unsigned access, uint64_t *gpa) {
    struct walk_trace trace;
    return walk_traced(emulate, linear, access, gpa, &trace);
}
