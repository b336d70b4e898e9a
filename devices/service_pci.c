// SPDX-License-Identifier: Apache-2.0
// The hypervisor's side of a PCI function that the service VM answers for (PCI Local Bus 3.0, chapter 6).
#include "devices/service_pci.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/service.h"
#include "core/vm.h"
#include "devices/pci_bar.h"
#include "devices/pci_function.h"
#include "devices/pci_msix.h"
#include "devices/service_region.h"
#include "lib/state.h"

#define COMMAND            0x04
#define COMMAND_MEMORY     0x0002u
#define COMMAND_MASTER     0x0004u
#define COMMAND_NO_INTX    0x0400u
#define COMMAND_BITS       (COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX)
#define STATUS             0x06
#define STATUS_INTX        0x08u
#define STATUS_BITS        0x06b0u /* capabilities, 66 MHz, fast back-to-back, timing of DEVSEL# */
#define HEADER_MULTIPLE    0x80u   /* header type: the slot has more functions */
#define BAR0               0x10
#define ROM_BAR            0x30
#define ROM_BAR_END        0x34
#define HEADER_END         0x40

#define DOORBELL_NO_STRIDE 1u

static_assert(PCI_MSIX_MAX == SERVICE_MAX_VECTORS, "a table has room for all vectors of a description");
static_assert(sizeof(((struct service_device *)0)->config) == PCI_CONFIG_SIZE, "config is plain PCI's");
static_assert(sizeof(((struct service_device *)0)->bar_size) / sizeof(uint32_t) == PCI_BARS, "all BARs");

/* A BAR as the bus knows it. Doorbells stand apart: ringing one is what a guest does most. */
struct service_bar {
    struct pci_bar bar;
    struct service_function *function;
    unsigned index;
    uint32_t doorbell; /* the doorbells' offset */
    uint32_t doorbell_size;
    unsigned doorbell_shift; /* log2 of their stride */
};

/*
 * `lock` guards the configuration space, where the BARs are, MSI-X and the pin, on all CPUs: guests' accesses
 * to configuration (under the host's lock, taken before this one), those to the table behind a BAR (under no
 * other lock) and the service VM's calls. Inside it are the locks of the bus, of the memory map, and what
 * arch_pci_line() and arch_msi() need; none of those ever waits for this one. The bus's readers take no lock:
 * a vCPU that has found a BAR may come here after it was moved, which does no harm, for regions never change.
 */
struct service_function {
    struct pci_function function;
    struct vm *vm;
    unsigned number;
    struct spinlock lock;
    bool line;    /* the device's INTx */
    bool pin;     /* the level that the pin was last driven to */
    uint8_t msix; /* offset of the capability, 0: none */
    struct pci_msix vectors;
    struct service_bar bar[PCI_BARS];
    struct service_region region[SERVICE_DEVICE_REGIONS];
    unsigned region_count;
    uint8_t initial[PCI_CONFIG_SIZE]; /* configuration at power-on */
};

/* ---- behind the BARs ---- */

/* The region that holds all of an access, or NULL. */
static const struct service_region *region_of(const struct service_bar *bar, uint64_t offset, unsigned size) {
    const struct service_function *f = bar->function;
    return service_region_find(f->region, f->region_count, bar->index, offset, size);
}

/* Messages that may go, go. */
static void send_messages(struct service_function *f) {
    struct pci_msix_message message;
    while (pci_msix_take(&f->vectors, &message))
        /* A message to where nobody listens is lost, as any write. */
        (void)arch_msi(f->vm, message.address, message.data);
}

static int bar_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    const struct service_bar *bar = device;
    struct service_function *f = bar->function;
    const struct service_region *region = region_of(bar, offset, size);
    uint64_t answer = 0;
    int error = 0;

    if (!region)
        return 0; /* *value is 0 */
    switch (region->kind) {
    case SERVICE_REGION_REQUEST:
        error = service_request(vcpu, f->number, bar->index, offset, size, false, &answer);
        break;
    case SERVICE_REGION_MSIX:
        spin_lock(&f->lock);
        answer = pci_msix_table_read(&f->vectors, offset - region->offset, size);
        spin_unlock(&f->lock);
        break;
    case SERVICE_REGION_PBA:
        spin_lock(&f->lock);
        answer = pci_msix_pending_read(&f->vectors, offset - region->offset, size);
        spin_unlock(&f->lock);
        break;
    default: /* doorbells */
        break;
    }
    *value = arch_pci_value(answer, size);
    return error;
}

/* What is no doorbell. Out of line: bar_write() saves no register then. */
__attribute__((noinline)) static int slow_write(const struct service_bar *bar, struct vcpu *vcpu,
                                                uint64_t offset, unsigned size, uint64_t value) {
    struct service_function *f = bar->function;
    const struct service_region *region = region_of(bar, offset, size);

    if (!region)
        return 0;
    value = arch_pci_value(value, size);
    if (region->kind == SERVICE_REGION_REQUEST)
        return service_request(vcpu, f->number, bar->index, offset, size, true, &value);
    if (region->kind == SERVICE_REGION_MSIX) {
        spin_lock(&f->lock);
        pci_msix_table_write(&f->vectors, offset - region->offset, size, value);
        send_messages(f);
        spin_unlock(&f->lock);
    }
    return 0;
}

static int bar_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    const struct service_bar *bar = device;

    if (__builtin_expect(offset - bar->doorbell >= bar->doorbell_size, 0))
        return slow_write(bar, vcpu, offset, size, value);
    service_doorbell(bar->function->number, (unsigned)(offset - bar->doorbell) >> bar->doorbell_shift);
    return 0;
}

static const struct bus_ops bar_ops = {.read = bar_read, .write = bar_write};

/* ---- configuration ---- */

static uint16_t config16(const struct service_function *f, unsigned offset) {
    return (uint16_t)pci_config_read(&f->function, offset, 2);
}

static void drive_pin(struct service_function *f) {
    bool pin = f->line && !(config16(f, COMMAND) & COMMAND_NO_INTX) && !f->vectors.enabled;
    if (pin == f->pin)
        return;
    f->pin = pin;
    arch_pci_line(f->vm, &f->function, pin);
}

static void place_bars(struct service_function *f, bool enabled) {
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (f->bar[i].bar.size)
            pci_bar_place(f->vm, &f->bar[i].bar,
                          enabled ? pci_config_read(&f->function, BAR0 + 4 * i, 4) : PCI_BAR_NOWHERE);
}

/* What the configuration space says takes effect. */
static void apply(struct service_function *f) {
    uint16_t command = config16(f, COMMAND);
    /* Once more for a BAR whose place another one, behind it here, has only then left. */
    place_bars(f, command & COMMAND_MEMORY);
    place_bars(f, command & COMMAND_MEMORY);
    uint16_t control = f->msix ? config16(f, f->msix + PCI_MSIX_CONTROL) : 0;
    pci_msix_set(&f->vectors, control & PCI_MSIX_CONTROL_ENABLE,
                 control & PCI_MSIX_CONTROL_MASK || !(command & COMMAND_MASTER));
    send_messages(f);
    drive_pin(f);
}

/* Whether a byte of the configuration space is the hypervisor's. */
static bool is_ours(const struct service_function *f, unsigned offset) {
    return (offset >= COMMAND && offset < STATUS + 2) || offset == PCI_HEADER_TYPE ||
           (offset >= BAR0 && offset < BAR0 + 4 * PCI_BARS) || (offset >= ROM_BAR && offset < ROM_BAR_END) ||
           offset == PCI_INTERRUPT_PIN ||
           (f->msix && offset >= f->msix && offset < f->msix + PCI_MSIX_CAPABILITY_SIZE);
}

static bool has_ours(const struct service_function *f, unsigned offset, unsigned size) {
    for (unsigned i = 0; i < size; i++)
        if (is_ours(f, offset + i))
            return true;
    return false;
}

static uint32_t config_read(struct vm *vm, struct pci_function *function, unsigned offset, unsigned size) {
    (void)vm;
    struct service_function *f = function->device;
    spin_lock(&f->lock);
    uint32_t value = pci_config_read(function, offset, size);
    spin_unlock(&f->lock);
    return value;
}

static void config_write(struct vm *vm, struct pci_function *function, unsigned offset, unsigned size,
                         uint32_t value) {
    (void)vm;
    struct service_function *f = function->device;
    spin_lock(&f->lock);
    pci_config_write(function, offset, size, value);
    if (has_ours(f, offset, size))
        apply(f);
    spin_unlock(&f->lock);
}

static const struct pci_ops config_ops = {.read = config_read, .write = config_write};

/* ---- what the description has to be ---- */

static bool is_power_of_two(uint32_t value) {
    return value && !(value & (value - 1));
}

static bool region_sound(const struct service_device *d, const struct service_region *r) {
    switch (r->kind) {
    case SERVICE_REGION_REQUEST:
        return true;
    case SERVICE_REGION_DOORBELL:
        return r->stride > DOORBELL_NO_STRIDE && is_power_of_two(r->stride) &&
               r->size <= (uint32_t)r->stride * SERVICE_DOORBELLS;
    case SERVICE_REGION_MSIX:
        return !(r->offset & 7) && r->size >= d->vectors * PCI_MSIX_ENTRY_SIZE;
    case SERVICE_REGION_PBA:
        return !(r->offset & 7) && r->size >= sizeof(uint64_t);
    default:
        return false;
    }
}

/* A BAR has one range of doorbells at most, and a function with MSI-X one table and one array of pending
 * bits. */
static bool regions_sound(const struct service_device *d) {
    unsigned wanted = d->msix ? 1 : 0;

    for (int bar = 0; bar < (int)PCI_BARS; bar++)
        if (service_region_count(d, SERVICE_REGION_DOORBELL, bar) > 1)
            return false;
    return service_regions_sound(d, region_sound) &&
           service_region_count(d, SERVICE_REGION_MSIX, -1) == wanted &&
           service_region_count(d, SERVICE_REGION_PBA, -1) == wanted;
}

static bool msix_sound(const struct service_device *d) {
    if (!d->msix)
        return !d->vectors;
    return !(d->msix & 3) && d->msix >= HEADER_END && d->msix <= PCI_CONFIG_SIZE - PCI_MSIX_CAPABILITY_SIZE &&
           d->config[d->msix] == PCI_MSIX_CAPABILITY && d->vectors && d->vectors <= SERVICE_MAX_VECTORS;
}

static bool description_sound(const struct service_device *d) {
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (d->bar_size[i] && (!is_power_of_two(d->bar_size[i]) || d->bar_size[i] < PAGE_SIZE ||
                               d->bar_size[i] > SERVICE_MAX_BAR))
            return false;
    return d->token && d->bus == SERVICE_BUS_PCI && !d->place &&
           !(d->config[PCI_HEADER_TYPE] & ~HEADER_MULTIPLE) && d->config[PCI_INTERRUPT_PIN] <= 4 &&
           msix_sound(d) && regions_sound(d);
}

/* ---- making one ---- */

static void set_regions(struct service_function *f, const struct service_device *d) {
    for (unsigned i = 0; i < PCI_BARS; i++) {
        f->bar[i] = (struct service_bar){.function = f, .index = i};
        f->bar[i].bar = (struct pci_bar){.size = d->bar_size[i],
                                         .base = PCI_BAR_NOWHERE,
                                         .ops = &bar_ops,
                                         .device = &f->bar[i],
                                         .name = "PCI BAR"};
    }
    while (f->region_count < SERVICE_DEVICE_REGIONS &&
           d->region[f->region_count].kind != SERVICE_REGION_NONE) {
        const struct service_region *r = &d->region[f->region_count];
        f->region[f->region_count++] = *r;
        if (r->kind == SERVICE_REGION_DOORBELL) {
            f->bar[r->bar].doorbell = r->offset;
            f->bar[r->bar].doorbell_size = r->size;
            f->bar[r->bar].doorbell_shift = (unsigned)__builtin_ctz(r->stride);
        }
    }
}

static const struct service_region *region_of_kind(const struct service_function *f, uint8_t kind) {
    unsigned i = 0;
    while (f->region[i].kind != kind)
        i++; /* one is there: regions_sound() */
    return &f->region[i];
}

/* The capability's fields but for its ID and link, which are the service VM's (6.8.2.3 to 6.8.2.5). */
static void set_capability(struct service_function *f) {
    struct pci_function *function = &f->function;
    const struct service_region *table = region_of_kind(f, SERVICE_REGION_MSIX);
    const struct service_region *pending = region_of_kind(f, SERVICE_REGION_PBA);
    pci_config_set16(function, f->msix + PCI_MSIX_CONTROL, (uint16_t)(f->vectors.count - 1));
    pci_config_set32(function, f->msix + PCI_MSIX_TABLE, table->offset | table->bar);
    pci_config_set32(function, f->msix + PCI_MSIX_PBA, pending->offset | pending->bar);
    function->writable[f->msix + PCI_MSIX_CONTROL + 1] =
        (PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASK) >> 8;
}

static void set_config(struct service_function *f, const struct service_device *d) {
    struct pci_function *function = &f->function;
    function->devfn = d->devfn;
    function->ops = &config_ops;
    function->device = f;
    memcpy(function->config, d->config, PCI_CONFIG_SIZE);
    memcpy(function->writable, d->writable, PCI_CONFIG_SIZE);
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        if (is_ours(f, i))
            function->writable[i] = 0;
    uint16_t status = config16(f, STATUS) & STATUS_BITS;
    pci_config_set16(function, COMMAND, 0);
    pci_config_set16(function, STATUS, status);
    function->writable[COMMAND] = COMMAND_BITS & 0xff;
    function->writable[COMMAND + 1] = COMMAND_BITS >> 8;
    memset(&function->config[BAR0], 0, 4 * PCI_BARS); /* memory, 32 bits, not prefetchable */
    memset(&function->config[ROM_BAR], 0, ROM_BAR_END - ROM_BAR);
    for (unsigned i = 0; i < PCI_BARS; i++)
        for (unsigned byte = 0; byte < 4 && d->bar_size[i]; byte++)
            function->writable[BAR0 + 4 * i + byte] = (uint8_t)(~(d->bar_size[i] - 1) >> 8 * byte);
    if (f->msix)
        set_capability(f);
    memcpy(f->initial, function->config, PCI_CONFIG_SIZE);
}

int service_pci_create(struct vm *vm, unsigned number, const struct service_device *description,
                       struct service_function **out) {
    if (!description_sound(description))
        return -EINVAL;
    struct service_function *f = heap_allocate(sizeof(*f), &vm->memory.account);
    if (!f)
        return -ENOMEM;
    f->vm = vm;
    f->number = number;
    f->msix = description->msix;
    f->vectors.count = description->vectors;
    set_regions(f, description);
    set_config(f, description);
    pci_msix_reset(&f->vectors);
    int error = arch_pci_add(vm, &f->function);
    if (error)
        heap_free(f, sizeof(*f), &vm->memory.account);
    else
        *out = f;
    return error;
}

/* With the lock held. */
static void set_defaults(struct service_function *f) {
    f->line = false;
    memcpy(f->function.config, f->initial, PCI_CONFIG_SIZE);
    pci_msix_reset(&f->vectors);
    apply(f);
}

void service_pci_reset(struct service_function *f) {
    spin_lock(&f->lock);
    set_defaults(f);
    spin_unlock(&f->lock);
}

void service_pci_destroy(struct service_function *f) {
    struct vm *vm = f->vm;
    arch_pci_remove(vm, &f->function);
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (f->bar[i].bar.size)
            pci_bar_place(vm, &f->bar[i].bar, PCI_BAR_NOWHERE);
    heap_free(f, sizeof(*f), &vm->memory.account);
}

/* ---- the service VM's calls ---- */

int service_pci_config(struct service_function *f, unsigned offset, unsigned size, uint32_t value) {
    if ((size != 1 && size != 2 && size != 4) || offset > PCI_CONFIG_SIZE - size || has_ours(f, offset, size))
        return -EINVAL;
    spin_lock(&f->lock);
    for (unsigned i = 0; i < size; i++)
        f->function.config[offset + i] = (uint8_t)(value >> 8 * i);
    spin_unlock(&f->lock);
    return 0;
}

int service_pci_interrupt(struct service_function *f, unsigned vector) {
    int result = 0;
    spin_lock(&f->lock);
    if (!f->vectors.enabled) {
        result = -ENXIO;
    } else if (vector >= f->vectors.count) {
        result = -EINVAL;
    } else {
        pci_msix_raise(&f->vectors, vector);
        send_messages(f);
    }
    spin_unlock(&f->lock);
    return result;
}

static void set_line(struct service_function *f, bool level) {
    f->line = level;
    f->function.config[STATUS] =
        (uint8_t)((f->function.config[STATUS] & ~STATUS_INTX) | (level ? STATUS_INTX : 0));
}

int service_pci_line(struct service_function *f, bool level) {
    if (!f->function.config[PCI_INTERRUPT_PIN])
        return -EINVAL;
    spin_lock(&f->lock);
    set_line(f, level);
    drive_pin(f);
    spin_unlock(&f->lock);
    return 0;
}

/* ---- saved state ---- */

void service_pci_save(struct service_function *f, struct state_writer *writer) {
    spin_lock(&f->lock);
    state_put(writer, f->function.config, PCI_CONFIG_SIZE);
    pci_msix_save(&f->vectors, writer);
    spin_unlock(&f->lock);
}

/* The header and what is ours have to be as here where nobody can change them; INTx is the device's. */
static bool config_sound(const struct service_function *f, const uint8_t config[PCI_CONFIG_SIZE]) {
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
        uint8_t free = f->function.writable[i];
        if (i == STATUS && f->initial[PCI_INTERRUPT_PIN])
            free |= STATUS_INTX;
        if ((i < HEADER_END || is_ours(f, i)) && (config[i] ^ f->initial[i]) & ~free)
            return false;
    }
    return true;
}

int service_pci_load(struct service_function *f, struct state_reader *reader) {
    uint8_t config[PCI_CONFIG_SIZE];
    state_get(reader, config, sizeof(config));
    spin_lock(&f->lock);
    set_defaults(f);
    bool good = pci_msix_load(&f->vectors, reader) && !reader->error && config_sound(f, config);
    if (good) {
        memcpy(f->function.config, config, sizeof(config));
        set_line(f, config[STATUS] & STATUS_INTX);
        apply(f);
    } else {
        set_defaults(f);
    }
    spin_unlock(&f->lock);
    return good ? 0 : -EINVAL;
}
