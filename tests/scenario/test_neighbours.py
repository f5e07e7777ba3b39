#!/usr/bin/env python3
"""Two guests side by side, each in namespaces of its own as a container has
them: neither can use the other's socket, bridge, token, root certificate or
TLS ticket (requirements 23, 33, 37)."""
import json
import secrets
import ssl
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, read_response, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEYS = {"a": "canary-" + secrets.token_hex(20),
        "b": "canary-" + secrets.token_hex(20)}
HOST = "api.demo.test"
house = up = a = b = None


def setup():
    global house, up, a, b
    up = Upstream([HOST])
    house = House()
    for name, key in KEYS.items():
        house.credential(name, key, "--host", HOST)
    house.apply(*(house.grant_yaml(name, up, credential=name)
                  for name in KEYS))
    a, b = house.session("one", "a"), house.session("two", "b")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def python(guest, code, *words):
    """Run code in the guest's sandbox; what it prints, as JSON."""
    done = guest.run("/usr/bin/python3", "-c", code, *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_both_work():
    "each is served with its own key, at the same time"
    first = [g.start("curl", "-sS", "--fail", f"https://{HOST}/{n}")
             for n, g in (("a", a), ("b", b))]
    for p in first:
        out, err = p.communicate(timeout=60)
        assert (p.returncode, out) == (0, b"hello\n"), err
    got = {r.path: r.header("authorization") for r in up.requests}
    assert got == {f"/{n}": [f"Bearer {KEYS[n]}"] for n in KEYS}, got


LOOK = """
import json, os, socket, stat, sys
sockets, said = [], []
for top, dirs, files in os.walk('/'):
    dirs[:] = [d for d in dirs if os.path.join(top, d) not in
               ('/proc', '/usr', '/dev')]
    for f in files:
        p = os.path.join(top, f)
        if stat.S_ISSOCK(os.lstat(p).st_mode):
            sockets.append(p)
for p in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(p)
        said.append('connected')
    except OSError as e:
        said.append(e.strerror)
pids = [p for p in os.listdir('/proc') if p.isdigit()]
for p in pids:
    for s in sys.argv[1:3]:
        assert not os.path.exists('/proc/%s/root%s' % (p, s))
print(json.dumps([sockets, said, len(pids)]))
"""


def test_sockets():
    "a guest finds one socket, its own; the other's name leads nowhere"
    for mine, other in ((a, b), (b, a)):
        sockets, said, _ = python(mine, LOOK, other.socket, mine.socket,
                                  "/run/hatcheck/hatcheck.sock")
        assert sockets == ["/run/hatcheck/hatcheck.sock"], sockets
        assert said == ["No such file or directory"] * 2 + ["connected"]


def test_bridges():
    "a guest's loopback bridge is not the other's"
    code = ("import json, socket, sys, time\n"
            "s = socket.socket()\n"
            "print(json.dumps(s.connect_ex(('127.0.0.1', 8399))))\n"
            "sys.stdout.flush()\n")
    serving = a.start("/run/hatcheck-guest", "serve", "--port", "8399")
    try:
        assert b"serving on 127.0.0.1:8399" in serving.stderr.readline()
        assert python(b, code) == 111  # ECONNREFUSED
    finally:
        serving.kill()
        serving.communicate()


ASK = """
import json, socket, sys
host, *tokens = sys.argv[1:]
said = []
for t in tokens:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect('/run/hatcheck/hatcheck.sock')
    s.sendall(('CONNECT %s:443 HTTP/1.1\\r\\nHost: %s:443\\r\\n'
               'Proxy-Authorization: Bearer %s\\r\\n\\r\\n'
               % (host, host, t)).encode())
    said.append(int(s.recv(4096).split()[1]))
    s.close()
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect('/run/hatcheck/hatcheck.sock')
    s.sendall(('ATTACH %s\\r\\nCONNECT %s:443 HTTP/1.1\\r\\nHost: %s:443'
               '\\r\\n\\r\\n' % (t, host, host)).encode())
    said.append(int(s.recv(4096).split()[1]))
print(json.dumps(said))
"""


def test_tokens():
    "the other's token is refused on each way in, one's own is not"
    ta, tb = a.new_token(), b.new_token()
    assert python(a, ASK, HOST, tb, ta) == [407, 407, 200, 200]
    assert python(b, ASK, HOST, ta, tb) == [407, 407, 200, 200]


def test_placeholders():
    "the other's placeholder is a foreign credential, and goes nowhere"
    n = len(up.requests)
    for mine, other, name in ((a, b, "b"), (b, a, "a")):
        done = mine.run("curl", "-sS", "-o", "/dev/null", "-w",
                        "%{http_code}", "-H", "Authorization: Bearer " +
                        other.placeholder(name), f"https://{HOST}/x")
        assert done.stdout == b"403", done
    assert len(up.requests) == n


def test_roots():
    "the other's root certificate proves nothing of one's own hosts"
    for mine, other in ((a, b), (b, a)):
        assert mine.ca() != other.ca()
        code = ("import json, pathlib, subprocess, sys\n"
                "pathlib.Path('/tmp/ca').write_text(sys.argv[1])\n"
                "print(json.dumps(subprocess.run(['curl', '-s', '-o', "
                "'/dev/null', '--capath', '/nonexistent', '--cacert', "
                f"'/tmp/ca', 'https://{HOST}/x']).returncode))")
        assert python(mine, code, other.ca()) == 60  # not verified
        assert python(mine, code, mine.ca()) == 0


def test_tickets():
    "a TLS ticket of one guest's gate is nothing to the other's"
    context = ssl.create_default_context(cadata=a.ca() + b.ca())

    def talk(guest, session):
        s = guest.attach(guest.new_token())
        s.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n"
                  .encode())
        assert read_response(s, connect=True)[0] == 200
        s = context.wrap_socket(s, server_hostname=HOST, session=session)
        s.sendall(f"GET /t HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert read_response(s)[0] == 200
        got = s.session_reused, s.session
        s.close()
        return got

    _, ticket = talk(a, None)
    assert ticket.has_ticket
    assert talk(b, ticket)[0] is False
    assert talk(a, ticket)[0] is True  # so it was a good one


LINGER = """
import select, socket, struct, time
kept = []
def lingers():
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    l.bind(('127.0.0.1', 0))
    l.listen(1)
    s = socket.create_connection(l.getsockname())
    kept.append(l.accept()[0])
    s.setblocking(False)
    while select.select([], [s], [], .3)[1]:
        s.send(bytes(65536))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 3600))
    return s
def put(s):
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].connect('/run/hatcheck/hatcheck.sock')
    try:
        socket.send_fds(kept[-1], [b'G'], [s.fileno()])
    except PermissionError:  # Linux 6.16
        kept.append(s)
        return 'refused'
    s.close()
    return 'sent'
first, *more = [lingers() for _ in range(4)]
put(first)      # its gate throws that away, and waits
time.sleep(1)
for s in more:  # nobody takes these
    put(s)
print(put(lingers()), flush=True)
time.sleep(3600)
"""


def test_lingering():
    "whose closing takes long, put into a channel, holds up no neighbour"
    c = house.session("three", "a")
    p = c.start("/usr/bin/python3", "-c", LINGER)
    try:
        said = p.stdout.readline().decode().strip()
        assert said in ("refused", "sent")
        if said == "refused":  # else its gate waits, which harms itself
            assert c.get(f"https://{HOST}/x")[0] == 200
        c.end()
        d = house.session("four", "a")  # hatcheckd is there for others
        assert d.get(f"https://{HOST}/x")[0] == 200
        d.end()
    finally:
        p.kill()
        p.communicate()


def test_end():
    "one ends, and the other goes on"
    a.end()
    wait_for(lambda: not Path(a.socket).exists())
    assert b.run("curl", "-sS", "--fail", f"https://{HOST}/x").stdout == \
        b"hello\n"


tap.main(globals(), setup, teardown)
