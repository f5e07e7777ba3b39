"""`hatcheck audit export`, to receivers that speak journald's native protocol
and syslog's on sockets of their own, and `audit tail --since`."""
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, as_user, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
URL = "https://api.demo.test"
house = up = guest = None


class Receiver:
    """A datagram socket, as journald and syslogd have one."""

    def __init__(self, name):
        self.path = str(house.base / name)
        self.got = []
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(self.path)
        os.chmod(self.path, 0o666)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while got := self.s.recv(1 << 20):
                self.got.append(got)
        except OSError:
            pass

    def close(self):
        os.unlink(self.path)
        self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()


def entry(datagram):
    """systemd.journal-fields(7): KEY=value lines."""
    assert datagram.endswith(b"\n")
    fields = {}
    for line in datagram[:-1].split(b"\n"):
        key, mark, value = line.partition(b"=")
        assert mark and re.fullmatch(rb"[A-Z][A-Z0-9_]*", key), line
        assert key not in fields
        fields[key.decode()] = value.decode()
    return fields


def log():
    """Every line on disk, as written, by chain and seq."""
    out = {}
    for f in (house.home / "log" / "audit").glob("*.jsonl"):
        for text in f.read_text().splitlines():
            out[f.name.split(".")[0], json.loads(text)["seq"]] = text
    return out


def setup():
    global house, up, guest
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml(
        "one", up, credential="demo",
        allow=['{ methods: [GET], paths: ["/v1/**"] }']))
    guest = house.session("agent", "one")
    for i in range(5):
        assert guest.get(f"{URL}/v1/{i}")[0] == 200
    assert guest.get(f"{URL}/no")[0] == 403
    wait_for(lambda: "anchor" in [x["event"] for x in
                                  house.audit_lines("minter")])


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def export(to, path, *words, check=True):
    return house.hatcheck("audit", "export", "--to", to, "--socket", path,
                          *words, check=check)


def seen(entries):
    return {(e["HATCHECK_CHAIN"], int(e["HATCHECK_SEQ"])): e["MESSAGE"]
            for e in entries}


def test_journald():
    "each line once, as it is on disk, its fields to search by"
    r = Receiver("journal")
    export("journald", r.path)
    first = log()
    wait_for(lambda: len(r.got) >= len(first) - 1)
    entries = [entry(x) for x in r.got]
    assert len(seen(entries)) == len(entries)
    for key, text in seen(entries).items():
        assert first[key] == text
    mine = [e for e in entries if e["HATCHECK_CHAIN"] == guest.id]
    assert [int(e["HATCHECK_SEQ"]) for e in mine] == \
        list(range(1, len(mine) + 1))
    refused = [e for e in mine if e["HATCHECK_EVENT"] == "refused"]
    assert [(e["PRIORITY"], e["HATCHECK_REASON"], e["HATCHECK_HOST"])
            for e in refused] == [("5", "path-not-granted",
                                   "api.demo.test")]
    assert {e["SYSLOG_IDENTIFIER"] for e in entries} == {"hatcheck-audit"}
    # What comes later comes alone.
    n = len(r.got)
    assert guest.get(f"{URL}/v1/later")[0] == 200
    export("journald", r.path)
    wait_for(lambda: any("/v1/later" in entry(x)["MESSAGE"]
                         for x in r.got[n:]))
    assert len(seen([entry(x) for x in r.got])) == len(r.got)
    assert not any(KEY.encode() in x for x in r.got)
    r.close()


class Journald:
    """systemd-journald itself, with a /run of its own. It wants cgroups."""
    PROGRAM = "/usr/lib/systemd/systemd-journald"

    def __init__(self):
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal "
             f"/run/log/journal && exec {self.PROGRAM}"],
            stderr=subprocess.PIPE)
        wait_for(lambda: self.process.poll() is not None or self.within(
            "test", "-S", "/run/systemd/journal/socket").returncode == 0)
        if self.process.poll() is not None:
            said = self.process.stderr.read().decode().splitlines()
            raise tap.Skip(f"systemd-journald does not start here: {said[:1]}")

    def within(self, *words):
        return subprocess.run(["nsenter", "-t", str(self.process.pid), "-m",
                               *words], env=house.env, capture_output=True)

    def entries(self):
        out = self.within("journalctl", "-D", "/run/log/journal", "-o",
                          "json", "-t", "hatcheck-audit").stdout
        return [json.loads(x) for x in out.splitlines()]

    def close(self):
        self.process.terminate()
        self.process.wait(30)


def test_real_journald():
    "journald itself takes every line, whole, as fields that it finds again"
    if os.getuid() != 0 or not os.path.exists(Journald.PROGRAM):
        raise tap.Skip("takes root and systemd-journald")
    j = Journald()
    try:
        (house.home / "state" / "audit-export-journald.json").unlink(True)
        done = j.within(*as_user([
            str(house.bin / "hatcheck"), "--home", str(house.home), "audit",
            "export", "--to", "journald"]))
        assert done.returncode == 0, done
        there = log()
        wait_for(lambda: len(j.entries()) >= len(there) - 1)
        found = seen(j.entries())
        assert set(found.items()) <= set(there.items())
        refused = [e for e in j.entries() if
                   e.get("HATCHECK_REASON") == "path-not-granted"]
        assert {(e["HATCHECK_HOST"], e["PRIORITY"], e["_TRANSPORT"])
                for e in refused} == {("api.demo.test", "5", "journal")}
    finally:
        j.close()


def test_syslog():
    "the same to syslog, with a cursor of its own"
    r = Receiver("log")
    export("syslog", r.path)
    first = log()
    wait_for(lambda: len(r.got) >= len(first) - 1)
    for x in r.got:
        m = re.fullmatch(
            rb"<(8[56])>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d "
            rb"hatcheck-audit\[([^]]+)\]: (\{.*\})", x)
        assert m, x
        line = json.loads(m[3])
        assert first[m[2].decode(), line["seq"]] == m[3].decode()
        assert (m[1] == b"85") == ("reason" in line)
    r.close()


def test_follow():
    "--follow waits for a service that is away, and kill -9 loses nothing"
    path = str(house.base / "later")

    def start():
        return subprocess.Popen(
            as_user([str(house.bin / "hatcheck"), "--home", str(house.home),
                     "audit", "export", "--to", "journald", "--follow",
                     "--socket", path]), env=house.env,
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    p = start()
    assert b"waiting" in p.stderr.readline()
    r = Receiver("later")
    assert guest.get(f"{URL}/v1/f1")[0] == 200
    wait_for(lambda: any(b"/v1/f1" in x for x in r.got))
    p.kill()
    p.wait()
    assert guest.get(f"{URL}/v1/f2")[0] == 200
    r.close()
    p = start()
    r2 = Receiver("later2")
    os.rename(r2.path, path)
    r2.path = path
    assert guest.get(f"{URL}/v1/f3")[0] == 200
    wait_for(lambda: any(b"/v1/f3" in x for x in r2.got))
    p.kill()
    p.wait()
    both = seen([entry(x) for x in r.got + r2.got])
    paths = [json.loads(v).get("path") for k, v in both.items()
             if k[0] == guest.id]
    assert {"/v1/f1", "/v1/f2", "/v1/f3"} <= set(paths), paths
    r2.close()


def test_nobody_listens():
    "nobody there is said, with what to do; an odd --to as well"
    done = export("journald", "/nonexistent/socket", check=False)
    assert guest.get(f"{URL}/v1/x")[0] == 200
    done = export("journald", "/nonexistent/socket", check=False)
    assert done.returncode == 1 and b"next:" in done.stderr, done
    assert export("disk", "/x", check=False).returncode == 2


def tail(*words):
    out = house.hatcheck("--json", "audit", "tail", "--lines", "1000",
                         *words).stdout
    return [json.loads(x) for x in out.splitlines()]


def test_since():
    "--since leaves out what is older, with the other filters"
    wait_for(lambda: len(tail("--event", "done")) > 5)
    time.sleep(2.1)
    assert guest.get(f"{URL}/v1/new")[0] == 200
    wait_for(lambda: "/v1/new" in [x.get("path") for x in tail()])
    at = next(x["time"] for x in tail() if x.get("path") == "/v1/new")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at // 1000))
    paths = [x["path"] for x in tail("--since", when, "--event", "request",
                                     "--guest", "agent")]
    assert paths == ["/v1/new"], paths
    assert "/v1/0" in [x.get("path") for x in tail("--since", "1h")]
    assert tail("--since", "2200-01-01") == []
    today = time.strftime("%Y-%m-%d")
    assert len(tail("--since", "2020-01-01 00:00")) == len(tail())
    assert house.hatcheck("audit", "tail", "--since", today + "x",
                          check=False).returncode == 2


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
