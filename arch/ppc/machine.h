// SPDX-License-Identifier: Apache-2.0
// What the firmware's device tree says about the machine: read once, checked, kept as plain values. Pure: the
// unit tests read trees with it on any machine.
#ifndef SAGUARO_ARCH_PPC_MACHINE_H
#define SAGUARO_ARCH_PPC_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/memory.h"

#define MACHINE_RANGES    16
#define MACHINE_CPUS      32 /* as many as an MPIC can have */
#define MACHINE_ARGUMENTS 64
#define MACHINE_CCSR_SIZE 0x100000u
#define MACHINE_PCI_SLOTS 32
#define MACHINE_PCI_PINS  4

struct machine_cpu {
    uint32_t id;      /* its `reg`: the number in PIR and at the MPIC */
    uint64_t release; /* physical address of its spin-table entry; 0: the boot CPU, or one that cannot be
                         started */
};

/* An interrupt pin of a slot on the root bus. */
struct machine_pin {
    uint16_t source; /* of the MPIC; level-sensitive */
    bool low;        /* active low */
    bool known;
};

/* The PCI host bridge. */
struct machine_pci {
    const char *wrong;    /* why it cannot be used, to go on after "the host bridge "; NULL: nothing */
    uint32_t offset;      /* of its registers in CCSR; 0: there is none that can be used */
    uint8_t bus;          /* the root bus's number */
    uint32_t bus_address; /* memory for devices on the bus, with 32 bits of address */
    uint64_t address;     /* the same for CPUs; no RAM */
    uint64_t size;        /* a power of two, from 2 MiB to 2 GiB; both addresses are multiples of it */
    struct machine_pin pin[MACHINE_PCI_SLOTS][MACHINE_PCI_PINS];
};

struct machine {
    struct memory_range memory[MACHINE_RANGES];
    unsigned memory_count;
    struct memory_range reserved[MACHINE_RANGES]; /* the tree's memory reservations */
    unsigned reserved_count;
    struct machine_cpu cpu[MACHINE_CPUS];
    unsigned cpu_count;
    uint32_t timebase; /* Hz */
    uint64_t ccsr;     /* physical address of the SoC's registers */
    /* Offsets in CCSR. */
    uint32_t mpic;
    uint32_t uart;        /* 0: none */
    uint32_t uart_clock;  /* Hz; 0: not told */
    uint32_t uart_source; /* interrupt; UINT32_MAX: none */
    uint32_t guts;        /* global utilities, with the reset register; 0: none */
    uint32_t gpio;        /* the port of power-off; 0: none */
    uint32_t gpio_pin;    /* counted from the most significant bit */
    struct machine_pci pci;
    char arguments[MACHINE_ARGUMENTS]; /* boot arguments, cut to fit */
    uint64_t bundle, bundle_size;      /* physical; size 0: none */
};

/* Reads the tree, `size` bytes of which may be read. NULL, or what is wrong with it, to go on after "the
 * device tree
 * ". */
const char *machine_read(const void *tree, size_t size, struct machine *machine);

#endif
