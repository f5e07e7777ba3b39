#!/usr/bin/env python3
"""Guests over vsock, in a VM that the tests booted: over CID 1 within it,
then over CID 2 from VMs in the VM (requirements 23, 33, 39). CID 2 is
connected to from those alone."""
import json
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID, as_user, wait_for  # noqa: E402
from nested import Vm  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
PORT = 8377
URL = "https://api.demo.test/v1/hello"
BOOTED = "/tmp/booted"  # a VM that has just booted, saved
house = up = booting = None
vms, kept = {}, {}


def first_vm():
    """Boots once: all others go on from where it was when it had."""
    vms[42] = Guest(42)
    vms[42].booted()
    vms[42].save(BOOTED)
    vms[42].go_on()


def setup():
    global house, up, booting
    # It takes as long as all tests on CID 1, beside which it boots.
    booting = ThreadPoolExecutor(1).submit(first_vm)
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))


def teardown():
    for vm in vms.values():
        vm.kill()
    if house:
        house.close()
    if up:
        up.close()


def create(name, *channel):
    return house.json("session", "create", "--name", name, "--ttl", "1h",
                      "--grant", "one", "--channel", *channel)


def end(name):
    house.hatcheck("session", "end", name)


def agent(*words, uid=UID + 1, **more):
    """The agent of a guest that is this machine, by another user."""
    command = [str(house.bin / "hatcheck-guest"), "--channel", "vsock:1",
               *words]
    return subprocess.run(as_user(command, uid) if uid else command,
                          capture_output=True, timeout=120,
                          env={"PATH": "/usr/bin:/bin:/opt/busybox",
                               "HOME": "/tmp"}, cwd="/", **more)


def dial(data, cid=1):
    return subprocess.run(as_user(["/t/dial", str(cid), str(PORT)], UID + 1),
                          input=data, capture_output=True, timeout=60).stdout


def base_of(made):
    return made["environment"]["bases"][0]["path"]


def status(token, made):
    """What a brokered call of that session is answered."""
    got = dial(f"GET {base_of(made)}/v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
               "Connection: close\r\n"
               f"Proxy-Authorization: Bearer {token}\r\n\r\n".encode())
    return int(got.split()[1]) if got else None


def refusals(cid):
    return [x for x in house.audit_lines("minter")
            if x["event"] == "peer_refused" and x["cid"] == cid]


def test_main_job():
    "CID 1: token, brokered call with the key, which the guest never sees"
    create("local", "vsock:local")
    done = agent("run", "--", "curl", "-sS", "--fail", URL)
    assert (done.returncode, done.stdout) == (0, b"hello\n"), done
    assert up.requests[-1].header("authorization") == [f"Bearer {KEY}"]
    seen = agent("run", "--", "sh", "-c", "env; cat /proc/self/environ")
    assert seen.returncode == 0 and KEY.encode() not in seen.stdout
    assert b"HATCHECK_CHANNEL=vsock:1" in seen.stdout


def test_parallel():
    "CID 1: two dozen at once, and a body of a megabyte each way"
    n = len(up.requests)
    done = agent("run", "--", "curl", "-sS", "--fail", "-Z",
                 "--parallel-immediate", "--parallel-max", "24",
                 *("-o", "/dev/null", URL) * 24)
    assert done.returncode == 0, (done.stderr, house.log_tail(60))
    assert len(up.requests) == n + 24
    body = secrets.token_bytes(1 << 20)
    up.answer = lambda request: (200, {}, request.body)
    try:
        done = agent("run", "--", "curl", "-sS", "--fail", "--data-binary",
                     "@-", URL, input=body)
        assert done.returncode == 0, done.stderr
        assert done.stdout == body
    finally:
        up.answer = lambda request: (200, {}, b"hello\n")


def test_restart():
    "CID 1: the daemon is restarted under a command, which goes on"
    command = [str(house.bin / "hatcheck-guest"), "--channel", "vsock:1",
               "run", "--", "sh", "-c",
               f"curl -sS --fail {URL}; read -r x; "
               f"curl -sS --fail --retry 20 --retry-delay 1 {URL}"]
    p = subprocess.Popen(as_user(command, UID + 1), stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env={"PATH": "/usr/bin:/bin:/opt/busybox"}, cwd="/")
    assert p.stdout.readline() == b"hello\n"
    house.stop()
    p.stdin.write(b"go\n")  # held by the bridge: nobody listens
    p.stdin.flush()
    time.sleep(1)
    house.start()
    out, err = p.communicate(timeout=60)
    assert (p.returncode, out) == (0, b"hello\n"), (p.returncode, out, err)


def test_revoked():
    "CID 1: a revocation cuts the flow, and nothing more goes upstream"
    def forever(request):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
        while True:
            yield b"x" * 1000
            time.sleep(0.05)
    made = house.json("session", "show", "local")
    token = agent("token").stdout.decode().strip()
    assert status(token, made) == 200
    up.answer = forever
    n = len(up.requests)
    command = [str(house.bin / "hatcheck-guest"), "--channel", "vsock:1",
               "run", "--", "curl", "-sS", URL]
    p = subprocess.Popen(as_user(command, UID + 1), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, cwd="/",
                         env={"PATH": "/usr/bin:/bin"})
    try:
        wait_for(lambda: len(up.requests) == n + 1, 30)
        assert p.stdout.read(1000) == b"x" * 1000
        house.hatcheck("revoke", "--session", "local")
        p.stdout.read()
        assert p.wait(60) != 0
    finally:
        up.answer = lambda request: (200, {}, b"hello\n")
        p.kill()
    assert status(token, made) is None
    assert len(up.requests) == n + 1


def test_inherits_nothing():
    "CID 1 again, in another session: the token of before is dead"
    made = create("first", "vsock:local")
    old = agent("token").stdout.decode().strip()
    assert status(old, made) == 200
    end("first")
    made = create("second", "vsock:local")
    assert status(old, made) == 407
    assert status(agent("token").stdout.decode().strip(), made) == 200
    end("second")


def test_wrong_cid():
    "a CID without a session gets not a byte, and is in the audit log"
    made = create("other", "vsock:42")
    assert status("x" * 40, made) is None
    assert dial(b"GET http://hatcheck.internal/v1/ca HTTP/1.1\r\n"
                b"Host: hatcheck.internal\r\n\r\n") == b""
    wait_for(lambda: refusals(1))
    assert refusals(1)[0]["why"] == "no session has this CID"
    assert refusals(1)[0]["session"] == ""
    end("other")


def test_flood():
    "a flood of strangers: each is counted, in few lines, and a guest goes on"
    def total():
        return sum(x["count"] for x in refusals(1))
    create("other", "vsock:42")
    before, lines = total(), len(refusals(1))
    done = subprocess.run(as_user(["/t/dial", "1", str(PORT), "500"], UID + 1),
                          capture_output=True, timeout=120)
    assert done.stdout == b"500 closed\n", done
    wait_for(lambda: total() >= before + 500, 130)
    assert len(refusals(1)) - lines < 10
    end("other")
    create("local", "vsock:local")
    assert agent("run", "--", "curl", "-sS", "--fail", URL).returncode == 0


def test_too_many():
    "a guest's own flood: what is beyond its limits is closed, it alone"
    done = subprocess.run(as_user(["/t/dial", "1", str(PORT), "400"], UID + 1),
                          capture_output=True, timeout=120)
    closed = int(done.stdout.split()[0])
    assert closed >= 400 - 256, done.stdout
    wait_for(lambda: agent("run", "--", "curl", "-sS", "--fail",
                           URL).returncode == 0, 60)  # when they are gone
    end("local")


def test_privileged_ports():
    "with --privileged-ports the guest's root is heard, and no other"
    made = create("root", "vsock:local", "--privileged-ports")
    assert made["channel"]["privileged_ports"] is True
    assert agent("run", "--", "curl", "-sS", "--fail", URL,
                 uid=0).returncode == 0
    assert agent("token").returncode != 0
    assert dial(b"GET http://hatcheck.internal/v1/ca HTTP/1.1\r\n"
                b"Host: hatcheck.internal\r\n\r\n") == b""
    wait_for(lambda: [x for x in refusals(1)
                      if x["why"] == "its port is not below 1024" and
                      x["session"] == made["id"]], 90)
    end("root")


class Guest(Vm):
    def status(self, token, made):
        """As status(), from in there."""
        self.run(f"T={token}")
        got = self.run(
            rf"printf 'GET {base_of(made)}/v1/x HTTP/1.1\r\nHost: 127.0.0.1"
            r"\r\nConnection: close\r\nProxy-Authorization: Bearer "
            rf"%s\r\n\r\n' $T | dial 2 {PORT}")
        return int(got.split()[1])

    def token(self):
        return self.run("hatcheck-guest --channel vsock:2 token")

    def start(self):
        """A command that asks for what it is told, whenever it is told."""
        self.run("mkfifo /tell /hear")
        self.run("hatcheck-guest --channel vsock:2 run -- sh -c "
                 "'p=${http_proxy%/}; unset http_proxy; "
                 "while read -r path </tell; do wget -q -O - $p$path >/hear "
                 "|| echo failed >/hear; done' 2>/said &")

    def ask(self, made):
        return self.run(f"timeout 100 sh -c 'echo {base_of(made)}/v1/deep "
                        ">/tell; cat /hear'").splitlines()[-1]


def goes_on(vm, made):
    """The command is served again. A request that falls into the moment in
    which the connections of before are reset may fail, and is made again."""
    return any(vm.ask(made) == "hello" for _ in range(5))


def brokered(vm, made):
    n = len(up.requests)
    # The proxy's address with the grant's base path: no TLS in the guest.
    got = vm.run("hatcheck-guest --channel vsock:2 run -- sh -c "
                 "'p=${http_proxy%/}; unset http_proxy; "
                 f"wget -q -O - $p{base_of(made)}/v1/deep'")
    assert "hello" in got.splitlines(), got
    assert len(up.requests) == n + 1
    assert up.requests[-1].path == "/v1/deep"
    assert up.requests[-1].header("authorization") == [f"Bearer {KEY}"]


def test_nested():
    "a VM with CID 42: a token over CID 2, and a brokered call"
    booting.result()
    a, b = create("a", "vsock:42"), create("b", "vsock:43")
    kept["token"] = vms[42].token()
    assert kept["token"].count(".") == 2 and "\n" not in kept["token"]
    kept["made"], kept["neighbour"] = a, b
    brokered(vms[42], a)
    assert vms[42].status(kept["token"], a) == 200


def test_neighbour():
    "the VM with CID 43: 42's token is refused there, its own is good"
    token, b = kept["token"], kept["neighbour"]
    vms[43] = Guest(43, BOOTED)
    assert vms[43].status(token, b) == 407
    assert vms[43].status(vms[43].token(), b) == 200
    assert vms[42].status(token, kept["made"]) == 200  # and lived


def test_next_vm():
    "another VM with CID 42: the token of the first is dead, its own is good"
    vms.pop(43).kill()
    vms.pop(42).kill()
    end("a")
    made = create("again", "vsock:42")
    vms[42] = Guest(42, BOOTED)
    assert vms[42].status(kept["token"], made) == 407
    assert vms[42].status(vms[42].token(), made) == 200
    brokered(vms[42], made)
    kept["made"] = made


def forget_tokens():
    """As if it had been away for longer than they live."""
    for t in house.json("token", "list", "--session", "again")["tokens"]:
        house.hatcheck("revoke", "--token", t["jti"])


def test_held():
    "held, its host restarted, its token dead, a day gone: a command goes on"
    vm, made = vms[42], kept["made"]
    vm.start()
    assert vm.ask(made) == "hello"
    vm.hold()
    forget_tokens()
    house.stop()
    house.start()
    vm.go_on()
    vm.run("date -s @$(($(date +%s) + 86400))")
    assert goes_on(vm, made)
    assert "does not know our token" in vm.run("cat /said")


def test_saved():
    "saved, killed and restored: the same command goes on"
    vms[42].save("/tmp/saved")
    vms.pop(42).kill()
    forget_tokens()
    vms[42] = Guest(42, "/tmp/saved")
    n = len(up.requests)
    assert goes_on(vms[42], kept["made"])
    assert len(up.requests) == n + 1


def test_clone():
    "the same restored with CID 43: another guest, to whom 42's is nothing"
    vms[43] = Guest(43, "/tmp/saved")
    n, b = len(up.requests), kept["neighbour"]
    assert vms[43].ask(kept["made"]) == "failed"
    assert len(up.requests) == n
    assert vms[43].status(vms[43].token(), b) == 200
    assert vms[42].ask(kept["made"]) == "hello"


def test_audit():
    "and the audit log of it all verifies"
    done = house.hatcheck("audit", "verify", timeout=120)
    assert done.returncode == 0, done
    assert KEY not in json.dumps(house.audit_lines())


tap.main(globals(), setup, teardown)
