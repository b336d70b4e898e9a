// SPDX-License-Identifier: Apache-2.0
// The one TFTP exchange that some network firmware cannot do: asking for a file's size (RFC 1350, 2347,
// 2349). Pure code: builds in the loader and in its unit test.
#ifndef SAGUARO_BOOT_TFTP_H
#define SAGUARO_BOOT_TFTP_H

#include <stddef.h>
#include <stdint.h>

#define TFTP_PORT            69u
#define TFTP_ERROR_NOT_FOUND 1u
#define TFTP_PACKET          1500u /* bytes that hold any packet of this exchange */

enum tftp_answer {
    TFTP_ANSWER_SIZE,    /* the file has *size bytes */
    TFTP_ANSWER_NO_SIZE, /* the file is there; this server does not tell sizes */
    TFTP_ANSWER_ERROR,   /* the server refuses: *code, and its words */
    TFTP_ANSWER_OTHER,   /* no answer to this question */
};

/* Write a read request with the option tsize=0. Returns its length, 0 if `path` does not fit. */
size_t tftp_size_request(const char *path, uint8_t packet[TFTP_PACKET]);

/* Write the error packet that ends the transfer before it begins. Returns its length. */
size_t tftp_abort(uint8_t packet[TFTP_PACKET]);

/* Read the server's answer. `message` gets printable ASCII, "" unless it is an error. */
enum tftp_answer tftp_answer_read(const void *packet, size_t packet_size, uint64_t *size, uint16_t *code,
                                  char *message, size_t message_size);

#endif
