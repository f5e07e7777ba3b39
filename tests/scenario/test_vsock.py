#!/usr/bin/env python3
"""Guests over vsock, as far as a machine goes that has none: what is
registered, shown and refused, and when the port is listened on. Guests
themselves are in tests/vm. Nothing here connects to a vsock."""
import os
import re
import secrets
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID  # noqa: E402
from upstream import Upstream  # noqa: E402

PORT = 20000 + secrets.randbelow(20000)
house = up = None


def setup():
    global house, up
    up = Upstream(["api.demo.test"])
    house = House()
    house.stop()
    config = house.home / "config" / "hatcheckd.yaml"
    config.write_text(f"vsock:\n  port: {PORT}\n")
    os.chmod(config, 0o600)
    if os.getuid() == 0:
        os.chown(config, UID, UID)
    house.start()
    house.credential("demo", "canary-" + secrets.token_hex(20), "--host",
                     "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def has_vsock():
    try:
        socket.socket(socket.AF_VSOCK).close()
        return True
    except OSError:
        return False


def create(name, *channel, check=True):
    return house.hatcheck("--json", "session", "create", "--name", name,
                          "--ttl", "1h", "--grant", "one", "--channel",
                          *channel, check=check)


def end(name):
    house.hatcheck("session", "end", name)


def listening():
    "Whether the port is taken: somebody listens there."
    s = socket.socket(socket.AF_VSOCK)
    try:
        s.bind((socket.VMADDR_CID_ANY, PORT))
        return False
    except OSError:
        return True
    finally:
        s.close()


def channel_of(name):
    return house.json("session", "show", name)["channel"]


def test_door():
    "the port is listened on while a session wants it, and only then"
    assert not listening()
    create("a", "vsock:42")
    assert listening()
    create("b", "vsock:43", "--privileged-ports")
    end("a")
    assert listening()
    end("b")
    assert not listening()


def test_shown():
    "a session shows its CID, the port and the rule on ports"
    create("a", "vsock:42")
    create("b", "vsock:4294967294", "--privileged-ports")
    create("c", "vsock:local")
    assert channel_of("a") == {"type": "vsock", "cid": 42, "port": PORT,
                               "privileged_ports": False}
    assert channel_of("b") == {"type": "vsock", "cid": 4294967294,
                               "port": PORT, "privileged_ports": True}
    assert channel_of("c")["cid"] == 1
    text = house.hatcheck("session", "show", "b").stdout.decode()
    assert re.search(rf"CID 4294967294 to port {PORT}, from ports below",
                     text), text
    for name in "abc":
        end(name)


def test_one_session():
    "a CID is one live session's, also after a restart of the daemon"
    create("a", "vsock:42")
    done = create("b", "vsock:42", check=False)
    assert done.returncode != 0
    assert b"CID 42 is the guest a's" in done.stderr, done.stderr
    house.stop()
    assert not listening()
    house.start()
    assert listening()
    assert channel_of("a")["cid"] == 42
    assert create("b", "vsock:42", check=False).returncode != 0
    end("a")
    create("b", "vsock:42")
    end("b")


def test_no_guests():
    "the hypervisor, this machine, the host and \"any\" are no guests"
    for words in (["vsock:0"], ["vsock:1"], ["vsock:2"], ["vsock:4294967295"],
                  ["vsock:4294967338"], ["vsock:-1"], ["vsock:042"],
                  ["vsock:"], ["vsock:x"], ["vsock"], ["vsock:42:8377"],
                  ["vsock:42", "--uid", "1"], ["vsock:42", "--port", "8377"],
                  ["vsock:42", "--dir", "/tmp"],
                  ["unix", "--privileged-ports"],
                  ["hybrid:/tmp/x", "--privileged-ports"]):
        done = create("a", *words, check=False)
        assert done.returncode != 0 and done.stderr, words
    assert b"vsock:local" in create("a", "vsock:1", check=False).stderr
    assert not listening()


def test_taken_port():
    "a port that somebody else has is not shared, and the refusal says so"
    s = socket.socket(socket.AF_VSOCK)
    s.bind((socket.VMADDR_CID_ANY, PORT))
    s.listen()
    try:
        done = create("a", "vsock:42", check=False)
        assert done.returncode != 0
        assert b"the vsock port is taken" in done.stderr, done.stderr
    finally:
        s.close()
    create("a", "vsock:42")
    end("a")


def test_gate_has_no_listener():
    "the gate of such a session holds no listening socket, and may not accept"
    create("a", "vsock:42")
    session = house.json("session", "show", "a")["id"]
    pid = house.processes("gate", session)[0]["pid"]
    assert not os.path.exists(f"/proc/{pid}/fd/4") or \
        not os.readlink(f"/proc/{pid}/fd/4").startswith("socket:")
    end("a")


def no_vsock():
    "guests over vsock"
    raise tap.Skip("this kernel has no AF_VSOCK")


if has_vsock():
    tap.main(globals(), setup, teardown)
else:
    tap.main({"test_vsock": no_vsock})
