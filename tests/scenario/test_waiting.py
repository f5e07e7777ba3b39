"""The gate and the courier that wait for the next session, as their owner
and a guest see them (requirements 30, 32, 33)."""
import os
import secrets
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID, memory_has, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
URL = "https://api.demo.test/x"
PAIR = ("gate", "courier")
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


def waiting():
    """Role to pid, once both of them wait."""
    def both():
        rows = [r for r in house.processes() if r["state"] == "waiting"]
        return rows if len(rows) == 2 else None
    rows = wait_for(both)
    assert {r["session"] for r in rows} == {""}, rows
    found = {r["role"]: r["pid"] for r in rows}
    assert set(found) == set(PAIR), rows
    return found


def of_session(guest):
    rows = [r for r in house.processes(session=guest.id)]
    assert {r["role"] for r in rows} == set(PAIR), rows
    return {r["role"]: r["pid"] for r in rows}


def children():
    """Every gate and courier that runs, whatever status says."""
    found = set()
    for pid in house.pids():
        try:
            exe = os.readlink(f"/proc/{pid}/exe")
        except OSError:
            continue
        if exe.rpartition("hatcheck-")[2] in PAIR:
            found.add(pid)
    return found


def test_shown():
    "status, metrics and doctor show the two that wait, and only them"
    pids = waiting()
    assert children() == set(pids.values())
    text = house.hatcheck("status").stdout.decode()
    for role, pid in pids.items():
        row = [x.split() for x in text.splitlines() if x.startswith(role)]
        assert row == [[role, str(pid), "waiting", "0", "-"]], text
    text = house.hatcheck("metrics").stdout.decode()
    for role in PAIR:
        for state, n in (("waiting", 1), ("ready", 0)):
            assert f'hatcheck_processes{{role="{role}",state="{state}"}} ' \
                f'{n}\n' in text, text
    assert "backing" not in house.hatcheck(
        "doctor", check=False).stdout.decode()


def test_taken():
    "a session takes them, two others wait after it, and they end with it"
    first = waiting()
    a = house.session("a", "one")
    assert of_session(a) == first
    second = waiting()
    b = house.session("b", "one")
    assert of_session(b) == second
    assert not set(first.values()) & set(second.values())
    for g in (a, b):
        up.forget()
        assert g.get(URL)[0] == 200
        assert KEY.encode() in up.received
    house.hatcheck("session", "end", "a")
    third = waiting()
    assert children() == set(second.values()) | set(third.values())
    assert b.get(URL)[0] == 200
    house.hatcheck("session", "end", "b")
    house.hatcheck("audit", "verify")
    for g, requests in ((a, 1), (b, 2)):
        assert [x["event"] for x in house.audit_lines(g.id)] == \
            ["request", "done"] * requests


FACTS = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters",
         "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Threads",
         "SigIgn", "Umask")


def facts(pid):
    """What the kernel says of its walls."""
    status = dict(line.split(":\t", 1) for line in
                  Path(f"/proc/{pid}/status").read_text().splitlines()
                  if ":\t" in line)
    found = {k: status.get(k, "").strip() for k in FACTS}
    found["limits"] = Path(f"/proc/{pid}/limits").read_text()
    # Who owns its entry there: root's, for it is not dumpable.
    found["owner"] = os.stat(f"/proc/{pid}/mem").st_uid
    return found


def kinds(pid):
    """What its descriptors are, a word or a path for each."""
    return sorted(os.readlink(f).partition(":[")[0]
                  for f in Path(f"/proc/{pid}/fd").iterdir())


def test_same_walls():
    "who waits, who waited and who never did have the same walls"
    if os.getuid() != 0:
        raise tap.Skip("only root can look at what is not dumpable")
    pids = waiting()
    before = {role: facts(pid) for role, pid in pids.items()}
    held = {role: kinds(pid) for role, pid in pids.items()}
    for role in PAIR:
        # The link to hatcheckd, and nothing that a session has.
        assert held[role].count("socket") == 1, held
        assert not any("audit" in k for k in held[role]), held
    g = house.session("walls", "one")
    assert of_session(g) == pids
    assert g.get(URL)[0] == 200
    after = {role: facts(pid) for role, pid in pids.items()}
    fds = {role: set(kinds(pid)) for role, pid in pids.items()}
    for pid in pids.values():
        house.kill(pid)
    wait_for(lambda: all(
        r["state"] == "ready" and r["pid"] not in pids.values()
        for r in house.processes(session=g.id)))
    assert g.get(URL)[0] == 200
    cold = of_session(g)
    for role, pid in cold.items():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert words[1:3] == [b"--session", g.id.encode()], words
        assert facts(pid) == before[role] == after[role], role
        assert set(kinds(pid)) == fds[role], role
    house.hatcheck("session", "end", "walls")


def test_knows_nothing():
    "who waits has no key in its memory, while others have"
    if os.getuid() != 0:
        raise tap.Skip("only root can look at what is not dumpable")
    g = house.session("knows", "one")
    pids = waiting()
    assert g.get(URL)[0] == 200
    assert memory_has(of_session(g)["courier"], [KEY.encode()])
    for pid in pids.values():
        assert not memory_has(pid, [KEY.encode(), g.id.encode()])
    house.hatcheck("session", "end", "knows")


def test_killed():
    "who was killed while waiting is not used; the next session has a pair"
    for role in PAIR:
        pids = waiting()
        house.kill(pids[role])
        wait_for(lambda: pids[role] not in children())
        g = house.session(f"after-{role}", "one")
        assert of_session(g)[role] != pids[role]
        assert g.get(URL)[0] == 200
        house.hatcheck("session", "end", f"after-{role}")


def test_singles_die():
    "minter, vault, dialer die while two wait: they are told of anew"
    pids = waiting()
    for role in ("minter", "vault", "dialer"):
        old = house.processes(role)[0]["pid"]
        house.kill(old)
        wait_for(lambda: house.hatcheck("status", check=False).returncode == 0
                 and [r for r in house.processes(role)
                      if r["state"] == "ready" and r["pid"] != old])
    assert waiting() == pids
    g = house.session("anew", "one")
    assert of_session(g) == pids
    assert g.get(URL)[0] == 200
    house.hatcheck("session", "end", "anew")


def fsize(pid):
    """RLIMIT_FSIZE, the hard one."""
    return [x.split()[4] for x in
            Path(f"/proc/{pid}/limits").read_text().splitlines()
            if x.startswith("Max file size")][0]


def test_reload():
    "those that waited while limits changed are not used: new ones hold"
    old = waiting()
    limits = {fsize(pid) for pid in old.values()}
    path = house.home / "config" / "hatcheckd.yaml"
    path.write_text("limits: { head_bytes: 2048, audit_bytes: 2097152, "
                    "audit_segment_bytes: 1048576 }\n")
    os.chmod(path, 0o600)
    if os.getuid() == 0:
        os.chown(path, UID, UID)
    os.kill(house.supervisor(), signal.SIGHUP)
    wait_for(lambda: "configuration_read" in house.log_tail(10000))
    wait_for(lambda: not set(old.values()) & children())
    pids = waiting()
    g = house.session("limited", "one")
    assert of_session(g) == pids
    new = {fsize(pid) for pid in pids.values()}
    assert len(limits) == len(new) == 1 and new != limits, (limits, new)
    assert 2 << 20 <= int(new.pop()) <= 4 << 20
    up.forget()
    got = g.get(URL, ("x-long", "v" * 2048))
    assert got[0] == 400 and g.reason(got) == "bad-request", got
    assert not up.received
    assert g.get(URL, ("x-long", "v" * 1500))[0] == 200
    house.hatcheck("session", "end", "limited")


def test_resumed():
    "sessions that a start finds have no part in it, and serve"
    g = house.session("resumed", "one")
    assert g.get(URL)[0] == 200
    house.stop()
    assert not house.pids()
    house.start()
    wait_for(lambda: served(g))
    waiting()
    house.hatcheck("session", "end", "resumed")
    house.hatcheck("audit", "verify")


def served(g):
    try:
        return g.get(URL)[0] == 200
    except (OSError, AssertionError, ValueError):
        return False


def test_stopped():
    "at the end nobody is left: stopped in order, or hatcheckd killed"
    waiting()
    house.stop()
    assert not house.pids()
    house.start()
    waiting()
    house.kill(house.supervisor())
    wait_for(lambda: not house.pids())


tap.main(globals(), setup, teardown)
