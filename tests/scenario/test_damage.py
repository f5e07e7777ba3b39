#!/usr/bin/env python3
"""What the house finds at its start may be cut off, changed, of another
version, or no file at all. It then says which file and what to do, or works;
it waits for nothing, and leaves what it cannot read as it is (requirements
29, 31, 36, 43)."""
import os
import re
import secrets
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = session = whole = None


def setup():
    global house, up, session, whole
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))
    (house.home / "config/hatcheckd.yaml").write_text(
        "limits: { audit_refusals: 601 }\n")
    ours(house.home / "config/hatcheckd.yaml")
    guest = house.session("curious", "one")
    assert guest.get("https://api.demo.test/x")[0] == 200
    session = guest.id
    house.stop()
    house.kill_all()
    whole = house.base / "whole"
    subprocess.run(["cp", "-a", house.home, whole], check=True)


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def ours(path):
    st = house.home.stat()
    os.chown(path, st.st_uid, st.st_gid)
    if path.is_file():
        os.chmod(path, 0o600)


def write(path, data):
    path.write_bytes(data)
    ours(path)


def cut(share):
    return lambda p: write(p, p.read_bytes()[:p.stat().st_size * share // 4])


def flip(at):
    def change(p):
        data = bytearray(p.read_bytes())
        data[at if at < len(data) else len(data) // 2] ^= 1
        write(p, data)
    return change


def directory(p):
    p.unlink(missing_ok=True)
    p.mkdir()
    ours(p)


def fifo(p):
    p.unlink(missing_ok=True)
    os.mkfifo(p, 0o600)
    ours(p)


def link(p):
    elsewhere = house.base / "elsewhere"
    shutil.copy(p, elsewhere)
    ours(elsewhere)
    p.unlink()
    p.symlink_to(elsewhere)


def sparse(p):
    os.truncate(p, 1 << 40)


def newer(p):
    with sqlite3.connect(p) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    ours(p)


MIDDLE = 1 << 60
NO_FILES = [directory, fifo]
SWEEP = {
    "config/hatcheckd.yaml": [flip(0), link, fifo],
    "config/vault.json": [cut(0), cut(2), flip(0), link, sparse] + NO_FILES,
    "config/vault.key": [cut(0), cut(3), flip(MIDDLE), link, sparse] +
    NO_FILES,
    "state/vault/vault.db": [cut(0), cut(1), cut(2), flip(0), flip(MIDDLE),
                             link, sparse, newer] + NO_FILES,
    # Of what stands in its rows no sum is kept.
    "state/minter/minter.db": [cut(0), cut(1), cut(2), flip(0), link, sparse,
                               newer] + NO_FILES,
    "state/vault/vault.db-journal": NO_FILES,
    "state/minter/minter.db-wal": NO_FILES,
    "state/minter/minter.db-journal": NO_FILES,
    "log/hatcheckd.log": NO_FILES,
    "log/audit/keys.json": [cut(0), cut(2), flip(0), link, sparse] + NO_FILES,
    "log/audit/minter.jsonl": [link, sparse] + NO_FILES,
    "run/hatcheckd.pid": NO_FILES,
    "run/admin.sock": NO_FILES,
    "run/vault.sock": NO_FILES,
}


def what_is(p):
    st = p.lstat()
    regular = stat.S_ISREG(st.st_mode) and st.st_size < 1 << 24
    return (stat.S_IFMT(st.st_mode), st.st_ino, st.st_size,
            p.read_bytes() if regular else b"")


def restore():
    house.kill_all()
    shutil.rmtree(house.home)
    subprocess.run(["cp", "-a", whole, house.home], check=True)


def begin():
    """Start, and what a user would look at next; all of it answers."""
    done = [house.hatcheck(*words, check=False, timeout=25)
            for words in (["start"], ["session", "list"],
                          ["credential", "list"])
            # Which would only try to start it again.
            if words[0] != "credential" or house.pids()]
    said = "".join(d.stderr.decode() for d in done)
    works = (not any(d.returncode for d in done) and
             b"curious" in done[1].stdout and b"demo" in done[2].stdout)
    return works, said


def no_key_anywhere():
    for p in house.home.rglob("*"):
        if p.is_file() and not p.is_symlink() and p.stat().st_size < 1 << 24:
            assert KEY.encode() not in p.read_bytes(), p


def one(name, change):
    path = house.home / name
    restore()
    change(path)
    before = what_is(path)
    works, said = begin()
    case = (name, getattr(change, "__name__", "?"), said)
    if not works:
        named = path.name in said or "'s store" in said or "this store" in said
        assert named and "next: " in said, case
        assert what_is(path) == before, case
    no_key_anywhere()
    return works, said


def test_whole():
    "nothing is wrong with what the others begin with"
    restore()
    works, said = begin()
    assert works, said


def test_each_file():
    "a damaged file is named, with what to do, and is left as it is"
    for name, changes in SWEEP.items():
        for change in changes:
            works, said = one(name, change)
            assert change is not newer or re.search(
                "newer|schema 99; this build reads", said), said
            # What nobody could read was not just passed over. (SQLite knows
            # how long its files are, whatever comes after that.)
            assert not works or change is sparse or name.startswith(
                ("run/", "config/hatcheckd")), (name, change)


def test_session_log():
    "a session whose log is broken ends; the others' house goes on"
    for change in (flip(0), flip(MIDDLE), link, sparse, *NO_FILES):
        path = house.home / f"log/audit/{session}.jsonl"
        restore()
        change(path)
        before = what_is(path)
        done = house.hatcheck("start", check=False, timeout=25)
        assert done.returncode == 0, done.stderr
        house.session("another", "one")
        house.guests.pop().end()
        assert what_is(path) == before
        done = house.hatcheck("audit", "verify", check=False, timeout=25)
        assert done.returncode == 7, done.stdout
        assert path.name.encode() in done.stdout, done.stdout


tap.main(globals(), setup, teardown)
