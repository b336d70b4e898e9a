// SPDX-License-Identifier: Apache-2.0
// The guest's e500 board: its memory, global utilities, GPIO and the power switch, PCI host, spin table, the
// serial port on the MPIC, and all parts saved and loaded together.
// unit-sources: arch/ppc/guest/board.c arch/ppc/guest/gpio.c arch/ppc/guest/guts.c arch/ppc/guest/mpic.c
// unit-sources: arch/ppc/guest/mpic_registers.c arch/ppc/guest/mpic_state.c arch/ppc/guest/mpic_timer.c
// unit-sources: arch/ppc/guest/pci.c arch/ppc/guest/spin_table.c devices/pci_function.c devices/uart16550.c
// unit-sources: core/bus.c core/platform.c lib/state.c
#include "abi/service.h"
#include "ppc_fixture.h"
#include "arch/ppc/guest/gpio.h"
#include "arch/ppc/guest/mpic.h"
#include "arch/ppc/guest/pci.h"
#include "arch/ppc/guest/spin_table.h"
#include "arch/ppc/guest/vcpu_state.h"

#define GUTS  (BOARD_CCSR + BOARD_GUTS)
#define GPIO  (BOARD_CCSR + BOARD_GPIO)
#define PCI   (BOARD_CCSR + BOARD_PCI)
#define UART  (BOARD_CCSR + BOARD_UART)
#define MPIC  (BOARD_CCSR + BOARD_MPIC)
#define GPDIR 0x0u
#define GPODR 0x4u
#define GPDAT 0x8u
#define GPIER 0xcu

/* The vCPUs' registers have their own tests. */
const struct part ppc_cpu_part = {.name = "ppc.cpu", .version = 1, .per_vcpu = 1};

/* ---- guest memory: what the board asks for ---- */

static struct {
    uint64_t size;
    uint64_t placed;
    int create_error, place_error;
} memory;

int guest_memory_create(struct vm *which, uint64_t size) {
    assert_ptr_equal(which, vm());
    if (!memory.create_error)
        memory.size = size;
    return memory.create_error;
}

void guest_memory_destroy(struct vm *which) {
    assert_ptr_equal(which, vm());
    assert_int_not_equal(memory.size, 0);
    memory.size = 0;
}

int guest_memory_place(struct vm *which, uint64_t base, uint64_t size, uint64_t offset,
                       enum guest_region_kind kind) {
    assert_ptr_equal(which, vm());
    assert_int_equal(base, 0);
    assert_int_equal(offset, 0);
    assert_int_equal(kind, GUEST_RAM);
    memory.placed = size;
    return memory.place_error;
}

void panic(const char *format, ...) {
    fail_msg("panic: %s", format);
    abort();
}

/* ---- helpers ---- */

static int start(void **state) {
    (void)state;
    fixture_init();
    memset(&memory, 0, sizeof(memory));
    fixture.vm.board = NULL;
    vm()->platform = NULL;
    assert_int_equal(board_create(vm()), 0);
    assert_int_equal(platform_create(vm()), 0);
    platform_reset(vm());
    return 0;
}

static int stop(void **state) {
    (void)state;
    platform_destroy(vm());
    board_destroy(vm());
    assert_int_equal(memory.size, 0);
    fixture_done();
    return 0;
}

static uint32_t get(uint64_t address) {
    int error;
    uint32_t value = (uint32_t)peek(0, address, 4, &error);
    assert_int_equal(error, 0);
    return value;
}

static void set(uint64_t address, uint32_t value) {
    assert_int_equal(poke(0, address, 4, value), 0);
}

static void is_nobodys(uint64_t address, unsigned size) {
    int error;
    peek(0, address, size, &error);
    assert_int_equal(error, -ENXIO);
    assert_int_equal(poke(0, address, size, 0), -ENXIO);
}

/* ---- tests ---- */

static void test_memory(void **state) {
    (void)state;
    assert_int_equal(memory.size, 64u << 20);
    assert_int_equal(memory.placed, 64u << 20);
    assert_ptr_equal(vm()->platform, &board_platform);
}

static void test_create_errors(void **state) {
    (void)state;
    fixture_init();
    memset(&memory, 0, sizeof(memory));
    fixture.vm.board = NULL;
    fixture.config.memory = BOARD_RAM_MAX + 4096;
    assert_int_equal(board_create(vm()), -EINVAL);
    fixture.config.memory = BOARD_RAM_MAX;
    fixture.heap_left = 0;
    assert_int_equal(board_create(vm()), -ENOMEM);
    fixture.heap_left = 100;
    memory.create_error = -ENOMEM;
    assert_int_equal(board_create(vm()), -ENOMEM);
    memory.create_error = 0;
    memory.place_error = -ENOSPC;
    assert_int_equal(board_create(vm()), -ENOSPC);
    assert_int_equal(memory.size, 0);
    assert_null(fixture.vm.board);
    memory.place_error = 0;
    assert_int_equal(board_create(vm()), 0);
    size_t before = fixture.heap;
    /* Each part that fails takes the ones before it away again. */
    unsigned left;
    for (left = 0; left < 20; left++) {
        fixture.heap_left = left;
        int error = platform_create(vm());
        if (!error)
            break;
        assert_int_equal(error, -ENOMEM);
        assert_int_equal(fixture.heap, before);
    }
    assert_in_range(left, 5, 10);
    stop(state);
}

static void test_guts(void **state) {
    (void)state;
    assert_int_equal(get(GUTS + 0xa0), PPC_GUEST_PVR);
    assert_int_equal(get(GUTS + 0xa4), PPC_GUEST_SVR);
    assert_int_equal(get(GUTS + 0x0c), 0);
    set(GUTS + 0x0c, UINT32_MAX);
    set(GUTS + 0xb0, 1);
    is_nobodys(GUTS + 0xa0, 1);
    is_nobodys(GUTS + 0xa2, 4);
    assert_int_equal(fixture.end, VM_END_NONE);
    set(GUTS + 0xb0, 2);
    assert_int_equal(fixture.end, VM_END_RESET);
}

static void test_gpio(void **state) {
    (void)state;
    set(GPIO + GPODR, 0x12345678);
    assert_int_equal(get(GPIO + GPODR), 0x12345678);
    set(GPIO + GPIER, UINT32_MAX); /* events are cleared by writing, and there are none */
    assert_int_equal(get(GPIO + GPIER), 0);
    set(GPIO + 0x18, UINT32_MAX);
    assert_int_equal(get(GPIO + 0x18), 0);
    set(GPIO + GPDAT, 0xffffffff); /* all are inputs */
    assert_int_equal(get(GPIO + GPDAT), 0);
    set(GPIO + GPDIR, 0x7fffffff);
    assert_int_equal(get(GPIO + GPDAT), 0x7fffffff);
    assert_int_equal(fixture.end, VM_END_NONE);
    part_round_trip(&gpio_part);
    assert_int_equal(get(GPIO + GPDIR), 0x7fffffff);
    is_nobodys(GPIO, 2);
    set(GPIO + GPDAT, 0);
    set(GPIO + GPDIR, 0x80000000); /* the pin is driven low */
    assert_int_equal(fixture.end, VM_END_NONE);
    set(GPIO + GPDAT, 0x80000000);
    assert_int_equal(fixture.end, VM_END_POWER_OFF);
}

static void test_gpio_direction(void **state) {
    (void)state;
    set(GPIO + GPDAT, 0x80000000);
    assert_int_equal(fixture.end, VM_END_NONE);
    set(GPIO + GPDIR, 0x80000000); /* high as soon as it is an output */
    assert_int_equal(fixture.end, VM_END_POWER_OFF);
}

static void test_gpio_state(void **state) {
    (void)state;
    set(GPIO + GPODR, 7);
    part_truncation(&gpio_part);
    assert_int_equal(get(GPIO + GPODR), 0);
    assert_int_equal(part_load_changed(&gpio_part, 12, 1), -EINVAL); /* GPIER */
}

/* Configuration cycles as the guest's CPU makes them: CONFIG_DATA is little-endian. */
static uint32_t config_get(uint32_t address, unsigned size) {
    uint64_t value;
    set(PCI, 0x80000000u | (address & ~3u));
    value = peek(0, PCI + 4 + (address & 3), size, NULL);
    return size == 4   ? __builtin_bswap32((uint32_t)value)
           : size == 2 ? __builtin_bswap16((uint16_t)value)
                       : (uint8_t)value;
}

static void config_set(uint32_t address, unsigned size, uint32_t value) {
    set(PCI, 0x80000000u | (address & ~3u));
    if (size == 4)
        value = __builtin_bswap32(value);
    else if (size == 2)
        value = __builtin_bswap16((uint16_t)value);
    assert_int_equal(poke(0, PCI + 4 + (address & 3), size, value), 0);
}

static uint32_t odd_read(struct vm *which, struct pci_function *function, unsigned offset, unsigned size) {
    assert_ptr_equal(which, vm());
    assert_ptr_equal(function->device, &fixture);
    return offset << 8 | size;
}

static unsigned odd_written;
static void odd_write(struct vm *which, struct pci_function *function, unsigned offset, unsigned size,
                      uint32_t value) {
    assert_ptr_equal(which, vm());
    assert_ptr_equal(function->device, &fixture);
    assert_int_equal(offset, 0x42);
    assert_int_equal(size, 2);
    odd_written = value;
}

static void test_pci(void **state) {
    (void)state;
    assert_int_equal(config_get(0, 4), 0x00301957);
    assert_int_equal(config_get(0, 2), 0x1957);
    assert_int_equal(config_get(2, 2), 0x0030);
    assert_int_equal(config_get(1, 1), 0x19);
    assert_int_equal(config_get(8, 4), 0x0b200000); /* a PowerPC processor, as the host */
    assert_int_equal(config_get(0x0e, 1), 0);
    assert_int_equal(config_get(4, 2), 4);
    config_set(4, 2, 0xffff);
    assert_int_equal(config_get(4, 2), 0x147);
    assert_int_equal(config_get(6, 2), 0xa0);
    config_set(0, 4, 0);
    assert_int_equal(config_get(0, 4), 0x00301957);
    config_set(0x10, 4, UINT32_MAX); /* CCSR's window: 1 MiB */
    assert_int_equal(config_get(0x10, 4), 0xfff00000);
    config_set(0x14, 4, UINT32_MAX);
    assert_int_equal(config_get(0x14, 4), 0);
    config_set(0x0d, 1, 0x80);
    assert_int_equal(config_get(0x0c, 2), 0x8000);
    /* Nobody else is there, on no bus. */
    assert_int_equal(config_get(1 << 11, 4), UINT32_MAX);
    assert_int_equal(config_get(1 << 8, 2), 0xffff);
    assert_int_equal(config_get(1 << 16, 4), UINT32_MAX);
    config_set(1 << 16 | 0x10, 4, 0);
    assert_int_equal(config_get(0x10, 4), 0xfff00000);
    set(PCI, 0); /* not enabled */
    assert_int_equal(get(PCI + 4), UINT32_MAX);
    set(PCI, UINT32_MAX);
    assert_int_equal(get(PCI), 0x80fffffc);
    /* Windows are registers; what is reserved is nothing. */
    set(PCI + 0xc20, 0xe0000);
    set(PCI + 0xdf0, 0xa0f44019);
    set(PCI + 0xd20, 1);
    set(PCI + 0xe00, 1);
    assert_int_equal(get(PCI + 0xc20), 0xe0000);
    assert_int_equal(get(PCI + 0xdf0), 0xa0f44019);
    assert_int_equal(get(PCI + 0xd20), 0);
    assert_int_equal(get(PCI + 0xe00), 0);
    assert_int_equal(get(PCI + 0xbf8), 0);
    is_nobodys(PCI + 5, 4);
    is_nobodys(PCI + 0xc20, 2);
    part_round_trip(&pci_part);
    assert_int_equal(get(PCI + 0xc20), 0xe0000);
    assert_int_equal(config_get(4, 2), 0x147);
    /* Another function. */
    const struct pci_ops ops = {.read = odd_read, .write = odd_write};
    struct pci_function odd = {.devfn = 1 << 3, .ops = &ops, .device = &fixture};
    assert_int_equal(pci_add(vm(), &odd), 0);
    assert_int_equal(pci_add(vm(), &odd), -EEXIST);
    assert_int_equal(config_get(1 << 11 | 0x40, 4), 0x4004);
    assert_int_equal(config_get(1 << 11 | 0x42, 2), 0x4202);
    config_set(1 << 11 | 0x42, 2, 0xabcd);
    assert_int_equal(odd_written, 0xabcd);
    struct pci_function other = {.devfn = 1 << 3};
    pci_remove(vm(), &other); /* was never there */
    assert_int_equal(config_get(1 << 11 | 0x40, 4), 0x4004);
    pci_remove(vm(), &odd);
    assert_int_equal(config_get(1 << 11 | 0x40, 4), UINT32_MAX);
    assert_int_equal(pci_add(vm(), &other), 0);
    pci_remove(vm(), &other);
}

#define ACTIVE 0x40000000u
#define MASKED 0x80000000u
#define VPR(n) (MPIC + 0x10000u + 0x20 * (n))

/* Whether a source's line is up, as the guest sees it of one that is not masked. */
static bool is_up(unsigned source) {
    return get(VPR(source)) & ACTIVE;
}

static void test_pci_pins(void **state) {
    (void)state;
    struct pci_function a = {.devfn = 1 << 3}, b = {.devfn = 5 << 3};
    a.config[PCI_INTERRUPT_PIN] = b.config[PCI_INTERRUPT_PIN] = 1;
    for (unsigned i = 1; i <= 4; i++)
        set(VPR(i), 0x00400000); /* level */
    assert_int_equal(arch_pci_add(vm(), &a), 0);
    assert_int_equal(arch_pci_add(vm(), &b), 0);
    arch_pci_line(vm(), &a, true);
    arch_pci_line(vm(), &a, true);
    assert_true(is_up(2));
    arch_pci_line(vm(), &b, true); /* shares the line */
    arch_pci_line(vm(), &a, false);
    assert_true(is_up(2));
    arch_pci_line(vm(), &b, false);
    assert_false(is_up(2));
    for (unsigned pin = 1; pin <= 4; pin++) {
        a.config[PCI_INTERRUPT_PIN] = (uint8_t)pin;
        arch_pci_line(vm(), &a, true);
        for (unsigned i = 1; i <= 4; i++)
            assert_int_equal(is_up(i), i == 1 + pin % 4);
        arch_pci_line(vm(), &a, false);
    }
    a.config[PCI_INTERRUPT_PIN] = 0; /* has none */
    arch_pci_line(vm(), &a, true);
    assert_false(a.intx);
    arch_pci_line(vm(), &b, true);
    platform_reset(vm()); /* is the device's */
    set(VPR(2), 0x00400000);
    assert_true(is_up(2));
    arch_pci_remove(vm(), &b); /* takes it with it */
    assert_false(is_up(2));
    arch_pci_remove(vm(), &a);
}

/* Devices that are on no bus: each has its own registers and its own source. */
static void test_mmio_lines(void **state) {
    (void)state;
    assert_true(arch_mmio_place(0) == BOARD_MMIO);
    assert_true(arch_mmio_place(SERVICE_MMIO_PLACES - 1) == BOARD_MMIO + 0x12000);
    for (unsigned i = 0; i < SERVICE_MMIO_PLACES; i++)
        set(VPR(BOARD_MMIO_IRQ + i), 0x00c00000); /* level, high */
    for (unsigned place = 0; place < SERVICE_MMIO_PLACES; place++) {
        arch_mmio_line(vm(), place, true);
        for (unsigned i = 0; i < SERVICE_MMIO_PLACES; i++)
            assert_int_equal(is_up(BOARD_MMIO_IRQ + i), i == place);
        arch_mmio_line(vm(), place, false);
        assert_false(is_up(BOARD_MMIO_IRQ + place));
    }
}

static void test_pci_messages(void **state) {
    (void)state;
    const uint64_t msiir = 0xdff00000 + BOARD_MPIC + 0x1740;
    /* As Linux has it: message register 5, bit 17 is interrupt 5 * 32 + 17, and that is the data. */
    const uint32_t data = 5 * 32 + 17;
    assert_int_equal(arch_msi(vm(), msiir, data), -EINVAL); /* the window has no place */
    config_set(0x10, 4, 0xdff00000);
    assert_int_equal(arch_msi(vm(), msiir, data), -EINVAL); /* nor is it open */
    assert_int_equal(get(MPIC + 0x1720), 0);
    config_set(4, 2, 6);
    assert_int_equal(arch_msi(vm(), msiir, data), 0);
    assert_int_equal(get(MPIC + 0x1720), 1 << 5);
    assert_int_equal(get(MPIC + 0x1650), 1 << 17);
    assert_int_equal(get(MPIC + 0x1720), 0);
    assert_int_equal(arch_msi(vm(), msiir + 4, data), -EINVAL);
    assert_int_equal(arch_msi(vm(), msiir | 1ull << 32, data), -EINVAL);
    assert_int_equal(arch_msi(vm(), 0, data), -EINVAL);
    config_set(4, 2, 4);
    assert_int_equal(arch_msi(vm(), msiir, data), -EINVAL);
    config_set(4, 2, 2);
    part_round_trip(&pci_part);
    assert_int_equal(arch_msi(vm(), msiir, data), 0); /* it moves with the state */
    assert_int_equal(get(MPIC + 0x1650), 1 << 17);
    pci_part.reset(vm(), 0);
    assert_int_equal(arch_msi(vm(), msiir, data), -EINVAL);
}

static void test_pci_memory(void **state) {
    (void)state;
    assert_true(arch_pci_memory(vm(), 0) == UINT64_MAX);
    assert_true(arch_pci_memory(vm(), BOARD_PCI_MEMORY_BUS - 1) == UINT64_MAX);
    assert_true(arch_pci_memory(vm(), BOARD_PCI_MEMORY_BUS) == BOARD_PCI_MEMORY);
    assert_true(arch_pci_memory(vm(), UINT32_MAX) == BOARD_PCI_MEMORY + BOARD_PCI_MEMORY_SIZE - 1);
    assert_true(arch_pci_value(0x12, 1) == 0x12);
    assert_true(arch_pci_value(0x1234, 2) == 0x3412);
    assert_true(arch_pci_value(0x12345678, 4) == 0x78563412);
    assert_true(arch_pci_value(0x0102030405060708, 8) == 0x0807060504030201);
}

static void test_pci_state(void **state) {
    (void)state;
    config_set(4, 2, 6);
    part_truncation(&pci_part);
    assert_int_equal(config_get(4, 2), 4);
    set(PCI, 0);
    assert_int_equal(part_load_changed(&pci_part, 0, 1), -EINVAL);                /* CONFIG_ADDR */
    assert_int_equal(part_load_changed(&pci_part, 4 + 0xa0, 1), -EINVAL);         /* no window */
    assert_int_equal(part_load_changed(&pci_part, 4 + 0x200 + 0x0e, 1), -EINVAL); /* header type */
    assert_int_equal(part_load_changed(&pci_part, 4 + 0x200 + 0x0d, 0x80), 0);    /* latency */
    assert_int_equal(config_get(0x0d, 1), 0x80);
}

#define ENTRY(n) (BOARD_SPIN + (n)*SPIN_TABLE_ENTRY)

static void test_spin_table(void **state) {
    (void)state;
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(get(ENTRY(i)), 0);
        assert_int_equal(get(ENTRY(i) + 4), 1);
        assert_int_equal(get(ENTRY(i) + 8), 0);
        assert_int_equal(get(ENTRY(i) + 12), i);
        assert_int_equal(get(ENTRY(i) + 20), i);
    }
    is_nobodys(ENTRY(VCPUS), 4);
    is_nobodys(ENTRY(1) + 30, 4); /* across two */
    set(ENTRY(1) + 12, 0x1234);
    set(ENTRY(1), 0);
    set(ENTRY(1) + 4, 0x2001); /* odd: not yet */
    assert_int_equal(fixture.released[1], 0);
    set(ENTRY(1) + 4, 0x2000);
    assert_int_equal(fixture.released[1], 1);
    assert_int_equal(fixture.release_pc, 0x2000);
    assert_int_equal(fixture.release_r3, 0x1234);
    set(ENTRY(1) + 4, 0x3000); /* it runs: once is enough */
    assert_int_equal(fixture.released[1], 1);
    assert_int_equal(get(ENTRY(1) + 4), 0x3000);
    set(ENTRY(0) + 4, 0x2000); /* the boot processor */
    assert_int_equal(fixture.released[0], 0);
    assert_int_equal(poke(0, ENTRY(2) + 7, 1, 0x40), 0); /* bytes do as well */
    assert_int_equal(fixture.released[2], 1);
    assert_int_equal(fixture.release_pc, 0x40);
    assert_int_equal(fixture.end, VM_END_NONE);
}

static void test_spin_table_far(void **state) {
    (void)state;
    assert_int_equal(poke(0, ENTRY(1), 8, 0x100000000ull), 0);
    assert_int_equal(fixture.released[1], 0);
    assert_int_equal(fixture.end, VM_END_CRASH);
}

static void test_vcpu_reset(void **state) {
    (void)state;
    set(ENTRY(1) + 4, 0x2000);
    fixture.vcpu[1].core.requests = PPC_REQUEST_START | PPC_REQUEST_FLUSH; /* not seen to yet */
    set(MPIC + 0x1090, 2);                                                 /* PIR */
    assert_int_equal(fixture.vcpu[1].core.requests, PPC_REQUEST_FLUSH);
    assert_int_equal(fixture.requests[1], PPC_REQUEST_RESET);
    assert_int_equal(get(ENTRY(1) + 4), 1);
    assert_int_equal(fixture.released[1], 1);
    set(ENTRY(1) + 4, 0x4000); /* and again */
    assert_int_equal(fixture.released[1], 2);
    assert_int_equal(fixture.release_pc, 0x4000);
    assert_int_equal(fixture.end, VM_END_NONE);
    set(MPIC + 0x1090, 1);
    assert_int_equal(fixture.end, VM_END_RESET);
    assert_int_equal(fixture.requests[0], 0);
}

static void test_spin_state(void **state) {
    (void)state;
    set(ENTRY(1) + 4, 0x2000);
    part_round_trip(&spin_table_part);
    assert_int_equal(fixture.released[1], 1); /* loading releases nobody */
    set(ENTRY(1) + 4, 0x2000);
    assert_int_equal(fixture.released[1], 1); /* and it knows who runs */
    set(ENTRY(2) + 4, 0x2000);
    assert_int_equal(fixture.released[2], 1);
    part_truncation(&spin_table_part);
    assert_int_equal(get(ENTRY(1) + 4), 1);
    assert_int_equal(part_load_changed(&spin_table_part, 0, 1), -EINVAL); /* vCPU 0 */
    assert_int_equal(part_load_changed(&spin_table_part, 0, 8), -EINVAL); /* vCPU 3 */
}

static uint8_t uart_get(unsigned reg) {
    return (uint8_t)peek(0, UART + reg, 1, NULL);
}

static void uart_set(unsigned reg, uint8_t value) {
    assert_int_equal(poke(0, UART + reg, 1, value), 0);
}

/* The MPIC as a kernel sets it up for source 42. */
static void open_uart(void) {
    set(MPIC + 0x1020, 0x60000000);
    set(MPIC + 0x80, 0);
    set(MPIC + 0x10000 + 0x20 * BOARD_UART_IRQ, 0x00880000 | BOARD_UART_IRQ);
}

static void test_uart(void **state) {
    (void)state;
    open_uart();
    uart_set(0, 'h');
    uart_set(0, 'i');
    assert_memory_equal(fixture.output, "hi", 2);
    assert_int_equal(uart_get(5), 0x60);
    uart_set(1, 1); /* received data; no OUT2 gate here */
    assert_false(fixture.external[0]);
    assert_int_equal(fixture.receiver.input(fixture.receiver.device, (const uint8_t *)"x", 1), 1);
    assert_true(fixture.external[0]);
    assert_int_equal(mpic_acknowledge(vm(), 0), BOARD_UART_IRQ);
    assert_int_equal(uart_get(2), 0x04);
    assert_int_equal(uart_get(0), 'x');
    set(MPIC + 0xb0, 0);
    assert_false(fixture.external[0]);
    is_nobodys(UART, 4);
    is_nobodys(UART + 8, 1);
}

static void test_no_console(void **state) {
    fixture_init();
    memset(&memory, 0, sizeof(memory));
    fixture.config.console = CONFIG_CONSOLE_NONE;
    assert_int_equal(board_create(vm()), 0);
    assert_int_equal(platform_create(vm()), 0);
    platform_reset(vm());
    is_nobodys(UART, 1);
    assert_null(fixture.receiver.input);
    stop(state);
}

static void test_platform_state(void **state) {
    (void)state;
    static uint8_t first[16384] __attribute__((aligned(8))),
        second[sizeof(first)] __attribute__((aligned(8)));
    char why[96];
    open_uart();
    uart_set(1, 1);
    fixture.receiver.input(fixture.receiver.device, (const uint8_t *)"x", 1);
    set(GPIO + GPODR, 5);
    config_set(0x10, 4, 0xe0000000);
    set(ENTRY(1) + 4, 0x2000);
    assert_true(fixture.external[0]);
    int64_t size = platform_save(vm(), first, sizeof(first));
    assert_true(size > 0);
    platform_reset(vm());
    assert_false(fixture.external[0]);
    assert_int_equal(platform_load(vm(), first, (uint64_t)size, why), 0);
    assert_true(fixture.external[0]);
    assert_int_equal(get(GPIO + GPODR), 5);
    assert_int_equal(platform_save(vm(), second, sizeof(second)), size);
    assert_memory_equal(first, second, (size_t)size);
    assert_int_equal(mpic_acknowledge(vm(), 0), BOARD_UART_IRQ);
    assert_int_equal(uart_get(0), 'x');
    assert_int_equal(platform_load(vm(), first, (uint64_t)size - 8, why), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory, start, stop),
        cmocka_unit_test(test_create_errors),
        cmocka_unit_test_setup_teardown(test_guts, start, stop),
        cmocka_unit_test_setup_teardown(test_gpio, start, stop),
        cmocka_unit_test_setup_teardown(test_gpio_direction, start, stop),
        cmocka_unit_test_setup_teardown(test_gpio_state, start, stop),
        cmocka_unit_test_setup_teardown(test_pci, start, stop),
        cmocka_unit_test_setup_teardown(test_pci_pins, start, stop),
        cmocka_unit_test_setup_teardown(test_mmio_lines, start, stop),
        cmocka_unit_test_setup_teardown(test_pci_messages, start, stop),
        cmocka_unit_test_setup_teardown(test_pci_memory, start, stop),
        cmocka_unit_test_setup_teardown(test_pci_state, start, stop),
        cmocka_unit_test_setup_teardown(test_spin_table, start, stop),
        cmocka_unit_test_setup_teardown(test_spin_table_far, start, stop),
        cmocka_unit_test_setup_teardown(test_vcpu_reset, start, stop),
        cmocka_unit_test_setup_teardown(test_spin_state, start, stop),
        cmocka_unit_test_setup_teardown(test_uart, start, stop),
        cmocka_unit_test(test_no_console),
        cmocka_unit_test_setup_teardown(test_platform_state, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
