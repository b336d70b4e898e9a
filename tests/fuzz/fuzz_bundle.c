// SPDX-License-Identifier: Apache-2.0
// Any bytes as a bundle: as they are; and with a sound header and checksum, so that the table of files is
// looked at.
// fuzz-sources: lib/bundle.c lib/config_path.c
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/bundle.h"
#include "lib/config.h"
#include "tests/unit/bundle_fixture.h"

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static void check(const uint8_t *bundle, size_t size) {
    char why[96];
    uint64_t end = 0;
    int count;

    memset(why, 0, sizeof(why));
    count = bundle_check(bundle, size, why, sizeof(why));
    if (count < 0) {
        require(why[0] != '\0' && memchr(why, '\0', sizeof(why)) != NULL);
        return;
    }
    require(count >= 1 && count <= (int)BUNDLE_MAX_FILES && why[0] == '\0');
    for (unsigned i = 0; i < (unsigned)count; i++) {
        const struct bundle_entry file = bundle_file(bundle, i);

        require(config_path_problem(file.name) == NULL && file.size != 0);
        require(file.offset % BUNDLE_ALIGN == 0 && file.offset >= end && file.offset + file.size <= size);
        require(file.offset >= sizeof(struct bundle_header) + (unsigned)count * sizeof(struct bundle_file));
        end = file.offset + file.size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t bundle[64 * 1024];

    check(data, size);
    if (size > 2 && size < sizeof(bundle) - sizeof(struct bundle_header)) {
        /* Two bytes say how long the bundle is and how many files it has; the others are the table. Half of
         * the time the first file is the one that it must be. */
        size_t whole = (size_t)data[0] * 256 + 4096;
        const unsigned files = data[1] & 15;

        whole = whole > sizeof(bundle) ? sizeof(bundle) : whole;
        memset(bundle, 0, sizeof(bundle));
        bundle_head(bundle, files, whole);
        memcpy(bundle + sizeof(struct bundle_header), data + 2, size - 2);
        if ((data[1] & 0x80) != 0) {
            bundle_place(bundle, 0, BUNDLE_CONFIG, BUNDLE_ALIGN, 1);
        }
        if ((data[1] & 0x40) != 0) {
            bundle_place(bundle, 1, "kernel", (data[0] & 0xf0) * 256u, data[0] & 15u);
        }
        bundle_seal(bundle, whole);
        check(bundle, whole);
    }
    return 0;
}
