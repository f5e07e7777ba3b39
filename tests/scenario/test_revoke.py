"""Revocation, with siblings stopped or killed meanwhile (requirements 25,
28, 43; design rule 7): when the answer is out nothing more is written, and
nothing but what was named is cut."""
import json
import os
import secrets
import select
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import UID, House, connect_as, read_response  # noqa: E402
from harness import wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
A, B = "api.demo.test/a/x", "api.demo.test/b/x"
TWO = "api.two.test/x"
house = up = None


def forever(request):
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"400\r\n" + b"x" * 1024 + b"\r\n"
        time.sleep(0.01)


def grant(name, host, path, credential="demo"):
    return house.grant_yaml(name, up, credential=credential, hosts=[host],
                            allow=[f'{{ methods: [GET], paths: ["{path}"] }}'])


def apply_one(path):
    house.apply(grant("one", "api.demo.test", path))


def setup():
    global house, up
    up = Upstream(["api.demo.test", "api.two.test"])
    up.answer = forever
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.credential("two", KEY + "-two", "--host", "api.two.test")
    house.apply(grant("one", "api.demo.test", "/a/**"),
                grant("bee", "api.demo.test", "/b/**"),
                grant("two", "api.two.test", "/**", "two"))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def admin():
    return connect_as(str(house.home / "run" / "admin.sock"), UID)


def ask(s, name, body):
    data = json.dumps(body).encode()
    s.sendall(f"POST /v1/{name} HTTP/1.1\r\nHost: localhost\r\n"
              "Content-Type: application/json\r\nConnection: close\r\n"
              f"Content-Length: {len(data)}\r\n\r\n".encode() + data)


def answer(s):
    status, _, body = read_response(s)
    s.close()
    return status, json.loads(body)


def download(guest, where, token=None):
    host, _, path = where.partition("/")
    s = guest.tunnel(host, token=token)
    s.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    s.settimeout(5)
    assert s.recv(16).startswith(b"HTTP/1.1 200")
    return s


def flows(s):
    """Bytes come, still, when all that was on its way has been read. In a
    thread of its own: with OpenSSL 3.5, Python leaves a broken connection's
    error in its thread's queue, and the next connection is blamed."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(still_flows, s).result()


def still_flows(s):
    end = time.monotonic() + 1.5
    try:
        while time.monotonic() < end:
            if not s.recv(65536):
                return False
    except OSError:
        return False
    return True


def pid_of(role, guest):
    return house.processes(role, guest.id)[0]["pid"]


def lives(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def go_on(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def test_exactly_the_subtree():
    "a grant, credential, family, guest: it is cut, and its siblings flow on"
    guest, other = house.session("tree", "one", "bee", "two"), \
        house.session("other", "one")
    tokens = guest.new_token(), guest.new_token()
    a, a2 = (download(guest, A, t) for t in tokens)
    b, two = download(guest, B, tokens[1]), download(guest, TWO, tokens[1])
    far = download(other, A)
    house.hatcheck("revoke", "--token", "-", stdin=tokens[0].encode())
    assert not flows(a) and flows(a2)
    house.hatcheck("revoke", "--grant", "bee")
    assert not flows(b) and flows(a2) and flows(two)
    house.hatcheck("revoke", "--guest", "other")
    assert not flows(far) and flows(a2) and flows(two)
    house.hatcheck("revoke", "--credential", "demo")
    assert not flows(a2) and flows(two)
    house.hatcheck("revoke", "--all")
    assert not flows(two)


def test_stopped_sibling_is_killed():
    "a gate or courier that cannot confirm is dead when revoke answers"
    for role in ("gate", "courier"):
        for kind in ("token", "grant", "credential", "session"):
            guest = house.session("stopped", "one")
            s = download(guest, A)
            name = {"token": guest.token(), "grant": "one",
                    "credential": "demo", "session": guest.id}[kind]
            line, pid = admin(), pid_of(role, guest)
            os.kill(pid, signal.SIGSTOP)
            try:
                ask(line, "revoke", {kind: name})
                assert answer(line)[0] == 200
                assert not lives(pid), (role, kind)
            finally:
                go_on(pid)
            assert not flows(s)
            house.hatcheck("revoke", "--all")


def test_second_revoke_waits():
    "who revokes what is being revoked is answered when it is true, too"
    for kind in ("all", "guest", "token", "grant", "credential"):
        guest = house.session("twice", "one")
        download(guest, A)
        body = {kind: {"all": True, "guest": "twice", "token": guest.token(),
                       "grant": "one", "credential": "demo"}[kind]}
        first, second, pid = admin(), admin(), pid_of("courier", guest)
        os.kill(pid, signal.SIGSTOP)
        try:
            ask(first, "revoke", body)
            ask(second, "revoke", body)
            select.select([first, second], [], [], 10)
            assert not lives(pid), kind
            assert answer(first)[0] == 200 and answer(second)[0] == 200
        finally:
            go_on(pid)
        house.hatcheck("revoke", "--all")


def test_two_kills():
    "two revocations that both need a kill: both are answered, none dies"
    guest = house.session("kills", "one", "bee")
    download(guest, A), download(guest, B)
    minter = house.processes("minter")[0]["pid"]
    first, second, pid = admin(), admin(), pid_of("courier", guest)
    os.kill(pid, signal.SIGSTOP)
    ask(first, "revoke", {"grant": "one"})
    ask(second, "revoke", {"grant": "bee"})
    assert answer(first)[0] == 200 and answer(second)[0] == 200
    assert not lives(pid) and lives(minter)
    guest.end()


def test_narrowing_holds():
    "grant apply that takes away answers when that is true (requirement 30)"
    guest = house.session("narrow", "one", "bee")
    b = download(guest, B)
    pids = [p["pid"] for p in house.processes(None, guest.id)]
    for i in range(4):
        a = download(guest, A)
        apply_one(f"/c{i}/**")
        assert not flows(a) and flows(b)
        apply_one("/a/**")
    assert pids == [p["pid"] for p in house.processes(None, guest.id)]
    for role in ("courier", "gate"):
        a, pid = download(guest, A), pid_of(role, guest)
        os.kill(pid, signal.SIGSTOP)
        try:
            apply_one("/c/**")
            assert not lives(pid), role
        finally:
            go_on(pid)
        assert not flows(a)
        apply_one("/a/**")
    guest.end()


def test_rotation_is_settled():
    "rotate answers when no courier writes with the old value any more"
    guest, other = house.session("settles", "one"), \
        house.session("apart", "two")
    a, two = download(guest, A), download(other, TWO)
    pids = [p["pid"] for p in house.processes(None, other.id)]
    house.hatcheck("credential", "rotate", "demo", stdin=KEY.encode() + b"2")
    assert not flows(a) and flows(two)
    a, pid = download(guest, A), pid_of("courier", guest)
    os.kill(pid, signal.SIGSTOP)
    try:
        house.hatcheck("credential", "rotate", "demo",
                       stdin=KEY.encode() + b"3")
        # Its sockets are closed; the kernel may still be burying it.
        wait_for(lambda: not lives(pid), 2)
    finally:
        go_on(pid)
    assert not flows(a) and flows(two)
    assert pids == [p["pid"] for p in house.processes(None, other.id)]
    wait_for(lambda: flows(download(guest, A)))
    guest.end()
    other.end()


def test_minter_dies_while_revoking():
    "kill -9 of the minter between its commit and its answer: revoked"
    for i, kind in enumerate(("session", "token", "grant", "session")):
        guest = house.session(f"dies-{i}", "one")
        s, token = download(guest, A), guest.token()
        body = {kind: {"session": guest.id, "token": token,
                       "grant": "one"}[kind]}
        line, pid = admin(), pid_of("courier", guest)
        minter = house.processes("minter")[0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        ask(line, "revoke", body)
        time.sleep(0.01)  # mostly after its commit, before its answer
        os.kill(minter, signal.SIGKILL)
        go_on(pid)
        line.close()
        wait_for(lambda: house.hatcheck("status", check=False)
                 .returncode == 0, 20)
        shown = [x for x in house.json("session", "list", "--all")["sessions"]
                 if x["id"] == guest.id][0]
        states = [t["state"] for t in house.json("token", "list")["tokens"]
                  if t["session"] == guest.id]
        gone = {"session": shown["state"] == "revoked",
                "token": "revoked" in states,
                "grant": not shown["grants"]}[kind]
        # Nobody was answered: a new minter may take its time, but must.
        if gone:
            wait_for(lambda: not flows(s), 20)
        house.hatcheck("revoke", "--all")


tap.main(globals(), setup, teardown)
