"""What somebody may do to the audit directory, and that verify names it
(requirement 28)."""
import base64
import hashlib
import json
import os
import re
import secrets
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

house = up = folder = guest = other = None


def setup():
    global house, up, folder, guest, other
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", "canary-" + secrets.token_hex(20),
                     "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))
    guest = house.session("agent", "one")
    for i in range(5):
        assert guest.get(f"https://api.demo.test/{i}")[0] == 200
    assert guest.get(f"https://api.demo.test{LONG}")[0] == 200
    guest.end()
    other = house.session("other", "one")
    other.end()
    wait_for(lambda: any(x["event"] == "anchor"
                         for x in house.audit_lines("minter")))
    time.sleep(0.2)
    house.stop()
    folder = house.home / "log" / "audit"


LONG = "/" + "x" * 2000 + "/where-it-led"


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def verdict():
    return house.hatcheck("audit", "verify", str(folder), check=False)


def cut(lines, i, j):
    return lines[:i] + lines[j:]


HARM = {
    "edited": lambda x: [x[0], x[1].replace(b'"time":1', b'"time":2', 1)] +
    x[2:],
    "one removed": lambda x: cut(x, 1, 2),
    "first removed": lambda x: cut(x, 0, 1),
    "swapped": lambda x: [x[0], x[2], x[1]] + x[3:],
    "doubled": lambda x: x[:2] + x[1:],
    "half a line": lambda x: x[:-1] + [x[-1][:-9]],
    "a space": lambda x: [x[0].replace(b"{", b"{ ", 1)] + x[1:],
    "a NUL": lambda x: x[:-1] + [x[-1][:-1] + b"\0\n"],
    "a line more": lambda x: x + [b"\n"],
    "emptied": lambda x: [],
    "deleted": lambda x: None,
}


def harm(path, how):
    was = path.read_bytes()
    now = how(was.splitlines(True))
    aside = path.with_suffix(".aside")
    os.rename(path, aside)
    if now is not None:
        path.write_bytes(b"".join(now))
        os.chmod(path, 0o644)
    try:
        return verdict()
    finally:
        os.replace(aside, path)


def test_a_long_path_is_proved():
    "what a line has no room for is in it by length and hash"
    lines = [json.loads(x) for p in folder.glob("s-*.jsonl")
             for x in p.read_text().splitlines()]
    got = [x for x in lines if x["event"] == "request"]
    long = [x for x in got if x["path"].startswith("/xx")]
    assert len(got) == 6 and len(long) == 1, lines
    assert LONG.startswith(long[0]["path"])
    assert long[0]["path_length"] == len(LONG)
    assert long[0]["path_sha256"] == hashlib.sha256(
        LONG.encode()).hexdigest()
    assert not any("path_sha256" in x for x in got if x not in long)


def test_each_harm_is_named():
    "whatever is done to a chain, verify says bad and names the file"
    assert verdict().returncode == 0, verdict()
    for path in (folder / f"{guest.id}.jsonl", folder / "minter.jsonl"):
        for name, how in HARM.items():
            done = harm(path, how)
            assert done.returncode == 7, (path.name, name, done.stdout)
            assert path.name in done.stdout.decode(), (path.name, name)
    assert verdict().returncode == 0


def test_minter_chain_cut_short():
    "a minter chain cut before a session began does not hide the session"
    def before_session(lines):
        at = [i for i, x in enumerate(lines) if b'"session_created"' in x]
        return lines[:at[0]]
    done = harm(folder / "minter.jsonl", before_session)
    assert done.returncode == 7, done


def b64(digest):
    return base64.urlsafe_b64encode(digest).rstrip(b"=")


def chained(lines, name=b"minter"):
    "these lines as a chain that is good in itself: anybody can hash"
    out, prev = [], hashlib.sha256(name).digest()
    for i, line in enumerate(lines):
        line = re.sub(rb'^{"seq":\d+,"prev":"[^"]*"',
                      b'{"seq":%d,"prev":"%s"' % (i + 1, b64(prev)), line)
        out.append(line)
        prev = hashlib.sha256(line.rstrip(b"\n")).digest()
    return out


def without(*words):
    return lambda lines: chained([x for x in lines
                                  if not any(w in x for w in words)])


def carried(lines):
    "all that is signed as if it had been carried on from files that are gone"
    def wrap(line):
        if b'"sig"' not in line:
            return line
        return b'{"seq":1,"prev":"","event":"carried","line":%s}\n' % (
            line.rstrip(b"\n"))
    return chained([wrap(x) for x in lines])


def test_minter_chain_written_anew():
    "a minter chain of other lines, hashed anew, is not taken for the old one"
    mine, minter = guest.id.encode(), folder / "minter.jsonl"
    whole = minter.read_bytes().splitlines(True)
    assert chained(whole) == whole
    for name, how in {
            "an act taken away": without(b'"event":"session_ended"'),
            "an act changed": lambda x: chained(
                [y.replace(b'"guest":"agent"', b'"guest":"other"')
                 for y in x]),
            "an act added": lambda x: chained(x[:2] + x[1:]),
            "a session taken away": without(mine)}.items():
        done = harm(minter, how)
        assert done.returncode == 7, (name, done.stdout)
        assert b"minter.jsonl" in done.stdout, (name, done.stdout)
    own = folder / f"{guest.id}.jsonl"
    os.rename(own, own.with_suffix(".gone"))
    try:
        done = harm(minter, without(mine))
        assert done.returncode == 7, ("and its file", done.stdout)
    finally:
        os.replace(own.with_suffix(".gone"), own)
    # Who takes the signatures away leaves lines that nothing proves: said.
    for how in (without(b'"sig"'), carried):
        done = harm(minter, how)
        assert b"after the last that is signed" in done.stdout, done.stdout
    done = verdict()
    assert done.returncode == 0 and b"is signed" not in done.stdout, done


def test_no_keys():
    "anchors without their keys are not taken for good"
    for how in (lambda x: None, lambda x: [b'{"keys":[]}\n']):
        done = harm(folder / "keys.json", how)
        assert done.returncode == 7, done


def test_keys_kept_elsewhere():
    "with --keys, keys replaced beside the logs deceive nobody"
    kept = house.base / "kept.json"
    kept.write_bytes((folder / "keys.json").read_bytes())
    os.chmod(kept, 0o644)
    other = json.loads(kept.read_bytes())
    for key in other["keys"]:
        # A key of the same name, not ours: RFC 8032, 7.1, test 1.
        key["x"] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    forged = house.base / "forged.json"
    forged.write_text(json.dumps(other))
    os.chmod(forged, 0o644)

    def verify(keys):
        return house.hatcheck("audit", "verify", "--keys", str(keys),
                              str(folder), check=False)
    assert verify(kept).returncode == 0, verify(kept)
    done = verify(forged)
    assert done.returncode == 7 and b"signature is wrong" in done.stdout, done
    done = verify(house.base / "absent.json")
    assert done.returncode == 7 and b"absent.json" in done.stdout, done
    aside = folder / "keys.aside"
    os.rename(folder / "keys.json", aside)
    try:
        assert verify(kept).returncode == 0, verify(kept)
    finally:
        os.replace(aside, folder / "keys.json")


def test_tail_filters():
    "audit tail's filters show what matches all of them, however far back"
    def tail(*options):
        done = house.hatcheck("--json", "audit", "tail", *options)
        return [json.loads(x) for x in done.stdout.splitlines()]
    every = [x for name in ("minter", guest.id)
             for x in house.audit_lines(name)]
    for event in {x["event"] for x in every}:
        want = [x["seq"] for x in every if x["event"] == event]
        got = [x["seq"] for x in tail("--event", event, "-n", "1000")]
        assert sorted(got) == sorted(want), (event, got, want)
    hosts = tail("--host", "api.demo.test")
    assert hosts and all(x["host"] == "api.demo.test" for x in hosts), hosts
    assert tail("--host", "other.test") == []
    assert tail("--host", "api.demo.test", "--event", "anchor") == []
    assert len(tail("--host", "api.demo.test", "-n", "1")) == 1
    mine = tail("--guest", "agent", "-n", "1000")
    assert {x["session"] for x in mine} == {guest.id}, mine
    assert len([x for x in mine if x["event"] == "session_created"]) == 1
    want = [x["event"] for x in every if x.get("session") == other.id]
    theirs = tail("--guest", "other", "-n", "1000")
    assert {x["session"] for x in theirs} == {other.id} and want, theirs
    assert tail("--guest", "nobody") == []


tap.main(globals(), setup, teardown)
