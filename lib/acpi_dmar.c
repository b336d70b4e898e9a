// SPDX-License-Identifier: Apache-2.0
// Reading the DMAR table (Intel VT-d specification 4.1, ch. 8) and answering which unit, reserved memory and
// root port a function belongs to.
#include "lib/acpi_dmar.h"

#include <errno.h>
#include <string.h>
#include "lib/acpi_internal.h"

#define FIRST_STRUCTURE      48u
#define STRUCTURE_HEAD       4u
#define MAX_STRUCTURE        24u /* bytes that are looked at of one, without its scopes */
#define SCOPE_HEAD           6u
#define PAGE                 4096u

#define FLAG_REMAPS          1u
#define FLAG_X2APIC_OPT_OUT  2u
#define FLAG_DMA_OPT_IN      4u
#define FLAG_INCLUDE_PCI_ALL 1u
#define FLAG_ALL_PORTS       1u
#define SIZE_MASK            0xfu

enum { DRHD = 0, RMRR = 1, ATSR = 2 };

/* Bytes before the scopes; what is not here (RHSA, ANDD, SATC, SIDP, later ones) is passed over. */
static const uint8_t structure_size[] = {[DRHD] = 16, [RMRR] = 24, [ATSR] = 8};

struct reader {
    const struct acpi_root *root;
    const struct acpi_dmar_bridges *bridges;
    struct acpi_dmar *dmar;
    struct acpi_table table;
    uint32_t at, end; /* the structure that is read now */
};

static int refuse(const struct reader *reader, enum acpi_dmar_fault fault) {
    reader->dmar->fault = fault;
    reader->dmar->fault_offset = reader->at;
    if (fault == ACPI_DMAR_UNREADABLE)
        return -EFAULT;
    return fault >= ACPI_DMAR_MANY_UNITS ? -ENOSPC : -EINVAL;
}

static int read_part(const struct reader *reader, uint32_t offset, uint8_t *buffer, size_t size) {
    if (acpi_table_read(reader->root, &reader->table, offset, buffer, size))
        return refuse(reader, ACPI_DMAR_UNREADABLE);
    return 0;
}

/* ---- device scopes */

/* Those that name PCI functions, by their requester ID. */
static bool has_functions(const struct acpi_dmar_scope *scope) {
    return scope->type != ACPI_DMAR_IOAPIC && scope->type != ACPI_DMAR_HPET;
}

static bool covers(const struct acpi_dmar_scope *scope, uint8_t bus, uint8_t devfn) {
    if (!has_functions(scope))
        return false;
    return (bus == scope->bus && devfn == scope->devfn) ||
           (scope->last_bus && bus >= scope->first_bus && bus <= scope->last_bus);
}

static bool any_covers(const struct acpi_dmar *dmar, struct acpi_dmar_scopes scopes, uint8_t bus,
                       uint8_t devfn) {
    for (unsigned i = 0; i < scopes.count; i++)
        if (covers(&dmar->scope[scopes.first + i], bus, devfn))
            return true;
    return false;
}

/* The bridge at a place of a path. 0; -ENODEV: there is none; or refused. */
static int read_bridge(const struct reader *reader, uint16_t segment, const struct acpi_dmar_scope *scope,
                       struct pci_bridge *bridge) {
    int error = reader->bridges->read(reader->bridges->context, segment, scope->bus, scope->devfn, bridge);

    if (error == -ENODEV)
        return error;
    if (error || bridge->secondary <= scope->bus || bridge->subordinate < bridge->secondary)
        return refuse(reader, ACPI_DMAR_BAD_BRIDGE);
    return 0;
}

/* Follows the path of `pairs` (device, function) at `offset` from scope->bus on. 0; -ENODEV: it leads through
 * a bridge that is not there; or refused. */
static int follow_path(const struct reader *reader, uint16_t segment, uint32_t offset, unsigned pairs,
                       struct acpi_dmar_scope *scope) {
    struct pci_bridge bridge;

    for (unsigned i = 0; i < pairs; i++) {
        uint8_t pair[2];
        if (i) {
            int error = read_bridge(reader, segment, scope, &bridge);
            if (error)
                return error;
            scope->bus = bridge.secondary;
        }
        int error = read_part(reader, offset + 2 * i, pair, sizeof(pair));
        if (error)
            return error;
        if (pair[0] > 31 || pair[1] > 7)
            return refuse(reader, ACPI_DMAR_BAD_SCOPE);
        scope->devfn = (uint8_t)(pair[0] << 3 | pair[1]);
    }
    if (scope->type == ACPI_DMAR_BRIDGE) {
        int error = read_bridge(reader, segment, scope, &bridge);
        if (error == -ENODEV) {
            reader->dmar->absent_count++;
        } else if (error) {
            return error;
        } else {
            scope->first_bus = bridge.secondary;
            scope->last_bus = bridge.subordinate;
        }
    }
    return 0;
}

/* Reads the scopes from `offset` to the structure's end. */
static int read_scopes(const struct reader *reader, uint16_t segment, uint32_t offset,
                       struct acpi_dmar_scopes *scopes) {
    struct acpi_dmar *dmar = reader->dmar;

    *scopes = (struct acpi_dmar_scopes){.first = (uint16_t)dmar->scope_count};
    while (offset < reader->end) {
        uint8_t raw[SCOPE_HEAD];
        if (reader->end - offset < SCOPE_HEAD)
            return refuse(reader, ACPI_DMAR_BAD_SCOPE);
        int error = read_part(reader, offset, raw, sizeof(raw));
        if (error)
            return error;
        uint8_t type = raw[0], length = raw[1];
        if (length < SCOPE_HEAD || length > reader->end - offset)
            return refuse(reader, ACPI_DMAR_BAD_SCOPE);
        if (type >= ACPI_DMAR_ENDPOINT && type <= ACPI_DMAR_NAMESPACE) {
            struct acpi_dmar_scope scope = {.type = type, .id = raw[4], .bus = raw[5]};
            if (length == SCOPE_HEAD || length % 2)
                return refuse(reader, ACPI_DMAR_BAD_SCOPE);
            error = follow_path(reader, segment, offset + SCOPE_HEAD, (length - SCOPE_HEAD) / 2u, &scope);
            if (error == -ENODEV) {
                dmar->absent_count++;
            } else if (error) {
                return error;
            } else {
                if (dmar->scope_count == ACPI_DMAR_MAX_SCOPES)
                    return refuse(reader, ACPI_DMAR_MANY_SCOPES);
                dmar->scope[dmar->scope_count++] = scope;
                scopes->count++;
            }
        }
        offset += length;
    }
    return 0;
}

/* ---- structures */

static bool above_width(const struct acpi_dmar *dmar, uint64_t address) {
    return dmar->width < 64 && address >> dmar->width;
}

static bool overlap(uint64_t base_a, uint64_t limit_a, uint64_t base_b, uint64_t limit_b) {
    return base_a <= limit_b && base_b <= limit_a;
}

static uint64_t unit_limit(const struct acpi_dmar_unit *unit) {
    return unit->base + unit->size - 1;
}

/* Whether two scopes of units say of the same thing that it belongs to two of them. */
static bool scopes_conflict(bool same_unit, bool same_segment, const struct acpi_dmar_scope *a,
                            const struct acpi_dmar_scope *b) {
    if (!has_functions(a) || !has_functions(b)) {
        if (a->type != b->type || a->id != b->id)
            return false;
        return !same_unit || (a->type == ACPI_DMAR_IOAPIC && (a->bus != b->bus || a->devfn != b->devfn));
    }
    if (same_unit || !same_segment)
        return false;
    return covers(a, b->bus, b->devfn) || covers(b, a->bus, a->devfn) ||
           (a->last_bus && b->last_bus && a->first_bus <= b->last_bus && b->first_bus <= a->last_bus);
}

/* Whether scope `scope` of a unit that was read contradicts one of `unit`, perhaps the same. */
static bool unit_conflicts(const struct acpi_dmar *dmar, const struct acpi_dmar_unit *unit,
                           const struct acpi_dmar_unit *other, const struct acpi_dmar_scope *scope) {
    for (unsigned i = 0; i < unit->scopes.count; i++)
        if (scopes_conflict(unit == other, unit->segment == other->segment,
                            &dmar->scope[unit->scopes.first + i], scope))
            return true;
    return false;
}

/* `unit`, the last one, against itself and those before. */
static int check_unit(const struct reader *reader, const struct acpi_dmar_unit *unit) {
    const struct acpi_dmar *dmar = reader->dmar;

    for (const struct acpi_dmar_unit *other = dmar->unit; other < unit; other++) {
        if (overlap(unit->base, unit_limit(unit), other->base, unit_limit(other)))
            return refuse(reader, ACPI_DMAR_UNITS_OVERLAP);
        if (unit->all && other->all && unit->segment == other->segment)
            return refuse(reader, ACPI_DMAR_ALL_TWICE);
    }
    for (const struct acpi_dmar_unit *other = dmar->unit; other <= unit; other++)
        for (unsigned i = 0; i < other->scopes.count; i++)
            if (unit_conflicts(dmar, unit, other, &dmar->scope[other->scopes.first + i]))
                return refuse(reader, ACPI_DMAR_SHARED);
    for (unsigned i = 0; i < dmar->reserved_count; i++)
        if (overlap(unit->base, unit_limit(unit), dmar->reserved[i].base, dmar->reserved[i].limit))
            return refuse(reader, ACPI_DMAR_RESERVED_UNIT);
    return 0;
}

static int add_unit(const struct reader *reader, const uint8_t *raw) {
    struct acpi_dmar *dmar = reader->dmar;

    if (dmar->unit_count == ACPI_DMAR_MAX_UNITS)
        return refuse(reader, ACPI_DMAR_MANY_UNITS);
    struct acpi_dmar_unit *unit = &dmar->unit[dmar->unit_count];
    *unit = (struct acpi_dmar_unit){.base = acpi_get64(raw + 8),
                                    .size = PAGE << (raw[5] & SIZE_MASK),
                                    .segment = acpi_get16(raw + 6),
                                    .all = raw[4] & FLAG_INCLUDE_PCI_ALL};
    if (!unit->base || unit->base % PAGE || unit_limit(unit) < unit->base ||
        above_width(dmar, unit_limit(unit)))
        return refuse(reader, ACPI_DMAR_BAD_BASE);
    int error = read_scopes(reader, unit->segment, reader->at + structure_size[DRHD], &unit->scopes);
    if (error)
        return error;
    dmar->unit_count++;
    return check_unit(reader, unit);
}

static int add_reserved(const struct reader *reader, const uint8_t *raw) {
    struct acpi_dmar *dmar = reader->dmar;

    if (dmar->reserved_count == ACPI_DMAR_MAX_RESERVED)
        return refuse(reader, ACPI_DMAR_MANY_RESERVED);
    struct acpi_dmar_reserved *reserved = &dmar->reserved[dmar->reserved_count++];
    *reserved = (struct acpi_dmar_reserved){
        .base = acpi_get64(raw + 8), .limit = acpi_get64(raw + 16), .segment = acpi_get16(raw + 6)};
    uint64_t end = reserved->limit + 1;
    if (reserved->base % PAGE || end % PAGE || end <= reserved->base || above_width(dmar, reserved->limit))
        return refuse(reader, ACPI_DMAR_BAD_RESERVED);
    for (unsigned i = 0; i < dmar->unit_count; i++)
        if (overlap(reserved->base, reserved->limit, dmar->unit[i].base, unit_limit(&dmar->unit[i])))
            return refuse(reader, ACPI_DMAR_RESERVED_UNIT);
    return read_scopes(reader, reserved->segment, reader->at + structure_size[RMRR], &reserved->scopes);
}

static int add_root(const struct reader *reader, const uint8_t *raw) {
    struct acpi_dmar *dmar = reader->dmar;

    if (dmar->root_count == ACPI_DMAR_MAX_ROOTS)
        return refuse(reader, ACPI_DMAR_MANY_ROOTS);
    struct acpi_dmar_root *root = &dmar->root[dmar->root_count++];
    *root = (struct acpi_dmar_root){.segment = acpi_get16(raw + 6), .all = raw[4] & FLAG_ALL_PORTS};
    return read_scopes(reader, root->segment, reader->at + structure_size[ATSR], &root->scopes);
}

/* The structure at reader->at; its length is stored. */
static int read_structure(struct reader *reader, uint16_t *length) {
    uint8_t raw[MAX_STRUCTURE];
    uint32_t left = reader->table.length - reader->at;

    if (left < STRUCTURE_HEAD)
        return refuse(reader, ACPI_DMAR_BAD_LENGTH);
    int error = read_part(reader, reader->at, raw, STRUCTURE_HEAD);
    if (error)
        return error;
    uint16_t type = acpi_get16(raw);
    *length = acpi_get16(raw + 2);
    if (*length < STRUCTURE_HEAD || *length > left)
        return refuse(reader, ACPI_DMAR_BAD_LENGTH);
    reader->end = reader->at + *length;
    if (type >= sizeof(structure_size))
        return 0;
    if (*length < structure_size[type])
        return refuse(reader, ACPI_DMAR_BAD_LENGTH);
    error = read_part(reader, reader->at, raw, structure_size[type]);
    if (error)
        return error;
    if (type == DRHD)
        return add_unit(reader, raw);
    return type == RMRR ? add_reserved(reader, raw) : add_root(reader, raw);
}

int acpi_read_dmar(const struct acpi_root *root, const struct acpi_dmar_bridges *bridges,
                   struct acpi_dmar *dmar) {
    struct reader reader = {.root = root, .bridges = bridges, .dmar = dmar, .at = ACPI_HEADER_SIZE};
    uint8_t head[2];
    uint16_t length;

    memset(dmar, 0, sizeof(*dmar));
    int error = acpi_find(root, "DMAR", 0, &reader.table);
    if (error)
        return error;
    if (reader.table.length < FIRST_STRUCTURE)
        return refuse(&reader, ACPI_DMAR_SHORT);
    error = read_part(&reader, reader.at, head, sizeof(head));
    if (error)
        return error;
    if (head[0] > 63)
        return refuse(&reader, ACPI_DMAR_BAD_WIDTH);
    dmar->width = (uint8_t)(head[0] + 1);
    dmar->interrupt_remapping = head[1] & FLAG_REMAPS;
    dmar->x2apic_opt_out = head[1] & FLAG_X2APIC_OPT_OUT;
    dmar->dma_opt_in = head[1] & FLAG_DMA_OPT_IN;
    for (reader.at = FIRST_STRUCTURE; reader.at < reader.table.length; reader.at += length) {
        error = read_structure(&reader, &length);
        if (error)
            return error;
    }
    return 0;
}

const char *acpi_dmar_fault_text(enum acpi_dmar_fault fault) {
    static const char *const text[] = {
        [ACPI_DMAR_NO_FAULT] = "nothing is wrong",
        [ACPI_DMAR_UNREADABLE] = "cannot be read",
        [ACPI_DMAR_SHORT] = "ends before its own fields",
        [ACPI_DMAR_BAD_WIDTH] = "host address width above 64 bits",
        [ACPI_DMAR_BAD_LENGTH] = "a structure's length is wrong",
        [ACPI_DMAR_BAD_SCOPE] = "a device scope's length or path is wrong",
        [ACPI_DMAR_BAD_BRIDGE] = "a path leads through a bridge that cannot be read or leads nowhere",
        [ACPI_DMAR_BAD_BASE] = "a unit's registers are at an impossible address",
        [ACPI_DMAR_UNITS_OVERLAP] = "two units have registers in the same place",
        [ACPI_DMAR_ALL_TWICE] = "two units have all functions of one segment",
        [ACPI_DMAR_SHARED] = "a function, I/O APIC or HPET is named twice, differently",
        [ACPI_DMAR_BAD_RESERVED] = "reserved memory is misaligned or impossible",
        [ACPI_DMAR_RESERVED_UNIT] = "reserved memory lies over a unit's registers",
        [ACPI_DMAR_MANY_UNITS] = "more units than are supported",
        [ACPI_DMAR_MANY_RESERVED] = "more reserved memory than is supported",
        [ACPI_DMAR_MANY_ROOTS] = "more lists of root ports than are supported",
        [ACPI_DMAR_MANY_SCOPES] = "more device scopes than are supported",
    };
    return (unsigned)fault < sizeof(text) / sizeof(text[0]) ? text[fault] : "unknown fault";
}

/* ---- questions */

const struct acpi_dmar_unit *acpi_dmar_find_unit(const struct acpi_dmar *dmar, uint16_t segment, uint8_t bus,
                                                 uint8_t devfn) {
    const struct acpi_dmar_unit *all = NULL;

    for (unsigned i = 0; i < dmar->unit_count; i++) {
        const struct acpi_dmar_unit *unit = &dmar->unit[i];
        if (unit->segment != segment)
            continue;
        if (any_covers(dmar, unit->scopes, bus, devfn))
            return unit;
        if (unit->all)
            all = unit;
    }
    return all;
}

const struct acpi_dmar_reserved *acpi_dmar_next_reserved(const struct acpi_dmar *dmar, uint16_t segment,
                                                         uint8_t bus, uint8_t devfn,
                                                         const struct acpi_dmar_reserved *after) {
    const struct acpi_dmar_reserved *end = dmar->reserved + dmar->reserved_count;

    for (const struct acpi_dmar_reserved *r = after ? after + 1 : dmar->reserved; r < end; r++)
        if (r->segment == segment && any_covers(dmar, r->scopes, bus, devfn))
            return r;
    return NULL;
}

bool acpi_dmar_allows_ats(const struct acpi_dmar *dmar, uint16_t segment, uint8_t bus, uint8_t devfn) {
    for (unsigned i = 0; i < dmar->root_count; i++) {
        const struct acpi_dmar_root *root = &dmar->root[i];
        if (root->segment == segment && (root->all || any_covers(dmar, root->scopes, bus, devfn)))
            return true;
    }
    return false;
}

/* The `index`th scope of a type with an ID. */
static const struct acpi_dmar_unit *find_scope(const struct acpi_dmar *dmar, enum acpi_dmar_scope_type type,
                                               uint8_t id, unsigned index, uint16_t *requester) {
    for (unsigned i = 0; i < dmar->unit_count; i++) {
        const struct acpi_dmar_unit *unit = &dmar->unit[i];
        for (unsigned j = 0; j < unit->scopes.count; j++) {
            const struct acpi_dmar_scope *scope = &dmar->scope[unit->scopes.first + j];
            if (scope->type == type && scope->id == id && !index--) {
                *requester = (uint16_t)(scope->bus << 8 | scope->devfn);
                return unit;
            }
        }
    }
    return NULL;
}

const struct acpi_dmar_unit *acpi_dmar_find_ioapic(const struct acpi_dmar *dmar, uint8_t id,
                                                   uint16_t *requester) {
    return find_scope(dmar, ACPI_DMAR_IOAPIC, id, 0, requester);
}

const struct acpi_dmar_unit *acpi_dmar_find_hpet(const struct acpi_dmar *dmar, uint8_t number, unsigned index,
                                                 uint16_t *requester) {
    return find_scope(dmar, ACPI_DMAR_HPET, number, index, requester);
}
