// SPDX-License-Identifier: Apache-2.0
// The Book E side of a VM: created and undone, reset in the right order, shadow entries forgotten when the
// guest's memory map changes, exits by cause; the service VM, which has no board.
// unit-sources: arch/ppc/vm.c core/bus.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/ppc/service.h"
#include "abi/control.h"
#include "arch/ppc/vm.h"

struct cpu *test_cpu;
uint64_t test_time;

static char did[128]; /* what happened, a letter each */
static int create_error, load_result;
static uint32_t requests[2];
static struct ppc_vcpu vcpu[2];
static size_t heap;

static void note(char what) {
    size_t length = strlen(did);
    assert_true(length + 1 < sizeof(did));
    did[length] = what;
}

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    heap += size;
    return calloc(1, size);
}
void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)account;
    heap -= object ? size : 0;
    free(object);
}
int board_create(struct vm *vm) {
    assert_non_null(vm->memory.changed);
    assert_non_null(vm->bus[BUS_MEMORY].table);
    note('B');
    return create_error;
}
void board_destroy(struct vm *vm) {
    assert_non_null(vm->bus[BUS_MEMORY].table);
    note('D');
}
int service_board_create(struct vm *vm) {
    assert_non_null(vm->memory.changed);
    assert_non_null(vm->bus[BUS_MEMORY].table);
    note('b');
    return create_error;
}
int service_enter(struct vm *vm) {
    (void)vm;
    note('l');
    return load_result;
}
void guest_memory_destroy(struct vm *vm) {
    (void)vm;
    note('d');
}
void platform_reset(struct vm *vm) {
    (void)vm;
    note('R');
}
int load_image(struct vm *vm) {
    (void)vm;
    note('L');
    return load_result;
}
void vcpu_request(struct vcpu *which, uint32_t bits) {
    requests[which->index] |= bits;
}

static struct vm *make(void) {
    memset(did, 0, sizeof(did));
    memset(requests, 0, sizeof(requests));
    memset(vcpu, 0, sizeof(vcpu));
    create_error = load_result = 0;
    struct vm *vm = arch_vm_allocate();
    assert_non_null(vm);
    vm->vcpu_count = 2;
    return vm;
}

static void add_vcpus(struct vm *vm) {
    for (unsigned i = 0; i < 2; i++) {
        vcpu[i].core.index = i;
        vm->vcpu[i] = &vcpu[i].core;
    }
}

static void test_life(void **state) {
    (void)state;
    struct vm *vm = make();
    assert_int_equal(arch_vm_create(vm), 0);
    const struct guest_region region = {.base = 0, .size = 4096};
    assert_int_equal(vm->memory.changed(vm, &region, true), 0); /* there are no vCPUs yet */
    add_vcpus(vm);
    vcpu[1].core.requests = PPC_REQUEST_START | PPC_REQUEST_RESET | PPC_REQUEST_FLUSH;
    assert_int_equal(arch_vm_reset(vm), 0);
    assert_string_equal(did, "BRL");
    assert_int_equal(vcpu[1].core.requests, PPC_REQUEST_FLUSH); /* nothing of the run before starts it */
    load_result = -ENOENT;
    assert_int_equal(arch_vm_reset(vm), -ENOENT);
    assert_int_equal(requests[0] | requests[1], 0);
    assert_int_equal(vm->memory.changed(vm, &region, false), 0);
    assert_int_equal(requests[0], PPC_REQUEST_FLUSH);
    assert_int_equal(requests[1], PPC_REQUEST_FLUSH);
    arch_vm_destroy(vm);
    assert_string_equal(did, "BRLRLD");
    arch_vm_free(vm);
    assert_int_equal(heap, 0);
}

static void test_service(void **state) {
    (void)state;
    struct vm *vm = make();
    vm->service = true;
    assert_int_equal(arch_vm_create(vm), 0);
    add_vcpus(vm);
    load_result = -EINVAL;
    assert_int_equal(arch_vm_reset(vm), -EINVAL);
    arch_vm_destroy(vm);
    assert_string_equal(did, "bRld");
    arch_vm_free(vm);
    vm = make();
    vm->service = true;
    create_error = -ENOMEM;
    assert_int_equal(arch_vm_create(vm), -ENOMEM);
    arch_vm_free(vm);
    assert_int_equal(heap, 0);
}

static void test_no_board(void **state) {
    (void)state;
    struct vm *vm = make();
    create_error = -ENOMEM;
    assert_int_equal(arch_vm_create(vm), -ENOMEM);
    arch_vm_free(vm);
    assert_int_equal(heap, 0); /* the bus too is gone */
}

static void test_exits(void **state) {
    (void)state;
    struct vm *vm = make();
    add_vcpus(vm);
    struct control_exits exits = {0};
    arch_vm_exits(vm, &exits);
    assert_int_equal(exits.count, 0);
    vcpu[0].exits[PPC_EXIT_MMIO] = 5;
    vcpu[1].exits[PPC_EXIT_MMIO] = 10000000000ull;
    vcpu[1].exits[PPC_EXIT_FAST] = 1;
    arch_vm_exits(vm, &exits);
    assert_int_equal(exits.count, 2);
    assert_string_equal(exits.exit[0].name, "privileged, fast");
    assert_int_equal(exits.exit[0].count, 1);
    assert_string_equal(exits.exit[1].name, "MMIO");
    assert_int_equal(exits.exit[1].count, 10000000005);
    /* Each cause has a name. */
    for (unsigned i = 0; i < PPC_EXIT_CAUSE_COUNT; i++)
        vcpu[0].exits[i] = 1;
    memset(&exits, 0, sizeof(exits));
    arch_vm_exits(vm, &exits);
    assert_int_equal(exits.count, PPC_EXIT_CAUSE_COUNT);
    for (unsigned i = 0; i < PPC_EXIT_CAUSE_COUNT; i++)
        assert_string_not_equal(exits.exit[i].name, "(null)");
    arch_vm_free(vm);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_service),
        cmocka_unit_test(test_no_board),
        cmocka_unit_test(test_exits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
