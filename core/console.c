// SPDX-License-Identifier: Apache-2.0
// The host's consoles: output devices behind one lock, and the line that the user edits, which stays below
// everything else that is written.
#include "core/console.h"

#include <string.h>
#include "core/atomic.h"
#include "core/log.h"

static struct spinlock lock;
static struct list devices = {&devices, &devices};
static uint32_t panicking;
static bool in_line; /* the cursor is not in column 0 (not told for the prompt) */

static struct {
    char text[CONSOLE_PROMPT];
    size_t length;
    size_t cursor;
    bool open;  /* there is a line */
    bool drawn; /* and it is on the screen */
    bool disabled;
} prompt;

/*
 * The unfinished line of the guest that has the console, as far as it is understood: another line is written
 * above it, and it is drawn again. Escape sequences that move the cursor are not followed: such a line is
 * left where it is.
 */
static struct {
    char text[CONSOLE_PROMPT];
    size_t length;
    size_t cursor;
    enum { TAIL_TEXT, TAIL_ESCAPE, TAIL_SEQUENCE, TAIL_UNKNOWN } state;
    bool parameter; /* the sequence has one other than 0 */
    bool hidden;    /* taken off the screen */
} tail;

static void emit(const char *bytes, size_t length) {
    for (struct list *node = devices.next; node != &devices; node = node->next) {
        struct console_device *device = container_of(node, struct console_device, link);
        device->write(device, bytes, length);
    }
}

static void emit_text(void (*out)(const char *bytes, size_t length), const char *text, size_t length) {
    char chunk[128];
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (used + 2 > sizeof(chunk)) {
            out(chunk, used);
            used = 0;
        }
        if (text[i] == '\n')
            chunk[used++] = '\r';
        chunk[used++] = text[i];
    }
    if (used != 0)
        out(chunk, used);
}

static void emit_back(size_t count) {
    static const char back[] = "\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b";
    while (count != 0) {
        size_t part = count < sizeof(back) - 1 ? count : sizeof(back) - 1;
        emit(back, part);
        count -= part;
    }
}

static void tail_reset(void) {
    tail.length = tail.cursor = 0;
    tail.state = TAIL_TEXT;
}

/* The end of an escape sequence ESC [ ... (ECMA-48, 8.3). */
static void tail_sequence(char byte) {
    bool harmless = byte == 'm' || byte == 'n' || byte == 'h' || byte == 'l';
    bool erase = (byte == 'K' || byte == 'J') && !tail.parameter;
    if (erase)
        tail.length = tail.cursor;
    tail.state = harmless || erase ? TAIL_TEXT : TAIL_UNKNOWN;
}

static void tail_follow(char byte) {
    if (byte == '\n') {
        tail_reset();
    } else if (tail.state == TAIL_ESCAPE) {
        tail.state = byte == '[' ? TAIL_SEQUENCE : TAIL_UNKNOWN;
        tail.parameter = false;
    } else if (tail.state == TAIL_SEQUENCE) {
        if (byte >= 0x40 && byte < 0x7f)
            tail_sequence(byte);
        else
            tail.parameter |= byte != '0';
    } else if (tail.state == TAIL_TEXT) {
        if (byte == 0x1b)
            tail.state = TAIL_ESCAPE;
        else if (byte == '\r')
            tail.cursor = 0;
        else if (byte == '\b')
            tail.cursor -= tail.cursor != 0;
        else if (byte >= 0x20 && byte < 0x7f && tail.cursor < sizeof(tail.text))
            tail.text[tail.cursor++] = byte;
        else if (byte != '\a')
            tail.state = TAIL_UNKNOWN;
        if (tail.cursor > tail.length)
            tail.length = tail.cursor;
    }
}

/* Makes room for another line. */
static void tail_hide(void) {
    if (!in_line)
        return;
    if (tail.state == TAIL_TEXT && tail.length != 0) {
        emit("\r\x1b[K", 4);
        tail.hidden = true;
    } else {
        emit("\r\n", 2);
        tail_reset();
    }
    in_line = false;
}

static void tail_show(void) {
    if (!tail.hidden)
        return;
    if (in_line)
        emit("\r\n", 2);
    emit(tail.text, tail.length);
    emit_back(tail.length - tail.cursor);
    tail.hidden = false;
    in_line = true;
}

static void prompt_hide(void) {
    if (prompt.drawn)
        emit("\r\x1b[K", 4);
    prompt.drawn = false;
}

static void prompt_draw(void) {
    if (in_line)
        emit("\r\n", 2);
    in_line = false;
    emit(prompt.text, prompt.length);
    emit_back(prompt.length - prompt.cursor);
    prompt.drawn = true;
}

bool console_in_panic(void) {
    return __atomic_load_n(&panicking, __ATOMIC_RELAXED) != 0;
}

bool console_begin(bool wait) {
    if (console_in_panic())
        return true;
    if (!wait)
        return spin_try_lock(&lock);
    spin_lock(&lock);
    return true;
}

void console_end(void) {
    if (console_in_panic())
        return;
    tail_show();
    if (prompt.open && !prompt.drawn && !prompt.disabled)
        prompt_draw();
    spin_unlock(&lock);
}

void console_put(const char *text, size_t length) {
    if (length == 0)
        return;
    prompt_hide();
    emit_text(emit, text, length);
    in_line = text[length - 1] != '\n';
    tail.hidden = false;
    tail_reset();
}

void console_put_raw(const char *bytes, size_t length) {
    if (length == 0)
        return;
    prompt_hide();
    tail_show();
    emit(bytes, length);
    for (size_t i = 0; i < length; i++)
        tail_follow(bytes[i]);
    in_line = bytes[length - 1] != '\n';
}

void console_put_line(const char *text, size_t length) {
    prompt_hide();
    tail_hide();
    emit_text(emit, text, length);
    emit("\r\n", 2);
}

void console_write(const char *text, size_t length) {
    console_begin(true);
    console_put(text, length);
    console_end();
    log_show();
}

void console_flush(void) {
    console_begin(true);
    for (struct list *node = devices.next; node != &devices; node = node->next) {
        struct console_device *device = container_of(node, struct console_device, link);
        if (device->flush != NULL)
            device->flush(device);
    }
    console_end();
    log_show();
}

void console_panic(void) {
    __atomic_store_n(&panicking, 1, __ATOMIC_SEQ_CST);
    if (prompt.drawn)
        in_line = true;
    prompt.drawn = tail.hidden = false;
}

size_t console_room(void) {
    size_t room = SIZE_MAX;
    bool locked = !console_in_panic();
    if (locked)
        spin_lock(&lock);
    for (struct list *node = devices.next; node != &devices; node = node->next) {
        struct console_device *device = container_of(node, struct console_device, link);
        size_t here = device->room != NULL ? device->room(device) : SIZE_MAX;
        if (here < room)
            room = here;
    }
    if (locked)
        spin_unlock(&lock);
    return room;
}

/* The device that is being added; guarded by the lock. */
static struct console_device *newcomer;

static void newcomer_emit(const char *bytes, size_t length) {
    newcomer->write(newcomer, bytes, length);
}

static void newcomer_line(const char *line) {
    emit_text(newcomer_emit, line, strlen(line));
    newcomer_emit("\r\n", 2);
}

void console_add_device(struct console_device *device) {
    console_begin(true);
    newcomer = device;
    log_replay_shown(newcomer_line);
    list_insert_before(&devices, &device->link);
    console_end();
    log_show();
}

/* Makes the drawn line into `text` with as few bytes as possible: a key typed at the end costs one. */
static void prompt_update(const char *text, size_t length, size_t cursor) {
    size_t same = 0;
    while (same < length && same < prompt.length && text[same] == prompt.text[same])
        same++;
    size_t at = prompt.cursor;
    if (same == length && same == prompt.length)
        same = cursor; /* only the cursor moves */
    if (same < at)
        emit_back(at - same);
    else
        emit(prompt.text + at, same - at);
    if (length == prompt.length && memcmp(text, prompt.text, length) == 0)
        return;
    emit(text + same, length - same);
    if (length < prompt.length)
        emit("\x1b[K", 3);
    emit_back(length - cursor);
}

void console_prompt(const char *text, size_t length, size_t cursor) {
    if (length > CONSOLE_PROMPT)
        length = CONSOLE_PROMPT;
    if (cursor > length)
        cursor = length;
    console_begin(true);
    if (prompt.open && prompt.drawn)
        prompt_update(text, length, cursor);
    memcpy(prompt.text, text, length);
    prompt.length = length;
    prompt.cursor = cursor;
    prompt.open = true;
    console_end();
    log_show();
}

void console_prompt_close(void) {
    console_begin(true);
    if (prompt.drawn) {
        emit(prompt.text + prompt.cursor, prompt.length - prompt.cursor);
        emit("\r\n", 2);
    }
    prompt.open = prompt.drawn = false;
    console_end();
    log_show();
}

void console_prompt_enable(bool enable) {
    console_begin(true);
    prompt.disabled = !enable;
    if (!enable)
        prompt_hide();
    console_end();
    log_show();
}

void console_clear(void) {
    console_begin(true);
    prompt_hide();
    emit("\x1b[H\x1b[2J", 7);
    in_line = false;
    tail_reset();
    console_end();
    log_show();
}
