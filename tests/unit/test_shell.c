// SPDX-License-Identifier: Apache-2.0
// The shell: keys, completion, commands and what they say, over a mocked hypervisor and a real console; what
// is kept over a restart of the service VM.
// unit-sources: service/shell.c service/shell_line.c service/shell_commands.c service/shell_edit.c service/shell_balloon.c service/shell_figures.c lib/config*.c lib/dts*.c lib/pci.c core/console.c core/log.c
#include "tests/unit/shell_fixture.h"

/* --- the editor --- */

static void test_start(void **state) {
    (void)state;
    console_add_device(&capture_device);
    shell_init(&board);
    machine();
    assert_string_equal(captured, "saguaro> ");
    /* What is typed comes back as it is: scripts can wait for it. */
    capture_clear();
    type("mem");
    assert_string_equal(captured, "mem");
    type("\x15");
}

static void test_keys(void **state) {
    (void)state;
    static const struct {
        const char *keys, *line;
        unsigned cursor;
    } cases[] = {
        {"abc", "abc", 3},
        {"abc\x01X", "Xabc", 1},
        {"abc\x1b[D\x1b[DX", "aXbc", 2},
        {"abc\x02\x02\x06X", "abXc", 3},
        {"abc\x1b[HX\x1b[FY", "XabcY", 5},
        {"abc\x1bOHX\x1bOFY", "XabcY", 5},
        {"abc\x1b[1~X\x1b[4~Y", "XabcY", 5},
        {"abc\x1b[7~X\x1b[8~Y", "XabcY", 5},
        {"abc\x01\x1b[3~", "bc", 0},
        {"abc\x01\x04", "bc", 0},
        {"abc\x04", "abc", 3},
        {"abc\x7f", "ab", 2},
        {"abc\x08\x08", "a", 1},
        {"\x08\x7f", "", 0},
        {"abc\x1b[D\x15", "c", 0},
        {"abc\x01\x06\x0b", "a", 1},
        {"one two  \x17", "one ", 4},
        {"one two\x17\x17\x17", "", 0},
        {"one two\x1b[D\x17", "one o", 4},
        {"\x1b[D\x1b[C\x1b[C", "", 0},
        {"a\x05\x01\x05z", "az", 2},
        /* Sequences that are nothing here leave no trace. */
        {"a\x1b[1;5Cb\x1b[15~c\x1b[Zd\x1bxe\x1bOPf", "abcdef", 6},
        {"a\x1b[99999999999~b", "ab", 2},
        {"a\x1b[\x02X", "Xa", 1},
        {"a\x1b\x1b[DX", "Xa", 1},
        {"a\x80\xff\x00"
         "b\x07\x1d",
         "a", 1},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fresh_line();
        type(cases[i].keys);
        expect_line(cases[i].line, cases[i].cursor);
    }
    type("\x03");
}

static void test_long_line(void **state) {
    (void)state;
    struct edit edit = {.length = 0};
    unsigned first;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(edit_key(&edit, (uint8_t)('a' + i % 26)), EDIT_NONE);
    assert_int_equal(edit.length, EDIT_MAX);
    assert_int_equal(strlen(edit.line), EDIT_MAX);
    assert_int_equal(edit_view(&edit, 70, &first), 69);
    assert_int_equal(first, EDIT_MAX - 69);
    edit_key(&edit, 1);
    assert_int_equal(edit_view(&edit, 70, &first), 69);
    assert_int_equal(first, 0);
    edit_insert(&edit, "no room");
    assert_int_equal(edit.cursor, 0);
    /* The cursor is always in view. */
    for (edit.cursor = 0; edit.cursor <= edit.length; edit.cursor++) {
        unsigned count = edit_view(&edit, 20, &first);
        assert_true(edit.cursor >= first && edit.cursor - first <= count && count <= 19);
    }
    /* On the terminal: one line of 79 columns, whatever is typed. */
    fresh_line();
    for (unsigned i = 0; i < 200; i++)
        type("w");
    unsigned column;
    const char *screen = capture_screen(&column);
    assert_int_equal(column, 78);
    assert_null(strchr(screen, '\n'));
    assert_int_equal(strlen(command("")), 0);
    type("\x03");
}

static void test_history(void **state) {
    (void)state;
    command("mem");
    command("cpus");
    command("cpus"); /* once */
    command("   ");
    command("");
    fresh_line();
    type("new\x1b[A");
    expect_line("   ", 3);
    type("\x1b[A");
    expect_line("cpus", 4);
    type("\x10");
    expect_line("mem", 3);
    type("X\x1b[B");
    expect_line("cpus", 4);
    type("\x0e\x0e");
    expect_line("new", 3);
    type("\x1b[B");
    expect_line("new", 3);
    /* As many as there are, the oldest go. */
    char line[20];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(line, sizeof(line), "log %u", i);
        command(line);
    }
    fresh_line();
    for (unsigned i = 0; i < 30; i++)
        type("\x1b[A");
    expect_line("log 24", 6);
    for (unsigned i = 0; i < 15; i++)
        type("\x1b[B");
    expect_line("log 39", 6);
    machine();
    assert_int_equal(strlen(command("log 2")), 22);
}

static void test_enter(void **state) {
    (void)state;
    machine();
    capture_clear();
    type("pause web\r\n"); /* one Enter */
    assert_string_equal(actions, "pause 0;");
    type("stop web\nreset web\n\n\r\r\n");
    assert_string_equal(actions, "pause 0;stop 0;reset 0;");
    /* Ctrl-C gives a line up. */
    type("start web\x03\r");
    assert_string_equal(actions, "pause 0;stop 0;reset 0;");
    /* Enter in the middle of a line takes the whole. */
    type("start web\x01\r");
    assert_string_equal(actions, "pause 0;stop 0;reset 0;start 0;");
    /* Of many keys so many are taken in one turn; the rest in the next ones. */
    machine();
    memset(typed, ' ', 200);
    typed_count = 200;
    shell_keys();
    queued->run(queued);
    assert_int_equal(typed_taken, 64);
    keys();
    type("\x03");
}

static void completed(const char *keys_typed, const char *line) {
    fresh_line();
    type(keys_typed);
    expect_line(line, (unsigned)strlen(line));
    type("\x03");
}

static void test_completion(void **state) {
    (void)state;
    machine();
    completed("v\t", "vms ");
    completed("re\t", "re");
    completed("res\t", "res");
    completed("rese\t", "reset ");
    completed("reb\t", "reboot ");
    completed("zz\t", "zz");
    completed("  me\t", "  mem ");
    completed("console w\t", "console web ");
    completed("console d\t", "console data");
    completed("console data-\t", "console data-2 ");
    completed("vms dat\t\tb\t", "vms database ");
    completed("console web \t", "console web ");
    completed("console web d\t", "console web d");
    completed("help con\t", "help console ");
    completed("mem w\t", "mem w");
    completed("nothing w\t", "nothing w");
    /* No progress: what there is is shown. */
    capture_clear();
    type("res\t");
    assert_non_null(strstr(capture_screen(NULL), "reset  resume\nsaguaro> res"));
    type("\x03");
    capture_clear();
    type("pause \t");
    assert_non_null(strstr(capture_screen(NULL), "web  database  data-2\nsaguaro> pause "));
    type("\x03");
    capture_clear();
    type("\t");
    assert_non_null(strstr(capture_screen(NULL), "vms  console  start"));
    /* In the middle of a line. */
    fresh_line();
    type("con web\x01\x06\x06\x06\t");
    expect_line("console web", 7);
    type("\x03");
    vm_number = 0;
    completed("console \t", "console ");
    machine();
}

/* --- commands --- */

static void test_vms(void **state) {
    (void)state;
    machine();
    assert_string_equal(command("vms"),
                        "NAME             STATE      VCPUS     MEMORY   CPU TIME RESTARTS\n"
                        "web              running        2    256 MiB     12.3 s        0\n"
                        "    exits: port 123, interrupt window 4, cause with a long name 123456789012\n"
                        "    exits: HLT 99\n"
                        "database         off           16  65536 MiB    2:03:04        3\n"
                        "    ended: exit code 3\n"
                        "data-2           paused         1    512 KiB      0.0 s        0\n");
    assert_string_equal(command("vms data-2"),
                        "NAME             STATE      VCPUS     MEMORY   CPU TIME RESTARTS\n"
                        "data-2           paused         1    512 KiB      0.0 s        0\n");
    vm_number = 0;
    assert_string_equal(command("vms"), "there are no guests\n");
    machine();
}

static void test_actions(void **state) {
    (void)state;
    machine();
    assert_string_equal(command("start database"), "database: starting\n");
    assert_string_equal(command("stop web"), "web: stopping\n");
    assert_string_equal(command("reset web"), "web: resetting\n");
    assert_string_equal(command("pause web"), "web: pausing\n");
    assert_string_equal(command(" resume   data-2 "), "data-2: running\n");
    assert_string_equal(command("shutdown web"), "web: asked to shut down\n");
    assert_string_equal(command("console web"), "");
    assert_string_equal(command("writes data-2"), "data-2: counting for a second\n");
    assert_string_equal(actions, "start 1;stop 0;reset 0;pause 0;resume 2;shutdown 0;console 0;writes 2;");
    action_result = -EALREADY;
    assert_string_equal(command("start web"), "web is running already\n");
    action_result = -EBUSY;
    assert_string_equal(command("start data-2"), "cannot start data-2: it is paused\n");
    assert_string_equal(command("writes web"),
                        "the writes of a guest are being counted; try again in a second\n");
    action_result = -EINVAL;
    assert_string_equal(command("pause database"), "cannot pause database: it is off\n");
    assert_string_equal(command("writes database"), "database does not run\n");
    action_result = -EAGAIN;
    assert_string_equal(command("shutdown web"), "cannot shut down web: it is being started; try again\n");
    action_result = -ENOTSUP;
    assert_string_equal(
        command("shutdown web"),
        "cannot shut down web: its machine has no power button; use its console, or \"stop\"\n");
    /* Without a name: all that run. */
    action_result = 0;
    actions[0] = 0;
    assert_string_equal(command("shutdown"), "web: asked to shut down\n");
    assert_string_equal(actions, "shutdown 0;");
    vms[0].state = CONTROL_OFF;
    assert_string_equal(command("shutdown"), "no guest is running\n");
    vms[0].state = CONTROL_RUNNING;
    action_result = -EIO;
    assert_string_equal(command("resume web"), "cannot resume web: error -5\n");
    action_result = -ENODEV;
    assert_string_equal(command("console web"), "web has no console\n");
}

static void test_service(void **state) {
    (void)state;
    machine();
    service_info = (struct control_vm){.name = "(service)",
                                       .state = CONTROL_RUNNING,
                                       .vcpus = 1,
                                       .memory = 32u << 20,
                                       .cpu_time = 2300000000ull};
    assert_string_equal(command("service"), "running, 32 MiB, CPU time 2.3 s, started 3 times\n"
                                            "    exits: hypercall 77, nested fault 5\n");
    service_info.state = CONTROL_RESTARTING;
    service_info.end = CONTROL_END_CRASH;
    snprintf(service_info.end_text, sizeof(service_info.end_text), "it fell");
    assert_string_equal(command("service"), "restarting, 32 MiB, CPU time 2.3 s, started 3 times\n"
                                            "    ended: crashed: it fell\n"
                                            "    exits: hypercall 77, nested fault 5\n");
    assert_string_equal(actions, "");
    control_error = -EBUSY; /* if it worked, there would be no answer */
    assert_string_equal(command("service restart"), "the service VM starts again\nit does not: error -16\n");
    assert_string_equal(actions, "service 0;");
    control_error = 0;
    assert_string_equal(command("service start"), "usage: service [restart]\n");
    assert_string_equal(command("service restart now"), "usage: service [restart]\n");
    assert_string_equal(actions, "service 0;");
    completed("se\t", "service ");
    completed("service \t", "service ");
}

static void test_host(void **state) {
    (void)state;
    machine();
    assert_string_equal(command("mem"), "memory: 1024 MiB, 600 MiB free, largest free block 512 MiB\n"
                                        "heap:   2 MiB, 293 KiB used\n"
                                        "GUEST                   RAM   OVERHEAD\n"
                                        "web                 256 MiB     69 KiB\n"
                                        "database          65536 MiB      5 MiB\n"
                                        "data-2              512 KiB      0 KiB\n");
    command("cpus"); /* times count from here on */
    cpus[0] =
        (struct control_cpu){.id = 0, .online = 1, .idle = 1000000, .time = 5000000, .vm = 0, .vcpu = 1};
    cpus[1] =
        (struct control_cpu){.id = 6, .vm = CONTROL_SERVICE, .online = 0, .idle = 9000000, .time = 5000000};
    assert_string_equal(command("cpus"), " CPU     ID STATE      IDLE  RUNS\n"
                                         "   0      0 online     19 %  web/1\n"
                                         "   1      6 offline   100 %  (monitor)\n");
    cpus[0].time += 1000000000;
    cpus[0].idle += 750000000;
    assert_non_null(strstr(command("cpus"), "online     74 %"));
    assert_non_null(strstr(command("cpus"), "online      0 %"));
    cpus[1].vm = CONTROL_NO_VM;
    assert_non_null(strstr(command("cpus"), "offline     0 %  -\n"));
    devices = 0;
    assert_string_equal(command("devices"), "this machine has no PCI functions that are known\n");
    devices = 1;
    device = (struct control_device){.devfn = 2 << 3,
                                     .vendor = 0x1af4,
                                     .device = 0x1041,
                                     .class = 0x020000,
                                     .owner = CONTROL_OWNER_SERVICE,
                                     .msix = 3};
    assert_string_equal(command("devices"), "ADDRESS      ID        CLASS           OWNER       INTERRUPTS\n"
                                            "0000:00:02.0 1af4:1041 Ethernet card   service VM  MSI-X 3\n");
    device.owner = CONTROL_OWNER_HYPERVISOR;
    device.msix = 0;
    device.msi = 1;
    device.pin = 1;
    device.devfn = 0xff;
    assert_non_null(
        strstr(command("devices"), "0000:00:1f.7 1af4:1041 Ethernet card   hypervisor  MSI 1 line A\n"));
    device.owner = CONTROL_OWNER_GUEST;
    strcpy(device.guest, "web");
    assert_non_null(strstr(command("devices"), "Ethernet card   web         MSI 1 line A\n"));
    device.grouped = 1;
    device.group = 0x0310;
    assert_non_null(strstr(command("devices"), "MSI 1 line A group 03:02\n"));
    assert_string_equal(command("iommu"), "no IOMMU is in use: DMA is unprotected\n");
    iommu_lines = 2;
    assert_string_equal(command("iommu"), "domain 0: the service VM\ndomain 1: the service VM\n");
    /* Line 998 is being written; a level may be none of ours. */
    assert_string_equal(command("log 6"), "[   12.345678] a line\n"
                                          "[   12.345678] error: a line\n"
                                          "[   12.345678] warning: a line\n"
                                          "[   12.345678] a line\n"
                                          "[   12.345678] a line\n");
    assert_int_equal(strlen(command("log 100000")), strlen(command("log 512")));
    assert_true(strlen(command("log 500")) > 500 * 22); /* more than is kept for one piece */
    log_end_number = 1;
    assert_string_equal(command("log"), "[   12.345678] error: a line\n");
    log_end_number = 0;
    assert_string_equal(command("log"), "");
    log_end_number = 1000;
    int how = setjmp(left);
    if (how == 0)
        type("reboot\r");
    assert_int_equal(how, 1);
    how = setjmp(left);
    if (how == 0)
        type("\x03poweroff\r");
    assert_int_equal(how, 2);
    type("\x03");
}

static void test_help(void **state) {
    (void)state;
    machine();
    const char *help = command("help");
    for (unsigned i = 0; i < shell_command_count; i++) {
        char row[100];
        snprintf(row, sizeof(row), "  %-16s %s\n", shell_commands[i].usage, shell_commands[i].help);
        assert_non_null(strstr(help, row));
        assert_true(strlen(row) <= 80);
    }
    assert_string_equal(command("help stop"),
                        "stop NAME - ends a guest at once, as if its power was cut\n"
                        "It is not started again, whatever the config says about restarts.\n");
    assert_string_equal(command("help stpo"), "no command \"stpo\"; did you mean \"stop\"?\n");
}

static void test_errors(void **state) {
    (void)state;
    machine();
    assert_string_equal(command("vm"), "no command \"vm\"; did you mean \"vms\"?\n");
    assert_string_equal(command("consoel web"), "no command \"consoel\"; did you mean \"console\"?\n");
    assert_string_equal(command("quit"), "no command \"quit\"; \"help\" lists them\n");
    assert_string_equal(command("x"), "no command \"x\"; \"help\" lists them\n");
    assert_string_equal(command("VMS"), "no command \"VMS\"; \"help\" lists them\n");
    assert_string_equal(command("stop wbe"), "no guest \"wbe\"; did you mean \"web\"?\n");
    assert_string_equal(command("stop databse"), "no guest \"databse\"; did you mean \"database\"?\n");
    assert_string_equal(command("stop mail"), "no guest \"mail\"; \"vms\" lists them\n");
    assert_string_equal(command("stop"), "usage: stop NAME\n");
    assert_string_equal(command("stop web database"), "usage: stop NAME\n");
    assert_string_equal(command("mem all"), "usage: mem\n");
    assert_string_equal(command("log x"), "\"x\" is no number from 0 to 100000\n");
    assert_string_equal(command("log -1"), "\"-1\" is no number from 0 to 100000\n");
    assert_string_equal(command("log 99999999999999999999"),
                        "\"99999999999999999999\" is no number from 0 to 100000\n");
    char line[241];
    memset(line, 'q', 240);
    line[240] = '\0';
    assert_non_null(strstr(command(line), "no command \"qqqq"));
    memset(line + 4, 'q', 236);
    memcpy(line, "stop ", 5);
    assert_non_null(strstr(command(line), "no guest \"qqqq"));
    assert_string_equal(actions, "");
}

/* A key that may switch the machine off. */
static void any_key(uint8_t byte) {
    if (setjmp(left) == 0)
        key(byte);
}

/* Whatever is typed, the shell stays within its bounds and comes back to its prompt. */
static void test_rubbish(void **state) {
    (void)state;
    machine();
    uint32_t r = 1;
    for (unsigned i = 0; i < 40000; i++) {
        r = r * 1664525u + 1013904223u;
        uint8_t byte = (uint8_t)(r >> 24);
        if ((r >> 8) % 4 == 0)
            byte = (uint8_t) "\x1b[ABCDHF~13vmslogheconsole web\t"[(r >> 12) % 32];
        any_key(byte);
        if (i % 500 == 0)
            capture_clear();
    }
    type("\x1b\x1b[x\x03");
    machine();
    assert_string_equal(command("stop web"), "web: stopping\n");
}

/* The line, the history and what rates are counted from are there again; what cannot be is not taken. */
static void test_restart(void **state) {
    (void)state;
    machine();
    command("mem");
    type("half a li");
    size_t length = captured_length;
    shell_init(&board);
    assert_int_equal(captured_length, length); /* it is on the screen */
    type("ne");
    expect_line("half a line", 11);
    type("\x15\x1b[A");
    expect_line("mem", 3);
    type("\x03");
    struct edit *edit = &shell_kept->edit;
    const struct edit good = *edit;
#define BAD(statement)                                                                                       \
    do {                                                                                                     \
        *edit = good;                                                                                        \
        assert_true(edit_valid(edit));                                                                       \
        statement;                                                                                           \
        assert_false(edit_valid(edit));                                                                      \
    } while (0)
    BAD(edit->length = EDIT_MAX + 1);
    BAD(edit->cursor = 1);
    BAD(edit->history_back = EDIT_HISTORY + 1);
    BAD((edit->history_count = 1, edit->history_back = 2));
    BAD(edit->escape = 4);
    BAD(memset(edit->line, 'x', sizeof(edit->line)));
    BAD(memset(edit->kept, 'x', sizeof(edit->kept)));
    BAD(memset(edit->history[EDIT_HISTORY - 1], 'x', EDIT_MAX + 1));
    shell_init(&board);
    expect_line("", 0);
    type("\x1b[A");
    expect_line("", 0);
    memset(board.shell, 0xff, sizeof(board.shell));
    shell_init(&board);
    command("mem");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),   cmocka_unit_test(test_keys),    cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_history), cmocka_unit_test(test_enter),   cmocka_unit_test(test_completion),
        cmocka_unit_test(test_vms),     cmocka_unit_test(test_actions), cmocka_unit_test(test_service),
        cmocka_unit_test(test_host),    cmocka_unit_test(test_help),    cmocka_unit_test(test_errors),
        cmocka_unit_test(test_rubbish), cmocka_unit_test(test_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
