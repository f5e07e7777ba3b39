"""One strict parser, and paths read in one way (requirements 15 to 20)."""
import json
import secrets
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, read_response  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = guest = None
H = b"Host: api.demo.test\r\n"

# Each must be answered 4xx/5xx or cut, with nothing sent upstream.
BAD = {
    "CL and TE": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two CLs": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "same CL twice": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "listed CL": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Content-Length: 1, 1\r\n\r\nx",
    "signed CL": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Content-Length: +1\r\n\r\nx",
    "negative CL": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Content-Length: -1\r\n\r\nx",
    "hex CL": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Content-Length: 0x1\r\n\r\nx",
    "huge CL": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Content-Length: 99999999999999999999\r\n\r\nx",
    "TE identity": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Transfer-Encoding: identity\r\n\r\n",
    "TE gzip, chunked": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE xchunked": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE twice": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    "bare LF": b"GET /v1/x HTTP/1.1\nHost: api.demo.test\n\n",
    "LF in head": b"GET /v1/x HTTP/1.1\r\n" + H + b"X: y\nZ: w\r\n\r\n",
    "bare CR": b"GET /v1/x HTTP/1.1\r\n" + H + b"X: y\rZ: w\r\n\r\n",
    "NUL": b"GET /v1/x HTTP/1.1\r\n" + H + b"X: y\x00z\r\n\r\n",
    "control": b"GET /v1/x HTTP/1.1\r\n" + H + b"X: y\x01z\r\n\r\n",
    "obs-fold": b"GET /v1/x HTTP/1.1\r\n" + H + b"X: y\r\n z\r\n\r\n",
    "space before colon": b"GET /v1/x HTTP/1.1\r\n" + H +
    b"X : y\r\n\r\n",
    "bad name": b"GET /v1/x HTTP/1.1\r\n" + H + b"X(y): z\r\n\r\n",
    "empty name": b"GET /v1/x HTTP/1.1\r\n" + H + b": z\r\n\r\n",
    "no Host": b"GET /v1/x HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /v1/x HTTP/1.1\r\n" + H + H + b"\r\n",
    "leading line": b"\r\nGET /v1/x HTTP/1.1\r\n" + H + b"\r\n",
    "HTTP/0.9": b"GET /v1/x\r\n\r\n",
    "HTTP/2.0": b"GET /v1/x HTTP/2.0\r\n" + H + b"\r\n",
    "two spaces": b"GET  /v1/x HTTP/1.1\r\n" + H + b"\r\n",
    "tab": b"GET\t/v1/x HTTP/1.1\r\n" + H + b"\r\n",
    "fragment": b"GET /v1/x#f HTTP/1.1\r\n" + H + b"\r\n",
    "absolute with userinfo":
    b"GET http://u@api.demo.test/v1/x HTTP/1.1\r\n" + H + b"\r\n",
    "chunk size overflow": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
    "chunk without CRLF": b"POST /v1/x HTTP/1.1\r\n" + H +
    b"Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
    "CONNECT inside": b"CONNECT api.demo.test:443 HTTP/1.1\r\n" + H +
    b"\r\n",
    "TRACE": b"TRACE /v1/x HTTP/1.1\r\n" + H + b"\r\n",
    "upgrade": b"GET /v1/x HTTP/1.1\r\n" + H +
    b"Connection: Upgrade\r\nUpgrade: something\r\n\r\n",
    "h2c": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
}

BAD_PATHS = ["/v1/../admin", "/v1/./x", "/v1/x/..", "/v1/%2e%2e/admin",
             "/v1/.%2e/x", "/v1%2fx", "/v1/a%2f..%2f..%2fadmin", "/v1/a%2Fb",
             "/v1/%5cx", "/v1/x%00", "/v1//x",
             "//v1/x", "/v1/x;p=1", "/v1/\\x", "/v1/%zz", "/v1/%",
             "/v1/%2", "/v1/%ff", "/v1/%c0%af", "/v1/%41", "/v1/%252e",
             "/v1/x%0d%0aX:y", "/v1/\u00e9", "/v1/x%3bp"]


def setup():
    global house, up, guest
    up = Upstream(["api.demo.test", "npm.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml(
        "one", up, credential="demo", hosts=["api.demo.test"],
        allow=['{ methods: ["*"], paths: ["/v1/**"] }']), house.grant_yaml(
        "every", up, hosts=["npm.demo.test"], allow=[
            '{ methods: [GET], paths: ["/**"] }',
            '{ methods: [PUT], paths: ["/@acme/**"] }']))
    guest = house.session("agent", "one", "every")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def send(data):
    s = guest.tunnel("api.demo.test")
    s.settimeout(3)
    try:
        s.sendall(data)
        return read_response(s)[0]
    except OSError:
        return None


def test_strict_parser():
    "desync corpus: a refusal each, and zero bytes upstream (req. 15)"
    for what, data in BAD.items():
        up.forget()
        got = send(data)
        assert got is None or got >= 400, (what, got)
        assert not up.received, (what, bytes(up.received))


def test_after_a_refusal():
    "what follows a malformed head is never taken for a request"
    for what in ("CL and TE", "two CLs", "chunk size overflow"):
        up.forget()
        send(BAD[what] + b"GET /v1/smuggled HTTP/1.1\r\n" + H + b"\r\n")
        assert not up.requests, what


def test_hidden_slash():
    "a path that hides a slash is for a rule that allows every path (req. 20)"
    up.forget()
    path = "/@acme%2fkit/-%2Fx?y=%2f"
    assert guest.get("https://npm.demo.test" + path)[0] == 200
    assert up.requests[-1].path == path, up.requests
    up.forget()
    for method, url, word in (
            ("PUT", "https://npm.demo.test/@acme%2fkit", "method-not-granted"),
            ("GET", "https://api.demo.test/v1/a%2fb", "hidden-slash"),
            ("GET", "https://npm.demo.test/a%2f..%2fb", "bad-path")):
        got = guest.request(method, url)
        assert guest.reason(got) == word, (url, got)
        done = house.hatcheck("--json", "explain", method, url, "--session",
                              guest.id, check=False)
        assert json.loads(done.stdout)["reason"] == word, done.stdout
    assert not up.received


def test_paths():
    "paths that can be read in two ways are refused (req. 20)"
    for path in BAD_PATHS:
        up.forget()
        got = send(b"GET " + path.encode() + b" HTTP/1.1\r\n" + H + b"\r\n")
        assert got is None or got in (400, 403), (path, got)
        assert not up.received, path


def test_exact_bytes():
    "what was checked is what is sent"
    for path in ("/v1/a%20b", "/v1/%C3%A9?q=%2F..%2F&z", "/v1/a:@!$&'()*+,=",
                 "/v1/", "/v1/x?"):
        up.forget()
        assert send(b"GET " + path.encode() + b" HTTP/1.1\r\n" + H +
                    b"\r\n") == 200, path
        assert up.requests[0].path == path


def test_prefix():
    "a prefix matches at / only"
    for path, good in (("/v1/x", True), ("/v1", True), ("/v1x", False),
                       ("/v10/x", False), ("/V1/x", False)):
        got = send(b"GET " + path.encode() + b" HTTP/1.1\r\n" + H + b"\r\n")
        assert (got == 200) == good, (path, got)


def test_hop_by_hop():
    "hop-by-hop fields and what Connection names stay here (req. 16)"
    up.forget()
    got = guest.get("https://api.demo.test/v1/x", ("Connection", "X-Hop"),
                    ("X-Hop", "1"), ("Keep-Alive", "3"), ("X-Stays", "2"))
    assert got[0] in (200, 400), got
    if got[0] == 200:
        r = up.requests[0]
        assert not r.header("x-hop") and not r.header("keep-alive")
        assert r.header("x-stays") == ["2"]


def test_hostile_responses():
    "a response that is not strict HTTP is refused, never passed (req. 18)"
    bad = {
        "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two CLs": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
        b"Content-Length: 6\r\n\r\nhello",
        "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        "obs-fold": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n"
        b"Content-Length: 2\r\n\r\nhi",
        "NUL": b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\nhi",
        "no version": b"200 OK\r\n\r\n",
        "101": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n"
        b"Connection: Upgrade\r\n\r\n",
        "coded": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 2\r\n\r\nhi",
    }
    for what, data in bad.items():
        up.answer = lambda r: iter([data])
        got = guest.get("https://api.demo.test/v1/x")
        assert got[0] in (502, 504), (what, got)
        assert b"hi" != got[2], what
    up.answer = lambda r: (200, {}, b"hello\n")
    assert guest.get("https://api.demo.test/v1/x")[0] == 200


def test_bytes_after_the_body():
    "bytes after a response's body are no answer to the next request"
    up.answer = lambda r: iter([
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"
        b"Content-Length: 6\r\n\r\npoison"])
    s = guest.tunnel("api.demo.test")
    for _ in range(3):
        s.sendall(b"GET /v1/x HTTP/1.1\r\n" + H + b"\r\n")
        try:
            assert read_response(s)[2] != b"poison"
        except OSError:
            s = guest.tunnel("api.demo.test")
    up.answer = lambda r: (200, {}, b"hello\n")


def test_scrubbed():
    "a key that upstream echoes does not reach the guest (req. 10, plain)"
    import base64
    pieces = [KEY, base64.b64encode(KEY.encode()).decode(),
              base64.b64encode(b"x" + KEY.encode()).decode(),
              base64.b64encode(b"xy" + KEY.encode()).decode()]
    for p in pieces:
        body = ("before " + p + " after").encode()
        up.answer = lambda r: (200, {"X-Echo": p}, body)
        got = guest.get("https://api.demo.test/v1/x")
        text = str(got[1]).encode() + got[2]
        assert KEY.encode() not in text, p
        for e in pieces[1:]:
            assert e[4:-4].encode() not in text, p
        if got[0] == 200:
            assert got[2].startswith(b"before ") and len(got[2]) == len(body)

    def slow(r):
        yield (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" %
               len(KEY))
        for c in KEY.encode():
            yield bytes([c])
    up.answer = slow
    got = guest.get("https://api.demo.test/v1/x")
    assert KEY.encode() not in got[2] and len(got[2]) == len(KEY), got
    up.answer = lambda r: (200, {}, b"hello\n")


tap.main(globals(), setup, teardown)
