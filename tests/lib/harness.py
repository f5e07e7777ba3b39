"""A private house: the real programs, in a directory of their own.

    house = House()                     # init with a key file, daemon runs
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("demo-read", up, credential="demo"))
    guest = house.session("agent", "demo-read")
    status, headers, body = guest.get("https://api.demo.test/v1/x")
    guest.run("curl", "-s", "https://api.demo.test/v1/x")
    house.close()

As root everything runs as an ordinary user (UID below), so that the walls
between users are real. Nothing here reaches into the product: it types
what a user would type and speaks what a guest would speak.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
ROOT = Path(__file__).resolve().parents[2]
OUT = Path(os.environ.get("HATCHECK_OUT", ROOT / "out" / "release")).resolve()
UID = 23456
ROLES = ("vault", "minter", "dialer", "gate", "courier")


def as_user(command, uid=UID):
    if os.getuid() != 0:
        return list(command)
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
            *command]


def wait_for(what, seconds=30):
    """Poll until what() is true; a bound against hanging, not a timing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("waited in vain")


class Failed(AssertionError):
    pass


class House:
    def __init__(self, start=True, init=True, vault=("--vault",
                 "sealed-file", "--key", "key-file"), env=None,
                 service=False):
        self.service = service
        self.base = Path(tempfile.mkdtemp(prefix="hck-"))
        os.chmod(self.base, 0o755)
        self.bin = self.base / "bin"
        shutil.copytree(OUT / "bin", self.bin)
        shutil.copytree(ROOT / "presets",
                        self.base / "share" / "hatcheck" / "presets")
        self.home = self.base / "home"
        self.home.mkdir(mode=0o700)
        self.user_home = self.base / "user"
        self.user_home.mkdir(mode=0o700)
        if os.getuid() == 0 and not service:
            os.chown(self.home, UID, UID)
            os.chown(self.user_home, UID, UID)
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin:/usr/sbin:/sbin",
                    "HOME": str(self.user_home), "LANG": "C.UTF-8",
                    "TERM": "dumb", **(env or {})}
        self.guests = []
        if service:
            self.add_role_users()
        if init:
            self.hatcheck("init", *vault)
        if start:
            self.start()

    def as_owner(self, command):
        """The system service runs as root, in a mount namespace whose
        /etc/passwd knows the role users."""
        if not self.service:
            return as_user(command)
        return ["unshare", "--mount", "--propagation", "private", "sh",
                "-c", 'mount --bind "$1/passwd" /etc/passwd && mount --bind '
                '"$1/group" /etc/group && shift && exec "$@"', "sh",
                str(self.base), *command]

    # What a user types.
    def hatcheck(self, *words, stdin=b"", check=True, timeout=60, cwd="/",
                 env=None):
        command = self.as_owner([str(self.bin / "hatcheck"), "--home",
                                 str(self.home), *words])
        done = subprocess.run(command, input=stdin, capture_output=True,
                              timeout=timeout, cwd=cwd,
                              env=dict(self.env, **(env or {})))
        if check and done.returncode != 0:
            raise Failed(f"hatcheck {' '.join(words)}: exit "
                         f"{done.returncode}\n{done.stdout.decode()}"
                         f"{done.stderr.decode()}\n{self.log_tail()}")
        return done

    def add_role_users(self):
        """The two files as systemd-sysusers would leave them."""
        for name in ("passwd", "group"):
            text = Path("/etc", name).read_text()
            for i, role in enumerate(ROLES):
                text += (f"_hatcheck-{role}:x:{940 + i}:{940 + i}::"
                         "/nonexistent:/usr/sbin/nologin\n"
                         if name == "passwd" else
                         f"_hatcheck-{role}:x:{940 + i}:\n")
            (self.base / name).write_text(text)

    def json(self, *words, **more):
        return json.loads(self.hatcheck("--json", *words, **more).stdout)

    def start(self):
        self.hatcheck("status", check=False)
        if self.hatcheck("status", check=False).returncode != 0:
            self.hatcheck("start")

    def stop(self):
        self.hatcheck("stop", check=False)

    def credential(self, name, value, *words, kind="bearer"):
        self.hatcheck("credential", "add", name, "--kind", kind, *words,
                      stdin=value if isinstance(value, bytes)
                      else value.encode())

    def grant_yaml(self, name, up, credential=None, hosts=None, allow=None,
                   extra="", port=None):
        hosts = hosts or up.names
        text = f"  - name: {name}\n"
        if credential:
            text += f"    credential: {credential}\n"
        text += f"    hosts: [{', '.join(hosts)}]\n"
        if allow is None:
            allow = ['{ methods: ["*"], paths: ["/**"] }']
        if allow:
            text += "    allow:\n" + "".join(f"      - {a}\n" for a in allow)
        text += ("    upstream:\n      addresses: [127.0.0.1]\n"
                 f"      port: {port or up.port}\n"
                 f"      ca_file: {up.ca_file}\n")
        return text + extra

    def apply(self, *grants, check=True):
        path = self.base / "grants.yaml"
        path.write_text("grants:\n" + "".join(grants))
        os.chmod(path, 0o644)
        return self.hatcheck("grant", "apply", str(path), check=check)

    def session(self, guest, *grants, ttl="1h"):
        words = ["--uid", str(UID)] if self.service else []
        for g in grants:
            words += ["--grant", g]
        made = self.json("session", "create", "--name", guest, "--ttl", ttl,
                         *words)
        g = Guest(self, made)
        self.guests.append(g)
        return g

    # What one may look at from outside.
    def log_tail(self, n=40):
        path = self.home / "log" / "hatcheckd.log"
        if not path.exists():
            return "(no log)"
        return "\n".join(path.read_text(errors="replace")
                         .splitlines()[-n:])

    def processes(self, role=None, session=None):
        rows = self.json("status")["processes"]
        return [r for r in rows if (role is None or r["role"] == role) and
                (session is None or r.get("session") == session)]

    def pids(self):
        """Every process of this house, by the directory it runs from."""
        found = []
        for p in Path("/proc").glob("[0-9]*"):
            try:
                exe = os.readlink(p / "exe")
            except OSError:
                continue
            if exe.startswith(str(self.bin)):
                found.append(int(p.name))
        return found

    def supervisor(self):
        """The pid of hatcheckd itself; others of its house come and go."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/exe").endswith("/hatcheckd"):
                    return pid
        raise Failed("no supervisor")

    def audit_lines(self, name=None):
        lines = []
        folder = self.home / "log" / "audit"
        for f in sorted(folder.glob("*.jsonl")):
            if name and f.stem != name:
                continue
            for line in f.read_text().splitlines():
                lines.append(json.loads(line))
        return lines

    def close(self):
        try:
            self.stop()
        except Exception:
            pass
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.base, ignore_errors=True)

    def kill(self, pid, sig=signal.SIGKILL):
        os.kill(pid, sig)

    def kill_all(self):
        """kill -9 of every process; some go by themselves with others."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                self.kill(pid)
        wait_for(lambda: not self.pids())


class Guest:
    """What the sandbox would be: it has the channel directory, no more."""

    def __init__(self, house, made):
        self.house = house
        self.made = made
        self.held = None
        self.id = made["id"]
        self.dir = made["channel"]["dir"]
        self.socket = made["channel"]["socket"]
        self.environment = made["environment"]

    def placeholder(self, credential):
        for p in self.environment["placeholders"]:
            if p["credential"] == credential:
                return p["value"]
        raise KeyError(credential)

    # Raw bytes on the channel.
    def connect(self, timeout=30):
        if os.getuid() == 0:
            return connect_as(self.socket, UID, timeout)
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(self.socket)
        return s

    def raw(self, data, timeout=10, half_close=False, due=False):
        """Send bytes, return all that comes until the far end closes or
        falls silent. due: something comes, however slow the machine."""
        s = self.connect(30 if due else timeout)
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
                s.settimeout(timeout)
        except (socket.timeout, ConnectionResetError):
            pass
        s.close()
        return got

    def api(self, method, path, body=b"", headers=()):
        s = self.connect()
        head = (f"{method} http://hatcheck.internal{path} HTTP/1.1\r\n"
                "Host: hatcheck.internal\r\nConnection: close\r\n")
        if body or method == "POST":
            head += ("Content-Type: application/x-www-form-urlencoded\r\n"
                     f"Content-Length: {len(body)}\r\n")
        for n, v in headers:
            head += f"{n}: {v}\r\n"
        s.sendall(head.encode() + b"\r\n" + body)
        return read_response(s)

    def token(self):
        """A token of this session; one, for as long as it lasts."""
        if self.held is None or self.held[1] < time.monotonic():
            self.held = (self.new_token(), time.monotonic() + 200)
        return self.held[0]

    def new_token(self):
        status, _, body = self.api("POST", "/v1/token",
                                   b"grant_type=client_credentials")
        if status != 200:
            raise Failed(f"token: {status} {body!r}")
        return json.loads(body)["access_token"]

    def ca(self):
        status, _, body = self.api("GET", "/v1/ca")
        assert status == 200, (status, body)
        return body.decode()

    def attach(self, token=None):
        s = self.connect()
        s.sendall(f"ATTACH {token or self.token()}\r\n".encode())
        return s

    def tunnel(self, host, port=443, token=None, sni=None, headers=(),
               alpn=("http/1.1",)):
        """CONNECT and TLS; returns the TLS socket. Who is told to try again
        in a moment, as when a pair was just made, does."""
        end = time.monotonic() + 15
        while True:
            s = self.attach(token)
            s.sendall((f"CONNECT {host}:{port} HTTP/1.1\r\n"
                       f"Host: {host}:{port}\r\n\r\n").encode())
            status, _, body = read_response(s, connect=True)
            if status == 200:
                break
            if status != 503 or b"refusal:not-ready" not in body or \
                    time.monotonic() > end:
                raise Refused(status, body)
            s.close()
        context = ssl.create_default_context(cadata=self.ca())
        context.set_alpn_protocols(list(alpn))
        return context.wrap_socket(s, server_hostname=sni or host)

    def request(self, method, url, headers=(), body=None, token=None):
        host, _, path = url.removeprefix("https://").partition("/")
        name, _, port = host.partition(":")
        try:
            s = self.tunnel(name, int(port or 443), token)
        except Refused as e:
            return e.status, {}, e.body
        head = f"{method} /{path} HTTP/1.1\r\nHost: {host}\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        for n, v in headers:
            head += f"{n}: {v}\r\n"
        s.sendall((head + "\r\n").encode("latin-1") + (body or b""))
        got = read_response(s, head=method == "HEAD")
        s.close()
        return got

    def get(self, url, *headers, **more):
        return self.request("GET", url, headers, **more)

    def reason(self, got):
        """The machine-readable word of a refusal."""
        status, headers, body = got
        return json.loads(body)["type"].rsplit(":", 1)[-1].rsplit("#", 1)[-1]

    # A real program as the guest, in a sandbox without any network.
    def sandbox(self, *command, bind=()):
        words = ["bwrap", "--unshare-all", "--die-with-parent",
                 "--new-session", "--proc", "/proc", "--dev", "/dev",
                 "--tmpfs", "/tmp", "--tmpfs", "/run",
                 "--ro-bind", "/usr", "/usr"]
        for d in ("/bin", "/sbin", "/lib", "/lib64"):
            if os.path.islink(d):
                words += ["--symlink", os.readlink(d), d]
        for f in ("/etc/ssl", "/etc/alternatives", "/etc/ld.so.cache",
                  "/usr/share/ca-certificates"):
            if os.path.exists(f):
                words += ["--ro-bind", f, f]
        words += ["--bind", self.dir, "/run/hatcheck", "--ro-bind",
                  str(self.house.bin / "hatcheck-guest"),
                  "/run/hatcheck-guest", "--dir", "/home/agent",
                  "--setenv", "HOME", "/home/agent"]
        for source, target in bind:
            words += ["--bind", str(source), target]
        words += ["--", "/run/hatcheck-guest", "run", "--", *command]
        return as_user(words)

    def run(self, *command, stdin=b"", timeout=60, bind=()):
        return subprocess.run(self.sandbox(*command, bind=bind),
                              input=stdin, capture_output=True,
                              timeout=timeout, env={"PATH": "/usr/bin:/bin",
                                                    "LANG": "C.UTF-8"},
                              cwd="/")

    def start(self, *command, **more):
        return subprocess.Popen(self.sandbox(*command), cwd="/",
                                env={"PATH": "/usr/bin:/bin"},
                                stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **more)

    def end(self):
        self.house.hatcheck("session", "end", self.id)


def tls_recv(s, n=65536):
    """s.recv(). With OpenSSL 3.5, Python leaves the error of a connection
    that broke under a send in its thread's queue, and the next call, on any
    connection, is blamed: ask again."""
    for _ in range(3):
        try:
            return s.recv(n)
        except BrokenPipeError:
            pass
    return b""


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body!r}")
        self.status, self.body = status, body


def connect_as(path, uid, timeout=30):
    """A connection made by another uid (the kernel notes who connects)."""
    here, there = socket.socketpair()
    code = ("import socket,sys,array\n"
            "s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
            "b=socket.socket(fileno=0)\n"
            "socket.send_fds(b,[b'x'],[s.fileno()])\n")
    done = subprocess.run(as_user(["/usr/bin/python3", "-c", code, path],
                                  uid),
                          stdin=there, capture_output=True, timeout=60)
    there.close()
    if done.returncode != 0:
        here.close()
        raise ConnectionError(done.stderr.decode()[-300:])
    _, fds, _, _ = socket.recv_fds(here, 1, 1)
    here.close()
    s = socket.socket(fileno=fds[0])
    s.settimeout(timeout)
    return s


def closed_on(path, uid):
    """True if a connection by that uid is made (the modes must let it) and
    then closed without a word, whatever it asks."""
    s = connect_as(path, uid)
    try:
        s.sendall(b"GET http://hatcheck.internal/v1/ca HTTP/1.1\r\n"
                  b"Host: hatcheck.internal\r\nConnection: close\r\n\r\n")
        return s.recv(65536) == b""
    except (BrokenPipeError, ConnectionResetError):
        return True
    finally:
        s.close()


def read_response(s, head=False, connect=False):
    """Status, headers (dict, lower case) and body of one response."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536 if not connect else 1)
        if not more:
            raise ConnectionError(f"closed after {data!r}")
        data += more
    top, _, rest = data.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    headers = {}
    for line in lines[1:]:
        n, v = line.split(":", 1)
        headers[n.lower()] = v.strip()
    if 100 <= status < 200 and status != 101:
        return read_response(Rest(s, rest), head, connect)
    if head or status in (204, 304) or (connect and status == 200):
        return status, headers, b""
    if headers.get("transfer-encoding") == "chunked":
        return status, headers, read_chunked(s, rest)
    n = headers.get("content-length")
    while n is None or len(rest) < int(n):
        more = s.recv(65536)
        if not more:
            break
        rest += more
    if n is not None and len(rest) < int(n):
        raise ConnectionError("body cut short")
    return status, headers, rest


class Rest:
    def __init__(self, s, data):
        self.s, self.data = s, data

    def recv(self, n):
        if self.data:
            out, self.data = self.data[:n], self.data[n:]
            return out
        return self.s.recv(n)


def read_chunked(s, data):
    body = b""

    def more():
        got = s.recv(65536)
        if not got:
            raise ConnectionError("chunked body cut short")
        return got
    while True:
        while b"\r\n" not in data:
            data += more()
        line, _, data = data.partition(b"\r\n")
        n = int(line.split(b";")[0], 16)
        while len(data) < n + 2:
            data += more()
        body += data[:n]
        data = data[n + 2:]
        if n == 0:
            return body


def descendants(pid):
    """pid and all below it."""
    children = {}
    for p in Path("/proc").glob("[0-9]*"):
        try:
            stat = (p / "stat").read_text()
        except OSError:
            continue
        parent = int(stat.rsplit(")", 1)[1].split()[1])
        children.setdefault(parent, []).append(int(p.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def memory_has(pid, needles):
    """Which needles stand in a process's readable memory."""
    hits = set()
    with open(f"/proc/{pid}/maps") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            if "r" not in mode or "[v" in line:
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            if end - start > 1 << 40:
                continue  # a sanitizer's shadow: flags, and terabytes of it
            at = start
            tail = b""
            while at < end:
                try:
                    mem.seek(at)
                    block = mem.read(min(1 << 20, end - at))
                except (OSError, ValueError, OverflowError):
                    break
                if not block:
                    break
                for n in needles:
                    if n in tail + block:
                        hits.add(n)
                tail = block[-256:]
                at += len(block)
    return hits
