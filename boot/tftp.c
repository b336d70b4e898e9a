// SPDX-License-Identifier: Apache-2.0
// The one TFTP exchange that some network firmware cannot do: asking for a file's size (RFC 1350, 2347,
// 2349).
#include "boot/tftp.h"

#include <stdbool.h>
#include <string.h>

enum {
    OPCODE_READ = 1,
    OPCODE_DATA = 3,
    OPCODE_ERROR = 5,
    OPCODE_OPTIONS = 6,
};

size_t tftp_size_request(const char *path, uint8_t packet[TFTP_PACKET]) {
    static const char rest[] = "octet\0tsize\0000"; /* and the NUL of the literal ends the value "0" */
    size_t length = strlen(path) + 1;

    if (length > TFTP_PACKET - 2 - sizeof(rest)) {
        return 0;
    }
    packet[0] = 0;
    packet[1] = OPCODE_READ;
    memcpy(packet + 2, path, length);
    memcpy(packet + 2 + length, rest, sizeof(rest));
    return 2 + length + sizeof(rest);
}

size_t tftp_abort(uint8_t packet[TFTP_PACKET]) {
    static const uint8_t bytes[] = {0,   OPCODE_ERROR, 0,   0,   's', 'i', 'z', 'e',
                                    ' ', 'k',          'n', 'o', 'w', 'n', 0};

    memcpy(packet, bytes, sizeof(bytes));
    return sizeof(bytes);
}

/* A NUL-terminated string within the packet, and where the next one begins; NULL: it has no end. */
static const char *next_string(const uint8_t *bytes, size_t size, size_t *at) {
    const char *string = (const char *)bytes + *at;
    const uint8_t *end = *at < size ? memchr(bytes + *at, 0, size - *at) : NULL;

    if (end == NULL) {
        return NULL;
    }
    *at = (size_t)(end - bytes) + 1;
    return string;
}

static bool is_tsize(const char *name) {
    static const char wanted[] = "tsize";

    for (size_t i = 0; i < sizeof(wanted); i++) { /* option names are case-insensitive */
        if ((name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 'a' - 'A' : name[i]) != wanted[i]) {
            return false;
        }
    }
    return true;
}

static bool parse_number(const char *text, uint64_t *value) {
    if (*text == '\0') {
        return false;
    }
    *value = 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || *value > (UINT64_MAX - 9) / 10) {
            return false;
        }
        *value = *value * 10 + (uint64_t)(*text - '0');
    }
    return true;
}

enum tftp_answer tftp_answer_read(const void *packet, size_t packet_size, uint64_t *size, uint16_t *code,
                                  char *message, size_t message_size) {
    const uint8_t *bytes = packet;
    size_t at = 2;
    size_t length = 0;

    message[0] = '\0';
    if (packet_size < 4 || bytes[0] != 0) {
        return TFTP_ANSWER_OTHER;
    }
    switch (bytes[1]) {
    case OPCODE_DATA:
        return TFTP_ANSWER_NO_SIZE;
    case OPCODE_ERROR:
        *code = (uint16_t)(bytes[2] << 8 | bytes[3]);
        for (at = 4; at < packet_size && bytes[at] != 0 && length + 1 < message_size; at++) {
            message[length++] = bytes[at] < 0x20 || bytes[at] > 0x7e ? '.' : (char)bytes[at];
        }
        message[length] = '\0';
        return TFTP_ANSWER_ERROR;
    case OPCODE_OPTIONS:
        for (;;) {
            const char *name = next_string(bytes, packet_size, &at);
            const char *value = name != NULL ? next_string(bytes, packet_size, &at) : NULL;

            if (value == NULL) {
                return TFTP_ANSWER_NO_SIZE;
            }
            if (is_tsize(name) && parse_number(value, size)) {
                return TFTP_ANSWER_SIZE;
            }
        }
    default:
        return TFTP_ANSWER_OTHER;
    }
}
