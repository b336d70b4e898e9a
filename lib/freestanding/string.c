// SPDX-License-Identifier: Apache-2.0
// Memory and string functions for code without a C library. Built with -fno-tree-loop-distribute-patterns, so
// that the compiler does not turn a loop in memset() back into a call of memset().
#include "lib/freestanding/string.h"

#include <stdint.h>
#include "lib/freestanding/string_words.h"

void *memcpy(void *restrict target, const void *restrict source, size_t size) {
    void *result = target;
#if defined(__x86_64__)
    /* Words, then the rest: as fast as REP MOVSB where the CPU has fast strings, and much faster where it has
     * not. */
    size_t words = size / 8;
    size %= 8;
    __asm__ volatile("rep movsq\n\tmovq %3, %%rcx\n\trep movsb"
                     : "+D"(target), "+S"(source), "+c"(words)
                     : "r"(size)
                     : "memory");
#else
    words_copy(target, source, size);
#endif
    return result;
}

void *memmove(void *target, const void *source, size_t size) {
    unsigned char *to = target;
    const unsigned char *from = source;
    /* Unsigned wrap makes this true also where the target lies below the source: a forward copy is right for
     * both. */
    if ((uintptr_t)to - (uintptr_t)from >= size) {
        return memcpy(target, source, size);
    }
    while (size > 0 && ((uintptr_t)(to + size) & 7) != 0) {
        size--;
        to[size] = from[size];
    }
    while (size >= 8) {
        uint64_t word;
        size -= 8;
        __builtin_memcpy(&word, from + size, sizeof(word));
        __builtin_memcpy(to + size, &word, sizeof(word));
    }
    while (size > 0) {
        size--;
        to[size] = from[size];
    }
    return target;
}

void *memset(void *target, int value, size_t size) {
    void *result = target;
#if defined(__x86_64__)
    size_t words = size / 8;
    size %= 8;
    __asm__ volatile("rep stosq\n\tmovq %2, %%rcx\n\trep stosb"
                     : "+D"(target), "+c"(words)
                     : "r"(size), "a"((unsigned char)value * 0x0101010101010101ull)
                     : "memory");
#else
    words_fill(target, (unsigned char)value, size);
#endif
    return result;
}

int memcmp(const void *a, const void *b, size_t size) {
    const unsigned char *left = a;
    const unsigned char *right = b;
    for (size_t i = 0; i < size; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}

void *memchr(const void *area, int value, size_t size) {
    const unsigned char *bytes = area;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == (unsigned char)value) {
            return (void *)(uintptr_t)&bytes[i];
        }
    }
    return NULL;
}

size_t strlen(const char *string) {
    size_t length = 0;
    while (string[length] != '\0') {
        length++;
    }
    return length;
}

size_t strnlen(const char *string, size_t limit) {
    size_t length = 0;
    while (length < limit && string[length] != '\0') {
        length++;
    }
    return length;
}

int strcmp(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (int)(unsigned char)*a - (int)(unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t limit) {
    for (size_t i = 0; i < limit; i++) {
        if (a[i] != b[i] || a[i] == '\0') {
            return (int)(unsigned char)a[i] - (int)(unsigned char)b[i];
        }
    }
    return 0;
}

char *strchr(const char *string, int character) {
    for (;; string++) {
        if (*string == (char)character) {
            return (char *)(uintptr_t)string;
        }
        if (*string == '\0') {
            return NULL;
        }
    }
}

char *strrchr(const char *string, int character) {
    const char *last = NULL;
    for (;; string++) {
        if (*string == (char)character) {
            last = string;
        }
        if (*string == '\0') {
            return (char *)(uintptr_t)last;
        }
    }
}
