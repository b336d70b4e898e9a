// SPDX-License-Identifier: Apache-2.0
// The screen's font.
#ifndef SAGUARO_ARCH_X86_FONT_H
#define SAGUARO_ARCH_X86_FONT_H

#include <stdint.h>

#define FONT_FIRST   32
#define FONT_LAST    126
#define FONT_ROWS    8 /* rows of dots of a glyph */
#define FONT_COLUMNS 5 /* dots of a row; bit 4 is leftmost */

extern const uint8_t font[FONT_LAST - FONT_FIRST + 1][FONT_ROWS];

#endif
