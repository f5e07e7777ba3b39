"""One program of the house alone, with this test as all its siblings.

    p = Program("hatcheck-courier", 6, ["--session", "s-1"], fds={5: audit})
    gate = p.peer(5, "s-1")            # a link to it, as the gate
    gate.send(CONNECT, 1, b"fam", b"api.demo.test", 443)
    kind, values, fd = gate.receive()

Messages are (id, name, fields); a field is 1, 2, 4 or 8 (bytes of a
number) or "s". They mirror messages/*.c.
"""
import fcntl
import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(os.environ.get("HATCHECK_OUT", ROOT / "out" / "release"))
SUPERVISOR, VAULT, MINTER, DIALER, GATE, COURIER = range(1, 7)

TABLE = {
    0x0001: ("hello", (1, 1, "s")),
    0x0101: ("ready", ()),
    0x0102: ("stop", ()),
    0x0104: ("peer", (1, "s", "s")),
    0x0105: ("descriptor", ("s", "s")),
    0x0301: ("lease_ask", (4, "s")),
    0x0302: ("lease_given", (4, 4, "s", 4, "s", "s")),
    0x0303: ("lease_changed", ("s", 4, 4)),
    0x0304: ("lease_settled", (4,)),
    0x0305: ("lease_rejected", ("s", 4, "s")),
    0x0601: ("dial_ask", (4, "s", 2)),
    0x0602: ("dial_done", (4, 4, "s")),
    0x0603: ("dial_cancel", (4,)),
    0x0801: ("rules_session", ("s", "s", 8, "s", "s", "s")),
    0x0802: ("rules_family", ("s", "s", 8, "s", "s", "s")),
    0x0803: ("rules_cut", (4, 1, "s")),
    0x0804: ("rules_cut_done", (4,)),
    0x0805: ("rules_audit_head", (8, "s")),
    0x0806: ("rules_used", ("s", 8, 8, 8, 8, 8, 8)),
    0x0807: ("rules_leased", ("s", 8, 8, 8)),
    0x0901: ("connect", (4, "s", "s", 2)),
    0x0902: ("connect_done", (4, 1)),
    0x0903: ("conn_end", (4,)),
    0x0904: ("tunnel", (4, 4, "s", "s")),
    0x0905: ("request", (4, 4, 1, 1, 1, 1, 1, 8, "s", "s", "s", 2, "s", "s",
                         "s", "s", "s")),
    0x0906: ("interim", (4, 2, 1, 8, 1, "s")),
    0x0907: ("response", (4, 2, 1, 8, 1, "s")),
    0x0908: ("bytes", (4, "s")),
    0x0909: ("end", (4, "s")),
    0x090a: ("window", (4, 4)),
    0x090b: ("reset", (4, 2)),
    0x090c: ("refused", (4, 2, "s", "s", 4)),
    0x090d: ("note", (2, "s", "s", "s", "s", 2)),
    0x090e: ("traffic_cut", (4,)),
}
IDS = {name: number for number, (name, _) in TABLE.items()}
NUMBER = {1: ">B", 2: ">H", 4: ">I", 8: ">Q"}


def reasons():
    """The words of scope/reason.h, in order."""
    text = (ROOT / "scope" / "reason.h").read_text()
    text = text[text.index("#define REASONS"):text.index("enum reason {")]
    words = []
    for part in text.split("X(")[1:]:
        words.append(part.split('"')[1])
    return words


REASONS = reasons()


# The child's fixed numbers must not be those of Python's own pipe to it.
while os.open("/dev/null", os.O_RDONLY) < 16:
    pass


class Gone(Exception):
    """The far end has closed."""


COUNTS = 0x0810  # for the metrics, whenever it likes


class Link:
    def __init__(self, sock, me, peer):
        self.sock, self.data, self.fds = sock, b"", []
        sock.settimeout(20)
        build = (OUT / "build-id").read_text().strip().encode()
        self.send("hello", me, peer, build)
        assert self.receive()[0] == "hello"

    def send(self, name, *values, fd=-1):
        number = IDS[name]
        fields = TABLE[number][1]
        assert len(fields) == len(values), name
        body = b""
        for kind, v in zip(fields, values):
            if kind == "s":
                v = v.encode() if isinstance(v, str) else v
                body += struct.pack(">I", len(v)) + v
            else:
                body += struct.pack(NUMBER[kind], v & (256 ** kind - 1))
        frame = struct.pack(">IHBB", len(body), number, fd >= 0, 0) + body
        if fd >= 0:
            n = socket.send_fds(self.sock, [frame], [fd])
            frame = frame[n:]
        self.sock.sendall(frame)

    def receive(self, timeout=20):
        self.sock.settimeout(timeout)
        while True:
            if len(self.data) >= 8:
                n, number, has_fd, _ = struct.unpack(">IHBB", self.data[:8])
                if len(self.data) >= 8 + n:
                    body = self.data[8:8 + n]
                    self.data = self.data[8 + n:]
                    if number == COUNTS:
                        continue
                    name, fields = TABLE[number]
                    fd = self.fds.pop(0) if has_fd else -1
                    return name, self.decode(fields, body), fd
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 262144, 8)
            except ConnectionError:
                data, fds = b"", []
            self.fds += fds
            if not data:
                raise Gone()
            self.data += data

    @staticmethod
    def decode(fields, body):
        values = []
        for kind in fields:
            size = 4 if kind == "s" else kind
            v = struct.unpack(NUMBER[size], body[:size])[0]
            body = body[size:]
            if kind == "s":
                v, body = body[:v], body[v:]
            values.append(v)
        assert not body
        return values

    def quiet(self, seconds=0.15):
        """Nothing more comes for a while."""
        try:
            got = self.receive(seconds)
        except socket.timeout:
            return True
        raise AssertionError(f"unexpected {got}")


class Program:
    def __init__(self, program, role, arguments=(), fds=None, limit=None,
                 wrap=()):
        mine, theirs = socket.socketpair()
        self.role = role
        give = {3: theirs.fileno(), **(fds or {})}
        # Out of the way of the numbers that they are to have.
        high = {to: fcntl.fcntl(fd, fcntl.F_DUPFD, 512)
                for to, fd in give.items()}

        def child():
            for to, fd in high.items():
                os.dup2(fd, to)
            if limit:
                limit()

        self.err_path = f"/tmp/hck-{os.getpid()}-{id(self)}-{program}.err"
        self.err = open(self.err_path, "w+b")
        self.process = subprocess.Popen(
            [*wrap, OUT / "bin" / program, *arguments], stderr=self.err,
            stdin=subprocess.DEVNULL, preexec_fn=child, close_fds=True,
            pass_fds=(*give.keys(), *high.values()))
        for fd in high.values():
            os.close(fd)
        theirs.close()
        self.control = Link(mine, SUPERVISOR, role)
        assert self.control.receive()[0] == "ready"

    def peer(self, role, session, descriptor=""):
        mine, theirs = socket.socketpair()
        self.control.send("peer", role, session, descriptor,
                          fd=theirs.fileno())
        theirs.close()
        return Link(mine, role, self.role)

    def stop(self):
        """Its exit status after a polite stop."""
        self.control.send("stop")
        return self.process.wait(20)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.err.close()
        os.unlink(self.err_path)

    def log(self):
        self.err.seek(0)
        return self.err.read().decode("latin-1")

    def exit_status(self, seconds=20):
        return self.process.wait(seconds)


def boot_ms():
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)


def pack(pairs):
    out = b""
    for n, v in pairs:
        n, v = n.encode(), v if isinstance(v, bytes) else v.encode("latin-1")
        out += struct.pack(">H", len(n)) + n + struct.pack(">H", len(v)) + v
    return out


def unpack(data):
    pairs = []
    while data:
        words = []
        for _ in range(2):
            n = struct.unpack(">H", data[:2])[0]
            words.append(data[2:2 + n].decode("latin-1"))
            data = data[2 + n:]
        pairs.append(tuple(words))
    return pairs
