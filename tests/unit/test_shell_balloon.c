// SPDX-License-Identifier: Apache-2.0
// The shell's `balloon`: what is shown and asked, sizes that are none, the guest's answer when it comes.
// unit-sources: service/shell.c service/shell_line.c service/shell_commands.c service/shell_edit.c service/shell_balloon.c service/shell_figures.c lib/config*.c lib/dts*.c lib/pci.c core/console.c core/log.c
#include "tests/unit/shell_fixture.h"

static int set_up(void **state) {
    static bool added;
    (void)state;
    if (!added)
        console_add_device(&capture_device);
    added = true;
    shell_init(&board);
    machine();
    return 0;
}

static void test_show(void **state) {
    static const uint64_t stat[VIRTIO_BALLOON_STATS] = {[VIRTIO_BALLOON_TOTAL] = 200 << 20,
                                                        [VIRTIO_BALLOON_FREE] = 12 << 10,
                                                        [VIRTIO_BALLOON_AVAILABLE] = 150 << 20,
                                                        [VIRTIO_BALLOON_CACHES] = 30 << 20};
    (void)state;
    balloon =
        (struct balloon_figures){.driver = true, .wanted = 64 << 20, .given = 60 << 20, .cleared = 5 << 20};
    assert_string_equal(command("balloon web"),
                        "web: asked to give back 64 MiB, has given back 60 MiB; 5 MiB were cleared\n");
    assert_non_null(balloon_answer);
    /* The answer goes above the line that is being typed. */
    type("mem");
    capture_clear();
    balloon_answer(0, stat, 0xffff);
    const char *screen = capture_screen(NULL);
    assert_non_null(strstr(
        screen, "web says: 200 MiB in all, 12 KiB free, 150 MiB available, 30 MiB caches\nsaguaro> mem"));
    type("\x15");
    capture_clear();
    balloon_answer(0, stat, 1 << VIRTIO_BALLOON_FREE);
    assert_non_null(strstr(capture_screen(NULL), "web says: 12 KiB free\n"));
    capture_clear();
    balloon_answer(0, stat, 1 << VIRTIO_BALLOON_SWAP_IN);
    assert_non_null(strstr(capture_screen(NULL), "web says: nothing of its memory\n"));
}

static void test_want(void **state) {
    (void)state;
    balloon.driver = true;
    assert_string_equal(command("balloon web 64M"), "");
    assert_string_equal(actions, "want 65536;");
    assert_string_equal(command("balloon  web  0 "), "");
    assert_string_equal(actions, "want 65536;want 0;");
    assert_string_equal(command("balloon web 256M"), "");
    actions[0] = '\0';
    assert_string_equal(command("balloon web 257M"), "web has no more than 256 MiB\n");
    assert_string_equal(command("balloon web 64MB"), "\"64MB\" is no size like 64M\n");
    assert_string_equal(command("balloon web -1"), "\"-1\" is no size like 64M\n");
    assert_string_equal(command("balloon web 99999999999999999999"),
                        "\"99999999999999999999\" is no size like 64M\n");
    assert_string_equal(command("balloon web 1M 2M"), "usage: balloon NAME [SIZE]\n");
    assert_string_equal(command("balloon"), "usage: balloon NAME [SIZE]\n");
    assert_string_equal(command("balloon wev 1M"), "no guest \"wev\"; did you mean \"web\"?\n");
    assert_string_equal(actions, "");
    assert_null(balloon_answer);
}

static void test_not_there(void **state) {
    (void)state;
    assert_string_equal(command("balloon web"),
                        "web: asked to give back 0 KiB, has given back 0 KiB; 0 KiB were cleared\n"
                        "its driver is not there\n");
    assert_null(balloon_answer);
    assert_string_equal(command("balloon web 1M"), "its driver is not there; it is asked when it comes\n");
    assert_string_equal(actions, "want 1024;");
    assert_string_equal(command("balloon database 1M"),
                        "database has no balloon; its config wants balloon = \"yes\" for that\n");
    assert_string_equal(actions, "want 1024;");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_show, set_up),
        cmocka_unit_test_setup(test_want, set_up),
        cmocka_unit_test_setup(test_not_there, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
