#!/usr/bin/python3
"""Real HTTP/2 servers behind the whole house: nginx, Node, nghttpd; guests
are real clients in a sandbox."""
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, wait_for  # noqa: E402
from upstream import make_ca, make_leaf  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
NAMES = ["nginx.demo.test", "node.demo.test", "nghttpd.demo.test"]
BIG = os.urandom(1 << 20) * 20
SUM = hashlib.sha256(BIG).hexdigest()
house = guest = folder = key = cert = None
running, servers = [], {}

NODE = """
const http2 = require('http2'), fs = require('fs');
const crypto = require('crypto');
const server = http2.createSecureServer({
    key: fs.readFileSync(process.argv[2]),
    cert: fs.readFileSync(process.argv[3])});
let sessions = 0;
server.on('session', () => sessions++);
server.on('stream', (s, h) => {
    const sum = crypto.createHash('sha256');
    s.on('error', () => {});
    s.on('data', d => sum.update(d));
    s.on('end', () => {
        s.respond({':status': 200, 'x-sessions': '' + sessions,
            'x-key': h.authorization === 'Bearer ' + process.argv[5]
                ? 'right' : 'wrong'}, {waitForTrailers: true});
        s.on('wantTrailers', () => s.sendTrailers({'x-end': 'node'}));
        s.end(sum.digest('hex') + ' ' + h[':path'] + '\\n');
    });
});
server.listen(+process.argv[4], '127.0.0.1');
"""


class Server:
    """What grants say of one."""

    def __init__(self, name, command, port):
        self.names, self.port, self.ca_file = [name], port, str(ca[1])
        log = open(folder / f"{name}.log", "w")
        p = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        running.append(p)

        def ready():
            assert p.poll() is None, Path(log.name).read_text()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        wait_for(ready, 20)
        servers[name] = self


def program(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    assert path, f"no {name} on this machine"
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def nginx():
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
        "worker_processes 1; events {}\nhttp {\n"
        "log_format l '$connection $server_protocol $request_uri';\n"
        f"access_log {folder}/access.log l;\n" +
        "".join(f"{k}_temp_path {folder}/{k};\n" for k in
                ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) +
        f"server {{ listen 127.0.0.1:{port} ssl http2;\n"
        f"ssl_certificate {cert}; ssl_certificate_key {key};\n"
        "keepalive_requests 20; client_max_body_size 0;\n"
        "location /said { return 200 \"$server_protocol "
        "$http_authorization\\n\"; }\n"
        f"location / {{ root {folder}/www; }} }} }}\n")
    Server("nginx.demo.test", [program("nginx"), "-p", folder, "-c",
                               folder / "nginx.conf"], port)


def node():
    port = free_port()
    (folder / "server.js").write_text(NODE)
    Server("node.demo.test", [program("node"), folder / "server.js", key,
                              cert, str(port), KEY], port)


def nghttpd():
    port = free_port()
    Server("nghttpd.demo.test", [
        program("nghttpd"), "-a", "127.0.0.1", "-d", folder / "www",
        "-m", "10", str(port), key, cert],
        port)


def setup():
    global house, guest, folder, key, cert, ca
    folder = Path(tempfile.mkdtemp(prefix="hck-h2s-"))
    os.chmod(folder, 0o755)
    (folder / "www").mkdir()
    (folder / "www" / "big").write_bytes(BIG)
    ca = make_ca(folder)
    key, cert = make_leaf(folder, NAMES, ca)
    os.chmod(key, 0o644)
    for start in (nginx, node, nghttpd):
        start()
    house = House()
    house.credential("demo", KEY, *[w for n in NAMES for w in
                                    ("--host", n)])
    house.apply(*[house.grant_yaml(n.split(".")[0], servers[n],
                                   credential="demo") for n in NAMES])
    guest = house.session("agent", *[n.split(".")[0] for n in NAMES])


def teardown():
    if house:
        house.close()
    for p in running:
        p.terminate()
        p.wait()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def shell(script):
    done = guest.run("sh", "-c", script)
    return done.stdout.decode() + done.stderr.decode()


def test_said():
    "the server heard HTTP/2 and the key; the guest reads neither"
    said = shell("curl -sS https://nginx.demo.test/said")
    assert said.startswith("HTTP/2.0 Bearer ") and KEY not in said, said
    said = shell("curl -sSi https://node.demo.test/x")
    assert "x-key: right" in said, said


def test_down():
    "20 MiB come down whole, from each"
    for name in ("nginx.demo.test", "nghttpd.demo.test"):
        said = shell(f"curl -sS https://{name}/big | sha256sum")
        assert said.split()[0] == SUM, (name, said)


def test_up():
    "20 MiB go up whole, with a length and without"
    for how in ("--data-binary @/tmp/x", "-T - </tmp/x"):
        said = shell("head -c 20971520 /dev/zero >/tmp/x; curl -sS "
                     f"{how} https://node.demo.test/up")
        want = hashlib.sha256(bytes(20971520)).hexdigest()
        assert said.split() == [want, "/up"], (how, said)


def test_trailers():
    "trailers of a real server reach the guest"
    said = shell("curl -sS --http1.1 --raw https://node.demo.test/x | "
                 "tail -c 40 | tr -d '\\r'")
    assert said.rstrip("\n").endswith("0\nx-end: node"), said


def test_many_at_once():
    "parallel requests of a guest are one connection of the server's"
    before = shell("curl -sSI https://node.demo.test/before")
    before = int(before.partition("x-sessions: ")[2].split()[0])
    said = shell("curl -sS --no-progress-meter --parallel --parallel-max "
                 "40 -D - -o /dev/null "
                 "'https://node.demo.test/[1-80]' -o /dev/null")
    seen = [x for x in said.splitlines() if x.startswith("x-sessions")]
    assert len(seen) == 80, said
    # One, if this client brought a new token family.
    assert max(int(x.split()[1]) for x in seen) <= before + 1, set(seen)


def test_goaway():
    "a server that closes after 20 requests each time loses none"
    for _ in range(3):
        said = shell("curl -sS --no-progress-meter --parallel "
                     "--parallel-max 10 -w '%{http_code}\\n' -o '/tmp/#1' "
                     "'https://nginx.demo.test/said?[1-60]'")
        assert said.split() == ["200"] * 60, said
    log = (folder / "access.log").read_text().splitlines()
    seen = [x.split()[2] for x in log if "/said?" in x]
    assert sorted(set(seen)) == sorted(f"/said?{i}" for i in range(1, 61))
    assert len(seen) == 180, "each reached it once"
    assert all(x.split()[1] == "HTTP/2.0" for x in log)


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
