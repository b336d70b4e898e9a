// SPDX-License-Identifier: Apache-2.0
// DMAR tables out of arbitrary bytes, on a machine of arbitrary bridges: nothing may be read outside of them,
// nothing may loop, and what is read keeps what the header promises.
// fuzz-sources: lib/acpi.c lib/acpi_dmar.c
#include <errno.h>
#include "lib/acpi_dmar.h"
#include "tests/fuzz/acpi_table_target.h"
#include "tests/unit/dmar_build.h"

static struct acpi_dmar dmar;

/* Bridges as a number makes them up of their place: some absent, few unreadable, some that lead nowhere. */
static int made_up_bridge(void *context, uint16_t segment, uint8_t bus, uint8_t devfn,
                          struct pci_bridge *bridge) {
    uint32_t mix = (*(const uint8_t *)context + segment + bus * 251u + devfn * 31u) * 2654435761u >> 8;

    if (mix % 4 == 0)
        return -ENODEV;
    if (mix % 61 == 0)
        return -EIO;
    *bridge = (struct pci_bridge){.primary = bus, .secondary = (uint8_t)(bus + (mix >> 4 & 15))};
    bridge->subordinate = (uint8_t)(bridge->secondary + (mix >> 8 & 63));
    return 0;
}

static void check_scopes(struct acpi_dmar_scopes scopes) {
    check(scopes.first + scopes.count <= dmar.scope_count);
    for (unsigned i = 0; i < scopes.count; i++) {
        const struct acpi_dmar_scope *scope = &dmar.scope[scopes.first + i];
        check(scope->type >= ACPI_DMAR_ENDPOINT && scope->type <= ACPI_DMAR_NAMESPACE);
        if (scope->type == ACPI_DMAR_BRIDGE && scope->last_bus)
            check(scope->first_bus > scope->bus && scope->last_bus >= scope->first_bus);
        else
            check(!scope->first_bus && !scope->last_bus);
    }
}

static void check_structures(void) {
    check(dmar.width >= 1 && dmar.width <= 64);
    check(dmar.unit_count <= ACPI_DMAR_MAX_UNITS && dmar.reserved_count <= ACPI_DMAR_MAX_RESERVED &&
          dmar.root_count <= ACPI_DMAR_MAX_ROOTS && dmar.scope_count <= ACPI_DMAR_MAX_SCOPES);
    for (unsigned i = 0; i < dmar.unit_count; i++) {
        const struct acpi_dmar_unit *unit = &dmar.unit[i];
        uint64_t limit = unit->base + unit->size - 1;
        check(unit->base && unit->base % 4096 == 0 && unit->size >= 4096 && limit > unit->base);
        check_scopes(unit->scopes);
        for (unsigned j = 0; j < i; j++)
            check(limit < dmar.unit[j].base || dmar.unit[j].base + dmar.unit[j].size - 1 < unit->base);
        for (unsigned j = 0; j < dmar.reserved_count; j++)
            check(limit < dmar.reserved[j].base || dmar.reserved[j].limit < unit->base);
    }
    for (unsigned i = 0; i < dmar.reserved_count; i++) {
        const struct acpi_dmar_reserved *r = &dmar.reserved[i];
        check(r->base % 4096 == 0 && r->limit % 4096 == 4095 && r->limit > r->base);
        check_scopes(r->scopes);
    }
    for (unsigned i = 0; i < dmar.root_count; i++)
        check_scopes(dmar.root[i].scopes);
}

/* What a scope of a unit names has to be found, under that unit. */
static void check_answers(void) {
    uint16_t requester;

    for (unsigned i = 0; i < dmar.unit_count; i++)
        for (unsigned j = 0; j < dmar.unit[i].scopes.count; j++) {
            const struct acpi_dmar_unit *unit = &dmar.unit[i];
            const struct acpi_dmar_scope *scope = &dmar.scope[unit->scopes.first + j];
            if (scope->type == ACPI_DMAR_IOAPIC) {
                check(acpi_dmar_find_ioapic(&dmar, scope->id, &requester) == unit);
                check(requester == (scope->bus << 8 | scope->devfn));
            } else if (scope->type == ACPI_DMAR_HPET) {
                check(acpi_dmar_find_hpet(&dmar, scope->id, 0, &requester) == unit);
            } else {
                check(acpi_dmar_find_unit(&dmar, unit->segment, scope->bus, scope->devfn) == unit);
                if (scope->last_bus)
                    check(acpi_dmar_find_unit(&dmar, unit->segment, scope->last_bus, 0) == unit);
            }
        }
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct acpi_dmar_reserved *r = NULL;
        unsigned count = 0;
        while ((r = acpi_dmar_next_reserved(&dmar, 0, 0, (uint8_t)devfn, r)))
            check(r->segment == 0 && ++count <= dmar.reserved_count);
        acpi_dmar_allows_ats(&dmar, 0, 0, (uint8_t)devfn);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t number = size ? data[0] / 2 : 0;
    const struct acpi_dmar_bridges bridges = {.read = made_up_bridge, .context = &number};
    struct acpi_root root;

    if (!acpi_table_target(data, size, "DMAR", dmar_build_workstation, &root))
        return 0;
    int error = acpi_read_dmar(&root, &bridges, &dmar);
    check(error == 0 || error == -EINVAL || error == -ENOSPC);
    check(!error == (dmar.fault == ACPI_DMAR_NO_FAULT) && dmar.fault_offset <= acpi_build_length);
    if (!error) {
        check_structures();
        check_answers();
    }
    return 0;
}
