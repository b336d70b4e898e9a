// SPDX-License-Identifier: Apache-2.0
// What the emulator asks of a VM, answered: RAM and ROM, devices on the bus, the APIC page, ports, XMM and
// YMM registers.
#include "arch/x86/engine/mmio.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/fpu.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/x86_cpu.h"
#include "arch/x86/xsave_area.h"

#include <errno.h>
#include <string.h>

/* Where a page of the guest's was at that sequence number of its memory's regions. */
struct place {
    uint64_t gpa; /* all ones: nothing is known */
    uint64_t physical;
    uint32_t sequence;
};

/* As many as the tables that lead to code, and the code, most often, without two in one place. */
#define PLACES 16u

/* Where the CPU and the VM stood when pages were looked up last. */
struct mmio {
    struct emulate emulate;
    const struct x86_cpu *cpu;
    uint64_t window_sequence;
    uint64_t apic;
    uint32_t memory_sequence;
    uint32_t absent_sequence; /* odd: nothing is known */
    uint64_t absent;          /* a page where no memory was at that sequence number of the memory's */
    struct place place[PLACES];
};

static inline struct mmio *mmio_of(struct x86_vcpu *vcpu) {
    return container_of(vcpu->emulate, struct mmio, emulate);
}

static int read_guest(void *context, uint64_t gpa, void *buffer, unsigned size) {
    struct x86_vcpu *vcpu = context;
    /* The APIC's page lies over whatever else is there (Intel SDM vol. 3, 11.4.1). */
    if ((gpa & ~0xfffull) == lapic_mmio_base(vcpu->lapic) && lapic_mmio_base(vcpu->lapic))
        return -EFAULT;
    return guest_read(vcpu->core.vm, gpa, buffer, size);
}

static int write_guest(void *context, uint64_t gpa, const void *buffer, unsigned size) {
    struct x86_vcpu *vcpu = context;
    if ((gpa & ~0xfffull) == lapic_mmio_base(vcpu->lapic) && lapic_mmio_base(vcpu->lapic))
        return -EFAULT;
    return guest_write(vcpu->core.vm, gpa, buffer, size);
}

/* The memory's sequence number was taken before this looks, so that what changes meanwhile is out of date.
 * What is not the VM's own goes by no such number. */
static bool find(struct x86_vcpu *vcpu, uint64_t gpa, struct place *place) {
    enum guest_region_kind kind;

    place->gpa = UINT64_MAX;
    if (guest_memory_translate(vcpu->core.vm, gpa, &place->physical, NULL, &kind) ||
        (kind != GUEST_RAM && kind != GUEST_ROM))
        return false;
    place->gpa = gpa;
    place->sequence = mmio_of(vcpu)->memory_sequence;
    return true;
}

static const void *page(void *context, uint64_t gpa) {
    struct x86_vcpu *vcpu = context;
    struct mmio *mmio = mmio_of(vcpu);
    struct place *place = &mmio->place[(gpa >> PAGE_SHIFT) % PLACES];

    if (gpa == lapic_mmio_base(vcpu->lapic) && gpa)
        return NULL;
    if ((place->gpa != gpa || place->sequence != mmio->memory_sequence) && !find(vcpu, gpa, place))
        return NULL;
    return arch_window_map(place->physical);
}

static int cmpxchg_guest(void *context, uint64_t gpa, unsigned size, void *expected, const void *desired) {
    struct x86_vcpu *vcpu = context;
    int done = guest_compare_exchange(vcpu->core.vm, gpa, size, expected, desired);
    return done < 0 ? done : !done;
}

int mmio_read(struct x86_vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t *value) {
    uint64_t apic = lapic_mmio_base(vcpu->lapic);
    if (apic && gpa - apic < PAGE_SIZE)
        return lapic_mmio_read(vcpu->lapic, (uint32_t)(gpa - apic), size, value);
    int error = bus_read(&vcpu->core.vm->bus[BUS_MEMORY], &vcpu->core, gpa, size, value);
    return error == -EAGAIN ? error : 0; /* nobody there: all ones, and the guest goes on */
}

int mmio_write(struct x86_vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t value) {
    uint64_t apic = lapic_mmio_base(vcpu->lapic);
    if (apic && gpa - apic < PAGE_SIZE)
        return lapic_mmio_write(vcpu->lapic, (uint32_t)(gpa - apic), size, value);
    int error = bus_write(&vcpu->core.vm->bus[BUS_MEMORY], &vcpu->core, gpa, size, value);
    return error == -EAGAIN ? error : 0;
}

static int device_read(void *context, uint64_t gpa, unsigned size, uint64_t *value) {
    return mmio_read(context, gpa, size, value);
}

static int device_write(void *context, uint64_t gpa, unsigned size, uint64_t value) {
    return mmio_write(context, gpa, size, value);
}

static int io_read(void *context, uint16_t port, unsigned size, uint32_t *value) {
    struct x86_vcpu *vcpu = context;
    uint64_t wide;
    int error = bus_read(&vcpu->core.vm->bus[BUS_PORT], &vcpu->core, port, size, &wide);
    *value = (uint32_t)wide;
    return error == -EAGAIN ? error : 0;
}

static int io_write(void *context, uint16_t port, unsigned size, uint32_t value) {
    struct x86_vcpu *vcpu = context;
    int error = bus_write(&vcpu->core.vm->bus[BUS_PORT], &vcpu->core, port, size, value);
    return error == -EAGAIN ? error : 0;
}

static void vector_read(void *context, unsigned number, void *value, unsigned size) {
    struct x86_vcpu *vcpu = context;
    const uint8_t *area = vcpu->state->xsave;

    fpu_sync(vcpu);
    /* A component in its initial state is not written by XSAVE. */
    uint64_t bv;
    memcpy(&bv, area + XSAVE_BV, sizeof(bv));
    memset(value, 0, size);
    if (bv & 2)
        memcpy(value, area + XSAVE_XMM + number * 16, 16);
    if (size == 32 && (bv & 4))
        memcpy((uint8_t *)value + 16, area + XSAVE_YMM + number * 16, 16);
}

static void vector_write(void *context, unsigned number, const void *value, unsigned size) {
    struct x86_vcpu *vcpu = context;
    uint8_t *area = vcpu->state->xsave;
    uint64_t bv;

    fpu_sync(vcpu);
    memcpy(&bv, area + XSAVE_BV, sizeof(bv));
    if (!(bv & 2))
        memset(area + XSAVE_XMM, 0, 256);
    memcpy(area + XSAVE_XMM + number * 16, value, 16);
    bv |= 2;
    if (size == 32) {
        if (!(bv & 4))
            memset(area + XSAVE_YMM, 0, 256);
        memcpy(area + XSAVE_YMM + number * 16, (const uint8_t *)value + 16, 16);
        bv |= 4;
    }
    memcpy(area + XSAVE_BV, &bv, sizeof(bv));
    fpu_reload(vcpu);
}

static const struct emulate_ops ops = {
    .read_guest = read_guest,
    .write_guest = write_guest,
    .cmpxchg_guest = cmpxchg_guest,
    .mmio_read = device_read,
    .mmio_write = device_write,
    .io_read = io_read,
    .io_write = io_write,
    .page = page,
    .vector_read = vector_read,
    .vector_write = vector_write,
};

int mmio_create(struct x86_vcpu *vcpu) {
    struct mmio *mmio = heap_allocate(sizeof(*mmio), &vcpu->core.vm->memory.account);
    if (!mmio)
        return -ENOMEM;
    vcpu->emulate = &mmio->emulate;
    mmio->absent_sequence = 1;
    for (unsigned i = 0; i < PLACES; i++)
        mmio->place[i].gpa = UINT64_MAX;
    emulate_init(vcpu->emulate, &vcpu->state->registers, &vcpu->state->system, &ops, vcpu,
                 x86_vm(vcpu->core.vm)->model->physical_bits);
    return 0;
}

void mmio_destroy(struct x86_vcpu *vcpu) {
    if (vcpu->emulate)
        heap_free(mmio_of(vcpu), sizeof(struct mmio), &vcpu->core.vm->memory.account);
    vcpu->emulate = NULL;
}

void mmio_load(struct x86_vcpu *vcpu) {
    mmio_of(vcpu)->cpu = NULL;
}

bool mmio_is_device(struct x86_vcpu *vcpu, uint64_t gpa, bool write) {
    struct mmio *mmio = mmio_of(vcpu);
    struct guest_memory *memory = &vcpu->core.vm->memory;
    uint64_t apic = lapic_mmio_base(vcpu->lapic), page = gpa & ~(PAGE_SIZE - 1);
    uint32_t sequence = __atomic_load_n(&memory->sequence, __ATOMIC_ACQUIRE);
    enum guest_region_kind kind;

    if (page == apic && apic)
        return true;
    if (__builtin_expect(page == mmio->absent && sequence == mmio->absent_sequence, 1))
        return true;
    if (guest_memory_translate(vcpu->core.vm, gpa, NULL, NULL, &kind) == 0)
        return write && (kind == GUEST_ROM || kind == GUEST_SHOWN_READ);
    if (!(sequence & 1)) {
        mmio->absent = page;
        mmio->absent_sequence = sequence;
    }
    return true;
}

struct emulate *mmio_emulator_short(struct x86_vcpu *vcpu) {
    struct mmio *mmio = mmio_of(vcpu);
    const struct x86_cpu *cpu = x86_cpu_this();
    uint64_t apic = lapic_mmio_base(vcpu->lapic);
    uint32_t sequence = __atomic_load_n(&vcpu->core.vm->memory.sequence, __ATOMIC_ACQUIRE);

    x86_need(vcpu, X86_STATE_CODE | X86_STATE_CONTROL);
    if (__builtin_expect(mmio->cpu != cpu || mmio->window_sequence != cpu->window_sequence ||
                             mmio->apic != apic || mmio->memory_sequence != sequence,
                         0)) {
        mmio->cpu = cpu;
        mmio->window_sequence = cpu->window_sequence;
        mmio->apic = apic;
        mmio->memory_sequence = sequence;
        mmio->emulate.epoch++;
    }
    return &mmio->emulate;
}

struct emulate *mmio_emulator(struct x86_vcpu *vcpu) {
    x86_need(vcpu, X86_STATE_SEGMENTS | X86_STATE_CONTROL);
    vcpu->emulate->xcr0 = vcpu->state->xcr0;
    return mmio_emulator_short(vcpu);
}

int mmio_peek(struct x86_vcpu *vcpu, uint64_t linear, void *buffer, size_t size) {
    struct emulate *emulate = mmio_emulator(vcpu);
    uint8_t *out = buffer;

    while (size) {
        uint64_t gpa;
        size_t part = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
        if (part > size)
            part = size;
        if (emulate_walk(emulate, linear, EMULATE_IMPLICIT | EMULATE_PEEK, &gpa) != EMULATE_OK ||
            guest_read(vcpu->core.vm, gpa, out, part))
            return -EFAULT;
        out += part;
        linear += part;
        size -= part;
    }
    return 0;
}
