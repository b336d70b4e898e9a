// SPDX-License-Identifier: Apache-2.0
// Every privileged instruction and special-purpose register in user mode: a program interrupt with ESR[PPR],
// at its own address, and no register changed; and what user mode may read.
#include "tests/guests/ppc/cpu/cpu.h"
#include "tests/guests/ppc/runtime/guest.h"

static const uint32_t privileged[] = {
    OP_MFMSR(5), OP_MTMSR(5), OP_WRTEE(5), OP_WRTEEI(0), OP_WRTEEI(1),  OP_RFI,     OP_RFCI,
    OP_TLBRE,    OP_TLBWE,    OP_TLBSX(5), OP_TLBSYNC,   OP_TLBIVAX(5), OP_DCBI(5),
};

/* Numbers, those of one run as first and last. */
static const struct {
    uint16_t first, last;
} supervisor_read[] =
    {
        {22, 22},   {26, 27},   {48, 48},   {58, 59},   {61, 63},   {272, 279},   {286, 287},   {304, 304},
        {308, 310}, {312, 313}, {316, 317}, {336, 336}, {340, 340}, {400, 415},   {528, 531},   {570, 573},
        {624, 628}, {630, 630}, {633, 634}, {688, 689}, {944, 944}, {1008, 1013}, {1015, 1015}, {1023, 1023},
},
  supervisor_write[] = {
      {22, 22},   {26, 27},   {48, 48},   {54, 54},   {58, 59},   {61, 63},     {272, 279}, {284, 285},
      {304, 304}, {308, 310}, {312, 313}, {316, 317}, {336, 336}, {340, 340},   {400, 415}, {528, 531},
      {570, 572}, {624, 628}, {630, 630}, {633, 634}, {944, 944}, {1008, 1013},
};

static void fill_registers(void) {
    for (unsigned i = 0; i < 32; i++)
        run_context.gpr[i] = 0x01010101u * i;
    run_context.cr = 0x12345678;
    run_context.lr = 0xcafe0000;
    run_context.ctr = 0x5555aaaa;
    run_context.xer = 0xe0000011;
}

static bool registers_kept(void) {
    for (unsigned i = 0; i < 32; i++)
        if (run_context.gpr[i] != 0x01010101u * i)
            return false;
    return run_context.cr == 0x12345678 && run_context.lr == 0xcafe0000 && run_context.ctr == 0x5555aaaa &&
           run_context.xer == 0xe0000011;
}

/* A word that user mode may not do. `esr` 0: its cause is not looked at. */
static bool refused(uint32_t word, uint32_t esr) {
    fill_registers();
    run_word(MSR_PR, word);
    return run_context.vector == VECTOR_PROGRAM && run_context.pc == CODE &&
           run_context.msr == (MSR_PR | MSR_ME) && (esr == 0 || run_context.esr == esr) && registers_kept();
}

void test_privileged(void) {
    bool ok = true;
    for (unsigned i = 0; i < array_count(privileged); i++)
        ok &= check_quiet(refused(privileged[i], ESR_PPR), "privileged instruction in user mode",
                          privileged[i]);
    check(ok, "privileged instructions are refused in user mode");
    check(refused(OP_RFMCI, 0), "rfmci is refused in user mode"); /* QEMU 7.2 calls it illegal */

    ok = true;
    for (unsigned i = 0; i < array_count(supervisor_read); i++)
        for (unsigned number = supervisor_read[i].first; number <= supervisor_read[i].last; number++)
            ok &= check_quiet(refused(OP_MFSPR(5, number), ESR_PPR), "mfspr in user mode", number);
    check(ok, "supervisor registers cannot be read in user mode");
    ok = true;
    for (unsigned i = 0; i < array_count(supervisor_write); i++)
        for (unsigned number = supervisor_write[i].first; number <= supervisor_write[i].last; number++)
            ok &= check_quiet(refused(OP_MTSPR(number, 5), ESR_PPR), "mtspr in user mode", number);
    check(ok, "supervisor registers cannot be written in user mode");

    /* 512, ...: numbers without the privilege bit that no register has; and what can only be read there. */
    static const uint16_t nothing[] = {2, 10, 100, 264, 391, 520, 600, 1000};
    ok = true;
    for (unsigned i = 0; i < array_count(nothing); i++)
        ok &= check_quiet(refused(OP_MFSPR(5, nothing[i]), 0) && refused(OP_MTSPR(nothing[i], 5), 0),
                          "register that is not there", nothing[i]);
    check(ok, "numbers of no register are refused in user mode");
    ok = true;
    for (unsigned number = 259; number <= 269; number++)
        if (number < 264 || number > 267)
            ok &= check_quiet(refused(OP_MTSPR(number, 5), 0), "mtspr of a register to be read", number);
    check(ok, "registers that user mode may read cannot be written there");

    static const uint32_t illegal[] = {0x00000000, 0x04000000 | 0x7ff, 0x18000000, 0xe8a50000,
                                       0xf8a50000, 0x7c0007ff,         0x4c0007fe};
    ok = true;
    for (unsigned i = 0; i < array_count(illegal); i++) {
        ok &= check_quiet(refused(illegal[i], ESR_PIL), "illegal instruction in user mode", illegal[i]);
        run_word(0, illegal[i]);
        ok &= check_quiet(run_context.vector == VECTOR_PROGRAM && run_context.esr == ESR_PIL &&
                              run_context.pc == CODE,
                          "illegal instruction in supervisor mode", illegal[i]);
    }
    check(ok, "illegal instructions");

    /* SPRG3 to 7 by their numbers for readers, USPRG0, and the time base. */
    ok = true;
    for (unsigned i = 3; i < 8; i++) {
        run_context.gpr[5] = 0x11223300 + i;
        ok &= run_word(0, OP_MTSPR(SPR_SPRG0 + i, 5));
    }
    for (unsigned i = 3; i < 8; i++) {
        ok &= check_quiet(run_word(MSR_PR, OP_MFSPR(6, 256 + i)) && run_context.gpr[6] == 0x11223300 + i,
                          "SPRG3-7 in user mode", run_context.gpr[6]);
    }
    check(ok, "user mode reads SPRG3 to SPRG7");
    static const uint32_t usprg0[] = {OP_MTSPR(SPR_USPRG0, 5), OP_MFSPR(6, SPR_USPRG0)};
    run_context.gpr[5] = 0x76543210;
    check(run_words(MSR_PR, usprg0, 2) && run_context.gpr[6] == 0x76543210, "user mode has USPRG0");
    uint64_t before = timebase();
    static const uint32_t read_timebase[] = {OP_MFSPR(5, 269), OP_MFSPR(6, 268)};
    run_words(MSR_PR, read_timebase, 2);
    uint64_t seen = (uint64_t)run_context.gpr[5] << 32 | run_context.gpr[6];
    check(seen >= before && seen <= timebase(), "user mode reads the time base");
}
