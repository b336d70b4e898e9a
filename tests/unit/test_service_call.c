// SPDX-License-Identifier: Apache-2.0
// The service VM's calls with right and wrong arguments; doorbells, requests and answers; what is asked again
// when it starts anew.
// unit-sources: devices/service_call.c
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/console.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/service_internal.h"
#include "devices/service_mmio.h"
#include "devices/service_pci.h"

struct cpu *test_cpu;
uint64_t test_time;

/* ---- surroundings: two guests, the second with two vCPUs; 64 KiB of the service VM's memory at 0x10000 */

#define MEMORY 0x10000u
#define SIZE   0x10000u

struct service service;
static struct service_board board;
static struct vm vms[2], service_machine;
static struct vcpu vcpus[3], service_vcpu;
static uint8_t memory[SIZE];
static char line[256], crashed[256];
static unsigned woken, served; /* served: bit n, vms[n] */
static struct vcpu *woken_vcpu;

unsigned vm_count(void) {
    return 2;
}
struct vm *vm_get(unsigned index) {
    assert_true(index < 2);
    return &vms[index];
}
bool service_serves(const struct vm *vm) {
    return served >> vm->id & 1;
}
int guest_read(struct vm *vm, uint64_t gpa, void *buffer, size_t size) {
    assert_ptr_equal(vm, &service_machine);
    if (gpa < MEMORY || gpa - MEMORY > SIZE || size > SIZE - (gpa - MEMORY))
        return -EFAULT;
    memcpy(buffer, memory + (gpa - MEMORY), size);
    return 0;
}
int guest_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t size) {
    assert_ptr_equal(vm, &service_machine);
    if (gpa < MEMORY || gpa - MEMORY > SIZE || size > SIZE - (gpa - MEMORY))
        return -EFAULT;
    memcpy(memory + (gpa - MEMORY), buffer, size);
    return 0;
}
static int entropy_result;
static unsigned entropy_asked;
int arch_entropy(uint8_t *bytes, unsigned size) {
    entropy_asked = size;
    memset(bytes, 0xab, size);
    return entropy_result;
}
static uint32_t shell[4]; /* what the shell has called: arguments, and which */
static int32_t shell_called(uint32_t a, uint32_t b, uint32_t c, uint32_t which) {
    shell[0] = a;
    shell[1] = b;
    shell[2] = c;
    shell[3] = which;
    return (int32_t)which;
}
int32_t service_shell_show(uint32_t address, uint32_t length) {
    return shell_called(address, length, 0, 1);
}
int32_t service_shell_prompt(uint32_t address, uint32_t length, uint32_t cursor) {
    return shell_called(address, length, cursor, 2);
}
int32_t service_shell_control(struct vcpu *vcpu, uint32_t action, uint32_t vm) {
    assert_ptr_equal(vcpu, &service_vcpu);
    return shell_called(action, vm, 0, 3);
}
int32_t service_shell_look(uint32_t kind, uint32_t number, uint32_t address) {
    return shell_called(kind, number, address, 4);
}
int console_key(void) {
    return shell_called(0, 0, 0, 'k');
}
void console_prompt_close(void) {
    shell_called(0, 0, 0, 5);
}
void console_clear(void) {
    shell_called(0, 0, 0, 6);
}
static uint32_t pci[3]; /* what was called of the machine's functions, last: number, argument, which */
static int32_t pci_called(uint32_t number, uint32_t argument, uint32_t which) {
    pci[0] = number;
    pci[1] = argument;
    pci[2] = which;
    return (int32_t)which;
}
int32_t service_host_claim(uint32_t number) {
    return pci_called(number, 0, 1);
}
int32_t service_host_master(uint32_t number, uint32_t on) {
    return pci_called(number, on, 2);
}
int32_t service_host_vectors(uint32_t number, uint32_t wanted) {
    return pci_called(number, wanted, 3);
}
int32_t service_host_unmask(uint32_t number, uint32_t mine) {
    return pci_called(number, mine, 4);
}
static uint64_t marked_at, marked_size;
int guest_mark_backing(struct vm *vm, uint64_t offset, uint64_t size) {
    assert_ptr_equal(vm, &vms[1]);
    marked_at = offset;
    marked_size = size;
    return 0;
}
void log_line(enum log_level level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int used = snprintf(line, sizeof(line), "%d ", (int)level);
    vsnprintf(line + used, sizeof(line) - (size_t)used, format, arguments);
    va_end(arguments);
}
void vm_crash(struct vcpu *vcpu, const char *format, ...) {
    va_list arguments;
    assert_ptr_equal(vcpu, &service_vcpu);
    va_start(arguments, format);
    vsnprintf(crashed, sizeof(crashed), format, arguments);
    va_end(arguments);
}
void sched_wake(struct vcpu *vcpu) {
    woken++;
    woken_vcpu = vcpu;
}
static uint64_t armed;
void timer_arm(struct timer *timer, uint64_t deadline) {
    assert_ptr_equal(timer, &service.wake);
    armed = deadline;
}
bool service_has_event(void) {
    return board.events != 0;
}
void service_event(uint32_t events) {
    board.events |= events;
}
static unsigned readies;
static unsigned settles;
void service_settle(void) {
    settles++;
}
void service_say_ready(void) {
    readies++;
}

static unsigned closed;
void service_console_close(const struct vm *vm) {
    assert_ptr_equal(vm, &vms[0]);
    closed++;
}

static int create_result;
static struct service_device created;
static char functions[SERVICE_MAX_DEVICES];
int service_pci_create(struct vm *vm, unsigned number, const struct service_device *description,
                       struct service_function **out) {
    assert_ptr_equal(vm, &vms[description->vm]);
    created = *description;
    *out = (struct service_function *)&functions[number];
    return create_result;
}
static unsigned resets[SERVICE_MAX_DEVICES];
void service_pci_reset(struct service_function *f) {
    resets[(char *)f - functions]++;
}
static uint32_t got[4];
int service_pci_config(struct service_function *f, unsigned offset, unsigned size, uint32_t value) {
    got[0] = (uint32_t)((char *)f - functions);
    got[1] = offset;
    got[2] = size;
    got[3] = value;
    return 0;
}
int service_pci_interrupt(struct service_function *f, unsigned vector) {
    got[0] = (uint32_t)((char *)f - functions);
    got[1] = vector;
    return vector == 7 ? -ENXIO : 0;
}
int service_pci_line(struct service_function *f, bool level) {
    got[0] = (uint32_t)((char *)f - functions);
    got[1] = level;
    return 0;
}

static char mmios[SERVICE_MAX_DEVICES];
int service_mmio_create(struct vm *vm, unsigned number, const struct service_device *description,
                        struct service_mmio **out) {
    assert_ptr_equal(vm, &vms[description->vm]);
    created = *description;
    *out = (struct service_mmio *)&mmios[number];
    return create_result;
}
static unsigned mmio_resets[SERVICE_MAX_DEVICES];
void service_mmio_reset(struct service_mmio *m) {
    mmio_resets[(char *)m - mmios]++;
}
int service_mmio_status(struct service_mmio *m, uint32_t clear, uint32_t set) {
    got[0] = (uint32_t)((char *)m - mmios);
    got[1] = clear;
    got[2] = set;
    return 0;
}

int32_t service_console_open(uint32_t vm, uint32_t open) {
    got[0] = vm;
    got[1] = open;
    return 11;
}
int32_t service_console_write(uint32_t vm, uint32_t address, uint32_t length) {
    got[0] = vm;
    got[1] = address;
    got[2] = length;
    return 12;
}
int32_t service_console_read(uint32_t vm, uint32_t address, uint32_t room, uint32_t from) {
    got[0] = vm;
    got[1] = address;
    got[2] = room, got[3] = from;
    return 13;
}

static int32_t call(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const uint32_t arguments[4] = {a, b, c, d};
    return service_call(&service_vcpu, number, arguments);
}

static int setup(void **state) {
    (void)state;
    memset(&service, 0, sizeof(service));
    memset(&board, 0, sizeof(board));
    memset(vms, 0, sizeof(vms));
    memset(vcpus, 0, sizeof(vcpus));
    memset(&service_vcpu, 0, sizeof(service_vcpu));
    memset(memory, 0, sizeof(memory));
    memset(resets, 0, sizeof(resets));
    memset(mmio_resets, 0, sizeof(mmio_resets));
    service.vm = &service_machine;
    service.board = &board;
    service_machine.service = true;
    for (unsigned i = 0; i < 2; i++) {
        vms[i].id = i;
        vms[i].vcpu_count = i + 1;
        snprintf(vms[i].name, sizeof(vms[i].name), "guest%u", i);
    }
    vms[0].vcpu[0] = &vcpus[0];
    for (unsigned i = 0; i < 2; i++) {
        vms[1].vcpu[i] = &vcpus[1 + i];
        vcpus[1 + i].index = i;
    }
    for (unsigned i = 0; i < 3; i++)
        vcpus[i].vm = &vms[i ? 1 : 0];
    line[0] = crashed[0] = 0;
    armed = woken = readies = create_result = 0;
    served = 3;
    return 0;
}

/* ---- tests */

static void test_texts(void **state) {
    (void)state;
    strcpy((char *)memory, "hello\n\x7f%s");
    assert_int_equal(call(SERVICE_CALL_LOG, 1, MEMORY, 9, 0), 0);
    assert_string_equal(line, "1 service: hello??%s");
    assert_int_equal(call(SERVICE_CALL_LOG, 4, MEMORY, 5, 0), -EINVAL);
    assert_int_equal(call(SERVICE_CALL_LOG, 1, MEMORY, SERVICE_MAX_TEXT + 1, 0), -EINVAL);
    assert_int_equal(call(SERVICE_CALL_LOG, 1, MEMORY + SIZE - 4, 5, 0), -EFAULT);
    assert_int_equal(call(SERVICE_CALL_LOG, 1, 0xffffffff, 5, 0), -EFAULT);
    assert_int_equal(call(SERVICE_CALL_NOTE, 1, MEMORY, 5, 0), 0);
    assert_string_equal(line, "1 guest guest1: hello");
    assert_int_equal(call(SERVICE_CALL_NOTE, 2, MEMORY, 5, 0), -ENOENT);
    /* A guest cannot fill the log: 20 lines in 10 s. */
    for (unsigned i = 1; i < 19; i++)
        assert_int_equal(call(SERVICE_CALL_NOTE, 1, MEMORY, 5, 0), 0);
    assert_string_equal(line, "1 guest guest1: hello");
    assert_int_equal(call(SERVICE_CALL_NOTE, 1, MEMORY, 5, 0), 0);
    assert_string_equal(line, "1 guest guest1: hello (more of these are not shown)");
    line[0] = 0;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(call(SERVICE_CALL_NOTE, 1, MEMORY, 5, 0), 0);
    assert_string_equal(line, "");
    assert_int_equal(call(SERVICE_CALL_NOTE, 0, MEMORY, 5, 0), 0);
    assert_string_equal(line, "1 guest guest0: hello"); /* another guest's */
    test_time += 10000000001ull;
    assert_int_equal(call(SERVICE_CALL_NOTE, 1, MEMORY, 5, 0), 0);
    assert_string_equal(line, "1 guest guest1: hello");
    assert_int_equal(call(SERVICE_CALL_CRASH, MEMORY, 5, 0, 0), 0);
    assert_string_equal(crashed, "hello");
    assert_int_equal(call(SERVICE_CALL_CRASH, 0, 5, 0, 0), 0);
    assert_string_equal(crashed, "for no reason that can be read");
    memset(memory, 'x', SIZE);
    assert_int_equal(call(SERVICE_CALL_CRASH, MEMORY, UINT32_MAX, 0, 0), 0);
    assert_int_equal(strlen(crashed), 120);
}

static void test_wait(void **state) {
    (void)state;
    board.wake_at = 5000;
    board.events = 1;
    settles = 0;
    assert_int_equal(call(SERVICE_CALL_WAIT, 0, 0, 0, 0), 0);
    assert_int_equal(settles, 0);
    service.unsettled = 1; /* whose start waits may go on, before anything else */
    assert_int_equal(call(SERVICE_CALL_WAIT, 0, 0, 0, 0), 0);
    assert_int_equal(settles, 1);
    service.unsettled = 0;
    assert_int_equal(service_vcpu.hold, VCPU_HOLD_NONE); /* there is something */
    board.events = 0;
    assert_int_equal(call(SERVICE_CALL_WAIT, 0, 0, 0, 0), 0);
    assert_int_equal(service_vcpu.hold, VCPU_HOLD_EVENT);
    assert_int_equal(armed, 5000);
    assert_int_equal(service.wake_at, 5000);
    board.wake_at = UINT64_MAX;
    armed = 0;
    assert_int_equal(call(SERVICE_CALL_WAIT, 0, 0, 0, 0), 0);
    assert_int_equal(armed, 0);
    assert_int_equal(service.calls, 4);
    assert_int_equal(call(SERVICE_CALL_READY, 0, 0, 0, 0), 0);
    assert_int_equal(readies, 1);
    assert_int_equal(call(SERVICE_CALL_BASE - 1, 0, 0, 0, 0), -ENOSYS);
    assert_int_equal(call(SERVICE_CALL_END, 0, 0, 0, 0), -ENOSYS);
}

static struct service_device *device(uint32_t token, uint16_t vm) {
    struct service_device *device = (struct service_device *)memory;
    memset(device, 0, sizeof(*device));
    device->token = token;
    device->vm = vm;
    return device;
}

/* What the board lists is sent before the sleep, however wrong it is; a refusal ends the sleep. */
static void test_wait_sends(void **state) {
    (void)state;
    device(11, 1);
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), 0);
    board.wake_at = UINT64_MAX;
    board.interrupts[0] = 0xffffffff;
    board.interrupts[1] = 200u << 16; /* no such device */
    board.interrupts[2] = 3;
    board.interrupt_count = 3;
    got[1] = 0;
    assert_int_equal(call(SERVICE_CALL_WAIT, 0, 0, 0, 0), 0);
    assert_true(got[0] == 0 && got[1] == 3);
    assert_int_equal(board.interrupt_count, 0);
    assert_int_equal(board.events, 0);
    assert_int_equal(service_vcpu.hold, VCPU_HOLD_EVENT);
    service_vcpu.hold = VCPU_HOLD_NONE;
    board.interrupts[0] = 7; /* MSI-X is off */
    board.interrupt_count = 1;
    assert_int_equal(call(SERVICE_CALL_WAIT, 0, 0, 0, 0), 0);
    assert_int_equal(board.events, SERVICE_EVENT_REFUSED);
    assert_int_equal(board.refused[0], 1);
    assert_int_equal(service_vcpu.hold, VCPU_HOLD_NONE);
    board.events = 0;
    /* No more than there is room for. */
    for (unsigned i = 0; i < SERVICE_MAX_INTERRUPTS; i++)
        board.interrupts[i] = i == SERVICE_MAX_INTERRUPTS - 1 ? 5 : 4;
    board.interrupt_count = UINT32_MAX;
    assert_int_equal(call(SERVICE_CALL_WAIT, 0, 0, 0, 0), 0);
    assert_int_equal(got[1], 5);
    assert_int_equal(board.interrupt_count, 0);
}

static void test_functions(void **state) {
    (void)state;
    assert_int_equal(call(SERVICE_CALL_PCI_CLAIM, 7, 9, 0, 0), 1);
    assert_true(pci[0] == 7 && pci[1] == 0);
    assert_int_equal(call(SERVICE_CALL_PCI_MASTER, UINT32_MAX, 2, 0, 0), 2);
    assert_true(pci[0] == UINT32_MAX && pci[1] == 2);
    assert_int_equal(call(SERVICE_CALL_PCI_VECTORS, 5, UINT32_MAX, 0, 0), 3);
    assert_true(pci[0] == 5 && pci[1] == UINT32_MAX);
    assert_int_equal(call(SERVICE_CALL_PCI_UNMASK, 4, 9, 0, 0), 4);
    assert_int_equal(pci[0], 4);
}

/* A device on no bus: it has a status and nothing of a PCI function. */
static void test_mmio_devices(void **state) {
    (void)state;
    struct service_device *d = device(11, 0);
    d->bus = SERVICE_BUS_MMIO;
    d->place = 9;
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), 0);
    assert_int_equal(created.place, 9);
    device(12, 0);
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), 1);
    device(13, 0)->bus = 2; /* there is none of this number: the function is refused */
    create_result = -EINVAL;
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), -EINVAL);
    assert_int_equal(call(SERVICE_CALL_STATUS, 0, 5, 6, 0), 0);
    assert_true(got[0] == 0 && got[1] == 5 && got[2] == 6);
    assert_int_equal(call(SERVICE_CALL_STATUS, 1, 5, 6, 0), -ENODEV);
    assert_int_equal(call(SERVICE_CALL_STATUS, 2, 5, 6, 0), -ENODEV);
    assert_int_equal(call(SERVICE_CALL_STATUS, SERVICE_MAX_DEVICES, 5, 6, 0), -ENODEV);
    assert_int_equal(call(SERVICE_CALL_STATUS, UINT32_MAX, 5, 6, 0), -ENODEV);
    assert_int_equal(call(SERVICE_CALL_LINE, 0, 1, 0, 0), -ENODEV);
    assert_int_equal(call(SERVICE_CALL_INTERRUPT, 0, 1, 0, 0), -ENODEV);
    assert_int_equal(call(SERVICE_CALL_CONFIG, 0, 0x40, 1, 0), -ENODEV);
    service_devices_reset(&vms[0]);
    assert_true(mmio_resets[0] == 1 && resets[0] == 0);
    assert_true(mmio_resets[1] == 0 && resets[1] == 1);
}

static void test_devices(void **state) {
    (void)state;
    device(11, 1)->devfn = 0x18;
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), 0);
    assert_int_equal(created.devfn, 0x18);
    assert_int_equal(board.device_token[0], 11);
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), -EEXIST);
    device(0, 1);
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), -EINVAL);
    device(12, 2);
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), -ENOENT);
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY + SIZE - 8, 0, 0, 0), -EFAULT);
    device(12, 0);
    served = 2; /* a guest that was promised to have nothing of the service VM's */
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), -ENOENT);
    served = 3;
    create_result = -EINVAL;
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), -EINVAL);
    assert_int_equal(board.device_token[1], 0);
    create_result = 0;
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), 1);
    assert_int_equal(call(SERVICE_CALL_CONFIG, 1, 0x34, 2, 0x1234), 0);
    assert_true(got[0] == 1 && got[1] == 0x34 && got[2] == 2 && got[3] == 0x1234);
    assert_int_equal(call(SERVICE_CALL_INTERRUPT, 0, 7, 0, 0), -ENXIO);
    assert_int_equal(call(SERVICE_CALL_INTERRUPT, 1, 3, 0, 0), 0);
    assert_true(got[0] == 1 && got[1] == 3);
    assert_int_equal(call(SERVICE_CALL_LINE, 1, 0x80, 0, 0), 0);
    assert_int_equal(got[1], 1);
    for (unsigned number = 2; number < 1000; number += 199) {
        assert_int_equal(call(SERVICE_CALL_CONFIG, number, 0, 4, 0), -ENODEV);
        assert_int_equal(call(SERVICE_CALL_INTERRUPT, number, 0, 0, 0), -ENODEV);
        assert_int_equal(call(SERVICE_CALL_LINE, number, 0, 0, 0), -ENODEV);
    }
    assert_int_equal(call(SERVICE_CALL_LINE, UINT32_MAX, 0, 0, 0), -ENODEV);
    service_devices_reset(&vms[0]);
    assert_true(resets[0] == 0 && resets[1] == 1);
    assert_int_equal(closed, 1);
    for (uint32_t i = 2; i < SERVICE_MAX_DEVICES; i++) {
        device(100 + i, 1);
        assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), (int32_t)i);
    }
    device(1000, 1);
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), -ENOSPC);
}

static void test_dirty(void **state) {
    (void)state;
    assert_int_equal(call(SERVICE_CALL_DIRTY, 1, 3, 2, 0), 0);
    assert_true(marked_at == 3 * PAGE_SIZE && marked_size == 2 * PAGE_SIZE);
    assert_int_equal(call(SERVICE_CALL_DIRTY, 1, UINT32_MAX, UINT32_MAX, 0), 0);
    assert_true(marked_at == UINT32_MAX * PAGE_SIZE && marked_size == UINT32_MAX * PAGE_SIZE);
    served = 2;
    assert_int_equal(call(SERVICE_CALL_DIRTY, 0, 3, 2, 0), -ENOENT);
    assert_int_equal(call(SERVICE_CALL_DIRTY, 2, 3, 2, 0), -ENOENT);
}

static void test_entropy(void **state) {
    (void)state;
    entropy_result = SERVICE_MAX_ENTROPY;
    assert_int_equal(call(SERVICE_CALL_ENTROPY, MEMORY, SERVICE_MAX_ENTROPY, 0, 0), SERVICE_MAX_ENTROPY);
    assert_int_equal(entropy_asked, SERVICE_MAX_ENTROPY);
    assert_int_equal(memory[SERVICE_MAX_ENTROPY - 1], 0xab);
    assert_int_equal(memory[SERVICE_MAX_ENTROPY], 0);
    /* Fewer than were asked for: those alone are written. */
    memset(memory, 0, sizeof(memory));
    entropy_result = 3;
    assert_int_equal(call(SERVICE_CALL_ENTROPY, MEMORY + 1, 5, 0, 0), 3);
    assert_int_equal(entropy_asked, 5);
    assert_true(!memory[0] && memory[1] == 0xab && memory[3] == 0xab && !memory[4]);
    assert_int_equal(call(SERVICE_CALL_ENTROPY, MEMORY + SIZE - 2, 5, 0, 0), -EFAULT);
    assert_int_equal(call(SERVICE_CALL_ENTROPY, UINT32_MAX, 5, 0, 0), -EFAULT);
    memset(memory, 0, sizeof(memory));
    entropy_result = 0;
    assert_int_equal(call(SERVICE_CALL_ENTROPY, MEMORY, 5, 0, 0), 0);
    entropy_result = -ENODEV;
    assert_int_equal(call(SERVICE_CALL_ENTROPY, MEMORY, 5, 0, 0), -ENODEV);
    assert_int_equal(memory[0], 0);
    entropy_asked = 0;
    assert_int_equal(call(SERVICE_CALL_ENTROPY, MEMORY, 0, 0, 0), -EINVAL);
    assert_int_equal(call(SERVICE_CALL_ENTROPY, MEMORY, SERVICE_MAX_ENTROPY + 1, 0, 0), -EINVAL);
    assert_int_equal(call(SERVICE_CALL_ENTROPY, MEMORY, UINT32_MAX, 0, 0), -EINVAL);
    assert_int_equal(entropy_asked, 0);
}

static void test_consoles(void **state) {
    (void)state;
    assert_int_equal(call(SERVICE_CALL_CONSOLE_OPEN, 1, 2, 3, 4), 11);
    assert_true(got[0] == 1 && got[1] == 2);
    assert_int_equal(call(SERVICE_CALL_CONSOLE_WRITE, 4, 5, 6, 7), 12);
    assert_true(got[0] == 4 && got[1] == 5 && got[2] == 6);
    assert_int_equal(call(SERVICE_CALL_CONSOLE_READ, 7, 8, 9, 10), 13);
    assert_true(got[0] == 7 && got[1] == 8 && got[2] == 9 && got[3] == 10);
}

#define SLOT (1 * SERVICE_MAX_VCPUS + 1)

static void test_requests(void **state) {
    (void)state;
    struct vcpu *vcpu = &vcpus[2];
    uint64_t value = 0;
    assert_int_equal(service_request(vcpu, 5, 1, 0x20, 4, false, &value), -EAGAIN);
    assert_int_equal(vcpu->hold, VCPU_HOLD_ANSWER);
    assert_int_equal(vcpu->io.state, VCPU_IO_WAITING);
    assert_int_equal(board.events, SERVICE_EVENT_REQUEST);
    assert_int_equal(board.request_slots[SLOT / 32], 1u << SLOT % 32);
    const struct service_request *request = &board.request[SLOT];
    assert_int_equal(request->state, SERVICE_REQUEST_OPEN);
    assert_true(request->device == 5 && request->bar == 1 && request->offset == 0x20 && request->size == 4 &&
                !request->write);
    uint32_t sequence = request->sequence;
    vcpu->state = VCPU_BLOCKED;
    board.request[SLOT].value = 0x1122;
    assert_int_equal(call(SERVICE_CALL_ANSWER, SLOT, sequence + 1, 0, 0), -ESTALE);
    assert_int_equal(woken, 0);
    assert_int_equal(call(SERVICE_CALL_ANSWER, SLOT, sequence, 0, 0), 0);
    assert_int_equal(woken, 1);
    assert_ptr_equal(woken_vcpu, vcpu);
    assert_int_equal(call(SERVICE_CALL_ANSWER, SLOT, sequence, 0, 0), -ESTALE); /* once */
    board.request[SLOT].value = 0x3344;                                         /* too late */
    assert_int_equal(service_request(vcpu, 5, 1, 0x20, 4, false, &value), 0);
    assert_int_equal(value, 0x1122);
    /* A write, that is another one when it is repeated: asked anew. */
    value = 9;
    assert_int_equal(service_request(vcpu, 5, 1, 0x20, 4, true, &value), -EAGAIN);
    assert_int_equal(board.request[SLOT].value, 9);
    assert_int_equal(board.request[SLOT].write, 1);
    assert_int_equal(call(SERVICE_CALL_ANSWER, SLOT, board.request[SLOT].sequence, 0, 0), 0);
    value = 10;
    assert_int_equal(service_request(vcpu, 5, 1, 0x20, 4, true, &value), -EAGAIN);
    assert_int_equal(call(SERVICE_CALL_ANSWER, SLOT, board.request[SLOT].sequence, 0, 0), 0);
    assert_int_equal(service_request(vcpu, 5, 1, 0x20, 4, true, &value), 0);
    /* Slots that are nobody's. */
    assert_int_equal(call(SERVICE_CALL_ANSWER, SERVICE_SLOTS, 0, 0, 0), -EINVAL);
    assert_int_equal(call(SERVICE_CALL_ANSWER, 2 * SERVICE_MAX_VCPUS, 0, 0, 0), -EINVAL);
    assert_int_equal(call(SERVICE_CALL_ANSWER, 1, 0, 0, 0), -EINVAL);
    assert_int_equal(call(SERVICE_CALL_ANSWER, 0, 0, 0, 0), -ESTALE); /* asked nothing */
}

#define ASKS 200000u

/* A vCPU that never gets as far as to sleep: it goes on, and asks the next thing, as soon as it is answered.
 */
static void *ask(void *unused) {
    uint64_t value = 0;
    (void)unused;
    for (unsigned i = 0; i < ASKS; i++)
        while (service_request(&vcpus[2], 5, 1, 0x20, 4, false, &value))
            while (__atomic_load_n(&vcpus[2].io.state, __ATOMIC_ACQUIRE) == VCPU_IO_WAITING)
                ;
    return NULL;
}

static void test_request_at_once(void **state) {
    (void)state;
    const struct service_request *request = &board.request[SLOT];
    unsigned answered = 0, lost = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask, NULL), 0);
    while (answered < ASKS) {
        if (!__atomic_exchange_n(&board.request_slots[SLOT / 32], 0, __ATOMIC_SEQ_CST))
            continue;
        /* What the bit stands for is there. */
        lost += __atomic_load_n(&request->state, __ATOMIC_ACQUIRE) != SERVICE_REQUEST_OPEN;
        assert_int_equal(call(SERVICE_CALL_ANSWER, SLOT, request->sequence, 0, 0), 0);
        answered++;
    }
    pthread_join(thread, NULL);
    assert_int_equal(lost, 0);
}

static void test_doorbells(void **state) {
    (void)state;
    service_doorbell(37, 3);
    assert_int_equal(board.doorbell[37], 8);
    assert_int_equal(board.doorbell_devices[1], 1u << 5);
    assert_int_equal(board.events, SERVICE_EVENT_DOORBELL);
    /* It rings already: nothing more to be said. */
    board.events = 0;
    service_doorbell(37, 3);
    assert_int_equal(board.events, 0);
    service_doorbell(37, 31);
    assert_int_equal(board.doorbell[37], 0x80000008u);
    assert_int_equal(board.events, SERVICE_EVENT_DOORBELL);
}

static void test_shell(void **state) {
    (void)state;
    static const struct {
        uint32_t number, result, which, arguments;
    } rows[] = {
        {SERVICE_CALL_KEY, 'k', 'k', 0},      {SERVICE_CALL_SHOW, 1, 1, 2},  {SERVICE_CALL_PROMPT, 2, 2, 3},
        {SERVICE_CALL_PROMPT_CLOSE, 0, 5, 0}, {SERVICE_CALL_CLEAR, 0, 6, 0}, {SERVICE_CALL_CONTROL, 3, 3, 2},
        {SERVICE_CALL_LOOK, 4, 4, 3},
    };
    for (unsigned i = 0; i < array_count(rows); i++) {
        assert_int_equal(call(rows[i].number, 21, 22, 23, 24), (int32_t)rows[i].result);
        assert_int_equal(shell[3], rows[i].which);
        for (unsigned j = 0; j < 3; j++)
            assert_int_equal(shell[j], j < rows[i].arguments ? 21 + j : 0);
    }
}

static void test_again(void **state) {
    (void)state;
    uint64_t value = 0;
    device(11, 1);
    assert_int_equal(call(SERVICE_CALL_DEVICE, MEMORY, 0, 0, 0), 0);
    assert_int_equal(service_request(&vcpus[1], 0, 0, 0x14, 1, false, &value), -EAGAIN);
    /* What the service VM has made of the board meanwhile does not count. */
    memset(&board, 0x55, sizeof(board));
    board.events = 0;
    service_ask_again();
    assert_int_equal(board.events, SERVICE_EVENT_DOORBELL | SERVICE_EVENT_REQUEST | SERVICE_EVENT_VM |
                                       SERVICE_EVENT_CONSOLE | SERVICE_EVENT_KEY);
    assert_int_equal(board.consoles, UINT32_MAX);
    assert_int_equal(board.device_token[0], 11);
    assert_int_equal(board.device_token[1], 0);
    assert_int_equal(board.doorbell[0], UINT32_MAX);
    assert_true(board.doorbell_devices[0] & 1);
    const struct service_request *request = &board.request[SERVICE_MAX_VCPUS];
    assert_int_equal(request->state, SERVICE_REQUEST_OPEN);
    assert_int_equal(request->offset, 0x14);
    assert_int_equal(request->sequence, vcpus[1].io.sequence);
}

static uint64_t dma_seen[3]; /* which, number, argument */
static int dma_confine(struct vm *vm, unsigned number, bool on) {
    assert_ptr_equal(vm, &vms[1]);
    dma_seen[0] = 1, dma_seen[1] = number, dma_seen[2] = on;
    return -EBUSY;
}
static int dma_map(struct vm *vm, unsigned number, const struct service_dma *dma) {
    assert_ptr_equal(vm, &vms[1]);
    dma_seen[0] = 2, dma_seen[1] = number, dma_seen[2] = dma->address;
    return -EFAULT;
}
static int dma_unmap(struct vm *vm, unsigned number, const struct service_dma *dma) {
    return dma_map(vm, number + 1, dma) + 1 + EFAULT;
}

/* DMA of a guest's own functions. */
static void test_dma(void **state) {
    struct vm_passed passed = {.confine = dma_confine, .map = dma_map, .unmap = dma_unmap};
    const struct service_dma dma = {.address = 0x1000};
    (void)state;
    memcpy(memory + 0x100, &dma, sizeof(dma));
    for (uint32_t number = SERVICE_CALL_DMA_CONFINE; number <= SERVICE_CALL_DMA_UNMAP; number++) {
        vms[1].passed = NULL;
        assert_int_equal(call(number, 1, 0, 0, 0), -ENOENT);
        vms[1].passed = &passed;
        passed.address_bits = 0;
        assert_int_equal(call(number, 1, 0, 0, 0), -ENOENT);
        passed.address_bits = 39;
        assert_int_equal(call(number, 2, 0, 0, 0), -ENOENT);
    }
    assert_int_equal(call(SERVICE_CALL_DMA_CONFINE, 1, 3, 2, 0), -EINVAL);
    assert_int_equal(call(SERVICE_CALL_DMA_MAP, 1, 3, MEMORY + SIZE - 8, 0), -EFAULT);
    assert_int_equal(call(SERVICE_CALL_DMA_CONFINE, 1, 3, 1, 0), -EBUSY);
    assert_true(dma_seen[0] == 1 && dma_seen[1] == 3 && dma_seen[2] == 1);
    assert_int_equal(call(SERVICE_CALL_DMA_MAP, 1, 7, MEMORY + 0x100, 0), -EFAULT);
    assert_true(dma_seen[0] == 2 && dma_seen[1] == 7 && dma_seen[2] == 0x1000);
    assert_int_equal(call(SERVICE_CALL_DMA_UNMAP, 1, 0, MEMORY + 0x100, 0), 1);
    assert_int_equal(dma_seen[1], 1);
    vms[1].passed = NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_texts, setup),        cmocka_unit_test_setup(test_wait, setup),
        cmocka_unit_test_setup(test_wait_sends, setup),   cmocka_unit_test_setup(test_functions, setup),
        cmocka_unit_test_setup(test_devices, setup),      cmocka_unit_test_setup(test_dirty, setup),
        cmocka_unit_test_setup(test_mmio_devices, setup), cmocka_unit_test_setup(test_requests, setup),
        cmocka_unit_test_setup(test_doorbells, setup),    cmocka_unit_test_setup(test_again, setup),
        cmocka_unit_test_setup(test_entropy, setup),      cmocka_unit_test_setup(test_request_at_once, setup),
        cmocka_unit_test_setup(test_consoles, setup),     cmocka_unit_test_setup(test_shell, setup),
        cmocka_unit_test_setup(test_dma, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
