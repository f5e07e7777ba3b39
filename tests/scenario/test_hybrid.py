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
from harness import (House, UID, as_user, closed_on,  # noqa: E402
                     connect_as, wait_for)
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
    """The guest's end is a unix socket here, as its kernel's vsock is there:
    what connects to it has connected to CID 2, port PORT. Each connection
    becomes one to PATH_PORT, made by the VMM's uid, and bytes are copied."""

    def __init__(self, path, port):
        self.to = f"{path}_{port}"
        self.dir = Path(tempfile.mkdtemp(prefix="in-"))
        self.at = self.dir / "hatcheck.sock"
        self.sent = []  # per connection, what the guest said
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(str(self.at))
        os.chmod(self.dir, 0o755)
        os.chmod(self.at, 0o666)
        self.s.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self.bring, args=(c,),
                             daemon=True).start()

    def bring(self, c):
        try:
            out = connect_as(self.to, UID, None) if os.getuid() == 0 \
                else plain(self.to)
        except OSError:
            c.close()  # as a VMM does: its guest sees a reset
            return
        said = bytearray()
        self.sent.append(said)
        back = threading.Thread(target=copy, args=(out, c), daemon=True)
        back.start()
        copy(c, out, said)
        back.join()
        c.close()
        out.close()

    def close(self):
        self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()
        shutil.rmtree(self.dir)


def plain(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    return s


def copy(a, b, note=None):
    try:
        while data := a.recv(65536):
            if note is not None:
                note += data
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_socket():
    "the daemon listens on PATH_PORT, 8377 unless said"
    assert guest.made["channel"]["type"] == "hybrid"
    assert guest.socket == f"{vm}/v.sock_8377", guest.socket
    other = create("port", vm / "v.sock", "--port", "99")
    assert (vm / "v.sock_99").is_socket()
    other.end()
    assert not (vm / "v.sock_99").exists(), "its socket outlives it"


def test_agent_through_vmm():
    "hatcheck-guest's token and curl's brokered call go through the VMM alone"
    v = Vmm(vm / "v.sock", 8377)
    try:
        done = subprocess.run(
            as_user([str(house.bin / "hatcheck-guest"), "--channel",
                     str(v.at), "token"]), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert len(v.sent) > 0
        # A sandbox without network, and with no socket but the VMM's.
        v.sent.clear()
        guest.dir, n = str(v.dir), len(up.requests)
        done = guest.run("curl", "-sS", "--fail", "-o", "/dev/null", "-w",
                         "%{http_code}", "https://api.demo.test/through")
        assert (done.returncode, done.stdout) == (0, b"200"), done
        assert len(up.requests) == n + 1
        got = up.requests[-1]
        assert got.header("authorization") == [f"Bearer {KEY}"]
        said = [bytes(x) for x in v.sent]
        calls = [x for x in said if x.startswith(b"ATTACH ") and
                 b"CONNECT api.demo.test:443 " in x]
        assert len(calls) == 1, said
        assert b"/through" not in calls[0], "not within TLS"
        assert KEY.encode() not in b"".join(said)
    finally:
        v.close()


if os.getuid() == 0:  # one user alone cannot become another
    def test_uid():
        "another uid whom the modes let in is closed on by SO_PEERCRED"
        before = refusals()
        os.chmod(vm, 0o755)
        os.chmod(guest.socket, 0o666)
        try:
            assert closed_on(guest.socket, UID + 1)
            wait_for(lambda: refusals() == before + 1)
            # The same, by the VMM's uid, is answered.
            assert not closed_on(guest.socket, UID)
            assert guest.get("https://api.demo.test/x")[0] == 200
            assert refusals() == before + 1
        finally:
            os.chmod(guest.socket, 0o600)
            os.chmod(vm, 0o700)


def refusals():
    return len([x for x in house.log_tail(10000).splitlines()
                if "peer_refused" in x and str(UID + 1) in x])


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


def refused_to_create(path, says, **more):
    done = house.hatcheck("session", "create", "--grant", "one", "--channel",
                          f"hybrid:{path}", check=False, **more)
    assert done.returncode != 0, path
    assert says in done.stderr.decode(), done.stderr
    return done


def test_directory():
    "PATH's directory is the owner's alone to write"
    os.chmod(vm, 0o770)
    try:
        refused_to_create(vm / "x", "is writable by others")
        os.chmod(vm, 0o707)
        refused_to_create(vm / "x", "is writable by others")
        assert not (vm / "x_8377").exists()
        # Who listens already goes on.
        assert guest.get("https://api.demo.test/x")[0] == 200
    finally:
        os.chmod(vm, 0o700)
    if os.getuid() == 0:
        other = Path(tempfile.mkdtemp(prefix="vm-"))
        os.chown(other, UID + 1, UID + 1)
        os.chmod(other, 0o755)
        try:
            refused_to_create(other / "x", "belongs to another user")
            assert not list(other.iterdir())
        finally:
            shutil.rmtree(other)


def test_in_the_way():
    "a file or a link at PATH_PORT is refused and stays; a dead socket goes"
    target = vm / "target"
    target.write_text("kept")
    for make in (lambda p: p.write_text("kept"), lambda p: p.mkdir(),
                 lambda p: p.symlink_to(target),
                 lambda p: p.symlink_to(vm / "nowhere"),
                 lambda p: p.symlink_to(vm / "v.sock_8377")):
        at = vm / "y_8377"
        make(at)
        before = at.lstat()
        refused_to_create(vm / "y", "something is in its socket's place")
        after = at.lstat()
        assert (before.st_ino, before.st_mode, before.st_size) == \
            (after.st_ino, after.st_mode, after.st_size)
        at.rmdir() if at.is_dir() and not at.is_symlink() else at.unlink()
    assert target.read_text() == "kept"
    assert not (vm / "nowhere").exists()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(vm / "y_8377"))
    dead.close()
    if os.getuid() == 0:
        os.chown(vm / "y_8377", UID, UID)
    made = create("dead", vm / "y")
    assert made.get("https://api.demo.test/x")[0] == 200
    made.end()


def test_where_path_leads():
    "a PATH through a link is named without it"
    link = Path(tempfile.mkdtemp(prefix="ln-")) / "vm"
    os.chmod(link.parent, 0o755)
    link.symlink_to(vm)
    try:
        made = create("linked", link / "z")
        assert made.socket == f"{vm}/z_8377", made.socket
        made.end()
    finally:
        shutil.rmtree(link.parent)


def test_usage():
    "what is no such channel is refused with a sentence"
    for words in (["hybrid:"], [f"hybrid:{vm}/"],
                  [f"hybrid:{vm}/x", "--dir", str(vm)],
                  [f"hybrid:{vm}/x", "--port", "0"],
                  [f"hybrid:{vm}/x", "--port", "4294967295"],
                  [f"hybrid:{vm}/x", "--port", "-1"],
                  [f"hybrid:{vm}/x", "--port", "1x"],
                  [f"hybrid:{vm}/{'x' * 300}"], [f"hybrid:{vm}/{'x' * 100}"],
                  ["hybrid:" + "/x" * 3000],
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
