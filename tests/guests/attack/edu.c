// SPDX-License-Identifier: Apache-2.0
// Attacks by QEMU's educational device (its docs/specs/edu.txt): one DMA at a time between its buffer of 4
// KiB and an address that may be anything.
#include "tests/guests/attack/attack.h"

#define ID_REGISTER  0x00
#define ID_VALUE     0x010000edu
#define DMA_SOURCE   0x80
#define DMA_TARGET   0x88
#define DMA_COUNT    0x90
#define DMA_COMMAND  0x98
#define RUN          1u
#define TO_MEMORY    2u
#define BUFFER       0x40000u
#define LONGEST      2048u      /* bytes; QEMU stops if a transfer reaches the end of the buffer */
#define SHOWN        32u        /* bytes */
#define PATIENCE     60000000ul /* us; one takes 100 ms of QEMU's time */
#define NOTHING_READ 0xb0b0b0b0u

static uint64_t registers;
static volatile uint32_t *own; /* a page of the guest's, which the device may reach */

static volatile uint64_t *reg(unsigned offset) {
    return (volatile uint64_t *)(registers + offset);
}

/* Between `address` and the device's buffer. Whether it came to an end. */
static bool transfer(uint64_t address, uint64_t count, bool to_memory) {
    *reg(DMA_SOURCE) = to_memory ? BUFFER : address;
    *reg(DMA_TARGET) = to_memory ? address : BUFFER;
    *reg(DMA_COUNT) = count;
    *reg(DMA_COMMAND) = RUN | (to_memory ? TO_MEMORY : 0);
    for (uint64_t start = now_us(); now_us() - start < PATIENCE; pause_cpu())
        if (!(*reg(DMA_COMMAND) & RUN))
            return true;
    return false;
}

static bool fill_buffer(uint64_t count, uint32_t value) {
    for (unsigned i = 0; i < count / 4; i++)
        own[i] = value;
    return transfer((uint64_t)own, count, false);
}

/* write ADDRESS BYTES VALUE: so many bytes of that 32-bit value. */
static void write(struct line *line) {
    uint64_t address = line_number(line), count = line_number(line) % (LONGEST + 1) & ~3ull;
    uint32_t value = (uint32_t)line_number(line);
    bool done = fill_buffer(count, value) && transfer(address, count, true);

    print("edu write: %s\n", done ? "done" : "not done");
}

/* read ADDRESS BYTES: the first bytes of what came are shown. The buffer's own words before are known ones.
 */
static void read(struct line *line) {
    uint64_t address = line_number(line), count = line_number(line) % (LONGEST + 1) & ~3ull;
    bool done = fill_buffer(LONGEST, NOTHING_READ) && transfer(address, count, false) &&
                transfer((uint64_t)own, count, true);

    print("edu read: %s", done ? "done" : "not done");
    print_words(own, (count < SHOWN ? (unsigned)count : SHOWN) / 4);
    print("\n");
}

void edu_start(void) {
    registers = pci_claim(0, 0xffffffff, 0x11e81234);
    if (!registers)
        return;
    own = memory_take(PAGE);
    if (check_equal(*mmio32(registers + ID_REGISTER), ID_VALUE, "the educational device answers") &&
        fill_buffer(8, 0x12345678)) {
        own[1] = 0;
        check(transfer((uint64_t)own, 8, true) && own[1] == 0x12345678, "its DMA reaches the guest's memory");
    }
}

void edu_do(struct line *line) {
    if (!registers)
        print("edu: not here\n");
    else if (line_word(line, "write"))
        write(line);
    else if (line_word(line, "read"))
        read(line);
    else
        print("edu: unknown\n");
}
