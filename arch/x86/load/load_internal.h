// SPDX-License-Identifier: Apache-2.0
// What the guest loaders share: the state at a 32-bit or 64-bit entry, and how they say what went wrong.
#ifndef SAGUARO_ARCH_X86_LOAD_LOAD_INTERNAL_H
#define SAGUARO_ARCH_X86_LOAD_LOAD_INTERNAL_H

#include "arch/x86/vm.h"
#include "core/main.h"
#include "lib/image.h"

/* One per kind of image; 0 or a negative errno with vm->end_text set by load_error(). */
int load_linux(struct vm *vm);
int load_multiboot(struct vm *vm);
int load_pvh(struct vm *vm);
int load_firmware(struct vm *vm);

/* Puts a sentence into vm->end_text and returns `error`. */
int load_error(struct vm *vm, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What the loaders put into low memory: boot information, then, from LOAD_TABLES on, the page tables and
 * segments of the entry state. Kernels stay out of it. */
#define LOAD_LOW     0x10000ull
#define LOAD_TABLES  0x30000ull
#define LOAD_LOW_END 0x38000ull

/* The file of that name; NULL: the loader did not bring it, and vm->end_text says so. */
const struct boot_file *load_find(struct vm *vm, const char *name);

/* A file as lib/image reads it. */
struct image_source load_source(const struct boot_file *file);

/* Puts an image's segments in place: in RAM, apart from the loaders' own low memory. */
int load_segments(struct vm *vm, const struct boot_file *file, const struct image_loadable *image);

/* Puts a piece of boot information at the next multiple of 8 from *at on, below LOAD_TABLES. *place is where
 * it lies; *at moves behind it. */
int load_low(struct vm *vm, uint64_t *at, const void *data, size_t size, uint64_t *place);

/* vCPU 0 in 64-bit mode at `entry`, below 511 GiB: the first 4 GiB mapped 1:1 (if `entry` is above them, the
 * first and the last of these, and the GiB of `entry` and the next one), flat segments at selectors 0x10 and
 * 0x18, interrupts off. */
int load_enter_long(struct x86_vcpu *vcpu, uint64_t entry);
/* The same in 32-bit protected mode without paging. */
int load_enter_protected(struct x86_vcpu *vcpu, uint64_t entry);

#endif
