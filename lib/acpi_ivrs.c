// SPDX-License-Identifier: Apache-2.0
// Reading the IVRS table (AMD I/O Virtualization Technology specification 3.08, ch. 5) and answering which
// unit, settings and memory a requester ID has.
#include "lib/acpi_ivrs.h"

#include <errno.h>
#include <string.h>
#include "lib/acpi_internal.h"

#define FIRST_BLOCK       48u
#define BLOCK_HEAD        4u
#define IVHD_10_SIZE      24u
#define IVHD_11_SIZE      40u /* and of IVHD_40 */
#define IVMD_SIZE         32u
#define ENTRY_NAMED_SIZE  22u     /* without its unique ID */
#define UNIT_SIZE         0x4000u /* registers that a unit has at least, and their alignment */
#define PAGE              4096u
#define PHYSICAL_BITS     52u

#define INFO_FEATURES     1u /* IVinfo */
#define INFO_REMAPPING    2u
#define INFO_PHYSICAL(i)  ((i) >> 8 & 0x7f)
#define INFO_VIRTUAL(i)   ((i) >> 15 & 0x7f)
#define INFO_ATS_RESERVED (1u << 22)

#define IVMD_ALL          0x20u
#define IVMD_SELECT       0x21u
#define IVMD_RANGE        0x22u
#define IVMD_UNITY        1u
#define IVMD_READ         2u
#define IVMD_WRITE        4u
#define IVMD_EXCLUSION    8u

#define ATS_DISABLED      (1u << 31) /* extended settings */
#define UID_NUMBER        1u
#define UID_TEXT          2u

enum {
    ENTRY_ALL = 1,
    ENTRY_SELECT = 2,
    ENTRY_START = 3,
    ENTRY_END = 4,
    ENTRY_ALIAS = 0x42,
    ENTRY_ALIAS_START = 0x43,
    ENTRY_EXTENDED = 0x46,
    ENTRY_EXTENDED_START = 0x47,
    ENTRY_SPECIAL = 0x48,
    ENTRY_VARIABLE = 0xf0, /* from here on the type does not tell the length */
    ENTRY_NAMED = 0xf0,
};

struct reader {
    const struct acpi_root *root;
    struct acpi_ivrs *ivrs;
    struct acpi_table table;
    uint32_t at;  /* the block, or the device entry, that is read now */
    uint32_t end; /* of the block */
    uint8_t unit; /* index, while device entries are read */
    bool open;    /* a range of IDs has begun: */
    struct acpi_ivrs_device range;
};

/* What is done with a block at reader->at, whose length is at least what its type has. */
typedef int (*block_fn)(struct reader *reader, uint8_t type);

static int refuse(const struct reader *reader, enum acpi_ivrs_fault fault) {
    reader->ivrs->fault = fault;
    reader->ivrs->fault_offset = reader->at;
    if (fault == ACPI_IVRS_UNREADABLE)
        return -EFAULT;
    return fault >= ACPI_IVRS_LONG_UID ? -ENOSPC : -EINVAL;
}

static int read_part(const struct reader *reader, uint32_t offset, void *buffer, size_t size) {
    if (acpi_table_read(reader->root, &reader->table, offset, buffer, size))
        return refuse(reader, ACPI_IVRS_UNREADABLE);
    return 0;
}

static bool overlap(uint64_t base_a, uint64_t limit_a, uint64_t base_b, uint64_t limit_b) {
    return base_a <= limit_b && base_b <= limit_a;
}

/* ---- units: the first pass */

static struct acpi_ivrs_unit *unit_of(struct acpi_ivrs *ivrs, uint16_t segment, uint16_t id) {
    for (unsigned i = 0; i < ivrs->unit_count; i++)
        if (ivrs->unit[i].segment == segment && ivrs->unit[i].id == id)
            return &ivrs->unit[i];
    return NULL;
}

static bool is_ivhd(uint8_t type) {
    return type == ACPI_IVRS_IVHD_10 || type == ACPI_IVRS_IVHD_11 || type == ACPI_IVRS_IVHD_40;
}

static bool is_ivmd(uint8_t type) {
    return type >= IVMD_ALL && type <= IVMD_RANGE;
}

/* Bytes of a block's own fields, before device entries. */
static uint16_t block_size(uint8_t type) {
    if (type == ACPI_IVRS_IVHD_10)
        return IVHD_10_SIZE;
    return is_ivhd(type) ? IVHD_11_SIZE : is_ivmd(type) ? IVMD_SIZE : BLOCK_HEAD;
}

/* Notes the unit of an IVHD block, if no block of a higher type told of it. */
static int note_unit(struct reader *reader, uint8_t type) {
    struct acpi_ivrs *ivrs = reader->ivrs;
    uint8_t raw[IVHD_11_SIZE] = {0};

    if (!is_ivhd(type))
        return 0;
    int error = read_part(reader, reader->at, raw, block_size(type));
    if (error)
        return error;
    struct acpi_ivrs_unit unit = {.base = acpi_get64(raw + 8),
                                  .segment = acpi_get16(raw + 16),
                                  .id = acpi_get16(raw + 4),
                                  .capability = acpi_get16(raw + 6),
                                  .type = type,
                                  .flags = raw[1],
                                  .info = acpi_get16(raw + 18),
                                  .attributes = acpi_get32(raw + 20),
                                  .features = acpi_get64(raw + 24),
                                  .features2 = acpi_get64(raw + 32)};
    struct acpi_ivrs_unit *known = unit_of(ivrs, unit.segment, unit.id);
    if (!known) {
        if (ivrs->unit_count == ACPI_IVRS_MAX_UNITS)
            return refuse(reader, ACPI_IVRS_MANY_UNITS);
        known = &ivrs->unit[ivrs->unit_count++];
    } else if (known->type == type) {
        return refuse(reader, ACPI_IVRS_UNIT_TWICE);
    }
    if (known->type < type)
        *known = unit;
    return 0;
}

/* ---- device entries */

static bool in_range(const struct acpi_ivrs_device *device, uint16_t id) {
    return id >= device->first && id <= device->last;
}

/* Whether entries of two units of one segment name the same requester ID. */
static bool devices_conflict(const struct acpi_ivrs_device *a, const struct acpi_ivrs_device *b) {
    if (a->all || b->all)
        return a->all && b->all;
    return (a->first <= b->last && b->first <= a->last) || (a->aliased && in_range(b, a->alias)) ||
           (b->aliased && in_range(a, b->alias)) || (a->aliased && b->aliased && a->alias == b->alias);
}

static int add_device(const struct reader *reader, const struct acpi_ivrs_device *device) {
    struct acpi_ivrs *ivrs = reader->ivrs;
    uint16_t segment = ivrs->unit[reader->unit].segment;

    for (unsigned i = 0; i < ivrs->device_count; i++) {
        const struct acpi_ivrs_device *other = &ivrs->device[i];
        if (other->unit != reader->unit && ivrs->unit[other->unit].segment == segment &&
            devices_conflict(device, other))
            return refuse(reader, ACPI_IVRS_SHARED);
    }
    if (ivrs->device_count == ACPI_IVRS_MAX_DEVICES)
        return refuse(reader, ACPI_IVRS_MANY_DEVICES);
    ivrs->device[ivrs->device_count++] = *device;
    return 0;
}

static int add_special(const struct reader *reader, const uint8_t *raw) {
    struct acpi_ivrs *ivrs = reader->ivrs;
    struct acpi_ivrs_special special = {.variety = raw[7],
                                        .handle = raw[4],
                                        .unit = reader->unit,
                                        .settings = raw[3],
                                        .requester = acpi_get16(raw + 5)};
    struct acpi_ivrs_device device = {.first = special.requester,
                                      .last = special.requester,
                                      .unit = special.unit,
                                      .settings = special.settings};

    if (special.variety != ACPI_IVRS_IOAPIC && special.variety != ACPI_IVRS_HPET)
        return 0;
    const struct acpi_ivrs_special *known = acpi_ivrs_find_special(ivrs, special.variety, special.handle);
    if (known) {
        bool same = known->unit == special.unit && known->requester == special.requester &&
                    known->settings == special.settings;
        return same ? 0 : refuse(reader, ACPI_IVRS_SHARED);
    }
    if (ivrs->special_count == ACPI_IVRS_MAX_SPECIALS)
        return refuse(reader, ACPI_IVRS_MANY_SPECIALS);
    ivrs->special[ivrs->special_count++] = special;
    return add_device(reader, &device);
}

/* Copies `size` bytes up to a 0, for a message. `text` has room for one more. */
static void copy_text(char *text, const uint8_t *bytes, size_t size) {
    size_t i = 0;

    for (; i < size && bytes[i]; i++)
        text[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
    text[i] = 0;
}

static int add_named(const struct reader *reader, const uint8_t *raw) {
    struct acpi_ivrs *ivrs = reader->ivrs;
    struct acpi_ivrs_named named = {
        .requester = acpi_get16(raw + 1), .unit = reader->unit, .settings = raw[3]};
    struct acpi_ivrs_device device = {
        .first = named.requester, .last = named.requester, .unit = named.unit, .settings = named.settings};
    uint8_t uid[ACPI_IVRS_MAX_UID], format = raw[20], uid_size = raw[21];

    copy_text(named.hid, raw + 4, sizeof(named.hid) - 1);
    if (format == UID_NUMBER && uid_size != sizeof(named.number))
        return refuse(reader, ACPI_IVRS_BAD_ENTRY);
    if (format == UID_NUMBER || format == UID_TEXT) {
        if (uid_size > sizeof(uid))
            return refuse(reader, ACPI_IVRS_LONG_UID);
        int error = read_part(reader, reader->at + ENTRY_NAMED_SIZE, uid, uid_size);
        if (error)
            return error;
        named.numbered = format == UID_NUMBER;
        if (named.numbered)
            named.number = acpi_get64(uid);
        else
            copy_text(named.uid, uid, uid_size);
    }
    if (ivrs->named_count == ACPI_IVRS_MAX_NAMED)
        return refuse(reader, ACPI_IVRS_MANY_NAMED);
    ivrs->named[ivrs->named_count++] = named;
    return add_device(reader, &device);
}

static int end_range(struct reader *reader, uint16_t last) {
    if (!reader->open || last < reader->range.first)
        return refuse(reader, ACPI_IVRS_BAD_RANGE);
    reader->open = false;
    reader->range.last = last;
    return add_device(reader, &reader->range);
}

/* What a device entry says; types that are not known (and those for padding) say nothing. */
static int add_entry(struct reader *reader, const uint8_t *raw) {
    uint8_t type = raw[0];
    uint16_t id = acpi_get16(raw + 1);
    struct acpi_ivrs_device device = {.first = id, .last = id, .unit = reader->unit, .settings = raw[3]};

    switch (type) {
    case ENTRY_END:
        return end_range(reader, id);
    case ENTRY_ALL:
        device.first = 0;
        device.last = UINT16_MAX;
        device.all = true;
        break;
    case ENTRY_ALIAS:
    case ENTRY_ALIAS_START:
        device.aliased = true;
        device.alias = acpi_get16(raw + 5);
        break;
    case ENTRY_EXTENDED:
    case ENTRY_EXTENDED_START:
        device.ats_disabled = acpi_get32(raw + 4) & ATS_DISABLED;
        break;
    case ENTRY_SELECT:
    case ENTRY_START:
    case ENTRY_SPECIAL:
    case ENTRY_NAMED:
        break;
    default:
        return 0;
    }
    if (reader->open)
        return refuse(reader, ACPI_IVRS_BAD_RANGE);
    switch (type) {
    case ENTRY_SPECIAL:
        return add_special(reader, raw);
    case ENTRY_NAMED:
        return add_named(reader, raw);
    case ENTRY_START:
    case ENTRY_ALIAS_START:
    case ENTRY_EXTENDED_START:
        reader->open = true;
        reader->range = device;
        return 0;
    default:
        return add_device(reader, &device);
    }
}

/* Reads the entry at reader->at; its length is stored. */
static int read_entry(struct reader *reader, uint32_t *length) {
    uint8_t raw[ENTRY_NAMED_SIZE] = {0};
    uint32_t left = reader->end - reader->at;
    int error = read_part(reader, reader->at, raw, 1);

    if (error)
        return error;
    uint8_t type = raw[0];
    if (type > ENTRY_NAMED)
        return refuse(reader, ACPI_IVRS_BAD_ENTRY);
    *length = type < ENTRY_VARIABLE ? 4u << (type >> 6) : ENTRY_NAMED_SIZE;
    if (*length > left)
        return refuse(reader, ACPI_IVRS_BAD_ENTRY);
    error = read_part(reader, reader->at, raw, *length < sizeof(raw) ? *length : sizeof(raw));
    if (error)
        return error;
    if (type == ENTRY_NAMED) {
        *length += raw[21];
        if (*length > left)
            return refuse(reader, ACPI_IVRS_BAD_ENTRY);
    }
    return add_entry(reader, raw);
}

/* ---- what the units have, and memory: the second pass */

static int check_unit(const struct reader *reader, const struct acpi_ivrs_unit *unit) {
    const struct acpi_ivrs *ivrs = reader->ivrs;

    if (!unit->base || unit->base % UNIT_SIZE || unit->base >> PHYSICAL_BITS)
        return refuse(reader, ACPI_IVRS_BAD_BASE);
    if (unit->capability < 0x40 || unit->capability > 0xfc || unit->capability % 4)
        return refuse(reader, ACPI_IVRS_BAD_CAPABILITY);
    for (const struct acpi_ivrs_unit *other = ivrs->unit; other < unit; other++)
        if (unit->base == other->base)
            return refuse(reader, ACPI_IVRS_UNITS_OVERLAP);
    return 0;
}

static int read_unit(struct reader *reader, uint8_t type) {
    uint8_t raw[IVHD_10_SIZE];
    uint32_t block = reader->at, entry_length;

    int error = read_part(reader, block, raw, sizeof(raw));
    if (error)
        return error;
    const struct acpi_ivrs_unit *unit = unit_of(reader->ivrs, acpi_get16(raw + 16), acpi_get16(raw + 4));
    if (!unit || unit->type != type)
        return 0;
    error = check_unit(reader, unit);
    if (error)
        return error;
    reader->unit = (uint8_t)(unit - reader->ivrs->unit);
    reader->open = false;
    for (uint32_t at = block + block_size(type); at < reader->end; at += entry_length) {
        reader->at = at;
        error = read_entry(reader, &entry_length);
        if (error)
            return error;
    }
    reader->at = block;
    return reader->open ? refuse(reader, ACPI_IVRS_BAD_RANGE) : 0;
}

static int add_memory(const struct reader *reader) {
    struct acpi_ivrs *ivrs = reader->ivrs;
    uint8_t raw[IVMD_SIZE];

    int error = read_part(reader, reader->at, raw, sizeof(raw));
    if (error)
        return error;
    uint64_t size = acpi_get64(raw + 24);
    bool exclusion = raw[1] & IVMD_EXCLUSION;
    struct acpi_ivrs_memory memory = {.base = acpi_get64(raw + 16),
                                      .segment = acpi_get16(raw + 8),
                                      .first = acpi_get16(raw + 4),
                                      .last = acpi_get16(raw + (raw[0] == IVMD_RANGE ? 6 : 4)),
                                      .read = exclusion || raw[1] & IVMD_READ,
                                      .write = exclusion || raw[1] & IVMD_WRITE,
                                      .exclusion = exclusion};
    if (!exclusion && (!(raw[1] & IVMD_UNITY) || (!memory.read && !memory.write)))
        return 0;
    if (raw[0] == IVMD_ALL) {
        memory.first = 0;
        memory.last = UINT16_MAX;
    }
    if (memory.last < memory.first)
        return refuse(reader, ACPI_IVRS_BAD_RANGE);
    /* Sizes that are no multiple of pages occur (1, for a page); the hardware protects whole pages alone. */
    if (memory.base % PAGE || !size || memory.base >> PHYSICAL_BITS ||
        size > (1ull << PHYSICAL_BITS) - memory.base)
        return refuse(reader, ACPI_IVRS_BAD_MEMORY);
    memory.limit = (memory.base + size - 1) | (PAGE - 1);
    for (unsigned i = 0; i < ivrs->unit_count; i++)
        if (overlap(memory.base, memory.limit, ivrs->unit[i].base, ivrs->unit[i].base + UNIT_SIZE - 1))
            return refuse(reader, ACPI_IVRS_MEMORY_UNIT);
    if (ivrs->memory_count == ACPI_IVRS_MAX_MEMORY)
        return refuse(reader, ACPI_IVRS_MANY_MEMORY);
    ivrs->memory[ivrs->memory_count++] = memory;
    return 0;
}

static int read_block(struct reader *reader, uint8_t type) {
    if (is_ivhd(type))
        return read_unit(reader, type);
    return is_ivmd(type) ? add_memory(reader) : 0;
}

static int for_each_block(struct reader *reader, block_fn block) {
    uint16_t length;

    for (reader->at = FIRST_BLOCK; reader->at < reader->table.length; reader->at += length) {
        uint8_t head[BLOCK_HEAD];
        uint32_t left = reader->table.length - reader->at;
        if (left < sizeof(head))
            return refuse(reader, ACPI_IVRS_BAD_LENGTH);
        int error = read_part(reader, reader->at, head, sizeof(head));
        if (error)
            return error;
        length = acpi_get16(head + 2);
        if (length < block_size(head[0]) || length > left)
            return refuse(reader, ACPI_IVRS_BAD_LENGTH);
        reader->end = reader->at + length;
        error = block(reader, head[0]);
        if (error)
            return error;
    }
    return 0;
}

int acpi_read_ivrs(const struct acpi_root *root, struct acpi_ivrs *ivrs) {
    struct reader reader = {.root = root, .ivrs = ivrs, .at = ACPI_HEADER_SIZE};
    uint8_t raw[4];

    memset(ivrs, 0, sizeof(*ivrs));
    int error = acpi_find(root, "IVRS", 0, &reader.table);
    if (error)
        return error;
    if (reader.table.length < FIRST_BLOCK)
        return refuse(&reader, ACPI_IVRS_SHORT);
    error = read_part(&reader, reader.at, raw, sizeof(raw));
    if (error)
        return error;
    ivrs->info = acpi_get32(raw);
    ivrs->physical_bits = INFO_PHYSICAL(ivrs->info);
    ivrs->virtual_bits = INFO_VIRTUAL(ivrs->info);
    ivrs->features_valid = ivrs->info & INFO_FEATURES;
    ivrs->preboot_remapping = ivrs->info & INFO_REMAPPING;
    ivrs->ats_reserved = ivrs->info & INFO_ATS_RESERVED;
    error = for_each_block(&reader, note_unit);
    return error ? error : for_each_block(&reader, read_block);
}

const char *acpi_ivrs_fault_text(enum acpi_ivrs_fault fault) {
    static const char *const text[] = {
        [ACPI_IVRS_NO_FAULT] = "nothing is wrong",
        [ACPI_IVRS_UNREADABLE] = "cannot be read",
        [ACPI_IVRS_SHORT] = "ends before its own fields",
        [ACPI_IVRS_BAD_LENGTH] = "a block's length is wrong",
        [ACPI_IVRS_BAD_ENTRY] = "a device entry's length or form is wrong",
        [ACPI_IVRS_BAD_RANGE] = "a range of requester IDs is incomplete or upside down",
        [ACPI_IVRS_BAD_BASE] = "a unit's registers are at an impossible address",
        [ACPI_IVRS_BAD_CAPABILITY] = "a unit's capability is at an impossible offset",
        [ACPI_IVRS_UNITS_OVERLAP] = "two units have registers in the same place",
        [ACPI_IVRS_UNIT_TWICE] = "two blocks of one type tell of the same unit",
        [ACPI_IVRS_SHARED] = "a requester ID or special device is named twice, differently",
        [ACPI_IVRS_BAD_MEMORY] = "a memory range is misaligned or impossible",
        [ACPI_IVRS_MEMORY_UNIT] = "a memory range lies over a unit's registers",
        [ACPI_IVRS_LONG_UID] = "a device's unique ID is longer than is supported",
        [ACPI_IVRS_MANY_UNITS] = "more units than are supported",
        [ACPI_IVRS_MANY_DEVICES] = "more device entries than are supported",
        [ACPI_IVRS_MANY_SPECIALS] = "more special devices than are supported",
        [ACPI_IVRS_MANY_NAMED] = "more devices of the ACPI name space than are supported",
        [ACPI_IVRS_MANY_MEMORY] = "more memory ranges than are supported",
    };
    return (unsigned)fault < sizeof(text) / sizeof(text[0]) ? text[fault] : "unknown fault";
}

/* ---- questions */

int acpi_ivrs_find(const struct acpi_ivrs *ivrs, uint16_t segment, uint16_t requester,
                   struct acpi_ivrs_answer *answer) {
    const struct acpi_ivrs_device *named = NULL, *alias = NULL, *all = NULL;

    for (unsigned i = ivrs->device_count; i-- && !named;) {
        const struct acpi_ivrs_device *device = &ivrs->device[i];
        if (ivrs->unit[device->unit].segment != segment)
            continue;
        if (device->all)
            all = all ? all : device;
        else if (in_range(device, requester))
            named = device;
        else if (device->aliased && device->alias == requester)
            alias = alias ? alias : device;
    }
    const struct acpi_ivrs_device *found = named ? named : alias ? alias : all;
    if (!found)
        return -ENOENT;
    *answer = (struct acpi_ivrs_answer){.unit = &ivrs->unit[found->unit],
                                        .alias = found->aliased ? found->alias : requester,
                                        .settings = found->settings,
                                        .ats_disabled = found->ats_disabled};
    return 0;
}

const struct acpi_ivrs_memory *acpi_ivrs_next_memory(const struct acpi_ivrs *ivrs, uint16_t segment,
                                                     uint16_t requester,
                                                     const struct acpi_ivrs_memory *after) {
    const struct acpi_ivrs_memory *end = ivrs->memory + ivrs->memory_count;

    for (const struct acpi_ivrs_memory *m = after ? after + 1 : ivrs->memory; m < end; m++)
        if (m->segment == segment && requester >= m->first && requester <= m->last)
            return m;
    return NULL;
}

const struct acpi_ivrs_special *acpi_ivrs_find_special(const struct acpi_ivrs *ivrs,
                                                       enum acpi_ivrs_variety variety, uint8_t handle) {
    for (unsigned i = 0; i < ivrs->special_count; i++)
        if (ivrs->special[i].variety == variety && ivrs->special[i].handle == handle)
            return &ivrs->special[i];
    return NULL;
}
