// SPDX-License-Identifier: Apache-2.0
// What the parsers of kernel images share.
#ifndef SAGUARO_LIB_IMAGE_INTERNAL_H
#define SAGUARO_LIB_IMAGE_INTERNAL_H

#include "lib/image.h"

/* Adds a segment to `out`, when it lies inside the file and below 1 TiB, and apart from the others. 0, or
 * -EINVAL with a sentence in `why`. */
int image_segment_add(struct image_loadable *out, const struct image_source *source,
                      const struct image_segment *segment, char *why, size_t why_size);

/* The entry has to lie in something that the file gives. 0, or -EINVAL with a sentence in `why`. */
int image_entry_check(const struct image_loadable *image, char *why, size_t why_size);

#endif
