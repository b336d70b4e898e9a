// SPDX-License-Identifier: Apache-2.0
// Reads a bundle: its bytes are taken one by one, so that neither byte order nor alignment of the CPU
// matters, and nothing of them is used before it was checked.
#include "lib/bundle.h"

#include "abi/bundle.h"
#include "lib/config.h"
#include "lib/crc32.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(struct bundle_header) == 32 && sizeof(struct bundle_file) == 224,
              "the layout has no holes on any architecture");
static_assert(CONFIG_MAX_PATH < BUNDLE_NAME, "every name of a config fits");

static uint32_t get32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint64_t get64(const uint8_t *bytes) {
    return (uint64_t)get32(bytes) << 32 | get32(bytes + 4);
}

static bool crc_is_right(const uint8_t *bundle, uint64_t size) {
    static const uint8_t zeros[4];
    const size_t at = offsetof(struct bundle_header, crc32);
    uint32_t crc = UINT32_MAX;

    crc = crc32_update(crc, bundle, at);
    crc = crc32_update(crc, zeros, sizeof(zeros));
    crc = crc32_update(crc, bundle + at + sizeof(zeros), size - at - sizeof(zeros));
    return ~crc == get32(bundle + at);
}

static const uint8_t *table_entry(const void *bundle, unsigned index) {
    return (const uint8_t *)bundle + sizeof(struct bundle_header) +
           (size_t)index * sizeof(struct bundle_file);
}

struct bundle_entry bundle_file(const void *bundle, unsigned index) {
    const uint8_t *entry = table_entry(bundle, index);

    return (struct bundle_entry){
        .name = (const char *)entry + offsetof(struct bundle_file, name),
        .offset = get64(entry + offsetof(struct bundle_file, offset)),
        .size = get64(entry + offsetof(struct bundle_file, size)),
    };
}

/* File number `index`, whose content may not begin before *end, and then moves it; `size` is the bundle's. */
static int check_file(const uint8_t *bundle, unsigned index, uint64_t size, uint64_t *end, char *why,
                      size_t why_size) {
    const uint8_t *entry = table_entry(bundle, index);
    const struct bundle_entry file = bundle_file(bundle, index);

    if (memchr(file.name, '\0', BUNDLE_NAME) == NULL || config_path_problem(file.name) != NULL) {
        snprintf(why, why_size, "has a bad name for file %u", index);
        return -EINVAL;
    }
    if (index == 0 && strcmp(file.name, BUNDLE_CONFIG) != 0) {
        snprintf(why, why_size, "does not begin with the config");
        return -EINVAL;
    }
    for (unsigned i = 0; i < index; i++) {
        if (strcmp(bundle_file(bundle, i).name, file.name) == 0) {
            snprintf(why, why_size, "has two files \"%s\"", file.name);
            return -EINVAL;
        }
    }
    if (get32(entry + offsetof(struct bundle_file, reserved)) != 0) {
        snprintf(why, why_size, "is of a later version: file \"%s\" has more to it", file.name);
        return -EINVAL;
    }
    if (file.offset % BUNDLE_ALIGN != 0 || file.offset < *end || file.size == 0 || file.offset > size ||
        file.size > size - file.offset) {
        snprintf(why, why_size, "has no place for file \"%s\"", file.name);
        return -EINVAL;
    }
    *end = file.offset + file.size;
    return 0;
}

int bundle_check(const void *bundle, uint64_t size, char *why, size_t why_size) {
    const uint8_t *bytes = bundle;
    uint64_t whole, end;
    uint32_t count;

    if (size < sizeof(struct bundle_header) || memcmp(bytes, BUNDLE_MAGIC, sizeof(BUNDLE_MAGIC)) != 0) {
        snprintf(why, why_size, "is none: it does not begin with \"%s\"", BUNDLE_MAGIC);
        return -EINVAL;
    }
    if (get32(bytes + offsetof(struct bundle_header, version)) != BUNDLE_VERSION ||
        get32(bytes + offsetof(struct bundle_header, reserved)) != 0) {
        snprintf(why, why_size, "is of version %u; version %u is understood",
                 (unsigned)get32(bytes + offsetof(struct bundle_header, version)), BUNDLE_VERSION);
        return -EINVAL;
    }
    whole = get64(bytes + offsetof(struct bundle_header, size));
    if (whole > size) {
        snprintf(why, why_size, "is cut off: %llu of its %llu bytes are here", (unsigned long long)size,
                 (unsigned long long)whole);
        return -EINVAL;
    }
    count = get32(bytes + offsetof(struct bundle_header, file_count));
    end = sizeof(struct bundle_header) + (uint64_t)count * sizeof(struct bundle_file);
    if (count == 0 || count > BUNDLE_MAX_FILES || end > whole) {
        snprintf(why, why_size, "cannot hold %u files", (unsigned)count);
        return -EINVAL;
    }
    if (!crc_is_right(bytes, whole)) {
        snprintf(why, why_size, "is damaged: its checksum is wrong");
        return -EINVAL;
    }
    for (unsigned i = 0; i < count; i++) {
        if (check_file(bytes, i, whole, &end, why, why_size) != 0) {
            return -EINVAL;
        }
    }
    return (int)count;
}
