# SPDX-License-Identifier: Apache-2.0
# Who answers outside of an emulated machine, on this machine's loopback alone: a TCP peer that gives and takes files, which guests
# reach through QEMU's user network, and an Ethernet peer for Bochs' cards, whose frames are UDP datagrams.
import hashlib
import os
import socket
import socketserver
import struct
import threading


class FilePeer:
    """Gives one file of random bytes to each who connects to `give`; who sends a file to `take`, up to the end of
    its stream, gets its MD5 sum in hexadecimal. Ports of 127.0.0.1, each connection in a thread of its own."""

    def __init__(self, size):
        content = os.urandom(size)
        self.md5 = hashlib.md5(content).hexdigest()

        class Give(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.sendall(content)

        class Take(socketserver.StreamRequestHandler):
            def handle(self):
                md5 = hashlib.md5()
                while data := self.rfile.read1(1 << 16):
                    md5.update(data)
                self.wfile.write(md5.hexdigest().encode() + b"\n")

        self._servers = [self._start(handler) for handler in (Give, Take)]
        self.give, self.take = (server.server_address[1] for server in self._servers)

    @staticmethod
    def _start(handler):
        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request, client_address):
                pass  # a guest that starts again leaves its connections; what is missing then the test sees

        server = Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.shutdown()
            server.server_close()


def checksum(data):
    """The Internet's checksum (RFC 1071) of an even number of bytes."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class FramePeer:
    """A host of one IPv4 address that answers ARP and pings. Bochs' "socket" module takes frames at the UDP port `port` and sends
    its own to the next one, where this listens. Bochs 2.7 drops frames for other addresses than the card's, guests' among
    them, whatever the card was told: answers go to all."""

    MAC = bytes.fromhex("525400aaaa01")

    def __init__(self, address):
        self.address = socket.inet_aton(address)
        self.pings = 0  # answered
        self._socket, self.port = self._ports()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @staticmethod
    def _ports():
        """A socket at the second of two free ports, and the first."""
        for _ in range(100):
            mine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            mine.bind(("127.0.0.1", 0))
            port = mine.getsockname()[1] - 1
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind(("", port))
                return mine, port
            except OSError:
                mine.close()
        raise OSError("no two free UDP ports in a row")

    def _serve(self):
        while frame := self._socket.recv(65536):  # an empty one ends it
            answer = self._answer(frame)
            if answer:
                self._socket.sendto(answer.ljust(60, b"\0"), ("127.0.0.1", self.port))

    def _answer(self, frame):
        """The frame that answers this one; None: it is not for this host."""
        if len(frame) < 42:
            return None
        header = b"\xff" * 6 + self.MAC + frame[12:14]
        if frame[12:22] == bytes.fromhex("08060001080006040001") and frame[38:42] == self.address:
            return header + bytes.fromhex("0001080006040002") + self.MAC + self.address + frame[22:32]
        if frame[12:15] != b"\x08\x00\x45" or frame[23] != 1 or frame[30:34] != self.address or frame[34:36] != b"\x08\0":
            return None
        end = 14 + struct.unpack(">H", frame[16:18])[0]
        echo = frame[38:end]
        if end > len(frame) or len(echo) % 2 or checksum(frame[34:end]):
            return None
        ip = frame[14:24] + b"\0\0" + self.address + frame[26:30]
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        self.pings += 1
        return header + ip + b"\0\0" + struct.pack(">H", checksum(b"\0\0\0\0" + echo)) + echo

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"", ("127.0.0.1", self.port + 1))
        self._thread.join()
        self._socket.close()
