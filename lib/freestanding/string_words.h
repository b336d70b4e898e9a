// SPDX-License-Identifier: Apache-2.0
// memcpy() and memset() by words, for CPUs without instructions for them. Any alignment, any byte order; a
// header, so that the unit tests run what lib/freestanding/string.c uses on other machines.
#ifndef SAGUARO_LIB_FREESTANDING_STRING_WORDS_H
#define SAGUARO_LIB_FREESTANDING_STRING_WORDS_H

#include <stddef.h>
#include <stdint.h>

typedef unsigned long __attribute__((may_alias)) string_word;

#define STRING_WORD  sizeof(string_word)
#define STRING_BURST (8 * STRING_WORD) /* bytes of one turn of the inner loops */

/* The areas do not overlap. */
static inline void words_copy(unsigned char *to, const unsigned char *from, size_t size) {
    if (((uintptr_t)to - (uintptr_t)from) % STRING_WORD == 0) {
        for (; size > 0 && (uintptr_t)to % STRING_WORD != 0; size--)
            *to++ = *from++;
        for (; size >= STRING_BURST; size -= STRING_BURST, to += STRING_BURST, from += STRING_BURST) {
            string_word *out = (string_word *)(void *)to;
            const string_word *in = (const string_word *)(const void *)from;
            string_word a = in[0], b = in[1], c = in[2], d = in[3];
            out[0] = a;
            out[1] = b;
            out[2] = c;
            out[3] = d;
            a = in[4];
            b = in[5];
            c = in[6];
            d = in[7];
            out[4] = a;
            out[5] = b;
            out[6] = c;
            out[7] = d;
        }
        for (; size >= STRING_WORD; size -= STRING_WORD, to += STRING_WORD, from += STRING_WORD)
            *(string_word *)(void *)to = *(const string_word *)(const void *)from;
    }
    for (; size > 0; size--)
        *to++ = *from++;
}

static inline void words_fill(unsigned char *to, unsigned char value, size_t size) {
    string_word pattern = ~(string_word)0 / 255 * value;

    for (; size > 0 && (uintptr_t)to % STRING_WORD != 0; size--)
        *to++ = value;
    for (; size >= STRING_BURST; size -= STRING_BURST, to += STRING_BURST) {
        string_word *out = (string_word *)(void *)to;
        out[0] = pattern;
        out[1] = pattern;
        out[2] = pattern;
        out[3] = pattern;
        out[4] = pattern;
        out[5] = pattern;
        out[6] = pattern;
        out[7] = pattern;
    }
    for (; size >= STRING_WORD; size -= STRING_WORD, to += STRING_WORD)
        *(string_word *)(void *)to = pattern;
    for (; size > 0; size--)
        *to++ = value;
}

#endif
