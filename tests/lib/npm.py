"""npm packages for tests, pinned, kept outside the tree.

    modules = npm.install("ws@8.18.0", "undici@6.21.0")   # node_modules
    npm.install("nosuch@1.0.0")                  # raises tap.Skip, naming it
    npm.install("a@1.0.0", overrides={"b": "2.0.0"})  # for its dependency b

The machine's own npm fetches them once, without running their scripts;
later runs find them under $XDG_CACHE_HOME, or /tmp by uid. A machine
without npm or without a registry leaves the test out and says why.
"""
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import tap

PINNED = re.compile(r"(@[a-z0-9._-]+/)?[a-z0-9._-]+@\d+\.\d+\.\d+")


def cache():
    """A directory that nobody else can write; others may read it."""
    home = os.environ.get("XDG_CACHE_HOME")
    name = "hatcheck-tests" if home else f"hatcheck-tests-{os.getuid()}"
    folder = Path(home or "/tmp") / name
    try:
        folder.mkdir(mode=0o755, parents=bool(home))
    except FileExistsError:
        pass
    s = os.lstat(folder)
    if not stat.S_ISDIR(s.st_mode) or s.st_uid != os.getuid() or \
            s.st_mode & 0o022:
        raise RuntimeError(f"{folder} is not a directory that only this "
                           "user can write: remove it, then run again")
    return folder


def install(*packages, overrides=None):
    """The path of a node_modules that holds these, each name@1.2.3."""
    more = [f"{n}@{v}" for n, v in (overrides or {}).items()]
    for p in [*packages, *more]:
        if not PINNED.fullmatch(p):
            raise ValueError(f"{p}: pin it as name@1.2.3")
    names = " ".join([*sorted(packages), *(("with", *more) if more else ())])
    done = cache() / hashlib.sha256(names.encode()).hexdigest()[:16]
    if not done.is_dir():
        fetch(sorted(packages), overrides or {}, done)
    return done / "node_modules"


def fetch(packages, overrides, done):
    names = " ".join(packages)
    npm = shutil.which("npm")
    if not npm:
        raise tap.Skip(f"no npm on this machine, for {names}")
    new = Path(tempfile.mkdtemp(prefix="new-", dir=done.parent))
    (new / "package.json").write_text(json.dumps({"overrides": overrides}))
    try:
        run = subprocess.run(
            [npm, "install", "--prefix", new, "--ignore-scripts",
             "--no-audit", "--no-fund", "--no-update-notifier",
             "--fetch-retries=1", *packages], cwd=new, timeout=300,
            stdin=subprocess.DEVNULL, capture_output=True)
        why = "".join(run.stderr.decode(errors="replace").splitlines()[:1])
    except subprocess.TimeoutExpired:
        run, why = None, "no end after 300 s"
    if run is None or run.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        raise tap.Skip(f"npm could not install {names}: {why}")
    os.chmod(new, 0o755)
    try:
        new.rename(done)
    except OSError:                     # another run was first
        shutil.rmtree(new, ignore_errors=True)
