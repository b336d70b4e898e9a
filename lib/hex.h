// SPDX-License-Identifier: Apache-2.0
// A hexadecimal digit's value.
#ifndef SAGUARO_LIB_HEX_H
#define SAGUARO_LIB_HEX_H

/* 0 to 15; -1: it is none. */
static inline int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

#endif
