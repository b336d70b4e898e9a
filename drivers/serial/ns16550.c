// SPDX-License-Identifier: Apache-2.0
// The driver of the host's serial port (16550). Writers fill a ring and, while the transmitter is empty, its
// FIFO; the transmitter's interrupt does the rest, so that a line of 100 characters does not hold a CPU for
// the 9 ms that it takes to send.
#include "drivers/serial/ns16550.h"

#include "core/atomic.h"
#include "core/console.h"
#include "core/timer.h"

#define UART_DATA     0u
#define UART_IER      1u
#define UART_IIR      2u /* read */
#define UART_FCR      2u /* write */
#define UART_LCR      3u
#define UART_MCR      4u
#define UART_LSR      5u
#define UART_SCRATCH  7u

#define IER_RECEIVE   0x01u
#define IER_TRANSMIT  0x02u
#define IIR_NONE      0x01u
#define IIR_FIFO      0xc0u
#define FCR_ENABLE    0x01u
#define FCR_CLEAR     0x06u
#define FCR_TRIGGER_8 0x80u
#define LCR_8N1       0x03u
#define LCR_DLAB      0x80u
#define MCR_DTR_RTS   0x03u
#define MCR_OUT2      0x08u /* gates the interrupt on a PC */
#define LSR_DATA      0x01u
#define LSR_THR_EMPTY 0x20u
#define LSR_IDLE      0x40u

#define RING          4096u /* power of two */
#define FIFO          16u
#define BURST         64u         /* bytes taken from the receiver at once */
#define ROUNDS        16u         /* bursts in one interrupt */
#define POLL_PERIOD   1000000ull  /* ns; 16 bytes each: more than 115200 baud; also the rest after ROUNDS */
#define IDLE_PERIOD   10000000ull /* ns; for input alone */
#define PATIENCE      200000u     /* reads of LSR for 16 bytes at 1200 baud and more */

static struct spinlock lock;
static const struct ns16550 *port; /* NULL: none */
static char ring[RING];
static uint32_t ring_head, ring_tail; /* head: next free; tail: next to send */
static unsigned fifo_size = 1;
static bool buffered, by_interrupt, disabled;
static struct timer poll_timer; /* without interrupts, or after one that used up its rounds */

static uint8_t read8(unsigned at) {
    return port->read(at);
}

static void write8(unsigned at, uint8_t value) {
    port->write(at, value);
}

/* With the lock. Gives the transmitter what it takes. */
static void transmit(void) {
    if (!(read8(UART_LSR) & LSR_THR_EMPTY))
        return;
    for (unsigned i = 0; i < fifo_size && ring_tail != ring_head; i++)
        write8(UART_DATA, (uint8_t)ring[ring_tail++ % RING]);
}

/* Waits until the transmitter takes bytes again. False: it does not. */
static bool wait_for(uint8_t condition) {
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (read8(UART_LSR) & condition)
            return true;
        cpu_relax();
    }
    return false;
}

static void enable_interrupts(void) {
    write8(UART_IER, (uint8_t)(IER_RECEIVE | (ring_tail != ring_head ? IER_TRANSMIT : 0)));
}

/* In a panic there is no lock to take: the other CPUs are being stopped. */
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

/* With the lock. Sends all of the ring. */
static void drain(void) {
    while (ring_tail != ring_head) {
        if (!wait_for(LSR_THR_EMPTY)) {
            ring_tail = ring_head; /* the port is stuck: what waits is lost */
            return;
        }
        transmit();
    }
}

static void uart_write(struct console_device *device, const char *text, size_t length) {
    (void)device;
    if (disabled)
        return;
    bool taken = take();

    for (size_t i = 0; i < length; i++) {
        if (ring_head - ring_tail == RING) {
            /* Full: room for a FIFO's worth is waited for. */
            if (wait_for(LSR_THR_EMPTY))
                transmit();
            else
                ring_tail = ring_head;
        }
        ring[ring_head++ % RING] = text[i];
    }
    if (!buffered || !taken) {
        drain();
    } else {
        transmit();
        if (by_interrupt)
            enable_interrupts();
    }
    release(taken);
}

static size_t uart_room(struct console_device *device) {
    (void)device;
    if (disabled)
        return SIZE_MAX;
    bool taken = take();
    size_t room = RING - (ring_head - ring_tail);
    release(taken);
    return room;
}

static void uart_flush(struct console_device *device) {
    (void)device;
    if (disabled)
        return;
    bool taken = take();
    drain();
    wait_for(LSR_IDLE);
    release(taken);
}

static struct console_device device = {.write = uart_write, .flush = uart_flush, .room = uart_room};

void ns16550_emergency(const char *text, size_t length) {
    if (!port || disabled)
        return;
    for (size_t i = 0; i < length; i++) {
        if (!wait_for(LSR_THR_EMPTY))
            return;
        write8(UART_DATA, (uint8_t)text[i]);
    }
    wait_for(LSR_IDLE);
}

/* Takes what has arrived and sends what waits. The input is handed on without the lock: it leads to output.
 */
static void serve(void) {
    uint8_t input[BURST];
    unsigned count = 0;

    spin_lock(&lock);
    while (count < BURST && (read8(UART_LSR) & LSR_DATA))
        input[count++] = read8(UART_DATA);
    transmit();
    if (by_interrupt)
        enable_interrupts();
    spin_unlock(&lock);
    for (unsigned i = 0; i < count; i++)
        console_host_input(input[i]);
}

void ns16550_interrupt(void) {
    /* On a PC the interrupt is an edge: every cause has to be gone before the line can rise again. Where
     * that takes too long a timer goes on; no interrupt may ever come. */
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (read8(UART_IIR) & IIR_NONE)
            return;
        serve();
    }
    timer_arm(&poll_timer, time_now() + POLL_PERIOD);
}

static void poll(struct timer *timer) {
    if (by_interrupt) {
        ns16550_interrupt();
        return;
    }
    serve();
    timer_arm(timer, time_now() + (ring_tail != ring_head ? POLL_PERIOD : IDLE_PERIOD));
}

bool ns16550_init(const struct ns16550 *hardware, const char *name) {
    port = hardware;
    /* A port that is not there reads all ones and keeps nothing. */
    write8(UART_SCRATCH, 0x5a);
    bool kept = read8(UART_SCRATCH) == 0x5a;
    write8(UART_SCRATCH, 0xa5);
    if (!kept || read8(UART_SCRATCH) != 0xa5 || read8(UART_LSR) == 0xff) {
        port = NULL;
        return false;
    }
    wait_for(LSR_IDLE); /* what the loader or firmware wrote last */
    write8(UART_IER, 0);
    if (port->divisor) {
        write8(UART_LCR, LCR_DLAB | LCR_8N1);
        write8(UART_DATA, (uint8_t)port->divisor);
        write8(UART_IER, (uint8_t)(port->divisor >> 8));
    }
    write8(UART_LCR, LCR_8N1);
    write8(UART_FCR, FCR_ENABLE | FCR_CLEAR | FCR_TRIGGER_8);
    write8(UART_MCR, MCR_DTR_RTS | MCR_OUT2);
    if ((read8(UART_IIR) & IIR_FIFO) == IIR_FIFO)
        fifo_size = FIFO;
    device.name = name;
    console_add_device(&device);
    return true;
}

void ns16550_disable(void) {
    if (port)
        uart_flush(&device);
    disabled = true;
}

bool ns16550_present(void) {
    return port && !disabled;
}

void ns16550_start(bool interrupt) {
    if (!ns16550_present())
        return;
    timer_init(&poll_timer, poll);
    spin_lock(&lock);
    buffered = true;
    by_interrupt = interrupt;
    if (interrupt) {
        read8(UART_LSR); /* an error or a byte from before would keep an edge from coming */
        read8(UART_DATA);
        enable_interrupts();
    }
    spin_unlock(&lock);
    if (!interrupt)
        timer_arm(&poll_timer, time_now() + IDLE_PERIOD);
}
