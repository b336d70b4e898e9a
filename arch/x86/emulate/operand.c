// SPDX-License-Identifier: Apache-2.0
// Register and ModRM operands: addresses, reads, writes, locked updates.
#include "arch/x86/emulate/internal.h"

uint64_t register_read(const struct emulate *emulate, unsigned number, unsigned size) {
    const uint64_t *gpr = emulate->registers->gpr;
    if (size == 1 && number >= 4 && number < 8 && emulate->instruction.rex == 0)
        return gpr[number - 4] >> 8 & 0xff;
    return gpr[number] & size_mask(size);
}

void register_write(struct emulate *emulate, unsigned number, unsigned size, uint64_t value) {
    uint64_t *gpr = emulate->registers->gpr;
    switch (size) {
    case 1:
        if (number >= 4 && number < 8 && emulate->instruction.rex == 0)
            gpr[number - 4] = (gpr[number - 4] & ~0xff00ull) | (value & 0xff) << 8;
        else
            gpr[number] = (gpr[number] & ~0xffull) | (value & 0xff);
        break;
    case 2:
        gpr[number] = (gpr[number] & ~0xffffull) | (value & 0xffff);
        break;
    case 4:
        gpr[number] = (uint32_t)value;
        break;
    default:
        gpr[number] = value;
        break;
    }
}

uint64_t operand_address(const struct emulate *emulate) {
    const struct emulate_instruction *in = &emulate->instruction;
    const uint64_t *gpr = emulate->registers->gpr;
    uint64_t address = in->displacement;
    if (in->rip_relative)
        address += emulate->registers->rip + in->length;
    if (in->base != EMULATE_NO_REGISTER)
        address += gpr[in->base];
    if (in->index != EMULATE_NO_REGISTER)
        address += gpr[in->index] << in->scale;
    return address & size_mask(in->address_size);
}

enum emulate_result operand_rm(struct emulate *emulate, unsigned size, unsigned access,
                               struct operand *operand) {
    const struct emulate_instruction *in = &emulate->instruction;
    operand->size = (uint8_t)size;
    operand->reg = in->rm;
    operand->memory = in->memory;
    operand->locked = in->lock;
    if (!in->memory)
        return EMULATE_OK;
    return span_prepare(emulate, in->segment, operand_address(emulate), size, access, &operand->span);
}

enum emulate_result operand_read(struct emulate *emulate, struct operand *operand, uint64_t *value) {
    if (!operand->memory) {
        *value = register_read(emulate, operand->reg, operand->size);
        return EMULATE_OK;
    }
    /* Two pages of RAM cannot be exchanged as one: leave that to the CPU rather than pretend. */
    if (operand->locked && operand->span.first != operand->size && span_is_ram(emulate, &operand->span))
        return EMULATE_UNHANDLED;
    return span_read_value(emulate, &operand->span, value);
}

enum emulate_result operand_write(struct emulate *emulate, const struct operand *operand, uint64_t value) {
    if (!operand->memory) {
        register_write(emulate, operand->reg, operand->size, value);
        return EMULATE_OK;
    }
    return span_write_value(emulate, &operand->span, value);
}

enum emulate_result operand_update(struct emulate *emulate, const struct operand *operand, uint64_t *old,
                                   uint64_t value) {
    if (operand->memory && operand->locked) {
        enum emulate_result result = span_exchange(emulate, &operand->span, old, &value);
        if (result != EMULATE_UNHANDLED)
            return result;
        /* A device, or ROM, whose write goes where its owner wants it. */
    }
    return operand_write(emulate, operand, value);
}
