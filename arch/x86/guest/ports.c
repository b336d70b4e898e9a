// SPDX-License-Identifier: Apache-2.0
// Ports of a guest's PC that belong to no device: the exit port and the delay ports.
#include "arch/x86/guest/ports.h"

#include <errno.h>
#include <stdio.h>

#include "arch/x86/vm.h"
#include "lib/config.h"

#define POST_PORT  0x80
#define DELAY_PORT 0xed
#define EXIT_PORTS 4 /* a 32-bit write at PC_EXIT_PORT is one access */

static int read_nobody(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)device;
    (void)vcpu;
    (void)offset;
    (void)size;
    (void)value;
    return -ENXIO;
}

static int write_ignored(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)device;
    (void)vcpu;
    (void)offset;
    (void)size;
    (void)value;
    return 0;
}

static int exit_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    if (offset != 0)
        return -ENXIO;
    uint32_t code = (uint32_t)(size < 4 ? value & ((1u << 8 * size) - 1) : value);
    char text[48];
    snprintf(text, sizeof(text), "exit port, code %u", code);
    vm_end(device, VM_END_EXIT, code, text);
    return 0;
}

static const struct bus_ops delay_ops = {.read = read_nobody, .write = write_ignored};
static const struct bus_ops exit_ops = {.read = read_nobody, .write = exit_write};

static void ports_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct bus *bus = &vm->bus[BUS_PORT];
    bus_remove(bus, POST_PORT);
    bus_remove(bus, DELAY_PORT);
    if (vm->config->exit_port)
        bus_remove(bus, PC_EXIT_PORT);
}

static int ports_create(struct vm *vm, unsigned index) {
    struct bus *bus = &vm->bus[BUS_PORT];
    int error = bus_add(bus, POST_PORT, 1, &delay_ops, vm, "port 0x80");
    if (!error)
        error = bus_add(bus, DELAY_PORT, 1, &delay_ops, vm, "port 0xed");
    if (!error && vm->config->exit_port)
        error = bus_add(bus, PC_EXIT_PORT, EXIT_PORTS, &exit_ops, vm, "exit port");
    if (error)
        ports_destroy(vm, index);
    return error;
}

/* They hold no state. */
const struct part ports_part = {
    .name = "x86.ports",
    .version = 1,
    .create = ports_create,
    .destroy = ports_destroy,
};
