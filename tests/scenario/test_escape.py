"""Everything that a hostile program in `hatcheck run` may try, and that it
fails. Each attempt runs inside the real sandbox; what it reached is looked
for on the host afterwards (requirements 31, 33, 35)."""
import ctypes
import json
import os
import pty
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID, as_user  # noqa: E402
from upstream import Upstream  # noqa: E402

CANARY = "canary-" + secrets.token_hex(16)
house = up = project = None

# What each hostile program begins with: a list of what it got away with.
HEAD = r"""
import atexit, ctypes, errno, json, os, signal, socket, stat, struct, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
got = []
atexit.register(lambda: print("RESULT " + json.dumps(got)))
def attempt(name, what):
    try:
        r = what()
    except (OSError, subprocess.SubprocessError, ValueError):
        return
    if r is not None and r is not False:
        got.append(name if r is True else f"{name}: {r!r}")
def call(number, *a):
    ctypes.set_errno(0)
    r = libc.syscall(number, *a)
    return None if r == -1 else r
"""


def setup():
    global house, up, project
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", CANARY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("demo-api", up, credential="demo"))
    project = house.base / "project"
    project.mkdir()
    if os.getuid() == 0:
        os.chown(project, UID, UID)
    (house.user_home / ".ssh").mkdir()
    (house.user_home / ".ssh" / "id").write_text(CANARY)


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def fresh():
    for p in project.iterdir():
        if p.is_dir() and not p.is_symlink():
            shutil.rmtree(p)
        else:
            p.unlink()


def run(*words, options=(), **more):
    command = as_user([str(house.bin / "hatcheck"), "--home",
                       str(house.home), "run", "--grant", "demo-api",
                       *options, "--", *words])
    return subprocess.run(command, capture_output=True, timeout=120,
                          stdin=subprocess.DEVNULL, cwd=project,
                          env=dict(house.env, **more))


def hostile(script, **more):
    """What the script got away with: must be nothing."""
    r = run("/usr/bin/python3", "-c",
            HEAD + script, **more)
    lines = [x for x in r.stdout.decode().splitlines()
             if x.startswith("RESULT ")]
    assert r.returncode == 0 and lines, r
    reached = json.loads(lines[-1][7:])
    assert not reached, reached
    assert CANARY.encode() not in r.stdout + r.stderr
    return r


SOCKETS = r"""
for top in ("/run", "/var", "/tmp", "/dev", "/home", "/root", "/etc",
            os.getcwd()):
    for folder, dirs, files in os.walk(top):
        for f in dirs + files:
            p = os.path.join(folder, f)
            try:
                mode = os.lstat(p).st_mode
            except OSError:
                continue
            if stat.S_ISSOCK(mode) and p != "/run/hatcheck/hatcheck.sock":
                got.append(p)
def connect(family, address):
    s = socket.socket(family)
    s.settimeout(2)
    s.connect(address)
    return True
for p in ("/run/dbus/system_bus_socket", "/run/user/1000/bus",
          "/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock",
          "/run/systemd/private", "/run/systemd/journal/socket", "/dev/log",
          "/tmp/.X11-unix/X0", "/run/hatcheck/admin.sock",
          "/run/hatcheck/vault.sock", "\0/tmp/.X11-unix/X0", "\0@/tmp/dbus"):
    attempt("connect " + p.lstrip("\0"), lambda: connect(socket.AF_UNIX, p))
attempt("remove the channel",
        lambda: os.unlink("/run/hatcheck/hatcheck.sock") or True)
attempt("a file beside the channel",
        lambda: open("/run/hatcheck/x", "w") and True)
"""

PRIVILEGES = r"""
X = os.uname().machine == "x86_64"
def flag(name, number, *a):
    attempt(name, lambda: call(number, *a) is not None or None)
if X:
    for n, name in ((0x10000000, "user"), (0x20000, "mount"),
                    (0x40000000, "net"), (0x20000000, "pid")):
        flag("unshare " + name, 272, n)
    flag("clone3", 435, 0, 0)
    flag("mount", 165, b"none", b"/tmp", b"tmpfs", 0, 0)
    flag("chroot", 161, b"/tmp")
    flag("pivot_root", 155, b"/tmp", b"/tmp")
    flag("open_tree", 428, -100, b"/", 1)
    flag("fsopen", 430, b"tmpfs", 0)
    flag("keyctl", 250, 0, -3, 1)
    flag("add_key", 248, b"user", b"x", b"x", 1, -3)
    flag("bpf", 321, 0, 0, 0)
    flag("perf", 298, 0, 0, -1, -1, 0)
    flag("userfaultfd", 323, 0)
    flag("io_uring", 425, 1, 0)
    flag("settimeofday", 164, 0, 0)
    flag("handles", 304, -100, 0, 0)
attempt("a block device", lambda: os.mknod(
    "/tmp/d", 0o600 | stat.S_IFBLK, os.makedev(8, 0)) is None)
attempt("a char device", lambda: os.mknod(
    "/tmp/c", 0o600 | stat.S_IFCHR, os.makedev(1, 1)) is None)
attempt("/dev", lambda: sorted(set(os.listdir("/dev")) - {
    "null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm",
    "fd", "core", "stdin", "stdout", "stderr", "console"}) or None)
open("/tmp/su.c", "w").close()
attempt("set-uid file", lambda: os.chmod("/tmp/su.c", 0o4755))
for word in ("su -c id", "sudo -n id", "passwd -S", "mount", "newgrp"):
    attempt(word, lambda: b"uid=0(root)" in subprocess.run(
        word, shell=True, capture_output=True,
        stdin=subprocess.DEVNULL).stdout or None)
attempt("setuid", lambda: os.setuid(0) is None and os.getuid() == 0
        and os.access("/etc/shadow", os.R_OK) or None)
attempt("chown", lambda: os.chown("/tmp/su.c", 12345, 12345) is None)
attempt("nice", lambda: os.nice(-5) is not None)
s = open("/proc/thread-self/status").read()
if "CapEff:\t0000000000000000" not in s or "NoNewPrivs:\t1" not in s or \
        "Seccomp:\t2" not in s:
    got.append(s)
"""


def test_would_be_seen():
    "outside of the sandbox the same programs do get away with something"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(house.base / "seen.sock"))
        for script in (SOCKETS, PRIVILEGES):
            r = subprocess.run(
                as_user(["/usr/bin/python3", "-c", HEAD + script]),
                capture_output=True, timeout=60, cwd=house.base,
                env=house.env, stdin=subprocess.DEVNULL)
            assert b"RESULT" in r.stdout, r
            line = r.stdout.decode().splitlines()[-1]
            assert json.loads(line.split(" ", 1)[1]), r
    (house.base / "seen.sock").unlink()


def test_sockets():
    "no socket of the host's is there but its own channel"
    hostile(SOCKETS)


def test_abstract_socket():
    "an abstract socket and a loopback port of the host's are not reached"
    name = "hck-" + secrets.token_hex(8)
    with socket.socket(socket.AF_UNIX) as s, \
            socket.create_server(("127.0.0.1", 0)) as t:
        s.bind("\0" + name)
        s.listen(8)
        port = t.getsockname()[1]
        hostile(f"""
def connect(family, address):
    s = socket.socket(family)
    s.settimeout(2)
    s.connect(address)
    return True
attempt("abstract", lambda: connect(socket.AF_UNIX, "\\0{name}"))
attempt("loopback", lambda: connect(socket.AF_INET, ("127.0.0.1", {port})))
attempt("outside", lambda: connect(socket.AF_INET, ("192.0.2.1", 80)))
attempt("metadata", lambda: connect(socket.AF_INET, ("169.254.169.254", 80)))
""")


def test_families():
    "vsock, packet, bluetooth and other families are refused"
    hostile(r"""
known = {socket.AF_UNSPEC, socket.AF_UNIX, socket.AF_INET, socket.AF_INET6,
         socket.AF_NETLINK}
for f in range(64):
    if f not in known:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            attempt(f"family {f}", lambda: socket.socket(f, kind) and True)
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
        and True)
attempt("an interface", lambda: subprocess.run(
    ["ip", "link", "add", "d0", "type", "dummy"], check=True,
    capture_output=True) and True)
""")


def test_proc():
    "of /proc it has its own processes, and no handle of the kernel's"
    mark = subprocess.Popen(as_user(["sleep", "1000"]))
    try:
        hostile(f"""
def read(p):
    return {CANARY!r}[:12].encode() in open(p, "rb").read(1 << 20) or None
def write(p, data):
    with open(p, "w") as f:
        f.write(data)
    return True
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) > 64:
        continue
    attempt("root of " + pid, lambda: os.path.exists(
        f"/proc/{{pid}}/root" + {str(house.home)!r}) or None)
    attempt("environ of " + pid, lambda: read(f"/proc/{{pid}}/environ"))
    attempt("cwd of " + pid, lambda: os.path.exists(
        f"/proc/{{pid}}/cwd/../home/" ) or None)
attempt("a process of the host", lambda: os.path.exists(
    "/proc/{mark.pid}/exe") and "sleep" in os.readlink("/proc/{mark.pid}/exe")
    or None)
attempt("signal", lambda: {mark.pid} > 100 and os.kill({mark.pid}, 0) is None)
attempt("ptrace", lambda: call(101, 16, {mark.pid}, 0, 0) is not None or None)
attempt("vm", lambda: call(310, {mark.pid}, 0, 0, 0, 0, 0) is not None or None)
attempt("core_pattern", lambda: write("/proc/sys/kernel/core_pattern", "|/x"))
attempt("sysrq", lambda: write("/proc/sysrq-trigger", "h"))
attempt("hostname", lambda: write("/proc/sys/kernel/hostname", "evil"))
attempt("modprobe", lambda: write("/proc/sys/kernel/modprobe", "/x"))
attempt("kcore", lambda: open("/proc/kcore", "rb").read(64) and True)
attempt("uid_map", lambda: write("/proc/self/uid_map", "0 0 1"))
for fd in os.listdir("/proc/self/fd"):
    try:
        to = os.readlink("/proc/self/fd/" + fd)
    except OSError:
        continue
    if int(fd) > 2 and not to.startswith("/proc/"):
        got.append("fd " + fd + " " + to)
""".replace("open(p, \"rb\").read(1 << 20)",
            "open(p, 'rb').read(1 << 20)"))
        assert mark.poll() is None
    finally:
        mark.kill()
        mark.wait()


def test_privileges():
    "no namespace, mount, device, set-uid program, key or clock"
    hostile(PRIVILEGES)


def test_memory_of_host():
    "shared memory, message queues and semaphores are its own"
    libc = ctypes.CDLL(None, use_errno=True)
    shm = Path("/dev/shm") / ("hck-" + secrets.token_hex(6))
    shm.write_text(CANARY)
    os.chmod(shm, 0o644)
    segment = libc.shmget(0x48434b31, 4096, 0o1666)
    try:
        hostile(f"""
attempt("shm file", lambda: os.path.exists({str(shm)!r}) or None)
attempt("segment", lambda: libc.shmget(0x48434b31, 0, 0) >= 0 or None)
attempt("table", lambda: len(
    open("/proc/sysvipc/shm").read().splitlines()) > 1 or None)
""")
    finally:
        shm.unlink()
        if segment >= 0:
            libc.shmctl(segment, 0, None)


def test_files_outside():
    "home, other projects, our state and /etc's secrets are not there"
    other = house.base / "other"
    other.mkdir()
    (other / "file").write_text(CANARY)
    hostile(f"""
for p in ({str(house.user_home)!r}, {str(house.user_home)!r} + "/.ssh/id",
          {str(other)!r}, {str(house.home)!r}, "/root", "/home/user",
          "/etc/shadow", "/etc/ssh", "/etc/gitconfig", "/etc/npmrc",
          "/etc/environment", "/etc/hatcheck", "/var/lib", "/sys", "/boot",
          "/srv", "/mnt", "/media"):
    attempt(p, lambda: os.path.lexists(p) and os.access(p, os.R_OK) or None)
# Up and up from a descriptor that was there before any trick.
fd = os.open(".", os.O_RDONLY)
for _ in range(40):
    fd = os.open("..", os.O_RDONLY, dir_fd=fd)
attempt("..", lambda: os.stat({str(other / "file")!r}[1:], dir_fd=fd) and
        True)
for p in ("/usr/x", "/etc/x", "/x", "/bin/x", "/opt/x", "/run/x"):
    attempt("write " + p, lambda: open(p, "w") and True)
attempt("passwd", lambda: open("/etc/passwd", "a") and True)
""")
    shutil.rmtree(other)


def test_links():
    "links out of the project lead nowhere inside, and are not followed after"
    victim = house.user_home / "victim"
    victim.write_text("mine\n")
    hostile(f"""
os.symlink({str(victim)!r}, "out")
attempt("through a link", lambda: open("out", "w") and True)
attempt("read a link", lambda: open("out").read() and True)
attempt("hard link", lambda: os.link({str(victim)!r}, "hard") is None)
# What is held back afterwards is the link, not what it names.
os.symlink({str(victim)!r}, ".envrc")
os.symlink({str(house.user_home)!r}, ".mise")
os.symlink("/dev/zero", ".vimrc")
os.mkfifo(".exrc")
""")
    assert victim.read_text() == "mine\n"
    for name in (".envrc", ".mise", ".vimrc", ".exrc"):
        assert not os.path.lexists(project / name), name
        assert os.path.lexists(project / (name + ".hatcheck-held")), name
    assert (house.user_home / ".ssh" / "id").read_text() == CANARY
    # A link that it left is resolved and judged when it is named.
    (project / "keys").symlink_to(house.user_home / ".ssh")
    r = run("true", options=("--ro-bind", str(project / "keys")),
            HOME=str(house.user_home))
    assert r.returncode == 125 and b".ssh" in r.stderr, r
    fresh()


def git(*words, cwd=None):
    subprocess.run(as_user(["git", *words]), cwd=cwd or project, check=True,
                   env=house.env, capture_output=True)


def test_later_outside():
    "what tools of the user's run later is as it was: git, direnv, editors"
    git("init", "-q", ".")
    git("config", "user.name", "n")
    git("config", "user.email", "e@x")
    (project / ".envrc").write_text("true\n")
    (project / ".vscode").mkdir()
    (project / ".vscode" / "tasks.json").write_text("{}")
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{UID}:{UID}", project], check=True)
    before = {p: p.read_bytes() for p in
              (project / ".git" / "config", project / ".envrc",
               project / ".vscode" / "tasks.json")}
    hooks = sorted((project / ".git" / "hooks").iterdir())
    evil = house.user_home / "evil-ran"  # where git may write
    hostile(f"""
evil = "#!/bin/sh\\ntouch {evil}\\n"
def put(p):
    os.makedirs(os.path.dirname(p) or ".", exist_ok=True)
    with open(p, "w") as f:
        f.write(evil)
    os.chmod(p, 0o755)
for p in (".git/hooks/pre-commit", ".git/config", ".git/config.worktree",
          ".git/modules/x/hooks/post-checkout", ".git/commondir", ".envrc",
          ".vscode/tasks.json", ".vscode/settings.json", ".husky/pre-commit",
          ".claude/settings.json", ".idea/workspace.xml", ".githooks/x",
          ".pre-commit-config.yaml", ".npmrc", ".yarnrc.yml", ".mcp.json",
          ".devcontainer/devcontainer.json", ".gdbinit", ".exrc",
          ".cargo/config.toml", "mise.toml", ".tool-versions"):
    try:
        put(p)
    except OSError:
        pass
for word in ("git config core.hooksPath /tmp/h", "git config core.pager x",
             "git config core.fsmonitor /tmp/h", "mv .git .git-old",
             "rm -rf .git/hooks .git/config", "mv .vscode v && mkdir .vscode",
             "git config --file .git/config alias.x y",
             "git config filter.x.clean /tmp/h",
             "cp .envrc e && mv -f e .envrc", "ln -f /etc/passwd .git/config",
             "git worktree add ../w"):
    subprocess.run(word, shell=True, capture_output=True)
""")
    for p, was in before.items():
        assert p.read_bytes() == was, p
    assert sorted((project / ".git" / "hooks").iterdir()) == hooks
    for name in (".git/commondir", ".git/config.worktree", ".git/modules",
                 ".husky", ".claude", ".idea", ".githooks", ".mcp.json",
                 ".pre-commit-config.yaml", ".npmrc", ".yarnrc.yml",
                 ".devcontainer", ".gdbinit", ".exrc", ".cargo", "mise.toml",
                 ".tool-versions"):
        assert not os.path.lexists(project / name), name
    (project / "f").write_text("x")
    git("add", "f")
    git("commit", "-qm", "outside")
    git("status")
    assert not evil.exists()
    fresh()


# What makes git take a directory for a repository whose configuration it
# obeys: written around an own .git that was broken, and without one.
TAKEN_OVER = """
import shutil
try:
    os.unlink(".git/HEAD")
except OSError:
    pass
for p in ("objects", "refs", "sub/objects", "sub/refs"):
    os.makedirs(p, exist_ok=True)
def put(p, text):
    try:
        with open(p, "w") as f:
            f.write(text)
    except OSError:
        pass
put("HEAD", "ref: refs/heads/main\\n")
config = ("[core]\\nrepositoryformatversion = 0\\nbare = false\\n"
          "worktree = ..\\nfsmonitor = \\"touch %s; false\\"\\n")
put("config", config)
put("sub/config", config)
%s
"""


def test_directory_as_repository():
    "git in the project afterwards obeys no configuration made in the sandbox"
    evil = house.user_home / "evil-ran"  # where git may write

    def status():
        return subprocess.run(as_user(["git", "status"]), cwd=project,
                              env=house.env, capture_output=True)
    for own in (False, True):
        for head in (False, True):
            for more in ("", 'put("commondir", "sub\\n")\n'
                         'os.path.exists("config") and os.unlink("config")'):
                if own:
                    git("init", "-q", ".")
                if head:  # a file of the user's that happens to be called so
                    (project / "HEAD").write_text("ref: refs/heads/x\n")
                    if os.getuid() == 0:
                        os.chown(project / "HEAD", UID, UID)
                hostile(TAKEN_OVER % (evil, more))
                status()
                assert not evil.exists(), (own, head, more)
                if not head:
                    assert (project / "HEAD.hatcheck-held").exists()
                fresh()


def test_mercurial():
    "Mercurial's settings are as they were, its repository can be written"
    own = project / ".hg" / "hgrc"
    for there in (False, True):
        if there:
            (project / ".hg").mkdir()
            own.write_text("[ui]\n")
            if os.getuid() == 0:
                subprocess.run(["chown", "-R", f"{UID}:{UID}", project],
                               check=True)
        hostile("""
os.makedirs(".hg", exist_ok=True)
open(".hg/store", "w").close()
for p in (".hg/hgrc", ".hg/hgrc-not-shared", ".hg/sharedpath"):
    try:
        open(p, "w").write("[hooks]\\npre-status = touch /tmp/x\\n")
    except OSError:
        pass
attempt("moved", lambda: os.rename(".hg", "hg") is None and
        os.path.exists(".hg/hgrc") is False and {there})
""".replace("{there}", str(there)))
        assert (project / ".hg").exists() == there
        if there:
            assert own.read_text() == "[ui]\n"
            assert (project / ".hg" / "store").exists()
        for p in ("hgrc-not-shared", "sharedpath"):
            assert not os.path.lexists(project / ".hg" / p), p
        fresh()


def test_left_behind():
    "nothing that it started outlives it, nor what it opened"
    mark = "7" + str(secrets.randbelow(10 ** 8))
    r = run("sh", "-c", f"setsid sleep {mark} & "
            f"(setsid nohup sleep {mark} >/dev/null 2>&1 &) ; exit 0")
    assert r.returncode == 0, r
    for p in Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                line = (p / "cmdline").read_bytes()
            except OSError:
                continue
            assert mark.encode() not in line.split(b"\0"), p
    fresh()


def terminal(words, act, seconds=40):
    """Run on a terminal; act(master, all output so far) until it ends."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(project)
        command = as_user([str(house.bin / "hatcheck"), "--home",
                           str(house.home), "run", "--grant", "demo-api",
                           "--", *words])
        os.execvpe(command[0], command, house.env)
    out, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            out += data
        act(master, out)
    else:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(master)
    return out, os.waitstatus_to_exitcode(status)


def test_terminal_input():
    "it cannot type into the user's terminal (TIOCSTI, TIOCLINUX)"
    out, status = terminal(
        ["/usr/bin/python3", "-c", r"""
import ctypes, fcntl, os, termios
bad = 0
for path in ("/dev/tty", "/proc/self/fd/0", "/dev/console", "/dev/pts/0"):
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        continue
    for request in (0x5412, 0x541c, 0x540e):  # STI, LINUX, SCTTY
        for b in b"echo PWNED\n":
            try:
                fcntl.ioctl(fd, request, bytes([b]))
                bad += request != 0x540e
            except OSError:
                pass
print("BAD", bad)
"""], lambda master, out: None)
    assert status == 0 and b"BAD 0" in out and b"PWNED" not in out, out


def steps(*pairs):
    """An act that answers each expected output, in turn, with bytes or a
    call."""
    left = list(pairs)
    seen = [0]

    def act(master, out):
        while left and left[0][0] in out[seen[0]:]:
            seen[0] = out.index(left[0][0], seen[0]) + len(left[0][0])
            what = left.pop(0)[1]
            if callable(what):
                what(master)
            else:
                os.write(master, what)
    act.left = left
    return act


def test_job_control():
    "an interactive shell has job control: ^Z, jobs, fg, bg, ^C"
    act = steps((b"ready>", b"sleep 1000\r"),
                (b"sleep 1000\r\n", lambda m: (time.sleep(0.5),
                                               os.write(m, b"\x1a"))),
                (b"Stopped", b"jobs; echo se''en\r"),
                (b"seen", b"fg\r"),
                (b"sleep 1000\r\n", lambda m: (time.sleep(0.5),
                                               os.write(m, b"\x03"))),
                (b"ready>", b"echo st=$?\r"),
                (b"st=130", b"sleep 0.1 & wait; echo wai''ted\r"),
                (b"waited", b"exit 7\r"))
    out, status = terminal(
        ["env", "PS1=ready>", "bash", "--norc", "--noediting", "-i"], act)
    assert status == 7 and not act.left, (status, out, act.left)
    assert b"no job control" not in out, out


def test_resize():
    "a resized terminal is resized inside"
    def resize(master):
        import fcntl
        import struct
        import termios
        fcntl.ioctl(master, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 41, 123, 0, 0))

    act = steps((b"ready", resize), (b"41 123", lambda master: None))
    out, status = terminal(
        ["bash", "-c", "trap 'stty size; exit 3' WINCH; echo ready; "
         "while :; do read -t 0.05 x; done"], act)
    assert status == 3 and b"41 123" in out, (status, out)


def test_limits():
    "--limit holds: memory, processes, files, processor, temporary space"
    words = ("--limit", "memory=200MiB", "--limit", "file-size=1MiB",
             "--limit", "open-files=40", "--limit", "tmp=4MiB",
             "--limit", "cpu=2s")
    r = run("/usr/bin/python3", "-c", """
import os, resource, signal
def fails(what):
    try:
        what()
    except (MemoryError, OSError):
        return
    raise SystemExit("went through: " + what.__name__)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def memory(): bytearray(300 << 20)
def size(): open("/tmp/f", "wb", 0).write(b"x" * (2 << 20)) == 2 << 20 or \
    open("/tmp/f", "ab", 0).write(b"x")
def files(): [open("/dev/null") for _ in range(50)]
def space():
    for i in range(9):
        with open(f"/var/tmp/{i}", "wb", 0) as f:
            if f.write(b"x" * (1 << 20)) != 1 << 20: raise OSError
for f in (memory, size, files, space):
    fails(f)
for name in ("RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CPU"):
    n = getattr(resource, name)
    soft, hard = resource.getrlimit(n)
    assert soft == hard, name
    try:
        resource.setrlimit(n, (hard + 1, hard + 1))
        raise SystemExit("raised " + name)
    except ValueError:
        pass
while True: pass
""", options=words)
    assert r.returncode in (128 + signal.SIGKILL, 128 + signal.SIGXCPU), r
    r = run("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do "
            "sleep 5 & done; wait", options=("--limit", "processes=6"))
    if os.getuid() != 0 or UID != 0:
        assert b"fork" in r.stderr.lower() or r.returncode != 0, r
    for bad in ("memory", "memory=", "memory=0", "nope=1", "cpu=x",
                "processes=1.5", "open-files=-1"):
        r = run("true", options=("--limit", bad))
        assert r.returncode == 2 and b"next:" in r.stderr, (bad, r)
    fresh()


def test_expose():
    "a place with keys is let in by --expose alone, read-only and with a word"
    aws = house.user_home / ".aws"
    aws.mkdir()
    (aws / "config").write_text("region = x\n")
    os.chmod(house.user_home, 0o755)
    home = {"HOME": str(house.user_home)}
    r = run("cat", f"{aws}/config", options=("--ro-bind", str(aws)), **home)
    assert r.returncode == 125 and b"--expose" in r.stderr, r
    r = run("sh", "-c", f"cat {aws}/config; touch {aws}/x 2>/dev/null && "
            "echo wrote", options=("--expose", str(aws)), **home)
    assert r.stdout == b"region = x\n", r
    assert b"is exposed" in r.stderr and str(aws).encode() in r.stderr, r
    for never in (house.user_home, house.home / "state", "/", "/proc",
                  house.home):
        r = run("true", options=("--expose", str(never)), **home)
        assert r.returncode == 125 and b"not let into" in r.stderr, (never, r)
    shutil.rmtree(aws)


def test_project_sockets():
    "a socket in the project is covered; named with --expose it is not"
    path = project / "deep" / "db.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        os.chmod(path, 0o777)
        s.listen(4)
        hostile(f"""
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect({str(path)!r})
    return True
attempt("connect", connect)
attempt("move it", lambda: os.rename({str(path)!r}, "x") is None)
attempt("move above", lambda: os.rename("deep", "y") is None and
        os.path.exists("y/db.sock") and stat.S_ISSOCK(
            os.stat("y/db.sock").st_mode) or None)
""")
        outside = house.base / "app.sock"
        with socket.socket(socket.AF_UNIX) as t:
            t.bind(str(outside))
            os.chmod(outside, 0o777)
            t.listen(4)
            r = run("/usr/bin/python3", "-c", "import socket\n"
                    "socket.socket(socket.AF_UNIX).connect("
                    f"{str(outside)!r})", options=("--expose", str(outside)))
            assert r.returncode == 0, r
        outside.unlink()
    fresh()


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
