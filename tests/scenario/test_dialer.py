#!/usr/bin/python3
"""The dialer alone, in its walls, with the system's resolver reading a
hosts file of ours in a mount namespace; then with a name server, servers
and addresses that swallow everything, in a network namespace."""
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from sibling import COURIER, DIALER, Program  # noqa: E402

LIB = Path(__file__).resolve().parents[1] / "lib"
DENIED, NOT_FOUND = 2 ** 32 - 7, 2 ** 32 - 5
SILENT, UNAVAILABLE = 2 ** 32 - 12, 2 ** 32 - 9
# In the network namespace; the dead ones answer no SYN.
V4, V6 = "11.0.0.1", "2606:4700::1"
DEAD_V4 = "11.1.0.2"
DEAD_V6 = [f"2606:4700:1::{n:x}" for n in range(2, 26)]
folder = Path(tempfile.mkdtemp(prefix="hck-dial-"))
hosts = folder / "hosts"
p = link = server = None


def setup():
    global p, link, server
    server = socket.create_server(("127.0.0.1", 0))
    hosts.write_text("")
    (folder / "resolv.conf").write_text(
        "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    wrap = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    script = (f"mount --bind {hosts} /etc/hosts && mount --bind "
              f"{folder}/resolv.conf /etc/resolv.conf && exec \"$@\"")
    if subprocess.run([*wrap, "sh", "-c", script, "-", "true"],
                      capture_output=True).returncode:
        print("ok - # SKIP no mount namespace here")
        sys.exit(0)
    p = Program("hatcheck-dialer", DIALER,
                wrap=[*wrap, "sh", "-c", script, "-"])
    link = p.peer(COURIER, "s-1", json.dumps({"exceptions": [
        {"host": "api.demo.test", "port": 443, "addresses": ["127.0.0.1"],
         "upstream_port": server.getsockname()[1]}]}))


def teardown():
    if p:
        p.kill()
    shutil.rmtree(folder, ignore_errors=True)


class Net:
    """A dialer in a network namespace with tests/lib/names.py; closing it
    ends both."""

    def __init__(self, resolv="nameserver 127.0.0.1\n", servers=()):
        self.folder = Path(tempfile.mkdtemp(prefix="hck-net-"))
        self.zone({})
        (self.folder / "resolv").write_text(resolv)
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n")
        wrap = ["unshare", "-mn" if os.getuid() == 0 else "-rmn"]
        script = f"""set -e
            mount --bind {self.folder}/resolv /etc/resolv.conf
            mount --bind {self.folder}/hosts /etc/hosts
            ip link set lo up
            ip addr add {V4}/32 dev lo
            ip addr add {DEAD_V4}/32 dev lo
            for a in {V6} {' '.join(DEAD_V6)}
            do ip addr add $a/128 dev lo nodad; done
            """
        if subprocess.run([*wrap, "sh", "-c", script],
                          capture_output=True).returncode:
            raise Unsupported
        script += f"""
            {sys.executable} {LIB}/names.py {self.folder} \
                {' '.join(servers)} 3>&- &
            helper=$!
            until [ -e {self.folder}/up ]; do
                kill -0 $helper; sleep 0.05
            done
            exec "$@" """
        self.program = Program("hatcheck-dialer", DIALER,
                               wrap=[*wrap, "sh", "-c", script, "-"])
        self.link = self.program.peer(COURIER, "s-1", '{"exceptions":[]}')

    def zone(self, names):
        new = self.folder / "zone.new"
        new.write_text(json.dumps(names))
        new.rename(self.folder / "zone")

    def asked(self):
        return set((self.folder / "asked").read_text().split())

    def dial(self, host, port=443):
        return dial(host, port, self.link)

    def close(self):
        self.program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Unsupported(Exception):
    """No network namespace on this machine."""


def in_net(*servers, resolv="nameserver 127.0.0.1\n"):
    def wrap(f):
        @functools.wraps(f)
        def run():
            try:
                net = Net(resolv, servers)
            except Unsupported:
                raise tap.Skip("no network namespace here") from None
            try:
                f(net)
            finally:
                net.close()
        return run
    return wrap


def answers(text):
    """The file's content, in place: the bind mount is of this inode."""
    with open(hosts, "r+") as f:
        f.truncate()
        f.write(text)


def dial(host, port, over=None):
    over = over or link
    over.send("dial_ask", 1, host, port)
    kind, (rid, err, address), fd = over.receive()
    assert kind == "dial_done" and rid == 1
    return err, address.decode(), fd


def test_names():
    "private answers of the resolver are refused, whichever (6)"
    port = server.getsockname()[1]
    for text in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1",
                 "fd00:ec2::254", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
        answers(f"{text} evil.test\n")
        assert dial("evil.test", port)[0] == DENIED, text
        answers(f"{text} evil.test\n127.0.0.1 evil.test\n")
        assert dial("evil.test", port)[0] == DENIED, text
    answers("127.0.0.1 localhost\n")
    assert dial("localhost", port)[0] == DENIED
    assert dial("127.0.0.1", port)[0] == DENIED


def test_unknown():
    "without a name server it says that, in the walls (29)"
    assert dial("nowhere.test", 443)[0] == SILENT  # nobody serves there


def test_many_at_once():
    "a hundred dials at once: a hundred sockets, none forgotten"
    with socket.create_server(("127.0.0.1", 0), backlog=200) as many:
        h = p.peer(COURIER, "s-2", json.dumps({"exceptions": [
            {"host": "many.demo.test", "port": 443,
             "addresses": ["127.0.0.1"],
             "upstream_port": many.getsockname()[1]}]}))
        for rid in range(1, 101):
            h.send("dial_ask", rid, "many.demo.test", 443)
        seen = set()
        for _ in range(100):
            kind, (rid, err, _), fd = h.receive()
            assert kind == "dial_done" and err == 0, (kind, rid, err)
            os.close(fd)
            seen.add(rid)
        assert seen == set(range(1, 101))


def test_exception():
    "an exception goes to exactly its address and port, without DNS"
    answers("10.0.0.1 api.demo.test\n")
    err, address, fd = dial("api.demo.test", 443)
    assert err == 0 and fd >= 0
    assert address == "127.0.0.1:%d" % server.getsockname()[1]
    s = socket.socket(fileno=fd)
    assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    linger = s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    assert linger == b"\1\0\0\0\0\0\0\0"
    peer, _ = server.accept()
    s.close()
    try:
        assert peer.recv(1) == b"", "reset, not an orderly end"
        raise AssertionError("no reset")
    except ConnectionResetError:
        pass


@in_net(f"{V4}:443", resolv="nameserver 127.0.0.1\nsearch corp.local "
        "lan\noptions ndots:5\n")
def test_search_list(net):
    "a name is absolute: no suffix of the search list is ever tried"
    net.zone({"api.demo.test.corp.local": [V4], "api.demo.test.lan": [V4],
              "intranet.corp.local": [V4], "here.demo.test": [V4]})
    assert net.dial("api.demo.test")[0] == NOT_FOUND
    assert net.dial("intranet")[0] == NOT_FOUND
    assert net.dial("here.demo.test")[:2] == (0, f"{V4}:443")
    assert net.asked() == {"api.demo.test", "intranet", "here.demo.test"}


@in_net()
def test_no_answer(net):
    "a name that does not exist, or has no address; a resolver that fails"
    net.zone({"bare.test": [], "quiet.test": "silent", "ill.test": "servfail"})
    assert net.dial("nowhere.test")[0] == NOT_FOUND
    assert net.dial("bare.test")[0] == NOT_FOUND
    assert net.dial("ill.test")[0] == SILENT
    assert net.dial("quiet.test")[0] == SILENT


@in_net(f"{V4}:443", resolv="nameserver 127.0.0.9\nnameserver 127.0.0.1\n")
def test_dead_server(net):
    "a dead first name server leaves time for the second"
    net.zone({"api.demo.test": [V4]})
    assert net.dial("api.demo.test")[:2] == (0, f"{V4}:443")


@in_net(f"{V4}:443", f"[{V6}]:443", f"{V4}:80", f"-{DEAD_V4}:443",
        *(f"-[{a}]:443" for a in DEAD_V6))
def test_families(net):
    "IPv6 first; one that is silent or refuses does not stop the other"
    net.zone({"both.test": [V4, V6], "hung.test": [V4, DEAD_V6[0]],
              "dead4.test": [DEAD_V4, V6], "six.test": [V6],
              "many.test": [*DEAD_V6, V4],
              "none.test": [DEAD_V6[0], DEAD_V4]})
    six, four = f"[{V6}]:443", f"{V4}:443"
    assert net.dial("both.test")[:2] == (0, six)
    assert net.dial("six.test")[:2] == (0, six)
    assert net.dial("hung.test")[:2] == (0, four)
    assert net.dial("dead4.test")[:2] == (0, six)
    assert net.dial("both.test", 80)[:2] == (0, f"{V4}:80")
    # More of one family than a list holds: the other has its place.
    assert net.dial("many.test")[:2] == (0, four)
    assert net.dial(f"[{V6}]")[:2] == (0, six)
    assert net.dial(V4)[:2] == (0, four)
    assert net.dial("none.test")[0] == UNAVAILABLE


@in_net(f"{V4}:443")
def test_mixed_answers(net):
    "of a name's addresses only the public ones are connected to (6)"
    private = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1",
               "::1", "fd00:ec2::254", "::ffff:11.0.0.1",
               "64:ff9b::b00:1", "2002:b00:1::1", "2001::1"]
    net.zone({"mixed.test": [*private, V4], "bad.test": private})
    assert net.dial("mixed.test")[:2] == (0, f"{V4}:443")
    assert net.dial("bad.test")[0] == DENIED


def test_stop():
    "a stop ends it with 0"
    assert p.stop() == 0


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
