"""Much of it: a gigabyte each way in bounded memory, a reader that hardly
reads, and a guest that floods beside one that does not (requirement 39)."""
import os
import secrets
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import OUT, House, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
HOST = "api.demo.test"
URL = f"https://{HOST}/x"
GIB = 1 << 30
# What a whole transfer may add to a process's peak. A sanitized program keeps
# what it freed for a while.
ROOM = (600 if OUT.name == "san" else 12) << 20
house = up = None


class Pump(Upstream):
    """GET /N gives N bytes, as fast as they are taken; PUT takes all and
    says how many. Neither is kept."""
    sent = 0

    def one(self, s, data):
        while b"\r\n\r\n" not in data:
            more = s.recv(65536)
            if not more:
                return None
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        words = head.split(b"\r\n")[0].split(b" ")
        lower = head.lower()
        if b"authorization: bearer " + KEY.encode() not in lower:
            s.sendall(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
            return rest
        if words[0] == b"GET":
            return self.give(s, int(words[1][1:] or b"0"), rest)
        n = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
        left = n - len(rest)
        buffer = bytearray(1 << 20)
        while left > 0:
            got = s.recv_into(buffer, min(len(buffer), left))
            if got == 0:
                return None
            left -= got
        text = b"%d\n" % n
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" %
                  (len(text), text))
        return b""

    def give(self, s, n, rest):
        piece = os.urandom(1 << 18)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
        while n > 0:
            part = piece[:n]
            s.sendall(part)
            n -= len(part)
            self.sent += len(part)
        return rest


def setup():
    global house, up
    up = Pump([HOST])
    house = House()
    house.credential("demo", KEY, "--host", HOST)
    house.apply(house.grant_yaml("demo", up, credential="demo"))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def pair(guest):
    return {r["role"]: r["pid"] for r in house.processes(session=guest.id)
            if r["role"] in ("gate", "courier")}


def peak(pid):
    """Bytes of memory that a process ever had (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


def peaks(guest):
    return {role: peak(pid) for role, pid in pair(guest).items()}


def warm(name):
    guest = house.session(name, "demo")
    # Once around, so that what is made once is there.
    assert guest.get(f"https://{HOST}/300000")[0] == 200
    assert guest.request("PUT", URL, body=bytes(300000))[0] == 200
    return guest, peaks(guest), pair(guest)


def bounded(guest, before, pids, what):
    assert pair(guest) == pids, "a process died"
    after = peaks(guest)
    print("# " + what + ": " + ", ".join(
        f"{r} peak {after[r] / 2**20:.1f} MiB "
        f"({(after[r] - before[r]) / 2**20:+.1f})" for r in sorted(after)),
        flush=True)
    for role in after:
        assert after[role] - before[role] < ROOM, (role, before, after)


def curl(guest, *words):
    done = guest.run("curl", "-sS", *words, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_download():
    "1 GiB down: every byte arrives, in memory that does not grow with it"
    guest, before, pids = warm("down")
    out = curl(guest, "-o", "/dev/null", "-w", "%{size_download}",
               f"https://{HOST}/{GIB}")
    assert out.endswith(str(GIB).encode()), out[-100:]
    bounded(guest, before, pids, "1 GiB down")


def test_upload():
    "1 GiB up: the same"
    guest, before, pids = warm("up")
    done = guest.run(
        "sh", "-c", f"truncate -s {GIB} /tmp/holes; curl -sS -T /tmp/holes "
        f"-H Expect: {URL}", timeout=600)
    assert done.stdout == b"%d\n" % GIB, (done.stdout, done.stderr)
    bounded(guest, before, pids, "1 GiB up")


def test_both_ways():
    "four downloads and four uploads at once, 128 MiB each"
    guest, before, pids = warm("both")
    n = 128 << 20
    script = f"truncate -s {n} /tmp/holes; " + "".join(
        f"curl -sS -o /dev/null -w '%{{size_download}}\\n' "
        f"https://{HOST}/{n} & curl -sS -T /tmp/holes -H Expect: {URL} & "
        for _ in range(4)) + "wait"
    done = guest.run("sh", "-c", script, timeout=600)
    assert done.stdout.split() == [str(n).encode()] * 8, (
        done.stdout, done.stderr)
    bounded(guest, before, pids, "8 at once")


def test_slow_reader():
    "who reads slowly slows upstream down: nobody stores what is not read"
    guest, before, pids = warm("slow")
    s = guest.tunnel(HOST)
    up.sent = 0
    s.sendall(f"GET /{GIB} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    read = 0
    while read < 6 << 20:
        read += len(s.recv(65536))
        time.sleep(65536 / (1 << 20) / 8)
        # Socket queues of three hops, ours and the windows: not more.
        assert up.sent - read < 16 << 20, (up.sent, read)
    s.close()
    bounded(guest, before, pids, "a slow reader")


def refused(guest, stop):
    while not stop.is_set():
        try:
            guest.get("https://evil.test/")
        except OSError:
            pass


def garbage(guest, stop):
    while not stop.is_set():
        try:
            s = guest.connect()
            s.sendall(os.urandom(4096))
            s.close()
        except OSError:
            pass


def held(guest, stop):
    kept = []
    while not stop.is_set():
        try:
            s = guest.connect()
            s.sendall(b"GET http://hatcheck.internal/v1/ca HTTP/1.1\r\nX: ")
            kept.append(s)
            if len(kept) > 400:
                kept.pop(0).close()
        except OSError:
            pass
    for s in kept:
        s.close()


def heads(guest, stop):
    big = b"".join(b"x-%d: %s\r\n" % (i, b"v" * 400) for i in range(120))
    while not stop.is_set():
        try:
            s = guest.attach()
            for _ in range(50):
                s.sendall(b"GET https://evil.test/ HTTP/1.1\r\nHost: "
                          b"evil.test\r\n" + big + b"\r\n")
            s.close()
        except OSError:
            pass


def downloads(guest, stop):
    """Started, and not read."""
    kept = []
    while not stop.is_set():
        try:
            s = guest.tunnel(HOST)
            s.sendall(f"GET /{GIB} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
                      .encode())
            kept.append(s)
            if len(kept) > 60:
                kept.pop(0).close()
        except (OSError, Exception):
            pass
    for s in kept:
        s.close()


def serve(guest, n):
    times = []
    for _ in range(n):
        began = time.monotonic()
        got = guest.get(f"https://{HOST}/1000")
        assert got[0] == 200 and len(got[2]) == 1000, got[:2]
        times.append(time.monotonic() - began)
    return 1000 * statistics.median(times), 1000 * max(times)


def test_flood_beside_quiet():
    "a guest that floods in every way: its neighbour is served, each time"
    quiet, before, pids = warm("quiet")
    loud, _, loud_pids = warm("loud")
    alone = serve(quiet, 20)
    log = house.home / "log" / "audit" / f"{loud.id}.jsonl"
    stop = threading.Event()
    threads = [threading.Thread(target=f, args=(loud, stop), daemon=True)
               for f in (refused, garbage, held, heads, downloads)]
    for t in threads:
        t.start()
    try:
        beside = serve(quiet, 40)
    finally:
        stop.set()
        for t in threads:
            t.join(60)
    print(f"# quiet guest, ms per request: alone median {alone[0]:.1f}, "
          f"worst {alone[1]:.1f}; beside the flood median {beside[0]:.1f}, "
          f"worst {beside[1]:.1f}", flush=True)
    bounded(quiet, before, pids, "quiet")
    print("# loud: " + ", ".join(f"{r} peak {n / 2**20:.1f} MiB" for r, n in
                                 sorted(peaks(loud).items())), flush=True)
    assert pair(loud) == loud_pids, "the flood killed its own processes"
    assert max(peaks(loud).values()) < (64 << 20) + ROOM
    lines = [x for x in house.audit_lines(loud.id) if x["event"] == "refused"]
    assert len(lines) <= 1200, len(lines)  # 600 a minute
    assert log.stat().st_size < 2 << 20
    assert quiet.get(f"https://{HOST}/5")[0] == 200
    assert wait_for(lambda: served(loud), 60), "the loud one may come back"


def served(guest):
    try:
        return guest.get(f"https://{HOST}/5")[0] == 200
    except OSError:
        return False


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
