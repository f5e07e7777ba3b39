"""The secret goes only where it is bound (requirements 1 to 9)."""
import base64
import os
import secrets
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, Refused, read_response  # noqa: E402
from scratch import scratch  # noqa: E402
from upstream import Upstream, make_ca, make_leaf  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
KEY2 = "canary-" + secrets.token_hex(20)
house = up = guest = None
others = []


def setup():
    global house, up, guest
    up = Upstream(["api.demo.test", "two.demo.test", "free.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test", "--host",
                     "two.demo.test")
    house.credential("second", KEY2, "--host", "api.demo.test")
    house.apply(
        house.grant_yaml("one", up, credential="demo",
                         hosts=["api.demo.test"]),
        house.grant_yaml("two", up, credential="demo",
                         hosts=["two.demo.test"]),
        house.grant_yaml("free", up, hosts=["free.demo.test"]),
        house.grant_yaml("second", up, credential="second",
                         hosts=["api.demo.test"]))
    guest = house.session("agent", "one", "two", "free")


def teardown():
    if house:
        house.close()
    for u in [up, *others]:
        if u:
            u.close()


def ask(connect, sni, host, path="/x"):
    """One request with three names; the status, or None when cut."""
    try:
        s = guest.tunnel(connect, sni=sni)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return read_response(s)[0]
    except Refused as e:
        return e.status
    except OSError:
        return None


def test_names_must_agree():
    "CONNECT, SNI and Host must name one host: the whole matrix (req. 1)"
    names = ["api.demo.test", "two.demo.test", "free.demo.test",
             "evil.test"]
    for connect in names[:3]:
        for sni in names:
            for host in names:
                up.forget()
                got = ask(connect, sni, host)
                if connect == sni == host:
                    assert got == 200, (connect, got)
                    continue
                assert got != 200, (connect, sni, host)
                assert not up.received, (connect, sni, host)


def test_free_host_gets_no_key():
    "a granted host without a credential is sent none"
    up.forget()
    assert ask("free.demo.test", "free.demo.test", "free.demo.test") == 200
    assert b"canary-" not in up.received


def test_host_spellings():
    "odd spellings of a host are refused, never repaired (req. 4)"
    for host in ("api.demo.test@evil.test", "api.demo.test%00",
                 "api.demo.test\\evil", "api_demo.test", "api.demo.test..",
                 "[::1%25lo]", "0x7f.1", "2130706433", "127.1",
                 "api.demo.test:443:443", "api.demo.test:0443",
                 "api.demo.test:+443", " api.demo.test", "xn--", "-a.test",
                 "\uff41pi.demo.test", "api.demo.test:0", ":443", ""):
        up.forget()
        got = guest.raw(
            f"ATTACH {guest.token()}\r\nCONNECT {host}:443 HTTP/1.1\r\n"
            f"Host: {host}:443\r\n\r\n".encode(), timeout=2,
            half_close=True)
        assert not got.startswith(b"HTTP/1.1 200"), (host, got)
        assert not up.received
    for host in ("API.demo.TEST", "api.demo.test."):
        got = guest.raw(
            f"ATTACH {guest.token()}\r\nCONNECT {host}:443 HTTP/1.1\r\n"
            f"Host: {host}:443\r\n\r\n".encode(), timeout=1, due=True)
        assert got.startswith(b"HTTP/1.1 200"), (host, got)


def test_carriers():
    "every foreign credential is refused, whatever carries it (req. 3)"
    key = "sk-attacker-000000000000"
    basic = base64.b64encode(b"x:" + key.encode()).decode()
    headers = [("Authorization", f"Bearer {key}"),
               ("authorization", f"Basic {basic}"),
               ("AUTHORIZATION", key), ("Cookie", f"session={key}"),
               ("X-Api-Key", key), ("X_Api_Key", key), ("api-key", key),
               ("x-goog-api-key", key), ("X-Auth-Token", key),
               ("Private-Token", key), ("X-Amz-Security-Token", key),
               ("Proxy-Authorization", f"Bearer {key}")]
    for name, value in headers:
        up.forget()
        got = guest.get("https://api.demo.test/x", (name, value))
        # These two are taken out; all others are refused.
        removed = name in ("Cookie", "Proxy-Authorization")
        assert got[0] == (200 if removed else 403), (name, got)
        assert key.encode() not in up.received, name
        assert basic.encode() not in up.received, name
    for query in ("api_key", "key", "access_token", "API_KEY", "token"):
        up.forget()
        got = guest.get(f"https://api.demo.test/x?{query}={key}")
        assert got[0] == 403, (query, got)
        assert not up.received


def test_double_carriers():
    "two carriers, or one twice, reach upstream as exactly one (req. 3)"
    mark = guest.placeholder("demo")
    for headers in ([("Authorization", f"Bearer {mark}")] * 2,
                    [("Authorization", f"Bearer {mark}"),
                     ("X-Api-Key", mark)],
                    [("Authorization", f"Bearer {mark}"),
                     ("Authorization", "Bearer sk-attacker-0000000000")]):
        up.forget()
        got = guest.get("https://api.demo.test/x", *headers)
        if got[0] == 200:
            assert up.requests[0].header("authorization") == \
                [f"Bearer {KEY}"], up.requests[0].headers
            assert not up.requests[0].header("x-api-key")
        assert mark.encode() not in up.received
        assert b"attacker" not in up.received


def test_two_accounts():
    "two credentials for one host: the placeholder decides, none is refused"
    g = house.session("both", "one", "second")
    for name, key in (("demo", KEY), ("second", KEY2)):
        up.forget()
        got = g.get("https://api.demo.test/x",
                    ("Authorization", f"Bearer {g.placeholder(name)}"))
        assert got[0] == 200, got
        assert up.requests[0].header("authorization") == [f"Bearer {key}"]
    up.forget()
    got = g.get("https://api.demo.test/x")
    assert g.reason(got) == "ambiguous-grant" and not up.received, got


def test_browser_in_guest():
    "a cross-site page in the guest is refused (design 4.4)"
    for header in (("Origin", "https://evil.test"),
                   ("Sec-Fetch-Site", "cross-site")):
        up.forget()
        got = guest.get("https://api.demo.test/x", header)
        assert guest.reason(got) == "cross-site" and not up.received, got


def test_redirects():
    "redirects go back to the guest untouched (req. 8)"
    for code in (301, 302, 303, 307, 308):
        for to in ("https://evil.test/x", "http://api.demo.test/x",
                   "https://api.demo.test:8443/x"):
            up.forget()
            up.answer = lambda r: (code, {"Location": to}, b"")
            got = guest.get("https://api.demo.test/x")
            assert got[0] == code and got[1]["location"] == to, got
            assert len(up.requests) == 1
    up.answer = lambda r: (200, {}, b"hello\n")


def bad_upstream(name, **how):
    folder = scratch("hck-bad-")
    os.chmod(folder, 0o755)
    ca = how.pop("ca", None) or make_ca(folder)
    leaf = make_leaf(folder, how.pop("names", [name]), ca, **how)
    u = Upstream([name], ca=ca, leaf=leaf)
    others.append(u)
    return u


def by_leaf(name):
    """Signed by a certificate that is good, and is no CA's."""
    folder = scratch("hck-bad-")
    os.chmod(folder, 0o755)
    ca = make_ca(folder)
    signer = scratch("hck-bad-")
    key, cert = make_leaf(signer, ["signer.test"], ca)
    key, chain = make_leaf(folder, [name], (key, cert))
    chain.write_bytes(chain.read_bytes() + cert.read_bytes())
    u = Upstream([name], ca=ca, leaf=(key, chain))
    others.append(u)
    return u


def test_bad_certificates():
    "upstream's chain, name and dates are verified (req. 2)"
    stranger = make_ca(scratch("hck-ca-"))
    cases = {
        "stranger": bad_upstream("stranger.test"),
        "othername": bad_upstream("othername.test", names=["else.test"]),
        "expired": bad_upstream("expired.test", days=0),
        "wild": bad_upstream("a.b.wild.test", names=["*.wild.test"]),
        "partial": bad_upstream("app.partial.test",
                                names=["a*.partial.test"]),
        "cn-only": bad_upstream("cn-only.test", names=[],
                                cn="cn-only.test"),
        "client": bad_upstream("client.test",
                               extra="extendedKeyUsage=clientAuth\n"),
        "by-leaf": by_leaf("by-leaf.test"),
        "plain": Upstream(["plain.test"], tls=False),
    }
    others.append(cases["plain"])
    cases["stranger"].ca_file = str(stranger[1])
    subprocess.run(["chmod", "-R", "a+rX", Path(stranger[1]).parent],
                   check=True)
    time.sleep(1.1)  # until "expired" is
    for what, u in cases.items():
        host = u.names[0]
        house.credential(what, KEY, "--host", host)
        house.apply(house.grant_yaml(what, u, credential=what))
        g = house.session("bad-" + what, what)
        got = g.get(f"https://{host}/x")
        assert got[0] in (502, 503), (what, got)
        assert g.reason(got) in ("upstream-tls", "connect-failed"), got
        assert KEY.encode() not in u.received and not u.requests, what
        # Constant words: of upstream or of this host not a one (req. 14).
        for word in (str(house.base), str(u.folder), "else.test",
                     "Recorder CA", str(u.port)):
            assert word.encode() not in got[2], (what, got)


def test_no_hint():
    "whether the vault has a key for a host, a refusal does not say (14)"
    house.credential("hidden", KEY2, "--host", "hidden.demo.test")
    house.apply(house.grant_yaml("hidden", up, credential="hidden",
                                 hosts=["hidden.demo.test"]))
    got = []
    for host in ("hidden.demo.test", "nobody.demo.test"):
        raw = guest.raw(f"ATTACH {guest.token()}\r\nCONNECT {host}:443 "
                        f"HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode(),
                        timeout=1, due=True)
        assert raw.startswith(b"HTTP/1.1 403"), raw
        got.append(raw.replace(host.encode(), b"HOST"))
    assert got[0] == got[1], got


def test_private_addresses():
    "private, loopback, metadata addresses are not dialled (req. 6)"
    names = ["localhost", "127.0.0.1", "[::1]", "169.254.169.254",
             "10.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[fd00::1]",
             "100.64.0.1", "[64:ff9b::7f00:1]", "224.0.0.1"]
    tried = 0
    for i, host in enumerate(names):
        name = f"addr-{i}"
        done = house.apply(
            f"  - name: {name}\n    hosts: [\"{host}:{up.port}\"]\n"
            "    allow: [ { methods: [\"*\"], paths: [\"/**\"] } ]\n",
            check=False)
        if done.returncode != 0:
            continue  # a grant may not even name it
        tried += 1
        g = house.session(name, name)
        base = g.environment["bases"][0]["path"]
        up.forget()
        s = g.attach()
        s.sendall(f"GET {base}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                  .encode())
        got = read_response(s)
        assert g.reason(got) == "address-forbidden", (host, got)
        assert not up.connections, host
    assert tried >= 5, tried


def test_outside_bindings():
    "a grant outside the owner's bindings is refused when applied"
    done = house.apply(house.grant_yaml("moved", up, credential="demo",
                                        hosts=["free.demo.test"]),
                       check=False)
    assert done.returncode != 0
    assert b"free.demo.test" in done.stderr, done.stderr


def test_shared_upstream():
    "interleaved guests with different keys never share a connection (req. 7)"
    a = house.session("iso-a", "one")
    b = house.session("iso-b", "second")
    up.forget()
    for _ in range(10):
        for g in (a, b):
            assert g.get("https://api.demo.test/x")[0] == 200
    keys = [r.header("authorization")[0] for r in up.requests]
    assert keys == [f"Bearer {KEY}", f"Bearer {KEY2}"] * 10
    assert up.connections >= 2


def test_shared_upstream_at_once():
    "nor when both ask at the same time: a connection has one key (req. 7)"
    guests = {"a": house.session("at-once-a", "one"),
              "b": house.session("at-once-b", "second")}
    keys = {}  # by the recorder's thread, of which each connection has one

    def answer(r):
        keys.setdefault(threading.current_thread(), set()).add(
            r.header("authorization")[0])
        return 200, {}, r.path.encode()
    up.answer = answer

    def use(guest, name):
        s = guest.tunnel("api.demo.test")
        for i in range(40):
            s.sendall(f"GET /{name}/{i} HTTP/1.1\r\nHost: api.demo.test"
                      "\r\n\r\n".encode())
            assert read_response(s)[2] == f"/{name}/{i}".encode()
        return name
    up.forget()
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(use, guests[name[0]], name)
                for name in ("a0", "b0", "a1", "b1")]
        assert sorted(d.result() for d in done) == ["a0", "a1", "b0", "b1"]
    up.answer = lambda r: (200, {}, b"hello\n")
    assert {k for one in keys.values() for k in one} == \
        {f"Bearer {KEY}", f"Bearer {KEY2}"}
    assert all(len(one) == 1 for one in keys.values()), keys
    for r in up.requests:
        key = KEY if r.path.startswith("/a") else KEY2
        assert r.header("authorization") == [f"Bearer {key}"], r.path
    assert len(up.requests) == 160


tap.main(globals(), setup, teardown)
