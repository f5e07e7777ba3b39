"""The system service: root starts it, and each role has a uid of its own."""
import grp
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, ROLES, UID, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = guest = None


def setup():
    global house, up, guest
    up = Upstream(["api.demo.test"])
    house = House(service=True)
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))
    guest = house.session("agent", "one")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def uid_of(pid):
    line = [x for x in Path(f"/proc/{pid}/status").read_text().splitlines()
            if x.startswith("Uid:")][0]
    return set(line.split()[1:])


def test_main_job():
    "a brokered call through the system service"
    assert guest.get("https://api.demo.test/x")[0] == 200
    assert up.requests[-1].header("authorization") == [f"Bearer {KEY}"]


def test_a_uid_per_role():
    "each role runs under its own uid, real, effective and saved"
    seen = {}
    for role in ROLES:
        for row in house.processes(role):
            uids = uid_of(row["pid"])
            assert len(uids) == 1 and "0" not in uids, (role, uids)
            seen[role] = uids.pop()
            groups = [x for x in Path(f"/proc/{row['pid']}/status")
                      .read_text().splitlines() if x.startswith("Groups:")]
            assert "0" not in groups[0].split()[1:], (role, groups)
    assert len(set(seen.values())) == len(ROLES), seen


def test_stores_are_their_roles_own():
    "a role's store is its own: the minter's uid cannot open the vault's"
    for name, role in (("vault", "vault"), ("minter", "minter")):
        uid = 940 + ROLES.index(role)
        folder = house.home / "state" / name
        assert folder.stat().st_uid == uid, folder
        assert folder.stat().st_mode & 0o077 == 0, folder


def test_replaced_under_its_uid():
    "a role that died comes back under its uid"
    for role in ("vault", "minter", "gate", "courier", "dialer"):
        os.kill(house.processes(role)[0]["pid"], signal.SIGKILL)
        wait_for(serves, 20)
        # A pooled connection may serve before the dialer is back (pid 0).
        row = wait_for(lambda: [r for r in house.processes(role)
                                if r["pid"] != 0])[0]
        assert uid_of(row["pid"]) == {str(940 + ROLES.index(role))}


def serves():
    try:
        return guest.get("https://api.demo.test/x")[0] == 200
    except (OSError, AssertionError, ValueError):
        return False


if os.getuid() != 0:
    print("1..1\nok 1 - the system service # SKIP only root can start it")
    sys.exit(0)
def test_admin_group():
    "admin_group: its members may administer, nobody else (requirement 33)"
    config = house.home / "config/hatcheckd.yaml"
    config.write_text("admin_group: staff\n")
    os.chmod(config, 0o644)
    house.stop()
    house.start()
    wait_for(serves, 20)
    gid = str(grp.getgrnam("staff").gr_gid)

    def ask(*identity, what=("status",)):
        return subprocess.run(
            ["setpriv", *identity, str(house.bin / "hatcheck"), "--home",
             str(house.home), *what], capture_output=True, env=house.env)
    member = (f"--reuid={UID}", f"--regid={UID}", "--groups", gid)
    primary = (f"--reuid={UID}", f"--regid={gid}", "--clear-groups")
    other = (f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
    for who in (member, primary):
        assert ask(*who).returncode == 0, ask(*who)
        done = ask(*who, what=("credential", "list"))
        assert done.returncode == 0 and b"demo" in done.stdout, done
    assert ask(*other).returncode != 0
    # Not by the file's mode alone: the daemon itself asks the kernel.
    for name in ("admin.sock", "vault.sock"):
        os.chmod(house.home / "run" / name, 0o666)
    assert ask(*member).returncode == 0
    assert ask(*other).returncode != 0
    assert ask(*other, what=("credential", "list")).returncode != 0


def test_systemd_credential():
    "the vault's key from systemd's directory, which is root's alone"
    folder = Path(tempfile.mkdtemp(prefix="hck-credentials-"))
    key = folder / "hatcheck"
    key.write_bytes(secrets.token_bytes(32))
    os.chmod(key, 0o400)
    os.chmod(folder, 0o500)
    other = House(service=True, start=False, vault=(
        "--vault", "sealed-file", "--key", "systemd-credential"),
        env={"CREDENTIALS_DIRECTORY": str(folder)})
    try:
        other.start()
        wait_for(lambda: other.json("status")["vault"]["state"] == "open")
        other.credential("kept", KEY, "--host", "api.demo.test")
        before = other.processes("vault")[0]["pid"]
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: b"kept" in other.hatcheck(
            "credential", "list", check=False).stdout, 20)
        os.chmod(folder, 0o700)
        os.chmod(key, 0o444)  # not root's alone: no key
        other.stop()
        other.start()
        assert other.json("status")["vault"]["state"] != "open"
    finally:
        other.close()
        shutil.rmtree(folder)


tap.main(globals(), setup, teardown)
