"""`hatcheck run`: a sandboxed command with a session of its own."""
import json
import os
import pty
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, UID, as_user, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = project = None


def setup():
    global house, up, project
    up = Upstream(["api.demo.test"])
    up.answer = lambda r: (
        (200, {}, b"served\n")
        if r.header("authorization") == [f"Bearer {KEY}"]
        else (401, {}, b"no\n"))
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test", "--env",
                     "DEMO_KEY")
    house.apply(house.grant_yaml("demo-api", up, credential="demo"))
    project = house.base / "project"
    project.mkdir()
    if os.getuid() == 0:
        os.chown(project, UID, UID)


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def command(*words):
    return as_user([str(house.bin / "hatcheck"), "--home", str(house.home),
                    "run", *words])


def run(*words, stdin=b"", cwd=None, env=None, grant=("--grant", "demo-api")):
    return subprocess.run(command(*grant, *words), input=stdin,
                          capture_output=True, timeout=60,
                          cwd=cwd or project,
                          env=dict(house.env, **(env or {})))


def sessions():
    return house.json("session", "list")["sessions"]


def test_call():
    "curl in it gets its answer with the real key; the key is not in it"
    r = run("--", "sh", "-c",
            "curl -s https://api.demo.test/v1/x; env; cat /proc/*/environ; "
            "cat /proc/*/cmdline; cat /run/hatcheck/* 2>/dev/null; true")
    assert r.returncode == 0, r
    assert r.stdout.startswith(b"served\n"), r
    assert KEY.encode() not in r.stdout + r.stderr
    assert b"DEMO_KEY=" in r.stdout


def test_session_ends():
    "the session ends with the command, also when that fails"
    before = len(sessions())
    assert run("--", "false").returncode == 1
    assert len(sessions()) == before == 0, sessions()


def test_exit_status():
    "exit statuses, arguments and pipes pass through"
    for status in (0, 3, 255):
        assert run("--", "sh", "-c", f"exit {status}").returncode == status
    assert run("--", "sh", "-c", "kill -9 $$").returncode == 137
    assert run("--", "/nonexistent").returncode == 127
    r = run("--", "cat", stdin=b"\0binary\xff\n")
    assert (r.returncode, r.stdout) == (0, b"\0binary\xff\n"), r
    r = run("--", "printf", "%s|", "a b", "", "--x", "$(id)")
    assert r.stdout == b"a b||--x|$(id)|", r


def test_project():
    "the project is the working directory, at its own path, writable"
    r = run("--", "sh", "-c", "pwd; echo made > new")
    assert r.stdout.decode().strip() == str(project), r
    assert (project / "new").read_text() == "made\n"
    assert os.listdir(project) == ["new"], "no ghost is left behind"
    if os.getuid() == 0:
        assert (project / "new").stat().st_uid == UID
    (project / "new").unlink()


def test_tripwires():
    "git's hooks and configuration are out of reach; a commit works"
    as_owner = as_user(["sh", "-c",
                        "git init -q . && git config user.name n && "
                        "git config user.email e@x"])
    subprocess.run(as_owner, cwd=project, check=True, env=house.env)
    before = (project / ".git" / "config").read_bytes()
    r = run("--", "sh", "-c",
            "echo x > .git/hooks/pre-commit; echo x >> .git/config; "
            "mv .git .git2; git config core.pager evil; "
            "echo x > .vscode/tasks.json; echo evil > .envrc; "
            "echo hi > f; git add f && git commit -qm one")
    assert r.returncode == 0, r
    assert (project / ".git" / "config").read_bytes() == before
    assert not (project / ".git" / "hooks" / "pre-commit").exists()
    assert not (project / ".vscode").exists()
    assert not (project / ".envrc").exists()
    assert (project / ".envrc.hatcheck-held").read_text() == "evil\n"
    assert b".envrc was made in the sandbox" in r.stderr, r
    clear()


def clear():
    for p in project.iterdir():
        shutil.rmtree(p) if p.is_dir() else p.unlink()


def test_escapes():
    "host sockets, state, home, network and other processes are not there"
    (house.user_home / "diary").write_text("canary-diary")
    outside = socket.create_server(("127.0.0.1", 0))
    port = outside.getsockname()[1]
    script = f"""
import os, socket, sys
bad = []
for path in ({str(house.home)!r}, {str(house.user_home)!r}, "/run/user",
             "/run/dbus", "/run/systemd", "/var/run/docker.sock", "/root",
             "/etc/shadow", "/sys", {str(house.bin)!r},
             "/run/hatcheck/admin.sock", "/run/hatcheck/vault.sock"):
    if os.path.exists(path):
        bad.append(path)
if sorted(os.listdir("/run/hatcheck")) != ["hatcheck.sock"]:
    bad.append(os.listdir("/run/hatcheck"))
for family, address in ((socket.AF_INET, ("127.0.0.1", {port})),
                        (socket.AF_INET, ("192.0.2.1", 80)),
                        (socket.AF_UNIX, "\\0canary")):
    try:
        socket.socket(family).connect(address)
        bad.append(address)
    except OSError:
        pass
if [p for p in os.listdir("/proc") if p.isdigit() and
        b"hatcheck" b"d" in open("/proc/" + p + "/cmdline", "rb").read()]:
    bad.append("processes")
sys.exit(str(bad) if bad else 0)
"""
    r = run("--", "python3", "-c", script)
    outside.close()
    assert r.returncode == 0, r


def test_environment():
    "nothing credential-shaped passes; --env does, but refuses keys"
    r = run("--env", "MODE=x y", "--", "env",
            env={"GITHUB_TOKEN": "canary-1", "AWS_PROFILE": "canary-2",
                 "SSH_AUTH_SOCK": "/canary-3", "LANG": "C.UTF-8"})
    assert r.returncode == 0 and b"canary" not in r.stdout, r
    assert b"\nMODE=x y\n" in r.stdout and b"LANG=C.UTF-8\n" in r.stdout
    key = "sk-ant-api03-" + "a1" * 20
    r = run("--env", f"K={key}", "--", "true")
    assert r.returncode == 2 and key.encode() not in r.stderr, r
    assert b"credential add" in r.stderr, r


def test_refused_places():
    "home, /, our own state and what holds secrets are not bound"
    for cwd, words in ((house.user_home, ()), ("/", ()),
                       (house.home, ()), (house.base, ()),
                       (project, ("--bind", str(house.user_home))),
                       (project, ("--ro-bind", "/run")),
                       (project, ("--ro-bind", "/etc")),
                       (project, ("--bind", "/tmp")),
                       (project, ("--ro-bind", str(house.home / "state")))):
        if cwd == house.home and os.getuid() == 0:
            continue    # root cannot cd there for the user
        r = run(*words, "--", "true", cwd=cwd)
        assert r.returncode == 125, (cwd, words, r)
        assert b"not let into a sandbox" in r.stderr and b"next:" in \
            r.stderr, r
    assert not sessions()


def test_keys_at_home():
    "no place of keys at home is bound, by its name, a link, or its parent"
    home = house.user_home
    places = (".ssh", ".aws", ".config/gh", ".gnupg", ".kube", ".docker",
              ".local/share/keyrings", ".config/hatcheck",
              ".local/state/hatcheck", ".netrc", ".git-credentials",
              ".password-store", ".mozilla", ".config/gcloud", "snap",
              ".npmrc", ".config/keepassxc")
    for place in places:
        path = home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True)
        (path / "key").write_text("canary-at-home")
    (project / "link").symlink_to(home / ".ssh")
    (project / "file").symlink_to(home / ".aws" / "key")
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{UID}:{UID}", home], check=True)
    try:
        for path in [*(home / p for p in places), home / ".ssh" / "key",
                     home / ".config", home / ".local", home / ".local/share",
                     project / "link", project / "file"]:
            for option in ("--bind", "--ro-bind"):
                r = run(option, str(path), "--", "cat", f"{path}/key")
                assert r.returncode == 125 and b"canary" not in r.stdout, (
                    path, r)
                assert b"--expose" in r.stderr and b"leak" in r.stderr, r
        for path in (home / ".ssh", home / ".config" / "gh"):
            r = run("--", "cat", "key", cwd=path)
            assert r.returncode == 125 and not r.stdout, r
        fine = home / "src"
        fine.mkdir()
        os.chmod(fine, 0o777)
        r = run("--bind", str(fine), "--", "ls", "-A", str(home))
        assert (r.returncode, r.stdout) == (0, b"src\n"), r
    finally:
        for p in home.iterdir():
            shutil.rmtree(p) if p.is_dir() else p.unlink()
        clear()
    assert not sessions()


def test_socket_bound():
    "a socket is not bound; one in a bound directory is covered, and told"
    agent = house.base / "agent"
    agent.mkdir()
    os.chmod(agent, 0o777)
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(agent / "agent.1"))
    os.chmod(agent / "agent.1", 0o777)
    s.listen(8)
    try:
        for option in ("--bind", "--ro-bind"):
            r = run(option, str(agent / "agent.1"), "--", "true")
            assert r.returncode == 125 and b"no directory" in r.stderr, r
            r = run(option, str(agent), "--", "python3", "-c",
                    "import socket\n"
                    "s = socket.socket(socket.AF_UNIX)\n"
                    f"s.connect('{agent}/agent.1')")
            assert r.returncode == 1 and b"agent.1 is covered" in r.stderr, r
    finally:
        s.close()
        shutil.rmtree(agent)


def test_bind():
    "--bind and --ro-bind let in what they name, links resolved"
    more = house.base / "more"
    more.mkdir()
    (more / "data").write_text("data\n")
    os.chmod(more, 0o777)
    (project / "link").symlink_to(more)
    r = run("--ro-bind", str(project / "link"), "--", "sh", "-c",
            f"cat {more}/data; touch {more}/x")
    assert r.stdout == b"data\n" and r.returncode == 1, r
    r = run("--bind", str(more), "--", "touch", f"{more}/x")
    assert r.returncode == 0 and (more / "x").exists(), r
    shutil.rmtree(more)
    clear()


def test_scope():
    "it may do what its grant says and no more"
    r = run("--", "sh", "-c",
            "curl -s -o /dev/null -w '%{http_code} ' "
            "https://api.demo.test/v1/x; "
            "curl -s -o /dev/null -w '%{http_connect}' "
            "https://other.demo.test/; true")
    assert r.stdout.split() == [b"200", b"403"], r
    r = run("--", "true", grant=())
    assert r.returncode in (2, 125) and b"--grant" in r.stderr, r
    r = run("--", "true", grant=("--grant", "nope"))
    assert r.returncode != 0 and not sessions(), r


def codes(*words):
    """What curl hears of each path, as `status reason`."""
    r = run(*words, "--", "sh", "-c",
            "for p in v1/x v2/x; do curl -s -w '%{http_code} ' -o body "
            "https://api.demo.test/$p; grep -o 'refusal:[a-z-]*' body; "
            "done; true", grant=())
    clear()
    assert r.returncode == 0, r
    return r.stdout.decode().split("\n")[:-1]


def test_allow():
    "--allow is a grant of its own: one path passes on to the dialer"
    rule = ("--allow", "GET api.demo.test/v1/**")
    passed, refused = codes(*rule, "--credential", "demo")
    # There is no such name: what was let through got as far as that.
    assert re.match(r"50[24] refusal:dns-", passed), passed
    assert refused == "403 refusal:path-not-granted", refused
    r = run("--allow", "FETCH everything", "--", "true", grant=())
    assert r.returncode == 2 and b"--allow" in r.stderr, r
    r = run(*rule, "--credential", "nope", "--", "true", grant=())
    assert r.returncode != 0 and b"nope" in r.stderr, r
    assert not sessions()


def test_preset():
    "--preset is a known service: its hosts, its variables, a placeholder"
    key = "ghp_" + secrets.token_hex(18)
    house.hatcheck("credential", "add", "github", "--preset", "github",
                   stdin=key.encode())
    r = run("--preset", "github", "--", "sh", "-c",
            "echo \"$GITHUB_TOKEN\"; /run/hatcheck-guest status; true",
            grant=())
    text = r.stdout.decode()
    assert r.returncode == 0 and key not in text, r
    assert re.match(r"ghp_\w{20,}\n", text), text
    r = run("--preset", "github", "--", "sh", "-c", "env", grant=())
    assert b"GITHUB_TOKEN=ghp_" in r.stdout and key.encode() not in r.stdout
    r = run("--preset", "nope", "--", "true", grant=())
    assert r.returncode != 0 and b"nope" in r.stderr, r
    assert not sessions()


def test_ttl():
    "after --ttl the session is over, and the command goes on without it"
    r = run("--ttl", "3s", "--", "sh", "-c",
            "get() { curl -s -m 20 -o /dev/null -w '%{http_code}' "
            "https://api.demo.test/v1/x; }; get; echo; "
            "for i in $(seq 300); do [ \"$(get)\" = 200 ] || break; "
            "sleep 0.1; done; echo over; get; exit 6")
    assert r.returncode == 6, r
    lines = r.stdout.split(b"\n")
    assert lines[:2] == [b"200", b"over"] and lines[2] != b"200", r
    for bad in ("0", "-1h", "later", "1000d"):
        r = run("--ttl", bad, "--", "true")
        assert r.returncode != 0 and b"ttl" in r.stderr, (bad, r)
        assert not sessions()


def test_signal():
    "SIGTERM reaches the command; the session ends"
    p = subprocess.Popen(
        command("--grant", "demo-api", "--", "sh", "-c",
                "trap 'echo caught; exit 9' TERM; echo up; "
                "while :; do sleep 0.05; done"), stdout=subprocess.PIPE,
        cwd=project, env=house.env)
    assert p.stdout.readline() == b"up\n"
    p.terminate()
    assert p.stdout.read() == b"caught\n"
    assert p.wait(20) == 9
    assert not sessions()


def test_deaf():
    "a command that heeds no signal is ended, and what it left is held back"
    p = subprocess.Popen(
        command("--grant", "demo-api", "--", "sh", "-c",
                "trap '' TERM HUP; echo evil > .envrc; echo up; "
                "while :; do sleep 0.05; done"), stdout=subprocess.PIPE,
        cwd=project, env=house.env)
    assert p.stdout.readline() == b"up\n"
    p.terminate()
    try:
        p.wait(0.3)
    except subprocess.TimeoutExpired:
        p.terminate()  # as one does
    try:
        assert p.wait(20) == 137
    finally:
        p.kill()
    assert not (project / ".envrc").exists()
    assert not sessions()
    clear()


def test_killed():
    "a killed CLI takes the sandbox with it"
    mark = "mark-" + secrets.token_hex(8)
    p = subprocess.Popen(
        command("--grant", "demo-api", "--name", "orphan", "--", "sh", "-c",
                f"echo up; exec sleep 1000 {mark}".replace(
                    f" {mark}", "")), stdout=subprocess.PIPE, cwd=project,
        env=house.env)
    assert p.stdout.readline() == b"up\n"
    p.kill()
    p.wait()
    assert p.stdout.read() == b"", "the pipe closed: nobody holds it"
    wait_for(lambda: sessions() == [])
    clear()


def test_terminal():
    "on a terminal it has one of its own, and keys reach it"
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(project)
        words = command("--grant", "demo-api", "--", "sh", "-c",
                        "test -t 0 && test -t 1 && stty size; "
                        "trap 'echo caught; exit 6' INT; echo ready; "
                        "while :; do sleep 0.05; done")
        os.execvpe(words[0], words, house.env)
    out = b""
    sent = False
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([master], [], [], 1)[0]:
            continue
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        out += data
        if b"ready" in out and not sent:
            sent = True
            os.write(master, b"\x03")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 6, (status, out)
    assert b"caught" in out and re.search(rb"\d+ \d+\r\n", out), out


def test_starts_daemon():
    "it starts the daemon by itself when none runs"
    house.stop()
    r = run("--", "sh", "-c", "curl -s https://api.demo.test/v1/x")
    assert r.returncode == 0 and r.stdout == b"served\n", (
        r, house.log_tail())


def test_revoked():
    "revoking its session ends its access at once, not the command"
    p = subprocess.Popen(
        command("--grant", "demo-api", "--name", "gone", "--", "sh", "-c",
                "get() { curl -s -o /dev/null -w '%{http_code}\\n' "
                "https://api.demo.test/v1/x; }; get; read x; get; exit 5"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=project,
        env=house.env)
    assert p.stdout.readline() == b"200\n"
    house.hatcheck("revoke", "--session", "gone")
    p.stdin.write(b"\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"000\n"
    assert p.wait(60) == 5


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
