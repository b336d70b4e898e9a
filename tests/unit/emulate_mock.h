// SPDX-License-Identifier: Apache-2.0
// A machine for the emulator's tests: 2 MB of RAM at 0, ROM behind it, a logged device, ports, vector
// registers, page tables.
#ifndef SAGUARO_TESTS_UNIT_EMULATE_MOCK_H
#define SAGUARO_TESTS_UNIT_EMULATE_MOCK_H

#include "arch/x86/emulate/emulate.h"

#include <errno.h>
#include <string.h>

#ifndef MOCK_RAM
#define MOCK_RAM 0x200000u
#endif
#define MOCK_ROM    0x10000u      /* read-only, directly after RAM */
#define MOCK_DEVICE 0xfeb00000ull /* and everything else that is no RAM */
#ifndef MOCK_LOG
#define MOCK_LOG 4096u
#endif

struct mock_access {
    char kind; /* 'r', 'w', 'i' (IN), 'o' (OUT) */
    uint64_t address, value;
    unsigned size;
};

struct mock {
    uint8_t ram[MOCK_RAM + MOCK_ROM];
    struct x86_registers registers;
    struct x86_system system;
    struct emulate emulate;
    uint8_t vector[32][32];
    struct mock_access log[MOCK_LOG];
    unsigned log_count;
    uint64_t device_value; /* what device reads and port reads answer; grows by .device_step per read */
    uint64_t device_step;
    int device_error;     /* returned by device callbacks if not 0 ... */
    unsigned device_good; /* ... after this many successful ones */
    unsigned read_calls, page_calls;
    bool no_pages;
    unsigned cmpxchg_calls;
    unsigned cmpxchg_spoil; /* so many exchanges find that the memory has just changed */
    uint64_t spoil_xor;     /* how it changed (8 low bytes) */
};

static inline int mock_read(void *context, uint64_t gpa, void *buffer, unsigned size) {
    struct mock *mock = context;
    mock->read_calls++;
    if (gpa >= sizeof(mock->ram) || size > sizeof(mock->ram) - gpa)
        return -EFAULT;
    memcpy(buffer, mock->ram + gpa, size);
    return 0;
}

/* Pages where they are. */
static inline const void *mock_page(void *context, uint64_t gpa) {
    struct mock *mock = context;
    mock->page_calls++;
    return gpa < sizeof(mock->ram) && !mock->no_pages ? mock->ram + gpa : NULL;
}

static inline int mock_write(void *context, uint64_t gpa, const void *buffer, unsigned size) {
    struct mock *mock = context;
    if (gpa >= MOCK_RAM || size > MOCK_RAM - gpa)
        return -EFAULT;
    memcpy(mock->ram + gpa, buffer, size);
    return 0;
}

static inline int mock_cmpxchg(void *context, uint64_t gpa, unsigned size, void *expected,
                               const void *desired) {
    struct mock *mock = context;
    if (gpa >= MOCK_RAM || size > MOCK_RAM - gpa)
        return -EFAULT;
    mock->cmpxchg_calls++;
    if (mock->cmpxchg_spoil) {
        mock->cmpxchg_spoil--;
        for (unsigned i = 0; i < size && i < 8; i++)
            mock->ram[gpa + i] ^= (uint8_t)(mock->spoil_xor >> 8 * i);
    }
    if (memcmp(mock->ram + gpa, expected, size) != 0) {
        memcpy(expected, mock->ram + gpa, size);
        return 1;
    }
    memcpy(mock->ram + gpa, desired, size);
    return 0;
}

static inline int mock_device(struct mock *mock, char kind, uint64_t address, unsigned size,
                              uint64_t *value) {
    if (mock->device_error) {
        if (mock->device_good == 0)
            return mock->device_error;
        mock->device_good--;
    }
    if (kind == 'r' || kind == 'i') {
        *value = mock->device_value;
        mock->device_value += mock->device_step;
    }
    if (mock->log_count < MOCK_LOG)
        mock->log[mock->log_count++] = (struct mock_access){kind, address, *value, size};
    return 0;
}

static inline int mock_mmio_read(void *context, uint64_t gpa, unsigned size, uint64_t *value) {
    return mock_device(context, 'r', gpa, size, value);
}

static inline int mock_mmio_write(void *context, uint64_t gpa, unsigned size, uint64_t value) {
    return mock_device(context, 'w', gpa, size, &value);
}

static inline int mock_io_read(void *context, uint16_t port, unsigned size, uint32_t *value) {
    uint64_t wide = 0;
    int error = mock_device(context, 'i', port, size, &wide);
    *value = (uint32_t)wide;
    return error;
}

static inline int mock_io_write(void *context, uint16_t port, unsigned size, uint32_t value) {
    uint64_t wide = value;
    return mock_device(context, 'o', port, size, &wide);
}

static inline void mock_vector_read(void *context, unsigned number, void *value, unsigned size) {
    memcpy(value, ((struct mock *)context)->vector[number], size);
}

static inline void mock_vector_write(void *context, unsigned number, const void *value, unsigned size) {
    memcpy(((struct mock *)context)->vector[number], value, size);
}

static const struct emulate_ops mock_ops = {
    .read_guest = mock_read,
    .write_guest = mock_write,
    .cmpxchg_guest = mock_cmpxchg,
    .mmio_read = mock_mmio_read,
    .mmio_write = mock_mmio_write,
    .io_read = mock_io_read,
    .io_write = mock_io_write,
    .page = mock_page,
    .vector_read = mock_vector_read,
    .vector_write = mock_vector_write,
};

/* 16: real mode; 86: virtual-8086; 32, 64 and 48 (compatibility mode): protected, paging off, CPL 0. Flat
 * segments. */
static inline void mock_reset(struct mock *mock, unsigned mode) {
    struct x86_system *system = &mock->system;
    memset(mock, 0, sizeof(*mock));
    emulate_init(&mock->emulate, &mock->registers, system, &mock_ops, mock, 40);
    mock->emulate.xcr0 = 7;
    mock->registers.rflags = mode == 86 ? 0x20002 : 2;
    mock->registers.rip = 0x1000;
    mock->registers.gpr[X86_RSP] = 0x8000;
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        bool small = mode == 16 || mode == 86;
        system->segment[i].selector = small ? 0 : 0x10;
        system->segment[i].attributes = small ? (mode == 86 ? 0xf3 : 0x93) : 0xc93;
        system->segment[i].limit = small ? 0xffff : 0xffffffffu;
    }
    if (mode == 64)
        system->segment[X86_CS].attributes = 0xa9b;
    else if (mode == 32 || mode == 48)
        system->segment[X86_CS].attributes = 0xc9b;
    system->cr0 = mode == 16 ? 0x30 : 0x31;
    system->cr4 = 0x40600;
    system->efer = mode == 64 || mode == 48 ? 0x500 : 0;
    system->cpl = mode == 86 ? 3 : 0;
}

static inline void mock_store(struct mock *mock, uint64_t gpa, uint64_t value, unsigned size) {
    memcpy(mock->ram + gpa, &value, size);
}

static inline uint64_t mock_load(const struct mock *mock, uint64_t gpa, unsigned size) {
    uint64_t value = 0;
    memcpy(&value, mock->ram + gpa, size);
    return value;
}

/* Puts code at CS:RIP (paging off) and executes one instruction of it. */
static inline enum emulate_result mock_run(struct mock *mock, const char *code, unsigned length) {
    uint64_t base = mock->emulate.system->segment[X86_CS].base;
    memcpy(mock->ram + base + mock->registers.rip, code, length);
    return emulate_one(&mock->emulate);
}
#define RUN(mock, code) mock_run(mock, code, sizeof(code) - 1)

#endif
