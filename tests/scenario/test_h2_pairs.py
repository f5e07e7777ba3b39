#!/usr/bin/python3
"""Every pair: a guest of HTTP/1.1 or HTTP/2, an upstream of either; curl in
a sandbox at one end, a recorder at the other."""
import hashlib
import secrets
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from guest_h2 import H2Guest  # noqa: E402
from harness import House, read_response  # noqa: E402
from upstream import Upstream  # noqa: E402
from upstream_h2 import Upstream2  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
STARS = "*" * len(KEY)
GUESTS = {"1.1": "--http1.1", "2": "--http2"}
house = guest = None
ups = {}


def setup():
    global house, guest
    ups["one"] = Upstream(["one.demo.test"])
    ups["two"] = Upstream2(["two.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "one.demo.test", "--host",
                     "two.demo.test", "--env", "DEMO_KEY")
    house.apply(*[house.grant_yaml(n, up, credential="demo")
                  for n, up in ups.items()])
    guest = house.session("agent", *ups)


def teardown():
    if house:
        house.close()
    for up in ups.values():
        if hasattr(up, "close"):
            up.close()


def text(x):
    return (x.decode() if isinstance(x, bytes) else x).lower()


def shell(script, **more):
    done = guest.run("sh", "-c", script, **more)
    return done.stdout.decode() + done.stderr.decode()


def pairs():
    """(curl's option, host, the version that the guest shall see, a setter
    of the upstream's answer, its requests)."""
    for version, option in GUESTS.items():
        for name, up in ups.items():
            up.forget()

            def answer(status, headers, body, up=up, name=name):
                if name == "one":
                    up.answer = lambda r: (status, headers, body)
                else:
                    up.answer = lambda c, r: c.respond(
                        r.id, status, headers, body)
            yield option, f"{name}.demo.test", version, answer, up


def test_get():
    "a request with the placeholder, and an answer that tells the key"
    for option, host, version, answer, up in pairs():
        answer(200, [("x-leak", KEY)], b"key " + KEY.encode() + b" end\n")
        said = shell(f"curl -sS {option} -D - -w '%{{http_version}}\\n' -H "
                     f"\"Authorization: Bearer $DEMO_KEY\" "
                     f"'https://{host}/a?b=c'").replace("\r", "")
        lines = said.splitlines()
        assert lines[-2:] == [f"key {STARS} end", version], said
        assert f"x-leak: {STARS}" in lines and KEY not in said, said
        r, = up.requests
        assert r.header("authorization") == ["Bearer " + KEY]
        assert r.path == "/a?b=c"


def test_status_and_bodies():
    "HEAD, an error, an empty body, a repeated field"
    for option, host, version, answer, up in pairs():
        for flags, status, body in (("-I", 200, b"never seen"),
                                    ("", 404, b"no\n"), ("", 200, b"")):
            answer(status, [("set-cookie", "a=1"), ("set-cookie", "b=2")],
                   b"" if flags and host.startswith("two") else body)
            said = shell(f"curl -sS {option} {flags} -D /tmp/h -o /tmp/b "
                         f"-w '%{{http_code}} %{{http_version}}\\n' "
                         f"https://{host}/; cat /tmp/h; test -s /tmp/b && "
                         "echo BODY && cat /tmp/b").replace("\r", "")
            assert said.startswith(f"{status} {version}\n"), said
            assert "set-cookie: a=1\n" in said, said
            assert "set-cookie: b=2\n" in said, said
            if not flags:
                assert said.partition("BODY\n")[2] == body.decode(), said


def test_up_and_down():
    "3 MB up, with a length and without, and 3 MB down"
    blob = secrets.token_bytes(1 << 20) * 3
    total = hashlib.sha256(bytes(3 << 20)).hexdigest()
    for option, host, version, answer, up in pairs():
        answer(200, [], blob)
        for how in ("--data-binary @/tmp/x", "-T - </tmp/x"):
            said = shell("head -c 3145728 /dev/zero >/tmp/x; curl -sS "
                         f"{option} {how} https://{host}/up | sha256sum")
            assert said.split()[0] == hashlib.sha256(blob).hexdigest(), said
            r = up.requests[-1]
            assert hashlib.sha256(r.body).hexdigest() == total, len(r.body)


def test_trailers():
    "what follows a body of unknown length follows it upstream too (16)"
    for name, up in ups.items():
        up.forget()
        if name == "one":
            up.answer = lambda r: (200, [], b"good\n")
        else:
            up.answer = lambda c, r: c.respond(r.id, 200, [], b"good\n")
        host = f"{name}.demo.test"
        c = H2Guest(guest, host)
        a = c.request("POST", "/up", [], b"12345", [("x-sum", "5")])
        assert a.status == 200, a.body
        c.close()
        s = guest.tunnel(host)
        s.sendall(f"POST /up HTTP/1.1\r\nHost: {host}\r\n".encode() +
                  b"Transfer-Encoding: chunked\r\n\r\n"
                  b"5\r\n12345\r\n0\r\nX-Sum: 5\r\n\r\n")
        assert read_response(s)[0] == 200
        s.close()
        assert [bytes(r.body) for r in up.requests] == [b"12345"] * 2
        assert [[(text(n), text(v)) for n, v in r.trailers]
                for r in up.requests] == [[("x-sum", "5")]] * 2, \
            [r.trailers for r in up.requests]


def test_many():
    "20 at once, each with its own answer"
    for option, host, version, answer, up in pairs():
        if host.startswith("one"):
            up.answer = lambda r: (200, [], r.path.encode() + b"\n")
        else:
            up.answer = lambda c, r: c.respond(
                r.id, 200, [], r.path.encode() + b"\n")
        said = shell(f"curl -sS --no-progress-meter {option} --parallel "
                     f"--parallel-max 20 -o '/tmp/#1' 'https://{host}/n[1-20]'"
                     "; for i in $(seq 20); do cat /tmp/$i; done")
        assert said.split() == [f"/n{i}" for i in range(1, 21)], said
        assert len(up.requests) == 20
        if host.startswith("two"):
            assert up.connections == 1, up.connections


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
