// SPDX-License-Identifier: Apache-2.0
// What a DHCPv4 answer says about network booting: server and boot file (RFC 2131, RFC 2132, PXE 2.1).
// Pure code: builds in the loader and in its unit test.
#ifndef SAGUARO_BOOT_DHCP_H
#define SAGUARO_BOOT_DHCP_H

#include <stddef.h>
#include <stdint.h>

struct dhcp_boot {
    uint32_t server; /* IPv4, first byte lowest; 0: not said */
    char file[256];  /* "": not said */
};

/*
 * Read a packet of `size` bytes, from the BOOTP op field on. Options 66 and 67 come before the fixed fields;
 * without a next-server address the server identifier (option 54) stands in. -EINVAL: not a DHCPv4 packet.
 */
int dhcp_boot_read(const void *packet, size_t size, struct dhcp_boot *boot);

#endif
