// SPDX-License-Identifier: Apache-2.0
// Memory operands: translation of every page before any access, RAM or device, atomic updates, replay of
// answered device accesses.
#include "arch/x86/emulate/internal.h"

#include <errno.h>

enum emulate_result span_translate(struct emulate *emulate, uint64_t linear, unsigned size, unsigned access,
                                   struct span *span) {
    unsigned room = 0x1000 - (unsigned)(linear & 0xfff);
    span->size = (uint8_t)size;
    span->first = (uint8_t)(size <= room ? size : room);
    enum emulate_result result = emulate_walk(emulate, linear, access, &span->gpa[0]);
    if (__builtin_expect(size <= room || result != EMULATE_OK, 1))
        return result;
    uint64_t next = linear + room;
    if (emulate->mode != EMULATE_LONG)
        next = (uint32_t)next;
    return emulate_walk(emulate, next, access, &span->gpa[1]);
}

enum emulate_result span_prepare(struct emulate *emulate, unsigned segment, uint64_t offset, unsigned size,
                                 unsigned access, struct span *span) {
    uint64_t linear;
    enum emulate_result result = segment_linear(emulate, segment, offset, size, access, &linear);
    if (result != EMULATE_OK)
        return result;
    const struct x86_system *system = emulate->system;
    if (system->cpl == 3 && (system->cr0 & CR0_AM) && (emulate->registers->rflags & FLAG_AC) && size <= 8 &&
        (linear & (size - 1)))
        return emulate_raise(emulate, VECTOR_AC, 0);
    if (emulate->gpa_valid) {
        emulate->gpa_valid = false; /* emulate_one() lets it through for plain loads and stores only */
        if (((emulate->gpa ^ linear) & 0xfff) == 0 && (linear & 0xfff) + size <= 0x1000 &&
            emulate->gpa_write == !!(access & EMULATE_WRITE)) {
            span->gpa[0] = emulate->gpa;
            span->first = (uint8_t)size;
            span->size = (uint8_t)size;
            return EMULATE_OK;
        }
    }
    return span_translate(emulate, linear, size, access, span);
}

static bool replayed(struct emulate_replay *replay, uint64_t address, unsigned size, bool write,
                     uint64_t *value) {
    if (replay->next >= replay->count)
        return false;
    if (replay->entry[replay->next].address != address || replay->entry[replay->next].size != size ||
        replay->entry[replay->next].write != write ||
        (write && replay->entry[replay->next].value != *value)) {
        replay->count = replay->next; /* the instruction or its operands changed meanwhile: another history */
        return false;
    }
    *value = replay->entry[replay->next].value;
    replay->next++;
    return true;
}

enum emulate_result device_access(struct emulate *emulate, uint64_t address, unsigned size, bool write,
                                  uint64_t *value) {
    struct emulate_replay *replay = &emulate->replay;
    const struct emulate_ops *ops = emulate->ops;
    if (replayed(replay, address, size, write, value))
        return EMULATE_OK;
    int error;
    if (address & DEVICE_PORT) {
        uint32_t port_value = (uint32_t)*value;
        error = write ? ops->io_write(emulate->context, (uint16_t)address, size, port_value)
                      : ops->io_read(emulate->context, (uint16_t)address, size, &port_value);
        *value = port_value;
    } else {
        error = write ? ops->mmio_write(emulate->context, address, size, *value)
                      : ops->mmio_read(emulate->context, address, size, value);
    }
    if (error != 0)
        return error == -EAGAIN ? EMULATE_RETRY : EMULATE_UNHANDLED;
    *value &= size_mask(size);
    if (replay->next < EMULATE_REPLAY_MAX) {
        unsigned i = replay->next++;
        replay->count = replay->next;
        replay->entry[i].address = address;
        replay->entry[i].value = *value;
        replay->entry[i].size = (uint8_t)size;
        replay->entry[i].write = write;
    }
    return EMULATE_OK;
}

/* One page's part of an operand that lies outside RAM, in falling powers of two. */
static enum emulate_result device_pieces(struct emulate *emulate, uint64_t gpa, unsigned size, bool write,
                                         uint8_t *data) {
    while (size != 0) {
        unsigned part = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
        uint64_t value = 0;
        if (write)
            memcpy(&value, data, part);
        enum emulate_result result = device_access(emulate, gpa, part, write, &value);
        if (result != EMULATE_OK)
            return result;
        if (!write)
            memcpy(data, &value, part);
        gpa += part;
        data += part;
        size -= part;
    }
    return EMULATE_OK;
}

static enum emulate_result piece_read(struct emulate *emulate, uint64_t gpa, unsigned size, uint8_t *data) {
    if (emulate->ops->read_guest(emulate->context, gpa, data, size) == 0)
        return EMULATE_OK;
    return device_pieces(emulate, gpa, size, false, data);
}

static enum emulate_result piece_write(struct emulate *emulate, uint64_t gpa, unsigned size,
                                       const uint8_t *data) {
    if (emulate->ops->write_guest(emulate->context, gpa, data, size) == 0)
        return EMULATE_OK;
    uint8_t copy[32];
    memcpy(copy, data, size);
    return device_pieces(emulate, gpa, size, true, copy);
}

static bool in_one_piece(const struct span *span) {
    return __builtin_expect(span->first == span->size, 1);
}

enum emulate_result span_read(struct emulate *emulate, const struct span *span, void *value) {
    enum emulate_result result = piece_read(emulate, span->gpa[0], span->first, value);
    if (in_one_piece(span) || result != EMULATE_OK)
        return result;
    return piece_read(emulate, span->gpa[1], span->size - span->first, (uint8_t *)value + span->first);
}

enum emulate_result span_write(struct emulate *emulate, const struct span *span, const void *value) {
    enum emulate_result result = piece_write(emulate, span->gpa[0], span->first, value);
    if (in_one_piece(span) || result != EMULATE_OK)
        return result;
    return piece_write(emulate, span->gpa[1], span->size - span->first, (const uint8_t *)value + span->first);
}

/* The usual operand of 1, 2, 4 or 8 bytes: no copy by bytes. */
enum emulate_result span_read_value(struct emulate *emulate, const struct span *span, uint64_t *value) {
    *value = 0;
    if (!in_one_piece(span))
        return span_read(emulate, span, value);
    if (emulate->ops->read_guest(emulate->context, span->gpa[0], value, span->size) == 0)
        return EMULATE_OK;
    return device_access(emulate, span->gpa[0], span->size, false, value);
}

enum emulate_result span_write_value(struct emulate *emulate, const struct span *span, uint64_t value) {
    if (!in_one_piece(span))
        return span_write(emulate, span, &value);
    if (emulate->ops->write_guest(emulate->context, span->gpa[0], &value, span->size) == 0)
        return EMULATE_OK;
    value &= size_mask(span->size);
    return device_access(emulate, span->gpa[0], span->size, true, &value);
}

enum emulate_result span_exchange(struct emulate *emulate, const struct span *span, void *expected,
                                  const void *desired) {
    if (span->first != span->size)
        return EMULATE_UNHANDLED;
    int changed = emulate->ops->cmpxchg_guest(emulate->context, span->gpa[0], span->size, expected, desired);
    return changed < 0 ? EMULATE_UNHANDLED : changed ? EMULATE_CHANGED : EMULATE_OK;
}

bool span_is_ram(struct emulate *emulate, const struct span *span) {
    uint8_t byte;
    return emulate->ops->read_guest(emulate->context, span->gpa[0], &byte, 1) == 0 &&
           (span->first == span->size ||
            emulate->ops->read_guest(emulate->context, span->gpa[1], &byte, 1) == 0);
}
