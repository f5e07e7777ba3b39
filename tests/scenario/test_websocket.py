"""WebSockets through gate and courier: real clients and servers, a hostile
server, a hostile guest (requirements 10, 12, 18, 25)."""
import asyncio
import base64
import hashlib
import os
import secrets
import shutil
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import websockets

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import npm  # noqa: E402
import tap  # noqa: E402
from harness import UID, House, read_response, wait_for  # noqa: E402
from upstream import Upstream, make_leaf  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
STARS = "*" * len(KEY)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
house = up = guest = server = None
folder = Path(tempfile.mkdtemp(prefix="hck-ws-"))


class Server:
    """A real one, python3-websockets over TLS. It echoes; to "show" it
    answers with the key, in as many pieces as it is told."""

    def __init__(self, ca):
        self.heads, self.open, self.got = [], 0, []
        self.ca = ca[1]
        key, cert = make_leaf(folder, ["ws.demo.test"], ca)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self.run, args=(ready,),
                         daemon=True).start()
        assert ready.wait(20)

    def run(self, ready):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.serve(ready))

    async def serve(self, ready):
        async with websockets.serve(
                self.talk, "127.0.0.1", 0, ssl=self.context, max_size=None,
                subprotocols=["b", "a"]) as s:
            self.port = list(s.sockets)[0].getsockname()[1]
            ready.set()
            await asyncio.Future()

    async def talk(self, ws, path=None):
        request = getattr(ws, "request", None)
        self.heads.append(dict((request.headers if request
                                else ws.request_headers).raw_items()))
        self.open += 1
        try:
            async for m in ws:
                self.got.append(m)
                await self.answer(ws, m)
        except websockets.ConnectionClosed:
            pass
        finally:
            self.open -= 1

    async def answer(self, ws, m):
        if isinstance(m, bytes) or not m.startswith("show "):
            await ws.send(m)
            return
        step = int(m.split()[1])
        text = f"it is {KEY}, that is it"
        await ws.send(text[i:i + step] for i in range(0, len(text), step))


def setup():
    global house, up, guest, server
    os.chmod(folder, 0o755)
    up = Upstream(["api.demo.test"])
    up.names = ["api.demo.test"]
    ws = Upstream(["ws.demo.test"])
    server = Server(ws.ca)
    house = House()
    house.credential("bad", KEY, "--host", "api.demo.test")
    house.credential("demo", KEY, "--host", "ws.demo.test", "--env",
                     "DEMO_KEY")
    house.apply(
        house.grant_yaml("bad", up, credential="bad"),
        house.grant_yaml("demo", ws, credential="demo", port=server.port,
                         allow=['{ methods: [GET], paths: ["/v1/**"] }']))
    guest = house.session("agent", "bad", "demo")


def teardown():
    if house:
        house.close()
    if up:
        up.close()
    shutil.rmtree(folder, ignore_errors=True)


# ------------------------------------------------- a client of raw frames

def frame(opcode, data, fin=True, mask=b"abcd", rsv=0):
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    n, bit = len(data), 0x80 if mask else 0
    if n < 126:
        head = struct.pack(">BB", first, bit | n)
    elif n < 65536:
        head = struct.pack(">BBH", first, bit | 126, n)
    else:
        head = struct.pack(">BBQ", first, bit | 127, n)
    if mask:
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
    return head + (mask or b"") + data


def accept(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest())


class Raw:
    def __init__(self, g, host="ws.demo.test", path="/v1/x", early=b"",
                 headers="", key=None):
        self.key = key or base64.b64encode(os.urandom(16)).decode()
        self.s = g.tunnel(host)
        self.s.settimeout(20)
        self.s.sendall(
            (f"GET {path} HTTP/1.1\r\nHost: {host}\r\n"
             "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
             f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self.key}\r\n"
             f"Sec-WebSocket-Protocol: a\r\n{headers}\r\n").encode() +
            early)
        self.data = b""

    def head(self):
        while b"\r\n\r\n" not in self.data:
            more = self.s.recv(65536)
            if not more:
                raise ConnectionError(self.data)
            self.data += more
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        return head

    def opened(self):
        head = self.head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert accept(self.key) in head, head
        return self

    def refused(self):
        """The word of a refusal in HTTP."""
        with self.s:
            return guest.reason(read_response(self.s))

    def take(self, n):
        while len(self.data) < n:
            more = self.s.recv(65536)
            if not more:
                raise ConnectionError(self.data)
            self.data += more
        out, self.data = self.data[:n], self.data[n:]
        return out

    def frame(self):
        first, n = self.take(2)
        assert n < 128, "masked"
        if n >= 126:
            n = int.from_bytes(self.take(2 if n == 126 else 8), "big")
        return first & 15, self.take(n)

    def rest(self):
        """All until the end; how it ended."""
        try:
            while True:
                more = self.s.recv(65536)
                if not more:
                    return self.data, "end"
                self.data += more
        except (ConnectionError, ssl.SSLError):
            return self.data, "reset"


def reasons(since):
    return [x.get("reason") for x in house.audit_lines(guest.id)[since:]
            if x.get("reason") not in (None, "none")]


def wait_for_reason(word, since):
    wait_for(lambda: word in reasons(since))


def whole(line):
    """A pause may have let eight bytes of the key go: not more."""
    if line.startswith("it is " + KEY[:1]) and KEY not in line:
        return line[:6] + "*" * 8 + line[14:]
    return line


# ------------------------------------------------------------ real clients

def test_python_client():
    "python3-websockets, through a base URL: all kinds of messages"
    program = f"""
import asyncio, os, websockets
URL = os.environ["DEMO_BASE_URL"].replace("http", "ws", 1) + "/v1/py"
async def main():
    async with websockets.connect(URL, max_size=None,
                                  subprotocols=["a", "b"]) as ws:
        assert ws.subprotocol in ("a", "b"), ws.subprotocol
        for m in ("text", "\\u00e4\\u20ac" * 50, b"\\x00\\xff" * 300, "", b"",
                  "x" * 70000, bytes(3000000)):
            await ws.send(m)
            assert await ws.recv() == m, len(m)
        await ws.send(x for x in ("one", " and", " two"))
        assert await ws.recv() == "one and two"
        await (await ws.ping(b"hello"))
        for step in (1, 7, {len(KEY)}, 1000):
            await ws.send(f"show {{step}}")
            print(await ws.recv())
        await asyncio.gather(*[ws.send(str(i)) for i in range(100)])
        assert [await ws.recv() for i in range(100)] == \\
            [str(i) for i in range(100)]
    assert ws.close_code == 1000, ws.close_code
asyncio.run(main())
"""
    server.heads.clear()
    before = len(house.audit_lines(guest.id))
    done = guest.run("/usr/bin/python3", "-c", program)
    assert done.returncode == 0, done.stderr
    shown = [whole(x) for x in done.stdout.decode().splitlines()]
    assert shown == [f"it is {STARS}, that is it"] * 4, done.stdout
    head = {k.lower(): v for k, v in server.heads[0].items()}
    assert head["authorization"] == f"Bearer {KEY}", head
    assert "sec-websocket-extensions" not in head, head
    wait_for(lambda: house.audit_lines(guest.id)[-1]["event"] == "done")
    lines = house.audit_lines(guest.id)[before:]
    assert [x["event"] for x in lines] == ["request", "done"], lines
    assert lines[1]["status"] == 101, lines
    assert lines[1]["bytes_up"] > 3000000 < lines[1]["bytes_down"], lines
    assert "complete" in lines[1].values(), lines


NODE_CLIENT = """
const { createRequire } = require('module');
const load = createRequire(process.env.MODULES + '/x.js');
const { WebSocket } = load('ws');
const { HttpsProxyAgent } = load('https-proxy-agent');
const fs = require('fs');
const agent = new HttpsProxyAgent(process.env.HTTPS_PROXY);
const ws = new WebSocket(process.argv[2], { agent, rejectUnauthorized: true,
  ca: fs.readFileSync(process.env.NODE_EXTRA_CA_CERTS) });
const want = [['text', false], ['\\u20ac'.repeat(1000), false],
  [Buffer.alloc(200000, 7), true], ['', false]];
let seen = 0;
ws.on('open', () => { if (ws.extensions) throw ws.extensions;
  for (const [m, binary] of want) ws.send(m, { binary });
  ws.send('in ', { fin: false }); ws.send('pieces', { fin: true });
  ws.ping('p'); });
ws.on('pong', d => { console.log('pong', d.toString()); ws.send('show 3'); });
ws.on('message', (data, binary) => {
  if (seen < want.length) {
    const [m, b] = want[seen++];
    if (binary !== b || Buffer.compare(data, Buffer.from(m))) throw seen;
    return;
  }
  console.log(data.toString());
  if (++seen === want.length + 2) ws.close(4001, 'bye');
});
ws.on('close', (code, why) => console.log('close', code, why.toString()));
ws.on('error', e => { console.log('error', e.message); process.exit(1); });
"""

NODE_SERVER = """
const { createRequire } = require('module');
const load = createRequire(process.argv[2] + '/x.js');
const { WebSocketServer } = load('ws');
const fs = require('fs'), https = require('https');
const server = https.createServer({ key: fs.readFileSync(process.argv[3]),
  cert: fs.readFileSync(process.argv[4]) });
const key = process.argv[5];
new WebSocketServer({ server, perMessageDeflate: true }).on('connection',
  (ws, req) => {
  if (ws.extensions) throw ws.extensions;
  ws.on('message', (data, binary) => {
    if (data.toString() !== 'show 3') { ws.send(data, { binary }); return; }
    const text = 'it is ' + key + ', that is it';
    for (let i = 0; i < text.length; i += 3)
      ws.send(text.slice(i, i + 3), { fin: i + 3 >= text.length });
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


def node(url, modules):
    """What Node's ws prints when it talks to url."""
    (folder / "client.js").write_text(NODE_CLIENT)
    done = guest.run("env", f"MODULES={modules}", "node",
                     "/home/agent/client.js", url, bind=(
                         (modules, modules),
                         (folder / "client.js", "/home/agent/client.js")))
    assert done.returncode == 0, done
    return sorted(whole(x) for x in done.stdout.decode().splitlines())


WANT = sorted(["pong p", "in pieces", f"it is {STARS}, that is it",
               "close 4001 bye"])


def test_node_client():
    "Node's ws, through CONNECT, with python's server"
    modules = npm.install("ws@8.18.0", "https-proxy-agent@7.0.6")
    assert node("wss://ws.demo.test/v1/node", modules) == WANT


def test_node_server():
    "Node's ws at both ends; it would deflate, and is not asked to"
    modules = npm.install("ws@8.18.0", "https-proxy-agent@7.0.6")
    (folder / "server.js").write_text(NODE_SERVER)
    leaf = folder / "node"
    leaf.mkdir()
    key, cert = make_leaf(leaf, ["node.demo.test"], up.ca)
    p = subprocess.Popen(["node", folder / "server.js", modules, key, cert,
                          KEY], stdout=subprocess.PIPE)
    try:
        port = int(p.stdout.readline())
        up.names, was = ["node.demo.test"], up.names
        grant = house.grant_yaml("node", up, credential="node", port=port)
        up.names = was
        house.credential("node", KEY, "--host", "node.demo.test")
        house.apply(grant)
        global guest
        guest, first = house.session("noder", "node"), guest
        try:
            assert node("wss://node.demo.test/x", modules) == WANT
        finally:
            guest.end()
            guest = first
    finally:
        p.terminate()
        p.wait()


# -------------------------------------------------------------- the rules

def test_scope():
    "the handshake is a request: scope, credentials, form (req. 3, 12, 20)"
    server.heads.clear()
    for word, more in (
            ("path-not-granted", {"path": "/v2/x"}),
            ("foreign-credential", {"headers": "Authorization: Bearer x\r\n"}),
            ("bad-request", {"key": "c2hvcnQ="}),
            ("bad-request", {"headers": "Sec-WebSocket-Key: eHg=\r\n"}),
            ("bad-request", {"headers": "Sec-WebSocket-Version: 8\r\n"}),
            ("unsupported", {"headers": "Upgrade: h2c\r\n"})):
        assert Raw(guest, **more).refused() == word, word
    assert not server.heads
    s = guest.tunnel("ws.demo.test")
    s.sendall(b"POST /v1/x HTTP/1.1\r\nHost: ws.demo.test\r\nConnection: "
              b"Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx")
    assert guest.reason(read_response(s)) == "unsupported"


def test_refused_by_upstream():
    "a server that does not upgrade is answered as any other"
    up.answer = lambda r: (403, {"X-A": "b"}, b"no")
    raw = Raw(guest, "api.demo.test")
    status, headers, body = read_response(raw.s)
    assert (status, headers["x-a"], body) == (403, "b", b"no")
    raw.s.sendall(b"GET /v1/y HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")
    assert read_response(raw.s)[0] == 403, "and the connection goes on"


def test_nothing_before_the_101():
    "what is sent behind the handshake waits for the 101 (req. 12)"
    asked, go = threading.Event(), threading.Event()

    def late(r):
        asked.set()
        assert go.wait(20)
        yield answer101(r)
        yield frame(1, b"hello", mask=None)
    up.answer = late
    up.received.clear()
    early = frame(1, b"early bird")
    raw = Raw(guest, "api.demo.test", early=early)
    assert asked.wait(20)
    assert early not in bytes(up.received)
    assert bytes(up.received).endswith(b"\r\n\r\n")
    go.set()
    raw.opened()
    assert raw.frame() == (1, b"hello")
    wait_for(lambda: early in bytes(up.received))
    raw.s.close()


def answer101(r, key=None, more=b""):
    key = r.header("sec-websocket-key")[0] if key is None else key
    return (b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " +
            accept(key) + b"\r\n" + more + b"\r\n")


def test_bad_handshakes():
    "a server that answers the handshake badly does not open it (req. 18)"
    bad = {
        "accept": lambda r: answer101(r, key="other"),
        "extension": lambda r: answer101(
            r, more=b"Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        "protocol": lambda r: answer101(
            r, more=b"Sec-WebSocket-Protocol: c\r\n"),
        "upgrade": lambda r: answer101(r).replace(b"websocket", b"h2c"),
        "no upgrade": lambda r: answer101(r).replace(
            b"Upgrade: websocket\r\n", b""),
        "1.0": lambda r: answer101(r).replace(b"1.1", b"1.0", 1),
        "length": lambda r: answer101(r, more=b"Content-Length: 3\r\n"),
    }
    for name, make in bad.items():
        up.answer = lambda r: iter([make(r)])
        raw = Raw(guest, "api.demo.test", headers="Sec-WebSocket-Extensions:"
                  " permessage-deflate\r\nSec-WebSocket-Protocol: a\r\n")
        assert raw.refused() == "upstream-broken", name
        assert not up.requests[-1].header("sec-websocket-extensions")
    up.answer = lambda r: iter([answer101(r)])
    s = guest.tunnel("api.demo.test")
    s.sendall(b"GET /x HTTP/1.1\r\nHost: api.demo.test\r\n"
              b"Sec-WebSocket-Key: eHg=\r\n\r\n")
    assert guest.reason(read_response(s)) == "upstream-broken", "not asked"


def test_bad_frames():
    "frames of a server that are not RFC 6455's end it, unseen (req. 18)"
    bad = {
        "masked": frame(1, b"evil"), "reserved": frame(1, b"evil", mask=None,
                                                       rsv=4),
        "opcode": frame(3, b"evil", mask=None),
        "long ping": frame(9, b"evil" * 40, mask=None),
        "ping in pieces": frame(9, b"evil", mask=None, fin=False),
        "loose": frame(0, b"evil", mask=None),
        "nested": frame(1, b"", mask=None, fin=False) +
        frame(2, b"evil", mask=None),
        "close code": frame(8, b"\x03\xed" + b"evil", mask=None),
        "long length": b"\x81\x7e\x00\x04evil",
    }
    for name, data in bad.items():
        go = threading.Event()

        def talk(r):
            yield answer101(r) + frame(1, b"good", mask=None)
            assert go.wait(20)
            yield data
        up.answer = talk
        before = len(house.audit_lines(guest.id))
        raw = Raw(guest, "api.demo.test").opened()
        assert raw.frame() == (1, b"good")
        go.set()
        got, how = raw.rest()
        assert b"evil" not in got, name
        wait_for_reason("upstream-broken", before)


def test_bad_guest_frames():
    "a guest's frames are checked: what is wrong does not pass"
    bad = {"bare": frame(1, b"evil", mask=None),
           "reserved": frame(1, b"evil", rsv=4),
           "opcode": frame(11, b"evil"), "loose": frame(0, b"evil"),
           "after close": frame(8, b"\x03\xe8") + frame(1, b"evil")}
    for name, data in bad.items():
        server.got.clear()
        before = len(house.audit_lines(guest.id))
        raw = Raw(guest).opened()
        raw.s.sendall(frame(1, b"good"))
        assert raw.frame() == (1, b"good")
        raw.s.sendall(data)
        raw.rest()
        wait_for_reason("bad-request", before)
        assert server.got == ["good"], name


def test_echo_everywhere():
    "the key in frames, fragments, pings and closes, cut anywhere (req. 10)"
    k = KEY.encode()
    for cut in (0, 1, 8, 9, len(k) - 1, len(k)):
        def talk(r):
            yield answer101(r, more=b"X-Echo: " + k + b"\r\n")
            yield frame(1, b"a" + k[:cut], mask=None, fin=False)
            yield frame(9, k, mask=None)
            yield frame(0, k[cut:] + b"b", mask=None)
            yield frame(2, k.hex().encode(), mask=None)
            yield frame(8, b"\x03\xe8" + k, mask=None)
        up.answer = talk
        raw = Raw(guest, "api.demo.test")
        head = raw.head()
        assert k not in head and STARS.encode() in head, head
        text, frames = b"", []
        for _ in range(5):
            opcode, data = raw.frame()
            assert k not in data and k.hex().encode() not in data
            frames.append(opcode)
            text += data if opcode in (0, 1) else b""
        assert sorted(frames) == [0, 1, 2, 8, 9], frames
        # A pause may let eight bytes go before the rest is seen.
        assert k not in text and len(text) == len(k) + 2, text
        assert text[9:] == (STARS.encode() + b"b")[8:], (cut, text)
        raw.s.close()


def test_revoked():
    "a revocation cuts the open socket, both ends (req. 25)"
    other = house.session("other", "demo")
    raw = Raw(other).opened()
    raw.s.sendall(frame(1, b"here"))
    assert raw.frame() == (1, b"here")
    assert server.open == 1
    house.hatcheck("revoke", "--session", other.id)
    got, how = raw.rest()
    assert got == b"", (got, how)
    wait_for(lambda: server.open == 0)
    # A courier that is late, on a machine that is busy, is killed instead.
    assert any(x["event"] == "cut" for x in house.audit_lines(other.id)) or \
        f'cut_by_kill session="{other.id}"' in house.log_tail()


def test_limits():
    "a grant's limits hold on the open socket"
    up.names, was = ["ws.demo.test"], up.names
    house.apply(house.grant_yaml(
        "few", up, credential="demo", port=server.port, extra="    limits: "
        "{ bytes_up: 10KiB, concurrent: 1 }\n").replace(
            up.ca_file, str(server.ca)))
    up.names = was
    few = house.session("few", "few")
    raw = Raw(few).opened()
    raw.s.sendall(frame(1, b"x" * 5000))
    assert raw.frame() == (1, b"x" * 5000)
    assert Raw(few).refused() == "limit-concurrent"
    raw.s.sendall(frame(1, b"x" * 9000))
    raw.rest()
    wait_for(lambda: any(x.get("reason") == "limit-bytes"
                         for x in house.audit_lines(few.id)))
    wait_for(lambda: server.open == 0)


def test_idle():
    "a socket on which nothing moves is ended, when the owner says so"
    h = House()
    try:
        h.stop()
        config = h.home / "config" / "hatcheckd.yaml"
        config.write_text("limits:\n  upstream_body_seconds: 1\n")
        config.chmod(0o600)
        if os.getuid() == 0:
            os.chown(config, UID, UID)
        h.start()
        h.credential("bad", KEY, "--host", "api.demo.test")
        h.apply(h.grant_yaml("bad", up, credential="bad"))
        idler = h.session("idler", "bad")

        def talk(r):
            yield answer101(r)
            threading.Event().wait(60)
        up.answer = talk
        raw = Raw(idler, "api.demo.test").opened()
        assert raw.rest()[0] == b""
        wait_for(lambda: h.audit_lines(idler.id)[-1].get("reason") ==
                 "upstream-timeout")
    finally:
        h.close()


tap.main(globals(), setup, teardown)
