// SPDX-License-Identifier: Apache-2.0
// What the guest loaders share: the state at a 32-bit or 64-bit entry, and how they say what went wrong.
#ifndef SAGUARO_ARCH_X86_LOAD_LOAD_INTERNAL_H
#define SAGUARO_ARCH_X86_LOAD_LOAD_INTERNAL_H

#include "arch/x86/vm.h"
#include "core/main.h"

/* One per kind of image; 0 or a negative errno with vm->end_text set by load_error(). */
int load_linux(struct vm *vm);

/* Puts a sentence into vm->end_text and returns `error`. */
int load_error(struct vm *vm, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Below 0x80000 the entry state takes LOAD_TABLES to LOAD_TABLES_END for page tables and segments. */
#define LOAD_TABLES     0x30000ull
#define LOAD_TABLES_END 0x38000ull

/* vCPU 0 in 64-bit mode at `entry`: the first 4 GiB mapped 1:1, flat segments at selectors 0x10 and 0x18,
 * interrupts off. */
int load_enter_long(struct x86_vcpu *vcpu, uint64_t entry);
/* The same in 32-bit protected mode without paging. */
int load_enter_protected(struct x86_vcpu *vcpu, uint64_t entry);

#endif
