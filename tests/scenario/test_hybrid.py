#!/usr/bin/env python3
"""Hybrid vsock (Firecracker, Cloud Hypervisor): the VMM brings what its
guest connects to port P to the host's unix socket PATH_P. A stand-in for
the VMM does so here, byte for byte; there is no greeting in this direction."""
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import (House, UID, as_user, connect_as,  # noqa: E402
                     read_response)
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = guest = vm = None


def setup():
    global house, up, guest, vm
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo",
                                 hosts=["api.demo.test"]))
    vm = Path(tempfile.mkdtemp(prefix="vm-"))
    if os.getuid() == 0:
        os.chown(vm, UID, UID)
    guest = create("machine", vm / "v.sock")


def teardown():
    if house:
        house.close()
    if up:
        up.close()
    if vm:
        shutil.rmtree(vm, ignore_errors=True)


def create(name, path, *more):
    from harness import Guest
    made = house.json("session", "create", "--name", name, "--ttl", "1h",
                      "--grant", "one", "--channel", f"hybrid:{path}", *more)
    made["channel"].setdefault("dir", None)
    g = Guest(house, made)
    house.guests.append(g)
    return g


class Vmm:
    """The guest's end is a unix socket here, as its kernel's vsock is there;
    each connection becomes one to PATH_PORT, made by the VMM's uid."""

    def __init__(self, path, port):
        self.to = f"{path}_{port}"
        self.at = Path(tempfile.mkdtemp(prefix="in-")) / "hatcheck.sock"
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(str(self.at))
        os.chmod(self.at.parent, 0o755)
        os.chmod(self.at, 0o666)
        self.s.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.s.accept()
                out = (connect_as(self.to, UID, None) if os.getuid() == 0
                       else self.plain())
            except OSError:
                return
            for a, b in ((c, out), (out, c)):
                threading.Thread(target=self.copy, args=(a, b),
                                 daemon=True).start()

    def plain(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.to)
        return s

    @staticmethod
    def copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()
        shutil.rmtree(self.at.parent)


def test_socket():
    "the daemon listens on PATH_PORT, 8377 unless said"
    assert guest.made["channel"]["type"] == "hybrid"
    assert guest.socket == f"{vm}/v.sock_8377", guest.socket
    other = create("port", vm / "v.sock", "--port", "99")
    assert (vm / "v.sock_99").is_socket()
    other.end()
    assert not (vm / "v.sock_99").exists(), "its socket outlives it"


def test_agent_through_vmm():
    "hatcheck-guest gets a token and makes a brokered call through the VMM"
    v = Vmm(vm / "v.sock", 8377)
    try:
        done = subprocess.run(
            as_user([str(house.bin / "hatcheck-guest"), "--channel",
                     str(v.at), "token"]), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        token = done.stdout.decode().strip()
        got = guest.get("https://api.demo.test/x", token=token)
        assert got[0] == 200, got
        assert up.requests[-1].header("authorization")[0] == f"Bearer {KEY}"
    finally:
        v.close()


def test_uid():
    "another uid than the VMM's gets nothing"
    if os.getuid() != 0:
        return
    try:
        s = connect_as(guest.socket, UID + 1)
        s.sendall(b"GET http://hatcheck.internal/v1/ca HTTP/1.1\r\n"
                  b"Host: hatcheck.internal\r\n\r\n")
        assert read_response(s)[0] != 200
    except (OSError, ValueError, IndexError):
        pass  # not let in at all


def test_token_is_the_sessions():
    "a second VM's channel refuses the first one's token, also at its PATH"
    token = guest.token()
    b = create("second", vm / "w.sock")
    assert b.get("https://api.demo.test/x")[0] == 200
    assert refused(b, token)
    b.end()
    again = create("third", vm / "w.sock")
    assert refused(again, b.held[0]), "inherited by the same PATH"
    assert again.get("https://api.demo.test/x")[0] == 200
    again.end()


def refused(g, token):
    from harness import Refused
    try:
        return g.get("https://api.demo.test/x", token=token)[0] in (401, 407)
    except Refused as e:
        return e.status in (401, 407)


def test_taken():
    "a socket on which somebody listens is not taken over"
    done = house.hatcheck("session", "create", "--grant", "one", "--channel",
                          f"hybrid:{vm}/v.sock", check=False)
    assert done.returncode != 0
    assert guest.get("https://api.demo.test/x")[0] == 200


def test_usage():
    "what is no such channel is refused with a sentence"
    for words in (["vsock:2"], ["hybrid:"], [f"hybrid:{vm}/"],
                  [f"hybrid:{vm}/x", "--dir", str(vm)],
                  [f"hybrid:{vm}/x", "--port", "0"],
                  ["hybrid:/nonexistent/x"], ["unix", "--port", "7"]):
        done = house.hatcheck("session", "create", "--grant", "one",
                              "--channel", *words, check=False)
        assert done.returncode != 0 and done.stderr, words


def test_restart():
    "after a restart of the daemon the socket and the session are there"
    house.stop()
    house.start()
    assert guest.get("https://api.demo.test/x", token=guest.new_token())[0] \
        == 200


tap.main(globals(), setup, teardown)
