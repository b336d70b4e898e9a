// SPDX-License-Identifier: Apache-2.0
// A machine's PCI for unit tests: functions with a configuration space of their own, of which some bits can
// be written, and a record of all writes. Included by one file of a test program.
#ifndef SAGUARO_TESTS_HOST_PCI_FIXTURE_H
#define SAGUARO_TESTS_HOST_PCI_FIXTURE_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/arch.h"
#include "core/log.h"
#include "core/memory.h"
#include "devices/host_pci.h"

#define MACHINE_FUNCTIONS 300u
#define MACHINE_WRITES    4096u

struct function {
    uint8_t bus, devfn;
    uint8_t space[PCI_SPACE], writable[PCI_SPACE];
};

struct write {
    uint8_t bus, devfn;
    unsigned offset, size;
    uint32_t value;
};

static struct {
    struct function function[MACHINE_FUNCTIONS];
    unsigned count;
    bool everywhere; /* function 0 answers at each address */
    bool ones;       /* all answer all ones but for their vendor */
    unsigned buses;  /* ranges of them */
    bool unplaced;   /* and all below: struct host_pci_buses' */
    uint64_t free, free_size, offset;
    struct write write[MACHINE_WRITES];
    unsigned writes;
    unsigned reads;
} machine;
static char text[4096]; /* the log */

void log_line(enum log_level level, const char *format, ...) {
    size_t used = strlen(text);
    va_list arguments;
    (void)level;
    va_start(arguments, format);
    vsnprintf(text + used, sizeof(text) - used, format, arguments);
    va_end(arguments);
}

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    return calloc(1, size);
}

static inline bool logged(const char *what) {
    bool found = strstr(text, what) != NULL;
    text[0] = 0;
    return found;
}

static inline void put(struct function *f, unsigned offset, unsigned size, uint32_t value) {
    memcpy(f->space + offset, &value, size);
}

static inline void can_write(struct function *f, unsigned offset, unsigned size, uint32_t bits) {
    memcpy(f->writable + offset, &bits, size);
}

static inline struct function *add(uint8_t bus, unsigned slot, unsigned number, uint32_t id, uint32_t class) {
    struct function *f = &machine.function[machine.count++];
    assert_true(machine.count <= MACHINE_FUNCTIONS);
    memset(f, 0, sizeof(*f));
    f->bus = bus;
    f->devfn = (uint8_t)(slot << 3 | number);
    put(f, PCI_VENDOR, 4, id);
    put(f, PCI_CLASS, 4, class << 8 | 1);
    can_write(f, PCI_COMMAND, 2, 0x0547);
    can_write(f, PCI_CACHE_LINE, 2, 0xffff);
    can_write(f, PCI_INTERRUPT_LINE, 1, 0xff);
    return f;
}

/* A memory BAR of `size` bytes; of 64 bits if it is at 4 GiB or above. */
static inline void add_bar(struct function *f, unsigned bar, uint64_t address, uint64_t size) {
    bool wide = address >> 32 != 0;
    put(f, PCI_BAR + 4 * bar, 4, (uint32_t)address | (wide ? 4 : 0));
    can_write(f, PCI_BAR + 4 * bar, 4, (uint32_t)(0 - size));
    if (wide) {
        put(f, PCI_BAR + 4 * bar + 4, 4, (uint32_t)(address >> 32));
        can_write(f, PCI_BAR + 4 * bar + 4, 4, (uint32_t)((0 - size) >> 32));
    }
}

static inline struct function *add_bridge(uint8_t bus, unsigned slot, uint8_t first, uint8_t last) {
    struct function *f = add(bus, slot, 0, 0x12348086, 0x060400);
    f->space[PCI_HEADER_TYPE] = 1;
    f->space[0x18] = bus;
    f->space[0x19] = first;
    f->space[0x1a] = last;
    return f;
}

/* Adds a capability in front of the others. */
static inline void add_capability(struct function *f, unsigned offset, uint8_t id) {
    f->space[offset] = id;
    f->space[offset + 1] = f->space[PCI_CAPABILITIES];
    f->space[PCI_CAPABILITIES] = (uint8_t)offset;
    f->space[PCI_STATUS] |= 0x10;
}

static inline struct function *answers(uint8_t bus, uint8_t devfn) {
    if (machine.everywhere)
        return &machine.function[0];
    for (unsigned i = 0; i < machine.count; i++)
        if (machine.function[i].bus == bus && machine.function[i].devfn == devfn)
            return &machine.function[i];
    return NULL;
}

int arch_host_pci_buses(unsigned index, struct host_pci_buses *buses) {
    *buses = (struct host_pci_buses){.segment = (uint16_t)index,
                                     .first = 0,
                                     .last = 255,
                                     .unplaced = machine.unplaced,
                                     .free = machine.free,
                                     .free_size = machine.free_size,
                                     .offset = machine.offset};
    return index < machine.buses ? 0 : -ENOENT;
}

uint32_t arch_host_pci_read(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size) {
    const struct function *f = segment ? NULL : answers(bus, devfn);
    uint32_t value = UINT32_MAX;

    assert_true(offset % size == 0 && offset + size <= PCI_SPACE);
    machine.reads++;
    if (f && (!machine.ones || offset == PCI_VENDOR))
        memcpy(&value, f->space + offset, size);
    return size == 4 ? value : value & ((1u << 8 * size) - 1);
}

void arch_host_pci_write(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size,
                         uint32_t value) {
    struct function *f = answers(bus, devfn);

    assert_int_equal(segment, 0);
    assert_non_null(f);
    assert_true(offset % size == 0 && offset + size <= PCI_SPACE);
    if (machine.writes < MACHINE_WRITES)
        machine.write[machine.writes++] = (struct write){bus, devfn, offset, size, value};
    for (unsigned i = 0; i < size; i++, value >>= 8)
        f->space[offset + i] =
            (uint8_t)((f->space[offset + i] & ~f->writable[offset + i]) | (value & f->writable[offset + i]));
}

#endif
