"""Every call of the admin API, with bodies that are off in every way: a
problem document that says why, and nothing changed (docs/admin-api.md)."""
import json
import os
import re
import secrets
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import (ROOT, UID, House, connect_as, read_response,  # noqa: E402
                     wait_for)
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
ESCAPE = "\x1b[31mred\x07"
house = up = guest = None


def table():
    """The calls, as the product itself lists them."""
    return re.findall(r'\{"(GET|POST)", "/v1/([a-z.]+)", api_\w+\}',
                      (ROOT / "minter/api.c").read_text())


def documented():
    """name -> members, as docs/admin-api.md lists them."""
    text = (ROOT / "docs/admin-api.md").read_text()
    rows = [row.split("|") for row in text.splitlines()
            if re.match(r"\| `[a-z.]+` \|", row)]
    return {row[1].strip(" `"): re.findall(r"`([a-z]+)`", row[2])
            for row in rows}


def setup():
    global house, up, guest
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))
    guest = house.session("agent", "one")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def connect():
    path = str(house.home / "run" / "admin.sock")
    return connect_as(path, UID) if os.getuid() == 0 else plain(path)


def plain(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(path)
    return s


class Line:
    """One connection for many calls; a new one when it was closed."""

    def __init__(self):
        self.s = None

    def ask(self, method, name, body=None, kind="application/json", more=""):
        head = f"{method} /v1/{name} HTTP/1.1\r\nHost: hatcheck\r\n{more}"
        if body is not None:
            head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        if self.s is None:
            self.s = connect()
        self.s.sendall(head.encode() + b"\r\n" + (body or b""))
        got = read_response(self.s)
        if got[1].get("connection", "").lower() == "close":
            self.close()
        return got

    def close(self):
        if self.s is not None:
            self.s.close()
        self.s = None


def problem(got, what):
    """What is refused says why, in words that a terminal can be shown."""
    status, headers, body = got
    assert 400 <= status < 500, (what, got)
    assert headers["content-type"] == "application/problem+json", (what, got)
    x = json.loads(body)
    assert x["status"] == status and x["type"] == "about:blank", (what, x)
    for word in ("title", "detail", "next"):
        assert x[word] and x[word].isprintable(), (what, word, x)
    return x


def started():
    """Of ourselves, as proc(5) has it in field 22."""
    return int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1]
               .split()[19])


def good():
    """A body for each call that takes members, in which one is to be off."""
    grant = {"name": "new", "hosts": ["a.test"], "tunnel": True}
    return {"grant.apply": {"grants": [grant], "replace": False},
            "grant.show": {"name": "one"}, "grant.remove": {"name": "one"},
            "grant.suggest": {"session": guest.id},
            "session.create": {"guest": "x", "grants": ["one"],
                               "details": [grant], "ttl": 60,
                               "channel": {"type": "unix"},
                               "process": {"pid": os.getpid(),
                                           "started": started()}},
            "session.list": {"all": False},
            "session.show": {"session": guest.id},
            "session.end": {"session": guest.id},
            "token.list": {"session": guest.id},
            "token.inspect": {"token": "x", "jti": "x"},
            "revoke": {"session": guest.id, "guest": "agent", "token": "x",
                       "grant": "one", "credential": "demo", "all": True},
            "explain": {"session": guest.id, "method": "GET",
                        "url": "https://api.demo.test/"}}


# Not JSON, not one object, not strict, or too much of it.
BODIES = [
    b"", b" ", b"{", b"}", b"[]", b"null", b"true", b"7", b'"x"', b"{}{}",
    b"{} x", b"\xef\xbb\xbf{}", b"{'a':1}", b'{"a":NaN}', b'{"a":1e999}',
    b'{"a":01}', b'{"a":123456789012345678901234567890}', b'{"a":"\xff"}',
    b'{"a":"\\u0000"}', b'{"a\\u0000b":1}', b'{"a":"\\ud800"}', b'{"a":"\n"}',
    b'{"a":1,"a":1}', b'{"a":' + b"[" * 100000, b'{"a":"' + b"x" * 2 ** 20,
    b'{"a":1}'.replace(b"a", ESCAPE.encode()), b"\0", b'{"a":1}\0'
]
# Of no type that any member has, or of the wrong one for most.
VALUES = [None, True, 0, -1, 1.5, 1e308, 2 ** 63 - 1, "", "..", "../../etc",
          "/", "a\nb", ESCAPE, "\u202e", "é", "s-", "x" * 70000, [], {},
          [None], [7], [[[]]], [{}], {"a": None}, ["x"] * 3000]


# What is no fault after all: any text may be asked about, or revoked.
ANY_TEXT = {("token.inspect", "token"), ("token.inspect", "jti"),
            ("revoke", "token"), ("revoke", "grant"),
            ("revoke", "credential"), ("explain", "method"),
            ("explain", "url")}
VALID = [("grant.apply", "grants", []), ("grant.apply", "replace", True),
         ("session.create", "guest", ""), ("session.create", "grants", []),
         ("session.create", "details", []), ("session.create", "ttl", 0),
         ("session.list", "all", True), ("revoke", "all", True)]


def standing():
    """What must be as it was, and that nothing had to be started again."""
    status = house.json("status")
    return [house.json("grant", "list"),
            house.json("session", "list", "--all"), status["audit"],
            [(p["role"], p["pid"]) for p in status["processes"]
             if p["session"] or p["role"] in ("vault", "minter", "dialer")]]


def test_listed():
    "the calls that there are, and those that are documented, are the same"
    names = [n for _, n in table()]
    assert len(names) > 15 and sorted(names) == sorted(documented())
    assert {n: sorted(b) for n, b in good().items()} == \
        {n: sorted(m) for n, m in documented().items() if m}, documented()


def test_bodies():
    "what is no JSON object, or not strict, is refused by every call"
    line, before = Line(), standing()
    for method, name in table():
        if method == "GET":
            continue
        for body in BODIES:
            problem(line.ask("POST", name, body), (name, body[:40]))
    line.close()
    assert standing() == before


def test_unknown_members():
    "a member that a call does not know is refused, whatever it holds"
    line, before = Line(), standing()
    for method, name in table():
        if method == "GET":
            continue
        for more in ("odd", "Name", "name ", ESCAPE, "x" * 5000, "__proto__"):
            for body in ({}, good().get(name, {})):
                problem(line.ask("POST", name, json.dumps(
                    {**body, more: 1}).encode()), (name, more))
    line.close()
    assert standing() == before


def test_members():
    "each member of each call, null or of the wrong type, changes nothing"
    line, before = Line(), standing()
    for name, body in good().items():
        alone = name in ("revoke", "token.inspect")
        for member in body:
            for value in VALUES:
                if (name, member, value) in VALID:
                    continue
                sent = {member: value} if alone else {**body, member: value}
                got = line.ask("POST", name, json.dumps(sent).encode())
                if got[0] == 200:
                    assert isinstance(value, str) and (
                        name, member) in ANY_TEXT, (name, member, value)
                else:
                    problem(got, (name, member, value))
    line.close()
    assert standing() == before


def grants(n, name="g{:063d}"):
    return [{"name": name.format(i), "hosts": ["a.test"], "tunnel": True}
            for i in range(n)]


def test_long_words():
    "what is long, but allowed, or too long, is no failed disk"
    line = Line()
    # Their names together are longer than a line of the audit log.
    status, _, body = line.ask("POST", "grant.apply", json.dumps(
        {"grants": grants(256)}).encode())
    assert status == 200 and len(json.loads(body)["applied"]) == 256, body
    told = [n for x in house.audit_lines("minter")
            if x["event"] == "grants_applied" for n in x["grants"]]
    assert {g["name"] for g in grants(256)} <= set(told)
    problem(line.ask("POST", "grant.apply", json.dumps(
        {"grants": grants(257, "h{}")}).encode()), "too many")
    for path in ("/" + "\1" * 3999, "/a\nb", "/\x7f", "a", "/" + "x" * 4000):
        for channel in ({"type": "unix", "dir": path},
                        {"type": "hybrid", "path": path}):
            problem(line.ask("POST", "session.create", json.dumps(
                {"channel": channel}).encode()), path)
    for kind in ("grant", "credential", "session", "guest"):
        done = house.hatcheck("revoke", "--" + kind, "x" * 70000, check=False)
        assert done.returncode != 0, done
    line.close()
    assert house.json("status")["audit"] == "ok"
    assert guest.get("https://api.demo.test/x")[0] == 200


def turned_away(*words, **more):
    """Told so, or closed where the parser gave up."""
    line = Line()
    try:
        got = line.ask(*words, **more)
    except ConnectionError:
        return
    finally:
        line.close()
    assert 400 <= got[0] < 500 and ESCAPE.encode() not in got[2], (words, got)


def test_framing():
    "a request that can be read in two ways, or is none of ours, is refused"
    before = standing()
    for more in ("Content-Length: 2\r\n", "Content-Length: x\r\n",
                 "Transfer-Encoding: chunked\r\n", "Host: other\r\n",
                 "Content-Type: text/plain\r\n", "Content-Length: +2\r\n"):
        turned_away("POST", "shutdown", b"{}", more=more)
    for kind in ("text/json", "application/json; charset=utf-8", "", ESCAPE):
        turned_away("POST", "shutdown", b"{}", kind=kind)
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "post"):
        turned_away(method, "shutdown", b"{}")
    for name in ("", "none", "shutdown/", "shutdown?x=1", "../v1/shutdown",
                 "shutdow%6e", "%00", "x" * 4000, "x" * 100000, ESCAPE):
        turned_away("POST", name, b"{}")
    assert standing() == before


def test_pipelined():
    "requests of one connection are answered one by one, in their order"
    s = connect()
    for name in ("grant.list", "none", "session.list"):
        s.sendall(f"POST /v1/{name} HTTP/1.1\r\nHost: x\r\nContent-Type: "
                  "application/json\r\nContent-Length: 2\r\n\r\n{}"
                  .encode())
    s.sendall(b"POST /v1/grant.list HTTP/1.1\r\nHost: x\r\nConnection: close"
              b"\r\nContent-Type: application/json\r\n"
              b"Content-Length: 2\r\n\r\n{}")
    text = b""
    while more := s.recv(65536):
        text += more
    s.close()
    assert re.findall(rb"HTTP/1.1 (\d+)", text) == \
        [b"200", b"404", b"200", b"200"], text


# They wait for something, or end the house.
NOT_CALLED = {"run", "init", "stop", "lock", "audit export", "logs"}


def test_terminal():
    "no verb of ours gives the terminal what it was given"
    verbs = house.json("help")["verbs"]
    assert len(verbs) > 30
    for v in verbs:
        if v["verb"] in NOT_CALLED:
            continue
        path = v["verb"].split()
        for words in ([ESCAPE], [ESCAPE, ESCAPE], ["--" + ESCAPE],
                      *([f"--{o['name']}", ESCAPE] for o in v["options"])):
            done = house.hatcheck(*path, *words, check=False)
            shown = (done.stdout + done.stderr).decode()
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", shown), (
                path, words, shown)


tap.main(globals(), setup, teardown)
