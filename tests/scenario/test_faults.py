"""No audit, no action, and no promise that is not on disk (requirement 28):
the disk fails under the running programs, at each of their first writes and
syncs. The failures are put in from outside (tests/lib/fault.py), as root may;
the programs are the same.
"""
import contextlib
import errno
import json
import os
import platform
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import UID, House, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
URL = "https://api.demo.test"
ERRORS = ("ENOSPC", "EIO", "EROFS")
house = up = other = None
number = 0


def setup():
    global house, up, other
    if os.getuid() != 0:
        return
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))
    other = house.session("other", "one")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def need_root():
    if os.getuid() != 0 or platform.machine() != "x86_64":
        raise tap.Skip("putting failures in takes root, and x86-64")


class Fault:
    """The nth call of a process on one file fails, while this lasts."""

    def __init__(self, pid, path, call, error, nth):
        self.told = []
        self.p = subprocess.Popen(
            ["/usr/bin/python3", Path(tap.__file__).with_name("fault.py"),
             str(pid), str(path), call,
             error if error == "kill" else str(getattr(errno, error)),
             str(nth)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.p.stdout.readline() == "ready\n"
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.p.stdout:
            self.told.append(line.strip())

    def struck(self):
        return "struck" in self.told

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()


class Stuck:
    """The first sync of a file takes a minute, while this lasts."""

    def __init__(self, pid, path):
        self.p = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-P", str(path), "-o",
             "/dev/null", "-e", "trace=fdatasync", "-e",
             "inject=fdatasync:delay_enter=60000000:when=1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        assert b"attached" in self.p.stderr.readline()
        threading.Thread(target=self.p.stderr.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.terminate()
        self.p.wait()


def fresh():
    global number
    number += 1
    return house.session(f"f{number}", "one")


def audit_file(name):
    return house.home / "log" / "audit" / f"{name}.jsonl"


def logged(name):
    """Paths that have a request line; a torn last line counts for nothing."""
    paths = []
    for line in audit_file(name).read_text().splitlines():
        try:
            x = json.loads(line)
        except ValueError:
            continue
        if x.get("event") == "request":
            paths.append(x["path"])
    return paths


def asked(g):
    return [r.path for r in up.requests if r.path.startswith(f"/{g.id}/")]


def until_refused(g, most=12):
    """Ask until the log has failed."""
    how = []
    for i in range(most):
        try:
            got = g.get(f"{URL}/{g.id}/{i}")
        except ConnectionError as e:
            how.append(e)
            continue  # it failed under an answer; the next one is told
        how.append(got[0])
        if got[0] != 200:
            assert g.reason(got) == "audit-failed", got
            return
        time.sleep(0.06)  # the line is synced within 50 ms
    raise AssertionError(f"it went on: {how}")


def test_courier():
    "each failing write and sync of a session's log ends its traffic, alone"
    need_root()
    for n, (call, nth) in enumerate(
            (c, i) for i in (1, 2, 3) for c in ("write", "fdatasync")):
        error = ERRORS[(n + n // 3) % 3]  # each of them for each call
        g = fresh()
        pid = house.processes("courier", g.id)[0]["pid"]
        with Fault(pid, audit_file(g.id), call, error, nth) as f:
            until_refused(g)
            wait_for(f.struck)
            before = asked(g)
            got = g.get(f"{URL}/{g.id}/after")
            assert g.reason(got) == "audit-failed", got
            assert asked(g) == before
        assert set(before) <= set(logged(g.id)), (call, nth, error)
        assert other.get(f"{URL}/other")[0] == 200, (call, nth, error)
        g.end()


def test_stuck_disk():
    "while a sync hangs nothing is forwarded; then all goes on"
    need_root()
    g = fresh()
    # On a kept connection a request is out before its line's sync begins.
    assert g.get(f"{URL}/{g.id}/warm")[0] == 200
    time.sleep(0.5)
    pid = house.processes("courier", g.id)[0]["pid"]
    answers = []

    def ask(what):
        t = threading.Thread(target=lambda: answers.append(
            g.get(f"{URL}/{g.id}/{what}")[0]))
        t.start()
        return t

    with Stuck(pid, audit_file(g.id)):
        threads = [ask("first")]
        wait_for(lambda: f"/{g.id}/first" in asked(g) and blocked(pid))
        threads.append(ask("second"))
        time.sleep(0.5)
        assert asked(g)[1:] == [f"/{g.id}/first"], asked(g)
        assert other.get(f"{URL}/other")[0] == 200
    for t in threads:
        t.join(30)
    assert answers == [200, 200], answers
    assert set(asked(g)) <= set(logged(g.id))
    g.end()


def blocked(pid):
    """The traced process stands still on its way into the call."""
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return state[0] in "tT"


def revoked_for_good(g):
    house.stop()
    house.start()
    return g.id not in [s["id"] for s in
                        house.json("session", "list")["sessions"]]


def test_minter():
    "a revocation that cannot be stored says so and cuts; one that is said is"
    need_root()
    db = house.home / "state" / "minter" / "minter.db"
    n = 0
    for path, call in ((audit_file("minter"), "write"),
                       (audit_file("minter"), "fdatasync"),
                       (Path(f"{db}-wal"), "pwrite64"),
                       (Path(f"{db}-wal"), "fdatasync")):
        for nth in (1, 2):
            error = ERRORS[n % 3]
            n += 1
            g = fresh()
            assert g.get(f"{URL}/{g.id}/before")[0] == 200
            pid = house.processes("minter")[0]["pid"]
            with Fault(pid, path, call, error, nth) as f:
                done = house.hatcheck("revoke", "--session", g.id,
                                      check=False)
                before = asked(g)
                assert not serves(g), (path, call, nth, error, done)
                assert asked(g) == before
                if done.returncode != 0:
                    wait_for(f.struck)
            if done.returncode == 0:
                assert revoked_for_good(g), (path, call, nth, error)
            else:
                assert b"next:" in done.stderr, done
                house.stop()
                house.start()
            wait_for(lambda: serves(other), 20)


def test_died_before_the_cut():
    "an end that is stored is carried out, though the minter died before it"
    need_root()
    for words in (("revoke", "--session"), ("session", "end")):
        for _ in range(5):
            g = fresh()
            assert g.get(f"{URL}/{g.id}/before")[0] == 200
            pid = house.processes("minter")[0]["pid"]
            with Fault(pid, audit_file("minter"), "write", "kill", 1) as f:
                done = house.hatcheck(*words, g.id, check=False)
                wait_for(f.struck)
            assert done.returncode != 0 and b"made or not" in done.stderr, done
            wait_for(lambda: house.hatcheck("status", check=False)
                     .returncode == 0)
            state = {s["id"]: s["state"] for s in house.json(
                "session", "list", "--all")["sessions"]}[g.id]
            if state != "active":
                break  # else it was another line that it died at
        assert state in ("revoked", "ended"), state
        wait_for(lambda: not house.processes(None, g.id))
        assert not serves(g)
        assert [x["state"] for x in house.audit_lines("minter")
                if x["event"] == "session_ended" and
                x["session"] == g.id] == [state]
    wait_for(lambda: serves(other))


@contextlib.contextmanager
def small_disk():
    """A house that is not made yet, on a disk of two megabytes."""
    h = House(start=False, init=False)
    subprocess.run(["mount", "-t", "tmpfs", "-o",
                    f"size=2m,uid={UID},gid={UID},mode=700", "tmpfs",
                    h.home], check=True)
    try:
        yield h
    finally:
        h.stop()
        h.kill_all()
        subprocess.run(["umount", h.home], check=True)
        h.close()


def fill(path):
    with open(path, "wb", 0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(512))


def test_full_disk():
    "a full disk: refusals that say so, and what was before is there after it"
    need_root()
    with small_disk() as h:
        h.hatcheck("init", "--vault", "sealed-file", "--key", "key-file")
        h.start()
        h.credential("demo", KEY, "--host", "api.demo.test")
        h.apply(h.grant_yaml("one", up, credential="demo"))
        g = h.session("full", "one")
        assert serves(g)
        fill(h.home / "fill")
        for words, word in ((("credential", "rotate", "demo"), b"space"),
                            (("credential", "remove", "demo"), b"space"),
                            (("session", "create", "--grant", "one"),
                             b"Make room")):
            done = h.hatcheck(*words, stdin=b"another-0123456789",
                              check=False)
            assert done.returncode != 0 and word in done.stderr, done
        h.stop()
        fill(h.home / "fill2")
        done = h.hatcheck("start", check=False)
        assert done.returncode != 0 and b"make room" in done.stderr, done
        for name in ("fill", "fill2"):
            (h.home / name).unlink()
        h.start()
        wait_for(lambda: serves(g))
        assert up.requests[-1].header("authorization") == [f"Bearer {KEY}"]
        assert [s["guest"] for s in h.json("session", "list")["sessions"]] \
            == ["full"]
        h.hatcheck("audit", "verify")


def test_removed_in_doubt():
    "what was removed is used no more, also when its owner was told of an error"
    need_root()
    for nth in range(1, 9):
        name = f"gone{nth}"
        house.credential(name, KEY + name, "--host", "api.demo.test")
        house.apply(house.grant_yaml(name, up, credential=name))
        g = house.session(name, name)
        assert g.get(f"{URL}/{g.id}/before")[0] == 200
        with Fault(house.processes("vault")[0]["pid"],
                   house.home / "state" / "vault", "fdatasync", "EIO",
                   nth):
            done = house.hatcheck("credential", "remove", name, check=False)
        there = name in [c["name"] for c in house.json("credential", "list")]
        before = asked(g)
        assert there or g.get(f"{URL}/{g.id}/after")[0] != 200, nth
        assert there or asked(g) == before, nth
        if not there and done.returncode != 0:
            return
    raise AssertionError("none of its syncs was the last one")


def test_moving():
    "a vault that could not be moved is where it was, and opens"
    need_root()
    words = ("vault", "migrate", "sealed-file", "--key", "passphrase",
             "--from-file", "-")
    secret = b"not where it was, but whole\n"
    config = house.home / "config"
    for n, call in enumerate(("fsync", "renameat", "fsync")):
        with Fault(house.processes("vault")[0]["pid"], config, call,
                   ERRORS[n], 1 + n // 2) as f:
            done = house.hatcheck(*words, stdin=secret, check=False)
            wait_for(f.struck)
        assert done.returncode != 0 and b"Nothing was moved" in done.stderr
        house.stop()
        house.start()
        names = [c["name"] for c in house.json("credential", "list")]
        assert "demo" in names, (call, n, names)
    house.hatcheck(*words, stdin=secret)
    house.stop()
    house.start()
    house.hatcheck("unlock", "--from-file", "-", stdin=secret)
    wait_for(lambda: serves(other))
    done = house.hatcheck("vault", "migrate", "sealed-file", "--key",
                          "key-file", check=False)
    assert done.returncode == 4 and b"hatcheck unlock" in done.stderr, done
    house.hatcheck("unlock", "--from-file", "-", stdin=secret)
    house.stop()
    house.start()
    wait_for(lambda: serves(other))


def serves(g):
    try:
        return g.get(f"{URL}/{g.id}/x")[0] == 200
    except (OSError, AssertionError, ValueError):
        return False


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
