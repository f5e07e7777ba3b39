#!/usr/bin/python3
"""The courier alone, in its walls, between a gate, a minter, a vault and a
dialer that this test plays, and a real TLS server."""
import base64
import gzip
import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from sibling import (COURIER, DIALER, GATE, MINTER, REASONS, VAULT, Gone,  # noqa: E402
                     Program, boot_ms, pack, unpack)
from harness import wait_for  # noqa: E402
from upstream import Upstream, make_ca  # noqa: E402

HOST, FAMILY, SESSION = "api.demo.test", b"fam-1", "s-1"
SECRET = b"sk-canary-0123456789-ABCDEFGH"
TICKET = "hck_placeholder_0123456789abcdef0123"
WINDOW = 128 * 1024
INTERCEPT, ABSOLUTE, BASE, TUNNEL = 1, 2, 3, 4

up = None


def grant(**more):
    g = {"type": "hatcheck-grant", "name": "demo", "credential": "demo",
         "hosts": [HOST + ":443"],
         "allow": [{"methods": ["GET", "HEAD", "POST"], "paths": ["/v1/**"]}],
         "upstream": {"addresses": ["127.0.0.1"], "port": up.port,
                      "ca_pem": Path(up.ca_file).read_text()}}
    g.update(more)
    return {k: v for k, v in g.items() if v is not None}


def metadata(hosts=(HOST,), slot=None, version=1):
    return json.dumps({
        "name": "demo", "kind": "bearer", "version": version,
        "created": 1, "rotated": 1,
        "bindings": [{"hosts": list(hosts),
                      "slot": slot or {"type": "bearer"}}]})


class House:
    """A courier with all its siblings; the vault and the dialer answer by
    themselves."""

    def __init__(self, grants=None, meta=None, secret=SECRET, used="{}",
                 family_ms=600000, limit=None, vault_err=0, audit=None,
                 wrap=()):
        self.audit_path = tempfile.mktemp(prefix="hck-audit-")
        fd = audit if audit is not None else os.open(
            self.audit_path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self.p = Program("hatcheck-courier", COURIER, ["--session", SESSION],
                         fds={5: fd}, limit=limit, wrap=wrap)
        os.close(fd)
        self.meta, self.secret = meta or metadata(), secret
        self.vault_err, self.version, self.rejected = vault_err, 1, []
        self.dials, self.asks, self.dial_err = [], 0, 0
        self.on_ask = None          # before an answer
        self.open = {}
        self.dial_hold, self.dial_port, self.held = False, up.port, []
        self.gate = self.p.peer(GATE, SESSION)
        self.minter = self.p.peer(MINTER, SESSION)
        self.vault = self.p.peer(VAULT, SESSION)
        self.dialer = self.p.peer(DIALER, SESSION)
        self.grants = grants or [grant()]
        self.rules(self.grants, used)
        self.family(family_ms)
        for serve in (self.serve_vault, self.serve_dialer):
            threading.Thread(target=serve, daemon=True).start()
        self.next = 0

    def rules(self, grants, used="{}"):
        self.minter.send(
            "rules_session", SESSION, "guest", boot_ms() + 3600000,
            json.dumps(grants),
            json.dumps([{"credential": "demo", "value": TICKET}]), used)

    def family(self, ms=600000, name=FAMILY):
        self.minter.send("rules_family", name, "jti-1", boot_ms() + ms,
                         "", "", "")

    def serve_vault(self):
        try:
            while True:
                kind, values, _ = self.vault.receive(3600)
                if kind == "lease_settled":
                    self.settled = values[0]
                    continue
                if kind == "lease_rejected":
                    self.rejected.append(values)
                    continue
                rid, name = values
                self.asks += 1
                if self.on_ask:
                    self.on_ask()
                good = self.vault_err == 0
                self.vault.send(
                    "lease_given", rid, self.vault_err, name,
                    self.version if good else 0, self.meta if good else b"",
                    self.secret if good else b"")
        except (Gone, OSError):
            pass

    def serve_dialer(self):
        try:
            while True:
                kind, values, _ = self.dialer.receive(3600)
                if kind != "dial_ask":
                    continue
                rid, host, port = values
                self.dials.append((host.decode(), port))
                if self.dial_hold:
                    self.held.append(rid)
                    continue
                if self.dial_err:
                    self.dialer.send("dial_done", rid, self.dial_err, b"")
                    continue
                self.dialed(rid)
        except (Gone, OSError):
            pass

    def dialed(self, rid):
        s = socket.create_connection(("127.0.0.1", self.dial_port))
        s.setblocking(False)
        self.dialer.send("dial_done", rid, 0, b"127.0.0.1:1", fd=s.fileno())
        s.close()

    def id(self):
        self.next += 1
        return self.next

    def connect(self, host=HOST, port=443, family=FAMILY):
        conn = self.id()
        self.gate.send("connect", conn, family, host, port)
        kind, v, _ = self.gate.receive()
        while kind in ("window", "traffic_cut"):  # of an exchange that is over
            kind, v, _ = self.gate.receive()
        assert v[0] == conn
        return conn, v[1] if kind == "connect_done" else REASONS[v[1]]

    def ask(self, path="/v1/x", method="GET", headers=(), conn=None,
            way=INTERCEPT, family=FAMILY, sni=HOST, host=HOST, port=443,
            name="", header_host=None, body=0, length=0, expect=0,
            upgrade=0, te=0):
        """Send a request, without waiting."""
        if conn is None and way == INTERCEPT:
            conn, got = self.connect(family=family)
            assert got == INTERCEPT, got
        stream = self.id()
        self.gate.send("request", stream, conn or 0, way, body, expect,
                       upgrade, te, length, family,
                       sni if way == INTERCEPT else "",
                       host, port, name,
                       host if header_host is None else header_host, method,
                       path, pack(headers))
        return stream

    def answer(self, stream, credit=True):
        """(status, headers, body) or the word of a refusal or reset."""
        status, headers, body = 0, [], b""
        while True:
            kind, v, _ = self.gate.receive()
            if v[0] != stream or kind in ("window", "interim",
                                          "traffic_cut"):
                continue
            if kind == "response":
                status, headers = v[1], unpack(v[5])
            elif kind == "bytes":
                body += v[1]
                if credit:
                    self.gate.send("window", stream, len(v[1]))
            elif kind == "end":
                return status, headers, body
            else:
                return REASONS[v[1]]

    def answer_any(self):
        """(stream, status, body) of the next that ends, bodies as one."""
        while True:
            kind, v, _ = self.gate.receive()
            if kind == "response":
                self.open[v[0]] = [v[1], b""]
            elif kind == "bytes":
                self.open[v[0]][1] += v[1]
            elif kind == "end":
                return (v[0], *self.open.pop(v[0]))

    def get(self, path="/v1/x", **more):
        return self.answer(self.ask(path, **more))

    def cut(self, kind, name=""):
        self.minter.send("rules_cut", 7, kind, name)
        while True:
            got, v, _ = self.minter.receive()
            if got == "rules_cut_done":
                assert v == [7]
                return

    def lines(self):
        with open(self.audit_path) as f:
            return [json.loads(x) for x in f]

    def close(self):
        self.p.kill()
        for link in (self.gate, self.minter, self.vault, self.dialer,
                     self.p.control):
            link.sock.close()
        if os.path.exists(self.audit_path):
            os.unlink(self.audit_path)


def fresh():
    up.requests.clear()
    up.received.clear()
    up.answer = lambda request: (200, {"x-own": "1"}, b"hello\n")


def with_house(f):
    def run(*a, **k):
        fresh()
        h = House(**k)
        try:
            f(h, *a)
        except BaseException:
            print("# log: " + h.p.log().replace("\n", "\n# "), flush=True)
            raise
        finally:
            h.close()
    return run


def test_brokered():
    "the secret goes in its slot, to its host, once; the placeholder stays"
    @with_house
    def run(h):
        for headers in ([], [("authorization", "Bearer " + TICKET)],
                        [("authorization", "token " + TICKET)],
                        [("x-api-key", TICKET)],
                        [("authorization", "Basic " + base64.b64encode(
                            f"u:{TICKET}".encode()).decode())],
                        [("cookie", "a=b"), ("accept-encoding", "gzip")]):
            status, got, body = h.get(headers=headers)
            assert (status, body) == (200, b"hello\n")
            assert ("x-own", "1") in got
            r = up.requests[-1]
            assert r.header("authorization") == ["Bearer " + SECRET.decode()]
            assert r.header("host") == [HOST]
            assert r.header("accept-encoding") == [
                v for n, v in headers if n == "accept-encoding"]
            assert not r.header("cookie") and not r.header("x-api-key")
        assert TICKET.encode() not in bytes(up.received)
        assert up.connections and len(h.dials) == 1, "one kept connection"
        assert h.asks == 1
        events = [x["event"] for x in h.lines()]
        assert events == ["request", "done"] * 6, events
        assert SECRET.decode() not in open(h.audit_path).read()
    run()


def test_foreign():
    "a foreign credential in any carrier is refused, nothing is dialled (3)"
    @with_house
    def run(h):
        key = "ghp_attackers0123456789attackers"
        basic = base64.b64encode(f"{key}:x".encode()).decode()
        for name, value in [("authorization", "Bearer " + key),
                            ("authorization", key),
                            ("authorization", "Basic " + basic),
                            ("authorization", "Digest x=y"),
                            ("authorization", "Bearer " + TICKET + "x"),
                            ("authorization", f"Bearer {TICKET}, {key}"),
                            ("x-api-key", key), ("api-key", key),
                            ("x_api_key", key), ("x-goog-api-key", key),
                            ("x-auth-token", key), ("private-token", key),
                            ("x-amz-security-token", key)]:
            assert h.get(headers=[(name, value)]) == "foreign-credential", \
                (name, value)
        twice = [("authorization", "Bearer " + TICKET),
                 ("authorization", "Bearer " + key)]
        assert h.get(headers=twice) == "foreign-credential"
        for q in ("key", "api_key", "apikey", "ACCESS_TOKEN", "token",
                  "auth", "sig", "X-Amz-Signature"):
            assert h.get(f"/v1/x?a=b&{q}={key}") == "foreign-credential", q
        assert not h.dials and not up.requests
        assert key not in open(h.audit_path).read(), "not even in the log"
        assert all(x["reason"] == "foreign-credential" for x in h.lines())
    run()


def test_slots():
    "header, basic and query slots; what can be injected is enforced (9)"
    slots = [
        ({"type": "header", "name": "x-odd-place", "prefix": "Key "},
         lambda r: r.header("x-odd-place") == ["Key " + SECRET.decode()],
         [("x-odd-place", "foreign")], "/v1/x"),
        ({"type": "basic", "user": "me"},
         lambda r: r.header("authorization") == ["Basic " + base64.b64encode(
             b"me:" + SECRET).decode()],
         [("authorization", "Basic " + base64.b64encode(
             b"me:foreign").decode())], "/v1/x"),
        ({"type": "query", "name": "odd.key"},
         lambda r: r.path == "/v1/x?page=2&odd.key=" + SECRET.decode(),
         [], "/v1/x?page=2&odd.key=foreign"),
    ]
    for slot, good, headers, path in slots:
        @with_house
        def run(h):
            assert h.get(path, headers=headers) == "foreign-credential"
            assert not h.dials
            assert h.get("/v1/x?page=2")[0] == 200
            r = up.requests[-1]
            assert good(r) or slot["type"] != "query" and good(r), r.raw
            status = h.get("/v1/x?page=2&token=" + TICKET)[0]
            assert status == 200
            assert TICKET not in up.requests[-1].path
        run(meta=metadata(slot=slot))


def test_names():
    "names that disagree in any pair: refused, nothing upstream (1)"
    @with_house
    def run(h):
        conn, _ = h.connect()
        other = "b.demo.test"
        assert h.get(conn=conn, sni=other) == "names-disagree"
        assert h.get(conn=conn, sni="") == "names-disagree"
        assert h.get(conn=conn, header_host=other) == "names-disagree"
        assert h.get(conn=conn, header_host="") == "names-disagree"
        assert h.get(conn=conn, header_host=HOST + ":444") == "names-disagree"
        assert h.get(conn=conn, host=other, sni=other) == "names-disagree"
        assert h.get(conn=conn, port=444) == "names-disagree"
        assert h.get(conn=conn, host=HOST.upper()) == "bad-host"
        assert h.get(conn=conn, family=b"fam-2") == "bad-token"
        assert h.get(conn=99) == "bad-token"
        h.family(name=b"fam-2")
        assert h.get(conn=conn, family=b"fam-2") == "bad-token"
        assert h.get(conn=conn, header_host=HOST.upper() + ":443")[0] == 200
        assert h.get(way=ABSOLUTE) == "host-not-granted"
        assert h.get(way=BASE, name="demo", header_host="evil.test") == \
            "names-disagree"
        assert h.get(way=BASE, name="demo", host="", port=0,
                     header_host="127.0.0.1:8080")[0] == 200
        assert h.get(way=BASE, name="other", host="", port=0,
                     header_host="localhost") == "host-not-granted"
        assert len(up.requests) == 2
    run()


def test_absolute():
    "absolute form goes out over TLS, where the grant says so"
    @with_house
    def run(h):
        assert h.get(way=ABSOLUTE)[0] == 200
        assert h.get(way=ABSOLUTE, header_host="b.test") == "names-disagree"
    run(grants=[grant(absolute=True)])


def test_scope():
    "method, path and odd paths are refused before anything is dialled (20)"
    @with_house
    def run(h):
        assert h.get("/v2/x") == "path-not-granted"
        assert h.get("/v1/x", method="DELETE") == "method-not-granted"
        assert h.get("/v1/x", method="TRACE") == "unsupported"
        for p in ("/v1/../v2", "/v1/%2e%2e/x", "/v1//x", "/v1/a;b", "/v1/%00"):
            assert h.get(p) == "bad-path", p
        assert h.connect("other.test")[1] == "host-not-granted"
        assert not h.dials
    run()


def test_many_refusals():
    "a refused CONNECT is over: thousands leave no trace and break nothing"
    @with_house
    def run(h):
        for _ in range(4200):
            assert h.connect("other.test")[1] == "host-not-granted"
        h.gate.send("conn_end", h.next)  # crossed the refusal
        assert h.get()[0] == 200
    run()


def test_uncredentialed_grant():
    "a grant without a credential: none is sent, none passes, nor in a coding"
    open_grant = grant(name="open", credential=None,
                       allow=[{"methods": ["GET"], "paths": ["/open/**"]}])

    @with_house
    def run(h):
        up.answer = lambda r: (200, {}, SECRET)
        status, _, body = h.get("/open/x",
                                headers=[("accept-encoding", "gzip")])
        assert (status, body) == (200, b"*" * len(SECRET))
        r = up.requests[-1]
        assert not r.header("authorization")
        assert r.header("accept-encoding") == ["gzip"]
        assert h.get("/open/x", headers=[("x-api-key", "k")]) == \
            "foreign-credential"
        assert h.get("/open/x", headers=[("x-api-key", TICKET)]) == \
            "path-not-granted"
        up.answer = lambda r: (200, {"content-encoding": "compress"}, b"x")
        assert h.get("/open/x") == "upstream-encoded"
        up.answer = lambda r: (200, {"content-encoding": "gzip"},
                               gzip.compress(SECRET))
        assert h.get("/open/x") == "credential-echo"
    run(grants=[grant(), open_grant])


def test_cross_site():
    "a page of another site is refused unless it has the placeholder"
    @with_house
    def run(h):
        for header in (("origin", "https://evil.test"), ("origin", "null"),
                       ("sec-fetch-site", "cross-site")):
            assert h.get(headers=[header]) == "cross-site"
            assert h.get(headers=[
                header, ("authorization", "Bearer " + TICKET)])[0] == 200
        assert h.get(headers=[("origin", "https://" + HOST)])[0] == 200
    run()


def test_lying_minter():
    "a grant beyond the bindings: not-bound, nothing dialled (31a)"
    @with_house
    def run(h):
        assert h.get() == "not-bound"
        assert not h.dials and not up.requests
    fresh()
    run(meta=metadata(hosts=["elsewhere.test"]))


def test_no_credential():
    "a locked vault refuses before the answer to CONNECT (29)"
    @with_house
    def run(h):
        assert h.connect()[1] == "credential-unavailable"
        h.vault_err = 0
        assert h.connect()[1] == INTERCEPT
    run(vault_err=-8)


def test_families():
    "unknown, expired and revoked families"
    @with_house
    def run(h):
        assert h.connect(family=b"nobody")[1] == "bad-token"
        conn, _ = h.connect()
        h.family(ms=0)
        time.sleep(0.02)
        assert h.get(conn=conn) == "token-expired"
        h.family()
        assert h.get(conn=conn)[0] == 200
        h.cut(2, FAMILY)
        assert h.get(conn=conn) == "revoked"
        h.family()  # no way back
        assert h.get(conn=conn) == "revoked"
    run()


def stream_forever(request):
    def go():
        yield b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        while True:
            yield b"400\r\n" + b"x" * 1024 + b"\r\n"
            time.sleep(0.002)
    return go()


def test_cut():
    "each kind of revocation cuts an open download, then refuses (25)"
    for kind, name in ((1, ""), (2, FAMILY), (3, "demo"), (4, "demo")):
        @with_house
        def run(h):
            up.answer = stream_forever
            conn, _ = h.connect()
            stream = h.ask(conn=conn)
            assert h.gate.receive()[0] == "response"
            assert h.gate.receive()[0] == "bytes"
            h.cut(kind, name)
            assert h.answer(stream) == "revoked"
            if kind > 2:  # the gate confirms what came before it
                assert h.gate.receive()[:2] == ("traffic_cut", [7])
            assert h.get(conn=conn) == "revoked"
            assert [x["event"] for x in h.lines()] == [
                "request", "cut", "refused"]
            until = time.monotonic() + 5
            while up.live and time.monotonic() < until:
                time.sleep(0.01)
            assert not up.live, "the upstream connection is reset"
        run()


def test_rules_shrink():
    "new rules that no longer grant it cut what is in flight"
    @with_house
    def run(h):
        up.answer = stream_forever
        stream = h.ask()
        assert h.gate.receive()[0] == "response"
        h.rules([grant(allow=[{"methods": ["GET"], "paths": ["/v2/**"]}])])
        assert h.answer(stream) == "revoked"
    run()


def test_rotation():
    "a changed credential is leased anew, on a new connection (7)"
    @with_house
    def run(h):
        assert h.get()[0] == 200 and h.get()[0] == 200
        assert len(h.dials) == 1
        h.secret, h.version = b"sk-canary-second-ABCDEFGH", 2
        h.vault.send("lease_changed", "demo", 2, 7)
        until = time.monotonic() + 10
        while b"second" not in bytes(up.received):
            assert h.get()[0] == 200
            assert time.monotonic() < until
        assert len(h.dials) == 2 and h.settled == 7
    run()


KEY = base64.b64encode(b"sixteen bytes 16")
HANDSHAKE = [("sec-websocket-version", "13"),
             ("sec-websocket-key", KEY.decode())]


def open_socket(h):
    """A WebSocket that stays open; its stream."""
    def talk(r):
        yield (b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: "
               b"upgrade\r\nSec-WebSocket-Accept: " + base64.b64encode(
                   hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-"
                                b"C5AB0DC85B11").digest()) + b"\r\n\r\n")
        threading.Event().wait(60)
    up.answer = talk
    stream = h.ask(upgrade=1, headers=HANDSHAKE)
    kind, v, _ = h.gate.receive()
    assert (kind, v[:3]) == ("response", [stream, 101, 0]), (kind, v)
    return stream


def test_socket_ends():
    "expiry, revocation, rotation end an open WebSocket; frames are checked"
    ends = {
        "token-expired": lambda h, s: h.family(ms=0),
        "revoked": lambda h, s: h.cut(2, FAMILY),
        "retired-connection": lambda h, s: h.vault.send(
            "lease_changed", "demo", 2, 9),
        "bad-request": lambda h, s: h.gate.send("bytes", s, b"\x81\x01x"),
    }
    for word, end in ends.items():
        @with_house
        def run(h):
            stream = open_socket(h)
            end(h, stream)
            assert h.answer(stream) == word
            last = h.lines()[-1]
            assert (last["status"], last["reason"]) == (101, word), last
        run()


def test_bodies():
    "bodies both ways, by credit, of any size"
    @with_house
    def run(h):
        up.answer = lambda r: (200, {}, r.body)
        for size, body in ((1, 1), (300000, 1), (300000, 2), (0, 2), (0, 1)):
            data = os.urandom(size)
            stream = h.ask(method="POST", body=body,
                           length=size if body == 1 else 0)
            credit, sent, got, ended = WINDOW, 0, b"", False
            while True:
                while sent < size and credit > 0:
                    n = min(16384, credit, size - sent)
                    h.gate.send("bytes", stream, data[sent:sent + n])
                    sent, credit = sent + n, credit - n
                if sent == size and not ended:
                    h.gate.send("end", stream, b"")
                    ended = True
                kind, v, _ = h.gate.receive()
                if kind == "window":
                    credit += v[1]
                elif kind == "bytes":
                    got += v[1]
                    h.gate.send("window", stream, len(v[1]))
                elif kind == "end":
                    break
                else:
                    assert kind == "response" and v[1] == 200, (kind, v)
            assert got == data
            r = up.requests[-1]
            if body == 1:
                assert r.header("content-length") == [str(size)]
            else:
                assert r.header("transfer-encoding") == ["chunked"]
    run()


def test_backpressure():
    "without credit the upstream is not read; then all arrives"
    @with_house
    def run(h):
        data = os.urandom(1024 * 1024)
        up.answer = lambda r: (200, {}, data)
        stream = h.ask()
        got = b""
        assert h.gate.receive()[0] == "response"
        while len(got) < WINDOW:
            got += h.gate.receive()[1][1]
        assert len(got) == WINDOW
        h.gate.quiet()
        h.gate.send("window", stream, WINDOW)
        rest = h.answer(stream)
        assert got + rest[2] == data
    run()


def test_early_answer():
    "an answer before the body is all sent; the rest is thrown away"
    @with_house
    def run(h):
        server = socket.create_server(("127.0.0.1", 0))

        def serve():
            s = up.context.wrap_socket(server.accept()[0], server_side=True)
            s.recv(65536)
            s.sendall(b"HTTP/1.1 413 No\r\ncontent-length: 3\r\n\r\nbig")
            time.sleep(0.3)
            s.close()
        threading.Thread(target=serve, daemon=True).start()
        h.dial_port = server.getsockname()[1]
        size = 1000000
        stream = h.ask(method="POST", body=1, length=size)
        h.gate.send("bytes", stream, b"x" * 10)
        assert h.answer(stream) == (413, [], b"big")
        sent, credit = 10, WINDOW - 10
        while sent < size:
            while credit < 16384 and credit < size - sent:
                kind, v, _ = h.gate.receive()
                assert kind == "window", kind
                credit += v[1]
            n = min(16384, size - sent)
            h.gate.send("bytes", stream, b"x" * n)
            sent, credit = sent + n, credit - n
        h.gate.send("end", stream, b"")
        h.dial_port = up.port
        assert h.get()[0] == 200
        done = [x for x in h.lines() if x["event"] == "done"][0]
        assert done["status"] == 413 and done["how"] == "early"
    run()


def test_expect():
    "100 Continue is relayed to who waits for it"
    @with_house
    def run(h):
        up.answer = lambda r: (200, {}, r.body)
        stream = h.ask(method="POST", body=1, length=5, expect=1)
        kind, v, _ = h.gate.receive()
        assert kind == "interim" and v[1] == 100, (kind, v)
        h.gate.send("bytes", stream, b"12345")
        h.gate.send("end", stream, b"")
        assert h.answer(stream)[2] == b"12345"
    run()


def test_scrub():
    "an upstream that echoes the secret everywhere: stars come back (10)"
    @with_house
    def run(h):
        plain = SECRET.decode()
        b64 = base64.b64encode(SECRET).decode().rstrip("=")

        def pieces(r):
            text = f"a {plain} b {b64[:-1]} {SECRET.hex()} c".encode()
            yield (f"HTTP/1.1 200 {plain}\r\nx-echo: v={plain}\r\n"
                   f"transfer-encoding: chunked\r\n\r\n").encode()
            for i in range(len(text)):
                yield b"1\r\n" + text[i:i + 1] + b"\r\n"
            yield f"0\r\nx-trailer: {plain}\r\n\r\n".encode()
        up.answer = pieces
        stream = h.ask()
        raw = b""
        while True:
            kind, v, _ = h.gate.receive()
            raw += b"".join(x for x in v if isinstance(x, bytes))
            if kind == "end":
                break
        for canary in (SECRET, b64[:-1].encode(), SECRET.hex().encode()):
            assert canary not in raw
        assert b"v=" + b"*" * len(SECRET) in raw
        assert b"a " in raw and b" c" in raw
    run()


def test_encoded():
    "what cannot be decoded is refused, and what mints a secret (10, 11, 13)"
    @with_house
    def run(h):
        good = gzip.compress(b"hello")
        for coding, body, status in (
                ("gzip", b"zzz", 200), ("gzip", good[:-1], 200),
                ("gzip", good + b"zzz", 200), ("gzip, gzip", good, 200),
                ("compress", good, 200), ("gzip", good, 206)):
            up.answer = lambda r: (status, {"content-encoding": coding}, body)
            assert h.get() == "upstream-encoded", (coding, body)
            assert h.lines()[-1]["reason"] == "upstream-encoded"
        up.answer = lambda r: (200, {"content-encoding": "gzip"}, good)
        assert h.get()[2] == good
        reply = b'{"access_token":"new","token_type":"bearer"}'
        for coding, body in (("identity", reply),
                             ("gzip", gzip.compress(reply))):
            up.answer = lambda r: (200, {
                "content-type": "application/json",
                "content-encoding": coding}, body)
            assert h.get() == "minted-secret", coding
    run()


def test_half_secret_then_reset():
    "half a secret, then the end: no whole answer (11)"
    @with_house
    def run(h):
        def half(r):
            yield b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
            yield SECRET[:15]
            raise OSError
        up.answer = half
        assert h.get() == "upstream-broken"
    run()


def test_bad_answers():
    "upstream answers that are not strict HTTP are refused (18)"
    for raw in (b"HTTP/1.1 200 OK\nx: y\n\n", b"nonsense\r\n\r\n",
                b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n"
                b"content-length: 2\r\n\r\nab",
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"
                b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"):
        @with_house
        def run(h):
            up.answer = lambda r: iter([raw])
            assert h.get() == "upstream-broken"
        run()


def test_poisoned_queue():
    "an answer that nobody asked for yet is nobody's answer (18)"
    one = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"

    @with_house
    def run(h):
        for pieces in ([one + b"good" + one + b"evil"],
                       [one + b"good", one + b"evil"],
                       [one + b"good", b"H"]):
            up.answer = lambda r: iter(pieces)
            dials = len(h.dials)
            assert h.get()[2] == b"good"
            until = time.monotonic() + 5
            while up.live and time.monotonic() < until:
                time.sleep(0.01)
            up.answer = lambda r: iter([one + b"next"])
            assert h.get()[2] == b"next"
            assert len(h.dials) == dials + 2
            h.rules([grant()])  # nothing idles for the next round
    run()


def test_redirect():
    "redirects come back untouched, Set-Cookie too (8)"
    @with_house
    def run(h):
        to = "https://elsewhere.test/x"
        for status in (301, 302, 303, 307, 308):
            up.answer = lambda r: (
                status, {"location": to, "set-cookie": "a=b"}, b"")
            got, headers, _ = h.get()
            assert got == status and ("location", to) in headers
            assert ("set-cookie", "a=b") in headers
        assert set(h.dials) == {(HOST, 443)}
    run()


def test_tls_refused():
    "a certificate of another name or CA: refused, no byte of HTTP (2)"
    @with_house
    def run(h):
        assert h.get() == "upstream-tls"
        assert SECRET not in bytes(up.received)
        assert "upstream_tls_refused" in h.p.log()
    other = Upstream(["x.test"])
    fresh()
    g = grant()
    g["upstream"]["ca_pem"] = Path(other.ca_file).read_text()
    run(grants=[g])
    fresh()
    g = grant(hosts=["wrong.demo.test:443"])
    h = House(grants=[g], meta=metadata(hosts=["wrong.demo.test"]))
    try:
        conn, _ = h.connect("wrong.demo.test")
        assert h.get(conn=conn, host="wrong.demo.test",
                     sni="wrong.demo.test") == "upstream-tls"
    finally:
        h.close()
    # Without a CA of its own: the system's, which do not know ours.
    fresh()
    g = grant(upstream=None)
    h = House(grants=[g])
    try:
        assert h.get() == "upstream-tls"
        assert SECRET not in bytes(up.received)
    finally:
        h.close()


def test_extra_ca():
    "a grant's CA is trusted beside the system's, and by that grant alone"
    folder = Path(tempfile.mkdtemp(prefix="hck-anchors-"))
    # Its CA is one that the system trusts.
    known = Upstream([HOST], ca=make_ca(folder, "Known CA"))
    os.chmod(folder, 0o755)
    subprocess.run(["openssl", "rehash", folder], check=True)
    wrap = ["unshare", "-m" if os.getuid() == 0 else "-rm", "sh", "-c",
            f'mount --bind {folder} /etc/ssl/certs && exec "$@"', "-"]
    if subprocess.run([*wrap, "true"], capture_output=True).returncode:
        raise tap.Skip("no mount namespace here")
    alone = grant(upstream={"addresses": ["127.0.0.1"], "port": up.port})

    @with_house
    def run(h, want):
        for server, word in zip((known, up), want):
            h.dial_port = server.port
            got = h.get()
            assert (got if isinstance(got, str) else got[0]) == word, got
            h.rules(h.grants)  # what idles is dropped
    run((200, 200), grants=[grant()], wrap=wrap)
    run((200, "upstream-tls"), grants=[alone], wrap=wrap)
    shutil.rmtree(folder)
    known.close()


def test_dial_failures():
    "what the dialer says becomes a reason"
    @with_house
    def run(h):
        for err, word in ((-7, "address-forbidden"), (-5, "dns-failed"),
                          (-12, "dns-silent"), (-9, "connect-failed"),
                          (-10, "proxy-failed")):
            h.dial_err = err
            assert h.get() == word
    run()


def test_limits():
    "requests, rate, bytes and concurrency"
    for limits, used, first, then in (
            ({"requests": 2}, '{"demo":{"requests":1}}', 200,
             "limit-requests"),
            ({"rate": 1, "rate_ms": 60000}, "{}", 200, "limit-rate"),
            ({"bytes_down": 6}, "{}", 200, "limit-bytes"),
            ({"bytes_down": 5}, "{}", "limit-bytes", "limit-bytes")):
        @with_house
        def run(h):
            if "requests" in limits:  # it waits until they are leased
                h.minter.send("rules_leased", "demo", 2, 0, 0)
            got = h.get()
            assert (got if isinstance(got, str) else got[0]) == first, got
            assert h.get() == then
        run(grants=[grant(limits=limits)], used=used)

    @with_house
    def both(h):
        up.answer = stream_forever
        h.ask()
        assert h.gate.receive()[0] == "response"
        conn = h.id()
        h.gate.send("connect", conn, FAMILY, HOST, 443)
        assert h.get(conn=conn) == "limit-concurrent"
        while True:
            kind, v, _ = h.minter.receive()
            if kind == "rules_used":
                assert v[0] == b"demo" and v[1] == 1
                break
    both(grants=[grant(limits={"concurrent": 1})])


def test_tunnel():
    "a hosts-only grant is a plain pipe; the SNI must be the host"
    def run():
        fresh()
        host = "docs.demo.test"
        h = House(grants=[{"type": "hatcheck-grant", "name": "docs",
                           "hosts": [host + ":443"], "tunnel": True}])
        try:
            import ssl
            conn, way = h.connect(host)
            assert way == TUNNEL
            stream = h.id()
            h.gate.send("tunnel", stream, conn, FAMILY, "other.test")
            assert h.answer(stream) == "names-disagree"
            assert not h.dials
            stream = h.id()
            h.gate.send("tunnel", stream, conn, FAMILY, host)
            inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
            c = ssl.create_default_context(cafile=up.ca_file)
            c.check_hostname = False
            t = c.wrap_bio(inside, outside, server_hostname=host)
            sent = False
            got = b""
            while b"hello" not in got:
                try:
                    if not sent:
                        t.do_handshake()
                        t.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                        sent = True
                    got += t.read(65536)
                except ssl.SSLWantReadError:
                    pass
                out = outside.read()
                if out:
                    h.gate.send("bytes", stream, out)
                if b"hello" not in got:
                    kind, v, _ = h.gate.receive()
                    if kind == "bytes":
                        inside.write(v[1])
            assert h.dials == [(host, 443)]
            h.cut(2, FAMILY)
            assert h.answer(stream) == "revoked"
        finally:
            h.close()
    run()


def no_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))


def test_audit_full():
    "no audit, no action: a log that cannot grow ends all traffic (28)"
    @with_house
    def run(h):
        conn, _ = h.connect()
        before, got = 0, None
        for _ in range(8):
            before = len(up.requests)
            got = h.get(conn=conn)
            if got == "audit-failed":
                break
        assert got == "audit-failed", got
        assert len(up.requests) == before, "nothing went out unlogged"
        assert h.get(conn=conn) == "audit-failed"
        assert h.connect()[1] == "audit-failed"
    run(limit=no_room)


def test_audit_synced():
    "heads reach the minter; a stop leaves a whole chain"
    @with_house
    def run(h):
        assert h.get()[0] == 200
        while True:
            kind, v, _ = h.minter.receive()
            if kind == "rules_audit_head":
                break
        assert v[0] >= 1 and len(v[1]) == 32
        assert h.p.stop() == 0
        lines = h.lines()
        assert [x["seq"] for x in lines] == list(range(1, len(lines) + 1))
    run()


def test_bad_gate():
    "a gate that breaks the rules of flow ends the courier"
    def too_much(h, stream):
        for _ in range(9):
            h.gate.send("bytes", stream, b"x" * 16384)

    def twice(h, stream):
        h.gate.send("request", stream, 0, BASE, *(0,) * 5, FAMILY, "", "", 0,
                    "demo", "localhost", "GET", "/v1/x", b"")

    def over_length(h, stream):
        h.gate.send("bytes", stream, b"x" * 101)

    def no_way(h, stream):
        h.gate.send("request", stream + 50, 0, 9, *(0,) * 5, FAMILY, "", "", 0,
                    "demo", "localhost", "GET", "/v1/x", b"")

    def before_101(h, stream):
        stream = h.ask(upgrade=1, headers=HANDSHAKE)
        h.gate.send("bytes", stream, b"x")

    for bad in (too_much, twice, over_length, no_way, before_101):
        fresh()
        h = House()
        try:
            h.dial_hold = True
            stream = h.ask(method="POST", body=1,
                           length=10 ** 9 if bad is too_much else 100)
            bad(h, stream)
            assert h.p.exit_status() != 0, bad.__name__
            assert "sibling_link" in h.p.log()
        finally:
            h.close()


def test_minter_gone():
    "without a minter nothing new is forwarded, until one is back"
    @with_house
    def run(h):
        conn, _ = h.connect()
        assert h.get(conn=conn)[0] == 200
        h.minter.sock.close()
        time.sleep(0.05)
        assert h.get(conn=conn) == "not-ready"
        h.minter = h.p.peer(MINTER, SESSION)
        h.rules([grant()])
        h.family()
        assert h.get(conn=conn)[0] == 200
    run()


def setup():
    global up
    up = Upstream([HOST, "*.test"])


NEW = b"sk-canary-of-tomorrow-ABCDEFGH"


def choosy(request):
    good = request.header("Authorization") == ["Bearer " + NEW.decode()]
    return (200, {}, b"new\n") if good else (
        401, {"WWW-Authenticate": "Bearer"}, b"old\n")


def test_changed_behind_us():
    "a rejected key is asked for again, and with another one the guest served"
    @with_house
    def run(h):
        def changed():
            if h.asks == 2:
                h.secret = NEW      # as in a keychain: no new version
        h.on_ask = changed
        up.answer = choosy
        assert h.get()[::2] == (200, b"new\n")
        assert h.asks == 2 and len(up.requests) == 2
        assert h.get()[::2] == (200, b"new\n") and h.asks == 2
        assert not h.rejected
        sent = [x for x in h.lines() if x["event"] == "request"]
        assert len(sent) == 3, "one line for each that went upstream"
    run()


def test_rejected_with_body():
    "what had a body is not sent twice: its 401 is passed on"
    @with_house
    def run(h):
        def changed():
            if h.asks == 2:
                h.secret = NEW
        h.on_ask = changed
        up.answer = choosy
        stream = h.ask(method="POST", body=1, length=1)
        h.gate.send("bytes", stream, b"x")
        h.gate.send("end", stream, b"")
        assert h.answer(stream)[::2] == (401, b"old\n")
        assert len(up.requests) == 1 and h.asks == 2
        assert h.get()[::2] == (200, b"new\n") and len(up.requests) == 2
        assert not h.rejected
    run()


def test_rejected_before_the_end():
    "a 401 that comes before the body's end, and trailers: neither is stuck"
    @with_house
    def run(h):
        go = threading.Event()
        h.on_ask = lambda: h.asks == 1 or go.wait(30)
        up.answer = choosy
        early = threading.Event()

        def chunked(s, data):
            s.sendall(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\n"
                      b"Content-Length: 4\r\n\r\nol")
            early.set()
            while b"x-sum" not in up.received.lower():
                up.read(s)
            s.sendall(b"d\n")
            raise ValueError("that was all")
        up.chunked = chunked
        try:
            stream = h.ask(method="POST", body=2)
            h.gate.send("bytes", stream, b"x")
            assert early.wait(30)
            wait_for(lambda: h.asks == 2)
            h.gate.send("end", stream, pack([("x-sum", "1")]))
            go.set()
            got = h.answer(stream)
            assert got[::2] == (401, b"old\n"), got
        finally:
            del up.chunked
        assert h.get() == "credential-rejected"
    run()


def test_rejected_and_unchanged():
    "the same key again: the vault is told, many at once ask once"
    @with_house
    def run(h):
        all_there = threading.Event()
        up.answer = lambda r: (all_there.wait(30), choosy(r))[1]
        streams = [h.ask() for _ in range(8)]
        wait_for(lambda: len(up.requests) == 8)
        all_there.set()
        got = [h.answer_any() for _ in streams]
        assert sorted(got) == sorted((s, 401, b"old\n") for s in streams)
        assert h.asks == 2
        assert h.get() == "credential-rejected"
        wait_for(lambda: h.rejected)
        assert h.rejected == [[b"demo", 1, HOST.encode()]]
        assert h.asks == 2, "not each time"
        up.answer = choosy
        h.vault.send("lease_changed", "demo", 2, 1)
        h.version, h.secret, h.meta = 2, NEW, metadata(version=2)
        assert h.get()[::2] == (200, b"new\n")
    run()


def locked(h):
    text = Path(f"/proc/{h.p.process.pid}/status").read_text()
    return int(text.split("VmLck:")[1].split()[0])


def test_rejected_by_many():
    "who has a key rejected by ever more hosts fills no locked memory with it"
    names = [f"h{i}.many.test" for i in range(30)]
    many = Upstream(names)
    many.answer = choosy

    @with_house
    def run(h):
        h.dial_port = many.port
        for i, name in enumerate(names):
            got = h.get(host=name, sni=name, conn=h.connect(name)[0])
            assert got[::2] == (401, b"old\n"), got
            if i == 5:
                before = locked(h)
        assert len(many.requests) == len(names) and h.asks == len(names) + 1
        assert locked(h) - before < 32, (before, locked(h))
    g = grant(hosts=[n + ":443" for n in names], upstream={
        "addresses": ["127.0.0.1"], "port": many.port,
        "ca_pem": Path(many.ca_file).read_text()})
    try:
        run(grants=[g], meta=metadata(hosts=names))
    finally:
        many.close()


def test_rejected_and_silent_vault():
    "a vault that does not answer holds a 401 up for seconds, not for minutes"
    @with_house
    def run(h):
        go = threading.Event()
        h.on_ask = lambda: h.asks == 1 or go.wait(300)
        up.answer = choosy
        try:
            assert h.get()[::2] == (401, b"old\n")
        finally:
            go.set()
        assert h.asks == 2 and not h.rejected
    run()


def test_rejected_without_vault():
    "with no vault to ask, what upstream said is passed on"
    @with_house
    def run(h):
        up.answer = choosy

        def die():
            if h.asks == 2:
                h.vault.sock.shutdown(socket.SHUT_RDWR)
        h.on_ask = die
        assert h.get()[::2] == (401, b"old\n")
    run()


if __name__ == "__main__":
    tap.main(globals(), setup)
