// SPDX-License-Identifier: Apache-2.0
// Builds DMAR tables field by field, after Intel's specification (VT-d 4.1, ch. 8).
#ifndef SAGUARO_TESTS_DMAR_BUILD_H
#define SAGUARO_TESTS_DMAR_BUILD_H

#include <stdint.h>
#include "lib/acpi_dmar.h"
#include "tests/unit/acpi_build.h"

#define DMAR_DEVFN(device, function) ((uint8_t)((device) << 3 | (function)))

/* ---- fields */

static inline void dmar_begin(uint8_t width, uint8_t flags) {
    acpi_build_begin("DMAR");
    acpi_build_put(1, width);
    acpi_build_put(1, flags);
    acpi_build_length += 10;
}

static uint32_t dmar_structure; /* offset of the one that is built */

static inline void dmar_end_structure(void) {
    acpi_build_set(dmar_structure + 2, 2, acpi_build_length - dmar_structure);
}

static inline void dmar_add_head(uint16_t type) {
    dmar_structure = acpi_build_length;
    acpi_build_put(2, type);
    acpi_build_put(2, 0);
}

static inline void dmar_add_unit(uint64_t base, uint16_t segment, uint8_t flags) {
    dmar_add_head(0);
    acpi_build_put(1, flags);
    acpi_build_put(1, 0);
    acpi_build_put(2, segment);
    acpi_build_put(8, base);
    dmar_end_structure();
}

static inline void dmar_add_reserved(uint64_t base, uint64_t limit, uint16_t segment) {
    dmar_add_head(1);
    acpi_build_put(2, 0);
    acpi_build_put(2, segment);
    acpi_build_put(8, base);
    acpi_build_put(8, limit);
    dmar_end_structure();
}

static inline void dmar_add_root(uint16_t segment, uint8_t flags) {
    dmar_add_head(2);
    acpi_build_put(1, flags);
    acpi_build_put(1, 0);
    acpi_build_put(2, segment);
    dmar_end_structure();
}

static inline void dmar_add_other(uint16_t type, unsigned body) {
    dmar_add_head(type);
    acpi_build_length += body;
    dmar_end_structure();
}

/* A scope with a path of `pairs` functions, in the structure that is built. */
static inline void dmar_add_path(uint8_t type, uint8_t id, uint8_t bus, unsigned pairs,
                                 const uint8_t *devfn) {
    acpi_build_put(1, type);
    acpi_build_put(1, 6 + 2 * pairs);
    acpi_build_put(2, 0);
    acpi_build_put(1, id);
    acpi_build_put(1, bus);
    for (unsigned i = 0; i < pairs; i++) {
        acpi_build_put(1, devfn[i] >> 3);
        acpi_build_put(1, devfn[i] & 7);
    }
    dmar_end_structure();
}

static inline void dmar_add_scope(uint8_t type, uint8_t id, uint8_t bus, uint8_t devfn) {
    dmar_add_path(type, id, bus, 1, &devfn);
}

/* As PCs have it: the graphics has a unit of its own, the other has all else. */
static inline void dmar_build_workstation(void) {
    dmar_begin(38, 5);
    dmar_add_unit(0xfed90000, 0, 0);
    dmar_add_scope(ACPI_DMAR_ENDPOINT, 0, 0, DMAR_DEVFN(2, 0));
    dmar_add_unit(0xfed91000, 0, 1);
    dmar_add_scope(ACPI_DMAR_IOAPIC, 2, 0xf0, DMAR_DEVFN(0x1f, 0));
    dmar_add_scope(ACPI_DMAR_HPET, 0, 0xf0, DMAR_DEVFN(0xf, 6));
    dmar_add_scope(ACPI_DMAR_HPET, 0, 0xf0, DMAR_DEVFN(0xf, 7));
    dmar_add_scope(ACPI_DMAR_NAMESPACE, 1, 0, DMAR_DEVFN(0x15, 0));
    dmar_add_scope(ACPI_DMAR_IOAPIC, 2, 0xf0, DMAR_DEVFN(0x1f, 0)); /* once more, the same */
    dmar_add_reserved(0x8b800000, 0x8fffffff, 0);
    dmar_add_scope(ACPI_DMAR_ENDPOINT, 0, 0, DMAR_DEVFN(2, 0));
    dmar_add_reserved(0x7a74f000, 0x7a74ffff, 0);
    dmar_add_scope(ACPI_DMAR_ENDPOINT, 0, 0, DMAR_DEVFN(0x14, 0));
    dmar_add_scope(ACPI_DMAR_ENDPOINT, 0, 0, DMAR_DEVFN(2, 0));
    dmar_add_root(0, 0);
    dmar_add_scope(ACPI_DMAR_BRIDGE, 0, 0, DMAR_DEVFN(0x1c, 0));
    dmar_add_other(3, 16); /* RHSA */
    dmar_add_other(4, 20); /* ANDD */
    dmar_add_other(5, 12); /* SATC */
    dmar_add_other(0x77, 1);
    dmar_add_root(3, 1);
}

/* ---- bridges of the machine */

/* What the callback does otherwise than telling of the bridges below. */
struct dmar_bridges_state {
    int error;                 /* not 0: returned */
    struct pci_bridge *forced; /* not NULL: each function is this bridge */
};
static struct dmar_bridges_state dmar_bridges_state;

static inline int dmar_read_bridge(void *context, uint16_t segment, uint8_t bus, uint8_t devfn,
                                   struct pci_bridge *bridge) {
    static const struct {
        uint16_t segment;
        uint8_t bus, devfn, secondary, subordinate;
    } there[] = {
        {0, 0, DMAR_DEVFN(0x1c, 0), 5, 9}, {0, 5, DMAR_DEVFN(0, 0), 6, 8},
        {0, 6, DMAR_DEVFN(2, 0), 7, 7},    {0, 0, DMAR_DEVFN(0x1d, 0), 0x20, 0x2f},
        {1, 0, DMAR_DEVFN(1, 0), 1, 4},
    };
    const struct dmar_bridges_state *state = context;

    if (state->error)
        return state->error;
    if (state->forced) {
        *bridge = *state->forced;
        return 0;
    }
    for (unsigned i = 0; i < sizeof(there) / sizeof(there[0]); i++)
        if (there[i].segment == segment && there[i].bus == bus && there[i].devfn == devfn) {
            *bridge = (struct pci_bridge){bus, there[i].secondary, there[i].subordinate};
            return 0;
        }
    return -ENODEV;
}

static const struct acpi_dmar_bridges dmar_machine = {.read = dmar_read_bridge,
                                                      .context = &dmar_bridges_state};

static inline int dmar_read_now(struct acpi_dmar *dmar) {
    struct acpi_root root;
    acpi_build_open(acpi_build_length, &root);
    return acpi_read_dmar(&root, &dmar_machine, dmar);
}

#endif
