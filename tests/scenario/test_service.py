"""The system service: root starts it, and each role has a uid of its own."""
import grp
import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import (Guest, House, ROLES, UID, closed_on,  # noqa: E402
                     connect_as, wait_for)
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
        session = guest.id if role in ("gate", "courier") else None
        os.kill(house.processes(role, session)[0]["pid"], signal.SIGKILL)
        wait_for(serves, 20)
        # A pooled connection may serve before the dialer is back (pid 0).
        row = wait_for(lambda: [r for r in house.processes(role, session)
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


def hybrid(name, path, check=True):
    done = house.hatcheck(
        "--json", "session", "create", "--name", name, "--ttl", "1h",
        "--grant", "one", "--channel", f"hybrid:{path}", "--uid", str(UID),
        check=check)
    if done.returncode != 0:
        return done
    made = json.loads(done.stdout)
    made["channel"].setdefault("dir", None)
    house.guests.append(Guest(house, made))
    return house.guests[-1]


def test_hybrid_channel():
    "hybrid vsock: a directory of root's, a socket of the VMM's uid"
    place = Path(tempfile.mkdtemp(prefix="vm-"))
    try:
        os.chmod(place, 0o1777)  # where a VMM can make its own PATH
        g = hybrid("machine", place / "v.sock")
        at = (place / "v.sock_8377").lstat()
        assert (at.st_uid, stat.S_IMODE(at.st_mode)) == (UID, 0o600), at
        assert g.get("https://api.demo.test/x")[0] == 200
        # By the mode, and by the kernel's word if the mode lets it in.
        try:
            connect_as(g.socket, UID + 1).close()
            raise AssertionError("the mode let another uid connect")
        except ConnectionError as e:
            assert "PermissionError" in str(e), e
        os.chmod(g.socket, 0o666)
        assert closed_on(g.socket, UID + 1)
        assert g.get("https://api.demo.test/x")[0] == 200
        house.stop()
        house.start()
        wait_for(lambda: (place / "v.sock_8377").is_socket())
        assert g.get("https://api.demo.test/x", token=g.new_token())[0] == 200
        g.end()
        assert not (place / "v.sock_8377").exists()
    finally:
        shutil.rmtree(place)


def test_hybrid_in_the_vmms_own_directory():
    "a directory of the VMM's own uid is refused, with the reason"
    place = Path(tempfile.mkdtemp(prefix="vm-"))
    try:
        os.chown(place, UID, UID)
        done = hybrid("none", place / "v.sock", check=False)
        assert done.returncode != 0
        assert b"belongs to another user" in done.stderr + done.stdout, done
        assert not list(place.iterdir())
    finally:
        shutil.rmtree(place)


def test_hybrid_where_the_service_cannot_write():
    "a place in which the service can make no socket is refused as such"
    # As under ProtectSystem=strict: root's directory, and no way to write.
    done = hybrid("none", "/proc/v.sock", check=False)
    assert done.returncode != 0
    assert b"may the daemon write" in done.stderr + done.stdout, done


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
