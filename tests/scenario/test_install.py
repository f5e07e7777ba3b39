"""`make install` puts everything where it will be looked for."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import OUT, ROOT  # noqa: E402

top = None


def setup():
    global top
    top = Path(tempfile.mkdtemp(prefix="inst-"))
    mode = ["SAN=1"] if OUT.name == "san" else []
    subprocess.run(["make", "-s", "install", f"DESTDIR={top}", *mode],
                   cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def teardown():
    shutil.rmtree(top, ignore_errors=True)


def test_files():
    "programs, helpers, presets, manual pages, units and users are there"
    for path in ["bin/hatcheck", "bin/hatcheck-guest",
                 "libexec/hatcheck/hatcheckd",
                 *(f"libexec/hatcheck/hatcheck-{r}" for r in
                   ("vault", "minter", "dialer", "gate", "courier")),
                 "share/hatcheck/presets/github.yaml",
                 "share/man/man1/hatcheck-guest.1",
                 "share/man/man5/hatcheckd.yaml.5",
                 "share/man/man8/hatcheckd.8",
                 "lib/systemd/system/hatcheck.service",
                 "lib/systemd/system/hatcheck-guest.service",
                 "share/hatcheck/hatcheck-guest.sh",
                 "lib/systemd/user/hatcheck.service",
                 "lib/sysusers.d/hatcheck.conf"]:
        got = top / "usr/local" / path
        assert got.is_file(), path
        assert os.access(got, os.X_OK) == ("bin" in path or
                                           "libexec" in path), path


def test_program_runs():
    "the installed hatcheckd tells its version"
    done = subprocess.run([top / "usr/local/libexec/hatcheck/hatcheckd",
                           "--version"], capture_output=True, text=True)
    assert re.match(r"hatcheckd \d+\.\d+\.\d+ \(", done.stdout), done


def test_units():
    "the units name the installed program; systemd finds no fault"
    for kind in ("system", "user"):
        unit = top / f"usr/local/lib/systemd/{kind}/hatcheck.service"
        text = unit.read_text()
        assert "@" not in text, text
        start = re.search(r"^ExecStart=(\S+)$", text, re.M)[1]
        assert (top / start[1:]).is_file(), start
        if not shutil.which("systemd-analyze"):
            continue
        copy = top / f"{kind}.service"
        copy.write_text(text.replace(start, str(top / start[1:])))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy],
                              capture_output=True, text=True)
        assert copy.name not in done.stderr, done.stderr


def test_users():
    "sysusers.d and hatcheckd agree on the names"
    conf = (ROOT / "packaging/sysusers.d/hatcheck.conf").read_text()
    made = set(re.findall(r"^u (\S+)", conf, re.M))
    code = (ROOT / "supervisor/roles.c").read_text()
    assert made == set(re.findall(r'"(_hatcheck-\w+)"', code)), made


tap.main(globals(), setup, teardown)
