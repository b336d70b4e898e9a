// SPDX-License-Identifier: Apache-2.0
// Writes a guest's device tree: the nodes that a stock kernel for "fsl,qemu-e500" looks for, each as this
// board has it, in the order of the flattened format.
#include "arch/ppc/guest/device_tree.h"

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "arch/ppc/guest/board.h"
#include "arch/ppc/guest/mpic.h"
#include "arch/ppc/guest/pci.h"
#include "arch/ppc/guest/spin_table.h"
#include "devices/service_mmio.h"
#include "lib/config.h"

#define PHANDLE_PIC  1u
#define PHANDLE_MSI  2u
#define PHANDLE_GPIO 3u

/* The second cell of an interrupt: how the line is sensed (the kernel's binding of "fsl,mpic"). */
#define SENSE_EDGE   0u
#define SENSE_LOW    1u
#define SENSE_HIGH   2u

#define CACHE_SIZE   32768u
#define CACHE_LINE   32u
#define MAX_CELLS    16u

#define SERIAL_PATH  "/soc@fe0000000/serial@4500"
#define PCI_PATH     "/pci@fe0008000"

/* The tree being written; after the first error nothing more is. */
struct tree {
    void *fdt;
    int error;
};

static void note(struct tree *tree, int error) {
    if (!tree->error)
        tree->error = error;
}

static void begin(struct tree *tree, const char *name) {
    note(tree, tree->error ? 0 : fdt_begin_node(tree->fdt, name));
}

static void end(struct tree *tree) {
    note(tree, tree->error ? 0 : fdt_end_node(tree->fdt));
}

static void bytes(struct tree *tree, const char *name, const void *value, size_t size) {
    note(tree, tree->error ? 0 : fdt_property(tree->fdt, name, value, (int)size));
}

static void flag(struct tree *tree, const char *name) {
    bytes(tree, name, "", 0);
}

static void text(struct tree *tree, const char *name, const char *value) {
    bytes(tree, name, value, strlen(value) + 1);
}

static void cell(struct tree *tree, const char *name, uint32_t value) {
    note(tree, tree->error ? 0 : fdt_property_u32(tree->fdt, name, value));
}

static void quad(struct tree *tree, const char *name, uint64_t value) {
    note(tree, tree->error ? 0 : fdt_property_u64(tree->fdt, name, value));
}

/* `count` cells, at most MAX_CELLS, each a uint32_t. */
static void cells(struct tree *tree, const char *name, unsigned count, ...) {
    fdt32_t value[MAX_CELLS];
    va_list arguments;
    va_start(arguments, count);
    for (unsigned i = 0; i < count && i < MAX_CELLS; i++)
        value[i] = cpu_to_fdt32(va_arg(arguments, uint32_t));
    va_end(arguments);
    bytes(tree, name, value, count * sizeof(value[0]));
}

static uint32_t high(uint64_t value) {
    return (uint32_t)(value >> 32);
}
static uint32_t low(uint64_t value) {
    return (uint32_t)value;
}

/* A frequency: one cell where it fits, two otherwise. */
static void frequency(struct tree *tree, const char *name, uint64_t hertz) {
    if (high(hertz))
        quad(tree, name, hertz);
    else
        cell(tree, name, low(hertz));
}

/* Strings that follow each other. */
#define TEXTS(tree, name, list) bytes(tree, name, list, sizeof(list))

/* ---- the nodes ---- */

static bool has_console(const struct vm *vm) {
    return vm->config->console != CONFIG_CONSOLE_NONE;
}

static void write_aliases(struct tree *tree, const struct vm *vm) {
    begin(tree, "aliases");
    if (has_console(vm))
        text(tree, "serial0", SERIAL_PATH);
    text(tree, "pci0", PCI_PATH);
    end(tree);
}

static void write_chosen(struct tree *tree, const struct vm *vm, const struct device_tree_facts *facts) {
    begin(tree, "chosen");
    text(tree, "bootargs", vm->config->cmdline);
    if (facts->initrd_size) {
        quad(tree, "linux,initrd-start", facts->initrd);
        quad(tree, "linux,initrd-end", facts->initrd + facts->initrd_size);
    }
    if (has_console(vm)) {
        text(tree, "stdout-path", SERIAL_PATH);
        text(tree, "linux,stdout-path", SERIAL_PATH);
    }
    end(tree);
}

static void write_cpu(struct tree *tree, unsigned index, uint64_t timebase) {
    char name[24];
    snprintf(name, sizeof(name), "PowerPC,8544@%x", index);
    begin(tree, name);
    text(tree, "device_type", "cpu");
    cell(tree, "reg", index);
    frequency(tree, "timebase-frequency", timebase);
    frequency(tree, "clock-frequency", timebase);
    cell(tree, "bus-frequency", BOARD_CLOCK);
    cell(tree, "d-cache-line-size", CACHE_LINE);
    cell(tree, "i-cache-line-size", CACHE_LINE);
    cell(tree, "d-cache-size", CACHE_SIZE);
    cell(tree, "i-cache-size", CACHE_SIZE);
    if (index) {
        text(tree, "status", "disabled");
        text(tree, "enable-method", "spin-table");
        quad(tree, "cpu-release-addr", BOARD_SPIN + index * SPIN_TABLE_ENTRY);
    } else {
        text(tree, "status", "okay");
    }
    end(tree);
}

static void write_cpus(struct tree *tree, const struct vm *vm, const struct device_tree_facts *facts) {
    begin(tree, "cpus");
    cell(tree, "#address-cells", 1);
    cell(tree, "#size-cells", 0);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        write_cpu(tree, i, facts->timebase_frequency);
    end(tree);
}

static void write_memory(struct tree *tree, const struct vm *vm) {
    uint64_t size = vm->config->memory;
    begin(tree, "memory@0");
    text(tree, "device_type", "memory");
    cells(tree, "reg", 4, 0u, 0u, high(size), low(size));
    end(tree);
}

/* What KVM's guests find: `hcall-instructions` puts KVM's number into r0 and calls. */
static void write_hypervisor(struct tree *tree) {
    begin(tree, "hypervisor");
    TEXTS(tree, "compatible", "linux,kvm\0epapr,hypervisor");
    cells(tree, "hcall-instructions", 4, 0x3c004b56u, 0x60004d21u, 0x44000002u, 0x60000000u);
    flag(tree, "has-idle");
    end(tree);
}

static void interrupt(struct tree *tree, uint32_t source, uint32_t sense) {
    cells(tree, "interrupts", 2, source, sense);
    cell(tree, "interrupt-parent", PHANDLE_PIC);
}

static void write_pic(struct tree *tree) {
    begin(tree, "pic@40000");
    text(tree, "device_type", "open-pic");
    text(tree, "compatible", "fsl,mpic");
    cells(tree, "reg", 2, BOARD_MPIC, MPIC_SIZE);
    cell(tree, "#address-cells", 0);
    cell(tree, "#interrupt-cells", 2);
    flag(tree, "interrupt-controller");
    cell(tree, "phandle", PHANDLE_PIC);
    end(tree);
}

static void write_msi(struct tree *tree) {
    fdt32_t interrupts[MPIC_MSI_COUNT * 2];
    for (unsigned i = 0; i < MPIC_MSI_COUNT; i++) {
        interrupts[2 * i] = cpu_to_fdt32(MPIC_MSI + i);
        interrupts[2 * i + 1] = cpu_to_fdt32(SENSE_EDGE);
    }
    begin(tree, "msi@41600");
    text(tree, "compatible", "fsl,mpic-msi");
    cells(tree, "reg", 2, BOARD_MSI, 0x200u);
    cells(tree, "msi-available-ranges", 2, 0u, MPIC_MSI_COUNT * 32);
    bytes(tree, "interrupts", interrupts, sizeof(interrupts));
    cell(tree, "interrupt-parent", PHANDLE_PIC);
    cell(tree, "phandle", PHANDLE_MSI);
    end(tree);
}

static void write_serial(struct tree *tree) {
    begin(tree, "serial@4500");
    text(tree, "device_type", "serial");
    text(tree, "compatible", "ns16550");
    cells(tree, "reg", 2, BOARD_UART, 0x100u);
    cell(tree, "cell-index", 0);
    cell(tree, "clock-frequency", BOARD_CLOCK);
    interrupt(tree, BOARD_UART_IRQ, SENSE_HIGH);
    end(tree);
}

static void write_gpio(struct tree *tree) {
    begin(tree, "gpio@ff000");
    text(tree, "compatible", "fsl,qoriq-gpio");
    cells(tree, "reg", 2, BOARD_GPIO, BOARD_GPIO_SIZE);
    interrupt(tree, BOARD_GPIO_IRQ, SENSE_HIGH);
    cell(tree, "#gpio-cells", 2);
    flag(tree, "gpio-controller");
    cell(tree, "phandle", PHANDLE_GPIO);
    end(tree);
    begin(tree, "power-off");
    text(tree, "compatible", "gpio-poweroff");
    cells(tree, "gpios", 3, PHANDLE_GPIO, BOARD_PIN_OFF, 0u);
    end(tree);
}

static void write_soc(struct tree *tree, const struct vm *vm) {
    begin(tree, "soc@fe0000000");
    text(tree, "device_type", "soc");
    TEXTS(tree, "compatible", "fsl,mpc8544-immr\0simple-bus");
    cell(tree, "#address-cells", 1);
    cell(tree, "#size-cells", 1);
    cells(tree, "ranges", 4, 0u, high(BOARD_CCSR), low(BOARD_CCSR), BOARD_CCSR_SIZE);
    cell(tree, "bus-frequency", BOARD_CLOCK);
    write_pic(tree);
    write_msi(tree);
    if (has_console(vm))
        write_serial(tree);
    begin(tree, "global-utilities@e0000");
    text(tree, "compatible", "fsl,mpc8544-guts");
    cells(tree, "reg", 2, BOARD_GUTS, BOARD_GUTS_SIZE);
    flag(tree, "fsl,has-rstcr");
    end(tree);
    write_gpio(tree);
    end(tree);
}

/* Which MPIC source a slot's pin reaches: it repeats after four slots, so that the mask leaves two bits of
 * them (Devicetree Specification 0.4, 2.4.3; the PCI bus binding's addresses). */
#define PIN_CELLS 7u /* slot (3 cells), pin, phandle, source, sense */
static void write_pins(struct tree *tree) {
    fdt32_t map[PCI_PINS * PCI_PINS][PIN_CELLS];
    for (uint32_t slot = 0; slot < PCI_PINS; slot++)
        for (uint32_t pin = 0; pin < PCI_PINS; pin++) {
            const uint32_t entry[PIN_CELLS] = {
                slot << 11, 0, 0, pin + 1, PHANDLE_PIC, pci_pin_source(slot, pin), SENSE_LOW};
            for (unsigned i = 0; i < PIN_CELLS; i++)
                map[slot * PCI_PINS + pin][i] = cpu_to_fdt32(entry[i]);
        }
    cell(tree, "#interrupt-cells", 1);
    cells(tree, "interrupt-map-mask", 4, (PCI_PINS - 1) << 11, 0u, 0u, 7u);
    bytes(tree, "interrupt-map", map, sizeof(map));
}

static void write_pci(struct tree *tree) {
    const uint64_t at = BOARD_CCSR + BOARD_PCI;
    begin(tree, "pci@fe0008000");
    text(tree, "device_type", "pci");
    text(tree, "compatible", "fsl,mpc8540-pci");
    cell(tree, "cell-index", 0);
    cell(tree, "#address-cells", 3);
    cell(tree, "#size-cells", 2);
    cells(tree, "reg", 4, high(at), low(at), 0u, BOARD_PCI_SIZE);
    cells(tree, "bus-range", 2, 0u, 0u);
    /* 32-bit memory, then I/O space: address on the bus, address of the board, size. */
    cells(tree, "ranges", 14, 0x02000000u, 0u, BOARD_PCI_MEMORY_BUS, high(BOARD_PCI_MEMORY),
          low(BOARD_PCI_MEMORY), 0u, BOARD_PCI_MEMORY_SIZE, 0x01000000u, 0u, 0u, high(BOARD_PCI_IO),
          low(BOARD_PCI_IO), 0u, BOARD_PCI_IO_SIZE);
    interrupt(tree, BOARD_PCI_IRQ, SENSE_HIGH);
    write_pins(tree);
    cell(tree, "fsl,msi", PHANDLE_MSI);
    end(tree);
}

/* Virtio devices over MMIO, on a bus node of their own: kernels for this board look for devices on such buses
 * alone (and on PCI). */
static void write_mmio_devices(struct tree *tree, uint32_t places) {
    if (!places)
        return;
    begin(tree, "virtio@fe2000000");
    text(tree, "compatible", "simple-bus");
    cell(tree, "#address-cells", 1);
    cell(tree, "#size-cells", 1);
    cells(tree, "ranges", 4, 0u, high(BOARD_MMIO), low(BOARD_MMIO), SERVICE_MMIO_PLACES * SERVICE_MMIO_SIZE);
    for (; places; places &= places - 1) {
        uint32_t place = (uint32_t)__builtin_ctz(places);
        char name[24];
        snprintf(name, sizeof(name), "virtio@%x", (unsigned)(place * SERVICE_MMIO_SIZE));
        begin(tree, name);
        text(tree, "compatible", "virtio,mmio");
        cells(tree, "reg", 2, place * SERVICE_MMIO_SIZE, SERVICE_MMIO_SIZE);
        interrupt(tree, BOARD_MMIO_IRQ + place, SENSE_HIGH);
        end(tree);
    }
    end(tree);
}

int device_tree_build(const struct vm *vm, const struct device_tree_facts *facts, void *buffer, size_t size) {
    struct tree tree = {.fdt = buffer};

    note(&tree, fdt_create(buffer, (int)size));
    note(&tree, tree.error ? 0 : fdt_finish_reservemap(buffer));
    begin(&tree, "");
    text(&tree, "model", "Saguaro ppce500");
    text(&tree, "compatible", "fsl,qemu-e500");
    cell(&tree, "#address-cells", 2);
    cell(&tree, "#size-cells", 2);
    write_aliases(&tree, vm);
    write_chosen(&tree, vm, facts);
    write_cpus(&tree, vm, facts);
    write_memory(&tree, vm);
    write_hypervisor(&tree);
    write_soc(&tree, vm);
    write_pci(&tree);
    write_mmio_devices(&tree, service_mmio_places(vm));
    end(&tree);
    note(&tree, tree.error ? 0 : fdt_finish(buffer));
    return tree.error ? -ENOSPC : (int)fdt_totalsize(buffer);
}
