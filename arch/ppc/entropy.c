// SPDX-License-Identifier: Apache-2.0
// Random bytes from the machine: these CPUs have no source of them.
#include <errno.h>

#include "core/arch.h"

int arch_entropy(uint8_t *bytes, unsigned size) {
    (void)bytes;
    (void)size;
    return -ENODEV;
}
