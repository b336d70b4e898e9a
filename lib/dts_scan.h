// SPDX-License-Identifier: Apache-2.0
// The lower half of the DTS parser: characters, comments, names, numbers and strings of one source file.
#ifndef SAGUARO_LIB_DTS_SCAN_H
#define SAGUARO_LIB_DTS_SCAN_H

#include "lib/dts.h"

/* Where the parser stands. The functions below return 0, or a negative errno after they reported the error.
 */
struct dts_scan {
    struct dts_positions *positions;
    struct dts_report *report;
    const char *text; /* of the current file */
    uint32_t size;    /* bytes */
    uint32_t at;      /* the next byte */
    uint32_t end;     /* just after the last thing that was read: where something missing belongs */
    uint8_t file;     /* index in positions->files */
};

/* Reports an error at byte `at` of the current file and returns -EINVAL. */
int dts_fail(const struct dts_scan *scan, uint32_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Begins with file `index` of the positions: rejects what is no text at all, skips a UTF-8 byte-order mark.
 */
int dts_scan_begin(struct dts_scan *scan, unsigned index);

/* Skips white space and comments. */
int dts_skip(struct dts_scan *scan);

/* The next byte, or '\0' at the end of the file (a file has no NUL bytes). */
char dts_peek(const struct dts_scan *scan);

/* Whether the next bytes are `word`; dts_accept() also steps over it. */
bool dts_looking_at(const struct dts_scan *scan, const char *word);
bool dts_accept(struct dts_scan *scan, const char *word);

/* Whether a byte may stand in the name of a node or property. */
bool dts_is_name(char c);

/* How the next byte (or the end) is called in a message: "x", byte 0x80, the end of the file. */
#define DTS_CALLED 32u
const char *dts_called(const struct dts_scan *scan, char buffer[DTS_CALLED]);

/* A string in quotes, escapes resolved, with its NUL; `value` has room for `room` bytes. *used gets the bytes
 * with the NUL. */
int dts_scan_string(struct dts_scan *scan, uint8_t *value, size_t room, size_t *used);

/* A number of 32 bits: decimal, 0x hexadecimal or 0 octal, also inside parentheses. */
int dts_scan_number(struct dts_scan *scan, uint32_t *number);

#endif
