"""hatcheckd itself, with stand-ins for its children (requirements 30, 31,
31a, 32, 33, 43): standin.c says what each was given and does what it is
told; its gate and courier are hostile, behind the walls of the real ones."""
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import OUT, ROOT, UID, as_user, wait_for  # noqa: E402

ROLES = ("vault", "minter", "dialer", "gate", "courier")
SAN = OUT.name == "san"
base = libexec = None


def build(role, path, *more):
    flags = (["-fsanitize=address,undefined", "-DHATCHECK_SANITIZED=1"]
             if SAN else [])
    subprocess.run(
        ["cc", "-std=c17", "-D_GNU_SOURCE", f"-I{ROOT}", "-g", "-Wall",
         *flags, f"-DSTANDIN=LINK_{role.upper()}", "-o", str(path),
         str(ROOT / "tests/hardening/standin.c"), *more,
         str(OUT / "libmessages.a"), str(OUT / "liblib.a"), "-lsodium",
         "-lev", "-lseccomp"], check=True)


def setup():
    global base, libexec
    base = Path(tempfile.mkdtemp(prefix="hckd-"))
    os.chmod(base, 0o755)
    libexec = base / "libexec"
    libexec.mkdir()
    shutil.copy(OUT / "bin" / "hatcheckd", libexec)
    for role in ROLES:
        build(role, libexec / f"hatcheck-{role}")


def teardown():
    for d in Daemon.all:
        d.kill()
    shutil.rmtree(base, ignore_errors=True)


class Daemon:
    all = []
    count = 0

    def __init__(self, home=None, config=None, bin=None, env=None,
                 expect=True, service=False, certs=None):
        Daemon.count += 1
        self.home = Path(home or base / f"home{Daemon.count}")
        self.bin = bin or libexec
        if home is None:
            (self.home / "config").mkdir(parents=True, mode=0o700)
        if config:
            (self.home / "config/hatcheckd.yaml").write_text(config)
        for p in [self.home, self.home / "config",
                  self.home / "config/hatcheckd.yaml"]:
            if p.exists():
                os.chmod(p, 0o700 if p.is_dir() else 0o600)
                if os.getuid() == 0 and not service:
                    os.chown(p, UID, UID)
        self.log_path = base / f"log{Daemon.count}"
        self.out = open(self.log_path, "w")
        command = [str(self.bin / "hatcheckd"), "--home", str(self.home)]
        command = as_service(command) if service else as_user(command)
        if certs:
            command = ["unshare", "--mount", "--propagation", "private", "sh",
                       "-c", 'mount --bind "$1" /etc/ssl/certs && shift && '
                       'exec "$@"', "sh", str(certs), *command]
        self.process = subprocess.Popen(
            command,
            stderr=self.out, env={"PATH": "/usr/bin", **(env or {})})
        Daemon.all.append(self)
        if expect:
            self.wait(" serving ")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait(self, pattern, times=1, since=0):
        def seen():
            found = re.findall(pattern, self.log()[since:], re.M)
            return found if len(found) >= times else None
        try:
            return wait_for(seen)
        except AssertionError:
            raise AssertionError(f"{pattern!r} not seen {times} times in\n" +
                                 self.log()[since:][-6000:])

    def mark(self):
        return len(self.log())

    def ask(self, path, line, answer=True):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(str(path))
            s.sendall(line.encode())
            if not answer:
                return ""
            try:
                return s.recv(4096).decode()
            except ConnectionResetError:
                return ""

    def minter(self, line, answer=True):
        return self.ask(self.home / "run/admin.sock", line, answer)

    def start(self, session, dir="-", vault="V1", dialer="D1"):
        got = self.minter(
            f"start 5 {session} {UID if os.getuid() == 0 else os.getuid()} "
            f"{dir} {vault} {dialer}")
        assert got.startswith("done 5 0 "), got
        self.wait(f'ready role="(?:gate|courier)" pid=\\d+ '
                  f'session="{session}"', 2)
        # Each is wired after it was called ready.
        self.wait(rf'gate\[\d+\] info peer far="courier" '
                  f'session="{session}"')
        return Path(got.split()[3]) / "hatcheck.sock"

    def waiting(self, since=0):
        """The gate and the courier that wait for a session, by role."""
        return {role: int(self.wait(rf'waiting role="{role}" pid=(\d+)', 1,
                                    since)[-1])
                for role in ("courier", "gate")}

    def given(self, pid):
        return re.findall(rf'given role="\w+" pid={pid} session="(.*?)"',
                          self.log())

    def words(self, pid):
        return re.findall(rf'\w+\[{pid}\] info argument word="(.*)"',
                          self.log())

    def descriptors(self, pid):
        """Which of 0 to 5 it was born with."""
        flags = dict(re.findall(
            rf'\w+\[{pid}\] info descriptor_at_birth fd=(\d) '
            r'flags=(-?\d+)', self.log()))
        assert len(flags) == 6, flags
        return {int(fd) for fd in flags if flags[fd] != "-1"}

    def gate(self, sock):
        return int(self.ask(sock, "pid"))

    def pids(self):
        found = {}
        for p in Path("/proc").glob("[0-9]*"):
            try:
                words = (p / "cmdline").read_bytes().split(b"\0")
                ppid = re.search(r"PPid:\s*(\d+)",
                                 (p / "status").read_text())[1]
            except (OSError, TypeError):
                continue
            if int(ppid) == self.process.pid:
                found[int(p.name)] = words[0].decode()
        return found

    def pid_of(self, role):
        return [p for p, name in self.pids().items()
                if name == f"hatcheck-{role}"][0]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def as_service(command):
    """As root, where /etc/passwd knows the roles' users."""
    for name in ("passwd", "group"):
        text = Path("/etc", name).read_text()
        for i, role in enumerate(ROLES):
            user = f"_hatcheck-{role}:x:{950 + i}:"
            text += (user + f"{950 + i}::/nonexistent:/bin/false\n"
                     if name == "passwd" else user + "\n")
        (base / name).write_text(text)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            'mount --bind "$1/passwd" /etc/passwd && mount --bind '
            '"$1/group" /etc/group && shift && exec "$@"', "sh", str(base),
            *command]


def gone(pids):
    for p in pids:
        try:
            state = Path(f"/proc/{p}/stat").read_text().rpartition(")")[2]
        except OSError:
            continue
        if state.split()[0] != "Z":
            return False
    return True


def test_birth():
    "children get their words, a bare environment and their descriptors"
    d = Daemon(env={"SECRET": "x", "LD_PRELOAD_": "y", "LIBEV_FLAGS": "1",
                    "DBUS_SESSION_BUS_ADDRESS": "unixexec:path=/bin/true"})
    waited = d.waiting()
    d.start("s-birth")
    at = d.mark()
    for pid in waited.values():
        os.kill(pid, signal.SIGKILL)
    pids = {role: int(pid) for role, pid in re.findall(
        r'ready role="(\w+)" pid=(\d+) session=""', d.log())}
    for role in waited:
        pids[role] = int(d.wait(
            rf'ready role="{role}" pid=(\d+) session="s-birth"', 1, at)[0])
    words = {role: d.words(pid) for role, pid in pids.items()}
    assert words["vault"] == ["--config", f"{d.home}/config", "--state",
                              f"{d.home}/state/vault"], words
    assert words["minter"] == ["--state", f"{d.home}/state/minter",
                               "--audit", f"{d.home}/log/audit",
                               "--vsock-port", "8377",
                               "--child-depth", "3"], words
    assert words["dialer"] == []
    assert words["gate"] == words["courier"] == ["--session", "s-birth"]
    env = set(re.findall(r'environment word="(.*)"', d.log()))
    assert env == {"LANG=C.UTF-8", "TZ=UTC0"}, env
    for role, own in (("vault", {4}), ("minter", {4}), ("gate", {4}),
                      ("dialer", set()), ("courier", {5})):
        assert d.descriptors(pids[role]) == {0, 1, 2, 3} | own, role
    for pid in waited.values():
        assert d.words(pid) == []
        assert d.descriptors(pid) == {0, 1, 2, 3}
    for path, mode in (("run", 0o700), ("run/s/s-birth", 0o700),
                       ("state/vault", 0o700), ("log/audit", 0o700),
                       ("run/admin.sock", 0o600), ("run/vault.sock", 0o600),
                       ("run/s/s-birth/hatcheck.sock", 0o600),
                       ("log/audit/s-birth.jsonl", 0o600)):
        got = stat.S_IMODE((d.home / path).lstat().st_mode)
        assert got == mode, (path, oct(got))
    assert d.stop() == 0


def test_edges():
    "links are exactly those of the table, with descriptors where due"
    d = Daemon()
    d.start("s-one")
    d.wait(r"info peer ", 14)
    seen = sorted(re.findall(r'(\w+)\[\d+\] info peer far="(\w+)" '
                             r'session="(.*?)" descriptor="(.*)"', d.log()))
    assert seen == sorted([
        ("gate", "courier", "s-one", ""), ("courier", "gate", "s-one", ""),
        ("gate", "minter", "", ""), ("minter", "gate", "s-one", ""),
        ("gate", "vault", "", ""), ("vault", "gate", "s-one", "V1"),
        ("courier", "vault", "", ""), ("vault", "courier", "s-one", "V1"),
        ("courier", "minter", "", ""), ("minter", "courier", "s-one", ""),
        ("courier", "dialer", "", ""), ("dialer", "courier", "s-one", "D1"),
        ("minter", "vault", "", ""), ("vault", "minter", "", ""),
    ]), seen
    got = d.minter("update 6 s-one V2 D1")
    assert got.startswith("done 6 0"), got
    d.wait(r'vault\[\d+\] info descriptor session="s-one" descriptor="V2"')
    assert not re.search(r'dialer\[\d+\] info descriptor ', d.log())
    assert d.stop() == 0


def test_gate_dies():
    "kill -9 of a gate: same socket, new gate, fresh links for the courier"
    d = Daemon()
    sock = d.start("s-one")
    inode = sock.stat().st_ino
    first, at = d.gate(sock), d.mark()
    os.kill(first, signal.SIGKILL)
    d.wait(r'courier\[\d+\] info peer far="gate"', 1, at)
    assert d.gate(sock) != first
    assert sock.stat().st_ino == inode
    d.wait(r'row of="gate" state=1 child=\d+ restarts=1')
    assert d.stop() == 0


def test_lingering():
    "a child that closes its link and stays is killed and replaced"
    d = Daemon()
    sock = d.start("s-one")
    d.ask(sock, "attack linger")
    d.wait(r'child_died role="gate" .*signal=9')
    d.wait(r'ready role="gate"', 2)
    assert d.stop() == 0
    assert "signal=9" not in d.log().split(" stopping ")[1]


def test_taken():
    "a gate that says it took what it was not sent is killed and replaced"
    d = Daemon()
    sock = d.start("s-one")
    d.ask(sock, "attack taken")
    d.wait(r'child_misbehaved role="gate"')
    d.wait(r'child_died role="gate" .*signal=9')
    d.wait(r'ready role="gate"', 2)
    assert d.stop() == 0


def test_too_often():
    "a pair that dies too often: the session is lost, its directory removed"
    d = Daemon(config="restart: { crashes: 2, seconds: 60 }\n")
    sock = d.start("s-one")
    other = d.start("s-two")
    for i in range(3):
        d.wait(r'ready role="gate" pid=\d+ session="s-one"', i + 1)
        d.ask(sock, "attack exit")
    d.wait(r'minter\[\d+\] info lost session="s-one"')
    wait_for(lambda: not sock.parent.exists())
    d.wait(r'vault\[\d+\] info gone session="s-one"')
    d.wait(r'dialer\[\d+\] info gone session="s-one"')
    assert d.gate(other) > 0
    assert d.stop() == 0


def test_singles_die():
    "kill -9 of vault, minter, dialer: back, wired anew; minter told all"
    d = Daemon()
    sock = d.start("s-one")
    gate = d.gate(sock)
    for role in ("vault", "dialer", "minter"):
        at = d.mark()
        os.kill(d.pid_of(role), signal.SIGKILL)
        d.wait(rf'ready role="{role}"', 1, at)
        if role == "vault":
            d.wait(r'vault\[\d+\] info peer far="courier" session="s-one" '
                   r'descriptor="V1"', 1, at)
            d.wait(r'vault\[\d+\] info peer far="minter"', 1, at)
        if role == "minter":
            # The old one's last words may stand there, too.
            pid = d.pid_of("minter")
            rows = d.wait(rf'minter\[{pid}\] info row of="(\w+)" state=1', 5,
                          at)
            assert set(rows[:5]) == set(ROLES), rows
    at = d.mark()
    assert d.start("s-one") == sock      # idempotent
    d.wait(r'minter\[\d+\] info peer far="gate" session="s-one"', 1, at)
    assert d.gate(sock) == gate
    assert d.stop() == 0


def test_many_sessions():
    "a vault that comes back is told of forty sessions"
    d = Daemon()
    for i in range(20):
        d.start(f"s-{i}")
    at = d.mark()
    os.kill(d.pid_of("vault"), signal.SIGKILL)
    d.wait(r'vault\[\d+\] info peer far="(?:gate|courier)" session="s-\d+" '
           r'descriptor="V1"', 40, at)
    assert d.stop() == 0


def test_kill_and_end():
    "kill: reaped before the answer, then a new pair; end: nothing is left"
    d = Daemon()
    sock = d.start("s-one")
    first = d.gate(sock)
    assert d.minter("kill 7 s-one").startswith("done 7 0 ")
    assert gone([first])
    assert d.gate(sock) != first
    got = d.minter("end 8 s-one")
    assert got.startswith("done 8 0"), got
    assert not sock.parent.exists()
    d.wait(r'vault\[\d+\] info gone session="s-one"')
    left = {n: p for p, n in d.pids().items()
            if n in ("hatcheck-gate", "hatcheck-courier")}
    assert all(d.given(p) == [] and d.words(p) == []
               for p in left.values()), left
    assert (d.home / "log/audit/s-one.jsonl").exists()
    assert d.minter("end 9 s-none").startswith("done 9 0")
    d.wait(r'vault\[\d+\] info gone session="s-none"')
    assert d.stop() == 0


def test_broken_minter():
    "a minter that breaks the rules is killed; nothing is made for it"
    d = Daemon()
    for line in ("start 1 s-../../x 1 - V D", "start 1 x 1 - V D",
                 "fly 1 s-one", "ready"):
        at = d.mark()
        d.minter(line, answer=False)
        d.wait(r'child_misbehaved role="minter"', 1, at)
        d.wait(r'ready role="minter"', 1, at)
    assert list((d.home / "run/s").iterdir()) == []
    assert sorted(p.name for p in (d.home / "log/audit").iterdir()) == []
    assert d.stop() == 0


def test_given_directory():
    "a channel directory of the user's: used if safe, refused if not"
    d = Daemon()
    good, bad = base / "good", base / "bad"
    for p, mode in ((good, 0o700), (bad, 0o777)):
        p.mkdir()
        os.chmod(p, mode)
        if os.getuid() == 0:
            os.chown(p, UID, UID)
    sock = d.start("s-one", dir=str(good))
    assert sock.parent == good
    got = d.minter(f"start 3 s-two 1 {bad} V D")
    assert got.startswith("done 3 -7") and "writable by others" in got, got
    assert d.minter("end 4 s-one").startswith("done 4 0")
    assert good.exists() and not sock.exists()
    assert d.stop() == 0


def test_supervisor_killed():
    "kill -9 of hatcheckd: nothing runs on; a new one finds the same place"
    d = Daemon()
    d.waiting()
    at = d.mark()
    sock = d.start("s-one")
    d.waiting(at)
    pids = list(d.pids())
    assert len(pids) == 7, d.pids()
    d.kill()
    wait_for(lambda: gone(pids))
    again = Daemon(home=d.home)
    assert again.start("s-one") == sock
    assert again.gate(sock) > 0
    assert again.stop() == 0


def test_orderly_stop():
    "SIGTERM: all are asked, the deaf are killed, pid file and sockets go"
    d = Daemon()
    d.waiting()
    at = d.mark()
    sock = d.start("s-one")
    d.waiting(at)
    pids = list(d.pids())
    assert d.minter("deaf") == "deaf\n"
    assert d.stop() == 0
    assert len(re.findall("told_to_stop", d.log())) == 7, d.log()
    assert gone(pids)
    for name in ("hatcheckd.pid", "admin.sock", "vault.sock"):
        assert not (d.home / "run" / name).exists(), name
    assert sock.parent.exists()       # the guest's mount stays good
    d = Daemon(home=d.home)
    d.minter("shutdown", answer=False)
    assert d.process.wait(30) == 0


def test_second_start():
    "a second hatcheckd for the same home says which one runs"
    d = Daemon()
    e = Daemon(home=d.home, expect=False)
    assert e.process.wait(30) == 1
    assert f"as process {d.process.pid}" in e.log(), e.log()
    d.start("s-one")
    assert d.stop() == 0


def test_reload():
    "SIGHUP: a bad configuration changes nothing and names the line"
    d = Daemon(config="restart: { crashes: 100, seconds: 60 }\n")
    path = d.home / "config/hatcheckd.yaml"
    path.write_text("restart: { crashes: 0, seconds: 60 }\ntypo: 1\n")
    d.process.send_signal(signal.SIGHUP)
    d.wait(r"configuration_refused .*unknown key typo \(line: 2\)")
    sock = d.start("s-one")
    d.ask(sock, "attack exit")
    d.wait(r'ready role="gate"', 2)           # the old 100 still holds
    path.write_text("restart: { crashes: 0, seconds: 60 }\n")
    d.process.send_signal(signal.SIGHUP)
    d.wait("configuration_read")
    d.ask(sock, "attack exit")
    d.wait(r'lost session="s-one"')
    assert d.stop() == 0
    e = Daemon(config="typo: 1\n", expect=False)
    assert e.process.wait(30) == 1
    assert "unknown key typo (line: 1)" in e.log()


def test_ready_notification():
    "systemd is told when all are ready, and when we stop"
    path = base / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        os.chmod(path, 0o666)
        s.settimeout(30)
        d = Daemon(env={"NOTIFY_SOCKET": str(path)})
        assert s.recv(100) == b"READY=1"
        assert d.stop() == 0
        assert s.recv(100) == b"STOPPING=1"


def test_another_build():
    "a helper of another build never becomes part of the house"
    other = base / "other"
    shutil.copytree(libexec, other)
    build("dialer", other / "hatcheck-dialer", '-DBUILD_ID="other"',
          str(ROOT / "lib/link.c"))
    d = Daemon(bin=other, expect=False)
    d.wait(r'child_misbehaved role="dialer" .*malformed', 3)  # and backs off
    assert 'ready role="dialer"' not in d.log()
    assert " serving " not in d.log()
    assert d.stop() == 0
    (other / "hatcheck-gate").unlink()
    d = Daemon(bin=other, expect=False)
    assert d.process.wait(30) == 1
    assert "hatcheck-gate is missing" in d.log() or "libexec" in d.log()


def test_root_needs_users():
    "as root without the roles' users: refused, and told what to do"
    if os.getuid() != 0 or "_hatcheck-vault" in Path("/etc/passwd").read_text():
        return
    done = subprocess.run([libexec / "hatcheckd", "--home", base / "rooted"],
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert "systemd-sysusers" in done.stderr, done.stderr
    assert not (base / "rooted").exists()


def test_service():
    "as root: a uid per role, its files its own, the guest's uid may connect"
    if os.getuid() != 0:
        return
    home = base / "service"
    (home / "config").mkdir(parents=True)
    (home / "config/vault.json").write_text("{}")
    d = Daemon(home=home, service=True)
    d.waiting()
    mark = d.mark()
    sock = d.start("s-one")
    d.waiting(mark)  # a child between its fork and its exec is still we
    at = {role: 950 + i for i, role in enumerate(ROLES)}
    for pid, name in d.pids().items():
        status = Path(f"/proc/{pid}/status").read_text()
        want = str(at[name.removeprefix("hatcheck-")])
        assert re.search(r"^Uid:\t(.*)$", status, re.M)[1].split() == \
            [want] * 4, status
        assert re.search(r"^Gid:\t(.*)$", status, re.M)[1].split() == \
            [want] * 4, status
        assert re.search(r"^CapPrm:\t0+$", status, re.M), status
        assert re.search(r"^Groups:\s*$", status, re.M), status
    status = Path(f"/proc/{d.process.pid}/status").read_text()
    bounds = int(re.search(r"^CapBnd:\t(.*)$", status, re.M)[1], 16)
    assert bounds == 0b11101011, hex(bounds)
    for path, owner, mode in (
            ("state/vault", at["vault"], 0o700),
            ("state/minter", at["minter"], 0o700),
            ("log/audit", at["minter"], 0o700),
            ("log/audit/s-one.jsonl", at["minter"], 0o600),
            ("config/vault.json", at["vault"], 0o644),
            ("run/vault.sock", 0, 0o600), ("run/s/s-one", 0, 0o711),
            ("run/s/s-one/hatcheck.sock", UID, 0o600)):
        got = (home / path).lstat()
        assert (got.st_uid, stat.S_IMODE(got.st_mode)) == (owner, mode), \
            (path, got)
    done = subprocess.run(as_user(["test", "-w", str(sock)]))
    assert done.returncode == 0       # the guest's user gets through
    done = subprocess.run(as_user(["test", "-w", str(sock)], uid=UID + 1))
    assert done.returncode != 0
    first = d.gate(sock)
    os.kill(first, signal.SIGKILL)
    d.wait(r'ready role="gate"', 2)
    assert d.gate(sock) != first
    pids = list(d.pids())
    d.kill()                          # kill -9 crosses uids too
    wait_for(lambda: gone(pids))
    assert Daemon(home=home, service=True).stop() == 0


def test_sanitized_needs_home():
    "a sanitizer build does not touch the real stores"
    if not SAN:
        return
    done = subprocess.run(as_user([libexec / "hatcheckd"]),
                          capture_output=True, text=True)
    assert done.returncode == 1 and "--home" in done.stderr, done.stderr


def test_waiting():
    "a pair waits, is one session's alone, and begins with nothing"
    d = Daemon()
    first = d.waiting()
    assert not re.search(rf"\[(?:{'|'.join(map(str, first.values()))})\] "
                         "info (?:peer|given)", d.log())
    at = d.mark()
    a = d.start("s-a")
    second = d.waiting(at)
    b = d.start("s-b")
    assert not set(first.values()) & set(second.values())
    assert (d.gate(a), d.gate(b)) == (first["gate"], second["gate"])
    for pair, session in ((first, "s-a"), (second, "s-b")):
        for role, pid in pair.items():
            assert d.given(pid) == [session]
            assert re.findall(rf'{role}\[{pid}\] info given session="(.*)"',
                              d.log()) == [session]
            d.wait(rf'vault\[\d+\] info peer far="{role}" '
                   rf'session="{session}" descriptor="V1"')
    # It ends with its session, and waits for no other.
    assert d.minter("end 8 s-a").startswith("done 8 0")
    assert gone(first.values())
    d.wait(rf'row of="gate" state=4 child=\d+ restarts=0 session=""', 3)
    assert d.stop() == 0


def test_waiting_at_once():
    "sessions that begin at once: each has a pair of its own"
    d = Daemon()
    d.waiting()
    names = [f"s-{i}" for i in range(8)]
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(d.home / "run/admin.sock"))
        uid = UID if os.getuid() == 0 else os.getuid()
        for n in names:
            at = d.mark()
            s.sendall(f"start 5 {n} {uid} - V D\n".encode())
            d.wait(rf'session_started session="{n}"', 1, at)
    for n in names:
        d.wait(rf'ready role="(?:gate|courier)" pid=\d+ session="{n}"', 2)
    gates = {d.gate(d.home / "run/s" / n / "hatcheck.sock") for n in names}
    assert len(gates) == len(names), gates
    pids = re.findall(r'given role="\w+" pid=(\d+)', d.log())
    assert len(pids) == len(set(pids)) >= 2, pids
    assert d.stop() == 0


def test_waiting_dies():
    "who died while waiting is not given to a session, and is replaced"
    d = Daemon()
    for role in ("gate", "courier"):
        dead, at = d.waiting()[role], d.mark()
        os.kill(dead, signal.SIGKILL)
        sock = d.start(f"s-{role}")
        assert d.gate(sock) != dead
        assert d.given(dead) in ([], [f"s-{role}"])  # then it was born anew
        d.waiting(at)
    assert d.stop() == 0
    assert all(gone([int(p)]) for p in
               re.findall(r'waiting role="\w+" pid=(\d+)', d.log()))


def test_waiting_for_what_begins():
    "a session of which there are audit lines gets a courier of its own"
    d = Daemon()
    pids = d.waiting()
    log = d.home / "log/audit/s-old.jsonl"
    log.write_text('{"torn')    # to cut that off takes a file's writing rights
    os.chmod(log, 0o600)
    if os.getuid() == 0:
        os.chown(log, UID, UID)
    sock = d.start("s-old")
    assert d.gate(sock) == pids["gate"]
    assert d.given(pids["courier"]) == []
    d.start("s-new")
    assert d.given(pids["courier"]) == ["s-new"]
    assert d.stop() == 0


def test_waiting_rude():
    "who waits and says what only a session's may say is killed"
    for role, word in (("gate", "&msg_taken"), ("courier", "&msg_audit_long")):
        other = base / f"rude-{role}"
        shutil.copytree(libexec, other)
        build(role, other / f"hatcheck-{role}", f"-DRUDE={word}")
        d = Daemon(bin=other)
        d.wait(rf'child_misbehaved role="{role}"', 2)
        assert d.gate(d.start("s-one")) > 0
        assert d.stop() == 0


def test_waiting_too_long():
    "who began before the trust anchors were exchanged is not used"
    if os.getuid() != 0:
        return
    certs = base / "certs"
    certs.mkdir()
    d = Daemon(certs=certs)
    old, at = d.waiting(), d.mark()
    (certs / "new.pem").touch()
    sock = d.start("s-one")
    for pid in old.values():
        assert d.given(pid) == []
    assert d.gate(sock) != old["gate"]
    wait_for(lambda: gone(old.values()))
    new = d.waiting(at)
    assert d.gate(d.start("s-two")) == new["gate"]
    assert d.stop() == 0


FATAL = {"unix": "socket", "inet": "socket", "connect": "connect",
         "bind": "bind", "create": "openat", "exec": "execve",
         "ptrace": "ptrace", "kill": "kill", "readmem": "process_vm_readv",
         "memfd": "memfd_create", "unlink": "unlink",
         "truncate": "ftruncate"}


def hostile(verb, role):
    d = Daemon(config="restart: { crashes: 100, seconds: 60 }\n")
    sock = d.start("s-one")
    fatal = dict(FATAL)
    if SAN:                     # the looser filter of that build
        for attack in ("create", "readmem"):
            del fatal[attack]
    elif role == "gate":
        fatal.update(passwd="openat", proc="openat")
    for attack, call in fatal.items():
        at = d.mark()
        d.ask(sock, f"{verb} {attack}", answer=False)
        d.wait(rf"^seccomp_violation syscall={call}$", 1, at)
        d.wait(rf'child_died role="{role}" .*status=159', 1, at)
        d.wait(r'gate\[\d+\] info peer far="courier"', 1, at)
    if not SAN:
        soft = ["jit", "options"] + (["passwd", "proc"] if role == "courier" else [])
        for attack in soft:
            d.ask(sock, f"{verb} {attack}", answer=False)
            d.wait(f'attack_refused name="{attack}"')
    assert "attack_succeeded" not in d.log()
    assert d.stop() == 0


def test_hostile_gate():
    "a hostile gate in its sandbox: no socket, file, process or signal"
    hostile("attack", "gate")


def test_hostile_waited():
    "those that waited have the same walls when they are a session's"
    d = Daemon(config="restart: { crashes: 100, seconds: 60 }\n")
    at = 0
    for verb, role in (("attack", "gate"), ("courier", "courier")):
        attacks = [a for a in FATAL if not SAN or a not in (
            "create", "readmem")] + ["passwd", "proc"] * (
            role == "gate" and not SAN)
        for attack in attacks:
            pid = d.waiting(at)[role]
            at = d.mark()
            sock = d.start(f"s-{role}-{attack}")
            d.ask(sock, f"{verb} {attack}", answer=False)
            call = FATAL.get(attack, "openat")
            d.wait(rf"^seccomp_violation syscall={call}$", 1, at)
            d.wait(rf'child_died role="{role}" pid={pid} .*status=159', 1, at)
            assert d.given(pid) == [f"s-{role}-{attack}"]
        if SAN:
            continue
        pid = d.waiting(at)[role]
        at = d.mark()
        sock = d.start(f"s-{role}-soft")
        for attack in ["jit"] + (["passwd", "proc"] if role == "courier"
                                 else []):
            d.ask(sock, f"{verb} {attack}", answer=False)
            d.wait(rf'{role}\[{pid}\] info attack_refused name="{attack}"')
    assert "attack_succeeded" not in d.log()
    assert d.stop() == 0


def test_hostile_courier():
    "a hostile courier: the same, and of files only the CA directory"
    hostile("courier", "courier")


def test_hostile_log():
    "a hostile courier's log ends, by files and in each of them"
    d = Daemon(config="limits: { audit_bytes: 65536, "
                      "audit_segment_bytes: 16384 }\n")
    waited = d.waiting()["courier"]
    sock = d.start("s-one")
    assert d.given(waited) == ["s-one"]     # its limit is the kernel's too
    d.ask(sock, "courier fill", answer=False)
    d.wait('info filled bytes=16384', 4)
    for i in range(1, 41):      # whatever is under way gets further each time
        d.ask(sock, "courier passwd", answer=False)
        d.wait('attack_refused name="passwd"', i)
        assert d.minter("update 7 s-one V1 D1").startswith("done 7 0")
    logs = sorted((d.home / "log/audit").glob("s-one*.jsonl"))
    assert [p.stat().st_size for p in logs] == [16384] * 4, logs
    d.ask(sock, "courier flood", answer=False)
    d.wait('attack_refused name="flood"')
    logs = sorted((d.home / "log/audit").glob("s-one*.jsonl"))
    assert sum(p.stat().st_size for p in logs) <= 4 * 65536 + 2 ** 20, logs
    assert "attack_succeeded" not in d.log()
    assert d.stop() == 0


tap.main(globals(), setup, teardown)
