// SPDX-License-Identifier: Apache-2.0
// For unit tests of core/service.c: memory with the loader's files, three guests, the service VM as core/vm.c
// would make it, and its image. Included by one file of a test program.
#ifndef SAGUARO_TESTS_SERVICE_HOST_FIXTURE_H
#define SAGUARO_TESTS_SERVICE_HOST_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "core/main.h"
#include "core/sched.h"
#include "core/service_internal.h"
#include "lib/image.h"
#include "tests/unit/host/arena.h"

#define K4     0x1000ull
#define MIB    0x100000ull
#define GIB    (1024 * MIB)
#define SECOND 1000000000ull
#define GUESTS 3u

/* ---- surroundings: memory from 2 to 56 MiB; the loader's files behind it */

static const struct boot_file files[] = {
    {.name = "disk.img", .address = 56 * MIB, .size = 2 * K4 + 100},
    {.name = "b.img", .address = 60 * MIB, .size = K4},
    {.name = "far.img", .address = 5 * GIB + K4, .size = 3 * K4}, /* of a machine with more memory */
};
static struct config config;
static struct vm machine, guests[GUESTS];
static struct vcpu service_vcpu;
static struct config_guest guest_configs[GUESTS];
static uint8_t blob[4 * K4];
static char text[1024]; /* the log, and what the service VM crashed of */
static struct config_guest asked;
static int create_error;
static unsigned offered, shown, released, last_released;
static uint64_t rest, bar_base, bar_end; /* what the machine's functions are at */
static unsigned woken, readies, asked_again, devices_reset, started, restarts, crashes, consoles_made;
static int console_error;
static struct vcpu *guest_woken;
static struct work *queued;
static uint64_t run_time;

const struct boot_file *boot_file_find(const char *name) {
    for (unsigned i = 0; i < array_count(files); i++)
        if (!strcmp(files[i].name, name))
            return &files[i];
    return NULL;
}
struct vm *vm_create_service(const struct config_guest *wanted, int *error) {
    uint64_t physical;
    asked = *wanted;
    *error = create_error;
    if (create_error)
        return NULL;
    assert_int_equal(guest_memory_create_below(&machine, 24, 4 * GIB, &physical), 0);
    assert_int_equal(guest_memory_place(&machine, physical, 16 * MIB, 0, GUEST_RAM), 0);
    return &machine;
}
unsigned vm_count(void) {
    return GUESTS;
}
struct vm *vm_get(unsigned index) {
    assert_true(index < GUESTS);
    return &guests[index];
}
int vm_start(struct vm *vm) {
    assert_ptr_equal(vm, &machine);
    vm->started = test_time;
    started++;
    return 0;
}
int vm_reset(struct vm *vm) {
    assert_ptr_equal(vm, &machine);
    restarts++;
    return -EBUSY;
}
static void note(const char *format, va_list arguments) {
    size_t used = strlen(text);
    vsnprintf(text + used, sizeof(text) - used, format, arguments);
}
void vm_crash(struct vcpu *vcpu, const char *format, ...) {
    va_list arguments;
    assert_ptr_equal(vcpu, &service_vcpu);
    crashes++;
    va_start(arguments, format);
    note(format, arguments);
    va_end(arguments);
}
void log_line(enum log_level level, const char *format, ...) {
    va_list arguments;
    (void)level;
    va_start(arguments, format);
    note(format, arguments);
    va_end(arguments);
}
struct cpu *cpu_get(unsigned number) {
    static struct cpu boot;
    assert_int_equal(number, 0);
    return &boot;
}
void work_queue(struct cpu *cpu, struct work *work) {
    assert_ptr_equal(cpu, cpu_get(0));
    assert_null(queued);
    queued = work;
}
void timer_init(struct timer *timer, void (*function)(struct timer *timer)) {
    timer->function = function;
    timer->deadline = 0;
}
void timer_arm(struct timer *timer, uint64_t deadline) {
    timer->deadline = deadline;
}
bool timer_cancel(struct timer *timer) {
    bool armed = timer->deadline != 0;
    timer->deadline = 0;
    return armed;
}
void sched_wake(struct vcpu *vcpu) {
    if (vcpu == &service_vcpu)
        woken++;
    else
        guest_woken = vcpu;
}
uint64_t sched_run_time(struct vcpu *vcpu) {
    assert_ptr_equal(vcpu, &service_vcpu);
    return run_time;
}
void service_devices_reset(const struct vm *vm) {
    assert_ptr_equal(vm, &guests[1]);
    devices_reset++;
}
int service_console_create(struct vm *vm) {
    assert_true(vm->config->virtio_console);
    consoles_made++;
    return console_error;
}
void service_ask_again(void) {
    asked_again++;
    service.board->events |= SERVICE_EVENT_VM;
}
void service_host_offer(const struct config *of) {
    assert_ptr_equal(of, &config);
    offered++;
}
bool service_host_overlap(uint64_t base, uint64_t size, uint64_t *end) {
    *end = bar_end;
    return base < bar_end && bar_base < base + size;
}
void service_host_show(void) {
    assert_true(service.starts != 0);
    shown++;
}
void service_host_release(bool last) {
    released++;
    last_released += last;
}
uint64_t service_host_rest(void) {
    return rest;
}
void arch_service_clock(uint64_t *base, uint64_t *multiplier) {
    *base = 0x123456789;
    *multiplier = 0xabcdef;
}

/* Its image: 4 KiB of a text of 16 characters. */
__asm__(".pushsection .rodata\n"
        ".globl service_image_start, service_image_end\n"
        "service_image_start: .rept 256\n.ascii \"0123456789abcdef\"\n.endr\n"
        "service_image_end:\n"
        ".popsection");

static struct image_loadable image;
static int parse_result;

int arch_service_parse(const struct image_source *source, struct image_loadable *out, char *why,
                       size_t why_size) {
    char bytes[16];
    assert_int_equal(source->size, 4096);
    assert_int_equal(source->read(source->context, 4084, bytes, 12), 0);
    assert_memory_equal(bytes, "456789abcdef", 12);
    assert_int_equal(source->read(source->context, 4084, bytes, 13), -EINVAL);
    assert_int_equal(source->read(source->context, 4096, bytes, 0), 0);
    assert_int_equal(source->read(source->context, 4097, bytes, 0), -EINVAL);
    assert_int_equal(source->read(source->context, UINT64_MAX, bytes, 8), -EINVAL);
    assert_int_equal(source->read(source->context, 16, bytes, SIZE_MAX - 8), -EINVAL);
    *out = image;
    snprintf(why, why_size, "it is no ELF file");
    return parse_result;
}

static inline bool logged(const char *what) {
    bool found = strstr(text, what) != NULL;
    text[0] = 0;
    return found;
}

static inline int setup(void **state) {
    static const struct memory_range range = {.base = 2 * MIB, .size = 54 * MIB};
    (void)state;
    arena_open(64 * MIB, 0xa5);
    assert_int_equal(memory_init(&range, 1), 0);
    memset(&service, 0, sizeof(service));
    memset(&machine, 0, sizeof(machine));
    memset(&service_vcpu, 0, sizeof(service_vcpu));
    memset(guests, 0, sizeof(guests));
    memset(guest_configs, 0, sizeof(guest_configs));
    memset(&config, 0, sizeof(config));
    machine.service = true;
    machine.vcpu_count = 1;
    machine.vcpu[0] = &service_vcpu;
    service_vcpu.vm = &machine;
    config.service = (struct config_service){.memory = 16 * MIB, .cpus = 5, .budget = 3000, .period = 10000};
    for (unsigned i = 0; i < GUESTS; i++) {
        struct vm *vm = &guests[i];
        vm->id = i;
        vm->config = &guest_configs[i];
        vm->vcpu_count = i + 1;
        snprintf(vm->name, sizeof(vm->name), "guest%u", i);
        assert_int_equal(guest_memory_create(vm, (4 + 2 * i) * MIB), 0);
        assert_int_equal(guest_memory_place(vm, 0, vm->memory.size, 0, GUEST_RAM), 0);
        guest_memory_scrub(vm);
    }
    guest_configs[1].net_count = 1;
    guest_configs[2].disk_count = 1;
    for (unsigned i = 0; i < sizeof(blob); i++)
        blob[i] = (uint8_t)(i * 7);
    memset(&image, 0, sizeof(image));
    text[0] = 0;
    woken = readies = asked_again = devices_reset = started = restarts = crashes = 0;
    consoles_made = 0;
    console_error = 0;
    create_error = parse_result = 0;
    offered = shown = released = last_released = 0;
    rest = bar_base = bar_end = 0;
    queued = NULL;
    run_time = 0;
    test_time = 100 * SECOND;
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    arena_close();
    return 0;
}

static inline struct service_board *create(void) {
    assert_int_equal(service_create(&config, blob, sizeof(blob)), 0);
    assert_ptr_equal(service_vm(), &machine);
    return service.board;
}

static inline void ready(void) {
    readies++;
}

#endif
