"""What a user types, and what comes of it: verbs, exit codes, secrets."""
import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import UID, House, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = guest = None
outputs = []  # everything that any call printed


def setup():
    global house, up, guest
    up = Upstream(["api.demo.test", "two.demo.test"])
    house = House()
    real = house.hatcheck

    def recorded(*words, **more):
        done = real(*words, **more)
        outputs.append(done.stdout + done.stderr)
        return done
    house.hatcheck = recorded
    house.credential("demo", KEY, "--host", "api.demo.test", "--env",
                     "DEMO_KEY", "--note", "for the tests")
    house.apply(house.grant_yaml(
        "demo-read", up, credential="demo", hosts=["api.demo.test"],
        allow=['{ methods: [GET], paths: ["/v1/**"] }']))
    guest = house.session("agent", "demo-read")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def code(*words, **more):
    return house.hatcheck(*words, check=False, **more).returncode


def error(*words, **more):
    done = house.hatcheck(*words, check=False, **more)
    return done.returncode, done.stderr.decode()


def test_init_again():
    "init is idempotent, and does not change the vault it finds"
    assert code("init") == 0
    assert code("init", "--vault", "sealed-file") == 0
    got, text = error("init", "--vault", "secret-service")
    assert got == 1 and "vault migrate" in text, text
    made = house.json("init")
    assert made["new"] is False and made["vault"]["backend"] == "sealed-file"


def test_start_again():
    "start is idempotent: the same daemon goes on"
    one, two = house.json("start")["pid"], house.json("start")["pid"]
    assert one == two


def test_usage():
    "wrong usage exits with 2 and says where to look"
    for words in (["nonsense"], ["credential"], ["credential", "show"],
                  ["revoke"], ["revoke", "--all", "--grant", "x"],
                  ["session", "create"], ["status", "--bogus"],
                  ["credential", "add", "x", "--kind", "header",
                   "--host", "a.test"],
                  ["credential", "add", "x", "--kind", "odd",
                   "--host", "a.test"]):
        got, text = error(*words)
        assert got == 2, (words, got, text)
        assert text.startswith("hatcheck: ") and "next: " in text or \
            "hatcheck: " in text, text


def test_not_found():
    "what is not there exits with 6"
    for words in (["credential", "show", "nobody"],
                  ["credential", "remove", "nobody"],
                  ["grant", "show", "nobody"], ["grant", "remove", "nobody"],
                  ["session", "show", "s-nobody"],
                  ["session", "end", "s-nobody"],
                  ["preset", "show", "nobody"],
                  ["grant", "apply", "/nonexistent/grants.yaml"]):
        got, text = error(*words)
        assert got == 6, (words, got, text)


def test_secret_arguments():
    "an argument that looks like a secret is refused and never repeated"
    fake = "sk-ant-api03-" + secrets.token_hex(20)
    for words in (["credential", "add", "x", fake],
                  ["credential", "add", fake, "--kind", "bearer", "--host",
                   "a.test"],
                  ["credential", "add", "x", "--kind", "bearer", "--host",
                   "a.test", "--note", fake],
                  ["credential", "rotate", "demo", fake],
                  [fake], ["status", "--" + fake]):
        got, text = error(*words, stdin=b"some-other-value-123")
        assert got == 2, (words, got)
        assert fake not in text, text
    got, text = error("credential", "rotate", fake)
    assert got == 2 and "rotate this one" in text, text


def test_json_errors():
    "with --json an error is one line of JSON with the exit code"
    done = house.hatcheck("--json", "credential", "show", "nobody",
                          check=False)
    problem = json.loads(done.stderr)
    assert problem["exit"] == 6 == done.returncode
    assert problem["title"] and problem["detail"]
    assert done.stdout == b""


def test_lists():
    "lists are aligned tables, and documents with --json"
    for words, key, name in (
            (["credential", "list"], None, "demo"),
            (["grant", "list"], "grants", "demo-read"),
            (["session", "list"], "sessions", "agent"),
            (["token", "list"], "tokens", None)):
        got = house.json(*words)
        rows = got if key is None else got[key]
        assert isinstance(rows, list)
        text = house.hatcheck(*words).stdout.decode().splitlines()
        assert text[0].isupper()
        if name:
            assert any(name in line for line in text[1:]), text
    for words in (["credential", "show", "demo"], ["grant", "show",
                  "demo-read"], ["session", "show", guest.id],
                  ["vault", "status"], ["status"], ["version"],
                  ["preset", "list"], ["preset", "show", "github"]):
        json.loads(house.hatcheck("--json", *words).stdout)
        assert house.hatcheck(*words).stdout


def test_status():
    "status names every process and the vault's state"
    text = house.hatcheck("status").stdout.decode()
    for word in ("vault", "minter", "dialer", "gate", "courier", "open"):
        assert word in text, text


def test_credential_test():
    "credential test makes one request with the real key and says its status"
    up.forget()
    up.answer = lambda r: (200, {}, b"fine")
    done = house.hatcheck("credential", "test", "demo", "--path", "/v1/me")
    assert b"200" in done.stdout and b"accepts" in done.stdout, done.stdout
    assert [r.path for r in up.requests] == ["/v1/me"]
    assert up.requests[0].header("authorization") == [f"Bearer {KEY}"]
    assert up.requests[0].header("proxy-authorization") == []
    up.answer = lambda r: (401, {}, b"no")
    got, _ = error("credential", "test", "demo", "--path", "/v1/me")
    assert got == 5
    up.answer = lambda r: (200, {}, b"fine")
    live = house.json("session", "list")["sessions"]
    assert [s["guest"] for s in live] == ["agent"], live


def test_rotate():
    "a rotated value is used by a running session at once"
    new = "canary-" + secrets.token_hex(20)
    up.forget()
    house.hatcheck("credential", "rotate", "demo", stdin=new.encode() + b"\n")
    assert guest.get("https://api.demo.test/v1/x")[0] == 200
    assert up.requests[0].header("authorization") == [f"Bearer {new}"]
    path = house.user_home / "value"
    path.write_text(KEY)
    os.chmod(path, 0o600)
    if os.getuid() == 0:
        os.chown(path, UID, UID)
    house.hatcheck("credential", "rotate", "demo", "--from-file", str(path))
    up.forget()
    assert guest.get("https://api.demo.test/v1/x")[0] == 200
    assert up.requests[0].header("authorization") == [f"Bearer {KEY}"]
    assert house.json("credential", "show", "demo")["version"] == 3


def test_bind():
    "bind adds a binding; with --replace it is the only one"
    got = house.json("credential", "bind", "demo", "--host", "two.demo.test")
    hosts = [h for b in got["bindings"] for h in b["hosts"]]
    assert len(hosts) == 2 and any("two.demo.test" in h for h in hosts)
    got = house.json("credential", "bind", "demo", "--replace", "--host",
                     "api.demo.test")
    hosts = [h for b in got["bindings"] for h in b["hosts"]]
    assert len(hosts) == 1 and "api.demo.test" in hosts[0]


def test_explain():
    "explain tells which rule allows, and exits with 5 when none does"
    done = house.hatcheck("explain", "GET", "https://api.demo.test/v1/x",
                          "--session", guest.id)
    assert b"demo-read" in done.stdout
    for method, url, word in (
            ("POST", "https://api.demo.test/v1/x", "method-not-granted"),
            ("GET", "https://api.demo.test/admin", "path-not-granted"),
            ("GET", "https://evil.test/v1/x", "host-not-granted")):
        done = house.hatcheck("--json", "explain", method, url, check=False)
        assert done.returncode == 5, done
        assert json.loads(done.stdout)[0]["reason"] == word, done.stdout


def test_suggest():
    "grant suggest names the rule that a refused request asked for"
    assert guest.get("https://api.demo.test/other/thing")[0] == 403
    wait_for(lambda: "/other/thing" in house.hatcheck(
        "grant", "suggest").stdout.decode())
    rows = house.json("grant", "suggest", "--session",
                      guest.id)["suggestions"]
    assert any("api.demo.test" in r["text"] and "/other/thing" in r["text"]
               for r in rows), rows
    # A host that no grant names is refused before there is a path.
    assert guest.get("https://new.demo.test:8443/x")[0] == 403
    wait_for(lambda: "new.demo.test:8443/**" in [
        r["text"] for r in house.json("grant", "suggest")["suggestions"]])


def test_allow():
    "session create takes rules and presets without a grants file"
    made = house.json("session", "create", "--name", "ruled", "--allow",
                      "GET api.demo.test/v1/**", "--credential", "demo",
                      "--ttl", "10m")
    assert made["grants"][0]["credential"] == "demo"
    house.hatcheck("credential", "add", "hub", "--preset", "github",
                   stdin=("ghp_" + "a" * 36).encode())
    made = house.json("session", "create", "--name", "gh", "--preset",
                      "github")
    assert {g["credential"] for g in made["grants"]} == {"hub"}
    value = made["environment"]["placeholders"][0]
    assert value["value"].startswith("ghp_") and "GH_TOKEN" in value["env"]
    got, text = error("session", "create", "--preset", "openai")
    assert got == 6 and "credential add openai --preset openai" in text, text
    got, text = error("session", "create", "--preset", "github:nothing")
    assert got == 6, text
    for name in ("ruled", "gh"):
        house.hatcheck("session", "end", name)


def test_bad_grants():
    "a bad grants file names its line and changes nothing"
    path = house.base / "bad.yaml"
    path.write_text("grants:\n  - name: x\n    hosts: [a.test]\n"
                    "    surprise: 1\n")
    os.chmod(path, 0o644)
    before = house.json("grant", "list")
    got, text = error("grant", "apply", str(path))
    assert got == 1 and "bad.yaml:" in text and "surprise" in text, text
    assert house.json("grant", "list") == before


def test_audit_tail():
    "audit tail shows requests of sessions, escaped"
    guest.get("https://api.demo.test/v1/x")
    text = house.hatcheck("audit", "tail", "-n", "50").stdout.decode()
    assert "request" in text and "api.demo.test" in text, text
    lines = house.hatcheck("--json", "audit", "tail", "--session",
                           guest.id).stdout.splitlines()
    assert lines and all(json.loads(x) for x in lines)


def test_audit_verify():
    "audit verify finds a changed line in a copy, exit status 7"
    house.hatcheck("audit", "verify")
    copy = house.base / "copy"
    shutil.copytree(house.home / "log" / "audit", copy)
    chain = copy / f"{guest.id}.jsonl"
    lines = chain.read_text().splitlines(keepends=True)
    lines[0] = lines[0].replace("GET", "PUT", 1) \
        if "GET" in lines[0] else lines[0].replace('"', "'", 1)
    chain.write_text("".join(lines))
    subprocess.run(["chmod", "-R", "a+rX", str(copy)], check=True)
    done = house.hatcheck("audit", "verify", str(copy), check=False)
    assert done.returncode == 7, done
    assert guest.id.encode() in done.stdout, done.stdout


def test_doctor():
    "doctor finds a directory that others can write to, and says how to mend"
    done = house.hatcheck("--json", "doctor", check=False)
    checks = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    for name in ("config", "state", "run", "log", "daemon", "vault",
                 "seccomp", "programs"):
        assert checks[name]["state"] == "good", checks[name]
    os.chmod(house.home / "state", 0o777)
    try:
        done = house.hatcheck("doctor", check=False)
        assert done.returncode == 7, done
        line = [x for x in done.stdout.decode().splitlines()
                if x.startswith("state ")][0]
        assert "bad" in line, line
    finally:
        os.chmod(house.home / "state", 0o700)


def test_backup():
    "a backup brings a removed credential back; a wrong passphrase does not"
    path = house.user_home / "backup"
    words = ["vault", "backup", str(path), "--from-file", "-"]
    house.hatcheck(*words, stdin=b"correct horse battery")
    assert KEY.encode() not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    got, _ = error(*words, stdin=b"correct horse battery")
    assert got == 1  # never over a file that is there
    house.hatcheck("credential", "remove", "demo")
    assert code("credential", "show", "demo") == 6
    got, _ = error("vault", "restore", str(path), "--from-file", "-",
                   stdin=b"wrong horse battery")
    assert got == 1
    house.hatcheck("vault", "restore", str(path), "--from-file", "-",
                   stdin=b"correct horse battery")
    assert house.json("credential", "show", "demo")["note"] == \
        "for the tests"


def test_revoke():
    "revoke by session, token and credential; the unknown is told"
    token = guest.token()
    rows = house.json("token", "list", "--session", guest.id)["tokens"]
    assert rows
    got = house.json("token", "inspect", "-", stdin=token.encode())
    assert got["active"] is True, got
    house.hatcheck("token", "revoke", "-", stdin=token.encode())
    got = house.json("token", "inspect", "-", stdin=token.encode())
    assert got == {"active": False}, got
    done = house.json("revoke", "--session", guest.id)
    assert done["revoked"] >= 1
    try:
        got = guest.api("POST", "/v1/token",
                        b"grant_type=client_credentials")[0]
    except (OSError, ValueError):
        got = None  # the channel is gone
    assert got != 200, got


def test_lock():
    "a locked vault exits with 4 and says how to go on"
    house.hatcheck("lock")
    got, text = error("credential", "list")
    assert got == 4 and "unlock" in text, text
    house.hatcheck("unlock")
    assert code("credential", "list") == 0
    house.hatcheck("unlock")  # open already


def test_completion():
    "completion knows the names that the daemon knows"
    got = house.hatcheck("completion", "words", "--", "credential", "show",
                         "").stdout.split()
    assert b"demo" in got, got
    got = house.hatcheck("completion", "words", "--", "credential", "add",
                         "x", "--preset", "git").stdout.split()
    assert got == [b"github"], got


def test_upgrade():
    "a program of another build than the daemon says so, and what to do"
    build = house.hatcheck("version").stdout.split()[-1].strip(b")")
    other = house.bin / "hatcheck-next"
    other.write_bytes((house.bin / "hatcheck").read_bytes().replace(
        build, b"1" * 16 + build[16:]))
    other.chmod(0o755)

    def new(*words):
        done = subprocess.run(
            house.as_owner([str(other), "--home", str(house.home), *words]),
            capture_output=True, text=True, env=house.env, cwd="/",
            stdin=subprocess.DEVNULL)
        return done.returncode, done.stderr

    for words in (["credential", "list"], ["vault", "status"],
                  ["credential", "remove", "demo"], ["start"], ["status"]):
        got, text = new(*words)
        assert "of another build" in text, (words, got, text)
        assert "next: hatcheck stop; hatcheck start" in text, (words, text)
        assert (got == 0) == (words[0] in ("start", "status")), (words, got)


def test_uninitialised():
    "a house whose vault was not chosen is told to be initialised"
    bare = House(init=False, start=False)
    try:
        done = bare.hatcheck("credential", "list", check=False)
        assert b"next: hatcheck init\n" in done.stderr, done
        done = bare.hatcheck("--json", "doctor", check=False)
        checks = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
        assert checks["vault"]["mend"] == "hatcheck init", checks["vault"]
        bare.hatcheck("stop")
        done = bare.hatcheck("status", check=False)
        assert b"next: hatcheck init\n" in done.stderr, done
    finally:
        bare.close()


def test_stopped():
    "without a daemon looking exits with 3; stop twice too"
    house.hatcheck("stop")
    for words in (["status"], ["stop"], ["grant", "list"],
                  ["session", "list"], ["vault", "status"]):
        got, text = error(*words)
        assert got == 3, (words, got, text)
        if words != ["stop"]:  # its vault was chosen: no second init
            assert "next: hatcheck start\n" in text, (words, text)
    house.hatcheck("audit", "verify")  # offline
    house.hatcheck("logs", "-n", "5")


def test_nothing_leaked():
    "no output of any verb ever held the credential (requirement 9)"
    seen = b"".join(outputs)
    assert len(seen) > 1000
    assert KEY.encode() not in seen


tap.main(globals(), setup, teardown)
