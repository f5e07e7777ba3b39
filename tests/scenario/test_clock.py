"""The wall clock of a running house is put ahead and back (requirements 22,
29; lifetimes run on a clock that nobody sets)."""
import contextlib
import os
import platform
import secrets
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
import wallclock  # noqa: E402
from guest_h2 import H2Guest  # noqa: E402
from harness import House, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
HOST = "api.demo.test"
URL = f"https://{HOST}"
HOUR, DAY = 3600, 86400
house = up = None
number = 0


def setup():
    global house, up
    if os.getuid() != 0 or platform.machine() != "x86_64":
        return
    up = Upstream([HOST])
    house = House()
    house.credential("demo", KEY, "--host", HOST)
    house.apply(house.grant_yaml("one", up, credential="demo"))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def fresh(ttl="1h"):
    global number
    if house is None:
        raise tap.Skip("to set the clock of others takes root, and x86-64")
    number += 1
    return house.session(f"c{number}", "one", ttl=ttl)


@contextlib.contextmanager
def clock(seconds):
    """All programs of now read that time; after it, the real one again, and
    a new minter that has seen no other."""
    wallclock.step(house.pids(), seconds)
    try:
        yield
    finally:
        house.stop()
        house.start()


def state_of(guest):
    return {s["id"]: s["state"] for s in
            house.json("session", "list", "--all")["sessions"]}[guest.id]


def serves(guest):
    try:
        return guest.get(f"{URL}/x")[0] == 200
    except (OSError, AssertionError, ValueError):
        return False


def test_ahead():
    "two hours ahead: a session of one hour is served, by a new token"
    g = fresh()
    old = g.token()
    assert g.get(f"{URL}/before")[0] == 200
    with clock(2 * HOUR):
        assert g.reason(g.get(f"{URL}/old", token=old)) == "token-expired"
        assert g.get(f"{URL}/new", token=g.new_token())[0] == 200
        assert state_of(g) == "active"


def test_under_way():
    "a day ahead: what is under way is not idle"
    more = threading.Event()

    def answer(_):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"
        more.wait(60)
        yield b"cd"

    up.answer = answer
    c = H2Guest(fresh(), HOST)
    sid = c.send(c.head())
    assert c.until(lambda: c.answers[sid].body)
    with clock(DAY):
        time.sleep(2.5)  # its gate looks for what is idle each second
        more.set()
        a = c.wait(sid)
        assert (bytes(a.body), a.reset) == (b"abcd", None), a.reset
    c.close()
    up.answer = lambda _: (200, {}, b"hello\n")


def test_asleep():
    "what was promised to end ends while the machine sleeps"
    g, short = fresh("8h"), fresh("1h")
    token = g.token()
    assert serves(g) and serves(short)
    wallclock.sleep(house.pids(), 2 * HOUR)
    try:
        assert g.reason(g.get(f"{URL}/old", token=token)) == "token-expired"
        assert g.get(f"{URL}/new", token=g.new_token())[0] == 200
        wait_for(lambda: state_of(short) == "expired")
        assert state_of(g) == "active" and not serves(short)
    finally:
        # Nothing goes back but the clock: this house's time is over.
        house.kill_all()
        house.start()


def test_back():
    "two hours back: no token is good or made, no session; then all goes on"
    g = fresh()
    token = g.token()
    assert g.get(f"{URL}/before", token=token)[0] == 200
    wallclock.step(house.pids(), -2 * HOUR)
    up.forget()
    assert g.reason(g.get(f"{URL}/old", token=token)) == "bad-token"
    assert not up.requests
    status, _, body = g.api("POST", "/v1/token",
                            b"grant_type=client_credentials")
    assert status == 503 and b"stepped back" in body, (status, body)
    made = house.hatcheck("session", "create", "--grant", "one", check=False)
    assert made.returncode != 0 and b"hatcheck stop" in made.stderr, made
    assert house.json("status")["clock"] == "stepped-back"
    gate = house.processes("gate", g.id)[0]["pid"]
    house.kill(gate)
    wait_for(lambda: [p for p in house.processes("gate", g.id)
                      if p["pid"] != gate and p["state"] == "ready"])
    wallclock.step(house.pids(), 0)
    wait_for(lambda: serves(g))
    assert g.get(f"{URL}/after", token=token)[0] == 200
    assert house.json("status")["clock"] == "ok"


def test_keys_while_behind():
    "signing keys that come while the clock is behind are no failed disk"
    g = fresh()
    old = house.processes("minter")[0]["pid"]
    house.hatcheck("lock")
    house.kill(old)
    wait_for(lambda: house.hatcheck("status", check=False).returncode == 0)
    wallclock.step(house.pids(), -2 * HOUR)
    assert house.json("status")["clock"] == "stepped-back"
    house.hatcheck("unlock")
    wait_for(lambda: house.json("status")["vault"]["state"] == "open")
    assert house.json("status")["audit"] == "ok"
    wallclock.step(house.pids(), 0)
    wait_for(lambda: serves(g))


def test_ahead_for_a_moment():
    "a clock that was ahead is believed after a start: what was before is over"
    g, gone = fresh("8h"), fresh("8h")
    token, revoked = g.token(), gone.token()
    house.hatcheck("revoke", "--session", gone.id)
    with clock(5 * DAY):
        # A look at it is enough; then the real time again.
        assert house.json("status")["clock"] == "ok"
        wallclock.step(house.pids(), 0)
        assert house.json("status")["clock"] == "stepped-back"
    wait_for(lambda: state_of(g) == "expired")
    assert state_of(gone) == "revoked"
    later = fresh()
    up.forget()
    for t in (token, revoked):
        assert later.get(f"{URL}/old", token=t)[0] == 407
    assert not up.requests
    assert later.get(f"{URL}/new")[0] == 200
    house.hatcheck("audit", "verify")


def test_old_files():
    "a jump of 500 days makes no audit file old"
    g = fresh()
    assert g.get(f"{URL}/x")[0] == 200
    g.end()
    path = house.home / "log" / "audit" / f"{g.id}.jsonl"
    assert path.exists()
    with clock(500 * DAY):
        house.kill(house.supervisor(), signal.SIGHUP)
        wait_for(lambda: not path.exists() or
                 "audit_age_not_looked_at" in house.log_tail(200))
        assert path.exists()
    house.hatcheck("audit", "verify")


tap.main(globals(), setup, teardown)
