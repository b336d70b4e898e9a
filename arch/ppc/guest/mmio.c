// SPDX-License-Identifier: Apache-2.0
// One load or store on behalf of the guest: decoded, translated by the guest's TLB, done on memory or the
// bus.
#include "arch/ppc/guest/mmio.h"
#include "arch/ppc/guest/decode.h"
#include "arch/ppc/guest/interrupt.h"
#include "arch/ppc/guest/translate.h"

#include <errno.h>

struct operation {
    uint8_t size; /* bytes: 1, 2 or 4 */
    bool store;
    bool update;   /* RA takes the address */
    bool sign;     /* lha */
    bool reversed; /* lwbrx and the like */
};

#define LOAD(bytes, ...)                                                                                     \
    { .size = (bytes), ##__VA_ARGS__ }
#define STORE(bytes, ...)                                                                                    \
    { .size = (bytes), .store = true, ##__VA_ARGS__ }

static const struct operation with_displacement[] = {
    [OP_LWZ - OP_LWZ] = LOAD(4),
    [OP_LWZU - OP_LWZ] = LOAD(4, .update = true),
    [OP_LBZ - OP_LWZ] = LOAD(1),
    [OP_LBZU - OP_LWZ] = LOAD(1, .update = true),
    [OP_STW - OP_LWZ] = STORE(4),
    [OP_STWU - OP_LWZ] = STORE(4, .update = true),
    [OP_STB - OP_LWZ] = STORE(1),
    [OP_STBU - OP_LWZ] = STORE(1, .update = true),
    [OP_LHZ - OP_LWZ] = LOAD(2),
    [OP_LHZU - OP_LWZ] = LOAD(2, .update = true),
    [OP_LHA - OP_LWZ] = LOAD(2, .sign = true),
    [OP_LHAU - OP_LWZ] = LOAD(2, .sign = true, .update = true),
    [OP_STH - OP_LWZ] = STORE(2),
    [OP_STHU - OP_LWZ] = STORE(2, .update = true),
};

static const struct {
    uint16_t extended;
    struct operation operation;
} indexed[] = {
    {OP31_LWZX, LOAD(4)},
    {OP31_LWZUX, LOAD(4, .update = true)},
    {OP31_LBZX, LOAD(1)},
    {OP31_LBZUX, LOAD(1, .update = true)},
    {OP31_LHZX, LOAD(2)},
    {OP31_LHZUX, LOAD(2, .update = true)},
    {OP31_LHAX, LOAD(2, .sign = true)},
    {OP31_LHAUX, LOAD(2, .sign = true, .update = true)},
    {OP31_STWX, STORE(4)},
    {OP31_STWUX, STORE(4, .update = true)},
    {OP31_STBX, STORE(1)},
    {OP31_STBUX, STORE(1, .update = true)},
    {OP31_STHX, STORE(2)},
    {OP31_STHUX, STORE(2, .update = true)},
    {OP31_LWBRX, LOAD(4, .reversed = true)},
    {OP31_LHBRX, LOAD(2, .reversed = true)},
    {OP31_STWBRX, STORE(4, .reversed = true)},
    {OP31_STHBRX, STORE(2, .reversed = true)},
};

/* NULL: no load or store of one register. */
static const struct operation *decode(uint32_t word) {
    unsigned primary = decode_primary(word);

    if (primary >= OP_LWZ && primary - OP_LWZ < array_count(with_displacement))
        return &with_displacement[primary - OP_LWZ];
    for (unsigned i = 0; primary == OP_GROUP && i < array_count(indexed); i++)
        if (indexed[i].extended == decode_extended(word))
            return &indexed[i].operation;
    return NULL;
}

static uint32_t address_of(const struct ppc_registers *registers, uint32_t word) {
    unsigned ra = decode_ra(word);
    uint32_t base = ra ? registers->gpr[ra] : 0;

    if (decode_primary(word) == OP_GROUP)
        return base + registers->gpr[decode_rb(word)];
    return base + (uint32_t)decode_displacement(word);
}

static uint32_t swap(uint32_t value, unsigned size) {
    if (size == 1)
        return value;
    uint32_t word = __builtin_bswap32(value);
    return size == 2 ? word >> 16 : word;
}

/* Memory's bytes, most significant first. */
static int memory_load(struct vm *vm, uint64_t gpa, unsigned size, uint32_t *value) {
    uint8_t bytes[4];
    int error = guest_read(vm, gpa, bytes, size);

    *value = 0;
    for (unsigned i = 0; !error && i < size; i++)
        *value = *value << 8 | bytes[i];
    return error;
}

static int memory_store(struct vm *vm, uint64_t gpa, unsigned size, uint32_t value) {
    uint8_t bytes[4];

    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * (size - 1 - i));
    return guest_write(vm, gpa, bytes, size);
}

/* Nobody there: a load gives all ones, a store is lost. Only -EAGAIN comes back. */
static int load(struct ppc_vcpu *vcpu, uint64_t gpa, unsigned size, uint32_t *value) {
    struct vm *vm = vcpu->core.vm;
    uint64_t wide;

    if (!memory_load(vm, gpa, size, value))
        return 0;
    int error = bus_read(&vm->bus[BUS_MEMORY], &vcpu->core, gpa, size, &wide);
    *value = (uint32_t)wide;
    return error == -EAGAIN ? error : 0;
}

static int store(struct ppc_vcpu *vcpu, uint64_t gpa, unsigned size, uint32_t value) {
    struct vm *vm = vcpu->core.vm;

    if (!memory_store(vm, gpa, size, value))
        return 0;
    return bus_write(&vm->bus[BUS_MEMORY], &vcpu->core, gpa, size, value) == -EAGAIN ? -EAGAIN : 0;
}

/* No load or store of one register. Hints and cache operations have nothing to do with a device. */
static void refuse(struct ppc_vcpu *vcpu, uint32_t word) {
    uint32_t store = vcpu->exit_esr & ESR_ST;

    if (decode_primary(word) == OP_GROUP) {
        switch (decode_extended(word)) {
        case OP31_DCBST:
        case OP31_DCBF:
        case OP31_DCBT:
        case OP31_DCBTST:
        case OP31_DCBA:
        case OP31_ICBI:
        case OP31_ICBT:
            vcpu->state->registers.pc += 4;
            return;
        case OP31_DCBZ: /* of a page that cannot be cached (e500 core manual, 5.7.6) */
            guest_interrupt_data(vcpu, IVOR_ALIGNMENT, ESR_ST, vcpu->exit_dear);
            return;
        default:
            break;
        }
    }
    guest_machine_check(vcpu, store ? MCSR_BUS_WAERR : MCSR_BUS_RAERR, vcpu->exit_dear);
}

static void finish(struct ppc_registers *registers, uint32_t word, const struct operation *operation,
                   uint32_t address, uint32_t value) {
    if (operation->sign)
        value = (uint32_t)(int32_t)(int16_t)value;
    if (!operation->store)
        registers->gpr[decode_rt(word)] = value;
    if (operation->update)
        registers->gpr[decode_ra(word)] = address;
    registers->pc += 4;
}

bool mmio_execute(struct ppc_vcpu *vcpu) {
    struct ppc_registers *registers = &vcpu->state->registers;
    uint32_t word, value;

    if (!translate_fetch(vcpu, registers->pc, &word))
        return true;
    const struct operation *operation = decode(word);
    if (!operation) {
        refuse(vcpu, word);
        return true;
    }
    /* An update form with RA = 0, or a load that updates its own register, is invalid (Book I, 3.3.2). */
    unsigned ra = decode_ra(word);
    if (operation->update && (!ra || (!operation->store && ra == decode_rt(word)))) {
        guest_interrupt_program(vcpu, ESR_PIL);
        return true;
    }
    uint32_t address = address_of(registers, word);
    uint32_t esr = operation->store ? ESR_ST : 0;
    const struct ppc_tlb_entry *entry =
        translate(vcpu, address, operation->store ? TLB_WRITE : TLB_READ, esr);
    if (!entry)
        return true;
    if (address & (operation->size - 1u)) {
        guest_interrupt_data(vcpu, IVOR_ALIGNMENT, esr, address);
        return true;
    }
    bool swapped = operation->reversed != ((entry->mas2 & MAS2_E) != 0);
    uint64_t gpa = guest_tlb_physical(entry, address);
    if (operation->store) {
        value = registers->gpr[decode_rt(word)];
        if (store(vcpu, gpa, operation->size, swapped ? swap(value, operation->size) : value))
            return false;
    } else {
        if (load(vcpu, gpa, operation->size, &value))
            return false;
        value = swapped ? swap(value, operation->size) : value;
    }
    finish(registers, word, operation, address, value);
    return true;
}
