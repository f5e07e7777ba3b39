"""No request more than was logged, no answer but one's own (requirements
15 to 18): odd requests that pass are replayed, as the courier wrote them,
to the servers that people run; odd answers from a hostile upstream."""
import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from guest_h2 import H2Guest  # noqa: E402
from harness import House, read_response, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
HOST = b"Host: api.demo.test\r\n"
house = up = guest = None
folder = None
behind = None                      # where the servers pass requests on to
children = []


class Recorder(Upstream):
    """Keeps the bytes of each connection by itself."""

    def __init__(self, *words, **more):
        self.streams, self.whole = {}, {}
        super().__init__(*words, **more)

    def serve(self, s):
        try:
            super().serve(s)
        finally:
            s.close()

    def body(self, s, headers, data):
        body, trailers, rest = super().body(s, headers, data)
        with self.lock:                 # a request broken off is none
            self.whole[s] = len(self.streams[s]) - len(rest)
        return body, trailers, rest

    def read(self, s):
        data = super().read(s)
        with self.lock:
            # The socket itself is the key: a number would be used again.
            self.streams.setdefault(s, bytearray()).extend(data)
        return data


def setup():
    global house, up, guest, folder, behind
    folder = Path(tempfile.mkdtemp(prefix="hck-sync-"))
    os.chmod(folder, 0o755)
    up = Recorder(["api.demo.test"])
    behind = Upstream(["behind.test"], tls=False)
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml(
        "one", up, credential="demo",
        allow=['{ methods: ["*"], paths: ["/v1/**"] }']))
    guest = house.session("agent", "one")


def teardown():
    for p in children:
        p.terminate()               # nginx's workers go with it
        p.wait(20)
    if house:
        house.close()
    for u in (up, behind):
        if u:
            u.close()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


# Requests: every line, every field and every body with every other.
METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"HEAD",
           b"PATCH", b"QUERY", b"M-SEARCH", b"get", b"X")
TARGETS = (b"/v1/%d", b"/v1/%d?", b"/v1/%d?a=b&c=/../d", b"/v1/%d/",
           b"/v1/%d/a%%20b", b"/v1/%d/a:@!$&'()*+,=",
           b"https://api.demo.test/v1/%d", b"http://api.demo.test/v1/%d",
           b"//api.demo.test/v1/%d", b"/v1/%d?x=\"", b"/v1/%d?q=%%00",
           b"*")
FIELDS = (b"", b"X: a\r\nX: b\r\n", b"X:\r\n", b"X: \t y \t\r\n",
          b"x-%s: 1\r\n" % (b"n" * 200), b"Expect: 100-continue\r\n",
          b"Expect: 200-ok\r\n", b"Upgrade: h2c\r\n",
          b"Connection: close\r\n", b"Connection: x-a\r\nX-A: b\r\n",
          b"Connection: content-length\r\n", b"Connection: host\r\n",
          b"Connection: transfer-encoding\r\n", b"Keep-Alive: 5\r\n",
          b"TE: trailers\r\nConnection: TE\r\n", b"Trailer: X-T\r\n",
          b"X: \xff\xfe\r\n", b"X: y\r\n\tz\r\n", b"X\t: y\r\n",
          b"Content_Length: 40\r\n", b"Content-Length : 3\r\n",
          b"Transfer_Encoding: chunked\r\n",
          b"Transfer-Encoding : chunked\r\n",
          b"X-HTTP-Method-Override: PUT\r\n", b"X-Forwarded-For: a\r\n",
          b"Proxy-Connection: keep-alive\r\n", b"Max-Forwards: 9\r\n",
          b"Range: bytes=0-0,-1\r\n", b"Host : b\r\n", b"hOsT: b\r\n")
BODIES = (b"\r\n",
          b"Content-Length: 0\r\n\r\n",
          b"Content-Length: 5\r\n\r\nhello",
          b"Content-Length: 005\r\n\r\nhello",
          b"content-length:5\r\n\r\nhello",
          b"Content-Length: 5 \r\n\r\nhello",
          b"Content-Length: 5\t\r\n\r\nhello",
          b"Content-Length: \x0b5\r\n\r\nhello",
          b"Content-Length: 5;\r\n\r\nhello",
          b"Content-Length:\r\n\r\n",
          b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
          b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
          b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
          b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
          b"Transfer-Encoding:\tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
          b"Transfer-Encoding: chunked;a\r\n\r\n0\r\n\r\n",
          b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
          *(b"Transfer-Encoding: chunked\r\n\r\n" + c for c in (
              b"5;a=b\r\nhello\r\n0\r\n\r\n",
              b"5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
              b"5 \r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
              b"0005\r\nhello\r\n000\r\n\r\n",
              b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n",
              b"5\r\nhello0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n",
              b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n",
              b"-5\r\nhello\r\n0\r\n\r\n", b"\r\nhello\r\n0\r\n\r\n",
              b"1_0\r\nhello\r\n0\r\n\r\n",
              b"100000000000000005\r\nhello\r\n0\r\n\r\n",
              b"5\r\nhello\r\n0\r\nX-T: y\r\n\r\n",
              b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
              b"5\r\nhello\r\n0\r\nHost: b\r\n\r\n",
              b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
              b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n",
              b"1\r\nG\r\n1\r\nE\r\n0\r\n\r\n")))


def corpus():
    """Each column against plain others, then the last two together."""
    rows = [(m, TARGETS[0], b"", b) for m in METHODS
            for b in (BODIES[0], BODIES[2], BODIES[13])]
    rows += [(b"POST", t, b"", BODIES[2]) for t in TARGETS]
    rows += [(b"POST", TARGETS[0], f, b) for f in FIELDS
             for b in (BODIES[2], BODIES[13])]
    rows += [(m, TARGETS[0], b"", b) for m in (b"POST", b"GET")
             for b in BODIES]
    for n, (m, t, f, b) in enumerate(rows, 100):
        target = t % n if b"%d" in t else t
        yield (n, m + b" " + target + b" HTTP/1.1\r\n" + HOST +
               b"X-Case: %d\r\n" % n + f + b)


def exchange(data):
    """Send one odd request; read until the end, or until it is quiet."""
    s = guest.tunnel("api.demo.test")
    s.settimeout(0.5)
    got = b""
    try:
        s.sendall(data)
        while True:
            more = s.recv(65536)
            if not more:
                break
            got += more
    except OSError:
        pass
    s.close()
    return got


def sum_of(body):
    return hashlib.sha256(body).hexdigest()[:12]


def seen_by(recorder):
    with recorder.lock:
        return [(r.method, r.path, sum_of(r.body))
                for r in recorder.requests]


def test_requests():
    "what the audit logs is what went upstream, and no more (req. 15, 16)"
    guest.token()
    with ThreadPoolExecutor(12) as pool:
        sent = len(list(pool.map(exchange, (d for _, d in corpus()))))
    seen = seen_by(up)
    assert len(seen) > 40, f"{len(seen)} of {sent} passed"
    print(f"# {len(seen)} of {sent} odd requests were accepted")
    numbers = Counter(re.match(r"/v1/(\d+)", p)[1] for _, p, _ in seen)
    assert max(numbers.values()) == 1, numbers.most_common(3)

    def logged():
        rows = [(r["method"], r["path"]) for r in house.audit_lines()
                if "method" in r and r.get("decision") == "allow"]
        return len(rows) >= len(seen) and rows
    rows = wait_for(logged)
    want = Counter((m, p.partition("?")[0]) for m, p, _ in seen)
    have = Counter((m, p.partition("?")[0]) for m, p in rows)
    assert not want - have, want - have


# The same by HTTP/2: (a head of pairs, body or None, trailers), and whether
# it may pass. %d is the case's number.
def h2_head(path=b"/v1/%d", method=b"POST", scheme=b"https",
            authority=b"api.demo.test"):
    return [(b":method", method), (b":scheme", scheme),
            (b":authority", authority), (b":path", path)]


EVIL_LINES = (b"\r\nX: y", b"\n", b"\r", b"\0", b"\r\n\r\nGET /v1/evil "
              b"HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")


def h2_bad():
    base = h2_head()
    for e in EVIL_LINES:
        yield h2_head(path=b"/v1/%d" + e)
        yield h2_head(path=b"/v1/%d HTTP/1.1" + e)
        yield h2_head(method=b"GET /v1/evil HTTP/1.1" + e)
        yield h2_head(authority=b"api.demo.test" + e)
        yield h2_head(scheme=b"https" + e)
        yield base + [(b"x-a", b"b" + e + b"c")]
        yield base + [(b"x-a" + e, b"b")]
    for p in (b"v1/%d", b"", b"http://api.demo.test/v1/%d", b"/v1/%d#f",
              b"/v1/%d x", b"/v1/\xc3\xa9/%d", b"/v1/%d\x7f", b"\t/v1/%d"):
        yield h2_head(path=p)
    for m in (b"", b"G T", b"GET ", b"GE\tT", b"CONNECT", b"M" * 40, b"G:T"):
        yield h2_head(method=m)
    for x in (b"", b"http", b"HTTPS", b"https "):
        yield h2_head(scheme=x)
    for x in (b"", b"b.test", b"user@api.demo.test", b"api.demo.test:444",
              b"api.demo.test, b.test", b"api.demo.test ", b"api.demo.test/"):
        yield h2_head(authority=x)
    for i in range(4):
        yield base[:i] + base[i + 1:]                     # one is missing
        yield base + [base[i]]                            # one twice
        yield base[:i] + base[i + 1:] + [(b"x-a", b"b"), base[i]]
    yield base + [(b":path", b"/v1/evil")]
    yield base + [(b":protocol", b"websocket")]
    yield base + [(b":status", b"200")]
    yield base + [(b":x", b"y")]
    for name in (b"X-Upper", b"Host", b"", b"x a", b"x:a", b":", b"x-\xe9",
                 b"x(a)", b"content-length ", b"Transfer-Encoding"):
        yield base + [(name, b"1")]
    for name, value in (
            (b"connection", b"close"), (b"connection", b"x-a"),
            (b"keep-alive", b"5"), (b"proxy-connection", b"close"),
            (b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c"),
            (b"http2-settings", b"AAMAAABkAAQAAP__"), (b"te", b"gzip"),
            (b"te", b"trailers, deflate"), (b"host", b"b.test"),
            (b"host", b"API.demo.test"), (b"expect", b"200-ok"),
            (b"content-length", b"+5"), (b"content-length", b"5, 5"),
            (b"content-length", b"0x5"), (b"content-length", b"-5"),
            (b"content-length", b""), (b"content-length", b"5a"),
            (b"content-length", b"9" * 20)):
        yield base + [(name, value)]
    yield base + [(b"content-length", b"5")] * 2
    yield base + [(b"host", b"api.demo.test")] * 2


H2_GOOD = (
    h2_head(), h2_head(method=b"PUT"), h2_head(method=b"M-SEARCH"),
    h2_head(path=b"/v1/%d?"), h2_head(path=b"/v1/%d?a=b&c=/../d"),
    h2_head(path=b"/v1/%d/a:@!$&'()*+,="),
    h2_head() + [(b"content-length", b"5")],
    h2_head() + [(b"te", b"trailers")],
    h2_head() + [(b"host", b"api.demo.test")],
    h2_head() + [(b"cookie", b"a=1"), (b"cookie", b"b=2")],
    h2_head() + [(b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"")],
    h2_head() + [(b"x-a", b"\xff\xfe \t!")],
    h2_head() + [(b"expect", b"100-continue")],
    h2_head() + [(b"content_length", b"40"),
                 (b"transfer_encoding", b"chunked")])
H2_TRAILERS = (None, [(b"x-sum", b"1")], [(b"content-length", b"9")],
               [(b"host", b"b.test")], [(b"transfer-encoding", b"chunked")],
               [(b":path", b"/v1/evil")], [(b"X-Up", b"1")],
               [(b"x-a", b"b\r\nc: d")])


def h2_cases(n):
    for head in h2_bad():
        yield next(n), head, b"hello", None, False
    for head in H2_GOOD:
        yield next(n), head, b"hello", None, True
    for head in H2_GOOD[:6]:
        yield next(n), head, None, None, True
    yield next(n), h2_head(path=b"/v1/%d?x=\""), b"hello", None, None
    for t in H2_TRAILERS:
        yield next(n), H2_GOOD[0], b"hello", t, None


def exchange_h2(case):
    n, head, body, trailers, _ = case
    c = H2Guest(guest, "api.demo.test", timeout=20)
    try:
        sid = c.send([(k, v.replace(b"%d", b"%d" % n)) for k, v in head] +
                     [(b"x-case", b"%d" % n)], end=body is None)
        if body is not None:
            c.body(sid, body, trailers=trailers)
        c.wait(sid)
    except OSError:
        pass                            # cut, which is an answer too
    c.close()


def test_requests_h2():
    "what is odd in HTTP/2 goes upstream as it was logged, or not (req. 16)"
    cases = list(h2_cases(itertools.count(5000)))
    before = len(seen_by(up))
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(exchange_h2, cases))
    seen = seen_by(up)[before:]
    print(f"# {len(seen)} of {len(cases)} were accepted")
    with up.lock:
        heads = [(r.header("X-Case"), r) for r in up.requests[before:]]
    assert all(len(x) == 1 for x, _ in heads), heads
    by_case = {int(x[0]): r for x, r in heads}
    assert len(by_case) == len(heads), "one was sent twice"
    for n, head, body, trailers, good in cases:
        r = by_case.get(n)
        assert good is None or (r is not None) == good, (n, head)
        if r is None:
            continue
        said = dict(head)
        assert (r.method.encode(), r.path.encode()) == (
            said[b":method"], said[b":path"] % n), (r.method, r.path)
        assert r.body == (body or b""), r.body
        assert r.header("Host") == ["api.demo.test"]
        assert b"evil" not in r.raw, r.raw
    rows = [(r["method"], r["path"]) for r in house.audit_lines()
            if r.get("decision") == "allow"]
    want = Counter((m, p.partition("?")[0]) for m, p, _ in seen)
    have = Counter((m, p.partition("?")[0]) for m, p in rows)
    assert not want - have, want - have


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def start(command, port):
    log = open(folder / "server.log", "ab")
    p = subprocess.Popen(command, stdout=log, stderr=log,
                         stdin=subprocess.DEVNULL, cwd=folder)
    children.append(p)

    def ready():
        assert p.poll() is None, (folder / "server.log").read_text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_for(ready, 20)


def program(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if not path:
        raise tap.Skip(f"no {name} on this machine")
    return path


def replay(port):
    """Every connection of the courier's, with one request of our own at
    its end: a server that reads the stream otherwise takes it wrongly."""
    with up.lock:
        streams = [bytes(b[:up.whole.get(s, 0)])
                   for s, b in up.streams.items()]
    for n, stream in enumerate(streams):
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            s.sendall(stream + b"GET /v1/last-%d HTTP/1.1\r\nHost: "
                      b"api.demo.test\r\nConnection: close\r\n\r\n" % n)
            got = b""
            try:
                while True:
                    more = s.recv(65536)
                    if not more:
                        break
                    got += more
            except ConnectionResetError:
                pass
    return [("GET", f"/v1/last-{n}", sum_of(b""))
            for n in range(len(streams))]


def compare(name, last, seen):
    want, have = Counter(seen_by(up) + last), Counter(seen)
    assert not have - want, f"{name} saw more: {have - want}"
    assert not want - have, f"{name} did not see: {want - have}"


def test_nginx():
    "nginx sees the requests that were logged, none more (req. 16)"
    nginx, port = program("nginx"), free_port()
    behind.forget()
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
        "worker_processes 1; events {}\nhttp { access_log off;\n" +
        "".join(f"{k}_temp_path {folder}/{k};\n" for k in
                ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) +
        "ignore_invalid_headers off; keepalive_requests 100000;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{\n"
        f"proxy_pass http://127.0.0.1:{behind.port}; }} }} }}\n")
    start([nginx, "-p", folder, "-c", folder / "nginx.conf"], port)
    compare("nginx", replay(port), seen_by(behind))


def test_haproxy():
    "HAProxy sees the requests that were logged, none more (req. 16)"
    haproxy, port = program("haproxy"), free_port()
    behind.forget()
    (folder / "haproxy.cfg").write_text(
        "defaults\n mode http\n timeout client 20s\n timeout server 20s\n"
        " timeout connect 20s\n"
        f"listen a\n bind 127.0.0.1:{port}\n"
        f" server b 127.0.0.1:{behind.port}\n")
    start([haproxy, "-db", "-f", folder / "haproxy.cfg"], port)
    compare("haproxy", replay(port), seen_by(behind))


def test_apache():
    "Apache httpd sees the requests that were logged, none more (req. 16)"
    apache, port = program("apache2"), free_port()
    behind.forget()
    modules = "/usr/lib/apache2/modules"
    (folder / "httpd.conf").write_text("".join(
        f"LoadModule {m}_module {modules}/mod_{m}.so\n" for m in
        ("mpm_event", "authz_core", "proxy", "proxy_http")) +
        f"ServerRoot {folder}\nServerName a\nPidFile {folder}/a.pid\n"
        f"ErrorLog {folder}/apache.log\nListen 127.0.0.1:{port}\n"
        "MaxKeepAliveRequests 0\nAllowEncodedSlashes NoDecode\n"
        f"DefaultRuntimeDir {folder}\n"
        f"ProxyPass / http://127.0.0.1:{behind.port}/ nocanon\n")
    start([apache, "-X", "-f", folder / "httpd.conf"], port)
    compare("apache", replay(port), seen_by(behind))


def test_node():
    "Node sees the requests that were logged, none more (req. 16)"
    node, port = program("node"), free_port()
    seen = folder / "node.jsonl"
    script = (
        "const fs=require('fs'),c=require('crypto');"
        "require('http').createServer((q,r)=>{const h=c.createHash('sha256');"
        "q.on('data',d=>h.update(d)).on('end',()=>{fs.appendFileSync("
        "process.argv[2],JSON.stringify([q.method,q.url,h.digest('hex')"
        ".slice(0,12)])+'\\n');r.end('x')})}).listen(process.argv[1],"
        "'127.0.0.1')")
    start([node, "-e", script, str(port), str(seen)], port)
    last = replay(port)
    # Its parser may know a method for which it has no name (null).
    names = {(url, body): method for method, url, body in seen_by(up)}
    rows = [json.loads(x) for x in seen.read_text().splitlines()]
    compare("node", last, [(method or names.get((url, body)), url, body)
                           for method, url, body in rows])


# Answers: what a strict reading gives, or None where only a refusal will do.
OK = b"HTTP/1.1 200 OK\r\n"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
ANSWERS = {
    "plain": (OK + b"Content-Length: 2\r\n\r\nhi", b"hi"),
    "same CL twice":
    (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", None),
    "listed CL": (OK + b"Content-Length: 2, 2\r\n\r\nhi", None),
    "two CLs":
    (OK + b"Content-Length: 2\r\nContent-Length: 0\r\n\r\nhi" + EVIL, None),
    "signed CL": (OK + b"Content-Length: +2\r\n\r\nhi", None),
    "CL and TE": (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked"
                  b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n", None),
    "TE twice": (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: "
                 b"chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", None),
    "TE identity": (OK + b"Transfer-Encoding: identity\r\n\r\nhi", None),
    "TE space": (OK + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", None),
    "split": (OK + b"X: y\r\n\r\n" + EVIL, b"" + EVIL),
    "after the body": (OK + b"Content-Length: 2\r\n\r\nhi" + EVIL, b"hi"),
    "after the chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi"
                         b"\r\n0\r\n\r\n" + EVIL, b"hi"),
    "after 204": (b"HTTP/1.1 204 No\r\n\r\n" + EVIL, b""),
    "204 with CL": (b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nhi", b""),
    "304 with CL": (b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\nhi", b""),
    "after 100": (b"HTTP/1.1 100 C\r\n\r\n" + OK +
                  b"Content-Length: 2\r\n\r\nhi", b"hi"),
    "100 with a body": (b"HTTP/1.1 100 C\r\nContent-Length: 2\r\n\r\nhi" +
                        OK + b"Content-Length: 2\r\n\r\nno", None),
    "1xx flood": (b"HTTP/1.1 103 E\r\n\r\n" * 5000 + OK +
                  b"Content-Length: 2\r\n\r\nhi", b"hi"),
    "101": (b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
            None),
    "obs-fold": (OK + b"X: y\r\n z\r\nContent-Length: 2\r\n\r\nhi", None),
    "LF": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", None),
    "LF in a field": (OK + b"X: y\nZ: w\r\nContent-Length: 2\r\n\r\nhi",
                      None),
    "CR in a field": (OK + b"X: y\rZ: w\r\nContent-Length: 2\r\n\r\nhi",
                      None),
    "status 99": (b"HTTP/1.1 99 X\r\nContent-Length: 2\r\n\r\nhi", None),
    "status 1000": (b"HTTP/1.1 1000 X\r\nContent-Length: 2\r\n\r\nhi", None),
    "status 20x": (b"HTTP/1.1 20x X\r\nContent-Length: 2\r\n\r\nhi", None),
    "status -1": (b"HTTP/1.1 -12 X\r\nContent-Length: 2\r\n\r\nhi", None),
    "HTTP/2.0": (b"HTTP/2.0 200 X\r\nContent-Length: 2\r\n\r\nhi", None),
    "HTTP/0.9": (b"hi", None),
    "ICY": (b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nhi", None),
    **{f"chunk {c!r}": (OK + b"Transfer-Encoding: chunked\r\n\r\n" + c, want)
       for c, want in (
           (b"2;a=b\r\nhi\r\n0\r\n\r\n", b"hi"),
           (b"2\nhi\r\n0\r\n\r\n", None), (b"2\r\nhi0\r\n\r\n", None),
           (b"+2\r\nhi\r\n0\r\n\r\n", None), (b"0x2\r\nhi\r\n0\r\n", None),
           (b"2\r\nhixx0\r\n\r\n", None),
           (b"10000000000000002\r\nhi\r\n0\r\n\r\n", None),
           (b"2\r\nhi\r\n0\r\nContent-Length: 9\r\n\r\n", b"hi"))},
}


# The upstream closes after these: without it, a strict reader waits for more.
CLOSED = ("split", "HTTP/0.9")


def read_one(s):
    """An answer, or None for a refusal or a cut connection."""
    try:
        status, headers, body = read_response(s)
    except (OSError, ValueError, IndexError):
        return None
    if status in (502, 504) and "problem" in headers.get("content-type", ""):
        return None
    return body


def hang_up(data):
    """An answer that lasts until the connection ends, which it does."""
    yield data
    raise OSError("done")


def test_answers():
    "an odd answer is read strictly or refused; the next is one's own (18)"
    count = itertools.count()
    for what, (data, want) in ANSWERS.items():
        def answer(r):
            if r.path == "/v1/odd":
                return hang_up(data) if what in CLOSED else iter([data])
            return 200, {}, r.path.encode()
        up.answer = answer
        s = guest.tunnel("api.demo.test")
        s.settimeout(20)
        s.sendall(b"GET /v1/odd HTTP/1.1\r\n" + HOST + b"\r\n")
        got = read_one(s)
        assert got is None or got == want, (what, got)
        for conn in (s, None):
            path = f"/v1/next-{next(count)}".encode()
            conn = conn or guest.tunnel("api.demo.test")
            conn.settimeout(20)
            try:
                conn.sendall(b"GET " + path + b" HTTP/1.1\r\n" + HOST +
                             b"\r\n")
                own = read_one(conn)
            except OSError:
                own = None
            if conn is not s:
                assert own == path, (what, own)
            assert own in (None, path), (what, own)
            if conn is not s:
                conn.close()
        s.close()


tap.main(globals(), setup, teardown)
