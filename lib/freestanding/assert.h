// SPDX-License-Identifier: Apache-2.0
// <assert.h> for code without a C library: static_assert alone. Conditions at run time are errors to handle,
// not to assert.
#ifndef SAGUARO_LIB_FREESTANDING_ASSERT_H
#define SAGUARO_LIB_FREESTANDING_ASSERT_H

#undef static_assert
#define static_assert _Static_assert

#endif
