#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Boots a disk image under UEFI on Bochs 2.7, which emulates a CPU with VT-x (or, by --model, SVM). By itself it makes the
# machine's serial port this terminal; the boot tests use write_config() and command() to run a machine of their own.
#
#   run_bochs.py IMAGE WORK-FOLDER [--model NAME] [--cpus N] [--memory MIB]
import argparse
import os
import select
import socket
import subprocess
import sys
import termios
import time
import tty

MODELS = {"vtx": "corei7_skylake_x", "svm": "ryzen"}
# Instructions in a second of the machine's own time, and the frequency of its TSC. More than an ordinary PC emulates, so that
# its time runs slower than ours and timers do not eat it up.
SPEED = 200_000_000
ESCAPE = 0x01  # Ctrl-A
PACE = 0.004  # s between two bytes: the port's FIFO has sixteen, and drops what comes too fast


class BochsError(Exception):
    pass


def firmware():
    """Bochs maps one ROM that ends at 4 GiB: the 2 MiB firmware, variables first."""
    content = b""
    for path in ("/usr/share/OVMF/OVMF_VARS.fd", "/usr/share/OVMF/OVMF_CODE.fd"):
        if not os.path.exists(path):
            raise BochsError(f"{path} is not there (Debian package ovmf)")
        with open(path, "rb") as file:
            content += file.read()
    return content


def write_config(folder, image, port, model="vtx", cpus=2, memory=1024, card=None):
    """Fills `folder` with what Bochs needs; its first serial port will connect to TCP port `port` of this machine. `card`: an
    82540EM's address and the UDP port at which it takes frames; it sends its own to the next one."""
    with open(os.path.join(folder, "ovmf.fd"), "wb") as file:
        file.write(firmware())
    image = os.path.abspath(image)
    if os.path.exists(image + ".lock"):  # of a Bochs that was killed
        os.unlink(image + ".lock")
    lines = [
        f"megs: {memory}",
        f"cpu: model={MODELS.get(model, model)}, count={cpus}, ips={SPEED}",
        "romimage: file=ovmf.fd",
        "vgaromimage: file=/usr/share/vgabios/vgabios.bin",
        "vga: extension=vbe",
        "pci: enabled=1, chipset=i440fx",
        f"ata0-master: type=disk, mode=flat, path={image}",
        "boot: disk",
        f"com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}",
        'display_library: rfb, options="timeout=0"',
        "sound: waveoutdrv=dummy, midioutdrv=dummy",
        "log: /dev/null",  # gigabytes a minute otherwise
    ]
    if card:
        lines.append(f"e1000: enabled=1, mac={card[0]}, ethmod=socket, ethdev={card[1]}")
    with open(os.path.join(folder, "bochsrc"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    with open(os.path.join(folder, "go"), "w", encoding="utf-8") as file:
        file.write("continue\n")  # Debian's build starts in its debugger


def command():
    """To run in the folder."""
    return ["bochs-bin", "-q", "-f", "bochsrc", "-rc", "go"]


def relay(connection, bochs):
    """This terminal and the machine's serial port, until one of them ends. Ctrl-A X ends the emulator, Ctrl-A A is Ctrl-A."""
    keyboard, escaped, waiting, next_byte = True, False, b"", 0.0
    while bochs.poll() is None:
        inputs = [connection] + ([sys.stdin.fileno()] if keyboard else [])
        ready, _, _ = select.select(inputs, [], [], PACE if waiting else 1)
        if connection in ready:
            data = connection.recv(4096)
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if keyboard and sys.stdin.fileno() in ready:
            data = os.read(sys.stdin.fileno(), 1024)
            keyboard = bool(data)
            for byte in data:
                if escaped:
                    escaped = False
                    if byte in b"xX":
                        return
                    waiting += bytes([byte])
                elif byte == ESCAPE:
                    escaped = True
                else:
                    waiting += bytes([byte])
        if waiting and time.monotonic() >= next_byte:
            connection.sendall(waiting[:1])
            waiting = waiting[1:]
            next_byte = time.monotonic() + PACE


def run(image, folder, **machine):
    os.makedirs(folder, exist_ok=True)
    listener = socket.create_server(("127.0.0.1", 0))
    write_config(folder, image, listener.getsockname()[1], **machine)
    with open(os.path.join(folder, "bochs.log"), "wb") as log:
        bochs = subprocess.Popen(command(), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    saved = termios.tcgetattr(sys.stdin) if sys.stdin.isatty() else None
    try:
        listener.settimeout(30)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            raise BochsError(f"Bochs did not start; see {folder}/bochs.log") from None
        print("The firmware takes a minute. Ctrl-A X ends the emulator; Ctrl-] goes to Saguaro and leaves a guest's console.",
              flush=True)
        if saved:
            tty.setraw(sys.stdin)
        relay(connection, bochs)
    finally:
        if saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
        bochs.kill()
        bochs.wait()


def main():
    parser = argparse.ArgumentParser(description="Boots a disk image on Bochs; its serial port is this terminal.")
    parser.add_argument("image")
    parser.add_argument("folder")
    parser.add_argument("--model", default="vtx", help='"vtx", "svm", or one of Bochs\'s own CPU models')
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--memory", type=int, default=1024, help="MiB")
    arguments = parser.parse_args()
    try:
        run(arguments.image, arguments.folder, model=arguments.model, cpus=arguments.cpus, memory=arguments.memory)
    except BochsError as error:
        print(f"run_bochs: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
