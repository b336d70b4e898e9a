// SPDX-License-Identifier: Apache-2.0
// What NVM Express controllers and name spaces say of themselves (NVM Express 1.4, 5.15.2): all that the
// driver believes of it passes through here.
#include "drivers/block/nvme.h"

#include <errno.h>
#include <string.h>
#include "virtio/bytes.h"

#define ONCS_DATASET      (1u << 2)
#define ONCS_WRITE_ZEROES (1u << 3)
#define NSFEAT_SIZES      (1u << 4) /* NPWG and NOWS are valid */
#define MAX_PHYSICAL      (1u << 20)
#define MAX_FORMATS       16u
#define MAX_BLOCKS        65536u /* of one command: its count has 16 bits, from 1 on */

/* 20 characters, with spaces behind them; what is not printable becomes "?". */
static void read_serial(char *serial, const uint8_t *from) {
    unsigned first = 0, end = 20;
    while (end > first && (from[end - 1] == ' ' || from[end - 1] == 0))
        end--;
    while (first < end && from[first] == ' ')
        first++;
    for (unsigned i = first; i < end; i++)
        *serial++ = from[i] >= ' ' && from[i] <= '~' ? (char)from[i] : '?';
    *serial = 0;
}

int nvme_identify_controller(struct nvme_identity *identity, const uint8_t *page, const char **why) {
    const uint8_t transfer = page[77]; /* MDTS: log2 of pages of CAP.MPSMIN; 0: no limit */
    const uint16_t optional = bytes_get16(page + 520);
    const uint32_t limit = NVME_MAX_TRANSFER / NVME_PAGE;

    if (bytes_get32(page + 516) < NVME_NAMESPACE) {
        *why = "the controller has no name spaces";
        return -ENODEV;
    }
    if ((page[512] & 15) > 6 || page[512] >> 4 < 6 || (page[513] & 15) > 4 || page[513] >> 4 < 4) {
        *why = "the controller's queue entries have sizes that are not known";
        return -ENOTSUP;
    }
    *identity = (struct nvme_identity){
        .transfer = NVME_MAX_TRANSFER, .discards = optional & ONCS_DATASET, .cached = page[525] & 1};
    if (transfer && transfer < 16 && 1u << transfer < limit)
        identity->transfer = NVME_PAGE << transfer;
    /* A Write Zeroes moves no data, but there are controllers that apply MDTS to it. */
    if (optional & ONCS_WRITE_ZEROES)
        identity->zeroes = transfer && transfer < 16 ? NVME_PAGE << transfer : UINT32_MAX;
    read_serial(identity->serial, page + 4);
    return 0;
}

/* `units` blocks as bytes, if that is a size for struct disk; else `otherwise`. */
static uint32_t size_of(uint32_t units, uint32_t shift, uint32_t otherwise) {
    const uint32_t size = units << shift;
    return size <= MAX_PHYSICAL && (size & (size - 1)) == 0 ? size : otherwise;
}

int nvme_identify_namespace(struct nvme_identity *identity, const uint8_t *page, const char **why) {
    const unsigned format = page[26] & 15, formats = page[25] + 1u;
    const uint8_t after_discard = page[33]; /* DLFEAT */

    identity->blocks = bytes_get64(page);
    if (identity->blocks == 0) {
        *why = "name space 1 is not there";
        return -ENODEV;
    }
    if (format >= formats || format >= MAX_FORMATS) {
        *why = "name space 1 has a format that the controller does not list";
        return -EIO;
    }
    const uint32_t bits = bytes_get32(page + 128 + format * 4);
    if (bits & 0xffff || page[29] & 7) {
        *why = "name space 1 is formatted with metadata";
        return -ENOTSUP;
    }
    identity->shift = bits >> 16 & 0xff;
    if (identity->shift != 9 && identity->shift != 12) {
        *why = "name space 1 has blocks of neither 512 nor 4096 bytes";
        return -ENOTSUP;
    }
    if (identity->blocks > UINT64_MAX >> identity->shift) {
        *why = "name space 1 has an impossible size";
        return -EIO;
    }
    if (identity->zeroes > MAX_BLOCKS << identity->shift)
        identity->zeroes = MAX_BLOCKS << identity->shift;
    identity->zeroes_unmaps = identity->zeroes && after_discard & 8 && (after_discard & 7) == 1;
    identity->physical = 1u << identity->shift;
    if (page[24] & NSFEAT_SIZES) {
        identity->physical = size_of(bytes_get16(page + 64) + 1u, identity->shift, identity->physical);
        identity->optimal = size_of(bytes_get16(page + 72) + 1u, identity->shift, 0);
    }
    identity->read_only = page[99] & 1;
    return 0;
}
