// SPDX-License-Identifier: Apache-2.0
// A guest's serial port: a 16550A with both FIFOs, all interrupts, modem signals and loopback (National
// Semiconductor PC16550D data sheet).
#include "devices/uart16550.h"

#include <errno.h>

#include "core/console.h"
#include "core/vm.h"
#include "lib/config.h"
#include "lib/state.h"

#define UART_FIFO 16

/* Registers; 0 and 1 are the divisor latch while LCR.DLAB is set. */
enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RECEIVED   0x01u
#define IER_THRE       0x02u
#define IER_LINE       0x04u
#define IER_MODEM      0x08u

#define IIR_NONE       0x01u
#define IIR_MODEM      0x00u
#define IIR_THRE       0x02u
#define IIR_RECEIVED   0x04u
#define IIR_LINE       0x06u
#define IIR_TIMEOUT    0x0cu
#define IIR_FIFOS      0xc0u

#define FCR_ENABLE     0x01u
#define FCR_CLEAR_RX   0x02u
#define FCR_KEPT       0xc9u /* enable, DMA mode, trigger level */

#define LCR_BREAK      0x40u
#define LCR_DLAB       0x80u

#define MCR_DTR        0x01u
#define MCR_RTS        0x02u
#define MCR_OUT1       0x04u
#define MCR_OUT2       0x08u
#define MCR_LOOP       0x10u
#define MCR_KEPT       0x1fu

#define LSR_READY      0x01u
#define LSR_OVERRUN    0x02u
#define LSR_BREAK      0x10u
#define LSR_ERRORS     0x1eu /* overrun, parity, framing, break */
#define LSR_THRE       0x20u
#define LSR_IDLE       0x40u
#define LSR_FIFO_ERROR 0x80u

#define MSR_DELTA_CTS  0x01u
#define MSR_DELTA_DSR  0x02u
#define MSR_TERI       0x04u
#define MSR_DELTA_DCD  0x08u
#define MSR_CTS        0x10u
#define MSR_DSR        0x20u
#define MSR_RI         0x40u
#define MSR_DCD        0x80u

/* What is saved. */
struct uart_state {
    uint16_t divisor;
    uint8_t ier;
    uint8_t fcr; /* FCR_KEPT bits */
    uint8_t lcr;
    uint8_t mcr;
    uint8_t modem; /* MSR */
    uint8_t scratch;
    uint8_t overrun;   /* LSR_OVERRUN or 0 */
    bool thre_pending; /* the transmitter ran empty and nobody has been told */
    uint8_t head;      /* oldest byte of the receive FIFO */
    uint8_t count;     /* bytes in it */
    uint8_t data[UART_FIFO];
    uint8_t error[UART_FIFO]; /* LSR error bits of each byte */
};

struct uart16550 {
    struct spinlock lock;
    struct vm *vm;
    const struct uart16550_wiring *wiring;
    bool line; /* level of the interrupt line, as we last set it */
    struct uart_state s;
};

static unsigned fifo_size(const struct uart_state *s) {
    return s->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

static unsigned trigger_level(const struct uart16550 *uart) {
    static const uint8_t level[4] = {1, 4, 8, 14};
    return uart->s.fcr & FCR_ENABLE ? level[uart->s.fcr >> 6] : 1;
}

/* LSR without the effects of reading it. */
static uint8_t line_status(const struct uart16550 *uart) {
    uint8_t status = LSR_THRE | LSR_IDLE | uart->s.overrun;
    if (uart->s.count > 0)
        status |= LSR_READY | uart->s.error[uart->s.head];
    if (uart->s.fcr & FCR_ENABLE)
        for (unsigned i = 0; i < uart->s.count; i++)
            if (uart->s.error[(uart->s.head + i) % UART_FIFO])
                status |= LSR_FIFO_ERROR;
    return status;
}

/* The source of the highest priority, as IIR bits 3:0 (data sheet, table "interrupt control functions"). */
static uint8_t interrupt_source(const struct uart16550 *uart) {
    if (uart->s.ier & IER_LINE && line_status(uart) & LSR_ERRORS)
        return IIR_LINE;
    if (uart->s.ier & IER_RECEIVED && uart->s.count > 0)
        return uart->s.count >= trigger_level(uart) ? IIR_RECEIVED : IIR_TIMEOUT;
    if (uart->s.ier & IER_THRE && uart->s.thre_pending)
        return IIR_THRE;
    if (uart->s.ier & IER_MODEM && uart->s.modem & 0x0f)
        return IIR_MODEM;
    return IIR_NONE;
}

/* Drives the line. Where OUT2 gates it, loopback holds OUT2 inactive. */
static void update_line(struct uart16550 *uart) {
    bool gate = !uart->wiring->out2_gates || (uart->s.mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    bool level = gate && interrupt_source(uart) != IIR_NONE;
    if (level != uart->line) {
        uart->line = level;
        uart->wiring->set_line(uart->vm, level);
    }
}

static void clear_receiver(struct uart16550 *uart) {
    uart->s.head = 0;
    uart->s.count = 0;
}

static void receive(struct uart16550 *uart, uint8_t byte, uint8_t error) {
    unsigned size = fifo_size(&uart->s);
    if (uart->s.count == size) {
        /* The shift register's byte is lost in FIFO mode, the holding register's one otherwise. */
        uart->s.overrun = LSR_OVERRUN;
        if (size == 1) {
            uart->s.data[uart->s.head] = byte;
            uart->s.error[uart->s.head] = error;
        }
        return;
    }
    unsigned at = (uart->s.head + uart->s.count) % UART_FIFO;
    uart->s.data[at] = byte;
    uart->s.error[at] = error;
    uart->s.count++;
}

/* Modem inputs: from the other end (present and ready, always), or from MCR in loopback. Notes what changed.
 */
static void update_modem(struct uart16550 *uart) {
    uint8_t signals = MSR_CTS | MSR_DSR | MSR_DCD;
    if (uart->s.mcr & MCR_LOOP)
        signals = (uart->s.mcr & MCR_RTS ? MSR_CTS : 0) | (uart->s.mcr & MCR_DTR ? MSR_DSR : 0) |
                  (uart->s.mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->s.mcr & MCR_OUT2 ? MSR_DCD : 0);
    uint8_t before = uart->s.modem & 0xf0;
    uint8_t changed = before ^ signals;
    uint8_t delta = uart->s.modem & 0x0f;
    if (changed & MSR_CTS)
        delta |= MSR_DELTA_CTS;
    if (changed & MSR_DSR)
        delta |= MSR_DELTA_DSR;
    if (changed & MSR_DCD)
        delta |= MSR_DELTA_DCD;
    if (before & ~signals & MSR_RI)
        delta |= MSR_TERI;
    uart->s.modem = signals | delta;
}

static int uart_read(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    (void)vcpu;
    struct uart16550 *uart = device;
    bool ready = false; /* room for input appeared */
    if (size != 1)
        return -ENXIO;
    spin_lock(&uart->lock);
    switch (offset) {
    case REG_DATA:
        if (uart->s.lcr & LCR_DLAB) {
            *value = uart->s.divisor & 0xff;
        } else if (uart->s.count > 0) {
            *value = uart->s.data[uart->s.head];
            uart->s.head = (uart->s.head + 1) % UART_FIFO;
            uart->s.count--;
            ready = uart->s.count == 0 && !(uart->s.mcr & MCR_LOOP);
        } else {
            *value = 0;
        }
        break;
    case REG_IER:
        *value = uart->s.lcr & LCR_DLAB ? uart->s.divisor >> 8 : uart->s.ier;
        break;
    case REG_IIR_FCR: {
        uint8_t source = interrupt_source(uart);
        if (source == IIR_THRE)
            uart->s.thre_pending = false;
        *value = source | (uart->s.fcr & FCR_ENABLE ? IIR_FIFOS : 0);
        break;
    }
    case REG_LCR:
        *value = uart->s.lcr;
        break;
    case REG_MCR:
        *value = uart->s.mcr;
        break;
    case REG_LSR:
        *value = line_status(uart);
        uart->s.overrun = 0;
        if (uart->s.count > 0)
            uart->s.error[uart->s.head] = 0;
        break;
    case REG_MSR:
        *value = uart->s.modem;
        uart->s.modem &= 0xf0;
        break;
    default:
        *value = uart->s.scratch;
        break;
    }
    update_line(uart);
    spin_unlock(&uart->lock);
    if (ready)
        console_guest_ready(uart->vm);
    return 0;
}

static bool write_fcr(struct uart16550 *uart, uint8_t value) {
    bool clear = value & FCR_CLEAR_RX;
    if ((value ^ uart->s.fcr) & FCR_ENABLE)
        clear = true; /* both FIFOs are emptied when they are switched on or off */
    /* The other bits are written only together with FCR0 = 1. */
    uart->s.fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
    if (clear)
        clear_receiver(uart);
    return clear && !(uart->s.mcr & MCR_LOOP);
}

static int uart_write(void *device, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)vcpu;
    struct uart16550 *uart = device;
    uint8_t byte = (uint8_t)value;
    bool ready = false;
    bool transmit = false;
    if (size != 1)
        return -ENXIO;
    spin_lock(&uart->lock);
    switch (offset) {
    case REG_DATA:
        if (uart->s.lcr & LCR_DLAB) {
            uart->s.divisor = (uint16_t)((uart->s.divisor & 0xff00) | byte);
            break;
        }
        /* The byte leaves at once: the holding register fills (the interrupt goes away) and is empty again.
         */
        uart->s.thre_pending = false;
        update_line(uart);
        uart->s.thre_pending = true;
        if (uart->s.mcr & MCR_LOOP)
            receive(uart, byte, 0);
        else
            transmit = true;
        break;
    case REG_IER:
        if (uart->s.lcr & LCR_DLAB) {
            uart->s.divisor = (uint16_t)((uart->s.divisor & 0x00ff) | byte << 8);
            break;
        }
        if (byte & ~uart->s.ier & IER_THRE)
            uart->s.thre_pending = true; /* enabling it with an empty transmitter raises it */
        uart->s.ier = byte & 0x0f;
        break;
    case REG_IIR_FCR:
        ready = write_fcr(uart, byte);
        break;
    case REG_LCR:
        if (byte & ~uart->s.lcr & LCR_BREAK && uart->s.mcr & MCR_LOOP)
            receive(uart, 0, LSR_BREAK);
        uart->s.lcr = byte;
        break;
    case REG_MCR:
        ready = uart->s.mcr & ~byte & MCR_LOOP && uart->s.count < fifo_size(&uart->s);
        uart->s.mcr = byte & MCR_KEPT;
        update_modem(uart);
        break;
    case REG_LSR: /* "intended for factory testing" and read-only here, as is MSR but for its deltas */
    case REG_MSR:
        break;
    default:
        uart->s.scratch = byte;
        break;
    }
    update_line(uart);
    spin_unlock(&uart->lock);
    if (transmit)
        console_guest_output(uart->vm, &byte, 1);
    if (ready)
        console_guest_ready(uart->vm);
    return 0;
}

static const struct bus_ops uart_ops = {.read = uart_read, .write = uart_write};

/* The console's receiver: as many bytes as there is room for. In loopback the line is cut. */
static size_t uart_input(void *device, const uint8_t *bytes, size_t count) {
    struct uart16550 *uart = device;
    size_t taken = 0;
    spin_lock(&uart->lock);
    if (!(uart->s.mcr & MCR_LOOP))
        while (taken < count && uart->s.count < fifo_size(&uart->s))
            receive(uart, bytes[taken++], 0);
    update_line(uart);
    spin_unlock(&uart->lock);
    return taken;
}

static void set_defaults(struct uart16550 *uart) {
    uart->s.divisor = 12; /* 9600 baud */
    uart->s.ier = 0;
    uart->s.fcr = 0;
    uart->s.lcr = 0;
    uart->s.mcr = 0;
    uart->s.modem = MSR_CTS | MSR_DSR | MSR_DCD;
    uart->s.scratch = 0;
    uart->s.overrun = 0;
    uart->s.thre_pending = false;
    clear_receiver(uart);
    update_line(uart);
}

struct uart16550 *uart16550_create(struct vm *vm, const struct uart16550_wiring *wiring, int *error) {
    struct uart16550 *uart = heap_allocate(sizeof(*uart), &vm->memory.account);
    *error = uart ? 0 : -ENOMEM;
    if (!uart)
        return NULL;
    uart->vm = vm;
    uart->wiring = wiring;
    if (vm->config->console != CONFIG_CONSOLE_NONE) {
        *error =
            bus_add(&vm->bus[wiring->space], wiring->base, UART16550_SIZE, &uart_ops, uart, wiring->name);
        if (*error) {
            heap_free(uart, sizeof(*uart), &vm->memory.account);
            return NULL;
        }
        console_guest_attach(vm, &(struct console_receiver){.input = uart_input, .device = uart});
    }
    return uart;
}

void uart16550_destroy(struct uart16550 *uart) {
    struct vm *vm = uart->vm;
    if (vm->config->console != CONFIG_CONSOLE_NONE) {
        console_guest_attach(vm, &(struct console_receiver){0});
        bus_remove(&vm->bus[uart->wiring->space], uart->wiring->base);
    }
    heap_free(uart, sizeof(*uart), &vm->memory.account);
}

void uart16550_reset(struct uart16550 *uart) {
    spin_lock(&uart->lock);
    set_defaults(uart);
    spin_unlock(&uart->lock);
    console_guest_ready(uart->vm); /* input that a full FIFO, or loopback, held up */
}

void uart16550_save(struct uart16550 *uart, struct state_writer *writer) {
    spin_lock(&uart->lock);
    state_put_u16(writer, uart->s.divisor);
    state_put_u8(writer, uart->s.ier);
    state_put_u8(writer, uart->s.fcr);
    state_put_u8(writer, uart->s.lcr);
    state_put_u8(writer, uart->s.mcr);
    state_put_u8(writer, uart->s.modem);
    state_put_u8(writer, uart->s.scratch);
    state_put_u8(writer, uart->s.overrun);
    state_put_u8(writer, uart->s.thre_pending);
    state_put_u8(writer, uart->s.count);
    for (unsigned i = 0; i < uart->s.count; i++) {
        state_put_u8(writer, uart->s.data[(uart->s.head + i) % UART_FIFO]);
        state_put_u8(writer, uart->s.error[(uart->s.head + i) % UART_FIFO]);
    }
    spin_unlock(&uart->lock);
}

int uart16550_load(struct uart16550 *uart, struct state_reader *reader) {
    struct uart_state in = {0};
    in.divisor = state_get_u16(reader);
    in.ier = state_get_u8(reader);
    in.fcr = state_get_u8(reader);
    in.lcr = state_get_u8(reader);
    in.mcr = state_get_u8(reader);
    in.modem = state_get_u8(reader);
    in.scratch = state_get_u8(reader);
    in.overrun = state_get_u8(reader);
    uint8_t thre = state_get_u8(reader);
    in.count = state_get_u8(reader);
    bool good = in.ier <= 0x0f && !(in.fcr & ~FCR_KEPT) && (in.fcr == 0 || in.fcr & FCR_ENABLE) &&
                !(in.mcr & ~MCR_KEPT) && !(in.overrun & ~LSR_OVERRUN) && thre <= 1 &&
                in.count <= fifo_size(&in);
    for (unsigned i = 0; good && i < in.count; i++) {
        in.data[i] = state_get_u8(reader);
        in.error[i] = state_get_u8(reader);
        good = !(in.error[i] & ~(LSR_ERRORS & ~LSR_OVERRUN));
    }
    spin_lock(&uart->lock);
    good = good && !reader->error;
    if (good) {
        in.thre_pending = thre;
        uart->s = in;
        update_line(uart);
    } else {
        set_defaults(uart);
    }
    spin_unlock(&uart->lock);
    console_guest_ready(uart->vm);
    return good ? 0 : -EINVAL;
}
