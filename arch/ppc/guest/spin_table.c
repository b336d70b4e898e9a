// SPDX-License-Identifier: Apache-2.0
// The spin table of a guest's board: an entry for each vCPU, whose address releases it once it is even.
#include "arch/ppc/guest/spin_table.h"

#include <errno.h>
#include <string.h>

#include "arch/ppc/guest/board.h"
#include "arch/ppc/vm.h"
#include "lib/state.h"

/* An entry's bytes, in the order that the guest sees (big-endian): ePAPR 1.1, 5.5.2. */
#define ENTRY_ADDRESS 0u /* 8 bytes; 1: hold */
#define ENTRY_R3      8u /* 8 bytes */
#define ENTRY_PIR     20u

struct spin_table {
    struct spinlock lock;
    struct vm *vm;
    uint32_t released; /* bit n: vCPU n runs */
    uint8_t entry[VM_MAX_VCPUS][SPIN_TABLE_ENTRY];
};

_Static_assert(VM_MAX_VCPUS *SPIN_TABLE_ENTRY <= BOARD_SPIN_SIZE, "one page");

static struct spin_table *spin_of(struct vm *vm) {
    return ppc_vm(vm)->board->spin;
}

static uint64_t get(const uint8_t *at, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static void put(uint8_t *at, unsigned size, uint64_t value) {
    for (unsigned i = size; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
}

static void hold(struct spin_table *table, unsigned index) {
    uint8_t *entry = table->entry[index];
    memset(entry, 0, SPIN_TABLE_ENTRY);
    put(entry + ENTRY_ADDRESS, 8, 1);
    put(entry + ENTRY_R3, 8, index);
    put(entry + ENTRY_PIR, 4, index);
    table->released &= ~(1u << index);
}

/* The vCPU whose entry holds all of the access, or -1. */
static int entry_of(const struct spin_table *table, uint64_t offset, unsigned size) {
    uint64_t index = offset / SPIN_TABLE_ENTRY;
    bool whole = (offset + size - 1) / SPIN_TABLE_ENTRY == index;
    return whole && index < table->vm->vcpu_count ? (int)index : -1;
}

static int spin_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct spin_table *table = device;
    int index = entry_of(table, offset, size);
    if (index < 0)
        return -ENXIO;
    spin_lock(&table->lock);
    *value = get(table->entry[index] + offset % SPIN_TABLE_ENTRY, size);
    spin_unlock(&table->lock);
    return 0;
}

static int spin_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    struct spin_table *table = device;
    int index = entry_of(table, offset, size);
    if (index < 0)
        return -ENXIO;
    spin_lock(&table->lock);
    uint8_t *entry = table->entry[index];
    put(entry + offset % SPIN_TABLE_ENTRY, size, value);
    uint64_t address = get(entry + ENTRY_ADDRESS, 8), r3 = get(entry + ENTRY_R3, 8);
    /* vCPU 0 is the boot processor and runs already. */
    bool release = index != 0 && !(address & 1) && !(table->released >> index & 1);
    bool reachable = address <= UINT32_MAX;
    if (release && reachable)
        table->released |= 1u << index;
    spin_unlock(&table->lock);
    if (release && reachable)
        vcpu_release(ppc_vcpu(table->vm->vcpu[index]), (uint32_t)address, (uint32_t)r3);
    else if (release)
        vm_end(table->vm, VM_END_CRASH, 0, "the guest released a vCPU at an address beyond 4 GiB");
    return 0;
}

static const struct bus_ops spin_ops = {.read = spin_read, .write = spin_write};

void spin_table_hold(struct vm *vm, unsigned index) {
    struct spin_table *table = spin_of(vm);
    spin_lock(&table->lock);
    hold(table, index);
    spin_unlock(&table->lock);
}

static int spin_create(struct vm *vm, unsigned index) {
    (void)index;
    struct spin_table *table = heap_allocate(sizeof(*table), &vm->memory.account);
    if (!table)
        return -ENOMEM;
    table->vm = vm;
    int error = bus_add(&vm->bus[BUS_MEMORY], BOARD_SPIN, BOARD_SPIN_SIZE, &spin_ops, table, "spin table");
    if (error)
        heap_free(table, sizeof(*table), &vm->memory.account);
    else
        ppc_vm(vm)->board->spin = table;
    return error;
}

static void spin_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct spin_table *table = spin_of(vm);
    bus_remove(&vm->bus[BUS_MEMORY], BOARD_SPIN);
    ppc_vm(vm)->board->spin = NULL;
    heap_free(table, sizeof(*table), &vm->memory.account);
}

static void spin_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct spin_table *table = spin_of(vm);
    spin_lock(&table->lock);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        hold(table, i);
    spin_unlock(&table->lock);
}

static void spin_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct spin_table *table = spin_of(vm);
    spin_lock(&table->lock);
    state_put_u32(writer, table->released);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        state_put(writer, table->entry[i], SPIN_TABLE_ENTRY);
    spin_unlock(&table->lock);
}

/* The vCPUs' own records say which of them run: nobody is released here. */
static int spin_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)version;
    struct spin_table *table = spin_of(vm);
    spin_lock(&table->lock);
    table->released = state_get_u32(reader);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        state_get(reader, table->entry[i], SPIN_TABLE_ENTRY);
    bool good = !reader->error && !(table->released & ~((1u << vm->vcpu_count) - 2));
    spin_unlock(&table->lock);
    if (!good)
        spin_reset(vm, index);
    return good ? 0 : -EINVAL;
}

const struct part spin_table_part = {
    .name = "ppc.spin-table",
    .version = 1,
    .create = spin_create,
    .destroy = spin_destroy,
    .reset = spin_reset,
    .save = spin_save,
    .load = spin_load,
};
