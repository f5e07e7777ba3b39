"""hatcheck init: which vault it chooses, on desktops and without one."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import harness  # noqa: E402
import tap  # noqa: E402
from harness import House, as_user, wait_for  # noqa: E402

# A session bus talks only to users that the system knows by name.
UID = 65534 if os.getuid() == 0 else os.getuid()
harness.UID = UID
as_user.__defaults__ = (UID,)

# No service activation: a bus that starts keyrings by itself would answer
# for the one that a test has killed.
BUS = """<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:dir=%s</listen>
<auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>
"""
NAME = "org.freedesktop.secrets"


class Desktop:
    """A session bus of its own; with a keyring on it or without."""

    def __init__(self):
        self.base = Path(tempfile.mkdtemp(prefix="hck-bus-"))
        for name in ("", "run", "data", "config", "cache"):
            d = self.base / name
            d.mkdir(exist_ok=True)
            os.chmod(d, 0o700)
            if os.getuid() == 0:
                os.chown(d, UID, UID)
        conf = self.base / "bus.conf"
        conf.write_text(BUS % self.base)
        os.chmod(conf, 0o644)
        self.started = []
        self.env = {"HOME": str(self.base), "PATH": "/usr/bin:/bin",
                    "XDG_RUNTIME_DIR": f"{self.base}/run",
                    "XDG_DATA_HOME": f"{self.base}/data",
                    "XDG_CONFIG_HOME": f"{self.base}/config",
                    "XDG_CACHE_HOME": f"{self.base}/cache"}
        bus = self.start(["dbus-daemon", f"--config-file={conf}", "--nofork",
                          "--print-address"], stdout=subprocess.PIPE)
        self.address = bus.stdout.readline().decode().strip()
        self.env["DBUS_SESSION_BUS_ADDRESS"] = self.address

    def start(self, command, **more):
        p = subprocess.Popen(as_user(command), env=self.env, cwd="/",
                             stderr=subprocess.DEVNULL,
                             **{"stdout": subprocess.DEVNULL, **more})
        self.started.append(p)
        return p

    def send(self, *words):
        return subprocess.run(
            as_user(["dbus-send", "--session", "--print-reply", *words]),
            env=self.env, capture_output=True, text=True).stdout

    def keyring(self):
        p = self.start(["gnome-keyring-daemon", "--foreground", "--unlock",
                        "--components=secrets",
                        f"--control-directory={self.base}/run/keyring"],
                       stdin=subprocess.PIPE)
        p.stdin.write(b"test")
        p.stdin.close()
        wait_for(lambda: "boolean true" in self.send(
            "--dest=org.freedesktop.DBus", "/",
            "org.freedesktop.DBus.NameHasOwner", f"string:{NAME}"))

    def lock(self):
        self.send(f"--dest={NAME}", "/org/freedesktop/secrets",
                  "org.freedesktop.Secret.Service.Lock",
                  "array:objpath:/org/freedesktop/secrets/collection/login")
        assert "boolean true" in self.send(
            f"--dest={NAME}", "/org/freedesktop/secrets/collection/login",
            "org.freedesktop.DBus.Properties.Get",
            "string:org.freedesktop.Secret.Collection", "string:Locked")

    def close(self):
        for p in reversed(self.started):
            p.kill()
            p.wait()
        subprocess.run(["rm", "-rf", str(self.base)], check=False)


def in_house(address, act):
    house = House(start=False, init=False)
    if address:
        house.env["DBUS_SESSION_BUS_ADDRESS"] = address
    try:
        act(house)
    finally:
        house.close()


def chosen(house):
    done = house.hatcheck("--json", "init", stdin=b"")
    return json.loads(done.stdout)["vault"]


def works(house):
    house.credential("demo", "canary-0123456789abcdef", "--host", "a.test")
    assert house.json("credential", "show", "demo")["version"] == 1
    assert house.json("vault", "status")["credentials"] == 1


def test_no_desktop():
    "without a session bus: a sealed file, its key file 0600, nothing asked"
    def act(house):
        got = chosen(house)
        assert got["backend"] == "sealed-file", got
        key = Path(got["path"])
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.stat().st_size == 32
        works(house)
    in_house(None, act)


def test_empty_bus():
    "a bus without a keyring: a sealed file"
    d = Desktop()

    def act(house):
        assert chosen(house)["backend"] == "sealed-file"
        works(house)
    try:
        in_house(d.address, act)
    finally:
        d.close()


def test_locked_keyring():
    "a locked keyring: a sealed file, and no prompt"
    d = Desktop()

    def act(house):
        assert chosen(house)["backend"] == "sealed-file"
        works(house)
    try:
        d.keyring()
        d.lock()
        in_house(d.address, act)
    finally:
        d.close()


def test_keyring():
    "an unlocked keyring is chosen; migrate moves away from it and back"
    d = Desktop()

    def act(house):
        assert chosen(house) == {"backend": "secret-service"}
        works(house)
        house.hatcheck("vault", "migrate", "sealed-file")
        assert house.json("vault", "status")["backend"] == "sealed-file"
        assert house.json("credential", "show", "demo")["version"] >= 1
        house.hatcheck("vault", "migrate", "secret-service")
        assert house.json("vault", "status")["backend"] == "secret-service"
        assert house.json("vault", "status")["credentials"] == 1
        assert chosen(house)["backend"] == "secret-service"
    try:
        d.keyring()
        in_house(d.address, act)
    finally:
        d.close()


def test_passphrase():
    "a passphrase vault: asks nothing without a terminal, unlocks by stdin"
    def act(house):
        done = house.hatcheck("init", "--key", "passphrase")
        assert b"hatcheck unlock" in done.stderr, done.stderr
        assert house.hatcheck("credential", "list",
                              check=False).returncode == 4
        house.hatcheck("unlock", stdin=b"correct horse battery\n")
        works(house)
        house.hatcheck("stop")
        house.hatcheck("start")
        done = house.hatcheck("unlock", stdin=b"wrong horse battery\n",
                              check=False)
        assert done.returncode == 1, done
        house.hatcheck("unlock", stdin=b"correct horse battery\n")
        assert house.json("vault", "status")["credentials"] == 1
    in_house(None, act)


def test_passphrase_at_init():
    "init takes the passphrase from --from-file"
    def act(house):
        house.hatcheck("init", "--key", "passphrase", "--from-file", "-",
                       stdin=b"correct horse battery\n")
        works(house)
    in_house(None, act)


def test_key_file_elsewhere():
    "init uses a key file that is there, and refuses an open one"
    def act(house):
        key = house.user_home / "key"
        key.write_bytes(os.urandom(32))
        if os.getuid() == 0:
            os.chown(key, UID, UID)
        os.chmod(key, 0o644)
        done = house.hatcheck("init", "--key-file", str(key), check=False)
        assert done.returncode == 1 and b"chmod 600" in done.stderr
        os.chmod(key, 0o600)
        before = key.read_bytes()
        house.hatcheck("init", "--key-file", str(key))
        works(house)
        assert key.read_bytes() == before
    in_house(None, act)


tap.main(globals())
