// SPDX-License-Identifier: Apache-2.0
// A CPU's real TLB as far as guests use it: which entries were written, and which host PID stands for what.
#ifndef SAGUARO_ARCH_PPC_GUEST_SHADOW_CPU_H
#define SAGUARO_ARCH_PPC_GUEST_SHADOW_CPU_H

#include <stdbool.h>
#include "abi/ppc/vcpu.h"
#include "arch/ppc/layout.h"
#include "core/cpu.h"

#define SHADOW_PIDS  256u /* 1..255 are handed out; 0 would match in every context */
#define SHADOW_LARGE (TLB1_ENTRIES - TLB1_FIRST_GUEST)

/* What a host PID stands for. A life is one vCPU's between two occasions to forget all of its entries. */
struct shadow_pid {
    uint64_t life;
    uint32_t key; /* SHADOW_KEY() */
};

/* mode: PR, IS and DS of the guest's MSR, 0..7. pids: the guest's PID0-2, 8 bits each. */
#define SHADOW_KEY(mode, pids)    ((uint32_t)(mode) << 24 | (pids))
#define SHADOW_KEY_GLOBAL(mode)   (1u << 31 | (uint32_t)(mode) << 24)
#define SHADOW_KEY_MODE(key)      ((key) >> 24 & 7)
#define SHADOW_KEY_IS_GLOBAL(key) (((key) >> 31) != 0)

/* A real entry that was written. The hypervisor's windows may have displaced it since. */
struct shadow_slot {
    uint32_t first; /* effective address of its first byte */
    uint8_t pid;    /* host PID; 0: none */
    uint8_t tsize;
    bool tlb1; /* stands for (part of) an entry of the guest's TLB1 */
};

struct shadow_cpu {
    uint64_t epoch; /* counts the times that all PIDs were taken back */
    unsigned next_pid;
    unsigned large_next; /* the large entry that is displaced next */
    unsigned crowded;    /* small fills since a large entry was displaced for want of room */
    struct shadow_pid pid[SHADOW_PIDS];
    struct shadow_slot small[PPC_TLB0_SETS][PPC_TLB0_WAYS];
    uint8_t small_next[PPC_TLB0_SETS];
    struct shadow_slot large[SHADOW_LARGE];
};

/* A real entry to be. */
struct shadow_entry {
    uint32_t address; /* aligned to its size */
    uint64_t physical;
    uint8_t pid;
    uint8_t tsize;
    bool tlb1;
    uint32_t attributes; /* MAS2 */
    uint32_t rights;     /* MAS3 */
};

/* This CPU's; NULL: no memory. */
struct shadow_cpu *shadow_cpu_this(void);
/* The host PID for a context, handed out if there is none yet; that may take all PIDs back first. */
uint8_t shadow_cpu_pid(struct shadow_cpu *cpu, uint64_t life, uint32_t key);
/* Writes an entry. No other entry matches where it does, afterwards: the CPU must never hit two (e500 core
 * manual, 12.3.3). */
void shadow_cpu_write(struct shadow_cpu *cpu, const struct shadow_entry *entry);
/* True if a large entry would displace none, or may for once. */
bool shadow_cpu_large_room(struct shadow_cpu *cpu);
/* Invalidates what a life has in [first, last]. */
void shadow_cpu_drop(struct shadow_cpu *cpu, uint64_t life, uint32_t first, uint32_t last);
/* Invalidates what stands for a life's TLB0. */
void shadow_cpu_drop_tlb0(struct shadow_cpu *cpu, uint64_t life);
/* A life is over: its large entries are free. */
void shadow_cpu_end(struct shadow_cpu *cpu, uint64_t life);

#endif
