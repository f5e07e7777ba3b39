#!/usr/bin/python3
"""HTTP/2 upstream: the courier alone in its walls, as in test_courier.py,
and servers of HTTP/2, honest and hostile."""
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import h2.events  # noqa: E402
import tap  # noqa: E402
import test_courier as alone  # noqa: E402
from harness import OUT, wait_for  # noqa: E402
from sibling import REASONS, unpack  # noqa: E402
from test_courier import (FAMILY, HOST, SECRET, TICKET, WINDOW, House,  # noqa: E402
                          grant, metadata)
from upstream import Upstream  # noqa: E402
from upstream_h2 import Upstream2  # noqa: E402

up = None


def with_house(f):
    def run(*a, **k):
        up.forget()
        up.live = []
        h = House(*a, **k)
        try:
            f(h)
        except BaseException:
            print("# log: " + h.p.log().replace("\n", "\n# "), flush=True)
            raise
        finally:
            h.close()
    return run


def test_brokered():
    "the secret goes in its slot over HTTP/2, never to be indexed (3, 32)"
    slots = [({"type": "bearer"}, "authorization",
              "Bearer " + SECRET.decode()),
             ({"type": "header", "name": "x-odd-place", "prefix": "Key "},
              "x-odd-place", "Key " + SECRET.decode()),
             ({"type": "query", "name": "odd.key"}, ":path",
              "/v1/x?odd.key=" + SECRET.decode())]
    for slot, name, value in slots:
        @with_house
        def run(h):
            for _ in range(3):
                status, got, body = h.get(headers=[
                    ("authorization", "Bearer " + TICKET),
                    ("x-plain", "p"), ("cookie", "a=b")])
                assert (status, body) == (200, b"hello\n")
                assert ("x-own", "1") in got
                r = up.requests[-1]
                assert r.header(name) == [value], r.headers
                assert name in r.never, r.never
                assert "x-plain" not in r.never
                assert r.header(":authority") == [HOST]
                assert r.header(":scheme") == ["https"]
                assert not r.header("host") and not r.header("cookie")
            assert up.connections == len(h.dials) == 1
            assert [x["event"] for x in h.lines()] == ["request", "done"] * 3
            # What the far end's table learned of us holds no secret.
            table = up.live[0].h2.decoder.header_table.dynamic_entries
            assert any(n == b"x-plain" for n, _ in table), table
            assert not any(SECRET in n + v for n, v in table), table
        run(meta=metadata(slot=slot))


def rss(h):
    """Of the courier, in bytes."""
    with open(f"/proc/{h.p.process.pid}/statm") as f:
        return int(f.read().split()[1]) * 4096


def next_of(h, stream, *kinds):
    """The next frame of that stream that is one of these; others are kept
    for later calls."""
    kept = h.__dict__.setdefault("kept", [])
    for i, (kind, v) in enumerate(kept):
        if v[0] == stream and kind in kinds:
            del kept[i]
            return kind, v
    while True:
        kind, v, _ = h.gate.receive()
        if v[0] == stream and kind in kinds:
            return kind, v
        kept.append((kind, v))


def answers(h, streams):
    """The rest of many streams: {stream: (status or word, body)}."""
    got, done = {s: [0, b""] for s in streams}, 0
    kept = h.__dict__.setdefault("kept", [])
    later = [x for x in kept if x[1][0] not in got]
    kept[:] = [x for x in kept if x[1][0] in got]
    while done < len(streams):
        kind, v = kept.pop(0) if kept else h.gate.receive()[:2]
        if v[0] not in got:
            later.append((kind, v))
        elif kind == "response":
            got[v[0]][0] = v[1]
        elif kind == "bytes":
            got[v[0]][1] += v[1]
            h.gate.send("window", v[0], len(v[1]))
        elif kind in ("refused", "reset"):
            got[v[0]][0] = REASONS[v[1]]
            done += 1
        elif kind == "end":
            done += 1
    h.kept = later
    return {s: tuple(x) for s, x in got.items()}


def test_multiplexed():
    "many requests at once are streams of one connection"
    @with_house
    def run(h):
        up.answer = lambda c, r: None
        conn, _ = h.connect()
        streams = [h.ask(f"/v1/{i}", conn=conn) for i in range(60)]
        wait_for(lambda: len(up.requests) == 60)
        assert up.connections == 1 and len(h.dials) == 1
        assert all(r.ended for r in up.requests)
        for r in reversed(up.requests):  # the last one first
            up.live[0].respond(r.id, 200, [], r.path.encode() * 3000)
        got = answers(h, streams)
        for i, s in enumerate(streams):
            assert got[s] == (200, f"/v1/{i}".encode() * 3000), i
        assert len(up.live) == 1
    run()


def test_limit():
    "beyond the upstream's MAX_CONCURRENT_STREAMS: another connection"
    @with_house
    def run(h):
        up.settings = {3: 5}
        up.answer = lambda c, r: None
        conn, _ = h.connect()
        streams = [h.ask(f"/v1/{i}", conn=conn) for i in range(12)]
        wait_for(lambda: len(up.requests) == 12)
        assert up.connections == 3, up.connections
        assert max(len(c.requests) for c in up.live) == 5
        for c in list(up.live):
            for r in c.requests.values():
                c.respond(r.id, 200, [], b"x")
        assert set(answers(h, streams).values()) == {(200, b"x")}
    run()


def test_some_give_up_waiting():
    "of requests that wait for a connection some are reset: the rest is served"
    for keep in (3, 1):
        @with_house
        def run(h):
            conn, _ = h.connect()
            h.dial_hold = True
            streams = [h.ask(f"/v1/{i}", conn=conn) for i in range(5)]
            wait_for(lambda: h.held)
            for s in streams[keep:]:
                h.gate.send("reset", s, 0)
            h.dialed(h.held.pop())
            got = answers(h, streams[:keep])
            assert set(got.values()) == {(200, b"hello\n")}, got
            assert len(h.dials) == up.connections == 1
        run()


def test_h1_chosen():
    "an upstream that chooses HTTP/1.1 gets a connection for each"
    old = Upstream([HOST])
    old.context.set_alpn_protocols(["http/1.1"])
    gate = threading.Event()

    def answer(request):
        gate.wait(20)
        return 200, {}, request.path.encode()
    old.answer = answer
    alone.up = old
    try:
        @with_house
        def run(h):
            conn, _ = h.connect()
            streams = [h.ask(f"/v1/{i}", conn=conn) for i in range(8)]
            wait_for(lambda: len(old.requests) == 8)
            gate.set()
            got = answers(h, streams)
            assert [got[s] for s in streams] == \
                [(200, f"/v1/{i}".encode()) for i in range(8)]
            assert old.connections == 8
            assert h.get(conn=conn)[0] == 200
            assert old.connections == 8, "and keeps it"
        run()
    finally:
        alone.up = up
        old.close()


def test_trailers_and_interim():
    "interim answers, te and trailers pass; secrets in them do not (10)"
    @with_house
    def run(h):
        def answer(c, r):
            c.h2.send_headers(r.id, [(":status", "103"), ("link", "</a>"),
                                     ("x-leak", SECRET)])
            c.respond(r.id, 200, [("x-leak", b"a" + SECRET)],
                      b"body " + SECRET,
                      [("grpc-status", "0"), ("x-leak", SECRET)])
        up.answer = answer
        stream = h.ask(te=1)
        kind, v = next_of(h, stream, "interim", "response")
        assert (kind, v[1]) == ("interim", 103)
        fields = unpack(v[5])
        assert ("link", "</a>") in fields and SECRET.decode() not in str(v)
        kind, v = next_of(h, stream, "response")
        assert v[1] == 200 and SECRET.decode() not in str(unpack(v[5]))
        body = b""
        while True:
            kind, v = next_of(h, stream, "bytes", "end")
            if kind == "end":
                break
            body += v[1]
        assert body.startswith(b"body ") and SECRET not in body
        trailers = dict(unpack(v[1]))
        assert trailers["grpc-status"] == "0"
        assert SECRET.decode() not in str(trailers)
        assert up.requests[0].header("te") == ["trailers"]
        assert h.get(te=0)[0] == 200
        assert not up.requests[1].header("te")
    run()


def test_long_trailers():
    "trailers that no message can carry end the answer, and are not waited for"
    @with_house
    def run(h):
        for size, want in ((16000, 200), (20000, "upstream-broken"),
                           (60000, "upstream-broken")):
            up.answer = lambda c, r: c.respond(
                r.id, 200, [], b"body",
                [("x", "y" * 4000) for _ in range(size // 4000)])
            got = h.get(te=1)
            assert (got if isinstance(got, str) else got[0]) == want, got
        assert [x.get("reason") for x in h.lines()
                if x["event"] == "done"] == [None] + 2 * ["upstream-broken"]
    run()


def test_duplex():
    "both sides talk at once; an upload may outlive its answer's head"
    @with_house
    def run(h):
        up.begin = lambda c, r: c.respond(r.id, 200, end=False)
        up.answer = lambda c, r: c.send(r.id, b"", [("x-t", "1")], True)
        stream = h.ask(method="POST", body=2)
        next_of(h, stream, "response")
        for i in range(20):
            h.gate.send("bytes", stream, b"ping %d" % i)
            wait_for(lambda: bytes(up.requests[0].body).endswith(
                b"ping %d" % i))
            up.live[0].send(up.requests[0].id, b"pong %d" % i)
            got = b""
            while got != b"pong %d" % i:
                got += next_of(h, stream, "bytes")[1][1]
        assert not up.requests[0].ended
        h.gate.send("end", stream, b"")
        kind, v = next_of(h, stream, "end")
        assert dict(unpack(v[1])) == {"x-t": "1"}
        wait_for(lambda: len(h.lines()) == 2)
        line = h.lines()[-1]
        assert line["how"] == "complete" and line["bytes_up"] == 130, line
        assert line["address"] == "127.0.0.1:1"
    run()


def test_early():
    "an answer before the upload ends is whole, and the rest is dropped"
    for reset in (False, True):
        @with_house
        def run(h):
            def begin(c, r):
                c.respond(r.id, 413, [], b"too much" * 1000)
                if reset:
                    c.h2.reset_stream(r.id, 0)
            up.begin, up.answer = begin, lambda c, r: None
            stream = h.ask(method="POST", body=2)
            h.gate.send("bytes", stream, b"x" * 1000)
            assert h.answer(stream)[::2] == (413, b"too much" * 1000)
            h.gate.send("bytes", stream, b"x" * 1000)
            h.gate.send("end", stream, b"")
            wait_for(lambda: h.lines()[-1]["event"] == "done")
            assert h.lines()[-1]["how"] == "early"
            up.forget()
            assert h.get()[0] == 200 and not up.connections
        run()


def test_bodiless():
    "HEAD, 204 and 304 have no body, whatever they say"
    @with_house
    def run(h):
        for method, status in (("HEAD", 200), ("GET", 304), ("GET", 204)):
            up.answer = lambda c, r: c.respond(
                r.id, status, [] if status == 204 else
                [("content-length", "77")])
            assert h.get(method=method)[::2] == (status, b"")
        assert up.connections == 1
        up.answer = lambda c, r: c.respond(r.id, 200, [
            ("content-length", "3")], b"abc")
        assert h.get()[::2] == (200, b"abc")
    run()


def frame(kind, flags, sid, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) +
            sid.to_bytes(4, "big") + payload)


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


OK = b"\x88"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING = range(7)
GOAWAY, UPDATE, CONT = 7, 8, 9


def malformed(sid):
    """(what, bytes on that stream, does the whole connection end)."""
    def head(block, end=True):
        return frame(HEADERS, 5 if end else 4, sid, block)
    yield "no status", head(literal(b"x", b"y")), False
    yield "two statuses", head(OK + OK), False
    yield "odd status", head(literal(b":status", b"20")), False
    yield "status 101", head(literal(b":status", b"101")), False
    yield "a request's pseudo-header", head(OK + literal(b":path", b"/")), \
        False
    yield "unknown pseudo-header", head(OK + literal(b":odd", b"/")), False
    yield "late pseudo-header", head(literal(b"x", b"y") + OK), False
    yield "upper case", head(OK + literal(b"X-A", b"b")), False
    yield "line break", head(OK + literal(b"x-a", b"b\r\nc: d")), False
    yield "NUL", head(OK + literal(b"x-a", b"b\0c")), False
    yield "blank in a name", head(OK + literal(b"x a", b"b")), False
    for n, v in ((b"connection", b"x"), (b"transfer-encoding", b"chunked"),
                 (b"keep-alive", b"1"), (b"upgrade", b"h2c"),
                 (b"proxy-connection", b"x")):
        yield n.decode(), head(OK + literal(n, v)), False
    for v in (b"-1", b"+1", b"1x", b"", b"9" * 30):
        yield f"content-length {v}", head(
            OK + literal(b"content-length", v), False) + \
            frame(DATA, 1, sid, b"x"), False
    yield "content-length twice", head(
        OK + literal(b"content-length", b"1") * 2, False) + \
        frame(DATA, 1, sid, b"x"), False
    yield "length without a body", head(
        OK + literal(b"content-length", b"5")), False
    yield "an interim that ends", head(literal(b":status", b"103")), False
    yield "17 interims", head(literal(b":status", b"103"), False) * 17, False
    yield "DATA first", frame(DATA, 1, sid, b"x"), True
    yield "204 with a length", head(
        literal(b":status", b"204") + literal(b"content-length", b"5"),
        False), False
    yield "a push", frame(PUSH, 4, sid, b"\0\0\0\2" + OK), True
    yield "HPACK index out of range", head(b"\xff\xff\x7f"), True
    yield "HPACK cut short", head(b"\0\x05ab"), True
    yield "even stream", frame(HEADERS, 5, 2, OK), True
    yield "stream never asked for", frame(HEADERS, 5, 99, OK), True
    yield "CONTINUATION alone", frame(CONT, 4, sid, OK), True
    yield "DATA within a head", frame(HEADERS, 0, sid, OK) + \
        frame(DATA, 0, sid, b"x"), True
    yield "frame too large", (1 << 20).to_bytes(3, "big") + bytes(
        [DATA, 0]) + sid.to_bytes(4, "big"), True
    yield "CONTINUATION flood", frame(HEADERS, 0, sid, OK) + \
        frame(CONT, 0, sid, literal(b"x", b"y")) * 100, True
    yield "empty CONTINUATIONs", frame(HEADERS, 0, sid, OK) + \
        frame(CONT, 0, sid) * 1000, True
    yield "SETTINGS flood", frame(SETTINGS, 0, 0) * 200, True
    yield "PING flood", frame(PING, 0, 0, b"12345678") * 3000, True
    yield "empty DATA flood", head(OK, False) + frame(DATA, 0, sid) * 1000, \
        True
    yield "WINDOW_UPDATE of 0", frame(UPDATE, 0, 0, b"\0\0\0\0"), True
    yield "window overflow", frame(UPDATE, 0, 0, b"\x7f\xff\xff\xff"), True
    yield "unknown frames", frame(200, 0, 0, b"x") * 1000, True
    yield "HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True
    # 4 KB in the table, then 20 times its index: last, for the library that
    # answers next knows nothing of that entry.
    yield "a head of 80 KB in 4", head(
        OK + b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * 20), False


def test_malformed():
    "malformed answers fail closed, with a reason, and alone if they can (17)"
    @with_house
    def run(h):
        conn, _ = h.connect()
        n = 0
        for i, (what, _, all_of_it) in enumerate(malformed(1)):
            up.forget()
            up.answer = lambda c, r: c.raw(list(malformed(r.id))[i][1])
            got = h.get(conn=conn)
            assert got == "upstream-broken", (what, got)
            before = up.connections
            up.answer = lambda c, r: c.respond(r.id, 200, [], b"fine")
            got = h.get(conn=conn)
            assert got[::2] == (200, b"fine"), (what, got)
            assert up.connections == before + all_of_it, what
            n += 1
        assert n == 45, n
        log = h.p.log()
        assert SECRET.decode() not in log
    run()


def test_malformed_after_head():
    "what goes wrong within an answer is a reset, never an end (20)"
    @with_house
    def run(h):
        def wrongs(sid):
            head = frame(HEADERS, 4, sid,
                         OK + literal(b"content-length", b"5"))
            bare = frame(HEADERS, 4, sid, OK)
            return [
                ("too long", head + frame(DATA, 1, sid, b"123456")),
                ("too short", head + frame(DATA, 1, sid, b"1234")),
                ("cut off", head + frame(DATA, 0, sid, b"1234") +
                 frame(RST, 0, sid, b"\0\0\0\2")),
                ("reset as if clean", bare + frame(DATA, 0, sid, b"1234") +
                 frame(RST, 0, sid, b"\0\0\0\0")),
                ("refused late", bare + frame(RST, 0, sid, b"\0\0\0\7")),
                ("trailers that do not end", bare + frame(
                    HEADERS, 4, sid, literal(b"x", b"y"))),
                ("status in trailers", bare + frame(HEADERS, 5, sid, OK)),
                ("bad trailer", bare + frame(
                    HEADERS, 5, sid, literal(b"X", b"y"))),
                ("connection ends", bare + frame(DATA, 0, sid, b"1") + b"END"),
                ("body of HEAD", bare + frame(DATA, 1, sid, b"1"))]
        for i, (what, _) in enumerate(wrongs(1)):
            up.forget()

            def answer(c, r):
                data = wrongs(r.id)[i][1]
                c.raw(data.removesuffix(b"END"))
                if data.endswith(b"END"):
                    c.s.shutdown(socket.SHUT_RDWR)
            up.answer = answer
            method = "HEAD" if "HEAD" in what else "GET"
            got = h.get(method=method)
            assert got in ("upstream-broken", "retired-connection"), \
                (what, got)
            assert len(up.requests) == 1, (what, "asked again")
        up.forget()
        assert h.get()[0] == 200
    run()


def test_goaway():
    "after GOAWAY what was begun ends well, what was not is sent anew"
    @with_house
    def run(h):
        up.answer = lambda c, r: None
        conn, _ = h.connect()
        first = h.ask("/v1/first", conn=conn)
        wait_for(lambda: len(up.requests) == 1)
        c = up.live[0]
        # Says that it has not seen the second, and will not.
        up.begin = lambda c, r: r.path == "/v1/second" and \
            len(up.requests) == 2 and c.raw(
                frame(GOAWAY, 0, 0, (1).to_bytes(4, "big") + bytes(4)))
        up.answer = lambda c, r: r.path == "/v1/second" and \
            len(up.requests) == 3 and c.respond(r.id, 200, [], b"second")
        second = h.ask("/v1/second", conn=conn)
        assert h.answer(second)[::2] == (200, b"second")
        assert up.connections == 2
        c.respond(1, 200, [], b"first")
        assert h.answer(first)[::2] == (200, b"first")
        assert [r.path for r in up.requests] == \
            ["/v1/first", "/v1/second", "/v1/second"]
        wait_for(lambda: len(h.lines()) == 4)
        assert [x["event"] for x in h.lines()].count("request") == 2
        wait_for(lambda: len(up.live) == 1)  # the old one was closed
    run()


def test_refused_stream():
    "REFUSED_STREAM is retried twice, and only if nothing was taken of it"
    refuse = lambda c, r: (c.h2.reset_stream(r.id, 7), c.flush())  # noqa: E731

    @with_house
    def run(h):
        conn, _ = h.connect()
        up.begin, up.answer = refuse, lambda c, r: None
        assert h.get(conn=conn) == "retired-connection"
        assert len(up.requests) == 3
        for method, answer in (
                ("an interim first", lambda c, r: (
                    c.h2.send_headers(r.id, [(":status", "103")]),
                    refuse(c, r))),
                ("other code", lambda c, r: (
                    c.h2.reset_stream(r.id, 8), c.flush()))):
            up.forget()
            up.begin, up.answer = answer, lambda c, r: None
            assert h.get(conn=conn) == "retired-connection", method
            assert len(up.requests) == 1, method
        up.forget()
        up.on = lambda c, e: isinstance(e, h2.events.DataReceived) and \
            refuse(c, c.requests[e.stream_id])
        stream = h.ask(conn=conn, method="POST", body=1, length=9)
        h.gate.send("bytes", stream, b"abcde")
        assert h.answer(stream) == "retired-connection"
        assert len(up.requests) == 1
        up.forget()
        up.begin = lambda c, r: len(up.requests) == 1 and refuse(c, r)
        assert h.get(conn=conn)[0] == 200
        assert len(up.requests) == 2
    run()


def test_connection_lost():
    "a connection that ends takes its streams along, none is sent again"
    @with_house
    def run(h):
        up.answer = lambda c, r: None
        conn, _ = h.connect()
        streams = [h.ask(conn=conn) for _ in range(10)]
        wait_for(lambda: len(up.requests) == 10)
        up.live[0].respond(1, 200, [], b"head", end=False)
        next_of(h, streams[0], "bytes")
        up.live[0].s.shutdown(socket.SHUT_RDWR)
        got = answers(h, streams)
        assert got[streams[0]] == ("upstream-broken", b""), got[streams[0]]
        assert {got[s][0] for s in streams[1:]} == {"retired-connection"}
        assert len(up.requests) == 10
    run()


def test_cut_is_exact():
    "a cut of one family resets its streams, and no stream of another's"
    @with_house
    def run(h):
        up.answer = lambda c, r: c.respond(r.id, 200, [], b"x", end=False)
        h.family(name=b"fam-2")
        one, _ = h.connect()
        two, _ = h.connect(family=b"fam-2")
        mine = [h.ask(conn=one) for _ in range(10)]
        theirs = [h.ask(conn=two, family=b"fam-2") for _ in range(10)]
        for s in mine + theirs:
            next_of(h, s, "bytes")
        assert up.connections == 2, "families share no connection"
        h.cut(2, FAMILY.decode())
        assert {x[0] for x in answers(h, mine).values()} == {"revoked"}
        wait_for(lambda: len(up.live) == 1)
        c = up.live[0]
        for r in c.requests.values():
            assert r.reset is None
            c.send(r.id, b"y", end=True)
        assert set(answers(h, theirs).values()) == {(200, b"y")}
    run()


def test_cut_of_a_child():
    "a child family's cut leaves its parent's streams; a parent's takes all"
    @with_house
    def run(h):
        up.answer = lambda c, r: c.respond(r.id, 200, [], b"x", end=False)
        h.minter.send("rules_family", b"fam-child", "jti-2",
                      alone.boot_ms() + 600000, FAMILY, "agent-2", "")
        one, _ = h.connect()
        two, _ = h.connect(family=b"fam-child")
        parents = [h.ask(conn=one) for _ in range(5)]
        childs = [h.ask(conn=two, family=b"fam-child") for _ in range(5)]
        for s in parents + childs:
            next_of(h, s, "bytes")
        assert up.connections == 2
        h.cut(2, "fam-child")
        assert {x[0] for x in answers(h, childs).values()} == {"revoked"}
        wait_for(lambda: len(up.live) == 1)
        assert all(r.reset is None
                   for r in up.live[0].requests.values())
        h.minter.send("rules_family", b"fam-other", "jti-3",
                      alone.boot_ms() + 600000, FAMILY, "agent-3", "")
        three, _ = h.connect(family=b"fam-other")
        others = [h.ask(conn=three, family=b"fam-other") for _ in range(5)]
        for s in others:
            next_of(h, s, "bytes")
        h.cut(2, FAMILY.decode())
        got = answers(h, parents + others)
        assert {x[0] for x in got.values()} == {"revoked"}
        wait_for(lambda: not up.live)
    run()


def test_cut_of_some():
    "rules that shrink cut the streams they forbid, not their neighbours"
    @with_house
    def run(h):
        up.answer = lambda c, r: c.respond(r.id, 200, [], b"x", end=False)
        conn, _ = h.connect()
        bad = [h.ask("/v1/bad", conn=conn) for _ in range(5)]
        good = [h.ask("/v1/good", conn=conn) for _ in range(5)]
        for s in bad + good:
            next_of(h, s, "bytes")
        h.rules([grant(allow=[{"methods": ["GET"], "paths": ["/v1/good"]}])])
        assert {x[0] for x in answers(h, bad).values()} == {"revoked"}
        assert up.connections == 1
        c = up.live[0]
        wait_for(lambda: all(r.reset == 8 for r in c.requests.values()
                             if r.path == "/v1/bad"))
        for r in list(c.requests.values()):
            if r.path == "/v1/good":
                c.send(r.id, b"y", end=True)
        assert set(answers(h, good).values()) == {(200, b"y")}
        # What began under old rules takes nothing new.
        up.answer = lambda c, r: c.respond(r.id, 200, [], b"new")
        assert h.get("/v1/good", conn=conn)[::2] == (200, b"new")
        assert up.connections == 2
    run()


def test_cut_with_bytes_waiting():
    "bytes that wait for the socket are not written after a cut"
    @with_house
    def run(h):
        go = threading.Event()
        up.answer = lambda c, r: None
        conn, _ = h.connect()
        quiet = h.ask(conn=conn)
        wait_for(lambda: len(up.requests) == 1)
        c = up.live[0]
        up.on = lambda c, e: go.wait(30)  # it stops to read
        with c.lock:
            c.h2.update_settings({4: 1 << 24})
            c.h2.increment_flow_control_window(1 << 30)
            c.flush()
        # More than the kernel takes in between.
        bad = [h.ask("/v1/bad", conn=conn, method="POST", body=2)
               for _ in range(60)]
        for s in bad:
            for _ in range(4):
                h.gate.send("bytes", s, b"z" * 32768)
        for _ in range(3):  # by credit, until there is none
            try:
                while True:
                    kind, v, _ = h.gate.receive(0.5)
                    if kind == "window":
                        for _ in range(v[1] // 32768):
                            h.gate.send("bytes", v[0], b"z" * 32768)
            except TimeoutError:
                pass
        h.rules([grant(allow=[{"methods": ["GET"], "paths": ["/v1/*"]}])])
        h.minter.send("rules_cut", 9, 0, "")
        while h.minter.receive()[0] != "rules_cut_done":
            pass
        got = answers(h, [quiet, *bad])
        assert {got[s][0] for s in bad} == {"revoked"}
        # It shared their connection: that is gone, and it is told so.
        assert got[quiet][0] == "retired-connection"
        go.set()
        wait_for(lambda: c not in up.live)
        assert not any(r.ended for r in up.requests[1:])
    run()


def test_backpressure():
    "a slow reader holds up its own stream, and grows nobody (28)"
    @with_house
    def run(h):
        up.answer = lambda c, r: c.respond(
            r.id, 200, [], b"z" * (1 << 20) if r.path == "/v1/big" else b"ok")
        conn, _ = h.connect()
        h.get(conn=conn)
        before = rss(h)
        slow = [h.ask("/v1/big", conn=conn) for _ in range(20)]
        for s in slow:  # their windows at the gate fill up
            got = 0
            while got < WINDOW:
                got += len(next_of(h, s, "bytes")[1][1])
        for _ in range(20):  # and others go on
            assert h.get(conn=conn)[::2] == (200, b"ok")
        assert up.connections == 1
        # The gate's window and as much again, for each.
        assert up.sent <= 20 * (2 * WINDOW + 65536) + 100, up.sent
        if OUT.name != "san":  # its allocator keeps what was freed
            assert rss(h) - before < 20 * 2 * WINDOW + (8 << 20)
        for s in slow:
            h.gate.send("window", s, WINDOW)
        got = answers(h, slow)
        assert all(len(b) == (1 << 20) - WINDOW for _, b in got.values())
    run()


def test_upload_backpressure():
    "an upstream that gives no window stops the guest, and only there"
    @with_house
    def run(h):
        up.reading = False
        up.answer = lambda c, r: c.respond(r.id, 200, [], b"ok")
        conn, _ = h.connect()
        stream = h.ask(conn=conn, method="POST", body=2)
        sent, credit = 0, WINDOW
        try:
            while sent < 16 << 20:
                while credit < 32768:
                    kind, v, _ = h.gate.receive(1)
                    if kind == "window" and v[0] == stream:
                        credit += v[1]
                h.gate.send("bytes", stream, b"z" * 32768)
                sent, credit = sent + 32768, credit - 32768
            raise AssertionError("taken without end")
        except TimeoutError:
            pass
        assert sent <= 65535 + 3 * WINDOW, sent
        assert h.get(conn=conn)[0] == 200
    run()


def test_anchors_change():
    "no request rides on a connection that trusted other anchors (2)"
    @with_house
    def run(h):
        conn, _ = h.connect()
        assert h.get(conn=conn)[0] == 200
        up.answer = lambda c, r: c.respond(r.id, 200, [], b"x", end=False)
        stream = h.ask(conn=conn)
        next_of(h, stream, "bytes")
        other = Upstream2([HOST])
        g = grant()
        g["upstream"]["ca_pem"] = Path(other.ca_file).read_text()
        h.rules([g])
        assert h.get(conn=conn) == "upstream-tls"
        # Dialled for before the change, connected after it.
        h.rules([grant()])
        h.dial_hold = True
        stream = h.ask(conn=conn)
        wait_for(lambda: len(h.dials) == 3)
        h.rules([g])
        h.dial_hold = False
        s = socket.create_connection(("127.0.0.1", up.port))
        s.setblocking(False)
        h.dialer.send("dial_done", 3, 0, b"127.0.0.1:1", fd=s.fileno())
        s.close()
        n = len(up.requests)
        got = h.answer(stream)
        assert got in ("retired-connection", "upstream-tls"), got
        assert len(up.requests) == n
    run()


def test_rotated():
    "a new version of a credential gets a connection of its own"
    @with_house
    def run(h):
        conn, _ = h.connect()
        assert h.get(conn=conn)[0] == 200
        h.version, h.meta = 2, metadata(version=2)
        h.secret = b"sk-rotated-9876543210-ZYXWVUTS"
        h.vault.send("lease_changed", "demo", 2, 7)
        wait_for(lambda: h.get(conn=conn)[0] == 200 and
                 up.requests[-1].header("authorization") ==
                 ["Bearer " + h.secret.decode()])
        assert up.connections == 2
        wait_for(lambda: len(up.live) == 1)
    run()


def setup():
    global up
    up = alone.up = Upstream2([HOST, "*.test"])


if __name__ == "__main__":
    tap.main(globals(), setup)
