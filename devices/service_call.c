// SPDX-License-Identifier: Apache-2.0
// The service VM's calls, each argument checked; and the way of a guest's access to one of its devices: the
// doorbell, the request and the answer.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/console.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/service.h"
#include "core/service_internal.h"
#include "devices/service_mmio.h"
#include "devices/service_pci.h"

/* ---- texts */

/* Copies a text of its memory, printable. */
static int text_read(uint32_t address, uint32_t length, char text[SERVICE_MAX_TEXT + 1]) {
    if (length > SERVICE_MAX_TEXT)
        return -EINVAL;
    int error = length ? guest_read(service.vm, address, text, length) : 0;
    if (error)
        return error;
    for (uint32_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    text[length] = '\0';
    return 0;
}

static int32_t call_log(uint32_t level, uint32_t address, uint32_t length) {
    char text[SERVICE_MAX_TEXT + 1];
    int error = level > LOG_DEBUG ? -EINVAL : text_read(address, length, text);

    if (!error)
        log_line((enum log_level)level, "service: %s", text);
    return error;
}

static int32_t call_crash(struct vcpu *vcpu, uint32_t address, uint32_t length) {
    char text[SERVICE_MAX_TEXT + 1];

    if (text_read(address, length < 120 ? length : 120, text))
        snprintf(text, sizeof(text), "for no reason that can be read");
    vm_crash(vcpu, "%s", text);
    return 0;
}

/* ---- devices */

/* The PCI function of a device's number; NULL: there is none. The service VM's one vCPU alone makes them. */
static struct service_function *function_of(uint32_t number) {
    return number < SERVICE_MAX_DEVICES ? service.function[number] : NULL;
}

static int32_t call_device(uint32_t address) {
    struct service_device device;
    uint32_t number = SERVICE_MAX_DEVICES;
    int error = guest_read(service.vm, address, &device, sizeof(device));

    if (error)
        return error;
    if (!device.token)
        return -EINVAL;
    /* One that it does not serve has nothing of it, and its devices would not be reset with it. */
    if (device.vm >= vm_count() || !service_serves(vm_get(device.vm)))
        return -ENOENT;
    for (uint32_t i = SERVICE_MAX_DEVICES; i-- > 0;) {
        if (service.token[i] == device.token)
            return -EEXIST;
        if (!service.token[i])
            number = i;
    }
    if (number == SERVICE_MAX_DEVICES)
        return -ENOSPC;
    struct service_function *function = NULL;
    struct service_mmio *mmio = NULL;
    error = device.bus == SERVICE_BUS_MMIO
                ? service_mmio_create(vm_get(device.vm), number, &device, &mmio)
                : service_pci_create(vm_get(device.vm), number, &device, &function);
    if (error)
        return error;
    spin_lock(&service.lock);
    service.function[number] = function;
    service.mmio[number] = mmio;
    service.owner[number] = device.vm;
    service.token[number] = device.token;
    service.board->device_token[number] = device.token;
    spin_unlock(&service.lock);
    return (int32_t)number;
}

static int32_t call_config(const uint32_t arguments[4]) {
    struct service_function *function = function_of(arguments[0]);
    return function ? service_pci_config(function, arguments[1], arguments[2], arguments[3]) : -ENODEV;
}

static int32_t call_interrupt(uint32_t number, uint32_t vector) {
    struct service_function *function = function_of(number);
    return function ? service_pci_interrupt(function, vector) : -ENODEV;
}

/* Those that wait for the next sleep. What is written there is the service VM's word alone, which is in this
 * call. */
static void send_listed(struct service_board *board) {
    uint32_t count = board->interrupt_count;

    board->interrupt_count = 0;
    for (uint32_t i = 0; i < count && i < SERVICE_MAX_INTERRUPTS; i++) {
        uint32_t number = board->interrupts[i] >> 16, vector = board->interrupts[i] & 0xffff;
        if (call_interrupt(number, vector) != -ENXIO)
            continue;
        __atomic_fetch_or(&board->refused[number / 32], 1u << number % 32, __ATOMIC_SEQ_CST);
        __atomic_fetch_or(&board->events, SERVICE_EVENT_REFUSED, __ATOMIC_SEQ_CST);
    }
}

static int32_t call_line(uint32_t number, uint32_t level) {
    struct service_function *function = function_of(number);
    return function ? service_pci_line(function, level != 0) : -ENODEV;
}

static int32_t call_status(uint32_t number, uint32_t clear, uint32_t set) {
    struct service_mmio *mmio = number < SERVICE_MAX_DEVICES ? service.mmio[number] : NULL;
    return mmio ? service_mmio_status(mmio, clear, set) : -ENODEV;
}

static int32_t call_dirty(uint32_t number, uint32_t page, uint32_t count) {
    if (number >= vm_count() || !service_serves(vm_get(number)))
        return -ENOENT;
    return guest_mark_backing(vm_get(number), (uint64_t)page << PAGE_SHIFT, (uint64_t)count << PAGE_SHIFT);
}

/* Guests can cause these lines as often as they like: so many in each period are shown. */
#define NOTE_PERIOD 10000000000ull /* ns */
#define NOTE_LIMIT  20u

static struct {
    uint64_t begin; /* of the period */
    unsigned count;
} notes[VM_MAX];

/* A device of a guest has something to say in its log. */
static int32_t call_note(uint32_t number, uint32_t address, uint32_t length) {
    char text[SERVICE_MAX_TEXT + 1];
    int error = number >= vm_count() ? -ENOENT : text_read(address, length, text);

    if (error)
        return error;
    uint64_t now = time_now();
    if (!notes[number].count || now - notes[number].begin > NOTE_PERIOD) {
        notes[number].begin = now;
        notes[number].count = 0;
    }
    if (notes[number].count <= NOTE_LIMIT)
        notes[number].count++;
    if (notes[number].count <= NOTE_LIMIT)
        log_line(LOG_WARNING, "guest %s: %s%s", vm_get(number)->name, text,
                 notes[number].count == NOTE_LIMIT ? " (more of these are not shown)" : "");
    return 0;
}

static int32_t call_entropy(uint32_t address, uint32_t length) {
    uint8_t bytes[SERVICE_MAX_ENTROPY];

    if (length == 0 || length > sizeof(bytes))
        return -EINVAL;
    int count = arch_entropy(bytes, length);
    int error = count > 0 ? guest_write(service.vm, address, bytes, (size_t)count) : 0;
    return error ? error : count;
}

/* ---- DMA of a guest's own functions */

static int32_t call_dma(uint32_t call, const uint32_t arguments[4]) {
    struct vm *vm = arguments[0] < vm_count() ? vm_get(arguments[0]) : NULL;
    struct service_dma dma;

    if (!vm || !vm->passed || !vm->passed->address_bits)
        return -ENOENT;
    if (call == SERVICE_CALL_DMA_CONFINE)
        return arguments[2] > 1 ? -EINVAL : vm->passed->confine(vm, arguments[1], arguments[2] != 0);
    int error = guest_read(service.vm, arguments[2], &dma, sizeof(dma));
    if (error)
        return error;
    return call == SERVICE_CALL_DMA_MAP ? vm->passed->map(vm, arguments[1], &dma)
                                        : vm->passed->unmap(vm, arguments[1], &dma);
}

/* ---- sleep */

static int32_t call_wait(struct vcpu *vcpu) {
    __atomic_fetch_add(&service.calls, 1, __ATOMIC_RELAXED);
    if (__builtin_expect(__atomic_load_n(&service.unsettled, __ATOMIC_SEQ_CST), 0))
        service_settle();
    if (service.board->interrupt_count)
        send_listed(service.board);
    service.wake_at = service.board->wake_at;
    if (service_has_event())
        return 0;
    if (service.wake_at != UINT64_MAX)
        timer_arm(&service.wake, service.wake_at);
    vcpu->hold = VCPU_HOLD_EVENT;
    return 0;
}

/* ---- requests */

static int32_t call_answer(uint32_t slot, uint32_t sequence) {
    if (slot >= SERVICE_SLOTS || slot / SERVICE_MAX_VCPUS >= vm_count())
        return -EINVAL;
    struct vm *vm = vm_get(slot / SERVICE_MAX_VCPUS);
    if (slot % SERVICE_MAX_VCPUS >= vm->vcpu_count)
        return -EINVAL;
    struct vcpu *vcpu = vm->vcpu[slot % SERVICE_MAX_VCPUS];
    struct vcpu_io *io = &vcpu->io;
    uint32_t waiting = VCPU_IO_WAITING;
    if (__atomic_load_n(&io->sequence, __ATOMIC_ACQUIRE) != sequence ||
        __atomic_load_n(&io->state, __ATOMIC_ACQUIRE) != waiting)
        return -ESTALE;
    io->value = service.board->request[slot].value;
    /* Before the vCPU knows: if it does not sleep yet, it goes on at once and asks the next thing here. */
    service.board->request[slot].state = SERVICE_REQUEST_NONE;
    if (!__atomic_compare_exchange_n(&io->state, &waiting, VCPU_IO_ANSWERED, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED))
        return -ESTALE;
    if (__atomic_load_n(&vcpu->state, __ATOMIC_SEQ_CST) == VCPU_BLOCKED)
        sched_wake(vcpu);
    return 0;
}

static void request_show(const struct vcpu *vcpu) {
    unsigned slot = vcpu->vm->id * SERVICE_MAX_VCPUS + vcpu->index;
    const struct vcpu_io *io = &vcpu->io;
    struct service_request *request = &service.board->request[slot];

    request->value = io->value;
    request->offset = io->offset;
    request->device = io->device;
    request->bar = io->bar;
    request->size = io->size;
    request->write = io->write;
    request->sequence = io->sequence;
    __atomic_store_n(&request->state, SERVICE_REQUEST_OPEN, __ATOMIC_RELEASE);
    __atomic_fetch_or(&service.board->request_slots[slot / 32], 1u << slot % 32, __ATOMIC_SEQ_CST);
}

int service_request(struct vcpu *vcpu, unsigned number, unsigned bar, uint64_t offset, unsigned size,
                    bool write, uint64_t *value) {
    struct vcpu_io *io = &vcpu->io;

    if (__atomic_load_n(&io->state, __ATOMIC_ACQUIRE) == VCPU_IO_ANSWERED) {
        __atomic_store_n(&io->state, VCPU_IO_NONE, __ATOMIC_RELAXED);
        if (io->device == number && io->bar == bar && io->offset == offset && io->size == size &&
            io->write == write && (!write || io->asked == *value)) {
            if (!write)
                *value = io->value;
            return 0;
        }
        /* Another vCPU has changed the instruction meanwhile: another question. */
    }
    io->device = (uint16_t)number;
    io->bar = (uint8_t)bar;
    io->offset = (uint32_t)offset;
    io->size = (uint8_t)size;
    io->write = write;
    io->value = io->asked = write ? *value : 0;
    __atomic_store_n(&io->sequence, io->sequence + 1, __ATOMIC_RELEASE);
    vcpu->hold = VCPU_HOLD_ANSWER;
    __atomic_store_n(&io->state, VCPU_IO_WAITING, __ATOMIC_SEQ_CST);
    request_show(vcpu);
    service_event(SERVICE_EVENT_REQUEST);
    return -EAGAIN;
}

void service_doorbell(unsigned number, unsigned bit) {
    struct service_board *board = service.board;

    /* Who takes the bits does so from the last to the first of these words. */
    if (__atomic_fetch_or(&board->doorbell[number], 1u << bit, __ATOMIC_SEQ_CST) & 1u << bit)
        return;
    __atomic_fetch_or(&board->doorbell_devices[number / 32], 1u << number % 32, __ATOMIC_SEQ_CST);
    service_event(SERVICE_EVENT_DOORBELL);
}

/* ---- resets */

void service_devices_reset(const struct vm *vm) {
    service_console_close(vm);
    for (uint32_t i = 0; i < SERVICE_MAX_DEVICES; i++) {
        struct service_function *function = NULL;
        struct service_mmio *mmio = NULL;
        spin_lock(&service.lock);
        if (service.token[i] && service.owner[i] == vm->id) {
            function = service.function[i];
            mmio = service.mmio[i];
        }
        spin_unlock(&service.lock);
        if (function)
            service_pci_reset(function);
        if (mmio)
            service_mmio_reset(mmio);
    }
}

void service_ask_again(void) {
    uint32_t events = SERVICE_EVENT_VM | SERVICE_EVENT_CONSOLE | SERVICE_EVENT_KEY;

    for (uint32_t i = 0; i < SERVICE_MAX_DEVICES; i++) {
        service.board->device_token[i] = service.token[i];
        if (!service.token[i])
            continue;
        __atomic_store_n(&service.board->doorbell[i], UINT32_MAX, __ATOMIC_SEQ_CST);
        __atomic_fetch_or(&service.board->doorbell_devices[i / 32], 1u << i % 32, __ATOMIC_SEQ_CST);
        events |= SERVICE_EVENT_DOORBELL;
    }
    for (unsigned i = 0; i < vm_count(); i++) {
        struct vm *vm = vm_get(i);
        for (unsigned j = 0; j < vm->vcpu_count; j++) {
            if (__atomic_load_n(&vm->vcpu[j]->io.state, __ATOMIC_ACQUIRE) != VCPU_IO_WAITING)
                continue;
            request_show(vm->vcpu[j]);
            events |= SERVICE_EVENT_REQUEST;
        }
    }
    __atomic_store_n(&service.board->vms_changed, UINT32_MAX, __ATOMIC_SEQ_CST);
    __atomic_store_n(&service.board->consoles, UINT32_MAX, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&service.board->events, events, __ATOMIC_SEQ_CST);
}

/* ---- all of them */

int32_t service_call(struct vcpu *vcpu, uint32_t number, const uint32_t arguments[4]) {
    switch (number) {
    case SERVICE_CALL_WAIT:
        return call_wait(vcpu);
    case SERVICE_CALL_READY:
        service_say_ready();
        return 0;
    case SERVICE_CALL_LOG:
        return call_log(arguments[0], arguments[1], arguments[2]);
    case SERVICE_CALL_CRASH:
        return call_crash(vcpu, arguments[0], arguments[1]);
    case SERVICE_CALL_DEVICE:
        return call_device(arguments[0]);
    case SERVICE_CALL_CONFIG:
        return call_config(arguments);
    case SERVICE_CALL_INTERRUPT:
        return call_interrupt(arguments[0], arguments[1]);
    case SERVICE_CALL_LINE:
        return call_line(arguments[0], arguments[1]);
    case SERVICE_CALL_ANSWER:
        return call_answer(arguments[0], arguments[1]);
    case SERVICE_CALL_DIRTY:
        return call_dirty(arguments[0], arguments[1], arguments[2]);
    case SERVICE_CALL_NOTE:
        return call_note(arguments[0], arguments[1], arguments[2]);
    case SERVICE_CALL_ENTROPY:
        return call_entropy(arguments[0], arguments[1]);
    case SERVICE_CALL_CONSOLE_OPEN:
        return service_console_open(arguments[0], arguments[1]);
    case SERVICE_CALL_CONSOLE_WRITE:
        return service_console_write(arguments[0], arguments[1], arguments[2]);
    case SERVICE_CALL_CONSOLE_READ:
        return service_console_read(arguments[0], arguments[1], arguments[2], arguments[3]);
    case SERVICE_CALL_STATUS:
        return call_status(arguments[0], arguments[1], arguments[2]);
    case SERVICE_CALL_KEY:
        return console_key();
    case SERVICE_CALL_SHOW:
        return service_shell_show(arguments[0], arguments[1]);
    case SERVICE_CALL_PROMPT:
        return service_shell_prompt(arguments[0], arguments[1], arguments[2]);
    case SERVICE_CALL_PROMPT_CLOSE:
        console_prompt_close();
        return 0;
    case SERVICE_CALL_CLEAR:
        console_clear();
        return 0;
    case SERVICE_CALL_CONTROL:
        return service_shell_control(vcpu, arguments[0], arguments[1]);
    case SERVICE_CALL_LOOK:
        return service_shell_look(arguments[0], arguments[1], arguments[2]);
    case SERVICE_CALL_PCI_CLAIM:
        return service_host_claim(arguments[0]);
    case SERVICE_CALL_PCI_MASTER:
        return service_host_master(arguments[0], arguments[1]);
    case SERVICE_CALL_PCI_VECTORS:
        return service_host_vectors(arguments[0], arguments[1]);
    case SERVICE_CALL_PCI_UNMASK:
        return service_host_unmask(arguments[0], arguments[1]);
    case SERVICE_CALL_DMA_CONFINE:
    case SERVICE_CALL_DMA_MAP:
    case SERVICE_CALL_DMA_UNMAP:
        return call_dma(number, arguments);
    default:
        return -ENOSYS;
    }
}
