// SPDX-License-Identifier: Apache-2.0
// An emulated 82540EM of a guest's (virtio/e1000_card.h), between the card, the event loop and the
// hypervisor.
#ifndef SAGUARO_SERVICE_E1000_DEVICE_H
#define SAGUARO_SERVICE_E1000_DEVICE_H

#include "virtio/e1000_card.h"

/* Makes one and shows it to VM `vm`, or takes it up where it was before a restart; it is called netN after
 * `number`. -ENOMEM, or e1000_card_init()'s or plain_device_add()'s error; 0. */
int e1000_device_make(unsigned vm, unsigned devfn, uint32_t token, unsigned number,
                      const struct e1000_setup *setup);

#endif
