// SPDX-License-Identifier: Apache-2.0
// What is remembered of a guest's code between two instructions: the walk to its page, and what was decoded.
// Both are proved against the guest's memory each time: nothing here can be out of date.
#include "arch/x86/emulate/internal.h"

#define ENTRY_A 0x020ull

void code_keep(struct emulate *emulate, uint64_t linear, uint64_t gpa, const struct walk_trace *trace) {
    struct emulate_code *code = &emulate->code;
    const struct x86_system *system = emulate->system;

    code->linear = UINT64_MAX;
    if (!emulate->ops->page ||
        ((system->cr0 & CR0_PG) && (!(system->efer & EFER_LMA) || !(system->cr4 & CR4_PAE))))
        return;
    code->cr0 = system->cr0;
    code->cr3 = system->cr3;
    code->cr4 = system->cr4;
    code->efer = system->efer;
    code->cpl = system->cpl;
    code->gpa = gpa & ~0xfffull;
    code->count = trace->count;
    for (unsigned i = 0; i < trace->count; i++) {
        code->entry_gpa[i] = trace->step[i].gpa;
        code->entry[i] = trace->step[i].entry | ENTRY_A; /* the walk saw to that */
    }
    code->epoch = 0;
    code->linear = linear & ~0xfffull;
}

/* Asks where the page and the entries are now. */
static bool __attribute__((noinline)) code_open(struct emulate *emulate) {
    struct emulate_code *code = &emulate->code;
    const void *(*const page)(void *, uint64_t) = emulate->ops->page;

    code->epoch = 0;
    for (unsigned i = 0; i < code->count; i++) {
        const uint8_t *table = page(emulate->context, code->entry_gpa[i] & ~0xfffull);
        if (!table)
            return false;
        code->entry_at[i] = (const uint64_t *)(table + (code->entry_gpa[i] & 0xfff));
    }
    code->bytes = page(emulate->context, code->gpa);
    if (!code->bytes)
        return false;
    code->epoch = emulate->epoch;
    return true;
}

bool code_fetch(struct emulate *emulate) {
    struct emulate_code *code = &emulate->code;
    const struct x86_system *system = emulate->system;
    const struct x86_segment *segment = &system->segment[X86_CS];
    uint64_t rip = emulate->registers->rip;
    unsigned offset = (unsigned)rip & 0xfff;

    if (((rip & ~0xfffull) ^ code->linear) | (system->cr3 ^ code->cr3) | (system->cr0 ^ code->cr0) |
        (system->cr4 ^ code->cr4) | (system->efer ^ code->efer) | (system->cpl ^ code->cpl))
        return false;
    if (offset > 0x1000 - 16)
        return false; /* it may go on in the next page */
    if (emulate->mode != EMULATE_LONG && (segment->base || segment->limit != 0xffffffff))
        return false;
    if (__builtin_expect(code->epoch != emulate->epoch, 0) && !code_open(emulate))
        return false;
    for (unsigned i = 0; i < code->count; i++)
        if (__atomic_load_n(code->entry_at[i], __ATOMIC_RELAXED) != code->entry[i])
            return false;
    memcpy(emulate->bytes, code->bytes + offset, 16);
    emulate->fetched = EMULATE_INSTRUCTION_MAX;
    return true;
}

static struct emulate_decoded *slot(struct emulate *emulate) {
    uint64_t rip = emulate->registers->rip;
    return &emulate->decoded[(rip ^ rip >> 4) % EMULATE_DECODED];
}

static uint64_t mode_byte(const struct emulate *emulate) {
    return (uint64_t)(emulate->mode << 4 | emulate->code_size) << 56;
}

static void load_bytes(const struct emulate *emulate, uint64_t bytes[2]) {
    memcpy(bytes, emulate->bytes, 16);
    bytes[1] = (bytes[1] & ~0ull >> 8) | mode_byte(emulate);
}

bool code_find_decoded(struct emulate *emulate) {
    const struct emulate_decoded *decoded = slot(emulate);
    uint64_t bytes[2];

    load_bytes(emulate, bytes);
    if (((bytes[0] ^ decoded->bytes[0]) & decoded->mask[0]) |
            ((bytes[1] ^ decoded->bytes[1]) & decoded->mask[1]) ||
        !decoded->bytes[1])
        return false;
    emulate->instruction = decoded->instruction;
    return true;
}

void code_keep_decoded(struct emulate *emulate) {
    struct emulate_decoded *decoded = slot(emulate);
    unsigned length = emulate->instruction.length;

    load_bytes(emulate, decoded->bytes);
    decoded->mask[0] = length < 8 ? ~(~0ull << 8 * length) : ~0ull;
    decoded->mask[1] = (length > 8 ? ~(~0ull << 8 * (length - 8)) : 0) | 0xffull << 56;
    decoded->instruction = emulate->instruction;
}
