// SPDX-License-Identifier: Apache-2.0
// The loader's messages: to the firmware's text console and to COM1, and the one question that it asks (any
// key).
#include "boot/console.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "boot/path.h"
#include "boot/serial.h"

#define LINE_WIDTH                                                                                           \
    78u /* one less than the narrowest console (80), so that rewriting a line never wraps it                 \
         */

static EFI_SYSTEM_TABLE *firmware;
static SIMPLE_TEXT_OUTPUT_INTERFACE *screen;
static bool com1;                  /* messages are written to COM1 here */
static bool screen_is_com1;        /* the firmware copies its console to COM1 itself */
static unsigned int progress_step; /* what the line shows, in steps; 0: no line is open */

/*
 * Firmware can be told to copy its console to a serial port (OVMF always does). Then every line already comes
 * out there, and a second copy of our own would only mix with it. The variable ConOut (UEFI 2.10,
 * section 3.3) holds the device paths of the active console devices: a UART among them that is COM1 means
 * that the firmware has that port.
 */
static bool firmware_has_com1(void) {
    static EFI_GUID global = EFI_GLOBAL_VARIABLE;
    static uint8_t path[2048];
    UINTN size = sizeof(path);

    if (screen == NULL ||
        firmware->RuntimeServices->GetVariable(L"ConOut", &global, NULL, &size, path) != EFI_SUCCESS) {
        return false;
    }
    return serial_in_device_path(path, size);
}

void console_open(EFI_SYSTEM_TABLE *system) {
    firmware = system;
    screen = system->ConsoleOutHandle != NULL ? system->ConOut : NULL;
    screen_is_com1 = firmware_has_com1();
    com1 = !screen_is_com1 && serial_open();
}

void console_leave_firmware(void) {
    screen = NULL;
    if (screen_is_com1) {
        screen_is_com1 = false;
        com1 = serial_open();
    }
}

/* At most 128 bytes at a time, each with room for a carriage return. */
static void screen_write(const char *text) {
    CHAR16 line[128];
    char piece[64];

    while (*text != '\0') {
        size_t units;
        size_t n = strnlen(text, sizeof(piece) - 1);
        const char *end = memchr(text, '\n', n);

        if (end != NULL) {
            n = (size_t)(end - text);
        } else {
            while (n > 1 && (text[n] & 0xc0) == 0x80) { /* not in the middle of a character */
                n--;
            }
        }
        memcpy(piece, text, n);
        piece[n] = '\0';
        units = path_ucs2_from_utf8(piece, (uint16_t *)line, 64);
        text += n;
        if (end != NULL) {
            line[units++] = '\r';
            line[units++] = '\n';
            line[units] = 0;
            text++;
        }
        screen->OutputString(screen, line);
    }
}

void console_write(const char *text) {
    if (screen != NULL) {
        screen_write(text);
    }
    for (const char *c = text; com1 && *c != '\0'; c++) {
        if (*c == '\n') {
            serial_write('\r');
        }
        serial_write(*c);
    }
}

void console_print(const char *format, ...) {
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    console_write(text);
}

/* "  name                    12345 KiB" of a fixed width, name cut from the left if it is long. */
static void progress_text(char *text, size_t size, const char *name, uint64_t bytes) {
    const char *cut = "";
    size_t length = strlen(name);

    if (length > 44) {
        name += length - 41;
        cut = "...";
    }
    snprintf(text, size, "  %s%-*s %10llu KiB", cut, (int)(44 - strlen(cut)), name,
             (unsigned long long)((bytes + 1023) / 1024));
}

void console_progress(const char *name, uint64_t done, uint64_t total) {
    /* A hundred steps on a screen, four where a serial line has to carry them. */
    unsigned int steps = screen_is_com1 ? 4 : 100;
    unsigned int step = total == 0 ? (unsigned int)(done >> 20) : (unsigned int)(done * steps / total);
    char text[LINE_WIDTH + 1];
    char percent[16] = "";

    /* The finished line is console_progress_end()'s. */
    if (screen == NULL || progress_step == step + 1 || (total != 0 && done >= total)) {
        return;
    }
    progress_step = step + 1;
    progress_text(text, sizeof(text), name, total == 0 ? done : total);
    if (total != 0) {
        snprintf(percent, sizeof(percent), " %3u%%", (unsigned int)(done * 100 / total));
    }
    screen_write("\r");
    screen_write(text);
    screen_write(percent);
}

void console_progress_end(const char *name, uint64_t size, bool success) {
    char text[LINE_WIDTH + 1];

    if (screen != NULL && progress_step != 0) {
        screen_write(success ? "\r" : "\n");
    }
    progress_step = 0;
    if (success) {
        progress_text(text, sizeof(text), name, size);
        console_print("%s 100%%\n", text);
    }
}

void console_wait_key(unsigned int seconds) {
    EFI_BOOT_SERVICES *boot = firmware->BootServices;
    SIMPLE_INPUT_INTERFACE *keyboard = firmware->ConsoleInHandle != NULL ? firmware->ConIn : NULL;
    EFI_EVENT events[2];
    EFI_INPUT_KEY key;
    UINTN index;

    if (boot->CreateEvent(EVT_TIMER, 0, NULL, NULL, &events[0]) != EFI_SUCCESS) {
        return;
    }
    if (keyboard != NULL) { /* keys typed before the question are no answer */
        while (keyboard->ReadKeyStroke(keyboard, &key) == EFI_SUCCESS) {
        }
        events[1] = keyboard->WaitForKey;
    }
    if (boot->SetTimer(events[0], TimerRelative, (UINT64)seconds * 10000000) == EFI_SUCCESS) {
        boot->WaitForEvent(keyboard != NULL ? 2 : 1, events, &index);
    }
    boot->CloseEvent(events[0]);
    if (keyboard != NULL) {
        keyboard->ReadKeyStroke(keyboard, &key);
    }
}
