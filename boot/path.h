// SPDX-License-Identifier: Apache-2.0
// File names: from the config's spelling to a path on the volume or the TFTP server, and text between UTF-8
// and UCS-2. Pure code: builds in the loader and in its unit test.
#ifndef SAGUARO_BOOT_PATH_H
#define SAGUARO_BOOT_PATH_H

#include <stddef.h>
#include <stdint.h>

#define PATH_MAX_BYTES 512u /* with the terminating NUL */

/*
 * Write to `out` (`out_size` bytes) the path of `name` in the directory `dir`, with `separator` between
 * components. `dir` may be absolute and may use / or \; `name` is relative, with / alone, and must stay
 * inside `dir`. Returns 0, or -EINVAL (and why not, in words, in *why) for a name that is empty, absolute,
 * has "..", a backslash, a colon or control characters, -ENAMETOOLONG when it does not fit.
 */
int path_join(const char *dir, const char *name, char separator, char *out, size_t out_size,
              const char **why);

/* Cut `path` to its directory: everything before the last / or \ ("" if there is none, the separator if it is
 * first). */
void path_cut_to_directory(char *path);

/*
 * UTF-8 to NUL-terminated UCS-2. Malformed sequences, and characters beyond U+FFFF, become '?'.
 * Returns the number of units written without the NUL; text that does not fit is cut.
 */
size_t path_ucs2_from_utf8(const char *text, uint16_t *out, size_t out_units);

/* Printable ASCII of NUL-terminated or `units` long UCS-2: 0, or -EINVAL if anything else is in it or it does
 * not fit. */
int path_ascii_from_ucs2(const uint16_t *text, size_t units, char *out, size_t out_size);

#endif
