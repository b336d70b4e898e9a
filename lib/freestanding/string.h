// SPDX-License-Identifier: Apache-2.0
// <string.h> for code that runs without a C library: the functions that this tree and libfdt use, as ISO C
// defines them.
#ifndef SAGUARO_LIB_FREESTANDING_STRING_H
#define SAGUARO_LIB_FREESTANDING_STRING_H

#include <stddef.h>

void *memcpy(void *restrict target, const void *restrict source, size_t size);
void *memmove(void *target, const void *source, size_t size);
void *memset(void *target, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
void *memchr(const void *area, int value, size_t size);

size_t strlen(const char *string);
size_t strnlen(const char *string, size_t limit);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t limit);
char *strchr(const char *string, int character);
char *strrchr(const char *string, int character);

#endif
