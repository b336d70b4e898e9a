// SPDX-License-Identifier: Apache-2.0
// For unit tests of a Book E guest's CPU: a VM with RAM in scattered 2 MiB blocks and a ROM, a model of the
// real TLB that refuses entries which would show more than that, special registers, time. Included by one
// file of a test program.
#ifndef SAGUARO_TESTS_PPC_CPU_FIXTURE_H
#define SAGUARO_TESTS_PPC_CPU_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef FIXTURE_CHECK
#include <cmocka.h>
#define FIXTURE_CHECK(condition) assert_true(condition)
#endif
#include "arch/ppc/guest/interrupt.h"
#include "arch/ppc/guest/tlb.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/vm.h"
#include "core/log.h"

struct cpu *test_cpu;
uint64_t test_time;

#define VCPUS       2u
#define RAM_SIZE    0x02000000u /* 32 MiB at guest-physical 0 */
#define RAM_BLOCKS  (RAM_SIZE >> 21)
#define ROM_BASE    0xfff00000u
#define ROM_SIZE    0x00100000u
#define HOST_BASE   0x210000000ull /* above 4 GiB: MAS7 counts */
#define ROM_HOST    0x300000000ull
#define HEAP_HOST   0x1f0000000ull /* physical address of the hypervisor's heap pages */
#define DEVICE_BASE 0xfe0000000ull
#define SHOWN_BASE  0xfd0000000ull /* a page of a device's registers, at their own address */

struct real_entry {
    uint32_t mas1, mas2, mas3, mas7;
};

/* The real TLBs of two CPUs. */
static struct {
    struct real_entry tlb0[2][128][4];
    struct real_entry tlb1[2][16];
} real;
static unsigned first_cpu; /* numbers of the two: each test starts with new ones */

static struct {
    struct cpu cpu[2];
    struct ppc_vm vm;
    struct ppc_vcpu vcpu[VCPUS];
    struct ppc_vcpu_state state[VCPUS];
    uint8_t ram[RAM_SIZE];
    uint8_t rom[ROM_SIZE];
    unsigned block[RAM_BLOCKS]; /* which 2 MiB of host memory */
    uint8_t *heap_page;
    uint32_t spr[1024];
    unsigned written;     /* valid entries written */
    unsigned invalidated; /* entries written invalid */
    unsigned flashes;
    uint64_t timebase;
    uint64_t dirty_first, dirty_size; /* the last guest_mark_dirty() */
    struct list timers;
    enum vm_end end;
    bool crashed;
    char text[160];
    bool core_int;
    uint32_t vector; /* what mpic_acknowledge() gives */
    unsigned acknowledged;
    unsigned heap_left;
    size_t heap;
} fixture;

static inline struct vm *vm(void) {
    return &fixture.vm.core;
}

/* ---- host memory */

static inline uint64_t host_of(uint64_t gpa) {
    return HOST_BASE + ((uint64_t)fixture.block[gpa >> 21] << 21) + (gpa & 0x1fffff);
}

/* True when all of [physical, physical + size) is the VM's RAM or, `write` aside, its ROM, or the magic page.
 */
static inline bool host_is_vms(uint64_t physical, uint64_t size, bool write) {
    if (fixture.heap_page && physical == HEAP_HOST && size == 4096)
        return true;
    if (physical == SHOWN_BASE && size == 4096)
        return true;
    if (physical >= ROM_HOST && physical + size <= ROM_HOST + ROM_SIZE)
        return !write;
    for (uint64_t at = physical; at < physical + size; at += 4096) {
        bool found = false;
        for (unsigned i = 0; i < RAM_BLOCKS && !found; i++) {
            uint64_t base = HOST_BASE + ((uint64_t)fixture.block[i] << 21);
            found = at >= base && at < base + (1u << 21);
        }
        if (!found)
            return false;
    }
    return true;
}

int guest_memory_translate(struct vm *which, uint64_t gpa, uint64_t *physical, uint64_t *contiguous,
                           enum guest_region_kind *kind) {
    bool rom = gpa >= ROM_BASE && gpa < (uint64_t)ROM_BASE + ROM_SIZE;
    FIXTURE_CHECK(which == vm());
    if (gpa >= SHOWN_BASE && gpa - SHOWN_BASE < 4096) {
        if (physical)
            *physical = gpa;
        if (contiguous)
            *contiguous = 4096 - (gpa - SHOWN_BASE);
        if (kind)
            *kind = GUEST_SHOWN_DEVICE;
        return 0;
    }
    if (gpa >= RAM_SIZE && !rom)
        return -EFAULT;
    if (physical)
        *physical = rom ? ROM_HOST + (gpa - ROM_BASE) : host_of(gpa);
    if (contiguous)
        *contiguous = rom ? ROM_SIZE - (gpa - ROM_BASE) : (1u << 21) - (gpa & 0x1fffff);
    if (kind)
        *kind = rom ? GUEST_ROM : GUEST_RAM;
    return 0;
}

static inline uint8_t *bytes_at(uint64_t gpa, size_t size) {
    if (gpa < RAM_SIZE && size <= RAM_SIZE - gpa)
        return fixture.ram + gpa;
    if (gpa >= ROM_BASE && gpa - ROM_BASE < ROM_SIZE && size <= ROM_SIZE - (gpa - ROM_BASE))
        return fixture.rom + (gpa - ROM_BASE);
    return NULL;
}

int guest_read(struct vm *which, uint64_t gpa, void *buffer, size_t size) {
    const uint8_t *at = bytes_at(gpa, size);
    (void)which;
    if (at)
        memcpy(buffer, at, size);
    return at ? 0 : -EFAULT;
}

int guest_write(struct vm *which, uint64_t gpa, const void *buffer, size_t size) {
    uint8_t *at = bytes_at(gpa, size);
    (void)which;
    if (!at || gpa >= ROM_BASE)
        return -EFAULT;
    memcpy(at, buffer, size);
    return 0;
}

void *guest_page(struct vm *which, uint64_t gpa) {
    (void)which;
    return bytes_at(gpa & ~(uint64_t)0xfff, 4096);
}

void guest_mark_dirty(struct vm *which, uint64_t gpa, uint64_t size) {
    FIXTURE_CHECK(which == vm() && gpa < RAM_SIZE && size <= RAM_SIZE - gpa);
    fixture.dirty_first = gpa;
    fixture.dirty_size = size;
}

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    if (!fixture.heap_left)
        return NULL;
    fixture.heap_left--;
    fixture.heap += size;
    return calloc(1, size);
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)account;
    if (object)
        fixture.heap -= size;
    free(object);
}

void *heap_pages(unsigned order, struct memory_account *account) {
    (void)account;
    FIXTURE_CHECK(order == 0 && !fixture.heap_page);
    if (!fixture.heap_left)
        return NULL;
    fixture.heap_left--;
    fixture.heap_page = calloc(1, 4096);
    return fixture.heap_page;
}

void heap_pages_free(void *pages, unsigned order, struct memory_account *account) {
    (void)account;
    FIXTURE_CHECK(order == 0 && pages == fixture.heap_page);
    free(pages);
    fixture.heap_page = NULL;
}

uint64_t arch_heap_physical(const void *address) {
    FIXTURE_CHECK(address == fixture.heap_page && address);
    return HEAP_HOST;
}

/* ---- the real CPU */

uint32_t spr_read(unsigned spr) {
    FIXTURE_CHECK(spr < 1024);
    return fixture.spr[spr];
}
void spr_write(unsigned spr, uint32_t value) {
    FIXTURE_CHECK(spr < 1024);
    fixture.spr[spr] = value;
}
void context_sync(void) {}
void memory_sync(void) {}
uint64_t timebase_read(void) {
    return fixture.timebase;
}
/* One tick is 2 ns. */
uint64_t time_from_timebase(uint64_t ticks) {
    return ticks * 2;
}

/* tlbwe. What a guest could use is checked: address space 1, a host PID, no rights of the
 * supervisor's but to read what the guest may read, entries of TLB1 that are not the hypervisor's, and memory
 * of the VM alone. */
void tlb_write(void) {
    uint32_t mas0 = fixture.spr[SPR_MAS0], select = (mas0 & MAS0_ESEL_MASK) >> 16;
    struct real_entry entry = {fixture.spr[SPR_MAS1], fixture.spr[SPR_MAS2], fixture.spr[SPR_MAS3],
                               fixture.spr[SPR_MAS7]};
    unsigned cpu = test_cpu->number & 1;
    uint32_t tsize = (entry.mas1 & MAS1_TSIZE_MASK) >> 8;

    if (mas0 & MAS0_TLBSEL_MASK) {
        FIXTURE_CHECK(select >= 8 && select < 16);
    } else {
        FIXTURE_CHECK(select < 4 && tsize == TSIZE_4K);
    }
    if (entry.mas1 & MAS1_V) {
        uint64_t size = 1ull << (10 + 2 * tsize);
        uint64_t physical = (uint64_t)entry.mas7 << 32 | (entry.mas3 & MAS3_RPN_MASK);
        FIXTURE_CHECK(tsize >= 1 && tsize <= 9 && !(entry.mas1 & MAS1_IPROT));
        FIXTURE_CHECK((entry.mas1 & MAS1_TS) && (entry.mas1 & MAS1_TID_MASK));
        FIXTURE_CHECK(!(entry.mas3 & (MAS3_SW | MAS3_SX)));
        FIXTURE_CHECK(!(entry.mas3 & MAS3_SR) || (entry.mas3 & MAS3_UR));
        FIXTURE_CHECK(!((entry.mas2 & MAS2_EPN_MASK) & (size - 1)) && !(physical & (size - 1)));
        FIXTURE_CHECK(host_is_vms(physical, size, entry.mas3 & MAS3_UW));
        fixture.written++;
    } else {
        fixture.invalidated++;
    }
    if (mas0 & MAS0_TLBSEL_MASK)
        real.tlb1[cpu][select] = entry;
    else
        real.tlb0[cpu][entry.mas2 >> 12 & 127][select] = entry;
}

void tlb_flash(uint32_t which) {
    FIXTURE_CHECK(which == MMUCSR0_TLB0_FI);
    memset(real.tlb0[test_cpu->number & 1], 0, sizeof(real.tlb0[0]));
    fixture.flashes++;
}

static inline bool real_hits(const struct real_entry *entry, uint32_t address, uint32_t pid0, uint32_t pid1) {
    uint32_t tid = (entry->mas1 & MAS1_TID_MASK) >> 16, tsize = (entry->mas1 & MAS1_TSIZE_MASK) >> 8;
    uint64_t size = 1ull << (10 + 2 * tsize);

    return (entry->mas1 & MAS1_V) && (tid == pid0 || tid == pid1) &&
           !(((entry->mas2 & MAS2_EPN_MASK) ^ address) & ~(size - 1) & 0xfffff000u);
}

/* The entry that the real CPU finds for the vCPU's guest at `address`; NULL: a miss. Two would be a bug. */
static inline const struct real_entry *real_find(const struct ppc_vcpu *vcpu, uint32_t address) {
    unsigned cpu = test_cpu->number & 1, hits = 0;
    const struct real_entry *found = NULL;

    for (unsigned i = 0; i < 16 + 4; i++) {
        const struct real_entry *entry =
            i < 16 ? &real.tlb1[cpu][i] : &real.tlb0[cpu][address >> 12 & 127][i - 16];
        if (real_hits(entry, address, vcpu->host_pid0, vcpu->host_pid1)) {
            found = entry;
            hits++;
        }
    }
    FIXTURE_CHECK(hits <= 1);
    return found;
}

static inline uint64_t real_physical(const struct real_entry *entry, uint32_t address) {
    uint64_t size = 1ull << (10 + 2 * ((entry->mas1 & MAS1_TSIZE_MASK) >> 8));
    return (((uint64_t)entry->mas7 << 32 | (entry->mas3 & MAS3_RPN_MASK)) & ~(size - 1)) |
           (address & (size - 1));
}

/* ---- the rest of the machine */

void timer_init(struct timer *timer, void (*function)(struct timer *timer)) {
    list_init(&timer->link);
    timer->function = function;
    timer->cpu = NULL;
}
void timer_arm(struct timer *timer, uint64_t deadline) {
    list_remove(&timer->link);
    timer->deadline = deadline;
    timer->cpu = test_cpu;
    list_insert_before(&fixture.timers, &timer->link);
}
bool timer_cancel(struct timer *timer) {
    bool armed = !list_empty(&timer->link);
    list_remove(&timer->link);
    return armed;
}
bool timer_armed(const struct timer *timer) {
    return !list_empty(&timer->link);
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests) {
    vcpu->requests |= requests;
}
void vm_end(struct vm *which, enum vm_end end, uint32_t code, const char *text) {
    FIXTURE_CHECK(which == vm() && text && !code);
    if (fixture.end == VM_END_NONE)
        fixture.end = end;
}
void vm_crash(struct vcpu *vcpu, const char *format, ...) {
    va_list arguments;
    (void)vcpu;
    va_start(arguments, format);
    vsnprintf(fixture.text, sizeof(fixture.text), format, arguments);
    va_end(arguments);
    fixture.crashed = true;
}
void panic(const char *format, ...) {
    fprintf(stderr, "panic: %s\n", format);
    abort();
}
bool mpic_core_int(struct vm *which) {
    (void)which;
    return fixture.core_int;
}
uint32_t mpic_acknowledge(struct vm *which, unsigned index) {
    (void)which;
    fixture.acknowledged++;
    fixture.vcpu[index].external = 0;
    return fixture.vector;
}

/* ---- set-up */

static inline struct ppc_vcpu *vcpu0(void) {
    return &fixture.vcpu[0];
}
static inline struct ppc_vcpu_state *state0(void) {
    return &fixture.state[0];
}

static inline void fixture_init(void) {
    memset(&fixture, 0, sizeof(fixture));
    memset(&real, 0, sizeof(real));
    first_cpu += 2;
    list_init(&fixture.timers);
    fixture.timebase = 1000000;
    fixture.heap_left = 1000;
    for (unsigned i = 0; i < 2; i++)
        fixture.cpu[i] = (struct cpu){.self = &fixture.cpu[i], .number = first_cpu + i};
    test_cpu = &fixture.cpu[0];
    /* Blocks 0-7 lie one behind the other from a multiple of 16 MiB on; the rest are scattered. */
    for (unsigned i = 0; i < RAM_BLOCKS; i++)
        fixture.block[i] = i < 8 ? i : 1000 - 3 * i;
    strcpy(vm()->name, "test");
    vm()->vcpu_count = VCPUS;
    for (unsigned i = 0; i < VCPUS; i++) {
        fixture.vcpu[i].core = (struct vcpu){.vm = vm(), .index = i, .cpu = test_cpu};
        fixture.vcpu[i].state = &fixture.state[i];
        vm()->vcpu[i] = &fixture.vcpu[i].core;
        list_init(&fixture.vcpu[i].timer.link);
        fixture.vcpu[i].dec_expires = UINT64_MAX;
        fixture.vcpu[i].clock_seen = fixture.timebase;
        fixture.state[i].pir = i;
    }
}

/* An entry of the guest's TLB1, as the guest would write it. */
static inline void map1(struct ppc_vcpu_state *state, unsigned number, uint32_t address, uint64_t physical,
                        unsigned tsize, uint32_t rights, uint32_t mas1) {
    state->tlb1[number] = (struct ppc_tlb_entry){.mas1 = MAS1_V | MAS1_TSIZE(tsize) | mas1,
                                                 .mas2 = address | MAS2_M,
                                                 .mas3 = (uint32_t)physical | rights,
                                                 .mas7 = (uint32_t)(physical >> 32)};
}
/* One of TLB0. */
static inline void map0(struct ppc_vcpu_state *state, unsigned way, uint32_t address, uint64_t physical,
                        uint32_t rights, uint32_t mas1) {
    state->tlb0[address >> 12 & 127][way] = (struct ppc_tlb_entry){.mas1 = MAS1_V | MAS1_TSIZE(1) | mas1,
                                                                   .mas2 = address | MAS2_M,
                                                                   .mas3 = (uint32_t)physical | rights,
                                                                   .mas7 = (uint32_t)(physical >> 32)};
}

static inline void put_word(uint64_t gpa, uint32_t word) {
    uint8_t *at = bytes_at(gpa, 4);
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(word >> 8 * (3 - i));
}
static inline uint32_t get_word(uint64_t gpa) {
    const uint8_t *at = bytes_at(gpa, 4);
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

#define RIGHTS_ALL 0x3fu

#endif
