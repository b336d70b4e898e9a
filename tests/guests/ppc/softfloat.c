// SPDX-License-Identifier: Apache-2.0
// Floating point for programs that are compiled with -msoft-float: each operation is one of the hardware's,
// which the guest's kernel emulates on a CPU that has none. So only a program that calculates pays for it,
// where one compiled for hardware registers has them saved at every setjmp(). This file itself is compiled
// for them; arguments come in general registers.
#include <stdint.h>

union number {
    double value;
    uint64_t bits;
};
union single {
    float value;
    uint32_t bits;
};

#define TWO_32 4294967296.0

static double in(uint64_t bits) {
    return (union number){.bits = bits}.value;
}
static uint64_t out(double value) {
    return (union number){.value = value}.bits;
}
static float in_single(uint32_t bits) {
    return (union single){.bits = bits}.value;
}
static uint32_t out_single(float value) {
    return (union single){.value = value}.bits;
}

#define OPERATION(name, operator)                                                                            \
    uint64_t __##name##df3(uint64_t a, uint64_t b);                                                          \
    uint64_t __##name##df3(uint64_t a, uint64_t b) {                                                         \
        return out(in(a) operator in(b));                                                                    \
    }                                                                                                        \
    uint32_t __##name##sf3(uint32_t a, uint32_t b);                                                          \
    uint32_t __##name##sf3(uint32_t a, uint32_t b) {                                                         \
        return out_single(in_single(a) operator in_single(b));                                               \
    }
OPERATION(add, +)
OPERATION(sub, -)
OPERATION(mul, *)
OPERATION(div, /)

/* Less than 0, 0, more than 0; `unordered` if one of the two is no number. */
static int compare(double a, double b, int unordered) {
    return a < b ? -1 : a > b ? 1 : a == b ? 0 : unordered;
}

#define COMPARISON(name, unordered)                                                                          \
    int __##name##df2(uint64_t a, uint64_t b);                                                               \
    int __##name##df2(uint64_t a, uint64_t b) {                                                              \
        return compare(in(a), in(b), unordered);                                                             \
    }                                                                                                        \
    int __##name##sf2(uint32_t a, uint32_t b);                                                               \
    int __##name##sf2(uint32_t a, uint32_t b) {                                                              \
        return compare(in_single(a), in_single(b), unordered);                                               \
    }
COMPARISON(eq, 1)
COMPARISON(ne, 1)
COMPARISON(lt, 1)
COMPARISON(le, 1)
COMPARISON(gt, -1)
COMPARISON(ge, -1)

#define CONVERSION(type, name, argument, expression)                                                         \
    type name(argument a);                                                                                   \
    type name(argument a) {                                                                                  \
        return expression;                                                                                   \
    }

/* Toward 0, as the language wants it; what does not fit is of no use to anyone. */
static uint64_t whole(double value) {
    uint32_t high = (uint32_t)(value / TWO_32);

    return (uint64_t)high << 32 | (uint32_t)(value - high * TWO_32);
}
static double from_unsigned(uint64_t a) {
    return (uint32_t)(a >> 32) * TWO_32 + (uint32_t)a;
}
static double from_signed(int64_t a) {
    return a < 0 ? -from_unsigned(0 - (uint64_t)a) : from_unsigned((uint64_t)a);
}
static int64_t to_signed(double value) {
    return value < 0 ? (int64_t)(0 - whole(-value)) : (int64_t)whole(value);
}

int __unorddf2(uint64_t a, uint64_t b);
int __unorddf2(uint64_t a, uint64_t b) {
    return in(a) != in(a) || in(b) != in(b);
}
CONVERSION(uint64_t, __floatsidf, int32_t, out(a))
CONVERSION(uint64_t, __floatunsidf, uint32_t, out(a))
CONVERSION(uint64_t, __floatdidf, int64_t, out(from_signed(a)))
CONVERSION(uint64_t, __floatundidf, uint64_t, out(from_unsigned(a)))
CONVERSION(uint32_t, __floatsisf, int32_t, out_single((float)a))
CONVERSION(uint32_t, __floatunsisf, uint32_t, out_single((float)a))
CONVERSION(int32_t, __fixdfsi, uint64_t, (int32_t)in(a))
CONVERSION(uint32_t, __fixunsdfsi, uint64_t, (uint32_t)in(a))
CONVERSION(int64_t, __fixdfdi, uint64_t, to_signed(in(a)))
CONVERSION(uint64_t, __fixunsdfdi, uint64_t, whole(in(a)))
CONVERSION(int32_t, __fixsfsi, uint32_t, (int32_t)in_single(a))
CONVERSION(uint32_t, __fixunssfsi, uint32_t, (uint32_t)in_single(a))
CONVERSION(uint64_t, __extendsfdf2, uint32_t, out((double)in_single(a)))
CONVERSION(uint32_t, __truncdfsf2, uint64_t, out_single((float)in(a)))
