// SPDX-License-Identifier: Apache-2.0
// What a DHCPv4 answer says about network booting: server and boot file (RFC 2131, RFC 2132, PXE 2.1).
#include "boot/dhcp.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { /* offsets in the packet (RFC 2131, section 2) */
       NEXT_SERVER = 20,
       SERVER_NAME = 44,
       SERVER_NAME_SIZE = 64,
       BOOT_FILE = 108,
       BOOT_FILE_SIZE = 128,
       COOKIE = 236,
       OPTIONS = 240,
};

enum { /* RFC 2132 */
       OPTION_PAD = 0,
       OPTION_OVERLOAD = 52,
       OPTION_SERVER_ID = 54,
       OPTION_SERVER_NAME = 66,
       OPTION_BOOT_FILE = 67,
       OPTION_END = 255,
};

struct options {
    uint8_t overload; /* bit 0: the file field holds options, bit 1: the server name field does */
    uint32_t server_id;
    uint32_t named_server; /* option 66, when it is an address */
    char file[256];
};

/* "a.b.c.d" to an address, first byte lowest; 0 for anything else. */
static uint32_t parse_address(const uint8_t *text, size_t size) {
    uint32_t address = 0;
    size_t at = 0;

    for (unsigned int part = 0; part < 4; part++) {
        uint32_t value = 0;
        size_t start = at;

        while (at < size && text[at] >= '0' && text[at] <= '9' && at - start < 3) {
            value = value * 10 + (text[at++] - (uint32_t)'0');
        }
        if (at == start || value > 255) {
            return 0;
        }
        address |= value << (8 * part);
        if (part < 3 && (at == size || text[at++] != '.')) {
            return 0;
        }
    }
    return at == size || text[at] == '\0' ? address : 0;
}

static uint32_t read_address(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Text that ends at a NUL or with its field; anything unprintable makes it no name at all. */
static void copy_name(char *out, size_t out_size, const uint8_t *text, size_t size) {
    size_t length = 0;

    while (length < size && text[length] != '\0') {
        if (text[length] < 0x20 || text[length] == 0x7f || length + 1 >= out_size) {
            length = 0;
            break;
        }
        out[length] = (char)text[length];
        length++;
    }
    out[length] = '\0';
}

static void read_options(const uint8_t *bytes, size_t size, struct options *options) {
    size_t at = 0;

    while (at < size && bytes[at] != OPTION_END) {
        uint8_t code = bytes[at++];
        size_t length;
        const uint8_t *value;

        if (code == OPTION_PAD) {
            continue;
        }
        if (at == size || bytes[at] > size - at - 1) {
            return;
        }
        length = bytes[at];
        value = bytes + at + 1;
        at += 1 + length;
        if (code == OPTION_OVERLOAD && length == 1) {
            options->overload = value[0];
        } else if (code == OPTION_SERVER_ID && length == 4) {
            options->server_id = read_address(value);
        } else if (code == OPTION_SERVER_NAME) {
            options->named_server = parse_address(value, length);
        } else if (code == OPTION_BOOT_FILE) {
            copy_name(options->file, sizeof(options->file), value, length);
        }
    }
}

int dhcp_boot_read(const void *packet, size_t size, struct dhcp_boot *boot) {
    static const uint8_t cookie[4] = {99, 130, 83, 99};
    const uint8_t *bytes = packet;
    struct options options = {0};

    *boot = (struct dhcp_boot){0};
    if (size < OPTIONS || bytes[0] != 2 || memcmp(bytes + COOKIE, cookie, sizeof(cookie)) != 0) {
        return -EINVAL;
    }
    read_options(bytes + OPTIONS, size - OPTIONS, &options);
    if (options.overload & 1) {
        read_options(bytes + BOOT_FILE, BOOT_FILE_SIZE, &options);
    }
    if (options.overload & 2) {
        read_options(bytes + SERVER_NAME, SERVER_NAME_SIZE, &options);
    }
    boot->server = options.named_server;
    if (boot->server == 0) {
        boot->server = read_address(bytes + NEXT_SERVER);
    }
    if (boot->server == 0) {
        boot->server = options.server_id;
    }
    if (options.file[0] != '\0') {
        memcpy(boot->file, options.file, sizeof(boot->file));
    } else if (!(options.overload & 1)) {
        copy_name(boot->file, sizeof(boot->file), bytes + BOOT_FILE, BOOT_FILE_SIZE);
    }
    return 0;
}
