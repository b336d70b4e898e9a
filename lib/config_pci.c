// SPDX-License-Identifier: Apache-2.0
// How the config names devices of the machine: by PCI address, a network card by its MAC, a disk by its
// serial number; and whether two such names mean the same.
#include "lib/config.h"

#include <errno.h>
#include <string.h>
#include "lib/hex.h"

#define MAX_SLOT     0x1fu
#define MAX_FUNCTION 7u

/* Takes `count` hexadecimal digits and the character behind them. */
static bool take(const char **text, unsigned count, char behind, unsigned *value) {
    *value = 0;
    for (unsigned i = 0; i < count; i++) {
        int found = hex_digit((*text)[i]);

        if (found < 0) {
            return false;
        }
        *value = *value << 4 | (unsigned)found;
    }
    if ((*text)[count] != behind) {
        return false;
    }
    *text += count + 1;
    return true;
}

int config_parse_pci(const char *text, struct config_pci *address) {
    unsigned segment = 0, bus, slot, function;
    const char *at = text;

    if (!take(&at, 4, ':', &segment)) {
        segment = 0;
        at = text;
    }
    if (!take(&at, 2, ':', &bus) || !take(&at, 2, '.', &slot) || !take(&at, 1, '\0', &function) ||
        slot > MAX_SLOT || function > MAX_FUNCTION) {
        return -EINVAL;
    }
    *address = (struct config_pci){
        .segment = (uint16_t)segment, .bus = (uint8_t)bus, .devfn = (uint8_t)(slot << 3 | function)};
    return 0;
}

const struct config_guest *config_passed_to(const struct config *config, const struct config_pci *address) {
    struct config_pci passed;

    for (uint32_t i = 0; i < config->guest_count; i++) {
        const struct config_guest *guest = &config->guests[i];

        for (uint32_t item = 0; item < guest->passthrough_count; item++) {
            if (config_parse_pci(guest->passthrough[item], &passed) == 0 &&
                passed.segment == address->segment && passed.bus == address->bus &&
                passed.devfn == address->devfn) {
                return guest;
            }
        }
    }
    return NULL;
}

/* Hexadecimal digits, ':' and '.', each of these at least once. */
static bool looks_like_address(const char *text) {
    bool colon = false, point = false;

    for (; *text != '\0'; text++) {
        colon = colon || *text == ':';
        point = point || *text == '.';
        if (*text != ':' && *text != '.' && hex_digit(*text) < 0) {
            return false;
        }
    }
    return colon && point;
}

bool config_uplink_valid(const char *text) {
    struct config_pci address;
    uint8_t mac[6];

    return config_parse_pci(text, &address) == 0 || config_parse_mac(text, mac) == 0;
}

bool config_device_valid(const char *text) {
    struct config_pci address;
    size_t length = strlen(text);

    return length != 0 && text[0] != ' ' && text[length - 1] != ' ' &&
           (!looks_like_address(text) || config_parse_pci(text, &address) == 0);
}

bool config_same_device(const char *a, const char *b) {
    struct config_pci a_address, b_address;
    uint8_t a_mac[6], b_mac[6];

    if (config_parse_pci(a, &a_address) == 0 && config_parse_pci(b, &b_address) == 0) {
        return a_address.segment == b_address.segment && a_address.bus == b_address.bus &&
               a_address.devfn == b_address.devfn;
    }
    if (config_parse_mac(a, a_mac) == 0 && config_parse_mac(b, b_mac) == 0) {
        return memcmp(a_mac, b_mac, sizeof(a_mac)) == 0;
    }
    return strcmp(a, b) == 0;
}
