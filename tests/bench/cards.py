# SPDX-License-Identifier: Apache-2.0
# The bench's parts "e1000" and "uplink": what network cards give, a virtio-net and an emulated 82540EM side by side in one guest, and a
# virtio-net card of the machine through the service VM against the same card without Saguaro. The first by time and by instructions, the
# second by time, since what is beyond the card is not emulated; exits beside them.
import socket
import statistics
import struct
import threading

from common import COUNTED, figure
from counted import counted_machine
from linux_guests import KERNEL, RUNS, SERVED, Native, exits_used, files, generic, measured, megabytes, run
from machine import Machine, MachineError, config

SLOW = 900  # s; the 82540EM's driver reads its EEPROM bit by bit when it starts
SEGMENT = 1448  # bytes of TCP in a frame of 1514
MIB = 4  # of each transfer
TIMED_MIB = 16  # of one by time
UPLINK_MIB = 16
PIECE = 64 << 10
ECHO_S = 1
# All of the CPU for the service VM: its budget, used up in a transfer, would show as a wait.
SERVICE = "budget = <1000000>; period = <1000000>;"

CARDS = {"virtio-net": "10.0.0.2", "e1000": "10.0.1.2"}
E1000_HOW = (f"{KERNEL}; a guest with a virtio-net and an e1000 card, on one network with another guest that has virtio-net; TCP by a program that "
             f"only sends and receives, {MIB} MiB; median of {RUNS} in one run, the cards in turn; by the guest's clock, which counts instructions: "
             f"{COUNTED}, and of the service VM, -smp 1; a second is 10^9 of them")
TIME_HOW = (f"the same guests on two emulated CPUs, without -icount; TCP, {TIMED_MIB} MiB; median of {RUNS} in one run, the cards in turn; the guest's clock. "
            "An exit takes QEMU far longer, compared with other instructions, than it takes a CPU")
EXITS_HOW = f"the same transfers; the monitor's vms and service, exits by ports (the console's) left out; by {SEGMENT} bytes"
UPLINK_HOW = (f"{KERNEL}; QEMU's virtio-net-pci in its user network, to a Python program beside QEMU; on Saguaro (two CPUs), the card the "
              f"network's uplink, and on the bare emulated machine; TCP, {UPLINK_MIB} MiB; median of {RUNS} in one run, the guest's clock")


def transfer(machine, address, way, amount):
    """(MB/s, exits of a packet: the guest's, the service VM's) of one transfer of the guest web, of so many MiB."""
    speeds = []
    exits = exits_used(machine, "web", lambda: speeds.append((amount << 20) / measured(machine, f"{way} {address} {SERVED} {amount}")[0]))
    return speeds[0], [count / ((amount << 20) / SEGMENT) for count in exits]


def transfers(machine, amount):
    """{card: {what: value}} of the guest web; the cards in turn, so that both meet the same guests."""
    values = {card: {} for card in CARDS}
    for way in ("send", "receive"):
        runs = [(card, transfer(machine, address, way, amount)) for _ in range(RUNS) for card, address in CARDS.items()]
        for card, value in values.items():
            own = [run for of, run in runs if of == card]
            value[way] = statistics.median(speed for speed, _ in own)
            value[f"{way} exits"] = [statistics.median(each) for each in zip(*(exits for _, exits in own))]
    return values


def datagrams(machine, values):
    for card, address in CARDS.items():
        answers = []
        exits = exits_used(machine, "web", lambda address=address: answers.extend(measured(machine, f"echo {address} {SERVED} {ECHO_S} 0")))
        if answers[0] == 0:
            raise MachineError(f"{card}: no datagram came back")
        values[card]["round trip"] = answers[1]
        values[card]["round trip exits"] = [count / answers[0] for count in exits]


def begin(machine):
    """Until both cards of the guest web have an answer from the guest db."""
    machine.wait_ready("web", "db", timeout=SLOW)
    machine.send("\r")
    machine.prompt()
    with machine.console("db"):
        run(machine, "ip addr add 10.0.1.2/24 dev eth0; { measure serve >/served 2>&1 & }")
    with machine.console("web"):
        # Each card answers for its own address alone.
        run(machine, "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore; for i in eth0 eth1; do case $(readlink /sys/class/net/$i/device/driver) in "
                     "*e1000) a=10.0.1.1;; *) a=10.0.0.1;; esac; ip link set $i up; ip addr add $a/24 dev $i; done")
        for address in CARDS.values():
            run(machine, f"n=0; until ping -c 1 -W 5 {address} >/dev/null; do n=$((n+1)); test $n -lt 10 || exit 1; done")


def measure_e1000():
    text = config({"web": generic("web", 'net0 { network = "lan"; }; net1 { type = "e1000"; network = "lan"; };'),
                   "db": generic("db", 'net0 { network = "lan"; };', "net=10.0.0.2/24")},
                  'frame-buffer = "off";', f"networks {{ lan {{ }}; }}; service {{ {SERVICE} }};")
    with counted_machine("bench-e1000", text, files()) as machine:
        begin(machine)
        values = transfers(machine, MIB)
        datagrams(machine, values)
    with Machine("bench-e1000-time", text, files()) as machine:
        begin(machine)
        timed = transfers(machine, TIMED_MIB)
    for what, of, how in (("", timed, TIME_HOW), (", by instructions", values, E1000_HOW)):
        for way, which in (("send", ""), ("receive", ", receiving")):
            figure(f"virtio-net to e1000 throughput ratio{which}{what}", round(of["virtio-net"][way] / of["e1000"][way], 1), "times", how)
    for card, value in values.items():
        for way in ("send", "receive"):
            figure(f"{card}: guest to guest, {way}", round(value[way], 1), "MB in 10^9 instructions", E1000_HOW)
            figure(f"{card}: guest to guest, {way}, by time", round(timed[card][way], 1), "MB/s", TIME_HOW)
        figure(f"{card}: guest to guest, round trip of a datagram", value["round trip"] * 1000, "instructions",
               f"{E1000_HOW}; a datagram of 8 bytes there and back, to the thousand; median of those of {ECHO_S} s")
        for way, unit in (("send", "packet sent"), ("receive", "packet received"), ("round trip", "datagram there and back")):
            for who, count in zip(("guest", "service VM"), value[f"{way} exits"]):
                figure(f"{card}: exits of a {unit}: the {who}'s", round(count, 2), "exits", EXITS_HOW if way != "round trip" else E1000_HOW)


class Peer:
    """Serves as `measure serve` does, TCP alone, on a port of 127.0.0.1, which QEMU's user network calls 10.0.2.2."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection):
        with connection:
            try:
                receive, left = struct.unpack("<QQ", connection.recv(16, socket.MSG_WAITALL))
                piece = bytes(PIECE)
                while receive and left:
                    left -= connection.send(piece[:min(left, PIECE)])
                while left:
                    got = len(connection.recv(min(left, PIECE)))
                    if got == 0:
                        return
                    left -= got
                if not receive:
                    connection.sendall(b"\0")
            except (OSError, struct.error):
                return  # the guest's side says what went wrong


def measure_uplink():
    card = ["-netdev", "user,id=world", "-device", "virtio-net-pci,netdev=world,mac=52:54:00:12:34:56"]
    net = "net=10.0.2.15/24"
    with Peer() as peer:
        def speeds(machine):
            return {way: megabytes(machine, f"{way} 10.0.2.2 {peer.port} {UPLINK_MIB}", UPLINK_MIB << 20) for way in ("send", "receive")}

        text = config({"web": generic("web", 'net0 { network = "lan"; };', net)}, 'frame-buffer = "off";',
                      'networks { lan { uplink = "52:54:00:12:34:56"; }; };')
        with Machine("bench-uplink", text, files(), extra=card) as machine:
            machine.wait_ready("web")
            machine.send("\r")
            machine.prompt()
            ours = {}
            exits = exits_used(machine, "web", lambda: ours.update(speeds(machine)))
        with Native("bench-uplink-native", card, files()["vmlinuz"], files()["initrd.gz"], net) as native:
            theirs = speeds(native)
    for way in ours:
        figure(f"uplink, virtio-net: {way}, Saguaro's speed", round(ours[way] / theirs[way], 2), "times bare", UPLINK_HOW)
    for way in ours:
        figure(f"uplink, virtio-net: {way} on Saguaro", round(ours[way], 2), "MB/s", UPLINK_HOW)
        figure(f"uplink, virtio-net: {way} on the bare machine", round(theirs[way], 2), "MB/s", UPLINK_HOW)
    packets = 2 * RUNS * (UPLINK_MIB << 20) / SEGMENT
    for who, count in zip(("guest", "service VM"), exits):
        figure(f"uplink, virtio-net: exits of a packet: the {who}'s", round(count / packets, 2), "exits", f"{UPLINK_HOW}; {EXITS_HOW}, both ways")
