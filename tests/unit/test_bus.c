// SPDX-License-Identifier: Apache-2.0
// The bus: who answers where, against a plain search, and while ranges move.
// unit-sources: core/bus.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "core/bus.h"
#include "core/memory.h"

struct cpu *test_cpu;
uint64_t test_time;

static bool no_memory;

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    return no_memory ? NULL : calloc(1, size);
}

void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    free(object);
}

struct device {
    int result;
    uint64_t offset, value;
    unsigned size, reads, writes;
    struct vcpu *vcpu;
};

static int device_read(void *at, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    struct device *device = at;
    device->offset = offset;
    device->size = size;
    device->vcpu = vcpu;
    device->reads++;
    *value = device->value;
    return device->result;
}

static int device_write(void *at, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    struct device *device = at;
    device->offset = offset;
    device->size = size;
    device->vcpu = vcpu;
    device->value = value;
    device->writes++;
    return device->result;
}

static const struct bus_ops ops = {.read = device_read, .write = device_write};
static const struct bus_ops silent;

static void test_add_remove(void **state) {
    (void)state;
    struct bus bus;
    no_memory = true;
    assert_int_equal(bus_init(&bus), -ENOMEM);
    no_memory = false;
    assert_int_equal(bus_init(&bus), 0);
    assert_null(bus_find(&bus, 0));
    assert_int_equal(bus_remove(&bus, 0), -ENOENT);
    assert_int_equal(bus_add(&bus, 100, 0, &ops, NULL, "x"), -EINVAL);
    assert_int_equal(bus_add(&bus, UINT64_MAX, 2, &ops, NULL, "x"), -EINVAL);
    assert_int_equal(bus_add(&bus, 100, 10, NULL, NULL, "x"), -EINVAL);
    assert_int_equal(bus_add(&bus, 100, 10, &ops, NULL, "mid"), 0);
    assert_int_equal(bus_add(&bus, 91, 10, &ops, NULL, "x"), -EEXIST);
    assert_int_equal(bus_add(&bus, 109, 1, &ops, NULL, "x"), -EEXIST);
    assert_int_equal(bus_add(&bus, 100, 1, &ops, NULL, "x"), -EEXIST);
    assert_int_equal(bus_add(&bus, 0, UINT64_MAX, &ops, NULL, "x"), -EEXIST);
    assert_int_equal(bus_add(&bus, 90, 10, &ops, NULL, "low"), 0);
    assert_int_equal(bus_add(&bus, 110, 5, &ops, NULL, "high"), 0);
    assert_int_equal(bus_add(&bus, UINT64_MAX - 7, 8, &ops, NULL, "top"), 0);
    assert_string_equal(bus_find(&bus, 99)->name, "low");
    assert_string_equal(bus_find(&bus, 100)->name, "mid");
    assert_string_equal(bus_find(&bus, 110)->name, "high");
    assert_string_equal(bus_find(&bus, UINT64_MAX)->name, "top");
    assert_null(bus_find(&bus, 89));
    assert_null(bus_find(&bus, 115));
    assert_int_equal(bus_remove(&bus, 101), -ENOENT);
    assert_int_equal(bus_remove(&bus, 100), 0);
    assert_null(bus_find(&bus, 105));
    assert_string_equal(bus_find(&bus, 111)->name, "high");
    bus_destroy(&bus);
    bus_destroy(&bus);
}

static void test_access(void **state) {
    (void)state;
    struct bus bus;
    struct device device = {.value = 0x1122334455667788ull};
    struct vcpu *vcpu = (struct vcpu *)&device;
    uint64_t value = 0;
    assert_int_equal(bus_init(&bus), 0);
    assert_int_equal(bus_add(&bus, 0x60, 5, &ops, &device, "d"), 0);
    assert_int_equal(bus_add(&bus, 0x80, 8, &silent, NULL, "s"), 0);
    static const uint64_t masks[] = {0, 0xff, 0xffff, 0, 0xffffffff, 0, 0, 0, UINT64_MAX};
    for (unsigned size = 1; size <= 4; size *= 2) {
        assert_int_equal(bus_read(&bus, vcpu, 0x61, size, &value), 0);
        assert_int_equal(value, 0x1122334455667788ull & masks[size]);
        assert_int_equal(device.offset, 1);
        assert_int_equal(device.size, size);
        assert_ptr_equal(device.vcpu, vcpu);
    }
    assert_int_equal(bus_write(&bus, vcpu, 0x64, 1, 0xabcd), 0);
    assert_int_equal(device.value, 0xcd);
    assert_int_equal(device.offset, 4);
    /* Nobody there; over the end; a device that has no such register or no such direction. */
    unsigned reads = device.reads;
    for (unsigned size = 1; size <= 8; size *= 2) {
        assert_int_equal(bus_read(&bus, vcpu, 0x70, size, &value), -ENXIO);
        assert_true(value == masks[size]);
        assert_int_equal(bus_write(&bus, vcpu, 0x70, size, 1), -ENXIO);
    }
    assert_int_equal(bus_read(&bus, vcpu, 0x5f, 2, &value), -ENXIO);
    assert_int_equal(bus_read(&bus, vcpu, 0x64, 2, &value), -ENXIO);
    assert_int_equal(bus_write(&bus, vcpu, 0x62, 4, 1), -ENXIO);
    assert_int_equal(bus_read(&bus, vcpu, 0x60, 8, &value), -ENXIO);
    assert_int_equal(device.reads, reads);
    assert_int_equal(bus_read(&bus, vcpu, 0x80, 8, &value), -ENXIO);
    assert_true(value == UINT64_MAX);
    assert_int_equal(bus_write(&bus, vcpu, 0x80, 8, 0), -ENXIO);
    device.result = -EINVAL;
    assert_int_equal(bus_read(&bus, vcpu, 0x60, 2, &value), -ENXIO);
    assert_int_equal(value, 0xffff);
    assert_int_equal(bus_write(&bus, vcpu, 0x60, 2, 1), -ENXIO);
    device.result = -EAGAIN;
    value = 42;
    assert_int_equal(bus_read(&bus, vcpu, 0x60, 2, &value), -EAGAIN);
    assert_int_equal(value, 42);
    assert_int_equal(bus_write(&bus, vcpu, 0x60, 2, 1), -EAGAIN);
    bus_destroy(&bus);
}

static void test_full(void **state) {
    (void)state;
    struct bus bus;
    assert_int_equal(bus_init(&bus), 0);
    for (unsigned i = 0; i < BUS_MAX_RANGES; i++)
        assert_int_equal(bus_add(&bus, (i * 37 % BUS_MAX_RANGES) * 16, 16, &ops, NULL, "r"), 0);
    assert_int_equal(bus_add(&bus, 1u << 20, 1, &ops, NULL, "r"), -ENOSPC);
    for (unsigned at = 0; at < BUS_MAX_RANGES * 16; at++)
        assert_int_equal(bus_find(&bus, at)->base, at / 16 * 16);
    assert_null(bus_find(&bus, BUS_MAX_RANGES * 16));
    assert_int_equal(bus_remove(&bus, 512), 0);
    assert_int_equal(bus_add(&bus, 1u << 20, 1, &ops, NULL, "r"), 0);
    bus_destroy(&bus);
}

static void test_random(void **state) {
    (void)state;
    struct bus bus;
    struct {
        uint64_t base, size;
    } live[BUS_MAX_RANGES] = {{0, 0}};
    uint64_t r = 12345;
    assert_int_equal(bus_init(&bus), 0);
    for (unsigned step = 0; step < 20000; step++) {
        r = r * 6364136223846793005ull + 1442695040888963407ull;
        unsigned slot = (unsigned)(r >> 33) % BUS_MAX_RANGES;
        uint64_t base = (r >> 40) % 4000, size = 1 + (r >> 20) % 60;
        if (live[slot].size != 0) {
            assert_int_equal(bus_remove(&bus, live[slot].base), 0);
            live[slot].size = 0;
        } else {
            bool overlaps = false;
            for (unsigned i = 0; i < BUS_MAX_RANGES; i++)
                overlaps |=
                    live[i].size != 0 && base < live[i].base + live[i].size && live[i].base < base + size;
            assert_int_equal(bus_add(&bus, base, size, &ops, NULL, "r"), overlaps ? -EEXIST : 0);
            if (!overlaps) {
                live[slot].base = base;
                live[slot].size = size;
            }
        }
        uint64_t at = (r >> 13) % 4100;
        const struct bus_range *found = bus_find(&bus, at), *expected = NULL;
        for (unsigned i = 0; i < BUS_MAX_RANGES; i++) {
            if (live[i].size != 0 && at - live[i].base < live[i].size) {
                assert_non_null(found);
                assert_int_equal(found->base, live[i].base);
                expected = found;
            }
        }
        assert_ptr_equal(found, expected);
    }
    bus_destroy(&bus);
}

/* Ranges move while another thread reads: each read reaches the device of its range, or nobody. */
static struct bus shared;
static struct device fixed = {.value = 0x5a}, moving = {.value = 0xa5};
static uint32_t stop;

static void *mover(void *argument) {
    (void)argument;
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t base = 0x100 + i % 3 * 0x800;
        if (bus_add(&shared, base, 0x100, &ops, &moving, "m") != 0 || bus_remove(&shared, base) != 0)
            abort();
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void test_moving(void **state) {
    (void)state;
    pthread_t thread;
    uint64_t value;
    assert_int_equal(bus_init(&shared), 0);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(bus_add(&shared, 0x200 + i * 0x10, 0x10, &ops, &fixed, "f"), 0);
    assert_int_equal(pthread_create(&thread, NULL, mover, NULL), 0);
    while (__atomic_load_n(&stop, __ATOMIC_ACQUIRE) == 0) {
        assert_int_equal(bus_read(&shared, NULL, 0x2a4, 1, &value), 0);
        assert_int_equal(value, 0x5a);
        if (bus_read(&shared, NULL, 0x942, 1, &value) == 0)
            assert_int_equal(value, 0xa5);
        else
            assert_int_equal(value, 0xff);
        assert_int_equal(bus_read(&shared, NULL, 0x700, 1, &value), -ENXIO);
    }
    pthread_join(thread, NULL);
    bus_destroy(&shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_remove), cmocka_unit_test(test_access), cmocka_unit_test(test_full),
        cmocka_unit_test(test_random),     cmocka_unit_test(test_moving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
