"""A corporate proxy in hatcheckd.yaml: tinyproxy, Squid and microsocks, and
proxies that lie. The name of the upstream is known to the proxies alone."""
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID, read_response, wait_for  # noqa: E402
from upstream import Upstream, make_ca, make_leaf  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
HOST = "api.demo.test"
TUNNEL = "plain.demo.test"
folder = Path(tempfile.mkdtemp(prefix="hck-proxy-"))
house = up = guest = env_trap = None
programs = []


class Hostile:
    """A listener that answers each connection by answer(socket, head), and
    keeps what it was sent."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda s, head: None)
        self.got, self.connections = bytearray(), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.one, args=(s,), daemon=True).start()

    def one(self, s):
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                more = s.recv(4096)
                if not more:
                    return
                head += more
            self.got += head
            self.answer(s, head)
            while more := s.recv(65536):
                self.got += more
        except OSError:
            pass
        finally:
            s.close()

    def close(self):
        self.listener.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def spawn(port, *command):
    """With a hosts file of its own."""
    wrap = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    out = open(folder / f"log-{port}", "w")
    p = subprocess.Popen(
        [*wrap, "sh", "-c", f"mount --bind {folder}/hosts /etc/hosts && "
         'exec "$@"', "-", *command], stdout=out, stderr=out,
        stdin=subprocess.DEVNULL)
    programs.append(p)

    def answers():
        assert p.poll() is None, (folder / f"log-{port}").read_text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_for(answers, 30)
    return port


def tinyproxy():
    port = free_port()
    (folder / "tiny.conf").write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\n"
        "Allow 127.0.0.1\n")
    return spawn(port, "tinyproxy", "-d", "-c", str(folder / "tiny.conf"))


def squid():
    port = free_port()
    (folder / "squid.conf").write_text(
        f"http_port 127.0.0.1:{port}\nhosts_file {folder}/hosts\n"
        "dns_nameservers 127.0.0.1\nhttp_access allow all\ncache deny all\n"
        f"pid_filename none\naccess_log none\ncoredump_dir {folder}\n"
        f"cache_log {folder}/squid.log\nshutdown_lifetime 0\n"
        "pinger_enable off\n")
    return spawn(port, "squid", "-N", "-f", str(folder / "squid.conf"))


def microsocks():
    port = free_port()
    return spawn(port, "microsocks", "-i", "127.0.0.1", "-p", str(port))


def write(url, more=""):
    path = house.home / "config" / "hatcheckd.yaml"
    path.write_text(f"proxy:\n  url: {url}\n{more}" if url else "")
    os.chmod(path, 0o600)
    if os.getuid() == 0:
        os.chown(path, UID, UID)


def use(url, more=""):
    """As a user would: write it, and have it read."""
    def count():
        return house.log_tail(100000).count("configuration_read")
    before = count()
    write(url, more)
    os.kill(house.supervisor(), signal.SIGHUP)
    wait_for(lambda: count() > before)
    if up:  # what idled went another way: it is closed
        wait_for(lambda: not up.live)


def grant(name, host, credential=None, extra=""):
    return (f"  - name: {name}\n" +
            (f"    credential: {credential}\n" if credential else "") +
            f"    hosts: [\"{host}:{up.port}\"]\n" + (extra or
            "    allow: [ { methods: [\"*\"], paths: [\"/**\"] } ]\n"
            f"    upstream: {{ ca_file: {up.ca_file} }}\n"))


def setup():
    global house, up, guest, env_trap
    missing = [p for p in ("squid", "tinyproxy", "microsocks")
               if not shutil.which(p, path="/usr/sbin:/usr/bin:/sbin:/bin")]
    assert not missing, missing
    os.chmod(folder, 0o777)
    (folder / "hosts").write_text(
        f"127.0.0.1 localhost {HOST} {TUNNEL}\n")
    up = Upstream([HOST, TUNNEL, "direct.demo.test"])
    env_trap = Hostile()
    trap = f"http://127.0.0.1:{env_trap.port}"
    house = House(env={n: trap for n in (
        "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY",
        "ALL_PROXY", "all_proxy")})
    house.credential("demo", KEY, "--host", f"{HOST}:{up.port}")
    house.apply(
        grant("demo", HOST, "demo"),
        grant("tunnel", TUNNEL, extra="    tunnel: true\n"),
        grant("local", "localhost"), grant("private", "127.0.0.1"),
        house.grant_yaml("direct", up, hosts=["direct.demo.test"]))
    guest = house.session("agent", "demo", "tunnel", "local", "private",
                          "direct")


def teardown():
    if house:
        house.close()
    for p in programs:
        p.terminate()
        p.wait(20)
    for u in (up, env_trap):
        if u:
            u.close()
    shutil.rmtree(folder, ignore_errors=True)


def url(path="/x", host=HOST):
    return f"https://{host}:{up.port}{path}"


def last_done():
    return [x for x in house.audit_lines(guest.id) if x["event"] == "done"
            ][-1]


def works(scheme, port):
    use(f"{scheme}://127.0.0.1:{port}")
    up.forget()
    assert guest.get(url())[0] == 200
    assert up.requests[0].header("authorization") == [f"Bearer {KEY}"]
    assert last_done()["address"] == f"via 127.0.0.1:{port}"
    big = secrets.token_bytes(3 << 20)
    usual, up.answer = up.answer, lambda r: (200, {}, r.body)
    got = guest.request("POST", url("/big"), body=big)
    up.answer = usual
    assert got[0] == 200 and got[2] == big
    # A tunnel: end to end TLS with the upstream's own certificate.
    s = guest.attach()
    s.sendall(f"CONNECT {TUNNEL}:{up.port} HTTP/1.1\r\n"
              f"Host: {TUNNEL}:{up.port}\r\n\r\n".encode())
    assert read_response(s, connect=True)[0] == 200
    context = ssl.create_default_context(cafile=up.ca_file)
    s = context.wrap_socket(s, server_hostname=TUNNEL)
    s.sendall(f"GET /t HTTP/1.1\r\nHost: {TUNNEL}\r\n\r\n".encode())
    assert read_response(s)[0] == 200
    s.close()


def test_tinyproxy():
    "through tinyproxy: key, large bodies and a tunnel arrive"
    works("http", tinyproxy())


def test_squid():
    "through Squid: the same"
    works("http", squid())


def test_socks5():
    "through microsocks: the same, and it resolves the name"
    works("socks5", microsocks())


def test_not_by_environment():
    "a proxy in the environment is not used, without and with one of ours"
    use(None)
    assert guest.get(f"https://direct.demo.test/x")[0] == 200
    use(f"http://127.0.0.1:{free_port()}")
    assert guest.get(url())[0] == 502
    assert env_trap.connections == 0


def test_addresses_go_past():
    "a host with addresses in its grant is dialled directly"
    h = Hostile()
    use(f"http://127.0.0.1:{h.port}")
    up.forget()
    assert guest.get("https://direct.demo.test/x")[0] == 200
    assert up.connections == 1 and h.connections == 0
    h.close()


def test_private_hosts():
    "localhost and private addresses are not even asked of the proxy"
    h = Hostile(lambda s, _: s.sendall(b"HTTP/1.1 200 OK\r\n\r\n"))
    use(f"http://127.0.0.1:{h.port}")
    for b in guest.environment["bases"]:
        if b["grant"] not in ("local", "private"):
            continue
        s = guest.attach()
        s.sendall(f"GET {b['path']}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                  .encode())
        got = read_response(s)
        assert guest.reason(got) == "address-forbidden", got
    assert h.connections == 0
    h.close()


def test_no_proxy():
    "what no_proxy names is not asked of the proxy, and the rule holds there"
    h = Hostile(lambda s, _: s.sendall(b"HTTP/1.1 200 OK\r\n\r\n"))
    use(f"http://127.0.0.1:{h.port}",
        "  no_proxy: [localhost, '*.demo.test']\n")
    b = next(b for b in guest.environment["bases"] if b["grant"] == "local")
    s = guest.attach()
    s.sendall(f"GET {b['path']}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
              .encode())
    got = read_response(s)
    assert guest.reason(got) == "address-forbidden", got
    assert h.connections == 0
    h.close()


def refused(answer, reason):
    h = Hostile(answer)
    use(f"http://127.0.0.1:{h.port}")
    up.forget()
    got = guest.get(url())
    assert got[0] == 502 and guest.reason(got) == reason, got
    assert h.got.startswith(
        f"CONNECT {HOST}:{up.port} HTTP/1.1\r\n".encode()), bytes(h.got)
    assert KEY.encode() not in h.got and not up.received
    h.close()


def says(data):
    def answer(s, _):
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    return answer


def test_refusing_proxies():
    "a proxy that says no, or nothing that makes sense: proxy-failed"
    for data in (b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n",
                 b"HTTP/1.1 403 Forbidden\r\n\r\n",
                 b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1\r\n\r\nx",
                 b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
                 b"HTTP/1.1 200 OK\nX: y\n\n",
                 b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
                 b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0", b"HTTP/1.1 200 OK",
                 b""):
        refused(says(data), "proxy-failed")
    said = [x for x in house.log_tail(1000).splitlines()
            if "proxy_refused" in x]
    assert any("status=407" in x for x in said), said


def test_silent_proxy():
    "a proxy that never answers is given up on"
    refused(lambda s, _: s.recv(1), "proxy-failed")


def test_dead_proxy():
    "no proxy there: proxy-failed, and the log says who"
    port = free_port()
    use(f"http://127.0.0.1:{port}")
    got = guest.get(url())
    assert got[0] == 502 and guest.reason(got) == "proxy-failed", got
    assert "proxy_unreachable" in house.log_tail(50)


def test_man_in_the_middle():
    "a proxy that ends TLS itself never sees the key"
    bad = folder / "bad"
    bad.mkdir(exist_ok=True)
    key, cert = make_leaf(bad, [HOST], make_ca(bad))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    seen = bytearray()

    def answer(s, _):
        s.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        t = context.wrap_socket(s, server_side=True)
        seen.extend(t.recv(65536))
    refused(answer, "upstream-tls")
    refused(says(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n"
                 b"Content-Length: 2\r\n\r\nhi"), "upstream-tls")
    assert KEY.encode() not in seen


def test_hostile_socks():
    "a SOCKS5 proxy that wants a password, refuses or lies: proxy-failed"
    for first, second in ((b"\5\2", b""), (b"\5\xff", b""), (b"\4\0", b""),
                          (b"\5\0", b"\5\2\0\1\0\0\0\0\0\0"),
                          (b"\5\0", b"\5\0\0\x09\0\0\0\0\0\0"),
                          (b"\5\0", b"\5\0\0\3\xff" + b"a" * 9)):
        listener = socket.create_server(("127.0.0.1", 0))
        got = bytearray()

        def serve():
            s, _ = listener.accept()
            got.extend(s.recv(3))
            s.sendall(first)
            got.extend(s.recv(1000))
            s.sendall(second)
            s.shutdown(socket.SHUT_WR)
            while more := s.recv(1000):
                got.extend(more)
            s.close()

        def quietly():
            try:
                serve()
            except OSError:
                pass
        threading.Thread(target=quietly, daemon=True).start()
        use(f"socks5://127.0.0.1:{listener.getsockname()[1]}")
        answer = guest.get(url())
        assert answer[0] == 502, answer
        assert guest.reason(answer) == "proxy-failed", answer
        assert got.startswith(b"\5\1\0"), got  # no password is offered
        if first == b"\5\0":
            assert HOST.encode() in got, "the proxy is to resolve"
        assert KEY.encode() not in got
        listener.close()


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
