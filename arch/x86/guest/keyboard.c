// SPDX-License-Identifier: Apache-2.0
// The keyboard controller of a guest's PC: an 8042 as in the IBM PS/2 technical reference, and port 0x92.
#include "arch/x86/guest/keyboard.h"

#include <errno.h>

#include "arch/x86/vm.h"
#include "lib/state.h"

#define DATA_PORT            0x60
#define COMMAND_PORT         0x64
#define SYSTEM_PORT          0x92
#define KEYBOARD_GSI         1
#define MOUSE_GSI            12

/* Status, port 0x64 */
#define STATUS_OUTPUT        0x01u /* a byte waits in the output buffer */
#define STATUS_SYSTEM        0x04u /* self-test passed */
#define STATUS_COMMAND       0x08u /* the last write was to port 0x64 */
#define STATUS_UNLOCKED      0x10u
#define STATUS_MOUSE         0x20u /* the byte in the output buffer is the mouse's */

/* Command byte */
#define COMMAND_KEYBOARD_IRQ 0x01u
#define COMMAND_MOUSE_IRQ    0x02u
#define COMMAND_SYSTEM       0x04u
#define COMMAND_NO_KEYBOARD  0x10u
#define COMMAND_NO_MOUSE     0x20u
#define COMMAND_BITS         0x7fu

/* Output port, and port 0x92 */
#define OUTPUT_RUN           0x01u /* 0 resets the machine */
#define OUTPUT_A20           0x02u
#define SYSTEM_RESET         0x01u
#define SYSTEM_A20           0x02u
#define SYSTEM_KEPT          0xc8u /* activity lights, password lock */

struct keyboard_state {
    uint8_t status;  /* STATUS_OUTPUT, _SYSTEM, _COMMAND, _MOUSE */
    uint8_t output;  /* the output buffer */
    uint8_t command; /* the command byte */
    uint8_t pending; /* the command whose data byte comes next; 0: none */
    uint8_t system;  /* port 0x92 without A20 and reset */
    uint8_t a20;     /* 0 or 1 */
};

struct keyboard {
    struct spinlock lock;
    struct vm *vm;
    bool line[2]; /* of keyboard and mouse */
    struct keyboard_state s;
};

static void update_lines(struct keyboard *k) {
    bool full = k->s.status & STATUS_OUTPUT, mouse = k->s.status & STATUS_MOUSE;
    bool level[2] = {full && !mouse && k->s.command & COMMAND_KEYBOARD_IRQ,
                     full && mouse && k->s.command & COMMAND_MOUSE_IRQ};
    for (unsigned i = 0; i < 2; i++)
        if (level[i] != k->line[i]) {
            k->line[i] = level[i];
            pc_line_set(k->vm, i ? MOUSE_GSI : KEYBOARD_GSI, level[i]);
        }
}

static void answer(struct keyboard *k, uint8_t byte, bool mouse) {
    k->s.output = byte;
    k->s.status |= STATUS_OUTPUT;
    k->s.status = mouse ? k->s.status | STATUS_MOUSE : k->s.status & ~STATUS_MOUSE;
}

static uint8_t output_port(const struct keyboard *k) {
    /* Bits 4 and 5 are the interrupt requests, 6 and 7 the keyboard's clock and data, idle high. */
    return (uint8_t)(0xc0 | OUTPUT_RUN | (k->s.a20 ? OUTPUT_A20 : 0) | k->line[0] << 4 | k->line[1] << 5);
}

/* Returns true for a reset. */
static bool write_command(struct keyboard *k, uint8_t command) {
    k->s.status |= STATUS_COMMAND;
    k->s.pending = 0;
    switch (command) {
    case 0x20:
        answer(k, k->s.command, false);
        return false;
    case 0x60: /* command byte */
    case 0xd1: /* output port */
    case 0xd2: /* byte as if from the keyboard */
    case 0xd3: /* byte as if from the mouse */
    case 0xd4: /* byte to the mouse */
        k->s.pending = command;
        return false;
    case 0xa7:
        k->s.command |= COMMAND_NO_MOUSE;
        return false;
    case 0xa8:
        k->s.command &= ~COMMAND_NO_MOUSE;
        return false;
    case 0xa9: /* mouse interface test */
    case 0xab: /* keyboard interface test: both passed */
        answer(k, 0x00, false);
        return false;
    case 0xaa:
        k->s.status |= STATUS_SYSTEM;
        k->s.command |= COMMAND_SYSTEM;
        answer(k, 0x55, false);
        return false;
    case 0xad:
        k->s.command |= COMMAND_NO_KEYBOARD;
        return false;
    case 0xae:
        k->s.command &= ~COMMAND_NO_KEYBOARD;
        return false;
    case 0xc0: /* input port: keyboard not locked */
        answer(k, 0x80, false);
        return false;
    case 0xd0:
        answer(k, output_port(k), false);
        return false;
    case 0xdd:
        k->s.a20 = 0;
        return false;
    case 0xdf:
        k->s.a20 = 1;
        return false;
    default:
        /* 0xF0-0xFF pulse the output port's bits 3:0 whose command bits are 0; bit 0 is the reset. */
        return command >= 0xf0 && !(command & OUTPUT_RUN);
    }
}

static bool write_data(struct keyboard *k, uint8_t byte) {
    uint8_t command = k->s.pending;
    k->s.status &= ~STATUS_COMMAND;
    k->s.pending = 0;
    switch (command) {
    case 0x60:
        k->s.command = byte & COMMAND_BITS;
        k->s.status = byte & COMMAND_SYSTEM ? k->s.status | STATUS_SYSTEM : k->s.status & ~STATUS_SYSTEM;
        return false;
    case 0xd1:
        k->s.a20 = !!(byte & OUTPUT_A20);
        return !(byte & OUTPUT_RUN);
    case 0xd2:
    case 0xd3:
        answer(k, byte, command == 0xd3);
        return false;
    default: /* to the keyboard (0) or the mouse (0xd4): nobody is there */
        return false;
    }
}

static int keyboard_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct keyboard *k = device;
    if (size != 1)
        return -ENXIO;
    spin_lock(&k->lock);
    if (offset == 0) {
        *value = k->s.output;
        k->s.status &= ~(STATUS_OUTPUT | STATUS_MOUSE);
        update_lines(k);
    } else {
        *value = k->s.status | STATUS_UNLOCKED;
    }
    spin_unlock(&k->lock);
    return 0;
}

static int data_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)offset;
    return keyboard_read(device, vcpu, 0, size, value);
}

static int command_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)offset;
    return keyboard_read(device, vcpu, 1, size, value);
}

static int keyboard_write(struct keyboard *k, bool command, unsigned size, uint8_t byte) {
    if (size != 1)
        return -ENXIO;
    spin_lock(&k->lock);
    bool reset = command ? write_command(k, byte) : write_data(k, byte);
    update_lines(k);
    spin_unlock(&k->lock);
    if (reset)
        vm_end(k->vm, VM_END_RESET, 0, "reset by the keyboard controller");
    return 0;
}

static int data_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    (void)offset;
    return keyboard_write(device, false, size, (uint8_t)value);
}

static int command_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    (void)offset;
    return keyboard_write(device, true, size, (uint8_t)value);
}

static int system_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    (void)offset;
    struct keyboard *k = device;
    if (size != 1)
        return -ENXIO;
    spin_lock(&k->lock);
    *value = k->s.system | (k->s.a20 ? SYSTEM_A20 : 0);
    spin_unlock(&k->lock);
    return 0;
}

static int system_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    (void)offset;
    struct keyboard *k = device;
    if (size != 1)
        return -ENXIO;
    spin_lock(&k->lock);
    k->s.system = value & SYSTEM_KEPT;
    k->s.a20 = !!(value & SYSTEM_A20);
    spin_unlock(&k->lock);
    if (value & SYSTEM_RESET)
        vm_end(k->vm, VM_END_RESET, 0, "reset through port 0x92");
    return 0;
}

static const struct bus_ops data_ops = {.read = data_read, .write = data_write};
static const struct bus_ops command_ops = {.read = command_read, .write = command_write};
static const struct bus_ops system_ops = {.read = system_read, .write = system_write};

static struct keyboard *keyboard_of(struct vm *vm) {
    return x86_vm(vm)->pc.keyboard;
}

static void set_defaults(struct keyboard *k) {
    /* As after a BIOS's self-test. */
    k->s = (struct keyboard_state){
        .status = STATUS_SYSTEM,
        .command = COMMAND_SYSTEM | COMMAND_NO_KEYBOARD | COMMAND_NO_MOUSE,
        .a20 = 1,
    };
    update_lines(k);
}

static void keyboard_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct keyboard *k = keyboard_of(vm);
    bus_remove(&vm->bus[BUS_PORT], DATA_PORT);
    bus_remove(&vm->bus[BUS_PORT], COMMAND_PORT);
    bus_remove(&vm->bus[BUS_PORT], SYSTEM_PORT);
    x86_vm(vm)->pc.keyboard = NULL;
    heap_free(k, sizeof(*k), &vm->memory.account);
}

static int keyboard_create(struct vm *vm, unsigned index) {
    struct keyboard *k = heap_allocate(sizeof(*k), &vm->memory.account);
    if (!k)
        return -ENOMEM;
    k->vm = vm;
    x86_vm(vm)->pc.keyboard = k;
    struct bus *bus = &vm->bus[BUS_PORT];
    int error = bus_add(bus, DATA_PORT, 1, &data_ops, k, "keyboard controller");
    if (!error)
        error = bus_add(bus, COMMAND_PORT, 1, &command_ops, k, "keyboard controller");
    if (!error)
        error = bus_add(bus, SYSTEM_PORT, 1, &system_ops, k, "port 0x92");
    if (error)
        keyboard_destroy(vm, index);
    return error;
}

static void keyboard_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct keyboard *k = keyboard_of(vm);
    spin_lock(&k->lock);
    set_defaults(k);
    spin_unlock(&k->lock);
}

static void keyboard_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct keyboard *k = keyboard_of(vm);
    spin_lock(&k->lock);
    state_put_u8(writer, k->s.status);
    state_put_u8(writer, k->s.output);
    state_put_u8(writer, k->s.command);
    state_put_u8(writer, k->s.pending);
    state_put_u8(writer, k->s.system);
    state_put_u8(writer, k->s.a20);
    spin_unlock(&k->lock);
}

static bool valid(const struct keyboard_state *s) {
    if (s->status & ~(STATUS_OUTPUT | STATUS_SYSTEM | STATUS_COMMAND | STATUS_MOUSE))
        return false;
    if (s->status & STATUS_MOUSE && !(s->status & STATUS_OUTPUT))
        return false;
    if (s->command & ~COMMAND_BITS || s->system & ~SYSTEM_KEPT || s->a20 > 1)
        return false;
    return s->pending == 0 || s->pending == 0x60 || (s->pending >= 0xd1 && s->pending <= 0xd4);
}

static int keyboard_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    struct keyboard *k = keyboard_of(vm);
    struct keyboard_state in = {0};
    in.status = state_get_u8(reader);
    in.output = state_get_u8(reader);
    in.command = state_get_u8(reader);
    in.pending = state_get_u8(reader);
    in.system = state_get_u8(reader);
    in.a20 = state_get_u8(reader);
    bool good = !reader->error && valid(&in);
    spin_lock(&k->lock);
    set_defaults(k);
    if (good) {
        k->s = in;
        update_lines(k);
    }
    spin_unlock(&k->lock);
    return good ? 0 : -EINVAL;
}

const struct part keyboard_part = {
    .name = "x86.keyboard",
    .version = 1,
    .create = keyboard_create,
    .destroy = keyboard_destroy,
    .reset = keyboard_reset,
    .save = keyboard_save,
    .load = keyboard_load,
};
