// SPDX-License-Identifier: Apache-2.0
// A VM's parts in a row: created, reset, saved and loaded one after another.
#include "core/part.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core/log.h"
#include "core/vm.h"
#include "lib/state.h"

#define WHY_SIZE 96

static unsigned instances(const struct vm *vm, const struct part *part) {
    return part->per_vcpu ? vm->vcpu_count : 1;
}

/* Destroys the first `parts` parts, and of the one after them the first `extra` instances. */
static void destroy_first(struct vm *vm, unsigned parts, unsigned extra) {
    const struct platform *platform = vm->platform;
    for (unsigned i = parts + (extra != 0); i-- > 0;) {
        const struct part *part = platform->part[i];
        for (unsigned index = i == parts ? extra : instances(vm, part); index-- > 0;) {
            if (part->destroy != NULL)
                part->destroy(vm, index);
        }
    }
}

int platform_create(struct vm *vm) {
    const struct platform *platform = vm->platform;
    bug_if(platform->part_count > PLATFORM_MAX_PARTS);
    for (unsigned i = 0; i < platform->part_count; i++) {
        const struct part *part = platform->part[i];
        for (unsigned index = 0; index < instances(vm, part); index++) {
            int error = part->create != NULL ? part->create(vm, index) : 0;
            if (error != 0) {
                destroy_first(vm, i, index);
                return error;
            }
        }
    }
    return 0;
}

void platform_destroy(struct vm *vm) {
    destroy_first(vm, vm->platform->part_count, 0);
}

void platform_reset(struct vm *vm) {
    const struct platform *platform = vm->platform;
    for (unsigned i = 0; i < platform->part_count; i++) {
        const struct part *part = platform->part[i];
        for (unsigned index = 0; part->reset != NULL && index < instances(vm, part); index++)
            part->reset(vm, index);
    }
}

int64_t platform_save(struct vm *vm, void *buffer, uint64_t size) {
    const struct platform *platform = vm->platform;
    struct state_writer writer;
    if (vm->passed != NULL || vm->memory.bound)
        return -ENOTSUP;
    state_writer_init(&writer, buffer, size > SIZE_MAX ? SIZE_MAX : (size_t)size);
    for (unsigned i = 0; i < platform->part_count; i++) {
        const struct part *part = platform->part[i];
        for (unsigned index = 0; part->save != NULL && index < instances(vm, part); index++) {
            state_begin(&writer, part->name, index, part->version);
            part->save(vm, index, &writer);
            state_end(&writer);
        }
    }
    return state_finish(&writer);
}

static int part_find(const struct platform *platform, const char *name) {
    for (unsigned i = 0; i < platform->part_count; i++) {
        if (platform->part[i]->load != NULL && strcmp(platform->part[i]->name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* Loads one record; NULL, or what is wrong with it. */
static const char *record_load(struct vm *vm, struct state_reader *reader, uint32_t *seen) {
    const struct state_record *record = reader->record;
    int found = part_find(vm->platform, record->name);
    if (found < 0)
        return "is unknown";
    const struct part *part = vm->platform->part[found];
    if (record->instance >= instances(vm, part))
        return "has no part to go to";
    if ((seen[found] & 1u << record->instance) != 0)
        return "is there twice";
    if (record->version > part->version)
        return "is of a newer version";
    seen[found] |= 1u << record->instance;
    int error = part->load(vm, record->instance, reader, record->version);
    if (reader->error != 0)
        return "is too short";
    if (error != 0)
        return "holds what cannot be";
    return reader->position != reader->record_end ? "is too long" : NULL;
}

static int load_all(struct vm *vm, struct state_reader *reader, char *why) {
    const struct platform *platform = vm->platform;
    uint32_t seen[PLATFORM_MAX_PARTS] = {0};
    while (state_next(reader)) {
        const char *problem = record_load(vm, reader, seen);
        if (problem != NULL) {
            snprintf(why, WHY_SIZE, "record %s %u %s", reader->record->name,
                     (unsigned)reader->record->instance, problem);
            return -EINVAL;
        }
    }
    for (unsigned i = 0; i < platform->part_count; i++) {
        const struct part *part = platform->part[i];
        for (unsigned index = 0; part->load != NULL && index < instances(vm, part); index++) {
            if ((seen[i] & 1u << index) == 0) {
                snprintf(why, WHY_SIZE, "record %s %u is missing", part->name, index);
                return -EINVAL;
            }
        }
    }
    return 0;
}

_Static_assert(VM_MAX_VCPUS <= 32, "a bit for each vCPU");

int platform_load(struct vm *vm, const void *buffer, uint64_t size, char *why) {
    struct state_reader reader;
    if (size > SIZE_MAX || state_reader_init(&reader, buffer, (size_t)size) != 0) {
        snprintf(why, WHY_SIZE, "it is no sequence of whole records");
        return -EINVAL;
    }
    platform_reset(vm);
    int error = load_all(vm, &reader, why);
    if (error != 0)
        platform_reset(vm);
    return error;
}
