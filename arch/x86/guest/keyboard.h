// SPDX-License-Identifier: Apache-2.0
// The keyboard controller of a guest's PC (8042, ports 0x60 and 0x64) and port 0x92, with no keyboard
// attached.
#ifndef SAGUARO_ARCH_X86_GUEST_KEYBOARD_H
#define SAGUARO_ARCH_X86_GUEST_KEYBOARD_H

#include "core/part.h"

/*
 * Answers the controller's own commands: self-test, interface test, command byte, ports, and the reset pulse
 * (0xFE), which ends the guest with VM_END_RESET. Bytes sent to keyboard or mouse get no answer. A20 is
 * stored and read back, address line 20 itself is never masked: no processor with long mode needs it.
 */
extern const struct part keyboard_part; /* "x86.keyboard" */

#endif
