"""Revoke against use (requirement 25): the answer to `revoke` is a line in
time. A request that a guest begins behind it never reaches upstream, and of
those begun before it at most the one that each connection had on its way
may still be read there. HATCHECK_RACES=N makes N rounds of it."""
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID, as_user, read_response, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
ROUNDS = int(os.environ.get("HATCHECK_RACES", 200))
USERS = 2
PER_SESSION = 50        # the gate remembers what was cut until it expires
house = up = None


class Plug:
    """Connects as the guest's user, again and again, in one process."""
    CODE = ("import socket,sys\n"
            "b=socket.socket(fileno=0)\n"
            "while True:\n"
            " p=b.recv(4096).decode()\n"
            " if not p: break\n"
            " s=socket.socket(socket.AF_UNIX); s.connect(p)\n"
            " socket.send_fds(b,[b'x'],[s.fileno()]); s.close()\n")

    def __init__(self):
        self.here, there = socket.socketpair(socket.AF_UNIX,
                                             socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            as_user(["/usr/bin/python3", "-c", self.CODE], UID), stdin=there)
        there.close()

    def connect(self, path):
        self.here.send(str(path).encode())
        _, fds, _, _ = socket.recv_fds(self.here, 1, 1)
        s = socket.socket(fileno=fds[0])
        s.settimeout(30)
        return s

    def close(self):
        self.here.close()
        self.process.wait()


def setup():
    global house, up
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def mint(plug, guest):
    """A token. A gate that confirmed late, on a busy machine, was ended by
    the revocation before: then the next one answers."""
    def ask():
        try:
            with plug.connect(guest.socket) as s:
                s.sendall(b"POST http://hatcheck.internal/v1/token HTTP/1.1"
                          b"\r\nHost: hatcheck.internal\r\nContent-Length: "
                          b"29\r\nContent-Type: application/x-www-form-"
                          b"urlencoded\r\n\r\ngrant_type=client_credentials")
                status, _, body = read_response(s)
                return status == 200 and json.loads(body)["access_token"]
        except OSError:
            return None
    return wait_for(ask, 30)


def revoke(s, token):
    data = json.dumps({"token": token}).encode()
    s.sendall(b"POST /v1/revoke HTTP/1.1\r\nHost: localhost\r\n"
              b"Content-Type: application/json\r\n"
              b"Content-Length: %d\r\n\r\n" % len(data) + data)
    status, _, body = read_response(s)
    assert status == 200, (status, body)


class User(threading.Thread):
    """Asks, one request after the other, until it is refused."""

    def __init__(self, s, base, answered):
        super().__init__()
        self.s, self.base, self.answered = s, base, answered
        self.good, self.leaked = 0, False
        self.served = threading.Event()
        self.start()

    def run(self):
        try:
            while True:
                late = self.answered.is_set()
                self.s.sendall(f"GET {self.base}/{'late' if late else 'x'} "
                               "HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                if read_response(self.s)[0] != 200:
                    return
                self.good += 1
                self.served.set()
                self.leaked |= late
        except OSError:
            pass
        finally:
            self.served.set()
            self.s.close()


def attach(plug, guest, token):
    s = plug.connect(guest.socket)
    s.sendall(f"ATTACH {token}\r\n".encode())
    return s


def one(plug, guest, admin, rng):
    """A round; how many requests were served before the line."""
    base = guest.environment["bases"][0]["path"]
    token, answered = mint(plug, guest), threading.Event()
    up.forget()
    users = [User(attach(plug, guest, token), base, answered)
             for _ in range(USERS)]
    if rng.random() < 0.75:     # else while they connect upstream
        assert users[0].served.wait(30)
    time.sleep(rng.random() * 0.010)
    revoke(admin, token)
    with up.lock:
        before = len(up.requests)
    answered.set()
    for u in users:
        u.join(30)
        assert not u.is_alive(), "a user of a revoked token hangs"
    late = threading.Event()
    late.set()
    again = User(attach(plug, guest, token), base, late)
    again.join(30)
    with up.lock:
        paths = [r.path for r in up.requests]
    assert not any(u.leaked for u in [*users, again]), paths
    assert "/late" not in paths, paths
    assert len(paths) - before <= USERS, (before, paths)
    return sum(u.good for u in users)


def test_nothing_begins_behind_the_answer():
    "revoke against use: what begins behind the answer goes nowhere (req. 25)"
    rng, plug, served, raced = random.Random(25), Plug(), 0, 0
    try:
        for i in range(ROUNDS):
            if i % PER_SESSION == 0:
                guest = house.session(f"race-{i}", "one")
                admin = plug.connect(house.home / "run" / "admin.sock")
            good = one(plug, guest, admin, rng)
            served, raced = served + good, raced + bool(good)
            if i % PER_SESSION == PER_SESSION - 1:
                admin.close()
                guest.end()
    finally:
        plug.close()
    print(f"# {ROUNDS} rounds, {served} requests served, in {raced} rounds "
          "at least one before the answer", flush=True)
    assert raced * 2 > ROUNDS, raced
    house.hatcheck("audit", "verify")


CHILDREN = 8            # at most, of one round; a session's tokens are paced


class Exchanger(threading.Thread):
    """Exchanges a token for narrower ones, until it is refused."""

    def __init__(self, plug, guest, token):
        super().__init__()
        self.body = ("grant_type=urn:ietf:params:oauth:grant-type:token-"
                     f"exchange&subject_token={token}&subject_token_type="
                     "urn:ietf:params:oauth:token-type:access_token&act=sub"
                     ).encode()
        self.s = plug.connect(guest.socket)
        self.children, self.first = [], threading.Event()
        self.start()

    def run(self):
        try:
            while len(self.children) < CHILDREN:
                self.s.sendall(
                    b"POST http://hatcheck.internal/v1/token HTTP/1.1\r\n"
                    b"Host: hatcheck.internal\r\nContent-Length: %d\r\n"
                    b"Content-Type: application/x-www-form-urlencoded\r\n"
                    b"\r\n" % len(self.body) + self.body)
                status, _, body = read_response(self.s)
                if status != 200:
                    return
                self.children.append(json.loads(body)["access_token"])
                self.first.set()
        except OSError:
            pass
        finally:
            self.first.set()
            self.s.close()


def race_exchange(plug, guest, admin, rng):
    """A round; how many children were made, and whether it was a race."""
    base = guest.environment["bases"][0]["path"]
    token, answered = mint(plug, guest), threading.Event()
    up.forget()
    makers = [Exchanger(plug, guest, token) for _ in range(2)]
    if rng.random() < 0.75:
        assert makers[0].first.wait(30)
    time.sleep(rng.random() * 0.006)
    revoke(admin, token)
    answered.set()
    raced = any(len(m.children) < CHILDREN for m in makers)
    for m in makers:
        m.join(30)
        assert not m.is_alive(), "an exchange hangs"
    children = [c for m in makers for c in m.children]
    uses = [User(attach(plug, guest, c), base, answered) for c in children]
    for u in uses:
        u.join(30)
    assert not any(u.good for u in uses), "a child outlived its parent"
    with up.lock:
        assert not up.requests, [r.path for r in up.requests]
    return len(children), raced


def test_no_child_outlives_its_parent():
    "exchange against revoke: whatever came of it is dead (req. 24, 25)"
    rng, plug, children, raced = random.Random(24), Plug(), 0, 0
    try:
        for i in range(ROUNDS):
            if i % 30 == 0:
                guest = house.session(f"child-{i}", "one")
                admin = plug.connect(house.home / "run" / "admin.sock")
            made, race = race_exchange(plug, guest, admin, rng)
            children, raced = children + made, raced + race
            if i % 30 == 29:
                admin.close()
                guest.end()
    finally:
        plug.close()
    print(f"# {ROUNDS} rounds, {children} children, {raced} revoked while "
          "more were being made", flush=True)
    assert raced * 4 > ROUNDS and children > ROUNDS, (raced, children)
    house.hatcheck("audit", "verify")


tap.main(globals(), setup, teardown)
