"""`hatcheck-guest run --allow`: a sub-agent has less than who started it,
and no way around that: not the network, the channel, /proc, vsock."""
import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import UID, House, as_user, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
HOST = "api.demo.test"
ALLOW = ("--allow", f"GET {HOST}/v1/a/**")
house = up = guest = agent = None


def setup():
    global house, up, guest, agent
    up = Upstream([HOST])
    house = House()
    house.credential("demo", KEY, "--host", HOST)
    house.apply(house.grant_yaml("one", up, "demo"))
    guest = house.session("agent", "one")
    # Where the user of the tests can run it, whoever built it.
    agent = Path(house.home).parent / "hatcheck-guest"
    shutil.copy(house.bin / "hatcheck-guest", agent)
    agent.chmod(0o755)


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def can_nest():
    if subprocess.run(as_user(["unshare", "-Urmnpf", "--mount-proc", "true"]),
                      capture_output=True).returncode != 0:
        raise tap.Skip("user namespaces: this machine makes none")


def plain(*words, **more):
    "The agent without any sandbox around it."
    can_nest()
    return subprocess.run(
        as_user([str(agent), "--channel", guest.dir, "run", *words]),
        capture_output=True, timeout=60, cwd="/",
        env={"PATH": "/usr/bin:/bin"}, **more)


def shell(script, *words):
    r = plain(*(words or ALLOW), "--as", "reviewer", "--", "sh", "-c", script)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def test_less():
    "it reaches what it was allowed, with the key, and nothing else"
    got = shell(f"curl -s https://{HOST}/v1/a/x; "
                f"curl -s https://{HOST}/v1/b; "
                f"curl -s -X POST https://{HOST}/v1/a/x; exit 7")
    assert got[0] == 7, got
    assert got[1].startswith("hello\n"), got
    assert got[1].count("not-delegated") == 2, got
    assert KEY.encode() in up.requests[-1].raw
    row = [t for t in house.json("token", "list")["tokens"]
           if t.get("act") == "reviewer"][0]
    assert row["state"] == "revoked"  # with its command
    line = [x for x in house.audit_lines(guest.id)
            if x.get("act") == ["reviewer"] and x["event"] == "request"][-1]
    assert line["path"] == "/v1/a/x" and line["grant"] == "one", line


def test_by_grant_and_ttl():
    "a grant by its name; a time; what is wider is refused before it runs"
    got = shell(f"curl -s https://{HOST}/v1/z", "--allow", "one", "--ttl",
                "10m")
    assert got[:2] == (0, "hello\n"), got
    for words, status in ((("--allow", f"GET {HOST}.evil/x"), 125),
                          (("--allow", "admin"), 125),
                          (("--allow", "GET"), 125),
                          (("--allow", "GET x"), 2),
                          (("--allow", 'GET a/"'), 2),
                          (("--allow", "one", "--ttl", "soon"), 2),
                          (("--ttl", "10m"), 2), (("--as", "x"), 2)):
        r = plain(*words, "--", "echo", "ran")
        assert r.returncode == status and not r.stdout, (words, r)


CONNECT = """
import socket, sys, os
def tried(name, f):
    try:
        print(name, f())
    except OSError as e:
        print(name, "refused", e.errno)
def unix(path):
    s = socket.socket(socket.AF_UNIX); s.connect(path); return "open"
def tcp(port):
    s = socket.create_connection(("127.0.0.1", port), 2); return "open"
def vsock():
    return "open" if socket.socket(40, socket.SOCK_STREAM) else ""
tried("channel", lambda: unix(sys.argv[1]))
tried("relative", lambda: unix("hatcheck.sock"))
tried("listener", lambda: tcp(int(sys.argv[2])))
tried("vsock", vsock)
tried("proc", lambda: sorted(int(p) for p in os.listdir("/proc")
                             if p.isdigit())[-1] < 50 and "own")
tried("root", lambda: os.listdir("/proc/1/root"))
tried("mem", lambda: open("/proc/1/mem", "rb") and "open")
tried("kill", lambda: os.kill(int(sys.argv[3]), 0) or "seen")
print("fds", sorted(os.listdir("/proc/self/fd"))[:3])
"""


def test_no_way_around():
    "channel, parent's listener, /proc, vsock, umount: none is there"
    can_nest()
    outer = subprocess.Popen(
        as_user([str(agent), "--channel", guest.dir, "run", "--", "sh", "-c",
                 "echo $HTTPS_PROXY; echo $$; exec sleep 60"]),
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd="/",
        env={"PATH": "/usr/bin:/bin"})
    try:
        proxy = outer.stdout.readline().decode().strip()
        port, pid = proxy.rsplit(":", 1)[1].strip("/"), \
            outer.stdout.readline().decode().strip()
        words = [str(agent), "--channel", guest.dir, "run", *ALLOW, "--",
                 "python3", "-c", CONNECT, guest.socket, port, pid]
        # Even when it begins within the channel's directory.
        r = subprocess.run(as_user(["sh", "-c", 'cd "$0"; exec "$@"',
                                    guest.dir, *words]),
                           capture_output=True, timeout=60, cwd="/",
                           env={"PATH": "/usr/bin:/bin"})
        got = dict(line.split(" ", 1)
                   for line in r.stdout.decode().splitlines())
        for name in ("channel", "relative", "listener", "vsock", "root",
                     "mem", "kill"):
            assert got[name].startswith("refused"), (name, got, r.stderr)
        assert got["proc"] == "own", got
        assert got["fds"] == "['0', '1', '2']", got
        # With a namespace of its own it cannot take the cover away.
        code, out, _ = shell(
            f"unshare -Urm sh -c 'umount {guest.dir}; umount -l {guest.dir}; "
            f"ls {guest.dir}'; ls {guest.dir}; umount {guest.dir}; "
            f"ls -A {guest.dir}; echo end")
        assert "hatcheck.sock" not in out and out.endswith("end\n"), out
    finally:
        outer.terminate()
        outer.wait()


def test_its_api():
    "its bridge gives it no token of the session"
    code, out, err = shell(
        "curl -s -d grant_type=client_credentials "
        "http://hatcheck.internal/v1/token; "
        "curl -s http://hatcheck.internal/v1/status")
    assert "unauthorized_client" in out, (out, err)
    assert "access_token" not in out and guest.id in out, out


def test_it_ends():
    "its processes end with it, its family with the command, and by revoke"
    can_nest()
    p = subprocess.Popen(
        as_user([str(agent), "--channel", guest.dir, "run", *ALLOW, "--as",
                 "mortal", "--", "sh", "-c",
                 "trap '' TERM HUP; sleep 1234 & echo on; wait; wait"]),
        stdout=subprocess.PIPE, cwd="/", env={"PATH": "/usr/bin:/bin"})
    assert p.stdout.readline() == b"on\n"

    def sleeping():
        return subprocess.run(["pgrep", "-f", "^sleep 1234$"],
                              capture_output=True).stdout.split()
    assert sleeping()
    row = [t for t in house.json("token", "list")["tokens"]
           if t.get("act") == "mortal"][0]
    house.hatcheck("revoke", "--token", row["family"])
    p.kill()
    p.wait()
    wait_for(lambda: not sleeping(), 20)


def test_refuses_without_namespaces():
    "where namespaces are not to be had nothing runs, and it says why"
    words = guest.sandbox("/run/hatcheck-guest", "run", *ALLOW, "--", "echo",
                          "ran")
    at = words.index("--unshare-all")
    words[at:at] = ["--unshare-user", "--disable-userns"]
    r = subprocess.run(words, capture_output=True, timeout=60, cwd="/",
                       env={"PATH": "/usr/bin:/bin"})
    assert r.returncode == 125 and b"ran" not in r.stdout, r
    assert b"cannot be kept apart" in r.stderr and b"next:" in r.stderr, r


def run_cli(*words):
    project = Path(house.home).parent / "project"
    if not project.exists():
        project.mkdir(mode=0o755)
        if os.getuid() == 0:
            os.chown(project, UID, UID)
    return subprocess.run(
        as_user([str(house.bin / "hatcheck"), "--home", str(house.home),
                 "run", "--grant", "one", *words]),
        capture_output=True, timeout=60, cwd=project, env=house.env)


def test_inside_hatcheck_run():
    "in `hatcheck run` it works with --nested, and is refused without"
    can_nest()
    inner = ["/run/hatcheck-guest", "run", *ALLOW, "--", "sh", "-c",
             f"curl -s https://{HOST}/v1/a/x; curl -s https://{HOST}/v1/b; "
             "ls -A /run/hatcheck"]
    r = run_cli("--", *inner)
    assert r.returncode == 125 and b"--nested" in r.stderr, r
    r = run_cli("--nested", "--", *inner)
    assert r.stdout.startswith(b"hello\n"), r
    assert b"not-delegated" in r.stdout and b"hatcheck.sock" not in r.stdout


tap.main(globals(), setup, teardown)
