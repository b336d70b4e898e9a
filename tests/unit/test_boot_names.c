// SPDX-License-Identifier: Apache-2.0
// The loader's names: file paths, UTF-8 and UCS-2, DHCP's boot file and server, TFTP's size query, console
// device paths.
// unit-sources: boot/path.c boot/dhcp.c boot/tftp.c boot/serial.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "boot/dhcp.h"
#include "boot/path.h"
#include "boot/serial.h"
#include "boot/tftp.h"

static void joins(const char *dir, const char *name, char separator, const char *expected) {
    char path[64];
    const char *why;

    assert_int_equal(path_join(dir, name, separator, path, sizeof(path), &why), 0);
    assert_string_equal(path, expected);
}

static void refuses(const char *dir, const char *name, int error) {
    char path[16];
    const char *why = NULL;

    assert_int_equal(path_join(dir, name, '\\', path, sizeof(path), &why), error);
    assert_non_null(why);
    assert_true(strlen(why) > 10);
}

static void test_path_join(void **state) {
    (void)state;
    joins("\\EFI\\BOOT", "saguaro.dts", '\\', "\\EFI\\BOOT\\saguaro.dts");
    joins("\\EFI\\BOOT", "sub/vmlinuz", '\\', "\\EFI\\BOOT\\sub\\vmlinuz");
    joins("", "sub/vmlinuz", '\\', "sub\\vmlinuz");
    joins("\\", "vmlinuz", '\\', "\\vmlinuz");
    joins("\\a\\", "./b//c", '\\', "\\a\\b\\c");
    joins("boot/x", "vmlinuz", '/', "boot/x/vmlinuz");
    joins("/srv/tftp", "vmlinuz", '/', "/srv/tftp/vmlinuz");
    joins("boot\\x", "vmlinuz", '/', "boot/x/vmlinuz");
    joins("", "..a", '/', "..a");
    joins("", "a..", '/', "a..");
    joins("..", "a", '/', "../a"); /* the directory is the firmware's, not the config's */
    joins("", "B\xc3\xa4r", '/', "B\xc3\xa4r");
    refuses("", "", -EINVAL);
    refuses("", "/etc/passwd", -EINVAL);
    refuses("", "\\x", -EINVAL);
    refuses("", "a\\b", -EINVAL);
    refuses("", "C:x", -EINVAL);
    refuses("", "tftp://x", -EINVAL);
    refuses("", "..", -EINVAL);
    refuses("", "a/../b", -EINVAL);
    refuses("", "a/..", -EINVAL);
    refuses("", ".", -EINVAL);
    refuses("", "./", -EINVAL);
    refuses("", "a/", -EINVAL);
    refuses("", "a\nb", -EINVAL);
    refuses("", "a\x7f", -EINVAL);
    refuses("", "1234567890123456", -ENAMETOOLONG);
    refuses("12345678", "12345678", -ENAMETOOLONG);
    refuses("123456789012345", "1", -ENAMETOOLONG);
    refuses("1234567890123456", "1", -ENAMETOOLONG);
}

static void test_path_limits(void **state) {
    char path[4];
    const char *why;

    (void)state;
    assert_int_equal(path_join("", "abc", '/', path, 4, &why), 0);
    assert_string_equal(path, "abc");
    assert_int_equal(path_join("", "abcd", '/', path, 4, &why), -ENAMETOOLONG);
    assert_int_equal(path_join("", "a", '/', path, 1, &why), -ENAMETOOLONG);
    assert_int_equal(path_join("a", "b", '/', path, 4, &why), 0);
    assert_string_equal(path, "a/b");
    assert_int_equal(path_join("ab", "c", '/', path, 4, &why), -ENAMETOOLONG);
}

static void cuts(const char *path, const char *expected) {
    char text[64];

    strcpy(text, path);
    path_cut_to_directory(text);
    assert_string_equal(text, expected);
}

static void test_path_cut(void **state) {
    (void)state;
    cuts("\\EFI\\BOOT\\BOOTX64.EFI", "\\EFI\\BOOT");
    cuts("\\x.efi", "\\");
    cuts("x.efi", "");
    cuts("a/b.efi", "a");
    cuts("/b.efi", "/");
    cuts("", "");
    cuts("/", "/");
}

static void test_utf(void **state) {
    uint16_t out[8];
    const uint16_t text[] = {'a', ' ', '~', 0, 'x'};
    const uint16_t bad[] = {'a', 0x1f};
    char ascii[4];

    (void)state;
    assert_int_equal(path_ucs2_from_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", out, 8), 5);
    assert_int_equal(out[1], 0xe4);
    assert_int_equal(out[2], 0x20ac);
    assert_int_equal(out[3], '?');
    assert_int_equal(out[4], 'z');
    assert_int_equal(out[5], 0);
    /* overlong, lone continuation, cut short, surrogate: a '?' each byte, none swallowed */
    assert_int_equal(path_ucs2_from_utf8("\xc0\x80z", out, 8), 3);
    assert_int_equal(out[2], 'z');
    assert_int_equal(path_ucs2_from_utf8("\x80z", out, 8), 2);
    assert_int_equal(path_ucs2_from_utf8("\xe2\x82", out, 8), 2);
    assert_int_equal(path_ucs2_from_utf8("\xed\xa0\x80", out, 8), 3);
    assert_int_equal(path_ucs2_from_utf8("12345678", out, 8), 7);
    assert_int_equal(out[7], 0);
    assert_int_equal(path_ucs2_from_utf8("1", out, 0), 0);
    assert_int_equal(path_ascii_from_ucs2(text, 5, ascii, sizeof(ascii)), 0);
    assert_string_equal(ascii, "a ~");
    assert_int_equal(path_ascii_from_ucs2(text, 2, ascii, sizeof(ascii)), 0);
    assert_string_equal(ascii, "a ");
    assert_int_equal(path_ascii_from_ucs2(text, 5, ascii, 3), -EINVAL);
    assert_int_equal(path_ascii_from_ucs2(bad, 2, ascii, sizeof(ascii)), -EINVAL);
    assert_int_equal(path_ascii_from_ucs2(bad, 0, ascii, 0), -EINVAL);
}

/* A DHCP answer: next server 10.0.2.2, boot file "fixed/x.efi", server id 10.0.2.3, then `options`. */
static size_t packet_make(uint8_t packet[400], const uint8_t *options, size_t size) {
    static const uint8_t cookie[] = {99, 130, 83, 99, 54, 4, 10, 0, 2, 3};

    memset(packet, 0, 400);
    packet[0] = 2;
    memcpy(packet + 20, "\x0a\x00\x02\x02", 4);
    strcpy((char *)packet + 108, "fixed/x.efi");
    memcpy(packet + 236, cookie, sizeof(cookie));
    memcpy(packet + 246, options, size);
    return 246 + size;
}

static void test_dhcp(void **state) {
    static const uint8_t named[] = "\x43\x05"
                                   "a/b.c"
                                   "\x42\x08"
                                   "10.9.8.7"
                                   "\xff";
    static const uint8_t overload[] = {52, 1, 1, 255};
    uint8_t packet[400];
    struct dhcp_boot boot;
    size_t size = packet_make(packet, (const uint8_t *)"\xff", 1);

    (void)state;
    assert_int_equal(dhcp_boot_read(packet, size, &boot), 0);
    assert_int_equal(boot.server, 0x0202000a);
    assert_string_equal(boot.file, "fixed/x.efi");
    memset(packet + 20, 0, 4); /* no next server: the server identifier */
    assert_int_equal(dhcp_boot_read(packet, size, &boot), 0);
    assert_int_equal(boot.server, 0x0302000a);
    memset(packet + 108, 'x', 128); /* not terminated within the field */
    assert_int_equal(dhcp_boot_read(packet, size, &boot), 0);
    assert_int_equal(strlen(boot.file), 128);
    packet[110] = '\n'; /* no name at all */
    assert_int_equal(dhcp_boot_read(packet, size, &boot), 0);
    assert_string_equal(boot.file, "");

    size = packet_make(packet, named, sizeof(named) - 1);
    assert_int_equal(dhcp_boot_read(packet, size, &boot), 0);
    assert_int_equal(boot.server, 0x0708090a);
    assert_string_equal(boot.file, "a/b.c");
    packet[246 + 9] = 'x'; /* a host name instead of an address: the next-server field */
    assert_int_equal(dhcp_boot_read(packet, size, &boot), 0);
    assert_int_equal(boot.server, 0x0202000a);

    size = packet_make(packet, overload, sizeof(overload));
    memcpy(packet + 108,
           "\x43\x03"
           "o/p"
           "\xff",
           6);
    assert_int_equal(dhcp_boot_read(packet, size, &boot), 0);
    assert_string_equal(boot.file, "o/p");

    assert_int_equal(dhcp_boot_read(packet, 239, &boot), -EINVAL);
    assert_int_equal(dhcp_boot_read(packet, 240, &boot), 0);
    packet[0] = 1;
    assert_int_equal(dhcp_boot_read(packet, size, &boot), -EINVAL);
    packet[0] = 2;
    packet[236] = 0;
    assert_int_equal(dhcp_boot_read(packet, size, &boot), -EINVAL);
}

/* Every cut of a sound packet, and random bytes: only that nothing outside is read (the sanitizer sees to
 * it). */
static void test_dhcp_truncated(void **state) {
    static const uint8_t named[] = "\x43\x05"
                                   "a/b.c"
                                   "\x42\x08"
                                   "10.9.8.7"
                                   "\x34\x01\x03\xff";
    uint8_t packet[400];
    size_t size = packet_make(packet, named, sizeof(named) - 1);
    struct dhcp_boot boot;

    (void)state;
    srand(7);
    for (size_t cut = 0; cut <= size; cut++) {
        uint8_t *copy = malloc(cut + 1);

        memcpy(copy, packet, cut);
        assert_int_equal(dhcp_boot_read(copy, cut, &boot), cut < 240 ? -EINVAL : 0);
        free(copy);
    }
    for (int round = 0; round < 5000; round++) {
        uint8_t *copy = malloc(300);

        memcpy(copy, packet, 240);
        for (size_t i = 240; i < 300; i++) {
            copy[i] = (uint8_t)(rand() % 3 ? rand() : 52 + rand() % 16);
        }
        assert_int_equal(dhcp_boot_read(copy, 300, &boot), 0);
        free(copy);
    }
}

static void test_tftp(void **state) {
    static const uint8_t request[] = "\0\1a/b\0octet\0tsize\0"
                                     "0";
    uint8_t packet[TFTP_PACKET];
    char path[TFTP_PACKET + 1];
    char message[8];
    uint64_t size = 0;
    uint16_t code = 0;

    (void)state;
    assert_int_equal(tftp_size_request("a/b", packet), sizeof(request));
    assert_memory_equal(packet, request, sizeof(request));
    memset(path, 'x', sizeof(path));
    path[TFTP_PACKET] = '\0';
    assert_int_equal(tftp_size_request(path, packet), 0);
    path[TFTP_PACKET - 2 - 14 - 1] = '\0';
    assert_int_equal(tftp_size_request(path, packet), TFTP_PACKET);
    assert_int_equal(packet[1], 1);
    assert_true(tftp_abort(packet) > 4);
    assert_int_equal(packet[1], 5);

#define ANSWER(bytes) tftp_answer_read(bytes, sizeof(bytes) - 1, &size, &code, message, sizeof(message))
    assert_int_equal(ANSWER("\0\6tsize\0001234567\0"), TFTP_ANSWER_SIZE);
    assert_int_equal(size, 1234567);
    assert_int_equal(ANSWER("\0\6blksize\000512\0TSize\00018446744073709551610\0"), TFTP_ANSWER_NO_SIZE);
    assert_int_equal(ANSWER("\0\6blksize\000512\0TSize\0009\0"), TFTP_ANSWER_SIZE);
    assert_int_equal(size, 9);
    assert_int_equal(ANSWER("\0\6tsize\000123"), TFTP_ANSWER_NO_SIZE); /* not terminated */
    assert_int_equal(ANSWER("\0\6tsize\0\0"), TFTP_ANSWER_NO_SIZE);
    assert_int_equal(ANSWER("\0\6tsize\00012x\0"), TFTP_ANSWER_NO_SIZE);
    assert_int_equal(ANSWER("\0\6tsize"), TFTP_ANSWER_NO_SIZE);
    assert_int_equal(ANSWER("\0\6ts\0001\0"), TFTP_ANSWER_NO_SIZE);
    assert_int_equal(ANSWER("\0\3\0\1data"), TFTP_ANSWER_NO_SIZE);
    assert_int_equal(ANSWER("\0\5\0\1no\1such file\0"), TFTP_ANSWER_ERROR);
    assert_int_equal(code, TFTP_ERROR_NOT_FOUND);
    assert_string_equal(message, "no.such");
    assert_int_equal(ANSWER("\0\5\0\1"), TFTP_ANSWER_ERROR);
    assert_string_equal(message, "");
    assert_int_equal(ANSWER("\0\5\0"), TFTP_ANSWER_OTHER);
    assert_int_equal(ANSWER("\1\6tsize\0001\0"), TFTP_ANSWER_OTHER);
    assert_int_equal(ANSWER("\0\4\0\1"), TFTP_ANSWER_OTHER);
    assert_int_equal(ANSWER(""), TFTP_ANSWER_OTHER);
#undef ANSWER
}

#define ROOT     2, 1, 12, 0, 0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0 /* PciRoot(0) */
#define PCI      1, 1, 6, 0, 0, 0x1f                             /* Pci(0x1f,0) */
#define SERIAL_0 2, 1, 12, 0, 0xd0, 0x41, 0x01, 0x05, 0, 0, 0, 0 /* Serial(0) */
#define SERIAL_1 2, 1, 12, 0, 0xd0, 0x41, 0x01, 0x05, 1, 0, 0, 0 /* Serial(1) */
#define UART     3, 14, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 1, 1
#define NEXT     0x7f, 1, 4, 0
#define END      0x7f, 0xff, 4, 0

static void test_console_path(void **state) {
    static const uint8_t com1[] = {ROOT, PCI, SERIAL_0, UART, END};
    static const uint8_t com2[] = {ROOT, PCI, SERIAL_1, UART, END};
    static const uint8_t both[] = {ROOT, PCI, NEXT, ROOT, PCI, SERIAL_1, UART, NEXT, SERIAL_0, UART, END};
    static const uint8_t plain[] = {ROOT, PCI, UART, END};
    static const uint8_t screen[] = {ROOT, PCI, END};
    static const uint8_t no_uart[] = {ROOT, SERIAL_0, NEXT, PCI, END};
    static const uint8_t endless[] = {ROOT, SERIAL_0, UART};
    static const uint8_t zero[] = {2, 1, 0, 0, UART, END};
    static const uint8_t after_end[] = {ROOT, END, SERIAL_0, UART, END};

    (void)state;
    assert_true(serial_in_device_path(com1, sizeof(com1)));
    assert_false(serial_in_device_path(com2, sizeof(com2)));
    assert_true(serial_in_device_path(both, sizeof(both)));
    assert_true(serial_in_device_path(plain, sizeof(plain)));
    assert_false(serial_in_device_path(screen, sizeof(screen)));
    assert_false(serial_in_device_path(no_uart, sizeof(no_uart)));
    assert_false(serial_in_device_path(endless, sizeof(endless)));
    assert_false(serial_in_device_path(zero, sizeof(zero)));
    assert_false(serial_in_device_path(after_end, sizeof(after_end)));
    for (size_t cut = 0; cut < sizeof(com1); cut++) {
        uint8_t *copy = malloc(cut + 1);

        memcpy(copy, com1, cut);
        assert_false(serial_in_device_path(copy, cut));
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_join), cmocka_unit_test(test_path_limits),
        cmocka_unit_test(test_path_cut),  cmocka_unit_test(test_utf),
        cmocka_unit_test(test_dhcp),      cmocka_unit_test(test_dhcp_truncated),
        cmocka_unit_test(test_tftp),      cmocka_unit_test(test_console_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
