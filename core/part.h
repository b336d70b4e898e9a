// SPDX-License-Identifier: Apache-2.0
// A part of a guest's machine: a name, a version and its hooks. A VM's platform is a table of parts (core/
// assumes none of them).
#ifndef SAGUARO_CORE_PART_H
#define SAGUARO_CORE_PART_H

#include <stdint.h>

struct vm;
struct state_writer;
struct state_reader;

/*
 * create() allocates the part (heap_allocate() on the VM's account), attaches it to the VM's buses and stores
 * itself where its siblings find it (x86: struct pc). The core calls create() in the table's order and
 * destroy() in the reverse one. reset() is power-on; save() writes the fields of one record (the core opens
 * and closes it); load() reads one of `version` and checks every field: -EINVAL leaves the part in its reset
 * state. A part per vCPU has `per_vcpu` set; `index` is the vCPU's number, and is 0 for the others.
 */
struct part {
    const char *name; /* of the saved record, e.g. "x86.pit" */
    uint16_t version;
    uint8_t per_vcpu;
    int (*create)(struct vm *vm, unsigned index);
    void (*destroy)(struct vm *vm, unsigned index);
    void (*reset)(struct vm *vm, unsigned index);
    void (*save)(struct vm *vm, unsigned index, struct state_writer *writer);
    int (*load)(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version);
};

#define PLATFORM_MAX_PARTS 32

struct platform {
    const char *name;
    const struct part *const *part;
    unsigned part_count;
};

int platform_create(struct vm *vm); /* undoes itself on error */
void platform_destroy(struct vm *vm);
void platform_reset(struct vm *vm);
/* Bytes written; -ENOSPC; -ENOTSUP: the VM has functions of the machine, whose state is not known, or its
 * memory is bound to the machine. All vCPUs are parked. */
int64_t platform_save(struct vm *vm, void *buffer, uint64_t size);
/* 0; -EINVAL: a record is unknown, of a newer version, missing or refused: `why` (at least 96 bytes) names
 * it. */
int platform_load(struct vm *vm, const void *buffer, uint64_t size, char *why);

#endif
