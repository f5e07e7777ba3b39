"""The commands in docs/guests, as they stand there, run.

Each page's block is run as one script by a user who has `hatcheck` and
`hatcheck-guest` in PATH and the grant that the pages name; its upstream is
the recorder. What this machine cannot run is skipped, and says why.
"""
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, ROOT, UID, as_user, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
PAGES = ROOT / "docs" / "guests"
ISSUES = b'[{"title":"a hat"}]\n'
house = up = tools = tree = None


def setup():
    global house, up, tools
    up = Upstream(["api.github.com"])
    up.answer = lambda r: (
        (200, {}, ISSUES)
        if r.header("authorization") == [f"Bearer {KEY}"] and
        r.path == "/repos/acme/site/issues" else (401, {}, b"no\n"))
    house = House()
    house.credential("github", KEY, "--host", "api.github.com")
    house.apply(house.grant_yaml(
        "acme-issues", up, credential="github",
        allow=["{ methods: [GET], paths: [\"/repos/acme/**\"] }"]))
    # What a user types is `hatcheck`; this house is not at the usual place.
    tools = house.base / "tools"
    tools.mkdir()
    program("hatcheck", f'[ $(id -u) = {os.getuid()} ] && as="{" ".join(as_user([]))}"\n'
            f'exec $as {house.bin}/hatcheck --home {house.home} "$@"')
    program("sudo", 'exec "$@"')
    shutil.copy(house.bin / "hatcheck-guest", tools)


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def program(name, line):
    (tools / name).write_text(f"#!/bin/sh\n{line}\n")
    os.chmod(tools / name, 0o755)


def block(page, kind="sh"):
    text = (PAGES / f"{page}.md").read_text()
    found = re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)
    assert len(found) == 1, (page, kind, len(found))
    return found[0]


def run(page, kind="sh", root=False, before="", **env):
    """The block's output; the page's last word is the session's end."""
    script = before + block(page, kind)
    command = ["sh", "-euc", script]
    # Root's commands make the directory as the user whose session it is.
    if root:
        command = ["sh", "-euc", script.replace(
            "mkdir -m 700", " ".join(as_user([])) + " mkdir -m 700")]
    else:
        command = as_user(command)
    seen = len(up.requests)
    shutil.rmtree(house.user_home / "box", ignore_errors=True)
    r = subprocess.run(command, capture_output=True, timeout=120, cwd="/",
                       stdin=subprocess.DEVNULL, env={
                           "PATH": f"{tools}:/usr/sbin:/usr/bin:/sbin:/bin",
                           "HOME": str(house.user_home), "LANG": "C.UTF-8",
                           "TERM": "dumb", **env})
    # A container's terminal ends lines in its own way.
    assert r.returncode == 0 and ISSUES in r.stdout.replace(b"\r", b""), r
    assert KEY.encode() not in r.stdout + r.stderr
    assert len(up.requests) == seen + 1
    assert not house.json("session", "list")["sessions"], "it was ended"


def test_every_page():
    "each page is in the index, and says of itself what the index says"
    index = (PAGES / "README.md").read_text()
    pages = {p.stem for p in PAGES.glob("*.md")} - {"README"}
    assert set(re.findall(r"\]\((\S+)\.md\) *(?:\(\w+\) *)?\|", index)) == \
        pages, pages
    for p in pages:
        text = (PAGES / f"{p}.md").read_text()
        assert "hatcheck session create" in text
        assert "api.github.com/repos/acme/site/issues" in text


def test_bubblewrap():
    "docs/guests/bubblewrap.md"
    run("bubblewrap")


def test_namespaces():
    "docs/guests/namespaces.md"
    run("namespaces")


def container_tree():
    """A small tree for a container: curl, a shell, what they need."""
    global tree
    if tree:
        return tree
    tree = house.base / "tree"
    for d in ("usr/bin", "usr/local/bin", "etc/ssl/certs", "proc", "sys",
              "dev", "tmp", "run", "root", "var"):
        (tree / d).mkdir(parents=True)
    files = ["/etc/ssl/certs/ca-certificates.crt"]
    for name in ("sh", "curl"):
        exe = os.path.realpath(shutil.which(name))
        shutil.copy(exe, tree / "usr/bin" / name)
        text = subprocess.run(["ldd", exe], capture_output=True,
                              text=True).stdout
        files += re.findall(r"(/\S+) \(0x", text)
    for f in set(files):
        (tree / f[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(f), tree / f[1:])
    for d in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink(f"/{d}") and not (tree / d).exists():
            (tree / d).symlink_to("usr/" + ("bin" if d == "sbin" else d))
        elif (tree / d).is_dir():   # what ldd named, by the old names
            (tree / "usr" / d).mkdir(exist_ok=True)
            shutil.copytree(tree / d, tree / "usr" / d, dirs_exist_ok=True)
            shutil.rmtree(tree / d)
            (tree / d).symlink_to("usr/" + d)
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tree / "etc/os-release").write_text("ID=test\n")
    os.chmod(tree, 0o755)
    return tree


def test_podman():
    "docs/guests/podman.md, as root"
    if os.getuid() != 0 or not shutil.which("podman"):
        raise tap.Skip("no podman, or not root")
    store = house.base / "podman"
    # Only what machines differ in: limits, cgroups, where images are.
    conf = house.base / "containers.conf"
    runtime = "runc" if shutil.which("runc") else "crun"
    conf.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", '
                    '"nproc=1024:1024"]\n[engine]\ncgroup_manager = '
                    f'"cgroupfs"\nevents_logger = "none"\nruntime = '
                    f'"{runtime}"\n')
    storage = house.base / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{store}/g"\n'
                       f'runroot = "{store}/r"\n')
    env = {"CONTAINERS_CONF": str(conf),
           "CONTAINERS_STORAGE_CONF": str(storage)}
    every = dict(env, PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root")
    tar = subprocess.run(["tar", "-C", container_tree(), "-c", "."],
                         check=True, capture_output=True).stdout
    subprocess.run(["podman", "import", "-", "localhost/agent"], input=tar,
                   check=True, capture_output=True, env=every)
    r = subprocess.run(["podman", "run", "--rm", "--network=none",
                        "localhost/agent", "sh", "-c", "echo up"],
                       capture_output=True, env=every, cwd="/")
    if r.stdout != b"up\n":
        raise tap.Skip("podman starts no container here: " +
                       r.stderr.decode()[-120:].strip())
    try:
        run("podman", "sh rootful", root=True, **env)
    finally:
        subprocess.run(["podman", "rmi", "-f", "localhost/agent"], env=every,
                       capture_output=True)


def docker_daemon():
    """One of this test's own; the machine's, if it has one, is not asked."""
    at = house.base / "docker"
    at.mkdir()
    (at / "daemon.json").write_text("{}")
    log = open(at / "log", "wb")
    p = subprocess.Popen(
        ["dockerd", "--data-root", at / "data", "--exec-root", at / "exec",
         "--pidfile", at / "pid", "--host", f"unix://{at}/docker.sock",
         "--config-file", at / "daemon.json", "--storage-driver", "vfs", "--bridge",
         "none", "--iptables=false", "--ip6tables=false",
         "--ip-forward=false", "--ip-masq=false", "--exec-opt",
         "native.cgroupdriver=cgroupfs"], stdout=log, stderr=log, cwd="/")
    env = {"DOCKER_HOST": f"unix://{at}/docker.sock"}
    every = dict(env, PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME=str(at))

    def answers():
        return p.poll() is not None or subprocess.run(
            ["docker", "info"], capture_output=True, env=every,
            cwd="/").returncode == 0
    wait_for(answers, 120)
    if p.poll() is not None:
        raise tap.Skip("dockerd does not start here: " +
                       (at / "log").read_text()[-300:].strip())
    return p, env, every


def test_docker():
    "docs/guests/docker.md, as root, with a daemon of this test's own"
    if os.getuid() != 0 or not shutil.which("dockerd"):
        raise tap.Skip("no dockerd (docker.io), or not root")
    daemon, env, every = docker_daemon()
    try:
        tar = subprocess.run(["tar", "-C", container_tree(), "-c", "."],
                             check=True, capture_output=True).stdout
        subprocess.run(["docker", "import", "-", "localhost/agent"],
                       input=tar, check=True, capture_output=True, env=every,
                       cwd="/")
        r = subprocess.run(["docker", "run", "--rm", "--network=none",
                            "localhost/agent", "sh", "-c", "echo up"],
                           capture_output=True, env=every, cwd="/")
        if r.stdout != b"up\n":
            raise tap.Skip("docker starts no container here: " +
                           r.stderr.decode()[-200:].strip())
        run("docker", root=True, **env)
    finally:
        daemon.terminate()
        daemon.wait(60)


def test_nspawn():
    "docs/guests/systemd-nspawn.md, as root"
    if os.getuid() != 0 or not shutil.which("systemd-nspawn"):
        raise tap.Skip("no systemd-nspawn, or not root")
    here = ""
    if not os.path.exists("/run/systemd/system"):
        # No systemd to register the container with.
        program("systemd-nspawn", "exec /usr/bin/systemd-nspawn "
                "--register=no --keep-unit \"$@\"")
        here = "1"
    t = container_tree()
    r = subprocess.run([tools / "systemd-nspawn" if here else
                        "systemd-nspawn", "--quiet", "--private-network",
                        f"--directory={t}", "sh", "-c", "echo up"],
                       capture_output=True, cwd="/",
                       stdin=subprocess.DEVNULL)
    if b"up" not in r.stdout:
        raise tap.Skip("systemd-nspawn starts no container here: " +
                       r.stderr.decode()[-120:].strip())
    # The page's place for it, in a mount namespace of this test's.
    Path("/var/lib/machines").mkdir(exist_ok=True)
    program("sudo", f'exec unshare --mount sh -c \'mount -t tmpfs none '
            f'/var/lib/machines && mkdir /var/lib/machines/box && mount '
            f'--bind {t} /var/lib/machines/box && exec "$@"\' sh "$@"')
    try:
        run("systemd-nspawn", root=True)
    finally:
        program("sudo", 'exec "$@"')


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
