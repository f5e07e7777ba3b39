#!/usr/bin/python3
"""A session ends with its guest: with the process that it was made for, with
its socket (requirement 25)."""
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import Guest, House, UID, connect_as  # noqa: E402
from harness import read_response, tls_recv, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

HOST = "api.demo.test"
house = up = None


def endless(request):
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"400\r\n" + b"x" * 1024 + b"\r\n"


def setup():
    global house, up
    up = Upstream([HOST])
    up.answer = lambda r: endless(r) if r.path == "/endless" else (
        200, {}, b"hello\n")
    house = House()
    house.credential("demo", "canary-" + secrets.token_hex(20), "--host",
                     HOST)
    house.apply(house.grant_yaml("demo", up, credential="demo"))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def session(name, *words):
    g = Guest(house, house.json("session", "create", "--name", name,
                                "--grant", "demo", *words))
    house.guests.append(g)
    assert g.get(f"https://{HOST}/")[0] == 200
    return g


def sleeper():
    return subprocess.Popen(["sleep", "1000"])


def flow(guest):
    """A download that is under way."""
    s = guest.tunnel(HOST)
    s.sendall(f"GET /endless HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert tls_recv(s)
    return s


def cut(s):
    s.settimeout(60)
    try:
        while tls_recv(s):
            pass
    except OSError as e:
        assert not isinstance(e, TimeoutError), e


def state(guest):
    return {s["id"]: s["state"] for s in house.json(
        "session", "list", "--all")["sessions"]}[guest.id]


def ended(guest, why):
    wait_for(lambda: state(guest) == "ended")
    lines = [r for r in house.audit_lines()
             if r.get("session") == guest.id and why in json.dumps(r)]
    assert lines, f"no line of the log says: {why}"


def test_process():
    "its process dies: tokens, flows and the session with it, and no other's"
    p, other = sleeper(), session("other")
    try:
        guest = session("bound", "--pid", str(p.pid))
        assert house.json("session", "show", guest.id)["process"]["pid"] == \
            p.pid
        token, s, o = guest.token(), flow(guest), flow(other)
        p.kill()
        p.wait()
        cut(s)
        ended(guest, "its process has exited")
        assert tls_recv(o), "another session's flow goes on"
        o.close()
        assert other.get(f"https://{HOST}/")[0] == 200
        try:
            guest.attach(token)
            raise AssertionError("its token still attaches")
        except (OSError, ConnectionError):
            pass
    finally:
        p.kill()
        p.wait()


def test_no_such_process():
    "a process that is gone, or another with its number, gets no session"
    p = sleeper()
    p.kill()
    p.wait()
    done = house.hatcheck("session", "create", "--name", "late", "--grant",
                          "demo", "--pid", str(p.pid), check=False)
    assert done.returncode != 0 and b"no such process" in done.stderr, \
        done.stderr
    p = sleeper()
    try:
        body = json.dumps({"guest": "late", "grants": ["demo"], "process": {
            "pid": p.pid, "started": 1}}).encode()
        a = connect_as(str(house.home / "run" / "admin.sock"), UID)
        a.sendall(b"POST /v1/session.create HTTP/1.1\r\nHost: localhost\r\n"
                  b"Content-Type: application/json\r\nContent-Length: %d"
                  b"\r\n\r\n" % len(body) + body)
        status, _, said = read_response(a)
        assert status == 503 and b"process is gone" in said, (status, said)
    finally:
        p.kill()
        p.wait()
    assert "late" not in [s["guest"] for s in
                          house.json("session", "list")["sessions"]]


def test_socket():
    "its socket directory goes: so does the session"
    d = house.base / "place"
    d.mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(d, UID, UID)
    guest = session("placed", "--dir", str(d))
    s = flow(guest)
    shutil.rmtree(d)
    cut(s)
    ended(guest, "its socket was taken away")
    # Another one in its place is not this one's.
    d.mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(d, UID, UID)
    guest = session("again", "--dir", str(d))
    path = d / "hatcheck.sock"
    path.unlink()
    thief = socket.socket(socket.AF_UNIX)
    thief.bind(str(path))
    ended(guest, "its socket was taken away")
    thief.close()


def test_restart():
    "what it was made for is remembered over a restart, and missed after one"
    p, q = sleeper(), sleeper()
    try:
        a = session("stays", "--pid", str(p.pid))
        b = session("goes", "--pid", str(q.pid))
        house.stop()
        q.kill()
        q.wait()
        house.start()
        wait_for(lambda: state(b) == "ended")
        assert state(a) == "active"
        wait_for(lambda: a.get(f"https://{HOST}/")[0] == 200)
        p.kill()
        p.wait()
        ended(a, "its process has exited")
    finally:
        for x in (p, q):
            x.kill()
            x.wait()


def test_run_killed():
    "hatcheck run is killed: its session ends, though nobody could say so"
    work = house.base / "work"
    work.mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(work, UID, UID)
    p = subprocess.Popen(
        house.as_owner([str(house.bin / "hatcheck"), "--home",
                        str(house.home), "run", "--name", "killed", "--grant",
                        "demo", "--", "sh", "-c", "echo ready; sleep 1000"]),
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=house.env, cwd=work)
    try:
        assert p.stdout.readline().strip() == b"ready"
        mine = next(s for s in house.json("session", "list")["sessions"]
                    if s["guest"] == "killed")
        pid = house.json("session", "show", mine["id"])["process"]["pid"]
        assert b"hatcheck" in Path(f"/proc/{pid}/cmdline").read_bytes()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: "killed" not in [
            s["guest"] for s in house.json("session", "list")["sessions"]])
    finally:
        p.kill()
        p.wait()


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
