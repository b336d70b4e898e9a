// SPDX-License-Identifier: Apache-2.0
// Consoles: the line that is edited stays below all other output; guests' lines are named, cleaned and
// limited; input reaches who has the console.
// unit-sources: core/console.c core/console_guest.c core/log.c
#include "tests/unit/console_fixture.h"

static void test_write(void **state) {
    (void)state;
    console_add_device(&capture_device);
    capture_clear();
    console_write("a\nb", 3);
    console_write("", 0);
    console_write("c\n", 2);
    assert_string_equal(captured, "a\r\nbc\r\n");
    char text[300];
    memset(text, '\n', sizeof(text));
    capture_clear();
    console_write(text, sizeof(text));
    assert_int_equal(captured_length, 600);
    console_flush();
}

static void prompt(const char *text, unsigned cursor) {
    console_prompt(text, strlen(text), cursor);
}

static void expect_screen(const char *expected, unsigned expected_column) {
    unsigned column;
    assert_string_equal(capture_screen(&column), expected);
    assert_int_equal(column, expected_column);
}

static void test_prompt(void **state) {
    (void)state;
    capture_clear();
    prompt("> ", 2);
    assert_string_equal(captured, "> ");
    /* A key at the end costs one byte. */
    capture_clear();
    prompt("> a", 3);
    assert_string_equal(captured, "a");
    prompt("> ab", 4);
    capture_clear();
    prompt("> ab", 3);
    assert_string_equal(captured, "\b");
    prompt("> ab", 4);
    assert_string_equal(captured, "\bb");
    prompt("> ab", 4);
    assert_string_equal(captured, "\bb");
    prompt("> a", 3);
    assert_string_equal(captured, "\bb\b\x1b[K");
    /* Anything else is written above it. */
    capture_clear();
    console_write("> a", 0);
    prompt("> abc", 3);
    console_write("other\n", 6);
    log_info("logged");
    console_write("no end", 6);
    capture_clear();
    console_write("more", 4);
    assert_string_equal(captured, "\r\x1b[Kmore\r\n> abc\b\b");
    prompt("> abXc", 5);
    expect_screen("more\n> abXc", 5);
    console_prompt_enable(false);
    console_write("x\n", 2);
    prompt("> abY", 5);
    expect_screen("more\nx\n", 0);
    console_prompt_enable(true);
    expect_screen("more\nx\n> abY", 5);
    prompt("> abY", 2);
    console_prompt_close();
    console_write("out\n", 4);
    expect_screen("more\nx\n> abY\nout\n", 0);
    console_prompt_close();
    expect_screen("more\nx\n> abY\nout\n", 0);
    /* A text that is too long is cut. */
    char longer[400];
    memset(longer, 'l', sizeof(longer));
    capture_clear();
    console_prompt(longer, sizeof(longer), 300);
    assert_int_equal(captured_length, CONSOLE_PROMPT);
    console_prompt_close();
}

/* From any line to any other: the screen shows the new one. */
static void test_prompt_updates(void **state) {
    (void)state;
    static const char *const lines[] = {"> ", "> a", "> ab", "> abc", "> xbc", "> bc", "> aab", "other"};
    const unsigned count = sizeof(lines) / sizeof(lines[0]);
    for (unsigned from = 0; from < count; from++) {
        for (unsigned to = 0; to < count; to++) {
            for (unsigned a = 0; a <= strlen(lines[from]); a++) {
                for (unsigned b = 0; b <= strlen(lines[to]); b++) {
                    capture_clear();
                    prompt(lines[from], a);
                    prompt(lines[to], b);
                    expect_screen(lines[to], b);
                    console_prompt_close();
                    capture_clear();
                }
            }
        }
    }
}

static void test_guest_lines(void **state) {
    (void)state;
    setup();
    print(&web, "Linux ");
    print(&db, "Other\r\n");
    assert_string_equal(captured, "[db] Other\r\n");
    print(&web, "version\r\n\n");
    assert_string_equal(captured, "[db] Other\r\n[web] Linux version\r\n[web] \r\n");
    /* What would drive the terminal, or look like somebody else. */
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\x1b[2J\x1b[1;31mred\x1b[0m\n", "[web] red\r\n"},
        {"\x1b]0;title\x07text\n", "[web] text\r\n"},
        {"\x1b]0;title\x1b\\text\n", "[web] text\r\n"},
        {"\x1b]0;no end\ntext\n", "[web] \r\n[web] text\r\n"},
        {"\x1b"
         "cx\x1b(By\n",
         "[web] xy\r\n"},
        {"\x1b[31\x01zz\n", "[web] zz\r\n"},
        {"a\rb\n", "[web] b\r\n"},
        {"abc\rX\n", "[web] Xbc\r\n"},
        {"abc\b\bX\n", "[web] aXc\r\n"},
        {"\b\b\bX\n", "[web] X\r\n"},
        {"a\tb\x01\x02\x7f"
         "c\n",
         "[web] a bc\r\n"},
        {"\xc3\xa9\x9b"
         "2J\n",
         "[web] ...2J\r\n"},
        {"\r[db] hello\n", "[web] [db] hello\r\n"},
        {"\nsaguaro> \n", "[web] \r\n[web] saguaro> \r\n"},
        {"x\x0b\x0cy\n", "[web] xy\r\n"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        capture_clear();
        print(&web, cases[i].in);
        assert_string_equal(captured, cases[i].out);
    }
    /* Every byte alone: none but printable ones get through. */
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t bytes[3] = {(uint8_t)byte, 'k', '\n'};
        capture_clear();
        console_guest_output(&web, bytes, 3);
        for (size_t i = 0; i < captured_length; i++)
            assert_true((captured[i] >= 0x20 && captured[i] < 0x7f) || captured[i] == '\r' ||
                        captured[i] == '\n');
        print(&web, "\x07\x1b\\\n");
    }
    /* A line without end comes in pieces, the last when the guest has ended. */
    char text[451], expected[600];
    memset(text, 'q', 450);
    text[450] = '\0';
    capture_clear();
    print(&web, text);
    snprintf(expected, sizeof(expected), "[web] %.200s\r\n[web] %.200s\r\n", text, text);
    assert_string_equal(captured, expected);
    capture_clear();
    console_guest_flush(&web);
    snprintf(expected, sizeof(expected), "[web] %.50s\r\n", text);
    assert_string_equal(captured, expected);
    console_guest_flush(&web);
    assert_string_equal(captured, expected);
    /* Above the line that the user edits. */
    capture_clear();
    prompt("> vm", 4);
    print(&web, "hello\n");
    expect_screen("[web] hello\n> vm", 4);
    console_prompt_close();
    struct vm none = {.name = "none"};
    print(&none, "x\n");
    console_guest_flush(&none);
    console_guest_ready(&none);
    teardown();
}

static unsigned count_of(const char *what) {
    unsigned count = 0;
    for (const char *at = captured; (at = strstr(at, what)) != NULL; at += strlen(what))
        count++;
    return count;
}

static void test_rate(void **state) {
    (void)state;
    test_time = 1;
    setup();
    for (unsigned i = 0; i < 3000; i++)
        print(&web, "a line of some length that is repeated without end or sense\n");
    unsigned shown = count_of("[web] a line");
    assert_true(shown > 1000 && shown < 2500);
    print(&db, "the other is not bothered\n");
    assert_int_equal(count_of("[db] the other"), 1);
    capture_clear();
    print(&web, "no\n");
    assert_string_equal(captured, "");
    test_time += 1000000000ull; /* a second later */
    print(&web, "yes\n");
    char expected[100];
    snprintf(expected, sizeof(expected), "[web] (%u lines not shown: too many at once)\r\n[web] yes\r\n",
             3001 - shown);
    assert_string_equal(captured, expected);
    /* Time that passes in small steps counts in full. */
    capture_clear();
    for (unsigned i = 0; i < 3000; i++)
        print(&web, "a line of some length that is repeated without end or sense\n");
    capture_clear();
    for (unsigned i = 0; i < 100000; i++) {
        test_time += 10000; /* 10 us */
        print(&web, "12345678\n");
    }
    shown = count_of("] 12345678");
    assert_true(shown >= (8192 - 2048) / 16 && shown <= 8192 / 16 + 2);
    teardown();
}

/* What a user sees of a guest's last output who goes to its console. */
static const char *replayed(struct vm *vm) {
    static const char head[] = "leaves ---\r\n", tail[] = "\x1b[0m\x1b[?25h";
    capture_clear();
    assert_int_equal(console_attach(vm), 0);
    console_detach();
    char *text = strstr(captured, head);
    assert_non_null(text);
    text += sizeof(head) - 1;
    char *end = strstr(text, tail);
    assert_non_null(end);
    *end = '\0';
    return text;
}

static void test_replay(void **state) {
    (void)state;
    setup();
    assert_string_equal(replayed(&web), "");
    print(&web, "one\r\ntwo\r\n/ # ");
    assert_string_equal(replayed(&web), "one\r\ntwo\r\n/ # ");
    /* 25 lines, around the ring's end. */
    char line[32], expected[25 * 11 + 1];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(line, sizeof(line), "line %05u\n", i);
        print(&web, line);
        if (i >= 4975)
            memcpy(expected + (i - 4975) * 11, line, 12);
    }
    assert_string_equal(replayed(&web), expected);
    /* An incomplete one at the end counts. */
    print(&web, "/ # ");
    const char *text = replayed(&web);
    assert_memory_equal(text, expected + 11, 24 * 11);
    assert_string_equal(text + 24 * 11, "/ # ");
    /* More at once than the ring holds: the line before has lost its start. */
    static char big[40001];
    memset(big, 'z', 40000);
    memcpy(big + 39990, "\nthe end\n", 9);
    big[39999] = '\0';
    print(&web, big);
    assert_string_equal(replayed(&web), "the end\n");
    teardown();
}

/* --- input --- */

static char keyed[600]; /* what was not for a guest */
static unsigned told;
static bool takes = true;

static void typed(void) {
    told++;
    size_t used = strlen(keyed);
    for (int key; takes && (key = console_key()) >= 0;)
        keyed[used++] = (char)key;
    keyed[used] = '\0';
}

static void expect_keyed(const char *text) {
    assert_string_equal(keyed, text);
    keyed[0] = '\0';
}

static uint8_t taken[2000];
static size_t taken_count, room;

static size_t receive(void *device, const uint8_t *bytes, size_t count) {
    assert_ptr_equal(device, taken);
    if (count > room)
        count = room;
    memcpy(taken + taken_count, bytes, count);
    taken_count += count;
    room -= count;
    return count;
}

static const struct console_receiver receiver = {.input = receive, .device = taken};

static void expect_taken(const char *text) {
    assert_int_equal(taken_count, strlen(text));
    assert_memory_equal(taken, text, taken_count);
    taken_count = 0;
}

static void test_attach(void **state) {
    (void)state;
    test_time = 1;
    setup();
    type("early");
    console_set_typed(typed);
    type("vms\r");
    expect_keyed("earlyvms\r");
    assert_int_equal(console_key(), -EAGAIN);
    /* What nobody takes waits, as long as there is room. */
    takes = false;
    told = 0;
    for (unsigned i = 0; i < 520; i++)
        type("k");
    assert_int_equal(told, 520);
    takes = true;
    type("z");
    assert_int_equal(strspn(keyed, "k"), 512);
    assert_int_equal(strlen(keyed), 512);
    keyed[0] = '\0';
    struct vm none = {.name = "none"};
    assert_int_equal(console_attach(&none), -ENODEV);
    console_guest_attach(&none, &receiver);
    print(&web, "old 1\nold 2\n/ # ");
    capture_clear();
    prompt("> ", 2);
    assert_int_equal(console_attach(&web), 0);
    assert_ptr_equal(console_attached(), &web);
    assert_non_null(strstr(captured, "--- console of web; Ctrl-] leaves ---\r\nold 1\nold 2\n/ # "));
    /* Raw both ways; the other guest and the log keep to their own lines. */
    capture_clear();
    print(&web, "\x1b[1mbold\xff");
    assert_string_equal(captured, "\x1b[1mbold\xff");
    print(&db, "hello\n");
    log_info("note");
    print(&web, "on\r\n");
    assert_string_equal(captured, "\x1b[1mbold\xff\r\n[db] hello\r\n[    0.000000] note\r\non\r\n");
    type("no receiver");
    console_guest_attach(&web, &receiver);
    room = 1000;
    type("ls\x03\x1b[A");
    expect_taken("ls\x03\x1b[A");
    expect_keyed("");
    assert_int_equal(console_key(), -EAGAIN);
    capture_clear();
    type("x\x1dq");
    expect_taken("x");
    expect_keyed("q");
    assert_null(console_attached());
    assert_non_null(strstr(captured, "--- left the console of web ---\r\n> "));
    /* The end of a line that began while attached does not count as the guest's line before it. */
    capture_clear();
    print(&web, "next\n");
    assert_string_equal(captured, "\r\x1b[K[web] next\r\n> ");
    console_detach();
    /* Of what is typed ahead, what comes behind the command is the guest's. */
    takes = false;
    type("ls");
    assert_int_equal(console_attach(&web), 0);
    run();
    expect_taken("ls");
    takes = true;
    console_detach();
    /* Who goes away while attached is detached. */
    assert_int_equal(console_attach(&db), 0);
    console_guest_destroy(&db);
    assert_null(console_attached());
    setup_vm(&db, "db");
    console_prompt_close();
    teardown();
}

/* Other lines come above the attached guest's unfinished one, which stays whole, with its cursor. */
static void test_attached_line(void **state) {
    (void)state;
    static const struct {
        const char *in, *after; /* what the guest prints before and after another's line */
        const char *screen;
        unsigned column;
    } cases[] = {
        {"/ # un", "ame", "[db] x\n/ # uname", 9},
        {"done\r\n", "/ # ", "done\n[db] x\n/ # ", 4},
        {"abc\b\b", "X", "[db] x\naXc", 2},
        {"abc\r", "\nd", "[db] x\nabc\nd", 1},
        {"\x1b[1;32mabc\x1b[0m", "d", "[db] x\nabcd", 4},
        {"abcd\b\b\x1b[K", "Z", "[db] x\nabZ", 3},
        {"\x1b[6nab\a\x1b[0J", "c", "[db] x\nabc", 3},
        /* Not understood: left where it is. */
        {"ab\x1b[5;5Hc", "d", "ab\x1b[5;5Hc\n[db] x\nd", 1},
        {"ab\x1b(Bc", "d", "ab\x1b(Bc\n[db] x\nd", 1},
        {"\xc3\xa9", "d", "\xc3\xa9\n[db] x\nd", 1},
    };
    setup();
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(console_attach(&web), 0);
        print(&web, "\n");
        capture_clear();
        print(&web, cases[i].in);
        print(&db, "x\n");
        print(&web, cases[i].after);
        char screen[200];
        unsigned column;
        const char *shown = capture_screen(&column);
        /* The screen of the tests keeps colours; a terminal shows none of their bytes. */
        size_t used = 0;
        for (const char *at = shown; *at != '\0'; at++) {
            if (strncmp(at, "\x1b[1;32m", 7) == 0)
                at += 6;
            else if (strncmp(at, "\x1b[0m", 4) == 0)
                at += 3;
            else
                screen[used++] = *at;
        }
        screen[used] = '\0';
        assert_string_equal(screen, cases[i].screen);
        assert_int_equal(column, cases[i].column);
        console_detach();
    }
    /* A line that is too long to be drawn again. */
    assert_int_equal(console_attach(&web), 0);
    print(&web, "\n");
    capture_clear();
    for (unsigned i = 0; i < 300; i++)
        print(&web, "w");
    print(&db, "x\n");
    assert_non_null(strstr(captured, "www\r\n[db] x\r\n"));
    print(&web, "\nnew");
    capture_clear();
    log_info("a");
    log_info("b");
    assert_string_equal(captured, "\r\x1b[K[    0.000000] a\r\nnew\r\x1b[K[    0.000000] b\r\nnew");
    console_detach();
    teardown();
}

static void test_slow_guest(void **state) {
    (void)state;
    setup();
    console_guest_attach(&web, &receiver);
    assert_int_equal(console_attach(&web), 0);
    room = 3;
    taken_count = 0;
    type("abcdef");
    expect_taken("abc");
    console_guest_ready(&web); /* no room yet after all */
    run();
    expect_taken("");
    room = 2;
    console_guest_ready(&web);
    console_guest_ready(&web);
    assert_int_equal(queued_count, 1);
    run();
    expect_taken("de");
    room = 100;
    type("g");
    expect_taken("fg");
    console_guest_ready(&web); /* nothing waits: nothing is queued */
    assert_int_equal(queued_count, 0);
    /* 256 bytes are kept, then the user hears that keys are lost. */
    room = 0;
    capture_clear();
    for (unsigned i = 0; i < 300; i++)
        type("k");
    assert_int_equal(captured_length, 44);
    assert_int_equal(captured[0], '\a');
    room = 1000;
    type("\x1d"); /* can be left at any time */
    assert_null(console_attached());
    console_guest_ready(&web);
    run();
    assert_int_equal(taken_count, 256);
    taken_count = 0;
    /* More input at once than anybody looks at: bounded. */
    assert_int_equal(console_attach(&web), 0);
    room = 2000;
    for (unsigned i = 0; i < 1000; i++)
        console_host_input('m');
    run();
    assert_int_equal(taken_count, 512);
    taken_count = 0;
    console_detach();
    teardown();
}

/* --- a guest's virtio console --- */

static void print_virtio(struct vm *vm, const char *text) {
    console_guest_output_virtio(vm, (const uint8_t *)text, strlen(text));
}

static bool virtio_open, virtio_closes;
static uint8_t virtio_taken[512];
static size_t virtio_count;

static bool virtio_is_open(void *device) {
    assert_ptr_equal(device, virtio_taken);
    return virtio_open;
}

static size_t virtio_receive(void *device, const uint8_t *bytes, size_t count) {
    assert_ptr_equal(device, virtio_taken);
    virtio_open = virtio_open && !virtio_closes;
    if (!virtio_open)
        return 0;
    memcpy(virtio_taken + virtio_count, bytes, count);
    virtio_count += count;
    return count;
}

static const struct console_receiver virtio = {
    .input = virtio_receive, .device = virtio_taken, .open = virtio_is_open};

static void test_two_ports(void **state) {
    (void)state;
    setup();
    /* Lines of their own for who is not attached. */
    print(&web, "ua");
    print_virtio(&web, "vir\x1b[");
    print(&web, "rt\n");
    print_virtio(&web, "1mtio\n");
    assert_string_equal(captured, "[web] uart\r\n[web] virtio\r\n");
    print(&web, "u");
    print_virtio(&web, "v");
    capture_clear();
    console_guest_flush(&web);
    assert_string_equal(captured, "[web] u\r\n[web] v\r\n");
    struct vm none = {.name = "none"};
    console_guest_attach_virtio(&none, &virtio);
    /* Both, as they come; keys to the one that is open. */
    console_guest_attach(&web, &receiver);
    console_guest_attach_virtio(&web, &virtio);
    room = 1000;
    taken_count = virtio_count = 0;
    assert_int_equal(console_attach(&web), 0);
    capture_clear();
    print(&web, "a");
    print_virtio(&web, "b");
    assert_string_equal(captured, "ab");
    type("one");
    expect_taken("one");
    virtio_open = true;
    type("two");
    expect_taken("");
    assert_memory_equal(virtio_taken, "two", 3);
    virtio_open = false;
    type("three");
    expect_taken("three");
    virtio_open = virtio_closes = true; /* just when it is to take something */
    type("3");
    expect_taken("3");
    virtio_closes = false;
    /* What nobody could take goes to who comes. */
    room = 0;
    type("four");
    virtio_open = true;
    console_guest_ready(&web);
    run();
    assert_memory_equal(virtio_taken + 3, "four", 4);
    /* One without a UART. */
    console_guest_attach(&web, NULL);
    virtio_open = false;
    type("6");
    virtio_open = true;
    console_guest_ready(&web);
    run();
    assert_int_equal(virtio_count, 7); /* nobody was there */
    virtio_open = false;
    console_detach();
    teardown();
}

static size_t room_of(struct console_device *device) {
    (void)device;
    return 77;
}

static void test_room(void **state) {
    (void)state;
    assert_true(console_room() == SIZE_MAX);
    capture_device.room = room_of;
    assert_int_equal(console_room(), 77);
    capture_device.room = NULL;
}

static void test_no_memory(void **state) {
    (void)state;
    struct vm vm = {.name = "v"};
    for (allocations_left = 0; allocations_left < 2;) {
        int had = allocations_left;
        assert_int_equal(console_guest_create(&vm), -ENOMEM);
        assert_null(vm.console);
        assert_int_equal(allocations, 0);
        allocations_left = had + 1;
    }
    allocations_left = 1000;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),          cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_prompt_updates), cmocka_unit_test(test_guest_lines),
        cmocka_unit_test(test_rate),           cmocka_unit_test(test_replay),
        cmocka_unit_test(test_attach),         cmocka_unit_test(test_slow_guest),
        cmocka_unit_test(test_attached_line),  cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_two_ports),      cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
