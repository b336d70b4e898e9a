// SPDX-License-Identifier: Apache-2.0
// The device tree that a guest's kernel is started with (Devicetree Specification 0.4; ePAPR 1.1, ch. 3).
#ifndef SAGUARO_ARCH_PPC_GUEST_DEVICE_TREE_H
#define SAGUARO_ARCH_PPC_GUEST_DEVICE_TREE_H

#include <stddef.h>
#include <stdint.h>

#define DEVICE_TREE_SIZE 16384u /* bytes that any guest's tree fits in */

struct vm;

struct device_tree_facts {
    uint64_t timebase_frequency; /* Hz */
    uint64_t initrd;             /* guest-physical */
    uint64_t initrd_size;        /* bytes; 0: there is none */
};

/* Writes the tree of the VM's config and board into `buffer` (8-byte aligned). Its size in bytes, or -ENOSPC.
 */
int device_tree_build(const struct vm *vm, const struct device_tree_facts *facts, void *buffer, size_t size);

#endif
