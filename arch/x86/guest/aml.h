// SPDX-License-Identifier: Apache-2.0
// A small writer of ACPI machine language (ACPI 6.5, chapter 20) and resource descriptors (6.4).
#ifndef SAGUARO_ARCH_X86_GUEST_AML_H
#define SAGUARO_ARCH_X86_GUEST_AML_H

#include <stdbool.h>
#include <stdint.h>

/* The caller's memory; when it is full, nothing more is written and `overflow` is set. */
struct aml {
    uint8_t *data;
    uint32_t size;
    uint32_t used;
    bool overflow;
};

void aml_byte(struct aml *aml, uint8_t value);
void aml_word(struct aml *aml, uint16_t value);
void aml_dword(struct aml *aml, uint32_t value);

/* Objects that hold others: open, write what is inside, close with the value that open returned. */
uint32_t aml_scope(struct aml *aml, const char *name);  /* Scope (name) */
uint32_t aml_device(struct aml *aml, const char *name); /* Device (name) */
uint32_t aml_package(struct aml *aml, uint8_t count);   /* Package (count) */
void aml_close(struct aml *aml, uint32_t start);

/* Name (name, ...): one object follows. Names are a segment of up to 4 characters, with '\' before it for the
 * root. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint32_t value);
void aml_string(struct aml *aml, const char *text);
/* EISAID ("PNP0A03"). */
void aml_eisa_id(struct aml *aml, const char *id);

/* ResourceTemplate (): the descriptors below come between. */
uint32_t aml_resources(struct aml *aml);
void aml_resources_close(struct aml *aml, uint32_t start);
void aml_io(struct aml *aml, uint16_t base, uint8_t length); /* IO (Decode16, ...) */
void aml_irq(struct aml *aml, unsigned line);                /* IRQNoFlags () {line} */
/* Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) {gsi} */
void aml_interrupt(struct aml *aml, uint32_t gsi);
void aml_memory32_fixed(struct aml *aml, uint32_t base, uint32_t length); /* Memory32Fixed (ReadWrite, ...) */
void aml_word_bus(struct aml *aml, uint16_t first, uint16_t last);        /* WordBusNumber (...) */
void aml_word_io(struct aml *aml, uint16_t first, uint16_t last);         /* WordIO (..., EntireRange) */
void aml_dword_memory(struct aml *aml, uint32_t first,
                      uint32_t last); /* DWordMemory (NonCacheable, ReadWrite) */

#endif
