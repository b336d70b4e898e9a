// SPDX-License-Identifier: Apache-2.0
// Fuzzes a Book E guest's CPU: any instruction words, TLB writes, faults, registers, on two vCPUs and two
// CPUs. No shadow entry may ever map what is not the VM's, two must never match at once, and what the real
// CPU finds must be what the guest's own TLB says. (The model of the real TLB checks each entry as it is
// written.)
// fuzz-sources: arch/ppc/guest/emulate.c arch/ppc/guest/spr.c arch/ppc/guest/tlb.c arch/ppc/guest/shadow.c
// fuzz-sources: arch/ppc/guest/shadow_cpu.c arch/ppc/guest/interrupt.c arch/ppc/guest/clock.c arch/ppc/guest/magic.c
// fuzz-sources: arch/ppc/guest/translate.c arch/ppc/guest/mmio.c arch/ppc/guest/hypercall.c core/bus.c
#include <stdlib.h>

#define FIXTURE_CHECK(condition)                                                                             \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)
#include "tests/unit/ppc_cpu_fixture.h"
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/guest/decode.h"
#include "arch/ppc/guest/emulate.h"
#include "arch/ppc/guest/hypercall.h"
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/mmio.h"
#include "arch/ppc/guest/shadow.h"
#include "core/service.h"

#define STEPS 400u

/* The service VM's alone. */
int32_t service_call(struct vcpu *which, uint32_t number, const uint32_t arguments[4]) {
    (void)which;
    (void)number;
    (void)arguments;
    abort();
}

static const uint8_t *input;
static size_t input_left;

static uint32_t take(unsigned size) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size && input_left; i++, input_left--)
        value = value << 8 | *input++;
    return value;
}

/* Few addresses, so that things meet: 16 pages in each of four places, and the odd one anywhere. */
static uint32_t address(void) {
    static const uint32_t base[] = {0x00000000, 0x10000000, 0xc0000000, 0xfffff000};
    uint32_t how = take(1);
    if (how == 0xff)
        return take(4);
    return base[how & 3] + ((how >> 2 & 15) << 12) + (take(1) << 2) + (how & 64 ? 0x00400000u : 0);
}

static uint64_t physical(void) {
    uint32_t how = take(1);
    if (how < 0xc0)
        return (uint64_t)take(2) << 12 & (RAM_SIZE - 1);
    return how < 0xe0   ? (uint64_t)ROM_BASE + (take(1) << 12)
           : how < 0xf0 ? DEVICE_BASE + (take(1) << 12)
                        : (uint64_t)take(1) << 32 | (take(4) & 0xfffff000);
}

static int device_read(void *context, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)context;
    (void)vcpu;
    FIXTURE_CHECK(offset + size <= 0x10000);
    *value = 0x1122334455667788;
    return 0;
}
static int device_write(void *context, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)context;
    (void)vcpu;
    FIXTURE_CHECK(offset + size <= 0x10000 && (size == 8 || value >> 8 * size == 0));
    return 0;
}
static const struct bus_ops ops = {device_read, device_write};

/* What user mode's hardware would do with an access there, against what the guest's TLB says. */
static void check(struct ppc_vcpu *vcpu, uint32_t at) {
    const struct ppc_vcpu_state *state = vcpu->state;
    const struct real_entry *found = real_find(vcpu, at);
    static const enum tlb_access accesses[] = {TLB_READ, TLB_WRITE, TLB_EXECUTE};
    static const uint32_t rights[] = {MAS3_UR, MAS3_UW, MAS3_UX};

    if (!found)
        return;
    uint64_t host = real_physical(found, at);
    for (unsigned i = 0; i < 3; i++) {
        if (!(found->mas3 & rights[i]))
            continue;
        if (magic_covers(vcpu, at) && accesses[i] != TLB_EXECUTE) {
            FIXTURE_CHECK(host == (HEAP_HOST | (at & 0xfff)));
            continue;
        }
        unsigned space = (state->msr & (accesses[i] == TLB_EXECUTE ? MSR_IS : MSR_DS)) != 0;
        /* The guest may hold several that match, which is its own mistake: one of them has to be it. */
        bool good = false;
        for (unsigned j = 0; j < PPC_TLB1_ENTRIES + PPC_TLB0_WAYS && !good; j++) {
            const struct ppc_tlb_entry *entry =
                j < PPC_TLB1_ENTRIES ? &state->tlb1[j] : &state->tlb0[at >> 12 & 127][j - PPC_TLB1_ENTRIES];
            static struct ppc_vcpu_state alone;
            memset(&alone, 0, sizeof(alone));
            memcpy(alone.pid, state->pid, sizeof(alone.pid));
            alone.tlb1[0] = *entry;
            const struct ppc_tlb_entry *match = guest_tlb_lookup(&alone, at, space);
            uint64_t there, gpa = match ? guest_tlb_physical(match, at) : 0;
            if (!match || !guest_tlb_permits(match, state->msr & MSR_PR, accesses[i]))
                continue;
            if (state->magic_page && gpa >> 12 == state->magic_physical >> 12)
                good = host == (HEAP_HOST | (gpa & 0xfff));
            else
                good = !guest_memory_translate(vm(), gpa, &there, NULL, NULL) && there == host;
        }
        FIXTURE_CHECK(good);
    }
}

/* As run.c deals with a miss. */
static void access_memory(struct ppc_vcpu *vcpu, uint32_t at, enum tlb_access access) {
    if (magic_covers(vcpu, at)) {
        if (access != TLB_EXECUTE)
            shadow_fill_page(vcpu, at, arch_heap_physical(vcpu->magic));
        return;
    }
    const struct ppc_tlb_entry *entry = guest_tlb_lookup(
        vcpu->state, at, (vcpu->state->msr & (access == TLB_EXECUTE ? MSR_IS : MSR_DS)) != 0);
    if (!entry || !guest_tlb_permits(entry, vcpu->state->msr & MSR_PR, access))
        return;
    if (shadow_fill(vcpu, entry, at, access) == SHADOW_FILLED)
        FIXTURE_CHECK(real_find(vcpu, at));
}

static void write_guest_entry(struct ppc_vcpu *vcpu) {
    struct ppc_vcpu_state *state = vcpu->state;
    struct tlb_lost lost;
    uint32_t how = take(1);
    uint64_t where = physical();

    state->mas[0] = (how & 1 ? MAS0_TLBSEL(1) : 0) | MAS0_ESEL(take(1) & 15) | (how >> 1 & 3);
    state->mas[1] = (how & 8 ? 0 : MAS1_V) | (how & 16 ? MAS1_IPROT : 0) | (how & 32 ? MAS1_TS : 0) |
                    MAS1_TID((how >> 6) * 1u) | MAS1_TSIZE(take(1) & 15);
    state->mas[2] = (address() & MAS2_EPN_MASK) | (take(1) & 0x7f);
    state->mas[3] = ((uint32_t)where & MAS3_RPN_MASK) | (take(1) & 0x3f);
    state->mas[7] = (uint32_t)(where >> 32) & 15;
    guest_tlb_write(state, &lost);
    FIXTURE_CHECK(lost.count <= 1);
    shadow_lose(vcpu, &lost);
}

static void step(struct ppc_vcpu **running) {
    struct ppc_vcpu *vcpu = *running;
    struct ppc_vcpu_state *state = vcpu->state;
    uint32_t what = take(1), word;

    switch (what & 15) {
    case 0:
    case 1:
    case 2:
        write_guest_entry(vcpu);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        access_memory(vcpu, address(), (enum tlb_access)((what >> 4) % 3));
        break;
    case 7: /* an instruction of any kind */
        word = take(4);
        emulate_instruction(vcpu, what & 16 ? (word & 0x03ffffff) | 31u << 26 : word);
        break;
    case 8: /* a special register */
        word = 31u << 26 | (take(2) & 0x3ff) << 11 | (what & 16 ? OP31_MTSPR : OP31_MFSPR) << 1;
        emulate_instruction(vcpu, word | 3u << 21);
        break;
    case 9:
        state->registers.gpr[what >> 4] = address();
        break;
    case 10:
        guest_msr_set(vcpu, (what >> 4 & 1 ? MSR_PR : 0) | (what >> 5 & 1 ? MSR_IS : 0) |
                                (what >> 6 & 1 ? MSR_DS : 0) | MSR_ME);
        break;
    case 11:
        state->registers.pc = address() & ~3u;
        word = take(4);
        const struct ppc_tlb_entry *entry =
            guest_tlb_lookup(state, state->registers.pc, (state->msr & MSR_IS) != 0);
        if (entry) {
            uint64_t gpa = guest_tlb_physical(entry, state->registers.pc);
            if (gpa < RAM_SIZE - 4)
                put_word(gpa, word);
        }
        vcpu->exit_dear = address();
        vcpu->exit_esr = what & 16 ? ESR_ST : 0;
        mmio_execute(vcpu);
        break;
    case 12: /* one heap page is all that the fixture has */
        if (vcpu->core.index)
            break;
        state->registers.gpr[0] = 0x4b564d21;
        state->registers.gpr[11] = what & 16 ? 42u << 16 | 4 : take(4);
        state->registers.gpr[3] = address();
        state->registers.gpr[4] = address();
        hypercall_handle(vcpu);
        break;
    case 13:
        fixture.timebase += take(4);
        vcpu->external = what >> 4 & 1;
        guest_interrupts_update(vcpu);
        magic_enter(vcpu);
        if (vcpu->magic)
            memset(vcpu->magic + (take(2) & 0xfff) / 2, (int)take(1), 64);
        magic_exit(vcpu);
        break;
    case 14: /* another vCPU, or the same, on another CPU */
        shadow_put(vcpu);
        if (what & 16)
            test_cpu = &fixture.cpu[what >> 5 & 1];
        *running = vcpu = what & 128 ? &fixture.vcpu[1] : &fixture.vcpu[0];
        FIXTURE_CHECK(!shadow_load(vcpu));
        shadow_take_broadcast(vcpu);
        break;
    default:
        switch (what >> 4) {
        case 0:
            shadow_forget(vcpu);
            break;
        case 1:
            shadow_broadcast(&fixture.vcpu[take(1) & 1], address() & ~3u);
            shadow_take_broadcast(vcpu);
            break;
        case 2:
        case 3:
            spr_guest_write(vcpu, SPR_MMUCSR0, what & 16 ? MMUCSR0_TLB0_FI : MMUCSR0_TLB1_FI);
            break;
        default:
            spr_guest_write(vcpu, what & 0x40 ? SPR_PID : SPR_PID1, what >> 4 & 3);
            break;
        }
        break;
    }
    check(vcpu, address());
    for (unsigned i = 0; i < 2; i++)
        check(vcpu, (i ? 0xc0000000 : 0x10000000) + ((what & 15) << 12));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool begun;
    struct ppc_vcpu *running = &fixture.vcpu[0];

    input = data;
    input_left = size;
    /* The CPUs and their records go on from one input to the next, as a machine's do from one VM to the next;
     * the VM is a new one. */
    if (!begun) {
        fixture_init();
        FIXTURE_CHECK(!bus_init(&vm()->bus[BUS_MEMORY]));
        FIXTURE_CHECK(!bus_add(&vm()->bus[BUS_MEMORY], DEVICE_BASE, 0x10000, &ops, NULL, "device"));
        begun = true;
    }
    fixture.heap_left = 1000;
    fixture.spr[SPR_PVR] = 0x80210022;
    for (unsigned i = 0; i < VCPUS; i++) {
        struct ppc_vcpu *vcpu = &fixture.vcpu[i];
        memset(&fixture.state[i], 0, sizeof(fixture.state[i]));
        *vcpu =
            (struct ppc_vcpu){.core = {.vm = vm(), .index = i, .cpu = test_cpu}, .state = &fixture.state[i]};
        clock_guest_create(vcpu);
        clock_guest_reset(vcpu);
        FIXTURE_CHECK(!shadow_create(vcpu));
    }
    FIXTURE_CHECK(!shadow_load(running));
    for (unsigned i = 0; i < STEPS && input_left; i++)
        step(&running);
    for (unsigned i = 0; i < VCPUS; i++) {
        timer_cancel(&fixture.vcpu[i].timer);
        magic_destroy(&fixture.vcpu[i]);
        shadow_destroy(&fixture.vcpu[i]);
    }
    return 0;
}
