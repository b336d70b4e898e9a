// SPDX-License-Identifier: Apache-2.0
// The words of an exception's report, and the page-table format of the hypervisor's own tables.
// unit-sources: arch/x86/report_text.c arch/x86/paging_host.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/paging_host.h"
#include "arch/x86/report_text.h"

static void explains(unsigned vector, uint64_t error, const char *expected) {
    char text[128] = "left";
    trap_explain(text, sizeof(text), vector, error, 0xffff870000001000ull);
    assert_string_equal(text, expected);
}

static void page_faults(void **state) {
    (void)state;
    explains(14, 0x0, "read of 0xffff870000001000, which is not mapped");
    explains(14, 0x2, "write to 0xffff870000001000, which is not mapped");
    explains(14, 0x3, "write to 0xffff870000001000, which is mapped but not writable");
    explains(14, 0x11, "instruction fetch from 0xffff870000001000, which is mapped but not executable");
    explains(14, 0x1, "read of 0xffff870000001000, which is mapped but not accessible");
    explains(14, 0x9, "read of 0xffff870000001000, whose page-table entry has reserved bits set");
    explains(14, 0x4, "user-mode read of 0xffff870000001000, which is not mapped");
}

static void others(void **state) {
    (void)state;
    explains(13, 0, "no selector involved");
    explains(13, 0x18, "GDT entry 3");
    explains(11, 0x83, "IDT entry 16, while an outside event was delivered");
    explains(13, 0x0c, "LDT entry 1");
    explains(21, 3, "missing ENDBR");
    explains(21, 0x7000, "unknown");
    explains(6, 0, "");
    assert_string_equal(trap_name(14), "page fault");
    assert_string_equal(trap_name(8), "double fault");
    assert_string_equal(trap_name(9), "reserved exception");
    assert_string_equal(trap_name(200), "reserved exception");
    char small[8];
    trap_explain(small, sizeof(small), 14, 0, 0);
    assert_int_equal(strlen(small), 7);
    trap_explain(small, 0, 14, 0, 0);
}

static void rights_there_and_back(void **state) {
    static const unsigned cases[] = {
        PAGING_READ,
        PAGING_READ | PAGING_WRITE,
        PAGING_READ | PAGING_EXECUTE,
        PAGING_READ | PAGING_WRITE | PAGING_UNCACHED,
        PAGING_READ | PAGING_WRITE | PAGING_HOST_COMBINING,
        PAGING_READ | PAGING_USER,
    };
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(paging_host_format.rights_decode(paging_host_format.rights_encode(cases[i])),
                         cases[i]);
    assert_true(paging_host_format.rights_encode(PAGING_READ) & PTE_NO_EXECUTE);
    assert_false(paging_host_format.rights_encode(PAGING_READ | PAGING_EXECUTE) & PTE_WRITE);
    /* PAT entry 1 is write-combining, entry 3 uncached. */
    assert_int_equal(PAT_VALUE >> 8 & 0xff, 1);
    assert_int_equal(PAT_VALUE >> 24 & 0xff, 0);
    assert_int_equal(paging_host_format.rights_encode(PAGING_HOST_COMBINING) & (PTE_PWT | PTE_PCD), PTE_PWT);
    assert_int_equal(paging_host_format.rights_encode(PAGING_UNCACHED) & (PTE_PWT | PTE_PCD),
                     PTE_PWT | PTE_PCD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_faults),
        cmocka_unit_test(others),
        cmocka_unit_test(rights_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
