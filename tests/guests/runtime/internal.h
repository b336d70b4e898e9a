// SPDX-License-Identifier: Apache-2.0
// What the runtime's own files share.
#ifndef SAGUARO_TESTS_GUESTS_RUNTIME_INTERNAL_H
#define SAGUARO_TESTS_GUESTS_RUNTIME_INTERNAL_H

#include "tests/guests/runtime/guest.h"

void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);
int memcmp(const void *one, const void *other, size_t size);

void runtime_main(void);
void runtime_unexpected(const struct frame *frame) __attribute__((noreturn));
void interrupts_init(void);
void idt_load(void);
void interrupt_dispatch(struct frame *frame);
void guest_resume(unsigned vector) __attribute__((noreturn));
void ap_main(void) __attribute__((noreturn));

extern word recover;
extern char vector_entries[];
extern uint64_t gdt[];

#endif
