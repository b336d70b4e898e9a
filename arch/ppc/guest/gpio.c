// SPDX-License-Identifier: Apache-2.0
// The GPIO block of a guest's board: six registers, and the pin that switches the machine off.
#include "arch/ppc/guest/gpio.h"

#include <errno.h>

#include "arch/ppc/guest/board.h"
#include "arch/ppc/vm.h"
#include "lib/state.h"

/* Registers by number. Pin 0 is the uppermost bit. */
enum { GPDIR, GPODR, GPDAT, GPIER, GPIMR, GPICR, GPIO_REGISTERS };

#define PIN(n) (0x80000000u >> (n))

struct gpio {
    struct spinlock lock;
    struct vm *vm;
    uint32_t reg[GPIO_REGISTERS]; /* GPIER stays 0: no input ever changes */
};

static struct gpio *gpio_of(struct vm *vm) {
    return ppc_vm(vm)->board->gpio;
}

/* Inputs read 0: nothing pulls them up. */
static uint32_t outputs(const struct gpio *gpio) {
    return gpio->reg[GPDAT] & gpio->reg[GPDIR];
}

static int gpio_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct gpio *gpio = device;
    if (size != 4 || offset % 4)
        return -ENXIO;
    spin_lock(&gpio->lock);
    uint64_t i = offset / 4;
    *value = i >= GPIO_REGISTERS ? 0 : i == GPDAT ? outputs(gpio) : gpio->reg[i];
    spin_unlock(&gpio->lock);
    return 0;
}

static int gpio_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    struct gpio *gpio = device;
    uint64_t i = offset / 4;
    if (size != 4 || offset % 4)
        return -ENXIO;
    spin_lock(&gpio->lock);
    uint32_t before = outputs(gpio);
    if (i < GPIO_REGISTERS && i != GPIER)
        gpio->reg[i] = (uint32_t)value;
    uint32_t rose = outputs(gpio) & ~before;
    spin_unlock(&gpio->lock);
    if (rose & PIN(BOARD_PIN_OFF))
        vm_end(gpio->vm, VM_END_POWER_OFF, 0, "the guest switched its machine off");
    return 0;
}

static const struct bus_ops gpio_ops = {.read = gpio_read, .write = gpio_write};

static int gpio_create(struct vm *vm, unsigned index) {
    (void)index;
    struct gpio *gpio = heap_allocate(sizeof(*gpio), &vm->memory.account);
    if (!gpio)
        return -ENOMEM;
    gpio->vm = vm;
    int error =
        bus_add(&vm->bus[BUS_MEMORY], BOARD_CCSR + BOARD_GPIO, BOARD_GPIO_SIZE, &gpio_ops, gpio, "GPIO");
    if (error)
        heap_free(gpio, sizeof(*gpio), &vm->memory.account);
    else
        ppc_vm(vm)->board->gpio = gpio;
    return error;
}

static void gpio_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct gpio *gpio = gpio_of(vm);
    bus_remove(&vm->bus[BUS_MEMORY], BOARD_CCSR + BOARD_GPIO);
    ppc_vm(vm)->board->gpio = NULL;
    heap_free(gpio, sizeof(*gpio), &vm->memory.account);
}

static void gpio_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct gpio *gpio = gpio_of(vm);
    spin_lock(&gpio->lock);
    for (unsigned i = 0; i < GPIO_REGISTERS; i++)
        gpio->reg[i] = 0;
    spin_unlock(&gpio->lock);
}

static void gpio_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct gpio *gpio = gpio_of(vm);
    spin_lock(&gpio->lock);
    for (unsigned i = 0; i < GPIO_REGISTERS; i++)
        state_put_u32(writer, gpio->reg[i]);
    spin_unlock(&gpio->lock);
}

static int gpio_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)version;
    struct gpio *gpio = gpio_of(vm);
    uint32_t in[GPIO_REGISTERS];
    for (unsigned i = 0; i < GPIO_REGISTERS; i++)
        in[i] = state_get_u32(reader);
    if (reader->error || in[GPIER]) {
        gpio_reset(vm, index);
        return -EINVAL;
    }
    spin_lock(&gpio->lock);
    for (unsigned i = 0; i < GPIO_REGISTERS; i++)
        gpio->reg[i] = in[i];
    spin_unlock(&gpio->lock);
    return 0;
}

const struct part gpio_part = {
    .name = "ppc.gpio",
    .version = 1,
    .create = gpio_create,
    .destroy = gpio_destroy,
    .reset = gpio_reset,
    .save = gpio_save,
    .load = gpio_load,
};
