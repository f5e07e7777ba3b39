"""One brokered call from end to end, and what must not come with it."""
import json
import secrets
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, read_response, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = guest = other = None


def setup():
    global house, up, guest, other
    up = Upstream(["api.demo.test", "two.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml(
        "demo-read", up, credential="demo", hosts=["api.demo.test"],
        allow=['{ methods: [GET, HEAD], paths: ["/v1/**"] }',
               '{ methods: [POST], paths: ["/v1/messages"] }']))
    guest = house.session("agent", "demo-read")
    other = house.session("other", "demo-read")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def test_get():
    "a granted request reaches upstream with the real key, once"
    up.forget()
    got = guest.get("https://api.demo.test/v1/hello?x=1")
    assert got[0] == 200 and got[2] == b"hello\n", got
    assert len(up.requests) == 1
    r = up.requests[0]
    assert (r.method, r.path) == ("GET", "/v1/hello?x=1")
    assert r.header("authorization") == [f"Bearer {KEY}"], r.headers
    assert r.header("host") == ["api.demo.test"], r.headers


def test_placeholder():
    "the session's placeholder is swapped for the key"
    up.forget()
    mark = guest.placeholder("demo")
    got = guest.get("https://api.demo.test/v1/hello",
                    ("Authorization", f"Bearer {mark}"))
    assert got[0] == 200, got
    assert up.requests[0].header("authorization") == [f"Bearer {KEY}"]
    assert mark.encode() not in up.received


def test_post_body():
    "bodies pass unchanged, by length and chunked"
    up.forget()
    up.answer = lambda r: (200, {}, r.body)
    body = secrets.token_bytes(300000)
    got = guest.request("POST", "https://api.demo.test/v1/messages",
                        body=body)
    assert got[0] == 200 and got[2] == body
    s = guest.tunnel("api.demo.test")
    s.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: api.demo.test\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n"
              b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    assert read_response(s)[2] == b"hello world"
    up.answer = lambda r: (200, {}, b"hello\n")


def test_keep_alive():
    "one connection serves many requests, each decided on its own"
    up.forget()
    s = guest.tunnel("api.demo.test")
    for i in range(20):
        path = "/v1/n" if i % 2 == 0 else "/secret"
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: api.demo.test\r\n\r\n"
                  .encode())
        assert read_response(s)[0] == (200 if i % 2 == 0 else 403)
    assert len(up.requests) == 10
    assert up.connections <= 1, up.connections


def test_expect_continue():
    "Expect: 100-continue gets its interim answer and then the final one"
    s = guest.tunnel("api.demo.test")
    s.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: api.demo.test\r\n"
              b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    first = s.recv(65536)
    assert first.startswith(b"HTTP/1.1 100 "), first
    s.sendall(b"hello")
    assert read_response(s)[0] == 200


def test_head():
    "HEAD has no body and the connection stays usable"
    s = guest.tunnel("api.demo.test")
    s.sendall(b"HEAD /v1/x HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")
    assert read_response(s, head=True)[0] == 200
    s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")
    assert read_response(s)[2] == b"hello\n"


def test_refusals():
    "every refusal is a problem document with Proxy-Status (RFC 9457, 9209)"
    up.forget()
    cases = [
        ("path-not-granted", guest.get("https://api.demo.test/admin")),
        ("method-not-granted",
         guest.request("DELETE", "https://api.demo.test/v1/hello")),
        ("host-not-granted", guest.get("https://two.demo.test/v1/x")),
        ("foreign-credential",
         guest.get("https://api.demo.test/v1/x",
                   ("Authorization", "Bearer sk-attacker-key-000000"))),
        ("foreign-credential",
         guest.get("https://api.demo.test/v1/x",
                   ("X-Api-Key", "sk-attacker-key-000000"))),
        ("foreign-credential",
         guest.get("https://api.demo.test/v1/x",
                   ("Authorization",
                    f"Bearer {other.placeholder('demo')}"))),
    ]
    for word, got in cases:
        assert guest.reason(got) == word, (word, got)
        problem = json.loads(got[2])
        assert problem["status"] == got[0], got
        assert problem["title"] and problem["hint"], problem
        if got[1]:
            assert "application/problem+json" in got[1]["content-type"]
            assert word in got[1]["proxy-status"], got[1]
    assert not up.requests and not up.received
    words = [x.get("reason") for x in house.audit_lines(guest.id)
             if x.get("event") == "refused"]
    for word, _ in cases:
        assert word in words, (word, words)


def test_stolen_token():
    "a token of one session is refused on another's channel (requirement 23)"
    up.forget()
    got = other.get("https://api.demo.test/v1/x", token=guest.token())
    assert got[0] == 407 and not up.requests, got


def test_audit():
    "each forwarded request has its line, and the chain verifies"
    guest.get("https://api.demo.test/v1/audited")
    lines = wait_for(lambda: [
        x for x in house.audit_lines(guest.id)
        if x.get("event") == "request" and x.get("path") == "/v1/audited"])
    line = lines[0]
    assert line["grant"] == "demo-read" and line["credential"] == "demo"
    assert line["method"] == "GET" and line["host"] == "api.demo.test"
    house.hatcheck("audit", "verify")


def test_explain():
    "explain gives the decision that the courier took"
    for method, path, allowed in (("GET", "/v1/x", True),
                                  ("GET", "/admin", False),
                                  ("DELETE", "/v1/x", False)):
        got = house.json("explain", method,
                         "https://api.demo.test" + path, "--session",
                         guest.id, check=False)
        assert got["allowed"] is allowed, (method, path, got)


def test_key_nowhere():
    "the key stands in no file, no log, no environment, no argument"
    needle = KEY.encode()
    for f in house.home.rglob("*"):
        if f.is_file():
            assert needle not in f.read_bytes(), f
    for pid in house.pids():
        for name in ("environ", "cmdline"):
            assert needle not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_revoke():
    "after revoke the next request is refused and a stream is cut"
    up.answer = lambda r: endless() if "stream" in r.path else (200, {}, b"x")
    s = guest.tunnel("api.demo.test")
    s.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")
    assert s.recv(100)
    house.hatcheck("revoke", "--session", guest.id)
    s.settimeout(5)
    try:
        while s.recv(65536):
            pass
    except OSError:
        pass
    up.forget()
    try:
        got = guest.get("https://api.demo.test/v1/x")
        assert got[0] in (403, 407), got
    except (OSError, AssertionError):
        pass
    assert not up.requests


def endless():
    import time
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"4\r\ntick\r\n"
        time.sleep(0.01)


tap.main(globals(), setup, teardown)
