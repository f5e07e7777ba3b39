"""kill -9 of anything, at any time (requirements 25, 41 to 43, rule 7, 8)."""
import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = None


def setup():
    global house, up
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def serves(guest):
    try:
        return guest.get("https://api.demo.test/x")[0] == 200
    except (OSError, AssertionError, ValueError):
        return False


def kill_role(role, session=None):
    rows = house.processes(role, session)
    assert rows, role
    for r in rows:
        os.kill(r["pid"], signal.SIGKILL)
    return [r["pid"] for r in rows]


def test_each_process():
    "each process is replaced after kill -9, and the guest is served again"
    guest = house.session("each", "one")
    ca = guest.ca()
    assert serves(guest)
    for role in ("gate", "courier", "dialer", "vault", "minter"):
        session = guest.id if role in ("gate", "courier") else None
        kill_role(role, session)
        wait_for(lambda: serves(guest), 20)
        assert guest.ca() == ca, f"another root after {role} died"


def test_supervisor():
    "kill -9 of the supervisor leaves nothing running; a restart, everything"
    guest = house.session("super", "one")
    gone = house.session("gone", "one")
    ca, token = guest.ca(), guest.token()
    house.hatcheck("revoke", "--session", gone.id)
    os.kill(int(house.supervisor()), signal.SIGKILL)
    wait_for(lambda: not house.pids(), 10)
    house.start()
    wait_for(lambda: serves(guest), 20)
    assert guest.ca() == ca
    assert guest.get("https://api.demo.test/x", token=token)[0] == 200
    assert not serves(gone)
    house.hatcheck("audit", "verify")


def test_orderly_restart():
    "stop and start: sessions, tokens, revocations are as they were"
    guest = house.session("restart", "one")
    before = house.json("session", "list")
    token = guest.token()
    house.stop()
    wait_for(lambda: not house.pids(), 10)
    house.start()
    after = house.json("session", "list")

    def ids(x):
        return sorted(s["id"] for s in x["sessions"])
    assert ids(before) == ids(after)
    wait_for(lambda: serves(guest), 20)
    assert guest.get("https://api.demo.test/x", token=token)[0] == 200


def test_crash_loop_ends_session():
    "a session whose gate keeps dying is ended"
    guest = house.session("loop", "one")
    for _ in range(40):
        rows = house.processes("gate", guest.id)
        for r in rows:
            if r["state"] in ("ready", 1):
                try:
                    os.kill(r["pid"], signal.SIGKILL)
                except ProcessLookupError:
                    pass
        time.sleep(0.1)
        states = {s["id"]: s["state"] for s in
                  house.json("session", "list", "--all")["sessions"]}
        if states[guest.id] != "active":
            return
    raise AssertionError("the session lives on")


def test_revoke_survives_kill():
    "an acknowledged revocation survives kill -9, every time"
    for i in range(8):
        guest = house.session(f"rk-{i}", "one")
        token = guest.token()
        assert guest.get("https://api.demo.test/x", token=token)[0] == 200
        house.hatcheck("revoke", "--session", guest.id)
        kill_role("minter")
        up.forget()
        wait_for(lambda: house.hatcheck("status", check=False)
                 .returncode == 0, 20)
        assert not serves(guest) and not up.requests


def test_credential_survives_kill():
    "an acknowledged credential survives kill -9 of the vault"
    for i in range(8):
        house.credential(f"kept-{i}", f"secret-value-{i}-0123456789",
                         "--host", "kept.demo.test")
        kill_role("vault")
        wait_for(lambda: house.hatcheck("credential", "list", check=False)
                 .returncode == 0, 20)
        names = [c["name"] for c in house.json("credential", "list")]
        assert f"kept-{i}" in names, names


def test_audit_survives_kill():
    "each forwarded request is in the log, though its courier was killed"
    guest = house.session("audit", "one")
    # Five crashes in a minute are one too many for a session.
    for i in range(4):
        up.forget()
        try:
            guest.get(f"https://api.demo.test/n{i}")
        except OSError:
            pass
        kill_role("courier", guest.id)
        seen = [r.path for r in up.requests]
        logged = [x.get("path") for x in house.audit_lines(guest.id)
                  if x["event"] == "request"]
        for path in seen:
            assert path in logged, (path, logged)
        wait_for(lambda: serves(guest), 20)
    house.hatcheck("audit", "verify")


def test_ca_in_running_guest():
    "a program that trusted the root before a restart trusts it after"
    guest = house.session("trust", "one")
    import ssl
    context = ssl.create_default_context(cadata=guest.ca())
    house.stop()
    wait_for(lambda: not house.pids(), 10)
    house.start()
    wait_for(lambda: serves(guest), 20)
    s = guest.attach()
    s.sendall(b"CONNECT api.demo.test:443 HTTP/1.1\r\n"
              b"Host: api.demo.test:443\r\n\r\n")
    assert s.recv(12) == b"HTTP/1.1 200"
    while not s.recv(65536).endswith(b"\r\n\r\n"):
        pass
    context.wrap_socket(s, server_hostname="api.demo.test")


def test_json_everywhere():
    "--json answers JSON for every listing"
    for words in (("status",), ("credential", "list"), ("grant", "list"),
                  ("session", "list"), ("token", "list"), ("doctor",),
                  ("version",)):
        done = house.hatcheck("--json", *words, check=False)
        json.loads(done.stdout)


tap.main(globals(), setup, teardown)
