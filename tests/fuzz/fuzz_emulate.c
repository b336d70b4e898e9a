// SPDX-License-Identifier: Apache-2.0
// Fuzzes the emulator: any bytes in any mode with any registers, segments, control registers and page tables.
// It must end, stay inside its callbacks' contract, and leave RIP where its result says.
// fuzz-sources: arch/x86/emulate/*.c
#define MOCK_RAM 0x8000u
#define MOCK_LOG 1u
#include "tests/unit/emulate_mock.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

static struct mock mock;
static unsigned calls; /* of callbacks, by one emulate_one() */

/* The contract: no access of RAM crosses a page, devices see natural sizes. */
static void count(uint64_t gpa, unsigned size) {
    calls++;
    REQUIRE(size >= 1 && size <= 32 && (gpa & 0xfff) + size <= 0x1000);
}
static int read_guest(void *context, uint64_t gpa, void *buffer, unsigned size) {
    count(gpa, size);
    return mock_read(context, gpa, buffer, size);
}
static int write_guest(void *context, uint64_t gpa, const void *buffer, unsigned size) {
    count(gpa, size);
    return mock_write(context, gpa, buffer, size);
}
static int cmpxchg_guest(void *context, uint64_t gpa, unsigned size, void *expected, const void *desired) {
    count(gpa, size);
    REQUIRE(size <= 16 && (size & (size - 1)) == 0);
    return mock_cmpxchg(context, gpa, size, expected, desired);
}
static int mmio_read(void *context, uint64_t gpa, unsigned size, uint64_t *value) {
    count(gpa, size);
    REQUIRE(size <= 8 && (size & (size - 1)) == 0);
    return mock_mmio_read(context, gpa, size, value);
}
static int mmio_write(void *context, uint64_t gpa, unsigned size, uint64_t value) {
    count(gpa, size);
    REQUIRE(size <= 8 && (size & (size - 1)) == 0);
    REQUIRE(size == 8 || value >> 8 * size == 0);
    return mock_mmio_write(context, gpa, size, value);
}
static int io_read(void *context, uint16_t port, unsigned size, uint32_t *value) {
    calls++;
    REQUIRE(size == 1 || size == 2 || size == 4);
    return mock_io_read(context, port, size, value);
}
static int io_write(void *context, uint16_t port, unsigned size, uint32_t value) {
    calls++;
    REQUIRE(size == 1 || size == 2 || size == 4);
    return mock_io_write(context, port, size, value);
}
static void vector_read(void *context, unsigned number, void *value, unsigned size) {
    REQUIRE(number < 16 && (size == 16 || size == 32));
    mock_vector_read(context, number, value, size);
}
static void vector_write(void *context, unsigned number, const void *value, unsigned size) {
    REQUIRE(number < 16 && (size == 16 || size == 32));
    mock_vector_write(context, number, value, size);
}
static const struct emulate_ops ops = {read_guest, write_guest, cmpxchg_guest, mmio_read,   mmio_write,
                                       io_read,    io_write,    mock_page,     vector_read, vector_write};

struct input {
    const uint8_t *data;
    size_t size;
};
static uint64_t take(struct input *input, unsigned size) {
    uint64_t value = 0;
    if (size > input->size)
        size = (unsigned)input->size;
    memcpy(&value, input->data, size);
    input->data += size;
    input->size -= size;
    return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const unsigned modes[] = {16, 86, 32, 48, 64, 64, 64, 32};
    struct input input = {data, size};
    unsigned kind = (unsigned)take(&input, 1), what = (unsigned)take(&input, 1);
    mock_reset(&mock, modes[kind & 7]);
    emulate_init(&mock.emulate, &mock.registers, &mock.system, &ops, &mock, 32 + what % 21);
    mock.emulate.xcr0 = 7;
    if (kind & 8)
        mock.system.cr0 |= 0x80010000u;
    if (kind & 16)
        mock.system.cr4 |= 0x20;
    if (kind & 32)
        mock.system.cpl = 3;
    if (kind & 64) {
        mock.system.cr0 ^= take(&input, 4);
        mock.system.cr4 ^= take(&input, 4);
        mock.system.efer ^= take(&input, 2);
        mock.system.cr3 = take(&input, 2);
        mock.registers.rflags ^= take(&input, 3);
    }
    if (kind & 128)
        for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
            mock.system.segment[i].attributes ^= (uint16_t)take(&input, 2);
            mock.system.segment[i].base = take(&input, 3);
            mock.system.segment[i].limit ^= (uint32_t)take(&input, 2) << 16;
        }
    if (what & 32)
        mock.device_error = -EAGAIN, mock.device_good = what & 7;
    uint8_t code[16];
    for (unsigned i = 0; i < 15; i++)
        code[i] = (uint8_t)take(&input, 1);
    for (unsigned i = 0; i < X86_GPR_COUNT; i++) {
        unsigned width = (unsigned)take(&input, 1);
        mock.registers.gpr[i] = take(&input, width & 64 ? 8 : width & 32 ? 4 : 2);
        if (width & 128)
            mock.registers.gpr[i] = -mock.registers.gpr[i];
    }
    if (what & 64)
        mock.registers.rip = take(&input, 8);
    mock.system.gdtr.limit = 0xffff;
    for (size_t at = 0; input.size != 0 && at < sizeof(mock.ram);
         at++) /* page tables, TSS, descriptors: all of it */
        mock.ram[at] = input.data[at % input.size];
    mock.device_value = 0x0123456789abcdefull;

    /* Prefetched bytes, or the page tables decide what is fetched. */
    if (!(what & 128)) {
        memcpy(mock.emulate.bytes, code, 15);
        mock.emulate.bytes_count = 15;
    } else if (mock.registers.rip < 0x7000) {
        memcpy(mock.ram + mock.registers.rip, code, 15);
    }
    unsigned fast = emulate_fast_length(code, 15, mock.system.segment[X86_CS].attributes & X86_SEG_L);
    REQUIRE(fast <= 15);

    for (unsigned i = 0; i < 3; i++) {
        struct x86_registers before = mock.registers;
        calls = 0;
        enum emulate_result result = emulate_one(&mock.emulate);
        REQUIRE(result <= EMULATE_UNHANDLED);

        /* 1,024 iterations, each with two operands over two pages, each page walked through up to 5 levels
         * with 16 tries. */
        REQUIRE(calls < 1000000);
        REQUIRE(mock.emulate.fetched <= 15);
        if (result != EMULATE_OK)
            REQUIRE(mock.registers.rip == before.rip);
        if (result == EMULATE_UNHANDLED && !mock.emulate.instruction.repeat)
            REQUIRE(memcmp(&before, &mock.registers, sizeof(before)) == 0);
        if (result == EMULATE_FAULT && !mock.emulate.instruction.repeat)
            REQUIRE(memcmp(&before, &mock.registers, sizeof(before)) == 0);
        if (result == EMULATE_FAULT && !(mock.system.cr0 & 1))
            REQUIRE(!mock.emulate.fault.has_error);
        if (result != EMULATE_RETRY)
            break;
        mock.device_good = 1;
    }
    return 0;
}
