#!/usr/bin/env python3
"""hatcheck-guest against a stand-in of the host's side of the channel:
the whole agent as a user meets it, and what a broken host can do to it.
(With the real host: the other scenarios.)"""
import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs

OUT = Path(os.environ.get("HATCHECK_OUT", "out/release")).resolve()
GUEST = OUT / "bin" / "hatcheck-guest"
count = 0


def ok(good, what, detail=""):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {what}", flush=True)
    if not good and detail:
        print("# " + str(detail).replace("\n", "\n# "), flush=True)


PEM = ("-----BEGIN CERTIFICATE-----\nc2Vzc2lvbiByb290\n"
       "-----END CERTIFICATE-----\n")
DOCUMENT = {
    "session": "s-1", "guest": "tester", "expires": 1790000000,
    "placeholders": [
        {"credential": "demo", "value": "hck_demo", "env": ["DEMO_KEY"],
         "hosts": ["api.demo.test:443"]},
        {"credential": "work", "value": "ghp_work", "env": ["GH_TOKEN"],
         "hosts": ["github.test:443", "*.git.test:8443"]},
        {"credential": "play", "value": "ghp_play", "env": [],
         "hosts": ["two.test:443"]},
        {"credential": "play2", "value": "ghp_play2", "env": [],
         "hosts": ["two.test:443"]}],
    "bases": [{"grant": "demo", "path": "/RND/demo", "env": ["DEMO_URL"]}],
    "hosts": ["api.demo.test:443", "github.test:443", "*.git.test:8443",
              "two.test:443"],
    "tunnels": ["docs.test:443"]}


class Host:
    """The channel: guest API, and after ATTACH a few raw behaviours."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="chan-"))
        self.path = self.dir / "hatcheck.sock"
        self.lifetime = 300
        self.root = PEM
        self.override = {}      # path -> raw bytes to answer
        self.tokens = 0
        self.grants = []        # kinds of token requests
        self.revoked = []
        self.attached = []
        self.refuse_renewal = False
        self.dead = set()       # tokens that are not taken
        self.no = []            # what is said then, in these pieces
        self.hunger = 1         # after so many bytes
        self.go_on = None       # an event that the last of them waits for
        self.vanish = 0         # so many connections end without an answer
        self.hasty = 0          # so many end before anything is said
        self.server = None
        self.up()

    def up(self):
        self.path.unlink(missing_ok=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(self.path))
        self.server.listen(64)
        threading.Thread(target=self.accept, args=(self.server,),
                         daemon=True).start()

    def down(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()

    def accept(self, server):
        while True:
            try:
                c, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,),
                             daemon=True).start()

    def serve(self, c):
        with c, c.makefile("rb") as f:
            try:
                first = f.readline()
                if first.startswith(b"ATTACH "):
                    self.attached.append(first)
                    if first.split()[1].decode() in self.dead:
                        self.refuse(c, f)
                    elif self.hasty > 0:
                        self.hasty -= 1
                    else:
                        self.raw(c, f)
                elif first:
                    self.api(c, f, first)
            except OSError:
                pass

    def refuse(self, c, f):
        got = 0
        while got < self.hunger:
            got += len(f.read1(65536))
        for piece in self.no:
            if self.go_on and piece == self.no[-1]:
                self.go_on.wait(60)
            c.sendall(piece)
            time.sleep(0.05)

    def newest(self):
        return f"eyJ.tok-{self.tokens}._~"

    def raw(self, c, f):
        line = f.readline()
        word = line.split()
        if self.vanish > 0:
            self.vanish -= 1
            return
        if word[:1] == [b"CONNECT"]:
            c.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + line)
        if word[:1] == [b"ECHO"]:
            while data := f.read1(65536):
                c.sendall(data)
            c.shutdown(socket.SHUT_WR)
        elif word[:1] == [b"SUM"]:      # answers only after half-close
            h = hashlib.sha256()
            while data := f.read1(65536):
                h.update(data)
            c.sendall(h.hexdigest().encode())
        elif word[:1] == [b"FIRST"]:    # closes its writing, then reads on
            c.sendall(b"bye")
            c.shutdown(socket.SHUT_WR)
            h = hashlib.sha256()
            while data := f.read1(65536):
                h.update(data)
            self.late = h.hexdigest()
        elif word[:1] == [b"CUT"]:      # an answer, then gone
            c.sendall(b"some")
        elif word[:1] == [b"RUDE"]:     # goes with unread bytes behind
            f.read1(1)
            c.sendall(b"413")
        elif word[:1] == [b"WAIT"]:
            f.read1(1)

    def api(self, c, f, first):
        method, target, version = first.decode().split()
        length = 0
        while (line := f.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            if name.lower() == "content-length":
                length = int(value)
        form = parse_qs(f.read(length).decode())
        path = target.removeprefix("http://hatcheck.internal")
        if path in self.override:
            c.sendall(self.override[path])
            return
        status, body, kind = self.answer(method, path, form)
        c.sendall(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n"
                  f"Content-Length: {len(body)}\r\n"
                  f"Connection: close\r\n\r\n{body}".encode())

    def answer(self, method, path, form):
        js = "application/json"
        if (method, path) == ("POST", "/v1/token"):
            kind = form["grant_type"][0].rsplit(":", 1)[-1]
            self.grants.append((kind, form.get("subject_token", [""])[0]))
            if kind == "token-exchange" and self.refuse_renewal:
                return 400, '{"error":"invalid_grant"}', js
            self.tokens += 1
            return 200, json.dumps({
                "access_token": f"eyJ.tok-{self.tokens}._~",
                "token_type": "Bearer", "expires_in": self.lifetime}), js
        if (method, path) == ("POST", "/v1/revoke"):
            self.revoked.append(form["token"][0])
            return 200, "", js
        if (method, path) == ("GET", "/v1/ca"):
            return 200, self.root, "application/x-pem-file"
        if (method, path) == ("GET", "/v1/environment"):
            return 200, json.dumps(DOCUMENT), js
        if (method, path) == ("GET", "/v1/status"):
            return 200, '{"session":"s-1","guest":"tester","expires_in":9}', js
        return 404, '{"title":"no such thing","status":404}', js


def guest(host, *words, env=None, **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    if "input" in kw:
        kw.pop("stdin")
    return subprocess.run([str(GUEST), "--channel", str(host.dir), *words],
                          capture_output=True, text=True, timeout=60,
                          env=env or clean(), **kw)


def clean(**more):
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent",
            "TMPDIR": TMP, "XDG_RUNTIME_DIR": TMP, **more}


class Serve:
    """A running `serve`, its port and its process."""

    def __init__(self, host, **env):
        self.p = subprocess.Popen(
            [str(GUEST), "serve", "--port", "0", "--print-env",
             f"--channel={host.dir}"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=clean(**env))
        self.env = {}
        while "DEMO_URL" not in self.env:
            line = self.p.stdout.readline()
            if not line:
                raise RuntimeError(self.p.stderr.read())
            m = re.fullmatch(r"export (\w+)='(.*)';\n", line)
            self.env[m[1]] = m[2]
        self.port = int(self.env["https_proxy"].rsplit(":", 1)[1])

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def stop(self):
        self.p.terminate()
        return self.p.wait(30), self.p.stderr.read()


def read_all(s):
    out = []
    while data := s.recv(65536):
        out.append(data)
    return b"".join(out)


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def test_program():
    size = GUEST.stat().st_size
    ok(size < 300 * 1024, "the program is under 300 KB", size)
    text = subprocess.run(["readelf", "-ld", str(GUEST)],
                          capture_output=True, text=True).stdout
    ok("INTERP" not in text and "NEEDED" not in text,
       "it is static: no interpreter, no shared library", text)
    h = subprocess.run([str(GUEST), "--help"], capture_output=True, text=True)
    verbs = re.findall(r"^  ([a-z][a-z-]*)", h.stdout.split("options:")[0],
                       re.M)
    ok(h.returncode == 0 and not h.stderr and verbs == [
        "run", "serve", "env", "token", "ca", "git-credential", "api-key",
        "status", "doctor", "trust", "version"], "--help lists every verb", h)
    page = Path("docs/man/hatcheck-guest.1").read_text()
    flags = re.findall(r"^  --([a-z-]+)", h.stdout, re.M)
    missing = [v for v in verbs if not re.search(rf"^\.It Cm {v}\b", page,
                                                 re.M)]
    missing += [f for f in flags if f"Fl -{f}" not in page]
    ok(not missing and flags, "the manual has every verb and option", missing)
    for words in (["nope"], ["--nope", "token"], ["token", "--port", "1"],
                  [], ["run"], ["api-key"], ["token", "more"],
                  ["serve", "--port"], ["serve", "--port", "70000"],
                  ["--channel", "", "token"],
                  ["--channel", "/" + "x" * 200, "token"]):
        r = subprocess.run([str(GUEST), *words], capture_output=True,
                           text=True, stdin=subprocess.DEVNULL)
        ok(r.returncode == 2 and r.stderr and not r.stdout,
           f"usage error: {' '.join(words)[:40]!r}", r)


def test_ask(host):
    r = guest(host, "token")
    ok(r.returncode == 0 and re.fullmatch(r"eyJ\.tok-\d+\._~\n", r.stdout),
       "token prints one", r)
    r = guest(host, "api-key", "work")
    ok((r.returncode, r.stdout) == (0, "ghp_work\n"),
       "api-key prints the placeholder", r)
    r = guest(host, "api-key", "other")
    ok(r.returncode == 1 and "no credential named other" in r.stderr,
       "api-key of an unknown name fails and says so", r)
    r = guest(host, "status")
    ok(r.returncode == 0 and "session: s-1" in r.stdout and
       "api.demo.test:443" in r.stdout and "docs.test:443" in r.stdout,
       "status", r)
    r = guest(host, "ca")
    ok(r.stdout == PEM, "ca prints the root", r)
    r = guest(host, "ca", "--bundle", "--out", TMP + "/b.pem")
    text = Path(TMP, "b.pem").read_text()
    ok(r.returncode == 0 and text.endswith(PEM) and
       text.count("BEGIN CERTIFICATE") > 1,
       "ca --bundle --out writes system's roots and it", text[-200:])
    r = guest(host, "ca", "--out", "/proc/nope/ca")
    ok(r.returncode == 1 and "cannot write" in r.stderr,
       "ca --out that cannot be written fails", r)
    r = guest(host, "env")
    ok(r.returncode == 1 and "no bridge runs" in r.stderr,
       "env without a bridge says what to do", r)
    with open("/dev/full", "w") as full:
        r = subprocess.run([str(GUEST), "--channel", str(host.dir), "token"],
                           stdout=full, stderr=subprocess.PIPE, text=True)
    ok(r.returncode == 1 and "cannot write" in r.stderr,
       "a full stdout is noticed", r)


def test_git(host):
    def ask(host_name, verb="get", protocol="https", more=""):
        r = guest(host, "git-credential", verb,
                  input=f"protocol={protocol}\nhost={host_name}\n{more}\n")
        return r.returncode, r.stdout

    ok(ask("github.test") == (0, "username=x-access-token\n"
                                 "password=ghp_work\n"),
       "git-credential: the host's placeholder is the password")
    ok(ask("github.test", more="username=me\n") ==
       (0, "username=me\npassword=ghp_work\n"),
       "git-credential: keeps the user that git named")
    ok(ask("a.git.test:8443")[1].endswith("ghp_work\n"),
       "git-credential: one label under a wildcard, with its port")
    for name in ("evil.test", "github.test.evil.test", "github.test:8443",
                 "a.b.git.test:8443", "git.test:8443", ""):
        ok(ask(name) == (0, ""), f"git-credential: nothing for {name!r}")
    ok(ask("two.test") == (0, ""),
       "git-credential: two accounts for a host: none is guessed")
    ok(ask("github.test", protocol="http") == (0, ""),
       "git-credential: nothing for http")
    ok(ask("github.test", verb="store", more="password=x\n") == (0, "") and
       ask("github.test", verb="erase") == (0, ""),
       "git-credential: store and erase do nothing")


def test_run(host):
    r = guest(host, "run", "--", "sh", "-c",
              'printf "%s\\n" "$https_proxy" "$DEMO_KEY" "$DEMO_URL" '
              '"$GH_TOKEN"; cat "$NODE_EXTRA_CA_CERTS"; '
              'tail -n 3 "$SSL_CERT_FILE"; cat "$WGETRC"')
    lines = r.stdout.split("\n")
    ok(r.returncode == 0 and
       re.fullmatch(r"http://127\.0\.0\.1:\d+", lines[0]) and
       lines[1:4] == ["hck_demo", lines[0] + "/RND/demo", "ghp_work"] and
       lines[4:10] == PEM.split("\n")[:3] * 2 and
       lines[10].startswith("ca_certificate = /"),
       "run sets proxy, placeholders, bases and files", r)
    names = set(guest(host, "run", "env", "-0").stdout.split("\0"))
    names = {n.split("=")[0] for n in names}
    wanted = set("""http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
        no_proxy NO_PROXY SSL_CERT_FILE CURL_CA_BUNDLE REQUESTS_CA_BUNDLE
        PIP_CERT GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS NODE_USE_ENV_PROXY
        npm_config_cafile DENO_CERT CARGO_HTTP_CAINFO AWS_CA_BUNDLE
        GRPC_DEFAULT_SSL_ROOTS_FILE_PATH HEX_CACERTS_PATH
        BUNDLE_SSL_CA_CERT GIT_CONFIG_COUNT HATCHECK_CHANNEL""".split())
    ok(wanted <= names, "run's table of variables", wanted - names)
    ok(not os.listdir(TMP) or not [d for d in os.listdir(TMP)
                                   if d.startswith("hatcheck-guest-")],
       "run removes its files", os.listdir(TMP))
    ok(len(host.revoked) >= 2 and host.revoked[-1].startswith("eyJ.tok-"),
       "run revokes its token at the end", host.revoked)
    for script, code in (("exit 0", 0), ("exit 7", 7), ("exit 255", 255),
                         ("kill -9 $$", 137), ("kill -15 $$", 143)):
        r = guest(host, "run", "--", "sh", "-c", script)
        ok(r.returncode == code, f"exit status of {script!r} is {code}", r)
    ok(guest(host, "run", "/nonexistent/x").returncode == 127,
       "no such command: 127")
    ok(guest(host, "run", "/etc/passwd").returncode == 126,
       "not executable: 126")
    r = guest(host, "run", "printf", "%s|", "a b", "", "--x", "--", "$(id)")
    ok(r.stdout == "a b||--x|--|$(id)|", "arguments arrive as they are", r)
    r = guest(host, "run", "--", "sh", "-c",
              f"exec {GUEST} run -- {GUEST} api-key demo")
    ok(r.stdout == "hck_demo\n", "run inside run finds the channel", r)
    r = guest(host, "run", "--", "sh", "-c", f"{GUEST} env --shell json")
    env = json.loads(r.stdout or "{}")
    ok(env.get("DEMO_KEY") == "hck_demo" and
       env.get("https_proxy", "").startswith("http://127.0.0.1:"),
       "env inside run is JSON that a parser takes", r)
    r = guest(host, "run", "--", "git", "credential", "fill",
              input="protocol=https\nhost=github.test\n\n")
    ok("password=ghp_work" in r.stdout, "run makes git ask the helper", r)
    r = guest(host, "run", "--", "sh", "-c", "ls -l /proc/self/fd",
              )
    fds = re.findall(r" (\d+) -> (?!/proc|pipe|/dev/null)", r.stdout)
    ok(r.returncode == 0 and not fds, "the command inherits no fd of ours", r)


def java_store(data):
    """The certificates of a JKS file, all of whose bytes are accounted for."""
    magic, version, count = struct.unpack(">III", data[:12])
    assert (magic, version) == (0xfeedfeed, 2), data[:12]
    at, certs = 12, []

    def take(n):
        nonlocal at
        at += n
        return data[at - n:at]

    for i in range(count):
        assert take(4) == b"\0\0\0\2", "a trusted certificate"
        alias = take(int.from_bytes(take(2), "big"))
        assert alias == b"hatcheck-%d" % (i + 1), alias
        assert take(8 + 7) == bytes(8) + b"\0\5X.509"
        certs.append(take(int.from_bytes(take(4), "big")))
    assert data[at:] == bytes(20), "no digest"
    return certs


def test_java_store(host):
    """trust.jks holds what bundle.pem does, certificate by certificate."""
    def pem(text):
        return ("-----BEGIN CERTIFICATE-----" + text
                + "-----END CERTIFICATE-----\n")

    plain = bytes(range(256)) * 3
    text = base64.encodebytes(plain).decode()
    host.root = (pem("\nYm\x01Fk\n") + pem("\r\n" + text.replace("\n", "\r\n"))
                 + "between\n" + pem("\n\n") + "-----BEGIN CERTIFICATE-----\n"
                 "bm8gZW5k\n" + pem("\n  c2hv cnQ=\n")
                 + "-----BEGIN CERTIFICATE-----\nYWxzbyBub25l\n")
    r = subprocess.run([str(GUEST), "--channel", str(host.dir), "run", "--",
                        "sh", "-c", 'd=${SSL_CERT_FILE%/*}; '
                        'cat "$SSL_CERT_FILE"; echo =; cat "$d/trust.jks"'],
                       capture_output=True, env=clean(), timeout=60,
                       stdin=subprocess.DEVNULL)
    host.root = PEM
    bundle, _, store = r.stdout.partition(b"=\n\xfe\xed")
    system = re.findall(rb"-----BEGIN CERTIFICATE-----\n([^-]*)"
                        rb"-----END CERTIFICATE-----",
                        bundle.partition(b"-----BEGIN CERTIFICATE-----\n"
                                         b"Ym\x01")[0])
    wanted = [base64.b64decode(c) for c in system] + [plain, b"short"]
    got = java_store(b"\xfe\xed" + store)
    ok(len(system) > 1 and got == wanted,
       "Java's store has the bundle's certificates, and no broken one",
       (len(got), len(wanted), got[-3:]))


def test_signals(host):
    p = subprocess.Popen(
        [str(GUEST), "--channel", str(host.dir), "run", "--", "sh", "-c",
         'trap "echo got; exit 9" TERM; echo up; while :; do sleep 0.05; '
         'done'], stdout=subprocess.PIPE, text=True, env=clean())
    p.stdout.readline()
    p.send_signal(signal.SIGTERM)
    rest = p.stdout.read()
    ok((p.wait(20), rest) == (9, "got\n"), "SIGTERM is passed on", rest)
    p = subprocess.Popen(
        [str(GUEST), "--channel", str(host.dir), "run", "--", "sh", "-c",
         'kill -STOP $$; exit 4'], env=clean(), stdin=subprocess.DEVNULL)
    time.sleep(0.3)
    ok(p.poll() is None, "a stopped command has not ended")
    for pid in children(p.pid):
        os.kill(pid, signal.SIGCONT)
    ok(p.wait(20) == 4, "and its status comes when it does")


def children(pid):
    return [int(x) for x in Path(
        f"/proc/{pid}/task/{pid}/children").read_text().split()]


def push(s, total, chunk, digest):
    for _ in range(total // len(chunk)):
        s.sendall(chunk)
        digest.update(chunk)
    s.shutdown(socket.SHUT_WR)


def test_bridge(host):
    serve = Serve(host)
    with serve.connect() as s:
        s.sendall(b"ECHO\n")
        sent, got, n = hashlib.sha256(), hashlib.sha256(), 0
        total, chunk = 100 << 20, os.urandom(1 << 20)
        t = threading.Thread(target=push, args=(s, total, chunk, sent))
        t.start()
        while data := s.recv(1 << 18):
            got.update(data)
            n += len(data)
        t.join()
        ok(n == total and sent.digest() == got.digest(),
           "100 MB both ways at once arrive intact", n)
    ok(host.attached[-1].startswith(b"ATTACH eyJ.tok-") and
       host.attached[-1].endswith(b"\r\n"), "a connection begins attached",
       host.attached[-1:])
    with serve.connect() as s:
        s.sendall(b"SUM\nhello")
        s.shutdown(socket.SHUT_WR)
        ok(read_all(s) == hashlib.sha256(b"hello").hexdigest().encode(),
           "the client's half-close arrives, the answer still comes")
    with serve.connect() as s:
        s.sendall(b"FIRST\n")
        early = read_all(s)
        for _ in range(64):
            s.sendall(b"x" * 65536)
        s.close()
        want = hashlib.sha256(b"x" * (64 * 65536)).hexdigest()
        ok(early == b"bye" and
           wait_until(lambda: getattr(host, "late", "") == want),
           "the host's half-close arrives, the upload goes on")
    with serve.connect() as s:
        s.sendall(b"CUT\n")
        ok(read_all(s) == b"some", "an answer before a close arrives")
    with serve.connect() as s:
        s.sendall(b"RUDE\n" + b"y" * 65536)
        try:
            answer = read_all(s)
        except ConnectionResetError:
            answer = b"reset"
        ok(answer in (b"413", b"reset"),
           "a host that goes mid-upload ends the connection", answer)
    # Backpressure: a client that does not read stops the sender.
    with serve.connect() as s:
        s.sendall(b"ECHO\n")
        s.setblocking(False)
        sent = 0
        stuck = time.monotonic()
        while time.monotonic() - stuck < 1.0 and sent < 64 << 20:
            try:
                sent += s.send(b"z" * 65536)
                stuck = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        rss = int(re.search(r"VmRSS:\s+(\d+)", Path(
            f"/proc/{serve.p.pid}/status").read_text())[1])
        ok(sent < 64 << 20 and rss < 4096,
           "backpressure holds, memory stays bounded", (sent, rss))
    cpu = cpu_ticks(serve.p.pid)
    with serve.connect() as s:
        s.sendall(b"WAIT\n")
        time.sleep(0.5)
        spent = cpu_ticks(serve.p.pid) - cpu
        ok(spent <= 5, "an idle connection costs no CPU", spent)
    socks = [serve.connect() for _ in range(300)]
    for s in socks:
        s.sendall(b"CUT\n")
    ok(all(read_all(s) == b"some" for s in socks),
       "300 connections at once are all served")
    for s in socks:
        s.close()
    ok(wait_until(lambda: len(os.listdir(f"/proc/{serve.p.pid}/fd")) < 12),
       "and leave no descriptor behind")
    r = guest(host, "env", "--shell", "sh")
    ok(f"export https_proxy='http://127.0.0.1:{serve.port}';" in r.stdout,
       "env finds the bridge", r)
    r = guest(host, "env", "--shell", "fish")
    ok("set -gx DEMO_KEY 'hck_demo'" in r.stdout, "env --shell fish", r)
    ok(guest(host, "env", "--shell", "tcsh").returncode == 2,
       "env for an unknown shell is a usage error")
    code, err = serve.stop()
    ok(code == 0, "serve ends by SIGTERM with 0", (code, err))


def cpu_ticks(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(words[11]) + int(words[12])


def test_renewal(host):
    host.lifetime, host.grants[:] = 2, []
    serve = Serve(host)
    ok(wait_until(lambda: len(host.grants) >= 3),
       "the token is renewed ahead of its expiry", host.grants)
    ok(host.grants[0][0] == "client_credentials" and
       all(k == "token-exchange" and t.startswith("eyJ.tok-")
           for k, t in host.grants[1:3]),
       "by exchange, in its family", host.grants)
    host.refuse_renewal, host.grants[:] = True, []
    ok(wait_until(lambda: [k for k, _ in host.grants][:2] ==
                  ["token-exchange", "client_credentials"]),
       "a refused family is followed by a new one", host.grants)
    host.refuse_renewal, host.lifetime = False, 300
    with serve.connect() as s:
        s.sendall(b"CUT\n")
        ok(read_all(s) == b"some", "and connections go on")
    serve.stop()


NO = [b"HTTP/1.1 4", b"07 Proxy Authentication Required\r\nX: y\r\nProxy-St",
      b"atus: hatcheck; error=http_request_denied; details=\"bad-token\"\r\n",
      b"Content-Length: 0\r\n\r", b"\n"]


def test_refused(host):
    """A guest that was put back to a snapshot believes in its token, which
    may be as old as that snapshot and new to the guest."""
    def asked(s):
        s.sendall(b"SUM\nover")
        s.shutdown(socket.SHUT_WR)
        return read_all(s)

    want = hashlib.sha256(b"over").hexdigest().encode()
    serve = Serve(host)
    host.no = NO
    host.dead.add(host.newest())
    with serve.connect() as s, serve.connect() as t:
        ok(asked(s) == want and asked(t) == want,
           "a refused token is replaced, and all is said once more")
    fresh = host.newest()
    ok(host.attached[-1] == f"ATTACH {fresh}\r\n".encode() and
       host.grants[-1][0] == "client_credentials",
       "with a new family", (host.attached[-2:], host.grants[-2:]))
    host.dead.add(fresh)
    with serve.connect() as s:
        answer = asked(s)
    ok(answer == b"".join(NO) and host.newest() == fresh,
       "its successor is not doubted at once: the answer is passed on", answer)
    time.sleep(1.1)
    for pieces, what in (
            ([b"HTTP/1.1 407 No\r\nX: Proxy-Status: hatcheck; \r\n\r\n"],
             "another's 407"),
            ([b"HTTP/1.1 200 OK\r\n", NO[-1]], "another status"),
            ([b"HTTP/1.1 407"], "half an answer"), ([], "no answer"),
            ([b"HTTP/1.1 407 " + b"x" * 9000], "a head without an end")):
        host.no = pieces
        with serve.connect() as s:
            answer = asked(s)
        ok(answer == b"".join(pieces) and host.newest() == fresh,
           f"{what} is passed on as it came", answer)
    host.no = [b"HTTP/1.1 407 No\r\n", b"\r\n"]
    host.go_on = threading.Event()
    with serve.connect() as s:
        s.sendall(b"SUM\nover")
        time.sleep(0.5)
        cpu = cpu_ticks(serve.p.pid)
        time.sleep(1)
        spent = cpu_ticks(serve.p.pid) - cpu
        ok(spent <= 5, "to wait for the rest of an answer costs no CPU", spent)
        host.go_on.set()
        ok(read_all(s) == b"".join(host.no), "and the rest comes")
    host.go_on = None
    host.no, host.hunger = NO, 80000
    with serve.connect() as s:
        s.sendall(b"x" * 80000)
        answer = read_all(s)
    ok(answer == b"".join(NO), "what was longer than 64 KiB is not said again",
       answer)
    host.hunger = 1
    code, err = serve.stop()
    ok(code == 0 and "asking for another" in err, "and it was told", err)
    host.dead.clear()


def test_vanished(host):
    """A host that dies between CONNECT and its answer did nothing yet."""
    serve = Serve(host)

    def ask(words, vanish):
        before, host.vanish = len(host.attached), vanish
        with serve.connect() as s:
            s.sendall(words)
            try:
                answer = read_all(s)
            except ConnectionResetError:
                answer = b""
        host.vanish = 0
        return answer, len(host.attached) - before

    connect = b"CONNECT a.test:443 HTTP/1.1\r\n"
    full = b"HTTP/1.1 200 OK\r\n\r\n" + connect
    ok(ask(connect, 1) == (full, 2), "CONNECT is said once more")
    ok(ask(connect, 5) == (full, 6), "and again")
    ok(ask(b"POST http://a.test/ HTTP/1.1\r\n", 1) == (b"", 1),
       "another request is not: it may have been sent on")
    ok(ask(connect, 0) == (full, 1), "an answered CONNECT is said once")
    before, host.hasty = len(host.attached), 3
    with serve.connect() as s:
        ok(wait_until(lambda: len(host.attached) == before + 4),
           "a host that goes before anything was said is sought again")
        s.sendall(b"SUM\nover")
        s.shutdown(socket.SHUT_WR)
        ok(read_all(s) == hashlib.sha256(b"over").hexdigest().encode(),
           "and hears all of it")
    serve.stop()


def test_suspend(host):
    host.lifetime = 2
    serve = Serve(host)
    serve.p.send_signal(signal.SIGSTOP)
    old = host.tokens
    time.sleep(2.2)
    serve.p.send_signal(signal.SIGCONT)
    with serve.connect() as s:
        s.sendall(b"CUT\n")
        ok(read_all(s) == b"some", "a connection after a suspend is served")
    token = int(re.search(rb"tok-(\d+)", host.attached[-1])[1])
    ok(token > old, "with a token got after it, not the expired one",
       (old, token))
    host.lifetime = 300
    serve.stop()


def test_wait(host):
    host.down()
    r = guest(host, "run", "--wait", "0", "--", "true")
    ok(r.returncode == 125 and str(host.dir) in r.stderr and
       "doctor" in r.stderr, "run --wait 0 does not wait, and says for what",
       r)
    r = guest(host, "serve", "--wait", "2")
    ok(r.returncode == 1 and "for 2 s at most" in r.stderr and
       "refused" in r.stderr, "serve waits no longer than it was told", r)
    for bad in ("-1", "x", "1s", "", "86401"):
        r = guest(host, "serve", "--wait", bad)
        ok(r.returncode == 2, f"--wait {bad!r} is a usage error", r)
    host.up()


def test_notify(host):
    for name in (TMP + "/notify", "@hatcheck-" + TMP):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
            s.settimeout(20)
            serve = Serve(host, NOTIFY_SOCKET=name)
            ok(s.recv(100) == b"READY=1", f"serve tells {name[:1]}… that it "
               "is ready")
            serve.stop()
    serve = Serve(host, NOTIFY_SOCKET="/nonexistent")
    ok(serve.stop()[0] == 0, "a manager that is not there is no matter")


def jwt(seconds):
    part = base64.urlsafe_b64encode(json.dumps(
        {"iat": int(time.time()) + seconds, "jti": "j"}).encode())
    return f"e30.{part.decode().rstrip('=')}.c2ln"


def test_clock(host):
    """The host's time is in the token; only the doctor looks."""
    for skew, state in ((0, "ok"), (600, "ok"), (-600, "ok"),
                        (7200, "problem"), (-7200, "problem")):
        body = json.dumps({"access_token": jwt(skew), "token_type": "Bearer",
                           "expires_in": 300}).encode()
        host.override = {"/v1/token": b"HTTP/1.1 200 OK\r\nContent-Length: "
                                      b"%d\r\n\r\n%s" % (len(body), body)}
        r = guest(host, "doctor", "--json")
        rows = {x["check"]: x for x in json.loads(r.stdout)}
        ok(rows["clock"]["state"] == state and rows["token"]["state"] == "ok",
           f"doctor: a clock {-skew} s ahead: {state}", rows["clock"])
        r = guest(host, "run", "--", "true")
        ok(r.returncode == 0, "and run does not care", r)
    for token in ("x", "a.b", "a..c", "a.!!.c", "a.e30.c",
                  "a." + "A" * 3990 + ".c"):
        body = json.dumps({"access_token": token, "token_type": "Bearer",
                           "expires_in": 300}).encode()
        host.override["/v1/token"] = (b"HTTP/1.1 200 OK\r\n\r\n" + body)
        r = guest(host, "doctor")
        ok(r.returncode == 1 and re.search(
            "problem +clock: the token tells no time|problem +token: ",
            r.stdout), f"doctor: a token without a time, {token[:8]}", r)
    host.override = {}


def test_restart(host):
    serve = Serve(host)
    host.down()
    s = serve.connect()
    s.sendall(b"SUM\nover")
    s.shutdown(socket.SHUT_WR)
    time.sleep(0.5)
    ok(serve.p.poll() is None, "the bridge outlives its host")
    host.up()
    ok(read_all(s) == hashlib.sha256(b"over").hexdigest().encode(),
       "a connection made meanwhile is served by the new host")
    s.close()
    host.down()
    p = subprocess.Popen([str(GUEST), "--channel", str(host.dir), "run", "--",
                          "echo", "late"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, env=clean())
    time.sleep(1.5)
    host.up()
    out, err = p.communicate(timeout=20)
    ok((p.returncode, out) == (0, "late\n") and "trying on" in err,
       "run waits for a host that comes late", (out, err))
    code, err = serve.stop()
    ok(code == 0, "serve ends well after it", err)


def test_gone():
    """The host removes the directory of an ended session; a mount of it
    shows that, and nothing waits for it to come back."""
    r = subprocess.run(["unshare", "--user", "--map-root-user", "--mount",
                        "--net", "sh", "-c",
                        "mkdir $TMPDIR/src $TMPDIR/dst && "
                        "mount --bind $TMPDIR/src $TMPDIR/dst && "
                        "rmdir $TMPDIR/src && "
                        f"exec {GUEST} --channel $TMPDIR/dst run true"],
                       capture_output=True, text=True, env=clean())
    ok(r.returncode == 125 and "session has ended" in r.stderr,
       "run says that the session has ended", r)
    os.rmdir(TMP + "/dst")


def test_broken_host(host):
    def says(path, raw):
        host.override = {path: raw}
        r = guest(host, "run", "--", "true")
        host.override = {}
        return r

    def http(body, head="Content-Length: {n}"):
        return (f"HTTP/1.1 200 OK\r\n{head.format(n=len(body))}\r\n\r\n"
                .encode() + body)

    good = json.dumps({"access_token": "t", "token_type": "Bearer",
                       "expires_in": 300}).encode()
    chunks = b"5\r\n" + good[:5] + b"\r\n%x\r\n" % (len(good) - 5) + \
        good[5:] + b"\r\n0\r\n\r\n"
    for raw, what in (
            (http(good), "a length"),
            (http(chunks, "Transfer-Encoding: chunked"), "chunks"),
            (http(good, "X: y"), "the end of the stream"),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + http(good), "a 100 before"),
            (http(b" \n" + good.replace(b'"t"', b'"\\u0074"') + b"\t"),
             "space around JSON and an escape")):
        r = says("/v1/token", raw)
        ok(r.returncode == 0, f"an answer with {what} is read", r)
    bad = {
        "cut short": http(good)[:-3],
        "longer than it says": http(good) + b"x",
        "with two lengths": http(good, "Content-Length: {n}\r\n"
                                       "Content-Length: {n}"),
        "with a length and chunks": http(
            chunks, "Content-Length: {n}\r\nTransfer-Encoding: chunked"),
        "with a signed length": http(good, "Content-Length: +{n}"),
        "in HTTP/1.0": http(good).replace(b"HTTP/1.1", b"HTTP/1.0"),
        "with bare line feeds": http(good).replace(b"\r\n", b"\n"),
        "of nothing": b"",
        "with a huge head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 +
                            b"\r\n\r\n",
        "with a huge body": http(b" " * (3 << 20)),
        "with a chunk that overflows": http(
            b"ffffffffffffffffffff\r\n", "Transfer-Encoding: chunked"),
    }
    for what, raw in bad.items():
        host.override = {"/v1/environment": raw}
        r = guest(host, "api-key", "demo")
        host.override = {}
        ok(r.returncode == 1 and r.stderr and not r.stdout,
           f"an answer {what} is refused", r)
    deep = b"[" * 20 + b"]" * 20
    words = {
        "no JSON": b"<html>", "a trailing comma": good[:-1] + b",}",
        "a duplicate name": good[:-1] + b',"expires_in":301}',
        "bytes behind": good + b"{}", "bad UTF-8": good.replace(
            b'"t"', b'"\xc0\xaf"'),
        "a lone surrogate": good.replace(b'"t"', b'"\\ud800"'),
        "a NUL escape": good.replace(b'"t"', b'"\\u0000"'),
        "a control byte": good.replace(b'"t"', b'"\n"'),
        "an unclosed string": b'{"access_token":"',
        "a lone backslash": b'{"access_token":"\\',
        "deep nesting": b'{"a":' + deep + b"," + good[1:],
        "many values": b'{"a":[' + b"1," * 5000 + b"1]," + good[1:],
        "a leading zero": good.replace(b"300", b"0300"),
        "a plus": good.replace(b"300", b"+300"),
        "a fraction of a second": good.replace(b"300", b"300.5"),
        "an overflow": good.replace(b"300", b"9" * 30),
        "no lifetime": good.replace(b"300", b"0"),
        "a lifetime in a string": good.replace(b"300", b'"300"'),
        "a line end in the token": good.replace(b'"t"', b'"t\\r\\nX: y"'),
        "a token too long": good.replace(b'"t"', b'"' + b"t" * 4100 + b'"'),
        "an empty token": good.replace(b'"t"', b'""'),
        "another token type": good.replace(b"Bearer", b"MAC"),
        "an array": b"[" + good + b"]",
    }
    for what, body in words.items():
        r = says("/v1/token", http(body))
        ok(r.returncode == 125 and "malformed" in r.stderr,
           f"a token answer with {what} is refused", r)
    for what, change in (
            ("a variable with =", {"placeholders": [
                {"credential": "c", "value": "v", "env": ["A=B"]}]}),
            ("a value with a line end", {"placeholders": [
                {"credential": "c", "value": "v\nX", "env": ["A"]}]}),
            ("a quote in a value", {"placeholders": [
                {"credential": "c", "value": "v'`$(id)", "env": ["A"]}]}),
            ("a base that is no path", {"bases": [
                {"grant": "g", "path": "@evil.test/", "env": ["A"]}]})):
        r = says("/v1/environment",
                 http(json.dumps({**DOCUMENT, **change}).encode()))
        ok(r.returncode == 125 and "cannot be used" in r.stderr,
           f"an environment with {what} is refused", r)
    r = says("/v1/token", b"HTTP/1.1 403 No\r\nContent-Length: 62\r\n\r\n"
             + b'{"title":"session ended\\u001b[31m","hint":"ask","detail":"x"} ')
    ok(r.returncode == 125 and "session ended?[31m" in r.stderr and
       "\x1b" not in r.stderr, "a refusal is shown, escaped", r)
    r = says("/v1/ca", http(b"-----BEGIN PRIVATE KEY-----\n" +
                            PEM.encode()))
    ok(r.returncode == 125, "a CA with a private key in it is refused", r)


def test_places(host):
    r = subprocess.run(["unshare", "--user", "--map-root-user", "--net",
                        str(GUEST), "--channel", str(host.path), "run", "--",
                        "python3", "-c",
                        "import os,socket;socket.create_connection("
                        "('127.0.0.1',int(os.environ['https_proxy']."
                        "rsplit(':',1)[1])));print('up')"],
                       capture_output=True, text=True, env=clean())
    ok(r.stdout == "up\n",
       "in a fresh network namespace it brings lo up; --channel SOCKET", r)
    os.mkdir(TMP + "/hatcheck-guest")
    os.chmod(TMP + "/hatcheck-guest", 0o775)
    r = guest(host, "serve")
    ok(r.returncode == 1 and "we alone can write" in r.stderr,
       "serve refuses a directory that others can write", r)
    os.rmdir(TMP + "/hatcheck-guest")
    os.symlink("/tmp", TMP + "/hatcheck-guest")
    r = guest(host, "serve")
    ok(r.returncode == 1 and "we alone can write" in r.stderr,
       "and one that is a link", r)
    os.unlink(TMP + "/hatcheck-guest")
    theirs(host)


def theirs(host):
    """Where anybody may make directories, one that is there says nothing."""
    at = Path(TMP + "/hatcheck-guest")
    other = Path(TMP + "/other")
    other.mkdir(mode=0o700)
    (other / "port").write_text("4711\n")

    def env(**more):
        return guest(host, "env", env=clean(**more))

    other.rename(at)
    r = env()
    ok(r.returncode == 0 and "127.0.0.1:4711" in r.stdout,
       "env believes a directory of its own", r)
    at.chmod(0o777)
    r = env()
    ok(r.returncode == 1 and "4711" not in r.stdout,
       "not one that others can write", r)
    r = env(HATCHECK_GUEST_DIR=str(at))
    ok(r.returncode == 0, "unless its user names it", r)
    at.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(at, 4711, 4711)
        r = env()
        ok(r.returncode == 1 and "4711" not in r.stdout,
           "nor another user's", r)
    at.rename(other)
    at.symlink_to(other)
    r = env()
    ok(r.returncode == 1 and "4711" not in r.stdout, "nor a link", r)
    at.unlink()


TMP = tempfile.mkdtemp(prefix="hcg-")
HOST = Host()
try:
    test_program()
    test_ask(HOST)
    test_git(HOST)
    test_run(HOST)
    test_java_store(HOST)
    test_signals(HOST)
    test_bridge(HOST)
    test_renewal(HOST)
    test_refused(HOST)
    test_vanished(HOST)
    test_suspend(HOST)
    test_wait(HOST)
    test_notify(HOST)
    test_clock(HOST)
    test_restart(HOST)
    test_gone()
    test_broken_host(HOST)
    test_places(HOST)
finally:
    shutil.rmtree(TMP, ignore_errors=True)
    shutil.rmtree(HOST.dir, ignore_errors=True)
print(f"1..{count}")
sys.exit(0)
