"""Child tokens as a sub-agent would use and abuse them (requirements 23 to
25): narrower than their parent, revoked with it, and nobody else with them."""
import json
import os
import secrets
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, Refused, read_response, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
HOST = "api.demo.test"
URL = f"https://{HOST}"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
house = up = guest = None


def forever(request):
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"400\r\n" + b"x" * 1024 + b"\r\n"
        time.sleep(0.01)


def plain(request):
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(request):
    return forever(request) if "flow" in str(request.path) else plain(request)


def grants(path="/v1/**"):
    return (house.grant_yaml("one", up, "demo", hosts=[HOST], allow=[
                f'{{ methods: [GET, POST], paths: ["{path}"] }}']),
            house.grant_yaml("two", up, hosts=["api.two.test"], allow=[
                '{ methods: [GET], paths: ["/**"] }']))


def setup():
    global house, up, guest
    up = Upstream([HOST, "api.two.test"])
    up.answer = answer
    house = House()
    house.credential("demo", KEY, "--host", HOST)
    house.apply(*grants())
    guest = house.session("agent", "one", "two")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def form(**fields):
    return "&".join(f"{k}={quote(v, safe='')}"
                    for k, v in fields.items()).encode()


def details(path, **more):
    return json.dumps([{"type": "hatcheck-grant", "name": "one",
                        "allow": [{"methods": ["GET"], "paths": [path]}],
                        **more}])


def exchange(who, subject, what=None, act=None):
    more = {"authorization_details": what} if what else {}
    more.update({"act": act} if act else {})
    status, _, body = who.api("POST", "/v1/token", form(
        grant_type=EXCHANGE, subject_token=subject,
        subject_token_type=ACCESS, **more))
    return status, json.loads(body)


def child(who, subject, path, act="helper", **more):
    status, got = exchange(who, subject, details(path, **more), act)
    assert status == 200, got
    assert got["issued_token_type"] == ACCESS
    return got["access_token"]


def reason(token, path, method="GET", host=HOST):
    got = guest.request(method, f"https://{host}{path}", token=token)
    return "ok" if got[0] == 200 else guest.reason(got)


def family(token):
    import base64
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=="))["fam"]


def test_two_levels():
    "what the child may is what it was given and what the session has"
    top = guest.new_token()
    mid = child(guest, top, "/v1/a/**")
    low = child(guest, mid, "/v1/a/x")
    before = len(up.requests)
    assert reason(mid, "/v1/a/x") == "ok"
    assert reason(low, "/v1/a/x") == "ok"
    assert len(up.requests) == before + 2
    assert KEY.encode() in up.requests[-1].raw  # its credential is put in
    assert reason(low, "/v1/a/y") == "not-delegated"
    assert reason(mid, "/v1/b") == "not-delegated"
    assert reason(mid, "/v1/a/x", "POST") == "not-delegated"
    assert reason(mid, "/x", host="api.two.test") == "not-delegated"
    assert reason(mid, "/v2") == "path-not-granted"
    assert reason(top, "/v1/b") == "ok"
    assert len(up.requests) == before + 3
    # The session's placeholder marks the same credential for a child.
    got = guest.get(f"{URL}/v1/a/x", ("Authorization",
                    f"Bearer {guest.placeholder('demo')}"), token=mid)
    assert got[0] == 200, got
    assert reason(mid, "/v1/a/x?q=1") == "ok"


def test_later_narrowing():
    "what the owner takes from the session is taken from its children"
    mid = child(guest, guest.new_token(), "/v1/a/**")
    assert reason(mid, "/v1/a/x") == "ok"
    house.apply(*grants("/v1/a/y"))
    assert reason(mid, "/v1/a/x") == "path-not-granted"
    assert reason(mid, "/v1/a/y") == "ok"
    house.apply(*grants())
    assert reason(mid, "/v1/a/x") == "ok"
    assert reason(mid, "/v1/b") == "not-delegated"


def test_refusals():
    "what would be wider is refused, and the answer names it"
    top = guest.new_token()
    for what, word in ((details("/v2"), "/v2"),
                       (details("/v1/a", hosts=["evil.test"]), "evil.test"),
                       (details("/v1/a", credential="demo"), "credential"),
                       ("[", "JSON")):
        status, got = exchange(guest, top, what)
        assert status == 400, got
        assert got["error"] == "invalid_authorization_details"
        assert word in got["error_description"], got
    mid = child(guest, top, "/v1/a")
    status, got = exchange(guest, mid, details("/v1/b"))
    assert status == 400 and "/v1/b" in got["error_description"], got


def through(token, method, path, body=b""):
    "A call of the guest API on a connection that is bound to token."
    s = guest.attach(token)
    s.sendall((f"{method} http://hatcheck.internal{path} HTTP/1.1\r\n"
               "Host: hatcheck.internal\r\nConnection: close\r\n"
               "Content-Type: application/x-www-form-urlencoded\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
    got = read_response(s)
    s.close()
    return got


def test_its_connection():
    "who has only a child's connection gets nothing of the session's"
    top = guest.new_token()
    mid = child(guest, top, "/v1/a")
    for body in (form(grant_type="client_credentials"),
                 form(grant_type=EXCHANGE, subject_token=top,
                      subject_token_type=ACCESS)):
        status, _, got = through(mid, "POST", "/v1/token", body)
        assert status == 400, got
        assert json.loads(got)["error"] == "unauthorized_client", got
    status, _, got = through(mid, "POST", "/v1/revoke", form(token=top))
    assert status == 400, got
    assert reason(top, "/v1/b") == "ok"
    status, _, got = through(mid, "POST", "/v1/token", form(
        grant_type=EXCHANGE, subject_token=mid, subject_token_type=ACCESS))
    assert status == 200 and family(json.loads(got)["access_token"]) == \
        family(mid)


def test_other_session():
    "a child token is its session's: on another channel it is nobody's"
    other = house.session("other", "one")
    mid = child(guest, guest.new_token(), "/v1/a")
    got = other.request("GET", f"{URL}/v1/a", token=mid)
    assert got[0] == 407, got
    status, got = exchange(other, mid, details("/v1/a"))
    assert status == 400 and got["error"] == "invalid_grant", got
    other.end()


def download(token, path="/v1/flow"):
    s = guest.tunnel(HOST, token=token)
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    s.settimeout(5)
    assert s.recv(16).startswith(b"HTTP/1.1 200")
    return s


def flows(s):
    with ThreadPoolExecutor(1) as pool:  # see test_revoke.py
        return pool.submit(still_flows, s).result()


def still_flows(s):
    end = time.monotonic() + 1.5
    try:
        while time.monotonic() < end:
            if not s.recv(65536):
                return False
    except OSError:
        return False
    return True


def test_subtree():
    "a revoked child is cut with its children; parent and siblings flow on"
    top = guest.new_token()
    mid, side = (child(guest, top, "/v1/**", name)
                 for name in ("mid", "side"))
    low = child(guest, mid, "/v1/flow", "low")
    streams = {t: download(t) for t in (top, mid, side, low)}
    house.hatcheck("revoke", "--token", family(mid))
    assert not flows(streams[low]) and not flows(streams[mid])
    assert flows(streams[side]) and flows(streams[top])
    assert guest.request("GET", f"{URL}/v1/a", token=low)[0] == 407
    status, got = exchange(guest, mid, details("/v1/a"))
    assert status == 400 and got["error"] == "invalid_grant", got
    # By the guest itself (RFC 7009), from the top.
    status, _, _ = guest.api("POST", "/v1/revoke", form(token=top))
    assert status == 200
    assert not flows(streams[side]) and not flows(streams[top])


def test_tree_is_shown():
    "token list names parent and actor, and draws the tree"
    top = guest.new_token()
    mid = child(guest, top, "/v1/**", "reviewer")
    low = child(guest, mid, "/v1/a", "searcher")
    rows = {t["family"]: t for t in house.json("token", "list")["tokens"]}
    assert rows[family(low)]["parent"] == family(mid)
    assert rows[family(mid)]["parent"] == family(top)
    assert "parent" not in rows[family(top)]
    assert rows[family(low)]["act"] == "searcher"
    text = house.hatcheck("token", "list").stdout.decode()
    lines = text.splitlines()
    at = [i for i, line in enumerate(lines) if family(top) in line][0]
    assert lines[at].startswith(family(top))
    assert lines[at + 1].startswith("  " + family(mid)), text
    assert lines[at + 2].startswith("    " + family(low)), text
    shown = house.json("token", "inspect", rows[family(low)]["jti"])
    assert shown["act"] == {"sub": "searcher", "act": {"sub": "reviewer"}}
    assert shown["parents"] == [family(mid), family(top)]
    assert shown["authorization_details"][0]["allow"][0]["paths"] == ["/v1/a"]


def test_audit_names_the_line():
    "each line of the log says under which family, whose child, for whom"
    top = guest.new_token()
    mid = child(guest, top, "/v1/a/**", "reviewer")
    low = child(guest, mid, "/v1/a/x", "searcher")
    assert reason(low, "/v1/a/x") == "ok"
    assert reason(low, "/v1/b") == "not-delegated"
    lines = [x for x in house.audit_lines(guest.id)
             if x.get("family") == family(low)]
    for line in lines:
        assert line["parents"] == [family(mid), family(top)], line
        assert line["act"] == ["searcher", "reviewer"], line
    assert {x["event"] for x in lines} >= {"request", "done", "refused"}
    refused = [x for x in lines if x["event"] == "refused"][-1]
    assert refused["reason"] == "not-delegated" and refused["grant"] == "one"
    made = [x for x in house.audit_lines("minter")
            if x.get("family") == family(low)][0]
    assert made["how"] == "child" and made["act"] == "searcher"
    assert made["parents"] == [family(mid), family(top)]
    assert made["details"][0]["allow"][0]["paths"] == ["/v1/a/x"]
    house.hatcheck("audit", "verify")
    # A family's lines, and those of all below it; not what is above.
    def tail(*words):
        done = house.hatcheck("--json", "audit", "tail", "-n", "500", *words)
        return [json.loads(x) for x in done.stdout.splitlines()]
    assert reason(top, "/v1/b") == "ok"
    families = {x["family"] for x in tail("--family", family(mid))}
    assert families == {family(mid), family(low)}, families
    assert family(top) in {x["family"]
                           for x in tail("--family", family(top))}
    text = house.hatcheck("audit", "tail", "--family",
                          family(low)).stdout.decode()
    assert "act=searcher<reviewer" in text, text
    def lines(*words):  # each chain counts for itself
        return {(x["session"], x["seq"], x["time"]) for x in tail(*words)}
    old = lines()
    assert lines("--since", "1h") >= old
    time.sleep(3)
    assert not old & lines("--since", "1s")
    assert house.hatcheck("audit", "tail", "--since", "soon",
                          check=False).returncode == 2


def test_minter_dies():
    "kill -9 of the minter: children live on as narrow, the revoked do not"
    top = guest.new_token()
    mid, gone = child(guest, top, "/v1/a/**"), child(guest, top, "/v1/**")
    low = child(guest, gone, "/v1/a")
    house.hatcheck("revoke", "--token", family(gone))
    os.kill(house.processes("minter")[0]["pid"], signal.SIGKILL)
    wait_for(lambda: house.hatcheck("status", check=False).returncode == 0,
             20)
    wait_for(lambda: reason_or(mid, "/v1/a/x") == "ok", 20)
    assert reason(mid, "/v1/b") == "not-delegated"
    for token in (gone, low):
        assert guest.request("GET", f"{URL}/v1/a", token=token)[0] == 407
    status, got = exchange(guest, mid, details("/v1/b"))
    assert status == 400, got
    assert exchange(guest, low)[0] == 400
    assert exchange(guest, mid)[0] == 200


def reason_or(token, path):
    try:
        return reason(token, path)
    except (OSError, Refused, ValueError, AssertionError):
        return "not yet"


def test_life():
    "a child ends when it was to end, whatever it renews"
    top = guest.new_token()
    mid = child(guest, top, "/v1/**", ttl=3)
    s = download(mid)
    status, got = exchange(guest, mid)
    assert status == 200 and got["expires_in"] <= 3
    wait_for(lambda: exchange(guest, mid)[0] == 400, 10)
    wait_for(lambda: not flows(s), 10)
    assert reason(top, "/v1/a") == "ok"


tap.main(globals(), setup, teardown)
