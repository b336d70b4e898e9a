// SPDX-License-Identifier: Apache-2.0
// The firmware configuration device of a guest's PC.
#include "arch/x86/guest/fw_cfg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "arch/x86/guest/acpi.h"
#include "arch/x86/vm.h"
#include "lib/config.h"
#include "lib/state.h"

/* Port offsets */
#define PORTS         12
#define SELECTOR      0
#define DATA          1
#define DMA_HIGH      4
#define DMA_LOW       8

#define ID_PORTS      1u
#define ID_DMA        2u
#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG", big-endian */

#define SELECTOR_BITS 0x3fffu /* 14: write, 15: architecture's own */
#define SELECTOR_ARCH 0x8000u

#define FILE_NAME     56
#define FILE_COUNT    4
#define E820_COUNT    3

/* table-loader commands */
enum { LOADER_ALLOCATE = 1, LOADER_POINTER = 2, LOADER_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

struct loader_entry {
    uint32_t command;
    union {
        struct {
            char file[FILE_NAME];
            uint32_t align;
            uint8_t zone;
        } __attribute__((packed)) allocate;
        struct {
            char file[FILE_NAME]; /* that holds the pointer */
            char target[FILE_NAME];
            uint32_t offset;
            uint8_t size;
        } __attribute__((packed)) pointer;
        struct {
            char file[FILE_NAME];
            uint32_t offset;
            uint32_t start;
            uint32_t length;
        } __attribute__((packed)) checksum;
        uint8_t pad[124];
    };
} __attribute__((packed));

static_assert(sizeof(struct loader_entry) == 128, "as firmware knows it");

#define LOADER_MAX (2 + ACPI_MAX_POINTERS + ACPI_MAX_CHECKSUMS)

struct directory {
    uint32_t count; /* this and the next two are big-endian */
    struct {
        uint32_t size;
        uint16_t selector;
        uint16_t reserved;
        char name[FILE_NAME];
    } __attribute__((packed)) file[FILE_COUNT];
} __attribute__((packed));

struct item {
    const void *data;
    uint32_t size;
};

struct fw_cfg {
    struct spinlock lock;
    struct vm *vm;
    uint16_t selector;
    uint32_t offset;   /* of the next byte in the item */
    uint32_t dma_high; /* the address's upper half, until the lower one is written */

    /* What the items show; made at reset, then constant. */
    uint32_t id;
    uint64_t ram_size;
    uint16_t cpus;
    struct pc_e820_entry e820[E820_COUNT];
    uint32_t e820_count;
    struct directory directory;
    struct loader_entry loader[LOADER_MAX];
    uint32_t loader_count;
    struct acpi_tables tables;
};

static const char tables_file[] = "etc/acpi/tables";
static const char rsdp_file[] = "etc/acpi/rsdp";

static struct item file_item(const struct fw_cfg *f, unsigned index) {
    switch (index) {
    case 0:
        return (struct item){f->e820, f->e820_count * (uint32_t)sizeof(f->e820[0])};
    case 1:
        return (struct item){f->tables.rsdp, sizeof(f->tables.rsdp)};
    case 2:
        return (struct item){f->tables.data, f->tables.used};
    default:
        return (struct item){f->loader, f->loader_count * (uint32_t)sizeof(f->loader[0])};
    }
}

/* The selected item; of size 0 if there is none. */
static struct item selected(const struct fw_cfg *f) {
    unsigned key = f->selector & (SELECTOR_BITS | SELECTOR_ARCH);
    switch (key) {
    case FW_CFG_SIGNATURE:
        return (struct item){"QEMU", 4};
    case FW_CFG_ID:
        return (struct item){&f->id, sizeof(f->id)};
    case FW_CFG_RAM_SIZE:
        return (struct item){&f->ram_size, sizeof(f->ram_size)};
    case FW_CFG_CPU_COUNT:
    case FW_CFG_MAX_CPUS:
        return (struct item){&f->cpus, sizeof(f->cpus)};
    case FW_CFG_FILE_DIRECTORY:
        return (struct item){&f->directory, sizeof(f->directory)};
    default:
        if (key >= FW_CFG_FILE_FIRST && key < FW_CFG_FILE_FIRST + FILE_COUNT)
            return file_item(f, key - FW_CFG_FILE_FIRST);
        return (struct item){NULL, 0};
    }
}

static uint8_t next_byte(struct fw_cfg *f) {
    struct item item = selected(f);
    if (f->offset >= item.size)
        return 0;
    return ((const uint8_t *)item.data)[f->offset++];
}

static void step(struct fw_cfg *f, uint32_t item_size, uint32_t length) {
    uint32_t left = f->offset < item_size ? item_size - f->offset : 0;
    f->offset += length < left ? length : left;
}

/* Copies `length` bytes of the item, and zeroes after its end, to guest memory. */
static int dma_read(struct fw_cfg *f, uint64_t address, uint32_t length) {
    static const uint8_t zeroes[256];
    struct item item = selected(f);
    uint32_t left = f->offset < item.size ? item.size - f->offset : 0;
    uint32_t copied = length < left ? length : left;
    uint32_t excess = length - copied;
    if (excess > FW_CFG_DMA_EXCESS || address + length < address)
        return -EINVAL;
    int error = copied ? guest_write(f->vm, address, (const uint8_t *)item.data + f->offset, copied) : 0;
    for (uint32_t done = 0; !error && done < excess;) {
        uint32_t chunk = excess - done < sizeof(zeroes) ? excess - done : sizeof(zeroes);
        error = guest_write(f->vm, address + copied + done, zeroes, chunk);
        done += chunk;
    }
    if (!error)
        step(f, item.size, length);
    return error;
}

struct dma_request {
    uint32_t control; /* all big-endian; the upper 16 bits select an item if FW_CFG_DMA_SELECT is set */
    uint32_t length;
    uint64_t address;
} __attribute__((packed));

/* Carries out the request at guest-physical `at` and writes the result where its control word is. */
static void dma(struct fw_cfg *f, uint64_t at) {
    struct dma_request request;
    if (guest_read(f->vm, at, &request, sizeof(request)))
        return; /* nowhere to put an answer */
    uint32_t control = __builtin_bswap32(request.control);
    uint32_t length = __builtin_bswap32(request.length);
    uint64_t address = __builtin_bswap64(request.address);
    int error = 0;
    if (control & FW_CFG_DMA_SELECT) {
        f->selector = (uint16_t)(control >> 16);
        f->offset = 0;
    }
    if (control & FW_CFG_DMA_READ)
        error = dma_read(f, address, length);
    else if (control & FW_CFG_DMA_WRITE)
        error = -EPERM;
    else if (control & FW_CFG_DMA_SKIP)
        step(f, selected(f).size, length);
    uint32_t result = __builtin_bswap32(error ? FW_CFG_DMA_ERROR : 0);
    /* If even this fails the guest has taken its own memory away; it waits for an answer that cannot come. */
    (void)guest_write(f->vm, at, &result, sizeof(result));
}

static int fw_cfg_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct fw_cfg *f = device;
    if (offset >= DMA_HIGH && size <= 4) {
        /* The register is big-endian: its first byte is the most significant one. */
        *value = 0;
        for (unsigned i = 0; i < size; i++)
            *value |= (DMA_SIGNATURE >> 8 * (7 - (offset - DMA_HIGH + i)) & 0xff) << 8 * i;
        return 0;
    }
    if (offset != DATA || size != 1)
        return -ENXIO;
    spin_lock(&f->lock);
    *value = next_byte(f);
    spin_unlock(&f->lock);
    return 0;
}

static int fw_cfg_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    struct fw_cfg *f = device;
    int result = 0;
    spin_lock(&f->lock);
    if (offset == SELECTOR && size == 2) {
        f->selector = (uint16_t)value;
        f->offset = 0;
    } else if (offset == DMA_HIGH && size == 4) {
        f->dma_high = __builtin_bswap32((uint32_t)value);
    } else if (offset == DMA_LOW && size == 4) {
        uint64_t at = (uint64_t)f->dma_high << 32 | __builtin_bswap32((uint32_t)value);
        f->dma_high = 0;
        dma(f, at);
    } else {
        result = -ENXIO; /* a byte to the data port wrote the item once; none can be written */
    }
    spin_unlock(&f->lock);
    return result;
}

static const struct bus_ops fw_cfg_ops = {.read = fw_cfg_read, .write = fw_cfg_write};

/* Firmware wants to know where RAM is; it reserves what it uses itself. */
static void fill_e820(struct fw_cfg *f) {
    struct memory_range ram[PC_RAM_PIECES];
    f->e820_count = pc_ram(f->vm, ram);
    for (unsigned i = 0; i < f->e820_count; i++)
        f->e820[i] = (struct pc_e820_entry){ram[i].base, ram[i].size, PC_E820_RAM};
}

static void fill_loader(struct fw_cfg *f) {
    const struct acpi_tables *t = &f->tables;
    uint32_t n = 0;
    memset(f->loader, 0, sizeof(f->loader));
    f->loader[n].command = LOADER_ALLOCATE;
    memcpy(f->loader[n].allocate.file, tables_file, sizeof(tables_file));
    f->loader[n].allocate.align = ACPI_TABLES_ALIGN;
    f->loader[n++].allocate.zone = ZONE_HIGH;
    f->loader[n].command = LOADER_ALLOCATE;
    memcpy(f->loader[n].allocate.file, rsdp_file, sizeof(rsdp_file));
    f->loader[n].allocate.align = 16;
    f->loader[n++].allocate.zone = ZONE_FSEG;
    for (uint32_t i = 0; i < t->pointer_count; i++) {
        struct loader_entry *e = &f->loader[n++];
        const struct acpi_pointer *p = &t->pointer[i];
        e->command = LOADER_POINTER;
        memcpy(e->pointer.file, p->in_rsdp ? rsdp_file : tables_file,
               p->in_rsdp ? sizeof(rsdp_file) : sizeof(tables_file));
        memcpy(e->pointer.target, tables_file, sizeof(tables_file));
        e->pointer.offset = p->offset;
        e->pointer.size = p->size;
    }
    for (uint32_t i = 0; i < t->checksum_count; i++) {
        struct loader_entry *e = &f->loader[n++];
        const struct acpi_checksum *c = &t->checksum[i];
        e->command = LOADER_CHECKSUM;
        memcpy(e->checksum.file, c->in_rsdp ? rsdp_file : tables_file,
               c->in_rsdp ? sizeof(rsdp_file) : sizeof(tables_file));
        e->checksum.offset = c->offset;
        e->checksum.start = c->start;
        e->checksum.length = c->length;
    }
    f->loader_count = n;
}

static void fill_directory(struct fw_cfg *f) {
    static const char *const name[FILE_COUNT] = {"etc/e820", rsdp_file, tables_file, "etc/table-loader"};
    memset(&f->directory, 0, sizeof(f->directory));
    f->directory.count = __builtin_bswap32(FILE_COUNT);
    for (unsigned i = 0; i < FILE_COUNT; i++) {
        f->directory.file[i].size = __builtin_bswap32(file_item(f, i).size);
        f->directory.file[i].selector = __builtin_bswap16((uint16_t)(FW_CFG_FILE_FIRST + i));
        memcpy(f->directory.file[i].name, name[i], strlen(name[i]));
    }
}

static struct fw_cfg *fw_cfg_of(struct vm *vm) {
    return x86_vm(vm)->pc.fw_cfg;
}

static void set_defaults(struct fw_cfg *f) {
    f->selector = 0;
    f->offset = 0;
    f->dma_high = 0;
}

static void fw_cfg_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct fw_cfg *f = fw_cfg_of(vm);
    bus_remove(&vm->bus[BUS_PORT], FW_CFG_PORT);
    x86_vm(vm)->pc.fw_cfg = NULL;
    heap_free(f, sizeof(*f), &vm->memory.account);
}

static int fw_cfg_create(struct vm *vm, unsigned index) {
    struct fw_cfg *f = heap_allocate(sizeof(*f), &vm->memory.account);
    if (!f)
        return -ENOMEM;
    f->vm = vm;
    f->id = ID_PORTS | ID_DMA;
    f->ram_size = vm->config->memory;
    f->cpus = (uint16_t)vm->vcpu_count;
    fill_e820(f);
    x86_vm(vm)->pc.fw_cfg = f;
    int error = acpi_build(vm, &f->tables);
    if (!error) {
        fill_loader(f);
        fill_directory(f);
        error = bus_add(&vm->bus[BUS_PORT], FW_CFG_PORT, PORTS, &fw_cfg_ops, f, "fw_cfg");
    }
    if (error)
        fw_cfg_destroy(vm, index);
    return error;
}

static void fw_cfg_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct fw_cfg *f = fw_cfg_of(vm);
    spin_lock(&f->lock);
    set_defaults(f);
    spin_unlock(&f->lock);
}

static void fw_cfg_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct fw_cfg *f = fw_cfg_of(vm);
    spin_lock(&f->lock);
    state_put_u16(writer, f->selector);
    state_put_u32(writer, f->offset);
    state_put_u32(writer, f->dma_high);
    spin_unlock(&f->lock);
}

static int fw_cfg_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    struct fw_cfg *f = fw_cfg_of(vm);
    uint16_t selector = state_get_u16(reader);
    uint32_t offset = state_get_u32(reader);
    uint32_t dma_high = state_get_u32(reader);
    spin_lock(&f->lock);
    set_defaults(f);
    f->selector = selector;
    bool good = !reader->error && offset <= selected(f).size;
    if (good) {
        f->offset = offset;
        f->dma_high = dma_high;
    } else {
        f->selector = 0;
    }
    spin_unlock(&f->lock);
    return good ? 0 : -EINVAL;
}

const struct part fw_cfg_part = {
    .name = "x86.fw-cfg",
    .version = 1,
    .create = fw_cfg_create,
    .destroy = fw_cfg_destroy,
    .reset = fw_cfg_reset,
    .save = fw_cfg_save,
    .load = fw_cfg_load,
};
