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

struct step {
    uint64_t gpa; /* of the entry */
    uint64_t entry;
};

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
static int mark(struct emulate *emulate, const struct step *step, unsigned size, uint64_t bits) {
    uint64_t expected = step->entry, desired = step->entry | bits;
    if (size == 8)
        return emulate->ops->cmpxchg_guest(emulate->context, step->gpa, 8, &expected, &desired) == 1;
    uint32_t expected32 = (uint32_t)expected, desired32 = (uint32_t)desired;
    return emulate->ops->cmpxchg_guest(emulate->context, step->gpa, 4, &expected32, &desired32) == 1;
}

/* The rights that all levels together give. `rights`: the AND of the entries' W and U, and NX if any had it.
 */
static bool permitted(const struct emulate *emulate, uint64_t rights, bool nx, unsigned access, bool user) {
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
    return !(access & EMULATE_EXECUTE) || !nx;
}

/* One attempt. EMULATE_CHANGED: an entry changed under it. */
static enum emulate_result walk_once(struct emulate *emulate, uint64_t linear, unsigned access, bool user,
                                     uint64_t *gpa) {
    const struct x86_system *system = emulate->system;
    const bool wide = system->cr4 & CR4_PAE, nxe = system->efer & EFER_NXE, lma = system->efer & EFER_LMA;
    const unsigned size = wide ? 8 : 4, index_bits = wide ? 9 : 10;
    unsigned levels = !wide ? 2 : !lma ? 3 : system->cr4 & CR4_LA57 ? 5 : 4;
    uint64_t reserved = ADDRESS_MASK & ~emulate->physical_mask, rights = ENTRY_W | ENTRY_U;
    uint64_t table = system->cr3 & (lma    ? ADDRESS_MASK & emulate->physical_mask
                                    : wide ? 0xffffffe0ull
                                           : 0xfffff000ull);
    struct step steps[5];
    unsigned count = 0, shift = 12 + index_bits * (levels - 1);
    bool nx = false;
    if (!wide)
        reserved = 0;
    else if (!nxe)
        reserved |= ENTRY_NX;
    if (wide && !lma)
        reserved |= 0x7ff0000000000000ull;

    for (;; shift -= index_bits) {
        struct step *step = &steps[count++];
        unsigned index = (unsigned)(linear >> shift) & ((1u << index_bits) - 1);
        bool pdpte = wide && !lma && shift == 30;
        if (pdpte)
            index &= 3;
        step->gpa = table + index * size;
        step->entry = 0;
        if (emulate->ops->read_guest(emulate->context, step->gpa, &step->entry, size) != 0)
            return EMULATE_UNHANDLED;
        uint64_t entry = step->entry;
        if (!(entry & ENTRY_P))
            return page_fault(emulate, linear, access, user, 0);
        if (pdpte) { /* no rights, no accessed bit, and no NX: all of that is reserved */
            if (entry & (reserved | ENTRY_NX | 0x1e6u))
                return page_fault(emulate, linear, access, user, ERROR_P | ERROR_RSVD);
            count--;
            table = entry & ADDRESS_MASK;
            continue;
        }
        uint64_t bad = reserved;
        bool leaf = shift == 12;
        if (!leaf && (entry & ENTRY_PS)) {
            if (!wide) {
                if (system->cr4 & CR4_PSE) {
                    leaf = true;
                    /* Bits 20-13 are address bits 39-32 (PSE-36 and its 40-bit form), bit 21 is reserved. */
                    bad = 0x200000u | ((~emulate->physical_mask >> 32 & 0xff) << 13);
                }
            } else if (shift == 21 || (shift == 30 && lma)) {
                leaf = true;
                bad |= (1ull << shift) - 0x2000; /* address bits below the page size; bit 12 is PAT */
            } else {
                bad |= ENTRY_PS;
            }
        }
        if (entry & bad)
            return page_fault(emulate, linear, access, user, ERROR_P | ERROR_RSVD);
        rights &= entry;
        nx |= wide && (entry & ENTRY_NX);
        if (!leaf) {
            table = entry & ADDRESS_MASK;
            continue;
        }
        if (!permitted(emulate, rights, nx, access, user))
            return page_fault(emulate, linear, access, user, ERROR_P);
        uint64_t offset_mask = (1ull << shift) - 1;
        *gpa = (entry & ADDRESS_MASK & ~offset_mask) | (linear & offset_mask);
        if (!wide && shift == 22)
            *gpa = (entry & 0xffc00000u) | (entry >> 13 & 0xff) << 32 | (linear & offset_mask);
        break;
    }
    if (access & EMULATE_PEEK)
        return EMULATE_OK;
    for (unsigned i = 0; i < count; i++) {
        uint64_t bits = ENTRY_A | (i + 1 == count && (access & EMULATE_WRITE) ? ENTRY_D : 0);
        if ((steps[i].entry & bits) != bits && mark(emulate, &steps[i], size, bits))
            return EMULATE_CHANGED;
    }
    return EMULATE_OK;
}

enum emulate_result emulate_walk(struct emulate *emulate, uint64_t linear, unsigned access, uint64_t *gpa) {
    const struct x86_system *system = emulate->system;
    if (!(system->cr0 & CR0_PG)) {
        *gpa = linear & emulate->physical_mask; /* 32 bits; a 64-bit mode without paging does not exist */
        return EMULATE_OK;
    }
    bool user = system->cpl == 3 && !(access & EMULATE_IMPLICIT);
    for (unsigned tries = 0; tries < WALK_TRIES; tries++) {
        enum emulate_result result = walk_once(emulate, linear, access, user, gpa);
        if (result != EMULATE_CHANGED)
            return result;
    }
    return EMULATE_RETRY;
}
