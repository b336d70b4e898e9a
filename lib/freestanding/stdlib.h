// SPDX-License-Identifier: Apache-2.0
// <stdlib.h> for code without a C library: libfdt includes it; what it needs of it is declared here.
#ifndef SAGUARO_LIB_FREESTANDING_STDLIB_H
#define SAGUARO_LIB_FREESTANDING_STDLIB_H

#include <stddef.h>

#endif
