"""An audit log in many files is one chain, whatever happens between two of
them (requirements 28, 43)."""
import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID, wait_for  # noqa: E402
from test_faults import Fault, need_root  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
URL = "https://api.demo.test"
PAD = "p" * 400  # some 1 KiB of log for each request
SEGMENT = 16384
house = up = folder = guest = None
number = 0


def setup():
    global house, up, folder, guest
    up = Upstream(["api.demo.test"])
    house = House()
    house.stop()
    path = house.home / "config" / "hatcheckd.yaml"
    path.write_text(f"limits:\n  audit_segment_bytes: {SEGMENT}\n")
    os.chmod(path, 0o600)
    if os.getuid() == 0:
        os.chown(path, UID, UID)
    house.start()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))
    folder = house.home / "log" / "audit"
    guest = house.session("agent", "one")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def files(chain):
    found = {}
    for f in folder.glob(f"{chain}*.jsonl"):
        n = f.name.removeprefix(chain).removesuffix("jsonl").strip(".")
        found[int(n or 1)] = f
    return [found[n] for n in sorted(found)]


def lines(chain):
    out = []
    for f in files(chain):
        for text in f.read_text().splitlines():
            try:
                out.append(json.loads(text))
            except ValueError:
                pass  # torn
    return out


def logged(chain):
    return [x["path"] for x in lines(chain) if x.get("event") == "request"]


def ask(g, n=1):
    """n requests that are answered; their paths."""
    global number
    paths = []
    for _ in range(n):
        number += 1
        paths.append(f"/{number}/{PAD}")
        assert g.get(URL + paths[-1])[0] == 200
    return paths


def fill(g, count):
    """Ask until its log has that many files."""
    asked = []
    for _ in range(60):
        if len(files(g.id)) >= count:
            return asked
        asked += ask(g, 6)
        time.sleep(0.3)
    raise AssertionError(f"only {len(files(g.id))} files")


def serves(g):
    try:
        return g.get(f"{URL}/again")[0] == 200
    except (OSError, AssertionError, ValueError):
        return False


def verdict():
    return house.hatcheck("audit", "verify", check=False)


def good():
    done = verdict()
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


def test_rotates():
    "a long log goes on in further files, nothing lost, nothing doubled"
    asked = fill(guest, 4)
    asked += ask(guest, 3)
    assert logged(guest.id) == asked
    seqs = [x["seq"] for x in lines(guest.id)]
    assert seqs == list(range(1, len(seqs) + 1))
    for f in files(guest.id)[:-1]:
        assert f.stat().st_size >= SEGMENT
    modes = {f.stat().st_mode & 0o777 for f in files(guest.id)}
    assert modes == {0o600}
    wait_for(lambda: "anchors" in good())
    shown = house.hatcheck("audit", "tail", "--session", guest.id, "--event",
                           "request", "--lines", "1000", "--json").stdout
    assert [json.loads(x)["path"] for x in shown.splitlines()] == asked


def test_minter_rotates():
    "the minter's own log does, too"
    for _ in range(200):
        if len(files("minter")) > 2:
            break
        house.apply(house.grant_yaml("one", up, credential="demo"))
    assert len(files("minter")) > 2
    seqs = [x["seq"] for x in lines("minter")]
    assert seqs == list(range(1, len(seqs) + 1))
    good()


def test_restart():
    "after a stop and a start the chains go on in their newest files"
    before = len(files(guest.id)), len(files("minter"))
    house.stop()
    good()
    house.start()
    wait_for(lambda: serves(guest), 20)
    ask(guest)
    assert (len(files(guest.id)), len(files("minter"))) >= before
    good()


def next_of(chain):
    n = len(files(chain)) + 1
    return folder / f"{chain}.{n}.jsonl"


def leave(path, what):
    path.write_bytes(what)
    os.chmod(path, 0o600)
    if os.getuid() == 0:
        os.chown(path, UID, UID)


def test_cut_between():
    "the next file without a line, or with half of one, is no break"
    for what in (b"", b'{"seq":99,"prev":"abc'):
        house.stop()
        made = [next_of(guest.id), next_of("minter")]
        for path in made:
            leave(path, what)
        house.start()
        wait_for(lambda: serves(guest), 20)
        ask(guest)
        good()
        assert all(p.stat().st_size > 0 for p in made)


def test_killed_in_rotation():
    "a courier that is killed as its log goes on loses no request"
    g = house.session("killed", "one")
    for wait in (0, 0.002, 0.05):
        count = len(files(g.id)) + 1
        fill(g, count)
        time.sleep(wait)
        house.kill(house.processes("courier", g.id)[0]["pid"])
        wait_for(lambda: serves(g), 20)
        seen = [r.path for r in up.requests if PAD in r.path]
        assert set(seen) <= set(logged(g.id)) | set(logged(guest.id))
        good()
    g.end()


def test_daemon_killed_in_rotation():
    "kill -9 of everything as a log goes on loses no request either"
    g = house.session("all", "one")
    fill(g, 2)
    house.kill_all()
    house.start()
    wait_for(lambda: serves(g), 20)
    seen = [r.path for r in up.requests if PAD in r.path]
    known = {p for s in house.json("session", "list", "--all")["sessions"]
             for p in logged(s["id"])}
    assert set(seen) <= known
    good()
    g.end()


def test_full_disk():
    "the next file cannot be written: nothing is forwarded, until it can"
    need_root()
    for error, call in (("ENOSPC", "write"), ("EIO", "fdatasync")):
        g = house.session(f"full-{call}", "one")
        path = folder / f"{g.id}.2.jsonl"
        pid = house.processes("courier", g.id)[0]["pid"]
        with Fault(pid, path, call, error, 1) as f:
            refused = None
            for i in range(120):
                try:
                    got = g.get(f"{URL}/{g.id}/{i}/{PAD}")
                except OSError:
                    continue
                if got[0] != 200:
                    refused = g.reason(got)
                    break
                time.sleep(0.03)
            assert refused == "audit-failed", refused
            wait_for(f.struck)  # its word may come after
        seen = [r.path for r in up.requests if f"/{g.id}/" in r.path]
        assert set(seen) <= set(logged(g.id)), (call, error)
        house.kill(house.processes("courier", g.id)[0]["pid"])
        wait_for(lambda: serves(g), 20)
        good()
        g.end()


def test_no_next_file():
    "no further file can be made: the log goes on in the one it has"
    g = house.session("stuck", "one")
    (folder / f"{g.id}.2.jsonl").mkdir()
    asked = []
    for _ in range(12):
        asked += ask(g, 4)
        time.sleep(0.2)
    wait_for(lambda: "audit_not_rotated" in house.log_tail(200))
    assert logged_in(folder / f"{g.id}.jsonl") == asked
    (folder / f"{g.id}.2.jsonl").rmdir()
    g.end()
    good()


def logged_in(path):
    return [x["path"] for x in map(json.loads, path.read_text().splitlines())
            if x["event"] == "request"]


def reload(**limits):
    """The configuration read anew, which looks for old files at once."""
    path = house.home / "config" / "hatcheckd.yaml"
    limits = {"audit_segment_bytes": SEGMENT, **limits}
    path.write_text("limits:\n" + "".join(
        f"  {k}: {v}\n" for k, v in limits.items()))
    os.kill(house.supervisor(), signal.SIGHUP)


def age(path, days=20):
    when = time.time() - days * 86400
    os.utime(path, (when, when))


def removals(session):
    return [x for x in lines("minter") if x["event"] == "audit_removed" and
            x["session"] == session]


def test_retention_by_age():
    "old closed files go, with a signed word; what else goes is found"
    g = house.session("aged", "one")
    fill(g, 5)
    mine = files(g.id)
    upto = json.loads(mine[1].read_text().splitlines()[-1])["seq"]
    kept = {f: f.read_bytes() for f in mine}
    for f in mine:
        age(f)  # the two newest of a live session stay all the same
    age(mine[2], 1)  # and what follows a young one
    reload(audit_keep_days=10)
    wait_for(lambda: files(g.id) == mine[2:])
    assert f"removed by retention up to seq {upto}" in good()
    said = removals(g.id)
    assert [(x["from"], x["upto"], x["why"]) for x in said] == \
        [(1, upto, "age")]
    ask(g)
    good()
    # Killed between word and deed: the file is there yet.
    leave(mine[1], kept[mine[1]])
    good()
    mine[1].write_bytes(kept[mine[1]].replace(b'"time":1', b'"time":2', 1))
    assert verdict().returncode == 7
    mine[1].unlink()
    # More than was said is gone; the first line there is another.
    third = mine[2].read_bytes()
    mine[2].unlink()
    done = verdict()
    assert done.returncode == 7 and b"removed them up to" in done.stdout, done
    first, rest = third.split(b"\n", 1)
    mine[2].write_bytes(rest)
    assert verdict().returncode == 7
    leave(mine[2], third)
    good()
    # A word that nobody signed is none.
    log = files("minter")[-1]
    if b'"audit_removed"' in log.read_bytes():
        forged = log.read_bytes().replace(
            f'"upto":{upto}'.encode(), f'"upto":{upto + 9}'.encode())
        text = log.read_bytes()
        log.write_bytes(forged)
        assert verdict().returncode == 7
        log.write_bytes(text)
    g.end()
    for f in files(g.id):
        age(f)
    wait_for(lambda: "0 lines after" in good())
    reload(audit_keep_days=10)
    wait_for(lambda: files(g.id) == [])
    assert f"{g.id}.jsonl: removed by retention up to seq" in good()
    froms = [x["from"] for x in removals(g.id)]
    uptos = [x["upto"] for x in removals(g.id)]
    assert froms[1:] == [x + 1 for x in uptos[:-1]], (froms, uptos)


def test_retention_by_size():
    "beyond a size the oldest go first, whole files of ended sessions"
    g = house.session("sized", "one")
    fill(g, 4)
    g.end()
    wait_for(lambda: "0 lines after" in good())
    mine = files(g.id)
    for i, f in enumerate(mine):
        age(f, 100 - i)  # older than all others
    total = sum(f.stat().st_size for f in folder.glob("*.jsonl"))
    first = sum(f.stat().st_size for f in mine[:2])
    reload(audit_keep_days=0, audit_keep_bytes=total - first + 1000)
    wait_for(lambda: files(g.id) == mine[2:])
    good()
    reload(audit_keep_days=0)
    time.sleep(1.5)
    assert files(g.id) == mine[2:]
    assert [x["why"] for x in removals(g.id)] == ["size"]
    good()


def minter_goes_on():
    """Until all that is in its log by now is in closed files, old ones; then
    they go."""
    last = int(files("minter")[-1].name.split(".")[1])
    for _ in range(400):
        mine = files("minter")
        if int(mine[-1].name.split(".")[1]) > last + 1:
            break
        house.apply(house.grant_yaml("one", up, credential="demo"))
    kept = mine[-2:]
    for f in mine[:-2]:
        age(f)
    reload(audit_keep_days=10)
    wait_for(lambda: files("minter") == kept)


def events_of(session):
    return {(x["event"], x.get("line", x)["event"]) for x in lines("minter")
            if x.get("line", x).get("session") == session}


def test_retention_of_minter():
    "the minter's old files go too, and nothing that they prove with them"
    live = house.session("live", "one")
    part = house.session("part", "one")
    gone = house.session("gone", "one")
    fill(part, 4)
    for f in files(part.id)[:1]:
        age(f)
    reload(audit_keep_days=10)
    wait_for(lambda: len(removals(part.id)) == 1)
    ask(live, 3)
    ask(gone, 3)
    for g in (part, gone):
        g.end()
    wait_for(lambda: "0 lines after" in good())
    for _ in range(2):  # what was carried is carried again
        minter_goes_on()
        assert "minter" in good()
        assert events_of(part.id) == {
            ("carried", "session_created"), ("carried", "anchor"),
            ("carried", "audit_removed")}
        ask(live)
        good()
    shown = house.hatcheck("audit", "tail", "--guest", "live", "--event",
                           "request", "--lines", "1000", "--json").stdout
    assert len(shown.splitlines()) == 5
    assert verdict_without(files("minter")[0])
    # Whose file somebody took away is missed for as long as it takes.
    there = files(gone.id)[0]
    text = there.read_bytes()
    there.unlink()
    assert f"{gone.id}.jsonl: is missing" in bad()
    minter_goes_on()
    assert f"{gone.id}.jsonl: is missing" in bad()
    leave(there, text.replace(b'"time":1', b'"time":2', 1))
    assert gone.id in bad()
    leave(there, text)
    good()
    # Whose files retention took is forgotten, after a word of it.
    age(there, 50)
    reload(audit_keep_days=10)
    wait_for(lambda: files(gone.id) == [])
    assert [x["whole"] for x in removals(gone.id)] == [True]
    minter_goes_on()
    assert gone.id not in good()
    assert events_of(gone.id) == set()
    live.end()


def bad():
    done = verdict()
    assert done.returncode == 7, done.stdout.decode()
    return done.stdout.decode()


def verdict_without(path):
    """That file is missed, and is back."""
    text = path.read_bytes()
    path.unlink()
    missed = "retention removed them up to" in bad()
    leave(path, text)
    return missed


HARM = {
    "a closed file is missing": lambda f: os.rename(f[1], folder / "aside"),
    "the first is missing": lambda f: os.rename(f[0], folder / "aside"),
    "the last is missing": lambda f: os.rename(f[-1], folder / "aside"),
    "two are swapped": lambda f: (os.rename(f[0], folder / "aside"),
                                  os.rename(f[1], f[0]),
                                  os.rename(folder / "aside", f[1])),
    "a closed one is cut": lambda f: os.truncate(
        f[1], f[1].read_bytes()[:-1].rfind(b"\n") + 1),
    "a byte is changed": lambda f: f[1].write_bytes(
        f[1].read_bytes().replace(b'"time":1', b'"time":2', 1)),
}


def test_each_harm_is_named():
    "what is done to closed files is found, in the chains of both"
    while len(files("minter")) < 3:
        house.apply(house.grant_yaml("one", up, credential="demo"))
    guest.end()
    wait_for(lambda: "0 lines after" in good())
    house.stop()
    assert good()
    for chain in (guest.id, "minter"):
        mine = files(chain)
        kept = {f: f.read_bytes() for f in mine}
        for name, harm in HARM.items():
            if chain == "minter" and name == "the last is missing":
                continue  # its own end: known, and said by verify
            harm(mine)
            done = verdict()
            assert done.returncode == 7, (chain, name, done.stdout.decode())
            assert chain in done.stdout.decode(), (chain, name)
            for f, text in kept.items():
                f.write_bytes(text)
            (folder / "aside").unlink(missing_ok=True)
    good()


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
