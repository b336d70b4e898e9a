// SPDX-License-Identifier: Apache-2.0
// Power management of a guest's PC (ACPI 6.5, chapter 4.8; Intel ICH9 data sheet, 13.8.3 and 13.7).
#include "arch/x86/guest/pm.h"

#include <errno.h>

#include "arch/x86/guest/rate.h"
#include "arch/x86/vm.h"
#include "core/log.h"
#include "lib/state.h"

/* PM1_STS and PM1_EN */
#define PM1_TIMER        0x0001u
#define PM1_POWER_BUTTON 0x0100u
#define PM1_STATUS_BITS                                                                                      \
    0xcf31u /* all that ACPI defines: TMR, BM, GBL, PWRBTN, SLPBTN, RTC, PCIEXP_WAKE, WAK */
#define PM1_ENABLE_BITS 0x4721u
#define PM1_SCI_BITS    0x0721u /* status bits whose enable bit makes an SCI: TMR, GBL, PWRBTN, SLPBTN, RTC */

/* PM1_CNT */
#define CONTROL_SCI_EN  0x0001u
#define CONTROL_KEPT    0x1c02u /* SLP_TYP, BM_RLD */
#define CONTROL_SLP_EN  0x2000u

/* RST_CNT */
#define RESET_KEPT      0x0eu
#define RESET_CPU       0x04u

struct pm_state {
    uint16_t status;
    uint16_t enable;
    uint16_t control; /* CONTROL_KEPT bits */
    uint64_t gpe_status;
    uint64_t gpe_enable;
    uint8_t reset_control;
};

struct pm {
    struct spinlock lock;
    struct vm *vm;
    struct timer timer;  /* the next change of the PM timer's top bit, while TMR_EN wants it */
    uint64_t tick_shift; /* PM timer = ticks of time_now() + this */
    uint64_t toggles;    /* changes of the top bit that TMR_STS has seen */
    uint16_t base;       /* where the block is on the bus; 0: nowhere */
    bool line;
    struct pm_state s;
};

static struct pm *pm_of(struct vm *vm) {
    return x86_vm(vm)->pc.pm;
}

/* The PM timer with more bits than the guest sees. */
static uint64_t timer_count(const struct pm *pm) {
    return rate_ticks(time_now(), PM_TIMER_HZ) + pm->tick_shift;
}

/* Notes changes of the timer's top bit (4.8.2.1), sets the SCI line and arms the timer if it is wanted. */
static void update(struct pm *pm) {
    uint64_t toggles = timer_count(pm) >> 31;
    if (toggles != pm->toggles) {
        pm->toggles = toggles;
        pm->s.status |= PM1_TIMER;
    }
    bool level = (pm->s.status & pm->s.enable & PM1_SCI_BITS) || (pm->s.gpe_status & pm->s.gpe_enable);
    if (level != pm->line) {
        pm->line = level;
        pc_line_set(pm->vm, PM_SCI, level);
    }
    if (pm->s.enable & PM1_TIMER && !(pm->s.status & PM1_TIMER))
        timer_arm(&pm->timer, rate_ns(((toggles + 1) << 31) - pm->tick_shift, PM_TIMER_HZ));
    else
        timer_cancel(&pm->timer);
}

static void timer_fired(struct timer *timer) {
    struct pm *pm = container_of(timer, struct pm, timer);
    spin_lock(&pm->lock);
    update(pm);
    spin_unlock(&pm->lock);
}

static uint8_t read_byte(const struct pm *pm, unsigned offset) {
    switch (offset) {
    case PM_EVENT:
    case PM_EVENT + 1:
        return (uint8_t)(pm->s.status >> 8 * offset);
    case PM_EVENT + 2:
    case PM_EVENT + 3:
        return (uint8_t)(pm->s.enable >> 8 * (offset - 2));
    case PM_CONTROL:
    case PM_CONTROL + 1:
        return (uint8_t)((pm->s.control | CONTROL_SCI_EN) >> 8 * (offset - PM_CONTROL));
    default:
        if (offset >= PM_GPE0 && offset < PM_GPE0 + 8)
            return (uint8_t)(pm->s.gpe_status >> 8 * (offset - PM_GPE0));
        if (offset >= PM_GPE0 + 8 && offset < PM_GPE0 + 16)
            return (uint8_t)(pm->s.gpe_enable >> 8 * (offset - PM_GPE0 - 8));
        return 0; /* a register of ICH9 that this PC does not have */
    }
}

static int pm_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct pm *pm = device;
    if (size > 4)
        return -ENXIO;
    if (offset >= PM_TIMER && offset + size <= PM_TIMER + 4) {
        /* The hot one: a clock source. tick_shift changes only while no vCPU runs. */
        *value = (uint32_t)timer_count(pm) >> 8 * (offset - PM_TIMER);
        return 0;
    }
    *value = 0;
    spin_lock(&pm->lock);
    update(pm);
    for (unsigned i = 0; i < size; i++)
        *value |= (uint64_t)read_byte(pm, (unsigned)offset + i) << 8 * i;
    spin_unlock(&pm->lock);
    return 0;
}

/* Puts a byte into a wider register. */
static uint64_t with_byte(uint64_t reg, unsigned index, uint8_t byte) {
    return (reg & ~(0xffull << 8 * index)) | (uint64_t)byte << 8 * index;
}

/* Returns true when SLP_EN was written. */
static bool write_byte(struct pm *pm, unsigned offset, uint8_t byte) {
    switch (offset) {
    case PM_EVENT:
    case PM_EVENT + 1:
        pm->s.status &= (uint16_t) ~(byte << 8 * offset);
        return false;
    case PM_EVENT + 2:
    case PM_EVENT + 3:
        pm->s.enable = (uint16_t)with_byte(pm->s.enable, offset - 2, byte) & PM1_ENABLE_BITS;
        return false;
    case PM_CONTROL:
    case PM_CONTROL + 1:
        pm->s.control = (uint16_t)with_byte(pm->s.control, offset - PM_CONTROL, byte) & CONTROL_KEPT;
        return offset == PM_CONTROL + 1 && byte & CONTROL_SLP_EN >> 8;
    default:
        if (offset >= PM_GPE0 && offset < PM_GPE0 + 8)
            pm->s.gpe_status &= ~((uint64_t)byte << 8 * (offset - PM_GPE0));
        else if (offset >= PM_GPE0 + 8 && offset < PM_GPE0 + 16)
            pm->s.gpe_enable = with_byte(pm->s.gpe_enable, offset - PM_GPE0 - 8, byte);
        return false;
    }
}

static int pm_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    struct pm *pm = device;
    bool sleep = false;
    if (size > 4)
        return -ENXIO;
    spin_lock(&pm->lock);
    update(pm);
    for (unsigned i = 0; i < size; i++)
        sleep |= write_byte(pm, (unsigned)offset + i, (uint8_t)(value >> 8 * i));
    update(pm);
    unsigned type = pm->s.control >> 10 & 7;
    spin_unlock(&pm->lock);
    if (!sleep)
        return 0;
    if (type == PM_SLEEP_S5 || type == 7 || type == 0) {
        vm_end(pm->vm, VM_END_POWER_OFF, 0, "the guest switched its machine off");
    } else {
        static struct log_limit limit = {.burst = 5};
        if (log_allowed(&limit))
            log_warning("%s: sleep type %u is not offered, ignored", pm->vm->name, type);
    }
    return 0;
}

static const struct bus_ops pm_ops = {.read = pm_read, .write = pm_write};

void pm_power_button(struct vm *vm) {
    struct pm *pm = pm_of(vm);
    spin_lock(&pm->lock);
    pm->s.status |= PM1_POWER_BUTTON;
    update(pm);
    spin_unlock(&pm->lock);
}

void pm_place(struct vm *vm, uint16_t base, bool enabled) {
    struct pm *pm = pm_of(vm);
    spin_lock(&pm->lock);
    if (!enabled)
        base = 0;
    if (base != pm->base) {
        if (pm->base)
            bus_remove(&vm->bus[BUS_PORT], pm->base);
        pm->base = base;
        if (base && bus_add(&vm->bus[BUS_PORT], base, PM_PORTS, &pm_ops, pm, "PM"))
            pm->base = 0;
    }
    spin_unlock(&pm->lock);
}

uint8_t pm_reset_read(struct vm *vm) {
    struct pm *pm = pm_of(vm);
    spin_lock(&pm->lock);
    uint8_t value = pm->s.reset_control;
    spin_unlock(&pm->lock);
    return value;
}

/* RST_CPU going from 0 to 1 resets; hard or soft makes no difference to a guest (ICH9 13.7.5). */
void pm_reset_write(struct vm *vm, uint8_t value) {
    struct pm *pm = pm_of(vm);
    spin_lock(&pm->lock);
    bool reset = value & ~pm->s.reset_control & RESET_CPU;
    pm->s.reset_control = value & RESET_KEPT;
    spin_unlock(&pm->lock);
    if (reset)
        vm_end(vm, VM_END_RESET, 0, "reset through port 0xcf9");
}

static void set_defaults(struct pm *pm) {
    pm->s = (struct pm_state){0};
    pm->tick_shift = 0 - rate_ticks(time_now(), PM_TIMER_HZ);
    pm->toggles = 0;
    update(pm);
}

static int pm_create(struct vm *vm, unsigned index) {
    (void)index;
    struct pm *pm = heap_allocate(sizeof(*pm), &vm->memory.account);
    if (!pm)
        return -ENOMEM;
    pm->vm = vm;
    timer_init(&pm->timer, timer_fired);
    x86_vm(vm)->pc.pm = pm;
    return 0;
}

static void pm_destroy(struct vm *vm, unsigned index) {
    (void)index;
    struct pm *pm = pm_of(vm);
    timer_cancel(&pm->timer);
    if (pm->base)
        bus_remove(&vm->bus[BUS_PORT], pm->base);
    x86_vm(vm)->pc.pm = NULL;
    heap_free(pm, sizeof(*pm), &vm->memory.account);
}

static void pm_reset(struct vm *vm, unsigned index) {
    (void)index;
    struct pm *pm = pm_of(vm);
    spin_lock(&pm->lock);
    set_defaults(pm);
    spin_unlock(&pm->lock);
}

static void pm_save(struct vm *vm, unsigned index, struct state_writer *writer) {
    (void)index;
    struct pm *pm = pm_of(vm);
    spin_lock(&pm->lock);
    update(pm);
    state_put_u16(writer, pm->s.status);
    state_put_u16(writer, pm->s.enable);
    state_put_u16(writer, pm->s.control);
    state_put_u64(writer, pm->s.gpe_status);
    state_put_u64(writer, pm->s.gpe_enable);
    state_put_u8(writer, pm->s.reset_control);
    state_put_u32(writer, (uint32_t)timer_count(pm));
    spin_unlock(&pm->lock);
}

static int pm_load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    (void)index;
    (void)version;
    struct pm *pm = pm_of(vm);
    struct pm_state in = {0};
    in.status = state_get_u16(reader);
    in.enable = state_get_u16(reader);
    in.control = state_get_u16(reader);
    in.gpe_status = state_get_u64(reader);
    in.gpe_enable = state_get_u64(reader);
    in.reset_control = state_get_u8(reader);
    uint32_t count = state_get_u32(reader);
    bool good = !reader->error && !(in.status & ~PM1_STATUS_BITS) && !(in.enable & ~PM1_ENABLE_BITS) &&
                !(in.control & ~CONTROL_KEPT) && !(in.reset_control & ~RESET_KEPT);
    spin_lock(&pm->lock);
    set_defaults(pm);
    if (good) {
        pm->s = in;
        pm->tick_shift += count;
        pm->toggles = count >> 31;
        update(pm);
    }
    spin_unlock(&pm->lock);
    return good ? 0 : -EINVAL;
}

const struct part pm_part = {
    .name = "x86.pm",
    .version = 1,
    .create = pm_create,
    .destroy = pm_destroy,
    .reset = pm_reset,
    .save = pm_save,
    .load = pm_load,
};
