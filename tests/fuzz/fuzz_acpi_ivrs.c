// SPDX-License-Identifier: Apache-2.0
// IVRS tables out of arbitrary bytes: nothing may be read outside of them, nothing may loop, and what is read
// keeps what the header promises.
// fuzz-sources: lib/acpi.c lib/acpi_ivrs.c
#include <errno.h>
#include "lib/acpi_ivrs.h"
#include "tests/fuzz/acpi_table_target.h"
#include "tests/unit/ivrs_build.h"

static struct acpi_ivrs ivrs;

static void check_units(void) {
    check(ivrs.unit_count <= ACPI_IVRS_MAX_UNITS);
    for (unsigned i = 0; i < ivrs.unit_count; i++) {
        const struct acpi_ivrs_unit *unit = &ivrs.unit[i];
        check(unit->base && unit->base % 0x4000 == 0 && !(unit->base >> 52));
        check(unit->capability >= 0x40 && unit->capability <= 0xfc);
        check(unit->type != ACPI_IVRS_IVHD_10 || (!unit->features && !unit->features2));
        for (unsigned j = 0; j < i; j++)
            check(unit->base != ivrs.unit[j].base &&
                  (unit->segment != ivrs.unit[j].segment || unit->id != ivrs.unit[j].id));
    }
}

static void check_devices(void) {
    struct acpi_ivrs_answer answer;

    check(ivrs.device_count <= ACPI_IVRS_MAX_DEVICES && ivrs.special_count <= ACPI_IVRS_MAX_SPECIALS &&
          ivrs.named_count <= ACPI_IVRS_MAX_NAMED);
    for (unsigned i = 0; i < ivrs.device_count; i++) {
        const struct acpi_ivrs_device *device = &ivrs.device[i];
        const struct acpi_ivrs_unit *unit = &ivrs.unit[device->unit];
        check(device->unit < ivrs.unit_count && device->first <= device->last);
        check(!acpi_ivrs_find(&ivrs, unit->segment, device->first, &answer));
        check(device->all || answer.unit == unit);
        check(!acpi_ivrs_find(&ivrs, unit->segment, device->last, &answer));
        check(device->all || answer.unit == unit);
        if (device->aliased) {
            check(!acpi_ivrs_find(&ivrs, unit->segment, device->alias, &answer));
            check(answer.unit == unit);
        }
    }
    for (unsigned i = 0; i < ivrs.special_count; i++) {
        const struct acpi_ivrs_special *special = &ivrs.special[i];
        check(special->unit < ivrs.unit_count);
        check(acpi_ivrs_find_special(&ivrs, special->variety, special->handle) == special);
    }
    for (unsigned i = 0; i < ivrs.named_count; i++) {
        const struct acpi_ivrs_named *named = &ivrs.named[i];
        check(named->unit < ivrs.unit_count && strlen(named->hid) < sizeof(named->hid) &&
              strlen(named->uid) < sizeof(named->uid));
    }
}

static void check_memory(void) {
    check(ivrs.memory_count <= ACPI_IVRS_MAX_MEMORY);
    for (unsigned i = 0; i < ivrs.memory_count; i++) {
        const struct acpi_ivrs_memory *m = &ivrs.memory[i];
        check(m->base % 4096 == 0 && m->limit % 4096 == 4095 && m->limit > m->base && !(m->limit >> 52));
        check(m->first <= m->last && (m->read || m->write));
        for (unsigned j = 0; j < ivrs.unit_count; j++)
            check(m->limit < ivrs.unit[j].base || ivrs.unit[j].base + 0x3fff < m->base);
        const struct acpi_ivrs_memory *next = NULL;
        unsigned count = 0;
        bool found = false;
        while ((next = acpi_ivrs_next_memory(&ivrs, m->segment, m->first, next))) {
            found |= next == m;
            check(++count <= ivrs.memory_count);
        }
        check(found);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct acpi_root root;

    if (!acpi_table_target(data, size, "IVRS", ivrs_build_laptop, &root))
        return 0;
    int error = acpi_read_ivrs(&root, &ivrs);
    check(error == 0 || error == -EINVAL || error == -ENOSPC);
    check(!error == (ivrs.fault == ACPI_IVRS_NO_FAULT) && ivrs.fault_offset <= acpi_build_length);
    if (!error) {
        check_units();
        check_devices();
        check_memory();
    }
    return 0;
}
