// SPDX-License-Identifier: Apache-2.0
// The host's screen: a text console on a linear frame buffer. The frame buffer is never read, and only cells
// that differ from what was drawn are drawn: writes go out in bursts (write-combining). Once timers run, a
// few cells are drawn at a time, so that scrolling costs no guest a pause that it would notice.
#include "arch/x86/host_screen.h"

#include <string.h>
#include "arch/x86/font.h"
#include "arch/x86/host_map.h"
#include "arch/x86/screen_text.h"
#include "core/console.h"
#include "core/log.h"
#include "core/timer.h"

#define CELL_WIDTH  8u
#define CELL_HEIGHT 16u
#define MARGIN      1u /* dots left of a glyph */
#define MAX_SCALE   4u
#define DRAW_TIME   10000ull  /* ns at a time: a fiftieth of the boot CPU, while there is something to draw */
#define DRAW_PERIOD 500000ull /* ns from one time to the next */
#define FOREGROUND  0xd0d0d0u
#define BACKGROUND  0x101418u
#define EARLY_LIMIT (1ull << 32) /* the loader's tables map at least this much where it is */

static struct spinlock lock; /* guards text and drawn */
static struct screen_text text;
static uint8_t drawn[SCREEN_MAX_ROWS][SCREEN_MAX_COLUMNS];
static struct handover_framebuffer fb;
static uint8_t *pixels; /* NULL: nothing to draw on (yet) */
static unsigned scale;
static uint32_t foreground, background;
static bool by_timer, disabled, usable;
static unsigned next_row;
static struct timer draw_timer;
static struct work arm_work;

/* A colour's 8 bits in the place of a mask. */
static uint32_t component(uint32_t mask, uint32_t value) {
    if (!mask)
        return 0;
    unsigned shift = (unsigned)__builtin_ctz(mask);
    uint64_t range = mask >> shift;
    return (uint32_t)(range * value / 255) << shift;
}

static uint32_t colour(uint32_t rgb) {
    return component(fb.red_mask, rgb >> 16 & 0xff) | component(fb.green_mask, rgb >> 8 & 0xff) |
           component(fb.blue_mask, rgb & 0xff);
}

static void draw_cell(unsigned row, unsigned column) {
    uint8_t character = text.cell[row][column];
    const uint8_t *glyph =
        font[character >= FONT_FIRST && character <= FONT_LAST ? character - FONT_FIRST : 0];
    unsigned width = CELL_WIDTH * scale;
    unsigned height = CELL_HEIGHT / FONT_ROWS * scale;
    uint32_t line[CELL_WIDTH * MAX_SCALE];
    uint8_t *at = pixels + (uint64_t)row * CELL_HEIGHT * scale * fb.stride + (uint64_t)column * width * 4;

    for (unsigned y = 0; y < FONT_ROWS; y++) {
        unsigned dots = (unsigned)glyph[y] << (CELL_WIDTH - FONT_COLUMNS - MARGIN);
        for (unsigned x = 0; x < width; x++)
            line[x] = dots >> (CELL_WIDTH - 1 - x / scale) & 1 ? foreground : background;
        for (unsigned i = 0; i < height; i++, at += fb.stride)
            for (unsigned x = 0; x < width; x++)
                ((volatile uint32_t *)at)[x] = line[x];
    }
    drawn[row][column] = character;
}

/* Draws what has changed in one row, until the clock shows `end`. False: the time was over before the row. */
static bool draw_row(unsigned row, uint64_t end) {
    if (memcmp(drawn[row], text.cell[row], text.columns) == 0)
        return true;
    for (unsigned column = 0; column < text.columns; column++) {
        if (drawn[row][column] == text.cell[row][column])
            continue;
        draw_cell(row, column);
        if (time_now() >= end)
            return false;
    }
    return true;
}

static void draw_all(void) {
    if (pixels && !disabled)
        for (unsigned row = 0; row < text.rows; row++)
            draw_row(row, UINT64_MAX);
}

static bool take(void) {
    if (console_in_panic())
        return false;
    spin_lock(&lock);
    return true;
}

static void release(bool taken) {
    if (taken)
        spin_unlock(&lock);
}

/* What the cells do not cover still shows the firmware's picture. */
static void draw_margins(void) {
    unsigned right = text.columns * CELL_WIDTH * scale;
    unsigned bottom = text.rows * CELL_HEIGHT * scale;

    for (unsigned y = 0; y < fb.height; y++) {
        volatile uint32_t *line = (volatile uint32_t *)(pixels + (uint64_t)y * fb.stride);
        for (unsigned x = y < bottom ? right : 0; x < fb.width; x++)
            line[x] = background;
    }
}

/* Some cells from where it stopped last; another time, until all is drawn. */
static void draw_some(struct timer *timer) {
    uint64_t end = time_now() + DRAW_TIME;
    unsigned done = 0;

    spin_lock(&lock);
    while (done < text.rows && !disabled && draw_row(next_row, end)) {
        next_row = next_row + 1 < text.rows ? next_row + 1 : 0;
        done++;
    }
    bool more = done < text.rows && !disabled;
    spin_unlock(&lock);
    if (more)
        timer_arm(timer, time_now() + DRAW_PERIOD);
}

/* The timer belongs to the boot CPU: others ask it to arm it. */
static void arm(struct work *work) {
    (void)work;
    if (!timer_armed(&draw_timer))
        timer_arm(&draw_timer, time_now() + DRAW_PERIOD);
}

static void screen_write(struct console_device *device, const char *bytes, size_t length) {
    (void)device;
    bool taken = take();

    screen_text_write(&text, bytes, length);
    if (!taken)
        draw_all();
    release(taken);
    if (by_timer && taken && !disabled)
        work_queue(cpu_get(0), &arm_work);
}

static void screen_flush(struct console_device *device) {
    (void)device;
    bool taken = take();
    draw_all();
    release(taken);
}

static struct console_device device = {.name = "screen", .write = screen_write, .flush = screen_flush};

bool host_screen_init(const struct handover_framebuffer *framebuffer) {
    fb = *framebuffer;
    if (!fb.width || !fb.height || fb.width < 40 * CELL_WIDTH || fb.height < 10 * CELL_HEIGHT ||
        fb.stride % 4 || fb.stride < (uint64_t)fb.width * 4 || fb.size < (uint64_t)fb.stride * fb.height ||
        fb.address % 4 || fb.address + fb.size < fb.address)
        return false;
    for (scale = 1; scale < MAX_SCALE && (fb.width / (CELL_WIDTH * scale) > SCREEN_MAX_COLUMNS ||
                                          fb.height / (CELL_HEIGHT * scale) > SCREEN_MAX_ROWS);)
        scale++;
    unsigned columns = fb.width / (CELL_WIDTH * scale);
    unsigned rows = fb.height / (CELL_HEIGHT * scale);
    screen_text_init(&text, columns < SCREEN_MAX_COLUMNS ? columns : SCREEN_MAX_COLUMNS,
                     rows < SCREEN_MAX_ROWS ? rows : SCREEN_MAX_ROWS);
    foreground = colour(FOREGROUND);
    background = colour(BACKGROUND);
    usable = true;
    if (fb.address + fb.size <= EARLY_LIMIT)
        pixels = (uint8_t *)fb.address;
    console_add_device(&device);
    return true;
}

void host_screen_remap(void) {
    if (!usable)
        return;
    pixels = map_combining(fb.address, fb.size);
    if (!pixels)
        log_warning("no room to map the frame buffer: no messages on the screen");
}

void host_screen_start(void) {
    if (!pixels || disabled)
        return;
    timer_init(&draw_timer, draw_some);
    arm_work.function = arm;
    by_timer = true;
    draw_margins();
    timer_arm(&draw_timer, time_now() + DRAW_PERIOD);
}

void host_screen_disable(void) {
    disabled = true;
}
