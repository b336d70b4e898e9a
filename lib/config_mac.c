// SPDX-License-Identifier: Apache-2.0
// Addresses of network cards: read from the config, and made for cards that it gives none.
#include "lib/config.h"

#include <errno.h>
#include <string.h>
#include "lib/hex.h"

#define FNV_BASIS 0xcbf29ce484222325ull /* of the 64-bit hash FNV-1a */
#define FNV_PRIME 0x100000001b3ull
#define GROUP     0x01u /* in the first byte: for a group of cards */
#define LOCAL     0x02u /* not a manufacturer's */

int config_parse_mac(const char *text, uint8_t mac[6]) {
    static const uint8_t none[6];
    uint8_t bytes[6];

    for (unsigned i = 0; i < 6; i++) {
        int high = hex_digit(text[0]), low = high >= 0 ? hex_digit(text[1]) : -1;

        if (low < 0 || text[2] != (i < 5 ? ':' : '\0')) {
            return -EINVAL;
        }
        bytes[i] = (uint8_t)(high << 4 | low);
        text += 3;
    }
    if ((bytes[0] & GROUP) != 0 || memcmp(bytes, none, sizeof(none)) == 0) {
        return -EINVAL;
    }
    memcpy(mac, bytes, sizeof(bytes));
    return 0;
}

/* Takes the bytes of a string, its NUL included, which keeps "ab", "c" and "a", "bc" apart. */
static uint64_t hash_string(uint64_t hash, const char *text) {
    do {
        hash = (hash ^ (uint8_t)*text) * FNV_PRIME;
    } while (*text++ != '\0');
    return hash;
}

void config_make_mac(const char *host_name, const char *guest_name, uint32_t number, uint8_t mac[6]) {
    uint64_t hash = hash_string(hash_string(FNV_BASIS, host_name), guest_name);

    hash = (hash ^ (number & 0xff)) * FNV_PRIME;
    hash ^= hash >> 48; /* all 64 bits have a part in the 48 that are used */
    for (unsigned i = 0; i < 6; i++) {
        mac[i] = (uint8_t)(hash >> (8 * i));
    }
    mac[0] = (uint8_t)((mac[0] & ~GROUP) | LOCAL);
}
