// SPDX-License-Identifier: Apache-2.0
// Finding ACPI tables and reading FADT and FACS; the MADT is in acpi_madt.c, the scan for _S5 in
// acpi_sleep.c.
#include "lib/acpi.h"

#include <errno.h>
#include <string.h>
#include "lib/acpi_internal.h"

#define CHUNK        256u
#define RSDP_V1_SIZE 20u
#define RSDP_V2_SIZE 36u
#define MAX_TABLES   1024u
#define MIN_FACS     64u
#define FADT_V1_SIZE 116u
#define FADT_READ    256u /* up to and with SLEEP_STATUS_REG */
#define FLAG_WIDE    (1u << 8)
#define FLAG_RESET   (1u << 10)
#define FLAG_REDUCED (1u << 20)

uint32_t acpi_get32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t acpi_get64(const uint8_t *p) {
    return acpi_get32(p) | (uint64_t)acpi_get32(p + 4) << 32;
}

uint16_t acpi_get16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static int read_memory(const struct acpi_memory *memory, uint64_t physical, void *buffer, size_t size) {
    if (physical + size < physical || memory->read(memory->context, physical, buffer, size))
        return -EFAULT;
    return 0;
}

/* Sum of all bytes modulo 256, or negative. */
static int checksum(const struct acpi_memory *memory, uint64_t physical, uint32_t length) {
    uint8_t chunk[CHUNK];
    uint8_t sum = 0;

    while (length) {
        uint32_t part = length < CHUNK ? length : CHUNK;
        if (read_memory(memory, physical, chunk, part))
            return -EFAULT;
        for (uint32_t i = 0; i < part; i++)
            sum = (uint8_t)(sum + chunk[i]);
        physical += part;
        length -= part;
    }
    return sum;
}

static int verify(const struct acpi_memory *memory, uint64_t physical, uint32_t length) {
    int sum = checksum(memory, physical, length);
    if (sum < 0)
        return sum;
    return sum ? -EINVAL : 0;
}

static int read_header(const struct acpi_memory *memory, uint64_t address, struct acpi_table *table) {
    uint8_t header[ACPI_HEADER_SIZE];

    if (!address)
        return -EINVAL;
    if (read_memory(memory, address, header, sizeof(header)))
        return -EFAULT;
    memcpy(table->signature, header, 4);
    table->length = acpi_get32(header + 4);
    table->revision = header[8];
    table->address = address;
    if (table->length < ACPI_HEADER_SIZE || table->length > ACPI_MAX_TABLE ||
        address + table->length < address)
        return -EINVAL;
    return 0;
}

int acpi_table_at(const struct acpi_root *root, uint64_t address, const char *signature,
                  struct acpi_table *table) {
    int error = read_header(&root->memory, address, table);

    if (!error && memcmp(table->signature, signature, 4))
        error = -EINVAL;
    return error ? error : verify(&root->memory, address, table->length);
}

static int open_list(struct acpi_root *root, uint64_t address, const char *signature, unsigned entry_size) {
    struct acpi_table table;
    int error = acpi_table_at(root, address, signature, &table);

    if (error)
        return error;
    root->entries = address + ACPI_HEADER_SIZE;
    root->entry_size = entry_size;
    root->count = (table.length - ACPI_HEADER_SIZE) / entry_size;
    if (root->count > MAX_TABLES)
        root->count = MAX_TABLES;
    return 0;
}

int acpi_open(struct acpi_root *root, const struct acpi_memory *memory, uint64_t rsdp) {
    uint8_t raw[RSDP_V2_SIZE];

    *root = (struct acpi_root){.memory = *memory};
    if (!rsdp)
        return -EINVAL;
    if (read_memory(memory, rsdp, raw, RSDP_V1_SIZE))
        return -EFAULT;
    if (memcmp(raw, "RSD PTR ", 8))
        return -EINVAL;
    int error = verify(memory, rsdp, RSDP_V1_SIZE);
    if (error)
        return error;
    uint32_t rsdt = acpi_get32(raw + 16);
    if (raw[15] >= 2) {
        if (read_memory(memory, rsdp, raw, RSDP_V2_SIZE))
            return -EFAULT;
        uint32_t length = acpi_get32(raw + 20);
        uint64_t xsdt = acpi_get64(raw + 24);
        if (length >= RSDP_V2_SIZE && length <= 4096 && !verify(memory, rsdp, length) &&
            !open_list(root, xsdt, "XSDT", 8))
            return 0;
    }
    return open_list(root, rsdt, "RSDT", 4);
}

int acpi_find(const struct acpi_root *root, const char *signature, unsigned index, struct acpi_table *table) {
    for (unsigned i = 0; i < root->count; i++) {
        uint8_t raw[8] = {0};
        if (read_memory(&root->memory, root->entries + (uint64_t)i * root->entry_size, raw, root->entry_size))
            return -ENOENT;
        if (!acpi_table_at(root, acpi_get64(raw), signature, table) && !index--)
            return 0;
    }
    return -ENOENT;
}

int acpi_table_read(const struct acpi_root *root, const struct acpi_table *table, uint32_t offset,
                    void *buffer, size_t size) {
    if (offset > table->length || size > table->length - offset)
        return -EINVAL;
    return read_memory(&root->memory, table->address + offset, buffer, size);
}

static struct acpi_address read_address(const uint8_t *p) {
    return (struct acpi_address){.space = p[0], .width = p[1], .access = p[3], .address = acpi_get64(p + 4)};
}

/* The extended address where there is one, else the 32-bit port of the table's first version. */
static struct acpi_address read_register(const uint8_t *extended, const uint8_t *port, uint8_t length) {
    struct acpi_address address = read_address(extended);

    if (address.address)
        return address;
    return (struct acpi_address){
        .space = ACPI_SPACE_PORT, .width = (uint8_t)(length * 8), .address = acpi_get32(port)};
}

static uint16_t read_port(const uint8_t *extended, const uint8_t *port, uint8_t length) {
    struct acpi_address address = read_register(extended, port, length);
    return address.space == ACPI_SPACE_PORT && address.address <= 0xffff ? (uint16_t)address.address : 0;
}

int acpi_read_fadt(const struct acpi_root *root, struct acpi_fadt *fadt) {
    struct acpi_table table;
    uint8_t raw[FADT_READ] = {0};

    *fadt = (struct acpi_fadt){0};
    int error = acpi_find(root, "FACP", 0, &table);
    if (error)
        return error;
    if (table.length < FADT_V1_SIZE)
        return -EINVAL;
    error = acpi_table_read(root, &table, 0, raw, table.length < FADT_READ ? table.length : FADT_READ);
    if (error)
        return error;
    uint32_t flags = acpi_get32(raw + 112);
    uint32_t smi = acpi_get32(raw + 48);
    fadt->dsdt = acpi_get64(raw + 140) ? acpi_get64(raw + 140) : acpi_get32(raw + 40);
    fadt->facs = acpi_get32(raw + 36) ? acpi_get32(raw + 36) : acpi_get64(raw + 132);
    fadt->hardware_reduced = flags & FLAG_REDUCED;
    fadt->smi_command = smi <= 0xffff ? (uint16_t)smi : 0;
    fadt->acpi_enable = raw[52];
    fadt->pm1a_control = read_register(raw + 172, raw + 64, raw[89]);
    fadt->pm1b_control = read_register(raw + 184, raw + 68, raw[89]);
    fadt->pm_timer = raw[91] == 4 ? read_port(raw + 208, raw + 76, raw[91]) : 0;
    fadt->pm_timer_wide = flags & FLAG_WIDE;
    fadt->century = raw[108];
    fadt->boot_flags = acpi_get16(raw + 109);
    fadt->reset_supported = (flags & FLAG_RESET) && table.length >= 129;
    fadt->reset = read_address(raw + 116);
    fadt->reset_value = raw[128];
    fadt->sleep_control = read_address(raw + 244);
    return 0;
}

int acpi_read_facs(const struct acpi_root *root, const struct acpi_fadt *fadt, struct acpi_facs *facs) {
    uint8_t raw[MIN_FACS];

    *facs = (struct acpi_facs){0};
    if (!fadt->facs)
        return -ENOENT;
    if (read_memory(&root->memory, fadt->facs, raw, sizeof(raw)))
        return -EFAULT;
    if (memcmp(raw, "FACS", 4) || acpi_get32(raw + 4) < MIN_FACS)
        return -EINVAL;
    facs->length = acpi_get32(raw + 4);
    facs->hardware_signature = acpi_get32(raw + 8);
    facs->flags = acpi_get32(raw + 20);
    facs->version = raw[32];
    return 0;
}
