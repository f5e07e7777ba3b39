"""Coded answers, event streams, ranges, and replies that mint secrets
(requirements 10 to 13), with real servers and clients where there are."""
import base64
import gzip
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path

import brotli
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, wait_for  # noqa: E402
from upstream import Upstream, make_leaf  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
SHOWN = "canary-" + secrets.token_hex(20)
URL = "https://api.demo.test/v1/x"
TEXT = ("".join(f'{{"line": {i}, "of": "{KEY[:11]}"}}\n'
                for i in range(2000))).encode()
house = up = shown = web = guest = None
folder = Path(tempfile.mkdtemp(prefix="hck-codings-"))
children = []


def zstd(data):
    return zstandard.ZstdCompressor().compress(data)


CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress,
           "br": brotli.compress, "zstd": zstd}


def reader(coding):
    """A decoder that shows as much as its input tells."""
    if coding == "br":
        return brotli.Decompressor().process
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress
    return zlib.decompressobj(31 if coding == "gzip" else 15).decompress


def writer(coding):
    """A function that codes and flushes a piece, and one for the end."""
    if coding == "br":
        c = brotli.Compressor()
        return lambda x: c.process(x) + c.flush(), c.finish
    if coding == "zstd":
        c = zstandard.ZstdCompressor().compressobj()
        return lambda x: c.compress(x) + c.flush(
            zstandard.COMPRESSOBJ_FLUSH_BLOCK), c.flush
    c = zlib.compressobj(6, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    return lambda x: c.compress(x) + c.flush(zlib.Z_SYNC_FLUSH), c.flush


def setup():
    global house, up, shown, web, guest
    os.chmod(folder, 0o755)
    up, shown = Upstream(["api.demo.test"]), Upstream(["shown.demo.test"])
    web = Upstream(["web.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test", "--host",
                     "web.demo.test")
    house.credential("shown", SHOWN, "--host", "shown.demo.test", "--echoes")
    house.apply(house.grant_yaml("demo", up, credential="demo"),
                house.grant_yaml("shown", shown, credential="shown"),
                house.grant_yaml("web", web, credential="demo",
                                 port=nginx()))
    guest = house.session("agent", "demo", "shown", "web")


def teardown():
    for p in children:
        p.terminate()
        p.wait()
    if house:
        house.close()
    for u in (up, shown, web):
        if u:
            u.close()
    shutil.rmtree(folder, ignore_errors=True)


def nginx():
    """A real server that codes what it serves."""
    import socket
    path = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not path:
        return web.port
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    key, cert = make_leaf(folder, ["web.demo.test"], web.ca)
    (folder / "www").mkdir()
    (folder / "www" / "lines.json").write_bytes(TEXT)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
        "worker_processes 1; events {}\nhttp { access_log off;\n" +
        "".join(f"{k}_temp_path {folder}/{k};\n" for k in
                ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) +
        "gzip on; gzip_types *; gzip_min_length 1;\n"
        f"server {{ listen 127.0.0.1:{port} ssl;\n"
        f"ssl_certificate {cert}; ssl_certificate_key {key};\n"
        "location / { add_header X-Auth $http_authorization;\n"
        f"root {folder}/www; }} }} }}\n")
    children.append(subprocess.Popen(
        [path, "-p", folder, "-c", folder / "nginx.conf"],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def ready():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_for(ready, 20)
    return port


def accept(value):
    return ("Accept-Encoding", value)


def test_as_it_came():
    "a clean answer in any coding reaches the guest to the byte (req. 10)"
    for coding, code in CODINGS.items():
        body = code(TEXT)
        up.answer = lambda r: (200, {"Content-Encoding": coding,
                                     "X-A": "b"}, body)
        status, headers, got = guest.get(URL, accept(f"x-odd, {coding};q=1"))
        assert (status, got) == (200, body), coding
        assert headers["content-encoding"] == coding
        assert up.requests[-1].header("accept-encoding") == [f"{coding};q=1"]

        def pieces(r):
            yield (b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n" % coding.encode())
            for i in range(0, len(body), 97):
                part = body[i:i + 97]
                yield b"%x\r\n%s\r\n" % (len(part), part)
            yield b"0\r\nX-T: u\r\n\r\n"
        up.answer = pieces
        assert guest.get(URL)[2] == body, coding
        assert not up.requests[-1].header("accept-encoding")


def test_large():
    "large coded answers flow through, to the byte, at the guest's pace"
    text = base64.b64encode(os.urandom(9 << 20))
    for coding, code in CODINGS.items():
        body = brotli.compress(text, quality=1) if coding == "br" \
            else code(text)
        up.answer = lambda r: (200, {"Content-Encoding": coding}, body)
        status, _, got = guest.get(URL)
        assert status == 200 and got == body, (coding, len(got), len(body))


def test_nginx_and_curl():
    "curl --compressed reads what nginx has coded; the key stays out"
    if not children:
        raise tap.Skip("no nginx on this machine")
    url = "https://web.demo.test/lines.json"
    done = guest.run("curl", "-sS", "--suppress-connect-headers",
                     "--compressed", "-D", "-", url)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower(), head
    assert body == TEXT, (len(body), len(TEXT))
    assert b"x-auth: bearer ****" in head.lower(), head
    done = guest.run("curl", "-sS", "-r", "100-199", "--compressed", url)
    assert done.stdout == TEXT[100:200], done


def ended(take):
    """What a guest got before the answer ended or was refused."""
    try:
        status, _, body = take()
        return status, body
    except (ConnectionError, OSError, ValueError) as e:
        return 0, str(e).encode()


def wait_for_reason(word, since):
    def there():
        lines = house.audit_lines(guest.id)[since:]
        return [x for x in lines if x.get("reason") == word]
    wait_for(there)


def seen_of(s, coding):
    """All that a guest can read of one answer that ends badly."""
    raw, read, text = b"", reader(coding), b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                break
            raw += more
    except OSError:
        pass
    body = raw.partition(b"\r\n\r\n")[2]
    plain = b""
    while b"\r\n" in body:
        n, _, body = body.partition(b"\r\n")
        plain, body = plain + body[:int(n, 16)], body[int(n, 16) + 2:]
    for c in range(len(plain)):
        try:
            text += read(plain[c:c + 1])
        except (zlib.error, brotli.error, zstandard.ZstdError):
            break
    return raw, text


def test_echo():
    "an echoed key ends a coded answer, wherever it stands, however cut (10)"
    for coding, code in CODINGS.items():
        for where in (0, 1000, len(TEXT)):
            body = code(TEXT[:where] + KEY.encode() + TEXT[where:])
            for step in (61, len(body)):
                def pieces(r):
                    yield (b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\n"
                           b"Transfer-Encoding: chunked\r\n\r\n" %
                           coding.encode())
                    for i in range(0, len(body), step):
                        part = body[i:i + step]
                        yield b"%x\r\n%s\r\n" % (len(part), part)
                    yield b"0\r\n\r\n"
                up.answer = pieces
                before = len(house.audit_lines(guest.id))
                s = guest.tunnel("api.demo.test")
                s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: api.demo.test\r\n"
                          b"Connection: close\r\n\r\n")
                raw, text = seen_of(s, coding)
                s.close()
                assert KEY.encode() not in raw, (coding, where)
                assert KEY.encode() not in text, (coding, where)
                wait_for_reason("credential-echo", before)


def test_in_words():
    "a small one is refused in words: nothing of it had passed"
    body = brotli.compress(KEY.encode())
    up.answer = lambda r: (200, {"Content-Encoding": "br"}, body)
    got = guest.get(URL)
    assert got[0] == 502 and guest.reason(got) == "credential-echo", got


def test_fails_closed():
    "broken, cut, unknown, nested codings and bombs do not pass (11, 39)"
    good = gzip.compress(TEXT)
    bad = {"unknown": ("compress", good), "twice": ("gzip, br", good),
           "other": ("br", good), "garbage": ("gzip", good + b"garbage"),
           "cut": ("zstd", zstd(TEXT)[:-5]),
           "bare": ("deflate", zlib.compress(TEXT)[2:-4]),
           "bomb": ("br", brotli.compress(bytes(64 << 20), quality=5)),
           "bomb2": ("gzip", gzip.compress(bytes(64 << 20)))}
    for name, (coding, body) in bad.items():
        up.answer = lambda r: (200, {"Content-Encoding": coding}, body)
        before = len(house.audit_lines(guest.id))
        status, got = ended(lambda: guest.get(URL))
        assert status != 200 or len(got) < len(body), name
        wait_for_reason("upstream-encoded", before)
    up.answer = lambda r: (200, {"Content-Encoding": "gzip"}, good)
    assert guest.get(URL)[2] == good, "and it still works"
    assert guest.request("HEAD", URL)[0] == 200


def ranged(r):
    body = b"shown: " + SHOWN.encode()
    if not r.header("range"):
        return 200, {}, body
    a, b = r.header("range")[0].removeprefix("bytes=").split("-")
    part = body[int(a):int(b) + 1]
    return 206, {"Content-Range": f"bytes {a}-{b}/{len(body)}"}, part


def test_ranges():
    "where answers may show the key none is asked for in parts (10)"
    up.answer = ranged
    got = guest.get(URL, ("Range", "bytes=1-3"), accept("gzip"))
    assert (got[0], got[2]) == (206, b"how")
    assert up.requests[-1].header("accept-encoding") == ["identity"]
    url = "https://shown.demo.test/x"
    shown.answer = ranged
    for part in ("bytes=0-20", "bytes=21-80"):
        got = guest.get(url, ("Range", part), ("If-Range", '"x"'))
        assert got[0] == 200 and SHOWN.encode() not in got[2], got
        assert got[2] == b"shown: " + b"*" * len(SHOWN)
        r = shown.requests[-1]
        assert not r.header("range") and not r.header("if-range")
    shown.answer = lambda r: (206, {"Content-Range": "bytes 0-3/9"}, b"abcd")
    got = guest.get(url)
    assert got[0] == 502 and guest.reason(got) == "upstream-broken", got


def test_minted():
    "a token endpoint's reply does not reach the guest; others do (13)"
    new = "minted-" + secrets.token_hex(8)
    oauth = {"access_token": new, "token_type": "bearer"}
    form = f"access_token={new}&scope=&token_type=bearer".encode()
    docker = {"token": new, "access_token": new, "expires_in": 300}
    for kind, body, good in (
            ("application/json", json.dumps(oauth).encode(), False),
            ("application/json", json.dumps(docker).encode(), True),
            ("application/x-www-form-urlencoded", form, False)):
        for coding, code in [("identity", bytes)] + list(CODINGS.items()):
            coded = code(body)
            up.answer = lambda r: (200, {"Content-Type": kind,
                                         "Content-Encoding": coding}, coded)
            before = len(house.audit_lines(guest.id))
            status, got = ended(lambda: guest.get(URL))
            if good:
                assert (status, got) == (200, coded), (coding, got)
            else:
                assert new.encode() not in got
                wait_for_reason("minted-secret", before)


class Events:
    """An event stream that goes on only when the guest has answered."""

    def __init__(self, coding):
        self.code, self.end = writer(coding) if coding else (bytes, bytes)
        self.coding, self.seen = coding, threading.Semaphore(0)

    def __call__(self, r):
        if r.method == "POST":
            self.seen.release()
            return 200, {}, b"ok"
        return self.stream()

    def stream(self):
        yield (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" +
               (b"Content-Encoding: %s\r\n" % self.coding.encode()
                if self.coding else b"") +
               b"Transfer-Encoding: chunked\r\n\r\n")
        for n in range(5):
            # Its end might begin the key.
            piece = self.code(b"data: %d %s" % (n, KEY[:n].encode()))
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
            if not self.seen.acquire(timeout=20):
                raise OSError
        end = self.end()
        if end:
            yield b"%x\r\n%s\r\n" % (len(end), end)
        yield b"0\r\n\r\n"


def test_events():
    "each event arrives before the next is sent, plain or coded (10)"
    for coding in (None, *CODINGS):
        up.answer = Events(coding)
        read = reader(coding) if coding else bytes
        s = guest.tunnel("api.demo.test")
        s.settimeout(20)
        s.sendall(b"GET /v1/events HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")
        f, text = s.makefile("rb"), b""
        while f.readline() != b"\r\n":
            pass
        want = b""
        for n in range(5):
            want += b"data: %d %s" % (n, KEY[:n].encode())
            while len(text) < len(want):
                size = int(f.readline(), 16)
                assert size > 0, (coding, text)
                text += read(f.read(size))
                f.readline()
            assert text == want, (coding, text)
            assert guest.request("POST", URL, body=b"")[0] == 200
        while (size := int(f.readline(), 16)) > 0:
            assert read(f.read(size)) == b""
            f.readline()
        s.close()


tap.main(globals(), setup, teardown)
