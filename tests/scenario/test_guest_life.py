"""A guest's life with its host: the daemon dies and comes back, tokens are
revoked, clocks differ, and what is wrong is told (requirements 23, 25, 43)."""
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID, as_user, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
GET = ("get() { curl -s -m 60 -o /dev/null -w '%{http_code}\\n' "
       "https://api.demo.test/v1/x; }; ")
house = up = None


def setup():
    global house, up
    up = Upstream(["api.demo.test"])
    up.answer = lambda r: (
        (200, {}, b"served\n")
        if r.header("authorization") == [f"Bearer {KEY}"]
        else (401, {}, b"no\n"))
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("demo-api", up, credential="demo"))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


class Command:
    """A shell in the sandbox that does what it is told, line by line."""

    def __init__(self, guest):
        self.p = subprocess.Popen(
            guest.sandbox("sh", "-c", GET + "while read word; do "
                          "eval \"$word\"; done; exit 5"),
            cwd="/", env={"PATH": "/usr/bin:/bin"}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def tell(self, word):
        self.p.stdin.write(word.encode() + b"\n")
        self.p.stdin.flush()

    def hear(self):
        return self.p.stdout.readline()

    def get(self):
        self.tell("get")
        return self.hear()

    def end(self):
        self.p.stdin.close()
        status = self.p.wait(60)
        return status, self.p.stderr.read().decode()


def of_daemon():
    """Every process of it: pid by program."""
    found = {}
    for pid in house.pids():
        try:
            name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        except OSError:
            continue
        if name not in ("hatcheck-guest", "hatcheck"):
            found[name] = pid
    return found


def kill_daemon():
    """Its children go with it: a call that one of them took is lost."""
    os.kill(of_daemon()["hatcheckd"], signal.SIGKILL)
    wait_for(lambda: not of_daemon())


def test_children_killed():
    "every process of the daemon killed but itself: a call waits, is served"
    g = house.session("reborn", "demo-api")
    c = Command(g)
    assert c.get() == b"200\n"
    before = families(g)
    for p in house.processes():
        os.kill(p["pid"], signal.SIGKILL)
    assert c.get() == b"200\n", house.log_tail()
    assert families(g) == before, "its token is good as before"
    assert c.end() == (5, "")


def test_daemon_killed():
    "a command outlives the daemon's death; its calls wait for the next one"
    c = Command(house.session("restart", "demo-api"))
    assert c.get() == b"200\n"
    seen = len(up.requests)
    kill_daemon()
    c.tell("get")
    time.sleep(0.5)     # so that it does meet a host that is not there
    assert c.p.poll() is None
    house.start()
    assert c.hear() == b"200\n", house.log_tail()
    assert c.get() == b"200\n"
    status, err = c.end()
    assert status == 5, (status, err)
    assert len(up.requests) == seen + 2, "each call reached upstream once"


def test_daemon_restarted():
    "stop and start are no different"
    c = Command(house.session("again", "demo-api"))
    assert c.get() == b"200\n"
    house.stop()
    c.tell("get")
    time.sleep(0.2)
    house.start()
    assert c.hear() == b"200\n", house.log_tail()
    assert c.end()[0] == 5


def families(guest):
    rows = house.json("token", "list", "--session", guest.id)
    return {t["family"]: t["jti"] for t in rows["tokens"]}


def test_token_unknown():
    "a token that the host no longer knows is replaced; no call is lost"
    g = house.session("doubt", "demo-api")
    c = Command(g)
    assert c.get() == b"200\n"
    before = families(g)
    for jti in before.values():
        house.hatcheck("revoke", "--token", jti)
    seen = len(up.requests)
    assert c.get() == b"200\n", house.log_tail()
    assert len(up.requests) == seen + 1
    status, err = c.end()
    assert status == 5 and "does not know our token" in err, err


def test_session_revoked():
    "no token comes back after the session: the call fails, at once"
    g = house.session("over", "demo-api")
    c = Command(g)
    assert c.get() == b"200\n"
    seen = len(up.requests)
    house.hatcheck("revoke", "--session", g.id)
    assert c.get() != b"200\n"
    assert len(up.requests) == seen
    assert c.end()[0] == 5


def test_clock_behind():
    "a client whose clock is 50 minutes slow works; two hours are refused"
    if not shutil.which("faketime"):
        raise tap.Skip("no faketime")
    g = house.session("slow", "demo-api")
    curl = "curl -s -o /dev/null -w '%{http_code}' https://api.demo.test/v1/x"
    for skew, want in (("-50m", b"200"), ("+10h", b"200"), ("-2h", b"000")):
        r = g.run("sh", "-c", f"faketime -f {skew} {curl}; date >&2")
        assert r.stdout == want, (skew, r)


def test_boot_clock():
    "a guest that believes to be up for years is served"
    g = house.session("old", "demo-api")
    words = ["unshare", "--user", "--map-current-user", "--time",
             "--boottime", "100000000", "--fork", "--",
             str(house.bin / "hatcheck-guest"), "--channel", g.dir, "run",
             "--", "sh", "-c", "cut -d. -f1 /proc/uptime; curl -s "
             "https://api.demo.test/v1/x"]
    r = subprocess.run(as_user(words), capture_output=True, cwd="/",
                       env={"PATH": "/usr/bin:/bin:/usr/sbin"})
    if b"unshare" in r.stderr:
        raise tap.Skip("no time namespaces here")
    up_for, rest = r.stdout.split(b"\n", 1)
    assert int(up_for) > 100000000 and rest == b"served\n", r


# ------------------------------------------------------------------ doctor

def doctor(guest, *before, env=None, uid=UID, channel=None):
    """Outside of the sandbox: what a VM would be, with its own files."""
    words = [str(house.bin / "hatcheck-guest"), "--channel",
             channel or guest.dir, "doctor", "--json"]
    r = subprocess.run(as_user([*before, *words], uid), capture_output=True,
                       cwd="/", env={"PATH": "/usr/bin:/bin",
                                     "HATCHECK_GUEST_DIR": "/nonexistent",
                                     **(env or {})})
    rows = json.loads(r.stdout)
    assert [x["check"] for x in rows] == [
        "channel", "host", "token", "clock", "root", "trust", "proxy",
        "bridge"], rows
    for x in rows:
        assert x["found"], rows
        assert (x["next"] != "") == (x["state"] == "problem"), rows
    bad = {x["check"]: x for x in rows if x["state"] == "problem"}
    untried = [x["check"] for x in rows if x["state"] == "untried"]
    assert r.returncode == (1 if bad or untried else 0), r
    return bad, untried


def test_doctor_well():
    "in a guest where all is well it says so, eight times"
    g = house.session("well", "demo-api")
    r = g.run("/run/hatcheck-guest", "doctor")
    lines = r.stdout.decode().splitlines()
    assert r.returncode == 0 and len(lines) == 8, r
    assert all(x.startswith("ok ") for x in lines), r
    assert g.id in r.stdout.decode()
    assert KEY.encode() not in r.stdout


def test_doctor_leaves_no_token():
    "the token that it asked for does not stay"
    g = house.session("tidy", "demo-api")
    doctor(g)
    live = [t for t in house.json("token", "list", "--session",
                                  g.id)["tokens"] if t["state"] == "active"]
    assert not live, live


def test_doctor_channel():
    "a channel that is not there, another's, of nobody, of an ended session"
    g = house.session("ill", "demo-api")
    bad, untried = doctor(g, channel="/nonexistent/channel")
    assert "not there" in bad["channel"]["found"], bad
    assert untried == ["token", "clock", "root", "trust", "bridge"], untried
    if os.getuid() == 0:
        bad, _ = doctor(g, uid=UID + 1)
        assert "may not connect" in bad["channel"]["found"], bad
        assert str(UID + 1) in bad["channel"]["found"], bad
    house.stop()
    bad, _ = doctor(g)
    house.start()
    assert "nobody listens" in bad["channel"]["found"] and \
        "hatcheck status" in bad["channel"]["next"], bad


def test_doctor_session_over():
    "a mounted channel whose session has ended"
    g = house.session("past", "demo-api")
    there = house.base / "mounted"
    there.mkdir(exist_ok=True)
    script = ('mount --bind "$1" "$2" && echo && read x && shift 2 && '
              'exec "$@"')
    p = subprocess.Popen(
        as_user(["unshare", "--user", "--map-root-user", "--mount", "sh",
                 "-c", script, "sh", g.dir, str(there),
                 str(house.bin / "hatcheck-guest"), "--channel", str(there),
                 "doctor"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, cwd="/", env={"PATH": "/usr/bin:/bin"})
    assert p.stdout.readline() == "\n"
    g.end()
    out, _ = p.communicate("\n", timeout=60)
    assert p.returncode == 1 and "has ended" in out and \
        "next: start this guest anew" in out, out


def test_doctor_variables():
    "no proxy variable, a foreign one, another session's certificates"
    g, other = (house.session(n, "demo-api") for n in ("mine", "theirs"))
    bad, untried = doctor(g)
    assert set(bad) == {"trust", "proxy"} and untried == ["bridge"], bad
    assert "not set" in bad["proxy"]["found"]
    bad, _ = doctor(g, env={"https_proxy": "http://proxy.example:3128"})
    assert "another proxy" in bad["proxy"]["found"], bad
    bad, untried = doctor(g, env={"https_proxy": "http://127.0.0.1:9"})
    assert set(bad) == {"trust", "bridge"} and not untried, bad
    pem = house.base / "theirs.pem"
    pem.write_text(other.ca())
    bad, _ = doctor(g, env={"SSL_CERT_FILE": str(pem)})
    assert "SSL_CERT_FILE" in bad["trust"]["found"], bad
    pem.write_text("# a bundle\n" + other.ca() + g.ca())
    bad, _ = doctor(g, env={"SSL_CERT_FILE": str(pem)})
    assert set(bad) == {"proxy"}, bad


def test_doctor_other_bridge():
    "a bridge that another session left behind"
    g, other = (house.session(n, "demo-api") for n in ("new", "left"))
    serve = subprocess.Popen(
        as_user([str(house.bin / "hatcheck-guest"), "--channel", other.dir,
                 "serve", "--port", "0", "--print-env"]),
        stdout=subprocess.PIPE, text=True, cwd="/",
        env={"PATH": "/usr/bin:/bin", "HATCHECK_GUEST_DIR":
             f"/tmp/hck-{secrets.token_hex(6)}"})
    try:
        url = ""
        while not url:
            line = serve.stdout.readline()
            if line.startswith("export https_proxy="):
                url = line.split("'")[1]
        bad, _ = doctor(g, env={"https_proxy": url})
        assert "another session" in bad["bridge"]["found"], bad
        assert "bridge" not in doctor(other, env={"https_proxy": url})[0]
    finally:
        serve.terminate()
        serve.wait(20)


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
