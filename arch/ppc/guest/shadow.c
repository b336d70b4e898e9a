// SPDX-License-Identifier: Apache-2.0
// What a vCPU's guest TLB looks like on the CPU that runs it: host PIDs for its contexts, entries made of the
// guest's translation and the VM's memory map.
#include "arch/ppc/guest/shadow.h"
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/shadow_cpu.h"
#include "arch/ppc/registers.h"
#include "core/log.h"

#include <errno.h>
#include <string.h>

#define MODES      8u
#define ASKED      8u
#define WAIT_TURNS 1000000u /* of tlbsync, for a CPU that does not answer */

struct shadow {
    uint64_t life;           /* see struct shadow_pid */
    struct shadow_cpu *cpu;  /* where the vCPU runs; NULL: nowhere */
    struct shadow_cpu *last; /* where it ran last */
    uint64_t epoch;          /* of `last`, when the PIDs below were handed out */
    uint32_t pids;           /* the guest's, that `private` is for */
    uint8_t private[MODES];  /* host PIDs; 0: none yet */
    uint8_t global[MODES];
    uint64_t here; /* its life when it was last on `last` */

    /* What other vCPUs' tlbivax want dropped. */
    struct spinlock lock;
    unsigned asked_count;
    uint32_t asked[ASKED]; /* operands of tlbivax */
    uint32_t asked_flash;  /* MMUCSR0_TLB0_FI, MMUCSR0_TLB1_FI: there were too many */
};

static struct spinlock life_lock;
static uint64_t lives;

static uint64_t life_new(void) {
    spin_lock(&life_lock);
    uint64_t life = ++lives;
    spin_unlock(&life_lock);
    return life;
}

int shadow_create(struct ppc_vcpu *vcpu) {
    vcpu->shadow = heap_allocate(sizeof(*vcpu->shadow), &vcpu->core.vm->memory.account);
    if (!vcpu->shadow)
        return -ENOMEM;
    vcpu->shadow->life = life_new();
    return 0;
}

void shadow_destroy(struct ppc_vcpu *vcpu) {
    if (vcpu->shadow)
        heap_free(vcpu->shadow, sizeof(*vcpu->shadow), &vcpu->core.vm->memory.account);
    vcpu->shadow = NULL;
}

/* ---- contexts */

static unsigned mode_of(uint32_t msr) {
    return ((msr & MSR_PR) ? 1u : 0) | ((msr & MSR_IS) ? 2u : 0) | ((msr & MSR_DS) ? 4u : 0);
}

static uint32_t pids_of(const struct ppc_vcpu_state *state) {
    return (state->pid[0] & 0xff) | (state->pid[1] & 0xff) << 8 | (state->pid[2] & 0xff) << 16;
}

static void forget_pids(uint8_t pids[MODES]) {
    for (unsigned i = 0; i < MODES; i++)
        pids[i] = 0;
}

void shadow_context(struct ppc_vcpu *vcpu) {
    struct shadow *shadow = vcpu->shadow;
    struct shadow_cpu *cpu = shadow->cpu;
    unsigned mode = mode_of(vcpu->state->msr);
    uint32_t pids = pids_of(vcpu->state);

    if (!cpu)
        return;
    if (shadow->pids != pids)
        forget_pids(shadow->private);
    shadow->pids = pids;
    /* Handing out the second may take the first back, once. */
    for (unsigned turn = 0; turn < 2; turn++) {
        if (shadow->epoch != cpu->epoch) {
            forget_pids(shadow->private);
            forget_pids(shadow->global);
            shadow->epoch = cpu->epoch;
        }
        if (!shadow->private[mode])
            shadow->private[mode] = shadow_cpu_pid(cpu, shadow->life, SHADOW_KEY(mode, pids));
        if (!shadow->global[mode])
            shadow->global[mode] = shadow_cpu_pid(cpu, shadow->life, SHADOW_KEY_GLOBAL(mode));
        if (shadow->epoch == cpu->epoch)
            break;
    }
    vcpu->host_pid0 = shadow->private[mode];
    vcpu->host_pid1 = shadow->global[mode];
    /* Where the fast path goes when MSR[PR] changes: once both are known. */
    mode ^= mode_of(MSR_PR);
    bool known = shadow->private[mode] && shadow->global[mode];
    vcpu->other_pid0 = known ? shadow->private[mode] : 0;
    vcpu->other_pid1 = known ? shadow->global[mode] : 0;
}

static void life_begin(struct shadow *shadow) {
    shadow->life = life_new();
    forget_pids(shadow->private);
    forget_pids(shadow->global);
}

int shadow_load(struct ppc_vcpu *vcpu) {
    struct shadow *shadow = vcpu->shadow;
    struct shadow_cpu *cpu = shadow_cpu_this();

    if (!cpu)
        return -ENOMEM;
    /* What it left here may be out of date after a while on another CPU. */
    if (shadow->last != cpu)
        life_begin(shadow);
    else if (shadow->here != shadow->life)
        shadow_cpu_end(cpu, shadow->here);
    shadow->here = shadow->life;
    shadow->cpu = shadow->last = cpu;
    shadow_context(vcpu);
    return 0;
}

void shadow_put(struct ppc_vcpu *vcpu) {
    vcpu->shadow->cpu = NULL;
}

void shadow_forget(struct ppc_vcpu *vcpu) {
    struct shadow *shadow = vcpu->shadow;

    if (shadow->cpu)
        shadow_cpu_end(shadow->cpu, shadow->life);
    life_begin(shadow);
    if (shadow->cpu)
        shadow->here = shadow->life;
    shadow_context(vcpu);
}

void shadow_renew(struct ppc_vcpu *vcpu) {
    struct shadow *shadow = vcpu->shadow;

    spin_lock(&shadow->lock);
    shadow->asked_count = 0;
    shadow->asked_flash = 0;
    spin_unlock(&shadow->lock);
    shadow_forget(vcpu);
}

void shadow_lose(struct ppc_vcpu *vcpu, const struct tlb_lost *lost) {
    struct shadow *shadow = vcpu->shadow;

    if (!shadow->cpu) {
        shadow_forget(vcpu);
        return;
    }
    if (lost->tlb0)
        shadow_cpu_drop_tlb0(shadow->cpu, shadow->life);
    for (unsigned i = 0; i < lost->count; i++)
        shadow_cpu_drop(shadow->cpu, shadow->life, lost->range[i].first, lost->range[i].last);
}

/* ---- filling */

struct behind {
    uint64_t physical; /* of the byte asked for */
    bool writable;
    bool device; /* registers: uncached and guarded */
    bool page;   /* the magic page: no more than 4 KiB, no code */
};

static bool memory_behind(struct ppc_vcpu *vcpu, uint64_t gpa, struct behind *behind) {
    enum guest_region_kind kind;

    if (vcpu->magic && vcpu->state->magic_page && gpa >> 12 == vcpu->state->magic_physical >> 12) {
        behind->physical = arch_heap_physical(vcpu->magic) | (gpa & 0xfff);
        behind->writable = true;
        behind->device = false;
        behind->page = true;
        return true;
    }
    if (guest_memory_translate(vcpu->core.vm, gpa, &behind->physical, NULL, &kind))
        return false;
    behind->device = kind == GUEST_SHOWN_DEVICE;
    behind->writable = kind == GUEST_RAM || kind == GUEST_SHOWN || behind->device;
    behind->page = false;
    return true;
}

/* The guest's rights, moved to where user mode has them. */
static uint32_t rights_of(const struct ppc_tlb_entry *entry, bool user, const struct behind *behind) {
    uint32_t rights = entry->mas3 & (MAS3_UX | MAS3_UW | MAS3_UR);

    if (!user)
        rights = (entry->mas3 & (MAS3_SX | MAS3_SW | MAS3_SR)) << 1;
    if (!behind->writable)
        rights &= ~MAS3_UW;
    if (behind->page || behind->device)
        rights &= ~MAS3_UX;
    /* The fast path reads the guest's instructions through its own entries (arch/ppc/fast.S). */
    return rights | ((rights & MAS3_UR) ? MAS3_SR : 0u);
}

/* RAM is cacheable and coherent for everybody: what the guest says of W and I would contradict the
 * hypervisor's own view of the same page. A device's registers are never cached nor read ahead of time. */
static uint32_t attributes_of(const struct ppc_tlb_entry *entry, const struct behind *behind) {
    if (behind->device)
        return MAS2_I | MAS2_G | (entry->mas2 & MAS2_E);
    return MAS2_M | (entry->mas2 & (MAS2_G | MAS2_E));
}

static void write_entry(struct ppc_vcpu *vcpu, const struct shadow_entry *entry, uint64_t gpa) {
    struct vm *vm = vcpu->core.vm;

    /* With the log of written pages running only who writes gets an entry to write through. */
    if ((entry->rights & MAS3_UW) && vm->memory.logging)
        guest_mark_dirty(vm, gpa, 1ull << (10 + 2 * entry->tsize));
    shadow_cpu_write(vcpu->shadow->cpu, entry);
}

/* True when the `size` bytes of RAM from `gpa` on (aligned) are one piece of host memory, aligned alike. At
 * most size / 2 MiB steps, and one for each region. */
static bool contiguous(struct vm *vm, uint64_t gpa, uint64_t size, uint64_t *physical) {
    uint64_t first = 0;

    for (uint64_t done = 0; done < size;) {
        uint64_t at, length;
        enum guest_region_kind kind;
        if (guest_memory_translate(vm, gpa + done, &at, &length, &kind) ||
            (kind != GUEST_RAM && kind != GUEST_SHOWN))
            return false;
        if (!done)
            first = at;
        if (at != first + done || (first & (size - 1)))
            return false;
        done += length;
    }
    *physical = first;
    return true;
}

/* A part of a large page of the guest as one real entry, as large as can be. */
static bool fill_large(struct ppc_vcpu *vcpu, const struct ppc_tlb_entry *guest, uint32_t address,
                       struct shadow_entry *entry) {
    struct vm *vm = vcpu->core.vm;
    unsigned shift = guest_tlb_shift(guest);
    unsigned tsize = shift < 28 ? (shift - 10) / 2 : TSIZE_256M;

    if (tsize < TSIZE_1M || vm->memory.logging || !shadow_cpu_large_room(vcpu->shadow->cpu))
        return false;
    for (; tsize >= TSIZE_1M; tsize--) {
        uint64_t size = 1ull << (10 + 2 * tsize);
        uint32_t first = address & ~(uint32_t)(size - 1);
        uint64_t gpa = guest_tlb_physical(guest, first);
        /* The magic page is a page of its own. */
        if (vcpu->state->magic_page &&
            ((vcpu->state->magic_physical ^ gpa) < size || (vcpu->state->magic_page ^ first) < size))
            continue;
        if (!contiguous(vm, gpa, size, &entry->physical))
            continue;
        entry->address = first;
        entry->tsize = (uint8_t)tsize;
        write_entry(vcpu, entry, gpa);
        return true;
    }
    return false;
}

static void fill_small(struct ppc_vcpu *vcpu, struct shadow_entry *entry, uint32_t address, uint64_t gpa,
                       const struct behind *behind) {
    entry->address = address & MAS2_EPN_MASK;
    entry->physical = behind->physical & ~(uint64_t)0xfff;
    entry->tsize = TSIZE_4K;
    write_entry(vcpu, entry, gpa & ~(uint64_t)0xfff);
}

/* MSR[IS] != MSR[DS]: fetches and data accesses go through different entries of the guest's, but the real CPU
 * has both in one address space. A real entry serves both where both mean the same page, or one alone. */
static enum shadow_result fill_split(struct ppc_vcpu *vcpu, const struct ppc_tlb_entry *guest,
                                     struct shadow_entry *entry, uint32_t address, uint64_t gpa,
                                     const struct behind *behind, bool fetch) {
    const struct ppc_vcpu_state *state = vcpu->state;
    bool user = (state->msr & MSR_PR) != 0;
    bool other_space = (state->msr & (fetch ? MSR_DS : MSR_IS)) != 0;
    uint32_t mine = fetch ? MAS3_UX : MAS3_UR | MAS3_UW;
    const struct ppc_tlb_entry *other = guest_tlb_lookup(state, address, other_space);
    struct behind there;

    entry->rights &= mine;
    entry->pid = (uint8_t)vcpu->host_pid0;
    entry->tlb1 = guest_tlb_is_tlb1(state, guest);
    if (other && memory_behind(vcpu, guest_tlb_physical(other, address), &there)) {
        there.writable = there.writable && behind->writable;
        uint32_t rights = rights_of(other, user, &there) & ~mine;
        if (there.physical == behind->physical &&
            attributes_of(other, &there) == attributes_of(guest, behind)) {
            entry->rights |= rights;
            if (!(entry->rights & MAS3_UR)) /* one may be fetched and read there, the other written alone */
                entry->rights &= ~MAS3_SR;
            entry->tlb1 = entry->tlb1 && guest_tlb_is_tlb1(state, other);
        } else if (!fetch && rights) {
            return SHADOW_CONFLICT;
        }
    }
    fill_small(vcpu, entry, address, gpa, behind);
    return SHADOW_FILLED;
}

enum shadow_result shadow_fill(struct ppc_vcpu *vcpu, const struct ppc_tlb_entry *guest, uint32_t address,
                               enum tlb_access access) {
    const struct ppc_vcpu_state *state = vcpu->state;
    uint64_t gpa = guest_tlb_physical(guest, address);
    struct behind behind;

    bug_if(!vcpu->shadow->cpu);
    if (!memory_behind(vcpu, gpa, &behind) || (access == TLB_WRITE && !behind.writable) ||
        (access == TLB_EXECUTE && (behind.page || behind.device)))
        return SHADOW_DEVICE;
    if (behind.page)
        magic_touched(vcpu);
    if (vcpu->core.vm->memory.logging && access != TLB_WRITE)
        behind.writable = false;
    struct shadow_entry entry = {
        .pid = (uint8_t)(guest->mas1 & MAS1_TID_MASK ? vcpu->host_pid0 : vcpu->host_pid1),
        .tlb1 = guest_tlb_is_tlb1(state, guest),
        .attributes = attributes_of(guest, &behind),
        .rights = rights_of(guest, state->msr & MSR_PR, &behind),
    };
    if (!(state->msr & MSR_IS) != !(state->msr & MSR_DS))
        return fill_split(vcpu, guest, &entry, address, gpa, &behind, access == TLB_EXECUTE);
    if (behind.writable && !behind.page && fill_large(vcpu, guest, address, &entry))
        return SHADOW_FILLED;
    fill_small(vcpu, &entry, address, gpa, &behind);
    return SHADOW_FILLED;
}

void shadow_fill_page(struct ppc_vcpu *vcpu, uint32_t address, uint64_t physical) {
    struct shadow_entry entry = {
        .address = address & MAS2_EPN_MASK,
        .physical = physical,
        .pid = (uint8_t)vcpu->host_pid0,
        .tsize = TSIZE_4K,
        .attributes = MAS2_M,
        .rights = MAS3_UR | MAS3_UW,
    };

    bug_if(!vcpu->shadow->cpu);
    shadow_cpu_write(vcpu->shadow->cpu, &entry);
}

/* ---- other vCPUs */

static void ask(struct shadow *shadow, uint32_t operand) {
    spin_lock(&shadow->lock);
    if (shadow->asked_count < ASKED)
        shadow->asked[shadow->asked_count++] = operand;
    else
        shadow->asked_flash |= operand & TLBIVAX_TLB1 ? MMUCSR0_TLB1_FI : MMUCSR0_TLB0_FI;
    spin_unlock(&shadow->lock);
}

void shadow_broadcast(struct ppc_vcpu *vcpu, uint32_t operand) {
    struct vm *vm = vcpu->core.vm;

    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        if (i == vcpu->core.index || !vm->vcpu[i])
            continue;
        ask(ppc_vcpu(vm->vcpu[i])->shadow, operand);
        vcpu_request(vm->vcpu[i], PPC_REQUEST_TLB);
    }
}

void shadow_take_broadcast(struct ppc_vcpu *vcpu) {
    struct shadow *shadow = vcpu->shadow;
    struct tlb_lost lost;
    uint32_t operand[ASKED], flash;

    spin_lock(&shadow->lock);
    unsigned count = shadow->asked_count;
    memcpy(operand, shadow->asked, sizeof(operand));
    flash = shadow->asked_flash;
    shadow->asked_count = 0;
    shadow->asked_flash = 0;
    spin_unlock(&shadow->lock);
    for (unsigned i = 0; i < count; i++) {
        guest_tlb_invalidate(vcpu->state, operand[i], &lost);
        shadow_lose(vcpu, &lost);
    }
    /* More than what was named may go (e500 core manual, 12.3.2.1). */
    if (flash) {
        guest_tlb_flash(vcpu->state, flash, &lost);
        shadow_lose(vcpu, &lost);
    }
}

void shadow_wait(struct ppc_vcpu *vcpu) {
    struct vm *vm = vcpu->core.vm;

    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *other = vm->vcpu[i];
        if (i == vcpu->core.index || !other)
            continue;
        /* A vCPU looks at its requests after it has said that it is on the way into the guest. */
        for (unsigned turn = 0; turn < WAIT_TURNS; turn++) {
            if (!__atomic_load_n(&other->in_guest, __ATOMIC_ACQUIRE) ||
                !(__atomic_load_n(&other->requests, __ATOMIC_ACQUIRE) & PPC_REQUEST_TLB))
                break;
            cpu_relax();
        }
    }
}
