// SPDX-License-Identifier: Apache-2.0
// Consoles: the host's output devices and input, and each guest's console with its ring and its prefix.
#ifndef SAGUARO_CORE_CONSOLE_H
#define SAGUARO_CORE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/list.h"

struct vm;

/* A host output device (UART, frame buffer). write() must not block for longer than the device takes and must
 * work in a panic. */
struct console_device {
    struct list link;
    const char *name;
    void (*write)(struct console_device *device, const char *text, size_t length);
    void (*flush)(struct console_device
                      *device); /* waits until all is out; used before the machine stops. May be NULL */
    size_t (*room)(struct console_device *device); /* bytes that write() takes without waiting. NULL: all */
};
/* Adds a device; it is shown the log so far. */
void console_add_device(struct console_device *device);

/* Writes to every host device; '\n' becomes CR LF. Any CPU, but no exception or NMI handler: these log. */
void console_write(const char *text, size_t length);
void console_flush(void);
/* How many bytes can be written now without waiting for a device; SIZE_MAX: no device has a limit. */
size_t console_room(void);
/* From now on no lock is taken: the machine is stopping. */
void console_panic(void);
bool console_in_panic(void);

/*
 * Several writes in one piece: console_begin() takes the consoles (wait false: fails when somebody has them,
 * also the caller itself), console_end() lets go; call log_show() after it. console_put() converts '\n',
 * console_put_raw() does not, console_put_line() starts in column 0 and ends the line. They take a prompt
 * that is on the screen away, console_end() puts it back.
 */
bool console_begin(bool wait);
void console_put(const char *text, size_t length);
void console_put_raw(const char *bytes, size_t length);
void console_put_line(const char *text, size_t length);
void console_end(void);

/*
 * The line that the user edits. console_prompt() makes the screen show `text` (at most CONSOLE_PROMPT bytes
 * of printable ASCII, prompt included, that fit into the terminal's line) with the cursor in front of byte
 * `cursor`, and keeps it on the screen's last line whatever else is written. console_prompt_close() leaves
 * the line where it is and starts a new one without prompt. console_prompt_enable(false) takes it off the
 * screen while a guest has the console. Used escape sequences: BS, CR, ESC [ K.
 */
#define CONSOLE_PROMPT 160u
void console_prompt(const char *text, size_t length, size_t cursor);
void console_prompt_close(void);
void console_prompt_enable(bool enable);
/* Clears the screen (ESC [ H, ESC [ 2 J); the prompt is drawn in its first line. */
void console_clear(void);

/* A byte from the host's serial port or keyboard (interrupt context). */
void console_host_input(uint8_t byte);
/* `typed` is called on the boot CPU when there is something for console_key(). */
void console_set_typed(void (*typed)(void));
/* The next byte that was typed, 0 to 255, while no guest is attached; what nobody takes waits, as much as
 * there is room for. -EAGAIN: there is none. Any CPU. */
int console_key(void);

/*
 * Gives the host's console to a guest: its last output is shown again, then its bytes pass unchanged in both
 * directions, until Ctrl-] is typed. The lines of guests that are not attached appear as "[NAME] text", freed
 * of control characters and limited in rate. Boot CPU only. -ENODEV: the VM has no console.
 */
#define CONSOLE_DETACH 0x1d /* Ctrl-] */
int console_attach(struct vm *vm);
void console_detach(void);
struct vm *console_attached(void);

/* The guest's side. A console device of the guest's machine attaches itself as the input's receiver: its
 * UART, and its virtio console, which comes before the UART as long as it is open. The output of both is
 * shown. */
struct console_receiver {
    /* Takes bytes typed by the user; returns how many it could take now. It calls console_guest_ready() when
     * it can take more. Called on the boot CPU, without locks. */
    size_t (*input)(void *device, const uint8_t *bytes, size_t count);
    void *device;
    bool (*open)(void *device); /* a virtio console's. Any CPU; console_guest_ready() after each change */
};
/* Makes vm->console, before the machine's parts are created. 0 or -ENOMEM. */
int console_guest_create(struct vm *vm);
void console_guest_destroy(struct vm *vm);
/* NULL: nobody takes input. */
void console_guest_attach(struct vm *vm, const struct console_receiver *receiver);
/* The virtio console, for good, before the guest runs. */
void console_guest_attach_virtio(struct vm *vm, const struct console_receiver *receiver);
/* Any CPU, also with the device's lock held. */
void console_guest_ready(struct vm *vm);
/* Bytes that the guest printed. Any CPU. */
void console_guest_output(struct vm *vm, const uint8_t *bytes, size_t count);
/* The same on its virtio console: lines of its own for who is not attached. */
void console_guest_output_virtio(struct vm *vm, const uint8_t *bytes, size_t count);
/* Shows an incomplete last line: the guest has ended. */
void console_guest_flush(struct vm *vm);

#endif
