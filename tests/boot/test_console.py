# SPDX-License-Identifier: Apache-2.0
# A guest's virtio console beside its serial port, with a stock Linux guest whose shell is on hvc0: both directions, long output,
# restarts of the guest and of the service VM.

from machine import config, guest_file, linux

FILES = {"vmlinuz": "vmlinuz-cloud", "initrd.gz": "initrd.gz"}


def start(boot, more=""):
    text = config({"web": linux("web", f'virtio-console = "yes"; {more}', "console=hvc0")})
    machine = boot(text, {name: guest_file(path) for name, path in FILES.items()})
    machine.wait_ready("web")
    machine.expect(r"\[web\] Enter 'help'")  # its shell reads keys from now on
    machine.send("\r")
    machine.prompt()
    return machine


def test_virtio_console(boot):
    machine = start(boot)
    with machine.console("web"):
        assert machine.shell("tty")[1].strip() == "/dev/hvc0"
        # Both outputs are shown; more than all rings together hold comes whole, and so does a long line of input.
        machine.shell("{ (sleep 1; echo by-serial''-port >/dev/ttyS0) & }")  # after what the shell says of it
        machine.expect("by-serial-port")
        status, text = machine.shell("seq 1 8000", 300)
        assert status == 0 and text.split() == [str(number) for number in range(1, 8001)], text[-400:]
        long = "abcdefghij" * 20
        assert machine.shell(f"echo {long} | md5sum; echo {long}")[1].split()[2] == long
        # After a reset the UART has the keys, until the driver is there again.
        machine.send("reboot -f\r")
        machine.expect("GUEST-READY web uptime", 240)
        machine.expect("Enter 'help'")
        machine.expect("web:/# ")
        assert machine.shell("tty")[1].strip() == "/dev/hvc0"


def test_virtio_console_over_restart(boot):
    """What a guest prints while the service VM starts anew is not lost; the console stays open. It is one over MMIO."""
    machine = start(boot, 'transport = "mmio";')
    with machine.console("web"):
        machine.shell("{ (sleep 2; echo; seq 10001 13000; echo SEQ''-DONE) & }")
    machine.expect(r"\[web\] 10200\r\n")
    machine.command("service restart")
    machine.expect(r"service: start 2,")
    machine.expect(r"\[web\] SEQ-DONE\r\n", 120)
    # One piece of 256 bytes may come twice: what ends in the middle of a line is then continued by its own beginning.
    output = machine.output()
    assert [number for number in range(10001, 13001) if str(number) not in output] == []
    machine.send("\r")
    machine.prompt()
    with machine.console("web"):
        assert machine.shell("tty")[1].strip() == "/dev/hvc0"
