"""The walls of the running house (requirements 21, 28, 31 to 33, 35)."""
import base64
import ctypes
import json
import os
import re
import secrets
import signal
import stat
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, as_user, memory_has, read_response  # noqa: E402
from harness import ROOT, wait_for, UID  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = guest = None
CHILDREN = ("vault", "minter", "dialer", "gate", "courier")


def setup():
    global house, up, guest
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))
    guest = house.session("agent", "one")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def status_of(pid):
    return dict(line.split(":\t", 1) for line in
                Path(f"/proc/{pid}/status").read_text().splitlines()
                if ":\t" in line)


def test_every_child_is_jailed():
    "every child: seccomp filter, no_new_privs, no capabilities, no cores"
    for role in CHILDREN:
        for row in house.processes(role):
            s = status_of(row["pid"])
            assert s["Seccomp"].strip() == "2", (role, s["Seccomp"])
            assert s["NoNewPrivs"].strip() == "1", role
            assert int(s["CapEff"], 16) == 0, (role, s["CapEff"])
            limits = Path(f"/proc/{row['pid']}/limits").read_text()
            core = [x for x in limits.splitlines()
                    if x.startswith("Max core file size")][0]
            assert core.split()[4:6] == ["0", "0"], (role, core)


def test_ptrace_refused():
    "ptrace by the same user is refused (requirement 32)"
    libc = ctypes.CDLL(None, use_errno=True)
    for role, pid in [(r["role"], r["pid"]) for r in house.processes()]:
        code = ("import ctypes,os,sys\n"
                "l=ctypes.CDLL(None,use_errno=True)\n"
                f"r=l.ptrace(16,{pid},0,0)\n"
                "sys.exit(0 if r==-1 and ctypes.get_errno()==1 else 1)\n")
        done = subprocess.run(as_user(["/usr/bin/python3", "-c", code]))
        assert done.returncode == 0, role
        done = subprocess.run(as_user(["cat", f"/proc/{pid}/mem"]),
                              capture_output=True)
        assert done.returncode != 0 and not done.stdout, role
        done = subprocess.run(as_user(["cat", f"/proc/{pid}/environ"]),
                              capture_output=True)
        assert not done.stdout, role
    assert libc


def test_gate_memory():
    "the gate's memory holds no key after many requests (requirement 32)"
    s = guest.tunnel("api.demo.test")
    for _ in range(10000):
        s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")
        assert read_response(s)[0] == 200
    needles = [KEY.encode(), base64.b64encode(KEY.encode())]
    for role in ("gate", "minter", "dialer"):
        for row in house.processes(role):
            if os.getuid() == 0:
                assert not memory_has(row["pid"], needles), role
            else:
                # Ours to look at only as root; as the same user the
                # attempt itself must fail.
                try:
                    memory_has(row["pid"], needles)
                    raise AssertionError(f"{role} can be read")
                except PermissionError:
                    pass


def test_crash_leaves_nothing():
    "a crash writes no core and no key anywhere"
    for role in ("courier", "vault"):
        row = house.processes(
            role, guest.id if role == "courier" else None)[0]
        os.kill(row["pid"], signal.SIGSEGV)
    wait_for(lambda: serves(), 20)
    for f in [*house.base.rglob("*")]:
        if f.is_file():
            assert not f.name.startswith("core"), f
            assert KEY.encode() not in f.read_bytes(), f


def serves():
    try:
        return guest.get("https://api.demo.test/x")[0] == 200
    except (OSError, AssertionError, ValueError):
        return False


def test_fds_of_gate():
    "the gate holds sockets and its loop, and no file (requirement 33)"
    for row in house.processes("gate"):
        folder = Path(f"/proc/{row['pid']}/fd")
        for fd in folder.iterdir():
            to = os.readlink(fd)
            assert to.startswith(("socket:", "anon_inode:", "pipe:",
                                  "/dev/null")) or \
                to.endswith("hatcheckd.log"), (fd.name, to)


def test_sockets_and_files():
    "owner-only sockets and stores, and no abstract socket (req. 31, 33)"
    for f in house.home.rglob("*"):
        mode = f.lstat().st_mode
        assert not stat.S_ISLNK(mode), f
        assert stat.S_IMODE(mode) & 0o077 == 0 or stat.S_ISDIR(
            f.parent.stat().st_mode) and f.parent.stat().st_mode & 0o077 \
            == 0, (f, oct(mode))
        if os.getuid() == 0:
            assert f.lstat().st_uid == UID, f
    listening = Path("/proc/net/unix").read_text()
    assert "@hatcheck" not in listening


def test_other_user():
    "another user reaches neither admin, nor vault, nor a guest's channel"
    if os.getuid() != 0:
        # One user alone cannot become another: the modes tell.
        assert stat.S_IMODE(house.home.stat().st_mode) == 0o700
        return
    for folder in (house.home, house.home / "run",
                   *(house.home / "run").rglob("*")):
        os.chmod(folder, 0o777)
    try:
        for path in ("run/admin.sock", "run/vault.sock"):
            got = speak_as(33333, house.home / path,
                           b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in got and b"version" not in got, got
        got = speak_as(33333, guest.socket,
                       b"POST http://hatcheck.internal/v1/token HTTP/1.1"
                       b"\r\nHost: hatcheck.internal\r\nContent-Type: "
                       b"application/x-www-form-urlencoded\r\n"
                       b"Content-Length: 29\r\n\r\n"
                       b"grant_type=client_credentials")
        assert b"access_token" not in got, got
    finally:
        for folder in (*(house.home / "run").rglob("*"),
                       house.home / "run", house.home):
            os.chmod(folder, 0o700 if folder.is_dir() else 0o600)


def speak_as(uid, path, data):
    from harness import connect_as
    try:
        s = connect_as(str(path), uid)
        s.settimeout(3)
        s.sendall(data)
        return s.recv(65536)
    except OSError:
        return b""


def test_admin_not_on_guest_channel():
    "no admin endpoint answers on a guest's channel (requirement 35)"
    routes = re.findall(r'{"(?:GET|POST)", "/v1/([\w.]+)"',
                        (ROOT / "minter" / "api.c").read_text())
    assert {"status", "shutdown", "revoke", "session.create"} <= set(routes)
    for name in routes:
        for target, host in ((f"/v1/{name}", "hatcheck"),
                             (f"/v1/{name}", "hatcheck.internal"),
                             (f"http://hatcheck.internal/v1/{name}",
                              "hatcheck.internal")):
            for method in ("GET", "POST"):
                got = guest.raw(
                    f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n"
                    "Content-Type: application/json\r\nContent-Length: 2\r\n"
                    "Connection: close\r\n\r\n{}".encode(), timeout=2)
                if name == "status" and host == "hatcheck.internal":
                    # The guest API has a status of its own.
                    assert b"processes" not in got, got
                    continue
                assert b" 200 " not in got.split(b"\r\n")[0], (name, got)
    assert house.json("status")["sessions"] >= 1


def test_altered_tokens():
    "a token with any byte altered is refused (requirement 21)"
    token = guest.token()
    up.forget()
    alphabet = ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                "0123456789-_")
    for i in range(0, len(token), 3):
        old = token[i]
        new = "." if old != "." else "A"
        for c in {new, alphabet[(alphabet.find(old) + 1) % 64]} - {old}:
            bad = token[:i] + c + token[i + 1:]
            got = guest.raw(
                (f"CONNECT api.demo.test:443 HTTP/1.1\r\nHost: "
                 "api.demo.test:443\r\nConnection: close\r\n"
                 f"Proxy-Authorization: Bearer {bad}\r\n\r\n").encode(),
                timeout=0.5, due=True)
            assert got.startswith(b"HTTP/1.1 407"), (i, c, got)
    assert not up.received


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_forged_tokens():
    "forged headers: none, HS256, jwk, jku, crit, another typ (req. 21)"
    head, body, sig = guest.token().split(".")
    real = json.loads(base64.urlsafe_b64decode(head + "=="))
    for change in ({"alg": "none"}, {"alg": "HS256"}, {"alg": "RS256"},
                   {"typ": "JWT"}, {"jwk": {"kty": "OKP"}},
                   {"jku": "https://evil.test"}, {"crit": ["exp"]},
                   {"b64": False}, {"kid": "../../x"}):
        forged = part(json.dumps(dict(real, **change)).encode())
        for s in (sig, ""):
            got = guest.raw(
                ("CONNECT api.demo.test:443 HTTP/1.1\r\n"
                 "Host: api.demo.test:443\r\nProxy-Authorization: Bearer "
                 f"{forged}.{body}.{s}\r\n\r\n").encode(), timeout=0.5,
                due=True)
            assert b" 407 " in got.split(b"\r\n")[0] or \
                b" 400 " in got.split(b"\r\n")[0], (change, got)


def test_no_audit_no_action():
    "when the audit log cannot be written nothing is forwarded (req. 28)"
    g = house.session("mute", "one")
    assert g.get("https://api.demo.test/x")[0] == 200
    pid = house.processes("courier", g.id)[0]["pid"]
    size = (house.home / "log" / "audit" / f"{g.id}.jsonl").stat().st_size
    subprocess.run(as_user(["prlimit", f"--fsize={size}:{size}", "--pid",
                            str(pid)]), check=True)
    up.forget()
    for _ in range(3):
        got = g.get("https://api.demo.test/after")
        assert g.reason(got) == "audit-failed", got
    assert not up.requests
    assert guest.get("https://api.demo.test/x")[0] == 200


def test_log_is_escaped():
    "foreign bytes in the log and audit are escaped (requirement 40)"
    for c in [*range(1, 9), 11, 12, *range(14, 32), 127, 0x80, 0xff]:
        guest.raw(f"ATTACH {guest.token()}\r\n".encode() +
                  b"GET http://api.demo.test/" + bytes([c]) +
                  "\u202e".encode() + b" HTTP/1.1\r\nHost: api.demo.test"
                  b"\r\nConnection: close\r\n\r\n", timeout=0.3)
    for f in (house.home / "log").rglob("*"):
        if f.is_file():
            bad = [b for b in f.read_bytes()
                   if (b < 32 and b != 10) or b == 127]
            assert not bad, (f, bad[:5])
            f.read_text(encoding="utf-8")
            assert "\u202e" not in f.read_text()


tap.main(globals(), setup, teardown)
