"""Limits of hatcheckd.yaml, as a guest, an upstream and an owner see them
(requirement 39)."""
import gzip
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path

import h2.exceptions

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID, read_response, tls_recv  # noqa: E402
from harness import wait_for  # noqa: E402
from guest_h2 import DATA, PING, PRIORITY, SETTINGS, WINDOW  # noqa: E402
from guest_h2 import H2Guest, frame  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
HOST = "api.demo.test"
URL = f"https://{HOST}/x"
LIMITS = {"connections": 6, "head_bytes": 2048, "head_fields": 10,
          "head_seconds": 2, "idle_seconds": 2, "upstream_idle": 1,
          "upstream_idle_seconds": 1, "upstream_answer_seconds": 1,
          "upstream_body_seconds": 2, "body_seconds": 4,
          "audit_refusals": 5, "decompression_ratio": 4}
house = up = guest = None


def write(h, limits):
    path = h.home / "config" / "hatcheckd.yaml"
    path.write_text("limits:\n" + "".join(f"  {k}: {v}\n"
                                          for k, v in limits.items()))
    os.chmod(path, 0o600)
    if os.getuid() == 0:
        os.chown(path, UID, UID)


def logged(h, words):
    return [x for x in h.log_tail(10000).splitlines() if words in x]


def reload(h, limits, says="configuration_read"):
    before = len(logged(h, says))
    write(h, limits)
    os.kill(h.supervisor(), signal.SIGHUP)
    wait_for(lambda: len(logged(h, says)) > before)


def setup():
    global house, up, guest
    up = Upstream([HOST])
    house = House()
    house.stop()
    write(house, LIMITS)
    house.start()
    house.credential("demo", KEY, "--host", HOST)
    house.apply(house.grant_yaml("demo", up, credential="demo"))
    guest = house.session("agent", "demo")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def ended(s):
    """The far end closes, and has said nothing."""
    s.settimeout(60)
    try:
        return tls_recv(s, 100) == b""
    except ConnectionResetError:
        return True


def lines(g, event):
    return [x for x in house.audit_lines(g.id) if x["event"] == event]


def test_connections():
    "one connection more than allowed is told so; one less is let in again"
    guest.token()
    wait_for(lambda: guest.get(URL)[0] == 200)

    def open_six():
        held = [guest.connect() for _ in range(6)]
        for s in held:
            s.sendall(b"G")  # begun, so that it counts
        return held
    held = open_six()
    more = guest.connect()
    assert read_response(more)[0] == 429
    held.pop().close()

    def let_in():
        s = guest.connect()
        s.settimeout(0.2)
        try:
            s.sendall(b"G")
            return tls_recv(s, 100) == b""
        except ConnectionResetError:
            return False
        except socket.timeout:
            return True  # it waits for the rest
        finally:
            s.close()
    assert wait_for(let_in)
    for s in held:
        s.close()
    assert wait_for(lambda: guest.get(URL)[0] == 200)


def test_heads():
    "a head of more bytes or fields is refused, and upstream has none of it"
    for headers in ([("x-long", "v" * 2048)],
                    [(f"x-{i}", "v") for i in range(12)]):
        up.forget()
        got = guest.get(URL, *headers)
        assert got[0] == 400, got
        assert guest.reason(got) == "bad-request"
        assert not up.received
    assert guest.get(URL, ("x-long", "v" * 1500))[0] == 200
    assert guest.get(URL, *[(f"x-{i}", "v") for i in range(7)])[0] == 200


def test_slow_head():
    "half a head is waited for, but not for ever"
    s = guest.attach()
    s.sendall(b"GET https://api.demo.test/x HTTP/1.1\r\nHost: api")
    assert ended(s)


def test_idle():
    "a connection that idles between two requests is closed"
    s = guest.tunnel(HOST)
    s.sendall(f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert read_response(s)[0] == 200
    assert ended(s)


def test_upstream_idle():
    "a kept connection serves the next request, and is not kept for ever"
    wait_for(lambda: not up.live)
    up.forget()
    assert guest.get(URL)[0] == 200
    assert guest.get(URL)[0] == 200
    assert up.connections == 1, up.connections
    wait_for(lambda: not up.live)  # closed by us: it never closes first
    assert guest.get(URL)[0] == 200
    assert up.connections == 2, up.connections


def test_upstream_pool():
    "of two that end at once only as many are kept as may be"
    wait_for(lambda: not up.live)
    up.forget()
    both, usual = threading.Barrier(2), up.answer

    def together(_):
        both.wait(20)
        return 200, {}, b"two\n"
    up.answer = together
    got = []
    threads = [threading.Thread(target=lambda: got.append(guest.get(URL)))
               for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    up.answer = usual
    assert [g[0] for g in got] == [200, 200], got
    assert up.connections == 2
    wait_for(lambda: len(up.live) <= 1)


def test_silent_upstream():
    "an upstream that does not answer in time is a 504"
    usual, go = up.answer, threading.Event()
    up.answer = lambda _: (go.wait(60), (200, {}, b"late"))[1]
    got = guest.get(URL)
    go.set()
    up.answer = usual
    assert got[0] == 504 and guest.reason(got) == "upstream-timeout", got


def test_silent_in_the_middle():
    "an answer or a request that stops half-way ends, and not as a whole"
    def half(_):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
        go.wait(60)
    usual, go = up.answer, threading.Event()
    up.answer = half
    try:
        guest.get(URL)
        raise AssertionError("half an answer passed as a whole one")
    except (ConnectionError, OSError):
        pass
    finally:
        go.set()
        up.answer = usual
    s = guest.tunnel(HOST)
    s.sendall(f"POST /x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n"
              "\r\nhalf".encode())
    s.settimeout(60)
    try:
        got = s.recv(65536)
        assert b" 200 " not in got.split(b"\r\n")[0], got
    except ConnectionResetError:
        pass


def test_bombs():
    "an answer that unpacks to more than so many times itself breaks"
    def ask(body):
        up.answer = lambda _: (200, {"Content-Encoding": "gzip",
                                     "Content-Type": "text/plain"}, body)
        try:
            return guest.get(URL, ("accept-encoding", "gzip"))
        except (ConnectionError, OSError):
            return None
        finally:
            up.answer = usual
    usual = up.answer
    half = b"".join(secrets.token_hex(32).encode() for _ in range(50000))
    thin = b"".join(secrets.token_hex(4).encode() + b" " * 92
                    for _ in range(40000))
    got = ask(gzip.compress(half))  # 3 MB, some two times
    assert got[0] == 200 and gzip.decompress(got[2]) == half
    packed = gzip.compress(thin)    # 4 MB, many times
    assert len(thin) > 8 * len(packed) + (1 << 20)
    got = ask(packed)
    assert got is None or got[0] != 200, got[:2]
    reload(house, {k: v for k, v in LIMITS.items()
                   if k != "decompression_ratio"})
    got = ask(packed)
    assert got[0] == 200 and gzip.decompress(got[2]) == thin
    reload(house, LIMITS)


def test_refusals_are_folded():
    "beyond so many a minute refusals are counted; the numbers are logged"
    g = house.session("folded", "demo")
    for _ in range(40):
        assert g.get("https://evil.test/")[0] == 403
    assert g.get(URL)[0] == 200
    assert len(lines(g, "refused")) == 5, lines(g, "refused")
    assert lines(g, "request"), "requests are never folded"
    g.end()
    wait_for(lambda: lines(g, "refusals"))
    counted = [x["counted"] for x in lines(g, "refusals")]
    assert counted == [{"host-not-granted": 35}], counted
    house.hatcheck("audit", "verify")


def test_audit_quota():
    "a full log: no request goes out any more, and everybody is told"
    reload(house, dict(LIMITS, audit_bytes=65536))
    g = house.session("full", "demo")
    path = house.home / "log" / "audit" / f"{g.id}.jsonl"
    other = house.session("quiet", "demo")
    s, got = g.tunnel(HOST), None
    for _ in range(400):
        s.sendall(f"GET /{'x' * 400} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
                  .encode())
        seen = len(up.requests)
        got = read_response(s)
        if got[0] != 200:
            break
    assert got[0] == 503 and g.reason(got) == "audit-full", got
    assert len(up.requests) == seen, "it reached upstream"
    got = g.get(URL)
    assert got[0] == 503 and g.reason(got) == "audit-full", got
    assert lines(g, "full") and logged(house, "audit_full")
    closed = [{"session": g.id, "guest": "full", "state": "full"}]
    wait_for(lambda: house.json("status")["closed_logs"] == closed)
    assert "the log of full (" in house.hatcheck("status").stdout.decode()
    assert b"the log of full is full" in house.hatcheck(
        "doctor", check=False).stdout
    size = path.stat().st_size
    assert 65536 <= size < 65536 + 4096, size
    for _ in range(20):
        assert g.get("https://evil.test/")[0] in (403, 503)
    assert path.stat().st_size == size, "refusals still make it grow"
    assert other.get(URL)[0] == 200, "another session is touched"
    courier = house.processes("courier", g.id)[0]["pid"]
    house.kill(courier)  # the next one finds it full
    wait_for(lambda: house.processes("courier", g.id)[0]["pid"] != courier)
    got = wait_for(lambda: (lambda a: a if a[0] == 503 and g.reason(a) !=
                            "not-ready" else None)(g.get(URL)))
    assert g.reason(got) == "audit-full", got
    assert len(lines(g, "full")) == 1
    wait_for(lambda: house.json("status")["closed_logs"] == closed)
    reload(house, LIMITS)  # more room: it goes on
    wait_for(lambda: g.get(URL)[0] == 200)
    wait_for(lambda: house.json("status")["closed_logs"] == [])
    house.hatcheck("audit", "verify")


def test_more_audit_bytes():
    "a log that was full goes on as far as it may now, in files that may be"
    for segment in (16384, 65536, 16777216):
        reload(house, dict(LIMITS, audit_bytes=65536,
                           audit_segment_bytes=segment))
        g = house.session(f"more-{segment}", "demo")
        s, got = g.tunnel(HOST), (200,)
        head = (f"GET /{'x' * 511} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").encode()
        while got[0] == 200:
            s.sendall(head)
            got = read_response(s)
        assert g.reason(got) == "audit-full", got
        reload(house, LIMITS)
        wait_for(lambda: g.get(URL)[0] == 200)
        s = g.tunnel(HOST)
        for _ in range(1600):
            s.sendall(head)
            got = read_response(s)
            assert got[0] == 200, got
        logs = (house.home / "log" / "audit").glob(f"{g.id}*.jsonl")
        assert sum(p.stat().st_size for p in logs) > 65536 + 2 ** 20
        g.end()
    house.hatcheck("audit", "verify")


def test_reload():
    "a reload reaches sessions that run; a bad one changes nothing"
    wait_for(lambda: guest.get(URL, ("x-long", "v" * 1500))[0] == 200)
    reload(house, dict(LIMITS, head_bytes=1024))
    assert guest.get(URL, ("x-long", "v" * 1500))[0] == 400
    reload(house, dict(LIMITS, head_bytes=64), "configuration_refused")
    said = logged(house, "configuration_refused")[-1]
    assert "head_bytes is 64 (line: 3)" in said and "next: say 1024 to" in said
    assert guest.get(URL, ("x-long", "v" * 1500))[0] == 400
    reload(house, LIMITS)
    assert guest.get(URL, ("x-long", "v" * 1500))[0] == 200


def many(kind, payload=b"", flags=0, stream=False):
    """A flood of one frame, on a stream that stays open or on none."""
    def send(c, n):
        sid = c.send(c.head("POST", "/x"), end=False) if stream else 0
        for _ in range(n):
            c.raw(frame(kind, flags, sid, payload))
    return send


def resets(c, n):
    for _ in range(n):
        sid = c.h2.get_next_available_stream_id()
        c.h2.send_headers(sid, c.head("POST", "/x"))
        c.h2.reset_stream(sid, 8)
        c.flush()


def continuations(c, n):
    """In n frames of 128 bytes: an X is of 8 bits in HPACK too."""
    size, c.h2.max_outbound_frame_size = c.h2.max_outbound_frame_size, 128
    c.get("/x", ("x-pad", "X" * (128 * n)))
    c.h2.max_outbound_frame_size = size


H2_LIMITS = {"h2_pings": (10, many(PING, b"12345678")),
             "h2_settings": (8, many(SETTINGS)),
             "h2_empty": (10, many(DATA, stream=True)),
             "h2_updates": (10, many(WINDOW, b"\0\0\0\1", stream=True)),
             "h2_other": (10, many(PRIORITY, b"\0\0\0\0\1", stream=True)),
             "h2_resets": (10, resets), "h2_continuations": (3, continuations)}


def outcome(send, n):
    """What the connection ends with, or the answer to a request after it."""
    c = H2Guest(guest, HOST, timeout=60)
    try:
        send(c, n)
        return c.get("/x").status or "ended"
    except (OSError, h2.exceptions.ProtocolError):
        return "ended"
    finally:
        c.close()


def test_h2_floods():
    "each limit of HTTP/2 is where the owner put it: below it serves, above ends"
    try:
        for name, (limit, send) in H2_LIMITS.items():
            reload(house, {**LIMITS, name: limit})  # and soon the gate knows
            wait_for(lambda: outcome(send, 2 * limit) == "ended")
            assert outcome(send, limit // 2) == 200, name
            reload(house, LIMITS)
            wait_for(lambda: outcome(send, 2 * limit) == 200)
    finally:
        reload(house, LIMITS)


def streams_told():
    c = H2Guest(guest, HOST, timeout=60)
    try:
        assert c.get("/x").status == 200
        return c.h2.remote_settings.max_concurrent_streams
    finally:
        c.close()


def test_streams():
    "so many streams are told to the guest, and no more are served at once"
    reload(house, {**LIMITS, "streams": 3})
    wait_for(lambda: streams_told() == 3)
    go = threading.Event()
    before = up.answer
    up.answer = lambda r: (go.wait(60), (200, {}, b"late\n"))[1]
    up.forget()
    try:
        c = H2Guest(guest, HOST, timeout=60)
        told = c.h2.remote_settings
        ids = [c.send(c.head("GET", "/0"))]
        c.until(lambda: told.max_concurrent_streams == 3)
        ids += [c.send(c.head("GET", f"/{i}")) for i in (1, 2)]
        wait_for(lambda: len(up.requests) == 3)
        go.set()
        assert [c.wait(i).status for i in ids] == [200] * 3
        go.clear()
        told.max_concurrent_streams = 100   # what python3-h2 shall believe
        told.acknowledge()
        ids = [c.send(c.head("GET", f"/more/{i}")) for i in range(4)]
        c.wait(ids[3])
        assert c.answers[ids[3]].reset == 7 or c.goaway == 1, c.goaway
        go.set()
        c.close()
        assert guest.get(URL)[0] == 200
        assert "/more/3" not in [r.path for r in up.requests]
    finally:
        up.answer = before
        go.set()
        reload(house, LIMITS)


def test_refused_at_start():
    "with a limit that makes no sense the daemon does not start"
    h = House()
    try:
        h.stop()
        write(h, {"streams": 3, "connections": 0})
        done = h.hatcheck("start", check=False)
        assert done.returncode != 0
        said = done.stderr.decode() + done.stdout.decode() + h.log_tail()
        assert "connections is 0 (line: 3); next: say 1 to 512" in said, said
    finally:
        h.close()


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
