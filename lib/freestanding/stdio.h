// SPDX-License-Identifier: Apache-2.0
// <stdio.h> for code without a C library: formatting into a buffer, nothing else.
#ifndef SAGUARO_LIB_FREESTANDING_STDIO_H
#define SAGUARO_LIB_FREESTANDING_STDIO_H

#include <stdarg.h>
#include <stddef.h>

/*
 * As ISO C: write at most `size` bytes including the final NUL, and return the length that the whole text
 * would have had. Conversions: d i u x X o p s c %, flags - 0 + space #, width and precision (digits or *),
 * lengths hh h l ll z t j. No floating point, no %n, no wide characters: such a conversion is copied to the
 * output as it stands, and what follows it is copied too without being converted, because its argument's size
 * is unknown.
 */
int snprintf(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *buffer, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

#endif
