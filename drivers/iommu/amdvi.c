// SPDX-License-Identifier: Apache-2.0
// AMD-Vi (AMD I/O Virtualization Technology specification 3.08): the units' start, page tables of four
// levels, and what the firmware's table says of requesters.
#include "drivers/iommu/amdvi.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include "core/arch.h"
#include "core/log.h"
#include "drivers/iommu/amdvi_start.h"

/* An entry of a page table (2.2.3). */
#define PAGE_PRESENT       (1ull << 0)
#define PAGE_NEXT          (7ull << 9)  /* the level of the table that it points at; 0: a page */
#define PAGE_COHERENT      (1ull << 60) /* DMA looks into the caches of CPUs */
#define PAGE_READ          (1ull << 61)
#define PAGE_WRITE         (1ull << 62)

#define DEVICE_TABLE_SIZE  0x1ffull /* of its register: pages less one */
#define CAPABILITY_ID(c)   ((c)&0xff)
#define CAPABILITY_KIND(c) ((c) >> 16 & 7)
#define IS_CAPABILITY(c)   (CAPABILITY_ID(c) == 0x0f && CAPABILITY_KIND(c) == 3)
#define MOST_WIDTH         48u /* what four levels reach */
#define LEAST_WIDTH        32u
#define RESERVED           512u

static const struct acpi_ivrs *table;
static struct amdvi_unit *unit_of_ivrs[ACPI_IVRS_MAX_UNITS]; /* NULL: it is not used */
static struct iommu_unit *units[IOMMU_MAX_UNITS];
static unsigned unit_count;
static bool coherent;  /* all units look into the caches of CPUs */
static unsigned width; /* bits of device addresses */
static struct iommu_driver driver;

/* Memory that the firmware wants a function to reach. */
static struct {
    uint16_t requester;
    uint8_t memory; /* index in the table */
} reserved_list[RESERVED];
static unsigned reserved_count;

static_assert(IOMMU_MAX_UNITS >= ACPI_IVRS_MAX_UNITS, "each unit of a table has its place");
static_assert(ACPI_IVRS_MAX_MEMORY <= UINT8_MAX, "memory has its index");

/* ---- page tables */

static uint64_t rights_encode(unsigned rights) {
    return PAGE_READ | (rights & PAGING_WRITE ? PAGE_WRITE : 0);
}

static unsigned rights_decode(uint64_t entry) {
    return PAGING_READ | (entry & PAGE_WRITE ? PAGING_WRITE : 0);
}

static const struct paging_format format = {
    .name = "AMD-Vi",
    .levels = 4,
    .level = {{.shift = 12, .bits = 9, .leaf = true},
              {.shift = 21, .bits = 9, .leaf = true},
              {.shift = 30, .bits = 9, .leaf = true},
              {.shift = 39, .bits = 9, .leaf = false}},
    .address_mask = AMDVI_TABLE,
    .present_mask = PAGE_PRESENT,
    .table_bits = PAGE_PRESENT | PAGE_READ | PAGE_WRITE,
    .leaf_bits = PAGE_PRESENT | PAGE_COHERENT,
    .next_field = PAGE_NEXT,
    .physical = true,
    .rights_encode = rights_encode,
    .rights_decode = rights_decode,
};

void amdvi_written(const void *at, size_t size) {
    if (!coherent)
        arch_cache_flush(at, size);
}

/* ---- what the table says */

static struct amdvi_unit *unit_of(uint16_t segment, uint16_t requester, struct acpi_ivrs_answer *answer) {
    return acpi_ivrs_find(table, segment, requester, answer) ? NULL
                                                             : unit_of_ivrs[answer->unit - table->unit];
}

static struct iommu_unit *find(uint16_t segment, uint16_t requester) {
    struct acpi_ivrs_answer answer;
    struct amdvi_unit *unit = unit_of(segment, requester, &answer);
    return unit ? &unit->unit : NULL;
}

static uint16_t alias(uint16_t segment, uint16_t requester) {
    struct acpi_ivrs_answer answer;
    return acpi_ivrs_find(table, segment, requester, &answer) ? requester : answer.alias;
}

uint8_t amdvi_settings(const struct amdvi_unit *unit, uint16_t requester) {
    struct acpi_ivrs_answer answer;
    int error = acpi_ivrs_find(table, unit->ivrs->segment, requester, &answer);
    return error || answer.unit != unit->ivrs ? 0 : answer.settings;
}

static struct iommu_unit *find_ioapic(uint8_t ioapic, uint16_t *requester) {
    const struct acpi_ivrs_special *special = acpi_ivrs_find_special(table, ACPI_IVRS_IOAPIC, ioapic);
    struct amdvi_unit *unit = special ? unit_of_ivrs[special->unit] : NULL;

    if (!unit)
        return NULL;
    *requester = special->requester;
    return &unit->unit;
}

/* Memory of the firmware's is mapped readable and writable, also where one of that would do. */
static bool reserved(unsigned index, uint16_t *segment, uint16_t *requester, uint64_t *base, uint64_t *size) {
    if (index >= reserved_count)
        return false;
    const struct acpi_ivrs_memory *memory = &table->memory[reserved_list[index].memory];
    *segment = memory->segment;
    *requester = reserved_list[index].requester;
    *base = memory->base;
    *size = memory->limit - memory->base + 1;
    return true;
}

static bool is_there(uint16_t segment, uint16_t requester) {
    uint32_t vendor =
        arch_host_pci_read(segment, (uint8_t)(requester >> 8), (uint8_t)(requester & 0xff), 0, 2);
    return vendor != UINT16_MAX;
}

static bool reserved_add(uint16_t requester, unsigned memory) {
    if (reserved_count == RESERVED)
        return false;
    reserved_list[reserved_count].requester = requester;
    reserved_list[reserved_count++].memory = (uint8_t)memory;
    return true;
}

/* One range for all that it names; of more than one requester, those that are there. */
static bool reserved_find(unsigned index) {
    const struct acpi_ivrs_memory *memory = &table->memory[index];

    for (unsigned i = memory->first; i <= memory->last; i++) {
        uint16_t id = (uint16_t)i, other = alias(memory->segment, id);
        if (!find(memory->segment, id) || (memory->first != memory->last && !is_there(memory->segment, id)))
            continue;
        if (!reserved_add(id, index) || (other != id && !reserved_add(other, index)))
            return false;
    }
    return true;
}

static void reserved_find_all(void) {
    for (unsigned i = 0; i < table->memory_count; i++)
        if (!reserved_find(i))
            log_error("IOMMU: the firmware wants more memory to be reached by more functions than are "
                      "supported: not all of them reach 0x%llx",
                      (unsigned long long)table->memory[i].base);
}

/* ---- the driver */

static int flush(struct iommu_unit *unit, const struct iommu_domain *domain, uint64_t address,
                 uint64_t size) {
    return amdvi_forget_pages(amdvi_unit_of(unit), domain->number, address, size);
}

static void describe(const struct iommu_unit *common, char *text, size_t size) {
    const struct amdvi_unit *unit = container_of(common, const struct amdvi_unit, unit);

    snprintf(text, size, "at 0x%llx, %u bits, pages up to 1 GiB%s%s%s", (unsigned long long)unit->ivrs->base,
             width, unit->capability & AMDVI_CAPABILITY_ABSENT ? ", remembers what is absent" : "",
             unit->unit.interrupt ? ", interrupts remapped" : "", coherent ? "" : ", tables not snooped");
}

static struct iommu_driver driver = {
    .format = &format,
    .largest = HUGE_PAGE_SHIFT,
    .domains = 65536,
    .messages = 0xfee00000,
    .messages_end = 0xfef00000,
    .find = find,
    .alias = alias,
    .reserved = reserved,
    .set = amdvi_table_set,
    .flush = flush,
    .find_ioapic = find_ioapic,
    .interrupt_write = amdvi_interrupt_write,
    .interrupt_message = amdvi_interrupt_message,
    .interrupt_line = amdvi_interrupt_line,
    .describe = describe,
};

/* ---- the start */

int amdvi_wait(const struct amdvi_unit *unit, uint64_t mask, uint64_t value) {
    uint64_t begin = time_now();

    while ((amdvi_read(unit, AMDVI_STATUS) & mask) != value) {
        if (time_now() - begin > AMDVI_PATIENCE) {
            log_error("IOMMU %s at 0x%llx: its status stays 0x%llx", unit->unit.name,
                      (unsigned long long)unit->ivrs->base,
                      (unsigned long long)amdvi_read(unit, AMDVI_STATUS));
            return -EIO;
        }
        cpu_relax();
    }
    return 0;
}

void amdvi_control(struct amdvi_unit *unit, uint64_t bits, bool on) {
    unit->control = on ? unit->control | bits : unit->control & ~bits;
    amdvi_write(unit, AMDVI_CONTROL, unit->control);
}

/* The unit's registers, and what it can. False: it is none that can be used. */
static bool open_unit(struct amdvi_unit *unit) {
    const struct acpi_ivrs_unit *ivrs = unit->ivrs;

    unit->registers = arch_device_map(ivrs->base, AMDVI_REGISTERS);
    if (!unit->registers || amdvi_read(unit, AMDVI_CONTROL) == UINT64_MAX) {
        log_error("IOMMU %s at 0x%llx does not answer", unit->unit.name, (unsigned long long)ivrs->base);
        return false;
    }
    uint32_t word = arch_host_pci_read(ivrs->segment, (uint8_t)(ivrs->id >> 8), (uint8_t)(ivrs->id & 0xff),
                                       ivrs->capability, 4);
    /* One that cannot be read: the least is taken for granted. */
    unit->capability = IS_CAPABILITY(word) ? word : AMDVI_CAPABILITY_ABSENT;
    if (unit->capability & AMDVI_CAPABILITY_FEATURES)
        unit->features = amdvi_read(unit, AMDVI_FEATURES);
    return true;
}

/* How it behaves on its link, as the firmware's table asks for. */
static uint64_t link_control(uint8_t flags) {
    return (flags & ACPI_IVRS_HT_TUNNEL ? AMDVI_CONTROL_TUNNEL : 0) |
           (flags & ACPI_IVRS_PASS_PW ? AMDVI_CONTROL_PASS_PW : 0) |
           (flags & ACPI_IVRS_RES_PW ? AMDVI_CONTROL_RES_PW : 0) |
           (flags & ACPI_IVRS_ISOC ? AMDVI_CONTROL_ISOC : 0) |
           (flags & ACPI_IVRS_COHERENT ? AMDVI_CONTROL_COHERENT : 0);
}

/* What firmware has left on is switched off; then tables, and all that is needed to change them. 0, -ENOMEM,
 * -EIO. */
static int prepare(struct amdvi_unit *unit) {
    amdvi_write(unit, AMDVI_CONTROL, 0);
    int error = amdvi_wait(unit, AMDVI_STATUS_COMMAND_RUN | AMDVI_STATUS_EVENT_RUN, 0);
    if (error)
        return error;
    /* What the firmware has excluded from translation is in its table, too, and is mapped. */
    amdvi_write(unit, AMDVI_EXCLUSION_BASE, 0);
    amdvi_write(unit, AMDVI_EXCLUSION_LIMIT, 0);
    error = amdvi_table_make(unit);
    if (!error)
        error = amdvi_commands_make(unit);
    if (!error)
        error = amdvi_events_make(unit);
    if (!error)
        amdvi_write(unit, AMDVI_DEVICE_TABLE, arch_heap_physical(unit->device) | DEVICE_TABLE_SIZE);
    return error;
}

/* No unit runs commands while it is off, so that what was remembered before is forgotten right afterwards. */
static int switch_on(struct amdvi_unit *unit) {
    amdvi_control(unit, link_control(unit->ivrs->flags) | AMDVI_CONTROL_COMMANDS | AMDVI_CONTROL_EVENTS,
                  true);
    amdvi_control(unit, AMDVI_CONTROL_ON, true);
    int error = amdvi_wait(unit, AMDVI_STATUS_COMMAND_RUN, AMDVI_STATUS_COMMAND_RUN);
    unit->on = !error;
    if (!error)
        error = amdvi_forget_all(unit);
    return error;
}

static void give_up(struct amdvi_unit *unit, int error) {
    log_error("IOMMU %s at 0x%llx cannot be used (%d): DMA behind it is unprotected", unit->unit.name,
              (unsigned long long)unit->ivrs->base, error);
    unit->on = false;
    amdvi_write(unit, AMDVI_CONTROL, 0);
    unit_of_ivrs[unit->ivrs - table->unit] = NULL;
}

/* What all units can, who share the tables of domains. */
static void find_common(struct amdvi_unit *const *found, unsigned count) {
    unsigned said = table->virtual_bits;

    width = said >= LEAST_WIDTH && said < MOST_WIDTH ? said : MOST_WIDTH;
    coherent = true;
    for (unsigned i = 0; i < count; i++) {
        coherent = coherent && (found[i]->ivrs->flags & ACPI_IVRS_COHERENT);
        driver.notes_absent = driver.notes_absent || (found[i]->capability & AMDVI_CAPABILITY_ABSENT);
    }
    driver.limit = 1ull << width;
    driver.written = coherent ? NULL : arch_cache_flush;
}

/* The units that are left, in the order of the table. */
static unsigned open_all(struct amdvi_unit **found) {
    unsigned count = 0;

    for (unsigned i = 0; i < table->unit_count; i++) {
        struct amdvi_unit *unit = heap_allocate(sizeof(*unit), NULL);
        if (!unit) {
            log_error("IOMMU: no memory for unit %u: DMA behind it is unprotected", i);
            continue;
        }
        unit->ivrs = &table->unit[i];
        snprintf(unit->unit.name, sizeof(unit->unit.name), "AMD-Vi %u", i);
        if (open_unit(unit))
            found[count++] = unit;
        else
            heap_free(unit, sizeof(*unit), NULL);
    }
    return count;
}

void amdvi_start(const struct acpi_ivrs *ivrs) {
    struct amdvi_unit *found[ACPI_IVRS_MAX_UNITS];

    table = ivrs;
    unsigned count = open_all(found);
    find_common(found, count);
    for (unsigned i = 0; i < count; i++) {
        unit_of_ivrs[found[i]->ivrs - table->unit] = found[i];
        int error = prepare(found[i]);
        if (error)
            give_up(found[i], error);
        else
            units[unit_count++] = &found[i]->unit;
    }
    if (!unit_count)
        return;
    reserved_find_all();
    iommu_start(&driver, units, unit_count);
    for (unsigned i = 0; i < unit_count; i++) {
        struct amdvi_unit *unit = amdvi_unit_of(units[i]);
        int error = switch_on(unit);
        if (error)
            give_up(unit, error);
    }
}

/* Whether lines of I/O APICs could be remapped: where the table knows of none, nothing is. */
static bool knows_ioapics(void) {
    for (unsigned i = 0; i < table->special_count; i++)
        if (table->special[i].variety == ACPI_IVRS_IOAPIC)
            return true;
    return false;
}

bool amdvi_can_remap(void) {
    for (unsigned i = 0; i < unit_count; i++)
        if (amdvi_unit_of(units[i])->on && knows_ioapics())
            return true;
    return false;
}

void amdvi_start_interrupts(bool remap) {
    char text[128];

    remap = remap && knows_ioapics();
    for (unsigned i = 0; i < unit_count; i++) {
        struct amdvi_unit *unit = amdvi_unit_of(units[i]);
        if (!unit->on)
            continue;
        int error = remap ? amdvi_interrupts_start(unit) : -ENOTSUP;
        if (error)
            log_warning("IOMMU %s does not remap interrupts (%d): what is behind it can raise any of them",
                        unit->unit.name, error);
        if (error && amdvi_table_pass(unit)) {
            give_up(unit, -EIO);
            continue;
        }
        amdvi_events_start(unit);
        describe(&unit->unit, text, sizeof(text));
        log_info("IOMMU %s: %s", unit->unit.name, text);
    }
}
