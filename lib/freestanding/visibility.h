// SPDX-License-Identifier: Apache-2.0
// Included before everything in freestanding programs: they are linked whole, so that every symbol is reached
// directly (RIP-relative) and no global offset table is needed.
#ifndef SAGUARO_LIB_FREESTANDING_VISIBILITY_H
#define SAGUARO_LIB_FREESTANDING_VISIBILITY_H

#pragma GCC visibility push(hidden)

#endif
