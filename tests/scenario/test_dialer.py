#!/usr/bin/python3
"""The dialer alone, in its walls, with the system's resolver reading a
hosts file of ours in a mount namespace."""
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from sibling import COURIER, DIALER, Program  # noqa: E402

DENIED, NOT_FOUND = 2 ** 32 - 7, 2 ** 32 - 5
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


def answers(text):
    """The file's content, in place: the bind mount is of this inode."""
    with open(hosts, "r+") as f:
        f.truncate()
        f.write(text)


def dial(host, port):
    link.send("dial_ask", 1, host, port)
    kind, (rid, err, address), fd = link.receive()
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
    "a name without an address is not found, in the walls"
    assert dial("nowhere.test", 443)[0] == NOT_FOUND


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


def test_stop():
    "a stop ends it with 0"
    assert p.stop() == 0


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
