#!/usr/bin/python3
"""A credential that its upstream answers 401 to: what the guest is told, what
the owner sees, and when it is put in again."""
import secrets
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, tls_recv, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

HOST = "api.demo.test"
GOOD = "canary-good-" + secrets.token_hex(16)
house = up = None
BEARER = {"WWW-Authenticate": 'Bearer realm="x", error="invalid_token"'}


def flow():
    """Goes on, a little at a time."""
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\nx\r\n"
        time.sleep(0.05)


def answer(request):
    """/odd rejects everybody, /login wants something else than a bearer's."""
    if request.path == "/login":
        return 401, {"WWW-Authenticate": 'Basic realm="a b", charset="UTF-8"'
                     }, b"log in\n"
    if request.path == "/flow":
        return flow()
    if request.path == "/odd" or \
            request.header("Authorization") != ["Bearer " + GOOD]:
        return 401, BEARER, b"no\n"
    return 200, {}, b"hello\n"


def setup():
    global house, up
    up = Upstream([HOST])
    up.answer = answer
    house = House()


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def with_key(name, value):
    """A session of a grant of that name, with a credential of its own."""
    house.credential(name, value, "--host", HOST)
    text = house.base / "all.yaml"
    old = text.read_text() if text.exists() else "grants:\n"
    text.write_text(old + house.grant_yaml(name, up, credential=name))
    house.hatcheck("grant", "apply", str(text))
    up.forget()
    return house.session(name, name)


def get(guest, path="/x"):
    """(status, what upstream said, or our reason)"""
    got = guest.get(f"https://{HOST}{path}")
    if got[1].get("content-type", "").startswith("application/problem"):
        return got[0], guest.reason(got)
    return got[0], got[2]


def rejected(name):
    return house.json("credential", "show", name).get("rejected")


def test_dead():
    "a key that never worked: its 401 is passed on, and it is not sent again"
    guest = with_key("dead", "canary-bad-" + secrets.token_hex(16))
    assert get(guest) == (401, b"no\n")
    assert len(up.requests) == 1
    for _ in range(3):
        assert get(guest) == (502, "credential-rejected")
    assert len(up.requests) == 1, "it was sent again"
    wait_for(lambda: rejected("dead"))
    assert rejected("dead")["host"] == HOST
    for words in (("list",), ("show", "dead")):
        said = house.hatcheck("credential", *words).stdout.decode()
        assert "hatcheck credential rotate dead" in said, said
    assert any(r.get("reason") == "credential-rejected"
               for r in house.audit_lines())
    house.hatcheck("credential", "rotate", "dead", stdin=GOOD.encode())
    assert get(guest) == (200, b"hello\n")
    assert rejected("dead") is None
    said = house.hatcheck("credential", "list").stdout.decode()
    assert "rejected" not in said, said


def test_one_odd_path():
    "where the key works, a path that answers 401 takes it from nobody"
    guest = with_key("odd", GOOD)
    other = house.session("other", "odd")
    assert get(guest) == (200, b"hello\n")
    for _ in range(4):
        assert get(guest, "/odd") == (401, b"no\n")
    assert get(guest) == (200, b"hello\n")
    for _ in range(4):
        assert get(guest, "/odd") == (401, b"no\n")
    assert get(guest) == (200, b"hello\n")
    # Whoever insists has it taken from himself alone, and what is under way
    # goes on: nothing is put in for that again.
    s = guest.tunnel(HOST)
    s.sendall(f"GET /flow HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert tls_recv(s)
    for _ in range(5):
        assert get(guest, "/odd") == (401, b"no\n")
    assert get(guest) == (502, "credential-rejected")
    for _ in range(60):                 # three looks at what is in flight
        assert tls_recv(s, 6)
    s.close()
    assert get(other) == (200, b"hello\n")
    assert get(house.session("new", "odd")) == (200, b"hello\n")


def test_another_scheme():
    "a challenge of another scheme says nothing of what was sent"
    guest = with_key("login", GOOD)
    for _ in range(7):
        assert get(guest, "/login") == (401, b"log in\n")
    assert get(guest) == (200, b"hello\n")
    assert rejected("login") is None


def test_dies_under_way():
    "a key that dies while it is in use is not sent for ever"
    guest = with_key("dies", GOOD)
    assert get(guest) == (200, b"hello\n")
    up.answer = lambda r: (401, BEARER, b"no\n")
    try:
        got = [get(guest) for _ in range(9)]
    finally:
        up.answer = answer
    assert got == [(401, b"no\n")] * 5 + [(502, "credential-rejected")] * 4
    assert len(up.requests) == 6
    wait_for(lambda: rejected("dies"))


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
