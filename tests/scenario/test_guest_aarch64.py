"""The guest agent for aarch64: cross-built as docs/HACKING.md says, and run
under qemu's user emulation against the real host."""
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import npm  # noqa: E402
import tap  # noqa: E402
from harness import House, ROOT, as_user  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = work = agent = None
no_musl = ""


def compiler():
    """For musl, out of Debian's package; glibc's where none can be had."""
    global no_musl
    done = subprocess.run([ROOT / "tools/musl-aarch64",
                           npm.cache() / "musl-aarch64"],
                          capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout.strip()
    no_musl = done.stderr.strip()[-200:]
    return "aarch64-linux-gnu-gcc"


def setup():
    global work, agent
    if not shutil.which("aarch64-linux-gnu-gcc") or \
            not Path("/usr/aarch64-linux-gnu/lib/libc.a").exists():
        return
    work = Path(tempfile.mkdtemp(prefix="hck-arm-"))
    os.chmod(work, 0o755)
    subprocess.run(["make", "-s", f"O={work}", f"GUEST_CC={compiler()}",
                    f"{work}/bin/hatcheck-guest"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    agent = work / "bin" / "hatcheck-guest"


def teardown():
    if house:
        house.close()
    if up:
        up.close()
    if work:
        shutil.rmtree(work)


def need(emulator=False):
    if agent is None:
        raise tap.Skip("no cross compiler (gcc-aarch64-linux-gnu)")
    if emulator and not shutil.which("qemu-aarch64"):
        raise tap.Skip("no qemu-aarch64 (qemu-user)")


def test_built():
    "it is a static aarch64 program"
    need()
    text = subprocess.run(["readelf", "-hld", agent], capture_output=True,
                          text=True).stdout
    assert re.search(r"Machine: +AArch64", text), text
    assert "INTERP" not in text and "NEEDED" not in text, text


def test_small():
    "with musl it has less than 300 KB"
    need()
    if no_musl:
        raise tap.Skip("musl-dev of arm64 is not to be had: " + no_musl)
    assert agent.stat().st_size < 300 * 1024, agent.stat().st_size


def test_served():
    "a command under it gets its answer, with the real key"
    global house, up
    need(emulator=True)
    up = Upstream(["api.demo.test"])
    up.answer = lambda r: (
        (200, {}, b"served\n")
        if r.header("authorization") == [f"Bearer {KEY}"]
        else (401, {}, b"no\n"))
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("demo-api", up, credential="demo"))
    guest = house.session("arm", "demo-api")
    here = ["qemu-aarch64", str(agent), "--channel", guest.dir]

    def run(*words):
        return subprocess.run(as_user([*here, *words]), capture_output=True,
                              text=True, timeout=120, cwd="/",
                              env={"PATH": "/usr/bin:/bin",
                                   "HATCHECK_GUEST_DIR": "/nonexistent"})
    r = run("run", "--", "curl", "-s", "https://api.demo.test/v1/x")
    assert (r.returncode, r.stdout) == (0, "served\n"), r
    r = run("run", "--", "sh", "-c", "exit 7")
    assert r.returncode == 7, r
    r = run("status")
    assert guest.id in r.stdout, r
    r = run("doctor")
    assert len(r.stdout.splitlines()) > 8 and re.search(
        r"^ok +clock", r.stdout, re.M), r


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
