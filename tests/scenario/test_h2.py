"""HTTP/2 from the guest: streams, bodies, names, floods, cuts (requirements
15, 16, 17, 39)."""
import base64
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from guest_h2 import (CONT, DATA, HEADERS, PING, RST, SETTINGS,  # noqa: E402
                      WINDOW, H2Guest, frame)
import h2.settings  # noqa: E402
from harness import House, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
HOST = "api.demo.test"
CALM, HTTP11 = 11, 13
house = up = guest = other = None


def setup():
    global house, up, guest, other
    up = Upstream([HOST])
    house = House()
    house.credential("demo", KEY, "--host", HOST)
    house.apply(house.grant_yaml(
        "one", up, credential="demo",
        allow=['{ methods: ["*"], paths: ["/v1/**"] }']))
    guest = house.session("agent", "one")
    other = house.session("other", "one")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def plain(request):
    return 200, {"X-Saw": request.method}, b"hello\n"


def fresh():
    up.answer = plain
    up.forget()
    return H2Guest(guest, HOST)


def word(answer):
    return json.loads(bytes(answer.body))["type"].rsplit(":", 1)[-1]


def refusals(reason):
    return [r for r in house.audit_lines() if r.get("reason") == reason]


def test_streams():
    "requests of one connection, each with the credential, none with another's"
    c = fresh()
    ids = [c.send(c.head("GET", f"/v1/{i}")) for i in range(60)]
    for sid in ids:
        a = c.wait(sid)
        assert (a.status, bytes(a.body)) == (200, b"hello\n"), a.body
    assert sorted(r.path for r in up.requests) == \
        sorted(f"/v1/{i}" for i in range(60))
    assert all(r.header("authorization") == [f"Bearer {KEY}"]
               for r in up.requests)
    assert all(r.header("host") == [HOST] for r in up.requests)
    a = c.request("POST", "/v1/p", [("content-length", "4")], b"ping")
    assert a.status == 200 and up.requests[-1].body == b"ping"
    assert up.requests[-1].header("content-length") == ["4"]
    a = c.request("POST", "/v1/p", [("te", "trailers")], b"pong",
                  [("x-sum", "1")])
    assert a.status == 200 and up.requests[-1].body == b"pong"
    assert up.requests[-1].header("transfer-encoding") == ["chunked"]
    assert up.requests[-1].trailers == [("x-sum", "1")]
    for name in ("x-api-key", "authorization", "content-type"):
        a = c.request("POST", "/v1/bad", [("te", "trailers")], b"pong",
                      [("x-sum", "1"), (name, "FOREIGN")])
        assert a.status == 501 and word(a) == "unsupported", a.body
        assert up.requests[-1].path != "/v1/bad" and \
            b"FOREIGN" not in up.received
    # Cookies that came apart are one field again (RFC 9113, 8.2.3).
    c.get("/v1/c", ("x-a", "1"), ("x-a", "2"))
    assert up.requests[-1].header("x-a") == ["1", "2"]
    c.close()


def test_answers():
    "trailers, interim answers, HEAD, 204, 304 and chunked ones (req. 15)"
    c = fresh()
    up.answer = lambda r: [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n"]
    a = c.get("/v1/t")
    assert a.status == 200 and bytes(a.body) == b"abcde", a.__dict__
    assert ("x-sum", "7") in a.trailers, a.trailers
    assert len(a.interims) == 1 and ("link", "</a>") in a.interims[0]
    assert not a.header("transfer-encoding")
    up.answer = lambda r: [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
    a = c.request("HEAD", "/v1/h")
    assert a.status == 200 and a.header("content-length") == ["9"]
    assert a.ended and not a.body
    for status in (204, 304):
        up.answer = lambda r: [b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status]
        a = c.get("/v1/n")
        assert (a.status, bytes(a.body), a.ended) == (status, b"", True)
    up.answer = plain
    assert c.get("/v1/x").status == 200
    c.close()


def test_refusals():
    "a refusal is a problem document here too, and costs its stream alone"
    c = fresh()
    a = c.get("/v2/x")
    assert a.status == 403 and word(a) == "path-not-granted", a.body
    assert a.header("content-type") == ["application/problem+json"]
    assert "hatcheck; error=" in a.header("proxy-status")[0]
    # Answered before its end: whole, and then the rest is declined.
    sid = c.send(c.head("POST", "/v2/x"), end=False)
    a = c.wait(sid)
    assert a.status == 403 and word(a) == "path-not-granted"
    c.until(lambda: a.reset is not None)
    assert a.reset == 0, a.reset
    a = c.request("HEAD", "/v2/x")
    assert a.status == 403 and not a.body and a.ended
    assert c.get("/v1/x").status == 200
    assert [r.path for r in up.requests] == ["/v1/x"]
    c.close()


def test_upstream_gone():
    "half an answer is no answer: its stream is reset, no other"
    c = fresh()

    def half():
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
        raise ValueError("enough")
    up.answer = lambda r: half() if r.path == "/v1/half" else plain(r)
    a = c.get("/v1/half")
    assert a.reset and not a.ended, a.__dict__
    assert c.get("/v1/x").status == 200
    c.close()


def test_names():
    ":authority, Host, SNI and CONNECT agree, per stream"
    c = fresh()
    before = len(refusals("names-disagree"))
    for authority in ("b.test", f"{HOST}:444", "hatcheck.internal",
                      "127.0.0.1", f"x.{HOST}"):
        sid = c.send([(":method", "GET"), (":scheme", "https"),
                      (":authority", authority), (":path", "/v1/x")])
        a = c.wait(sid)
        assert a.status == 421 and word(a) == "names-disagree", authority
    assert c.get("/v1/x").status == 200
    wait_for(lambda: len(refusals("names-disagree")) >= before + 5)
    for odd in ([(":method", "CONNECT"), (":authority", f"{HOST}:443")],
                [(":method", "CONNECT"), (":protocol", "websocket"),
                 (":scheme", "https"), (":authority", HOST),
                 (":path", "/v1/x")],
                c.head(more=[("host", "b.test")]),
                [(":method", "GET"), (":scheme", "http"),
                 (":authority", HOST), (":path", "/v1/x")],
                [(":method", "GET"), (":scheme", "https"),
                 (":path", "/v1/x"), ("host", HOST)]):
        a = c.wait(c.send(odd))
        assert a.reset == 1 and a.status is None, (odd, a.__dict__)
    assert [r.path for r in up.requests] == ["/v1/x"]
    c.close()


def test_h2c():
    "HTTP/2 without TLS is refused in its own words, and noted (req. 15)"
    up.forget()
    preface = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
               frame(SETTINGS, 0, 0))
    before = len(refusals("prior-knowledge"))
    for lead in (b"", f"ATTACH {guest.token()}\r\n".encode()):
        got = guest.raw(lead + preface)
        assert got[3] == SETTINGS and got[9 + 3] == 7, got
        assert int.from_bytes(got[9 + 9 + 4:9 + 9 + 8], "big") == HTTP11
    s = guest.attach()
    s.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n"
              .encode())
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += s.recv(1)
    assert b" 200 " in got
    for part in (preface[:5], preface[5:]):
        s.sendall(part)
    got = b""
    while more := s.recv(1000):
        got += more
    assert int.from_bytes(got[22:26], "big") == HTTP11, got
    s.close()
    wait_for(lambda: len(refusals("prior-knowledge")) >= before + 3)
    status, _, body = guest.request(
        "GET", f"https://{HOST}/v1/x",
        [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
         ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
    assert status == 501, status
    assert not up.requests


def test_lengths():
    "a body that is not as long as was said never becomes a request"
    c = fresh()
    for said, data in (("9", b"short"), ("3", b"longer"), ("5", b"")):
        sid = c.send(c.head("POST", "/v1/len", [("content-length", said)]),
                     end=False)
        c.body(sid, data)
        a = c.wait(sid)
        assert a.reset and a.status is None, (said, data, a.__dict__)
    sid = c.send(c.head("POST", "/v1/len", [("content-length", "5")]))
    assert c.wait(sid).reset
    assert c.get("/v1/x").status == 200
    assert [r.path for r in up.requests] == ["/v1/x"]
    c.close()


def test_large():
    "bodies of 24 MB both ways at once, to the byte, in streams side by side"
    c = fresh()
    data = secrets.token_bytes(1 << 20) * 24
    up.answer = lambda r: (200, {}, r.body)
    a = c.request("PUT", "/v1/big", [], data)
    assert a.status == 200 and bytes(a.body) == data
    c.close()


def test_slow_reader():
    "who does not read holds back its own stream, upstream's bytes too"
    up.forget()
    sent = [0]

    def answer(r):
        if r.path != "/v1/flow":
            return plain(r)

        def flow():
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
            for _ in range(1000):
                sent[0] += 100000
                yield b"x" * 100000
        return flow()
    up.answer = answer
    c = H2Guest(guest, HOST, credit=False)
    c.h2.increment_flow_control_window(1000000)   # of the connection
    sid = c.send(c.head("GET", "/v1/flow"))
    a = c.answers[sid]
    c.until(lambda: len(a.body) >= 65535)
    for _ in range(20):                # others go on beside it
        assert c.get("/v1/x").status == 200
    assert len(a.body) == 65535 and sent[0] < 20e6, sent
    got = len(a.body)
    c.credit = True
    c.h2.acknowledge_received_data(a.held, sid)
    c.flush()
    c.until(lambda: len(a.body) > got + 1000000)
    c.h2.reset_stream(sid, 8)
    c.flush()
    assert c.get("/v1/x").status == 200
    assert sent[0] < 30e6, sent
    c.close()


def test_slow_upstream():
    "an upstream that does not read holds the guest back at its windows"
    up.forget()
    stop = threading.Event()

    def chunked(s, data):
        stop.wait(60)                  # nothing is read
        raise ValueError("enough")
    up.chunked = chunked
    c = H2Guest(guest, HOST)
    try:
        sid = c.send(c.head("POST", "/v1/up"), end=False)
        c.s.settimeout(1)
        put = 0
        try:
            while put < 200e6:
                n = min(c.h2.local_flow_control_window(sid), 16384)
                if n == 0:
                    c.read()
                    continue
                c.h2.send_data(sid, b"x" * n)
                c.flush()
                put += n
        except (socket.timeout, TimeoutError):
            pass
        assert put < 30e6, put
    finally:
        del up.chunked
        stop.set()
        c.close()


# ------------------------------------------------------------- floods

def rapid_reset(c):
    for _ in range(2000):
        sid = c.h2.get_next_available_stream_id()
        c.h2.send_headers(sid, c.head(), end_stream=True)
        c.h2.reset_stream(sid, 8)
        c.flush()


def continuations(c):
    c.raw(frame(HEADERS, 1, 1, b"\x82"))
    for _ in range(1000):
        c.raw(frame(CONT, 0, 1, b""))


def settings(c):
    for _ in range(5000):
        c.raw(frame(SETTINGS, 0, 0))


def pings(c):
    for _ in range(20000):
        c.raw(frame(PING, 0, 0, b"12345678"))


def updates(c):
    sid = c.send(c.head(), end=False)
    for _ in range(20000):
        c.raw(frame(WINDOW, 0, sid, b"\0\0\0\1"))


def empty(c):
    sid = c.send(c.head("POST"), end=False)
    for _ in range(20000):
        c.raw(frame(DATA, 0, sid))


def resets_by_us(c):
    """Streams that we must reset, for what is in their heads."""
    for _ in range(2000):
        c.send(c.head(more=[("X-Upper", "y")]), end=False)


FLOODS = (rapid_reset, continuations, settings, pings, updates, empty,
          resets_by_us)


def test_floods():
    "each flood ends its connection, says so, and hurts nobody else (req. 39)"
    up.answer = plain
    stop, bad, good = threading.Event(), [], [0]

    def work():
        while not stop.is_set():
            status, _, body = other.get(f"https://{HOST}/v1/o")
            good[0] += 1
            if (status, body) != (200, b"hello\n"):
                bad.append(status)
    other.token()
    t = threading.Thread(target=work)
    t.start()
    try:
        for flood in FLOODS:
            before = len(refusals("flood"))
            seen = good[0]
            c = H2Guest(guest, HOST, timeout=60)
            try:
                flood(c)
            except OSError:
                pass
            code = c.wait_end()
            assert code in (CALM, None), (flood.__name__, code)
            wait_for(lambda: len(refusals("flood")) > before)
            wait_for(lambda: good[0] > seen)
            c.close()
            if flood is settings:      # the word itself, where it can come
                assert code in (CALM, None)
        c = H2Guest(guest, HOST)
        c.raw(b"".join(frame(SETTINGS, 0, 0) for _ in range(60)))
        assert c.wait_end() == CALM
        c.close()
    finally:
        stop.set()
        t.join()
    assert not bad and good[0] >= len(FLOODS), (bad, good)
    c = H2Guest(guest, HOST)
    assert c.get("/v1/after").status == 200
    c.close()


def test_heads():
    "heads that grow when they are unpacked, or have too many fields (req. 39)"
    c = fresh()
    for more in ([("x-a", "y" * 4000)] * 30,
                 [(f"x-{i}", "y") for i in range(200)]):
        a = c.wait(c.send(c.head(more=more)))
        assert a.status is None and a.reset in (1, 2), a.__dict__
    assert c.get("/v1/x").status == 200
    assert [r.path for r in up.requests] == ["/v1/x"]
    c.close()


def test_windows():
    "more than the window, or a window too wide, ends it (req. 39)"
    up.answer = lambda r: [b""]        # never answers
    c = H2Guest(guest, HOST)
    sid = c.send(c.head("POST"), end=False)
    for _ in range(200):
        try:
            c.raw(frame(DATA, 0, sid, b"x" * 16384))
        except OSError:
            break
    c.until(lambda: c.goaway is not None or
            c.answers[sid].reset is not None)
    assert c.closed or c.goaway == 3 or c.answers[sid].reset == 3
    c.close()
    up.answer = plain
    c = H2Guest(guest, HOST)
    c.raw(frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"))
    assert c.wait_end() == 3
    c.close()


def test_shut_windows():
    "answers that nobody takes are counted as long as they wait (req. 39)"
    up.answer = lambda r: (200, {}, b"x" * 100000)
    shut = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
    conns, status = [], []
    for _ in range(6):
        c = H2Guest(guest, HOST, settings=shut)
        conns.append(c)
        ids = [c.send(c.head()) for _ in range(100)]
        c.until(lambda: all(c.answers[i].status for i in ids))
        status += [c.answers[i].status for i in ids]
    assert status[:500] == [200] * 500, status
    assert 200 not in status[512:], status
    assert refusals("limit-guest")
    for c in conns:
        c.close()
    up.answer = plain
    c = H2Guest(guest, HOST)
    assert c.get("/v1/x").status == 200
    c.close()


# --------------------------------------------------------------- cuts

def jti(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=="))["jti"]


def endless(request):
    if not request.path.endswith("/flow"):
        return plain(request)

    def flow():
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        while True:
            yield b"4000\r\n" + b"x" * 16384 + b"\r\n"
            time.sleep(0.005)  # the machine has others to serve
    return flow()


def revoke_one_of_two():
    """False: the pair was late to confirm, on a busy machine, and was ended
    with all its connections (docs/THREATS.md): that shows nothing here."""
    mine, its = guest.new_token(), guest.new_token()
    a, b = (H2Guest(guest, HOST, token=t) for t in (mine, its))
    idle = H2Guest(guest, HOST, token=mine)
    assert idle.get("/v1/x").status == 200
    pair = [p["pid"] for p in house.processes(session=guest.id)]
    flows = []
    for c in (a, b):
        for _ in range(3):
            flows.append((c, c.send(c.head("GET", "/v1/flow"))))
    for c, sid in flows:
        c.until(lambda: len(c.answers[sid].body) > 100000)
    house.hatcheck("revoke", "--token", jti(mine))
    a.wait_end()
    assert not any(x.ended for x in a.answers.values())
    idle.wait_end()
    if pair != [p["pid"] for p in house.processes(session=guest.id)]:
        return False
    assert idle.goaway == 0, idle.goaway      # it was told why
    for c, sid in flows[3:]:
        n = len(c.answers[sid].body)
        assert c.until(lambda: len(c.answers[sid].body) > n + 200000)
    assert b.get("/v1/x").status == 200
    for c in (a, b, idle):
        c.close()
    return True


def test_revoked_family():
    "a revoked token's streams end with it, another family's go on"
    up.answer = endless
    assert any(revoke_one_of_two() for _ in range(4))


def test_revoked_grant():
    "a revoked grant's streams end; its connection asks in vain"
    up.answer = endless
    house.apply(*(house.grant_yaml(n, up, credential="demo", allow=[
        '{ methods: ["*"], paths: ["/%s/**"] }' % n]) for n in ("v2", "v3")))
    g = house.session("third", "v2", "v3")
    c = H2Guest(g, HOST)
    sid = c.send(c.head("GET", "/v2/flow"))
    c.until(lambda: len(c.answers[sid].body) > 100000)
    house.hatcheck("revoke", "--grant", "v2")
    c.until(lambda: c.answers[sid].reset is not None)
    assert not c.answers[sid].ended
    c.close()
    c = H2Guest(g, HOST)
    assert c.get("/v2/x").status == 403
    assert c.get("/v3/x").status == 200
    c.close()


def test_shutdown():
    "GOAWAY when the house closes"
    up.answer = plain
    g = house.session("last", "one")
    c = H2Guest(g, HOST)
    assert c.get("/v1/x").status == 200
    house.hatcheck("session", "end", g.id)
    c.wait_end()
    assert c.goaway == 0, c.goaway
    c.close()


# ------------------------------------------------------- real clients

class Bridge:
    """A loopback port from which each connection goes to HOST by CONNECT,
    for clients that know no proxy."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        guest.token()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            b = guest.attach()
            b.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443"
                      "\r\n\r\n".encode())
            got = b""
            while not got.endswith(b"\r\n\r\n"):
                got += b.recv(1)
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self.carry, args=(x, y),
                                 daemon=True).start()

    def carry(self, a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (a, b):
                s.close()


def test_curl():
    "curl --http2: it is spoken, both ways, with trailers and large bodies"
    fresh().close()
    up.answer = lambda r: (200, {}, r.body or b"hello\n")
    got = guest.run("curl", "-sS", "--http2", "-w", "%{http_version}",
                    f"https://{HOST}/v1/x")
    assert got.stdout == b"hello\n2", (got.stdout, got.stderr)
    got = guest.run("curl", "-sS", "--http2", "-T", "-",
                    f"https://{HOST}/v1/put", stdin=b"z" * 3000000)
    assert got.stdout == b"z" * 3000000, got.stderr
    got = guest.run("curl", "-sS", "--http1.1", "-w", "%{http_version}",
                    f"https://{HOST}/v1/x")
    assert got.stdout == b"hello\n1.1", (got.stdout, got.stderr)


def test_h2load():
    "h2load: 4 connections with 50 streams each, every answer 200"
    fresh().close()
    b = Bridge()
    done = subprocess.run(
        ["h2load", "-n", "3000", "-c", "4", "-m", "50", "--connect-to",
         f"127.0.0.1:{b.port}", f"https://{HOST}/v1/load"],
        capture_output=True, text=True, timeout=200)
    b.listener.close()
    assert "3000 succeeded, 0 failed, 0 errored" in done.stdout, \
        done.stdout + done.stderr
    assert "3000 2xx" in done.stdout, done.stdout
    assert len(up.requests) == 3000


def test_nghttp():
    "nghttp, with a body and trailers"
    fresh().close()
    b = Bridge()
    with tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts, \
            tempfile.NamedTemporaryFile(suffix=".body") as body:
        hosts.write(f"127.0.0.1 {HOST}\n")
        hosts.flush()
        os.chmod(hosts.name, 0o644)
        body.write(b"b" * 100000)
        body.flush()
        done = subprocess.run(
            ["bwrap", "--bind", "/", "/", "--dev-bind", "/dev", "/dev",
             "--ro-bind", hosts.name, "/etc/hosts",
             "nghttp", "-v", "-d", body.name, "--trailer", "x-t: 1",
             "-H", f":authority: {HOST}", "-H", ":method: POST",
             f"https://{HOST}:{b.port}/v1/ng"],
            capture_output=True, text=True, timeout=60)
    b.listener.close()
    assert ":status: 200" in done.stdout, done.stdout + done.stderr
    assert up.requests[-1].body == b"b" * 100000
    assert up.requests[-1].trailers in ([("x-t", "1")], []), \
        up.requests[-1].trailers


tap.main(globals(), setup, teardown)
