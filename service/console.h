// SPDX-License-Identifier: Apache-2.0
// Guests' virtio consoles: their bytes go to the hypervisor, which keeps the operator's console, and come
// from there.
#ifndef SAGUARO_SERVICE_CONSOLE_H
#define SAGUARO_SERVICE_CONSOLE_H

/* No guest has one after this. */
void console_init(void);
struct device_place;

/* Makes VM `vm`'s, or takes it up where it was before a restart. 0; -ENOMEM; or device_add()'s error. */
int console_make(unsigned vm, const struct device_place *place);
/* SERVICE_EVENT_CONSOLE for VM `vm`; nothing if it has none. */
void console_event(unsigned vm);

#endif
