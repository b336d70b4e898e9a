// SPDX-License-Identifier: Apache-2.0
// The guests' consoles: what a guest prints goes into its ring and, as lines with its name, to the host's
// consoles; what the user types goes to the guest that is attached, or waits for console_key().
#include "core/console.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core/log.h"
#include "core/memory.h"
#include "core/vm.h"

#define RING_ORDER    2
#define RING_SIZE     (4096u << RING_ORDER)
#define LINE_MAX      200u /* bytes; a longer line is shown in pieces */
#define PENDING_MAX   256u /* power of two: typed bytes that the guest has not taken */
#define INPUT_MAX     512u /* power of two: typed bytes that nobody looked at */

/* Unattached lines: a burst that holds a kernel's start, then what a serial port of 115200 baud can take
 * beside other things. */
#define RATE_BURST    (128u * 1024u) /* bytes */
#define RATE_REFILL   8192u          /* bytes a second */
#define RATE_RESUME   2048u          /* bytes that must be free before lines are shown again */
#define RATE_OVERHEAD 8u             /* bytes a line costs beside its text */

enum escape { ESCAPE_NONE, ESCAPE_START, ESCAPE_CSI, ESCAPE_STRING, ESCAPE_STRING_END };

/* Makes lines of text out of what a terminal would be sent. */
struct line {
    char text[LINE_MAX + 1];
    unsigned length;
    unsigned column;
    enum escape escape;
};

/* What the guest prints on. */
enum port { PORT_UART, PORT_VIRTIO, PORTS };

struct vm_console {
    struct vm *vm;
    struct spinlock lock; /* the ring, the lines, the rate; taken before the host consoles */
    uint8_t *ring;
    uint32_t ring_next; /* where the next byte goes */
    uint32_t ring_used;
    struct line line[PORTS];
    uint64_t rate_time; /* when `rate_left` was right */
    uint32_t rate_left; /* bytes */
    uint32_t withheld;  /* lines */

    /* Input: boot CPU only, but for looks at pending_count. */
    struct console_receiver receiver[PORTS];
    struct work ready;
    uint8_t pending[PENDING_MAX];
    uint32_t pending_first;
    uint32_t pending_count;
};

/* Written on the boot CPU with the lock of the guest's console held. */
static struct vm *attached;

/* --- lines --- */

/* Steps over escape sequences (ECMA-48, 5.4 and 5.6); true: the byte was part of one. */
static bool escape_step(struct line *line, uint8_t byte) {
    switch (line->escape) {
    case ESCAPE_NONE:
        if (byte == 0x1b)
            line->escape = ESCAPE_START;
        return byte == 0x1b;
    case ESCAPE_START:
        if (byte == '[')
            line->escape = ESCAPE_CSI;
        else if (byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_')
            line->escape = ESCAPE_STRING;
        else if (byte < 0x20 || byte > 0x2f) /* these are intermediate bytes */
            line->escape = ESCAPE_NONE;
        return byte >= 0x20;
    case ESCAPE_CSI:
        if (byte < 0x20 || byte > 0x3f)
            line->escape = ESCAPE_NONE;
        return byte >= 0x20;
    case ESCAPE_STRING:
        if (byte == 0x1b)
            line->escape = ESCAPE_STRING_END;
        else if (byte == 0x07 || byte == '\n')
            line->escape = ESCAPE_NONE;
        return byte != '\n';
    case ESCAPE_STRING_END:
        line->escape = ESCAPE_NONE;
        return byte == '\\';
    }
    return false;
}

/* Adds a byte. True: the line is complete; it is to be used and then reset. */
static bool line_add(struct line *line, uint8_t byte) {
    if (escape_step(line, byte))
        return false;
    switch (byte) {
    case '\n':
        return true;
    case '\r':
        line->column = 0;
        return false;
    case '\b':
        line->column -= line->column != 0;
        return false;
    case '\t':
        byte = ' ';
        break;
    default:
        if (byte < 0x20 || byte == 0x7f)
            return false;
        if (byte > 0x7f)
            byte = '.';
    }
    line->text[line->column++] = (char)byte;
    if (line->column > line->length)
        line->length = line->column;
    return line->column == LINE_MAX;
}

static void line_reset(struct line *line) {
    line->length = line->column = 0;
}

/* --- output --- */

/* True when a line of `length` bytes may be shown now. */
static bool rate_allowed(struct vm_console *console, uint32_t length) {
    uint64_t now = time_now();
    uint64_t passed = now - console->rate_time;
    uint64_t refill = passed >= 16000000000ull ? RATE_BURST : passed * RATE_REFILL / 1000000000ull;
    if (refill != 0) {
        uint64_t left = console->rate_left + refill;
        console->rate_left = left < RATE_BURST ? (uint32_t)left : RATE_BURST;
        console->rate_time = now;
    }
    if (console->rate_left < (console->withheld != 0 ? RATE_RESUME : length + RATE_OVERHEAD))
        return false;
    console->rate_left -= length + RATE_OVERHEAD;
    return true;
}

static void show_line(struct vm_console *console, const char *text, unsigned length) {
    char out[VM_NAME_SIZE + LINE_MAX + 64];
    if (!rate_allowed(console, length)) {
        console->withheld++;
        return;
    }
    console_begin(true);
    if (console->withheld != 0) {
        int used = snprintf(out, sizeof(out), "[%s] (%u lines not shown: too many at once)",
                            console->vm->name, (unsigned)console->withheld);
        console_put_line(out, (size_t)used);
        console->withheld = 0;
    }
    int used = snprintf(out, sizeof(out), "[%s] %.*s", console->vm->name, (int)length, text);
    console_put_line(out, (size_t)used);
    console_end();
}

static void show_pending_line(struct vm_console *console, struct line *line) {
    if (line->length != 0)
        show_line(console, line->text, line->length);
    line_reset(line);
    line->escape = ESCAPE_NONE;
}

static void ring_add(struct vm_console *console, const uint8_t *bytes, size_t count) {
    if (count > RING_SIZE) {
        bytes += count - RING_SIZE;
        count = RING_SIZE;
    }
    uint32_t first = RING_SIZE - console->ring_next;
    if (first > count)
        first = (uint32_t)count;
    memcpy(console->ring + console->ring_next, bytes, first);
    memcpy(console->ring, bytes + first, count - first);
    console->ring_next = (console->ring_next + (uint32_t)count) % RING_SIZE;
    console->ring_used =
        console->ring_used + count < RING_SIZE ? console->ring_used + (uint32_t)count : RING_SIZE;
}

static void output(struct vm *vm, enum port port, const uint8_t *bytes, size_t count) {
    struct vm_console *console = vm->console;
    if (console == NULL)
        return;
    struct line *line = &console->line[port];
    bool shown = false;
    spin_lock(&console->lock);
    ring_add(console, bytes, count);
    if (__atomic_load_n(&attached, __ATOMIC_RELAXED) == vm) {
        console_begin(true);
        console_put_raw((const char *)bytes, count);
        console_end();
        shown = true;
    } else {
        for (size_t i = 0; i < count; i++) {
            if (line_add(line, bytes[i])) {
                show_line(console, line->text, line->length);
                line_reset(line);
                shown = true;
            }
        }
    }
    spin_unlock(&console->lock);
    if (shown)
        log_show();
}

void console_guest_output(struct vm *vm, const uint8_t *bytes, size_t count) {
    output(vm, PORT_UART, bytes, count);
}

void console_guest_output_virtio(struct vm *vm, const uint8_t *bytes, size_t count) {
    output(vm, PORT_VIRTIO, bytes, count);
}

void console_guest_flush(struct vm *vm) {
    struct vm_console *console = vm->console;
    if (console == NULL)
        return;
    spin_lock(&console->lock);
    for (unsigned port = 0; port < PORTS; port++)
        show_pending_line(console, &console->line[port]);
    spin_unlock(&console->lock);
    log_show();
}

/* Byte `back` from the end of the ring, 1 being the newest. */
static uint8_t ring_byte(const struct vm_console *console, uint32_t back) {
    return console->ring[(console->ring_next - back) % RING_SIZE];
}

/* How far from the end the last `count` lines start. A line at the end that is not complete counts. */
static uint32_t ring_lines(const struct vm_console *console, unsigned count) {
    uint32_t back = 0;
    while (back < console->ring_used) {
        bool line_end = ring_byte(console, back + 1) == '\n';
        if (line_end && back != 0 && --count == 0)
            break;
        back++;
    }
    if (count != 0 && console->ring_used == RING_SIZE) {
        /* The oldest line has lost its start. */
        while (back != 0 && ring_byte(console, back) != '\n')
            back--;
        back = back != 0 ? back - 1 : RING_SIZE;
    }
    return back;
}

/* --- who has the console --- */

#define ATTACH_LINES 25

static void input_run(struct work *work);
static struct work input_work = {.link = {&input_work.link, &input_work.link}, .function = input_run};

int console_attach(struct vm *vm) {
    struct vm_console *console = vm->console;
    if (console == NULL)
        return -ENODEV;
    char text[VM_NAME_SIZE + 64];
    console_prompt_enable(false);
    spin_lock(&console->lock);
    console_begin(true);
    int used = snprintf(text, sizeof(text), "--- console of %s; Ctrl-] leaves ---", vm->name);
    console_put_line(text, (size_t)used);
    uint32_t back = ring_lines(console, ATTACH_LINES);
    while (back != 0) {
        uint32_t at = (console->ring_next - back) % RING_SIZE;
        uint32_t part = RING_SIZE - at < back ? RING_SIZE - at : back;
        console_put_raw((const char *)console->ring + at, part);
        back -= part;
    }
    console_end();
    for (unsigned port = 0; port < PORTS; port++) {
        line_reset(&console->line[port]);
        console->line[port].escape = ESCAPE_NONE;
    }
    __atomic_store_n(&attached, vm, __ATOMIC_RELAXED);
    spin_unlock(&console->lock);
    log_show();
    work_queue(cpu_get(0), &input_work); /* what was typed ahead is the guest's */
    return 0;
}

void console_detach(void) {
    struct vm *vm = attached;
    if (vm == NULL)
        return;
    /* Ends colours and what else a guest's program may have left behind; the cursor is made visible. */
    static const char restore[] = "\x1b[0m\x1b[?25h";
    char text[VM_NAME_SIZE + 64];
    spin_lock(&vm->console->lock);
    __atomic_store_n(&attached, NULL, __ATOMIC_RELAXED);
    console_begin(true);
    console_put_raw(restore, sizeof(restore) - 1);
    console_put("\n", 1);
    int used = snprintf(text, sizeof(text), "--- left the console of %s ---", vm->name);
    console_put_line(text, (size_t)used);
    console_end();
    spin_unlock(&vm->console->lock);
    console_prompt_enable(true);
}

struct vm *console_attached(void) {
    return __atomic_load_n(&attached, __ATOMIC_RELAXED);
}

/* --- input --- */

static struct spinlock input_lock;
static uint8_t input[INPUT_MAX];
static uint32_t input_first;
static uint32_t input_count;
static void (*typed)(void);

void console_set_typed(void (*handler)(void)) {
    typed = handler;
}

void console_host_input(uint8_t byte) {
    spin_lock(&input_lock);
    if (input_count < INPUT_MAX)
        input[(input_first + input_count++) % INPUT_MAX] = byte;
    spin_unlock(&input_lock);
    work_queue(cpu_get(0), &input_work);
}

static bool input_take(uint8_t *byte) {
    spin_lock(&input_lock);
    bool any = input_count != 0;
    if (any) {
        *byte = input[input_first++ % INPUT_MAX];
        input_first %= INPUT_MAX;
        input_count--;
    }
    spin_unlock(&input_lock);
    return any;
}

/* Who gets the guest's input now; NULL: nobody. */
static const struct console_receiver *receiver_of(const struct vm_console *console) {
    const struct console_receiver *virtio = &console->receiver[PORT_VIRTIO];
    const struct console_receiver *uart = &console->receiver[PORT_UART];
    if (virtio->input != NULL && virtio->open(virtio->device))
        return virtio;
    return uart->input != NULL ? uart : NULL;
}

/* Hands the guest what it can take. */
static void pending_pump(struct vm_console *console) {
    while (console->pending_count != 0) {
        const struct console_receiver *receiver = receiver_of(console);
        if (receiver == NULL)
            break;
        uint32_t part = PENDING_MAX - console->pending_first;
        if (part > console->pending_count)
            part = console->pending_count;
        size_t taken = receiver->input(receiver->device, console->pending + console->pending_first, part);
        if (taken > part)
            break;
        /* One that was closed meanwhile takes none: then they are the other's. */
        if (taken == 0 && receiver_of(console) == receiver)
            break;
        console->pending_first = (console->pending_first + (uint32_t)taken) % PENDING_MAX;
        __atomic_store_n(&console->pending_count, console->pending_count - (uint32_t)taken, __ATOMIC_RELAXED);
    }
}

static void ready_run(struct work *work) {
    pending_pump(container_of(work, struct vm_console, ready));
}

void console_guest_ready(struct vm *vm) {
    struct vm_console *console = vm->console;
    if (console != NULL && __atomic_load_n(&console->pending_count, __ATOMIC_RELAXED) != 0)
        work_queue(cpu_get(0), &console->ready);
}

static void guest_input(struct vm_console *console, uint8_t byte) {
    if (receiver_of(console) == NULL)
        return;
    if (console->pending_count == PENDING_MAX) {
        console_write("\a", 1); /* the guest does not read: the key is lost, and the user hears of it */
        return;
    }
    console->pending[(console->pending_first + console->pending_count) % PENDING_MAX] = byte;
    __atomic_store_n(&console->pending_count, console->pending_count + 1, __ATOMIC_RELAXED);
    pending_pump(console);
}

static void input_run(struct work *work) {
    (void)work;
    uint8_t byte;
    struct vm *vm;
    while ((vm = attached) != NULL && input_take(&byte)) {
        if (byte == CONSOLE_DETACH)
            console_detach();
        else
            guest_input(vm->console, byte);
    }
    if (vm == NULL && typed != NULL && __atomic_load_n(&input_count, __ATOMIC_RELAXED) != 0)
        typed();
}

int console_key(void) {
    uint8_t byte;
    return console_attached() == NULL && input_take(&byte) ? byte : -EAGAIN;
}

/* --- life --- */

int console_guest_create(struct vm *vm) {
    struct vm_console *console = heap_allocate(sizeof(*console), &vm->memory.account);
    if (console == NULL)
        return -ENOMEM;
    console->ring = heap_pages(RING_ORDER, &vm->memory.account);
    if (console->ring == NULL) {
        heap_free(console, sizeof(*console), &vm->memory.account);
        return -ENOMEM;
    }
    console->vm = vm;
    console->rate_time = time_now();
    console->rate_left = RATE_BURST;
    console->ready.function = ready_run;
    list_init(&console->ready.link);
    vm->console = console;
    return 0;
}

void console_guest_destroy(struct vm *vm) {
    struct vm_console *console = vm->console;
    if (console == NULL)
        return;
    if (attached == vm)
        console_detach();
    bug_if(__atomic_load_n(&console->ready.queued, __ATOMIC_RELAXED) != 0);
    vm->console = NULL;
    heap_pages_free(console->ring, RING_ORDER, &vm->memory.account);
    heap_free(console, sizeof(*console), &vm->memory.account);
}

void console_guest_attach(struct vm *vm, const struct console_receiver *receiver) {
    struct vm_console *console = vm->console;
    if (console == NULL)
        return;
    console->receiver[PORT_UART] = receiver != NULL ? *receiver : (struct console_receiver){.input = NULL};
    console_guest_ready(vm);
}

void console_guest_attach_virtio(struct vm *vm, const struct console_receiver *receiver) {
    struct vm_console *console = vm->console;
    if (console != NULL)
        console->receiver[PORT_VIRTIO] = *receiver;
}
