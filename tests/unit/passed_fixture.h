// SPDX-License-Identifier: Apache-2.0
// For unit tests of functions of the machine that a guest has to itself: a machine with a few, behind an
// IOMMU of the test's, and what a guest's bus, memory map and interrupts are told. Included by one file of a
// test program.
#ifndef SAGUARO_TESTS_PASSED_FIXTURE_H
#define SAGUARO_TESTS_PASSED_FIXTURE_H

#include "host_pci_fixture.h"
/* The guest's side and the machine's side have these each for themselves. */
#undef PCI_HEADER_TYPE
#undef PCI_INTERRUPT_PIN
#include "core/main.h"
#include "core/vm.h"
#include "devices/passed_function.h"
#include "devices/pci_function.h"
#include "drivers/iommu/iommu.h"
#include "lib/config.h"

struct cpu *test_cpu;
uint64_t test_time = 5000000000ull;

#define DEVFN 0xc0u
#define MSIX  0x98u
#define MSI   0x50u
#define EXP   0x60u
#define POWER 0x40u
#define OTHER 0x80u /* a capability that no guest sees */

static struct function *nvme, *old, *ahci, *bus_nic, *port;

static struct {
    struct vm vm;
    struct config_guest config;
    struct pci_function *function; /* on the guest's bus */
    bool taken;
    struct {
        uint64_t base, size, physical;
    } shown[16];
    unsigned shown_count;
    struct {
        uint64_t base, size, physical;
    } rom; /* what is shown read-only; size 0: nothing */
    const struct boot_rom *boot_rom;
    int show_error;
    unsigned frees;
    struct {
        uint64_t address;
        uint32_t data;
    } sent[1024];
    unsigned sent_count;
    struct {
        void (*handler)(void *context);
        void *context;
    } message[64];
    unsigned messages, message_room;
    unsigned passed_count; /* functions that guests have, by the config */
    bool iommu, covers, remaps, wants_memory;
    unsigned interrupts;               /* entries that are taken */
    const struct iommu_domain *domain; /* that something is attached to */
    uint16_t attached;
    unsigned attach_write; /* writes to PCI before the last change of these */
    const char *attach_why;
    const struct iommu_domain *refused; /* a domain that it cannot be in */
    uint32_t registers[3][2048];        /* what is behind trapped pages */
    uint64_t mapped[3];
    unsigned mappings;
    bool no_map;
    uint64_t no_device; /* RAM lies there */
} world;

void panic(const char *format, ...) {
    fail_msg("%s", format);
    abort();
}
bool log_allowed(struct log_limit *limit) {
    (void)limit;
    return true;
}
void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    world.frees += object != NULL;
    free(object);
}

/* ---- the guest's machine */

int arch_pci_add(struct vm *vm, struct pci_function *function) {
    assert_ptr_equal(vm, &world.vm);
    if (world.taken)
        return -EEXIST;
    world.function = function;
    return 0;
}
void arch_pci_remove(struct vm *vm, struct pci_function *function) {
    assert_ptr_equal(vm, &world.vm);
    assert_ptr_equal(function, world.function);
    world.function = NULL;
}
uint64_t arch_pci_memory(struct vm *vm, uint32_t address) {
    (void)vm;
    return address >> 20 == 0xfee ? UINT64_MAX : address;
}
int arch_msi(struct vm *vm, uint64_t address, uint32_t data) {
    assert_ptr_equal(vm, &world.vm);
    assert_true(world.sent_count < array_count(world.sent));
    world.sent[world.sent_count].address = address;
    world.sent[world.sent_count++].data = data;
    return 0;
}
int guest_memory_place_device(struct vm *vm, uint64_t base, uint64_t size, uint64_t physical) {
    assert_ptr_equal(vm, &world.vm);
    if (world.show_error)
        return world.show_error;
    assert_true(world.shown_count < array_count(world.shown));
    world.shown[world.shown_count].base = base;
    world.shown[world.shown_count].size = size;
    world.shown[world.shown_count++].physical = physical;
    return 0;
}
int guest_memory_place_shown(struct vm *vm, uint64_t base, uint64_t size, uint64_t physical) {
    assert_ptr_equal(vm, &world.vm);
    if (world.show_error)
        return world.show_error;
    assert_int_equal(world.rom.size, 0);
    world.rom.base = base;
    world.rom.size = size;
    world.rom.physical = physical;
    return 0;
}
const struct boot_rom *boot_rom_find(uint16_t segment, uint8_t bus, uint8_t devfn) {
    const struct boot_rom *rom = world.boot_rom;
    return rom && rom->segment == segment && rom->bus == bus && rom->devfn == devfn ? rom : NULL;
}
unsigned boot_passed_count(void) {
    return world.passed_count;
}
int guest_memory_remove(struct vm *vm, uint64_t base, uint64_t size) {
    assert_ptr_equal(vm, &world.vm);
    if (world.rom.size && world.rom.base == base && world.rom.size == size) {
        world.rom.size = 0;
        return 0;
    }
    for (unsigned i = 0; i < world.shown_count; i++)
        if (world.shown[i].base == base && world.shown[i].size == size) {
            world.shown[i] = world.shown[--world.shown_count];
            return 0;
        }
    assert_int_not_equal(world.show_error, 0);
    return 0;
}

/* Where the guest finds physical registers; 0: nowhere. */
static inline uint64_t place_of(uint64_t physical) {
    for (unsigned i = 0; i < world.shown_count; i++)
        if (physical - world.shown[i].physical < world.shown[i].size)
            return world.shown[i].base + (physical - world.shown[i].physical);
    return 0;
}

/* ---- the machine's */

bool arch_host_pci_memory(uint64_t physical, uint64_t size) {
    return world.no_device < physical || world.no_device >= physical + size;
}
void *arch_device_map(uint64_t physical, uint64_t size) {
    assert_true(size <= sizeof(world.registers[0]));
    if (world.no_map)
        return NULL;
    for (unsigned i = 0; i < world.mappings; i++)
        if (world.mapped[i] == physical)
            return world.registers[i];
    assert_true(world.mappings < array_count(world.mapped));
    world.mapped[world.mappings] = physical;
    return world.registers[world.mappings++];
}
int arch_host_message(void (*handler)(void *context), void *context, uint64_t *address, uint32_t *data) {
    if (world.messages == world.message_room)
        return -ENOSPC;
    world.message[world.messages].handler = handler;
    world.message[world.messages].context = context;
    *address = 0xfee01000;
    *data = 0x40 + world.messages++;
    return 0;
}
static inline void host_message(unsigned number) {
    assert_true(number < world.messages);
    world.message[number].handler(world.message[number].context);
}

/* ---- the timer */

static struct timer *timer; /* that is armed; NULL: none */

void timer_init(struct timer *of, void (*function)(struct timer *timer)) {
    of->function = function;
}
void timer_arm(struct timer *which, uint64_t deadline) {
    assert_null(timer);
    timer = which;
    timer->deadline = deadline;
}
bool timer_cancel(struct timer *which) {
    bool was = timer == which;
    timer = was ? NULL : timer;
    return was;
}
static inline void timer_fire(void) {
    struct timer *which = timer;
    assert_non_null(which);
    test_time = which->deadline;
    timer = NULL;
    which->function(which);
}

/* ---- the IOMMU */

bool iommu_present(void) {
    return world.iommu;
}
bool iommu_covers(const struct iommu_device *device) {
    (void)device;
    return world.covers;
}
bool iommu_wants_memory(const struct iommu_device *device) {
    (void)device;
    return world.wants_memory;
}
int iommu_interrupt_allocate(const struct iommu_device *device) {
    (void)device;
    if (!world.remaps)
        return -ENODEV;
    return (int)world.interrupts++;
}
int iommu_interrupt_remap(const struct iommu_device *device, uint64_t *address, uint32_t *data) {
    int number = iommu_interrupt_allocate(device);
    if (number < 0)
        return number;
    assert_int_equal(*address, 0xfee01000);
    *address = 0xfee00010 | (*data & 0x3f) << 5;
    *data = 0;
    return number;
}
void iommu_interrupt_free(int interrupt) {
    assert_true(interrupt >= 0);
    assert_true(world.interrupts > 0);
    world.interrupts--;
}
const char *iommu_attach(struct iommu_domain *domain, const struct iommu_device *device) {
    assert_null(world.domain);
    world.attach_write = machine.writes;
    if (world.attach_why)
        return world.attach_why;
    if (world.refused == domain)
        return "a function that it cannot be kept apart from is somebody else's";
    world.domain = domain;
    world.attached = device->id[0];
    return NULL;
}
void iommu_detach(struct iommu_domain *domain, const struct iommu_device *device) {
    assert_ptr_equal(world.domain, domain);
    assert_int_equal(world.attached, device->id[0]);
    world.attach_write = machine.writes;
    world.domain = NULL;
}

/* ---- a machine, found once */

static inline int find_machine(void **state) {
    (void)state;
    machine.buses = 1;
    add(0, 0, 0, 0x29c08086, 0x060000);
    /* An NVMe disk as they are: MSI-X within its only BAR. */
    nvme = add(0, 3, 0, 0x00101b36, 0x010802);
    add_bar(nvme, 0, 0x3800004000ull, 0x4000);
    put(nvme, PCI_BAR, 4, 0x00004004 | 8);
    put(nvme, 0x2c, 4, 0x11001af4);
    put(nvme, PCI_COMMAND, 2, 7);
    nvme->space[0x3d] = 1;
    add_capability(nvme, MSIX, PCI_CAPABILITY_MSIX);
    put(nvme, MSIX + 2, 2, 64); /* 65 */
    can_write(nvme, MSIX + 2, 2, 0xc000);
    put(nvme, MSIX + 4, 4, 0x2000);
    put(nvme, MSIX + 8, 4, 0x3000);
    add_capability(nvme, OTHER, 0x09);
    put(nvme, OTHER + 4, 4, 0x12345678);
    add_capability(nvme, EXP, PCI_CAPABILITY_EXPRESS);
    put(nvme, EXP + 2, 2, 0x0002);
    put(nvme, EXP + 4, 4, 1u << 28 | 0x8fc1);
    put(nvme, EXP + 8, 2, 0x281f);
    can_write(nvme, EXP + 8, 2, 0xffff);
    put(nvme, EXP + 12, 4, 0x00411c42);
    add_capability(nvme, POWER, 1);
    put(nvme, POWER + 2, 2, 0xce03);
    put(nvme, POWER + 4, 2, 0x2103);
    /* One that cannot be reset. */
    old = add(0, 4, 0, 0x100f8086, 0x020000);
    add_bar(old, 0, 0xfebc0000, 0x20000);
    add_capability(old, MSI, PCI_CAPABILITY_MSI);
    put(old, MSI + 2, 2, 0x80);
    /* The second function of a slot whose first one the hypervisor needs. */
    struct function *lpc = add(0, 0x1f, 0, 0x29188086, 0x060100);
    lpc->space[0x0e] = 0x80;
    ahci = add(0, 0x1f, 2, 0x29228086, 0x010601);
    add_bar(ahci, 5, 0xfebb0000, 0x1000);
    add_capability(ahci, MSI, PCI_CAPABILITY_MSI);
    put(ahci, MSI + 2, 2, 0x80);
    /* A card alone below a port, with MSI and a BAR that is less than a page. */
    port = add_bridge(0, 5, 1, 1);
    add_capability(port, 0x54, PCI_CAPABILITY_EXPRESS);
    port->space[0x54 + 2] = 0x42;
    can_write(port, 0x3e, 2, 0x7f);
    bus_nic = add(1, 0, 0, 0x10d38086, 0x020000);
    add_bar(bus_nic, 0, 0xfe800000, 0x20000);
    add_bar(bus_nic, 2, 0xfe820000, 0x100);
    add_capability(bus_nic, MSI, PCI_CAPABILITY_MSI);
    put(bus_nic, MSI + 2, 2, 0x0180);
    can_write(bus_nic, MSI + 2, 2, 0x71);
    can_write(bus_nic, MSI + 4, 4, UINT32_MAX);
    can_write(bus_nic, MSI + 8, 4, UINT32_MAX);
    can_write(bus_nic, MSI + 12, 2, UINT32_MAX);
    can_write(bus_nic, MSI + 16, 4, UINT32_MAX);
    add(0, 6, 0, 0x11111234, 0x030000);
    host_pci_init();
    assert_int_equal(host_pci_count(), 8);
    return 0;
}

static inline struct host_pci *host_of(const struct function *f) {
    for (unsigned i = 0; i < host_pci_count(); i++)
        if (host_pci_get(i)->bus == f->bus && host_pci_get(i)->devfn == f->devfn)
            return host_pci_get(i);
    fail();
    return NULL;
}

#define NVME  "0000:00:03.0"
#define CARD  "01:00.0"
#define TENTH 100000000ull

static struct passed_function *f;
static struct iommu_domain *const domain = (struct iommu_domain *)&world.domain; /* never looked into */

static inline int setup(void **state) {
    (void)state;
    memset(&world, 0, sizeof(world));
    snprintf(world.vm.name, sizeof(world.vm.name), "web");
    world.vm.config = &world.config;
    assert_int_equal(bus_init(&world.vm.bus[BUS_MEMORY]), 0);
    world.vm.memory.region[0] = (struct guest_region){.base = 0, .size = 0x10000000};
    world.vm.memory.region_count = 1;
    world.iommu = world.covers = world.remaps = true;
    world.passed_count = 3;
    world.message_room = 64;
    world.no_device = UINT64_MAX;
    machine.writes = 0;
    test_time += 1000000000ull;
    test_time_step = 1000; /* each look at the clock: a bus is held in reset for a while */
    text[0] = 0;
    f = NULL;
    put(nvme, EXP + 8, 2, 0x2810); /* a reset that was asked for is over */
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    if (f) {
        passed_function_stop(f, false);
        passed_function_end(f, false);
        passed_function_destroy(f);
        assert_null(world.function);
    }
    assert_null(world.domain);
    assert_int_equal(world.interrupts, 0);
    bus_destroy(&world.vm.bus[BUS_MEMORY]);
    return 0;
}

static inline void create(const char *address) {
    assert_int_equal(passed_function_create(&world.vm, address, DEVFN, &f), 0);
    assert_int_equal(world.function->devfn, DEVFN);
}

static inline void start(const char *address) {
    create(address);
    test_time += TENTH;
    assert_null(passed_function_start(f, domain));
}

static inline uint32_t get(unsigned offset, unsigned size) {
    return world.function->ops->read(&world.vm, world.function, offset, size);
}
static inline void set(unsigned offset, unsigned size, uint32_t value) {
    world.function->ops->write(&world.vm, world.function, offset, size, value);
}
static inline uint64_t peek(uint64_t address, unsigned size) {
    uint64_t value = 0;
    bus_read(&world.vm.bus[BUS_MEMORY], NULL, address, size, &value);
    return value;
}
static inline void poke(uint64_t address, unsigned size, uint64_t value) {
    bus_write(&world.vm.bus[BUS_MEMORY], NULL, address, size, value);
}
static inline unsigned command(const struct function *function) {
    return pci_space16(function->space, PCI_COMMAND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
