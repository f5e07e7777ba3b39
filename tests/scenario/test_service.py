"""The system service: root starts it, and each role has a uid of its own."""
import json
import os
import secrets
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, ROLES, wait_for  # noqa: E402
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
        old = house.processes(role)[0]["pid"]
        os.kill(old, signal.SIGKILL)
        new = wait_for(lambda: [r["pid"] for r in status_rows(role)
                                if r["state"] == "ready" and
                                r["pid"] != old], 20)
        assert uid_of(new[0]) == {str(940 + ROLES.index(role))}
    wait_for(serves, 20)


def status_rows(role):
    """Empty while the minter, which answers, is the one that is away."""
    done = house.hatcheck("--json", "status", check=False)
    if done.returncode != 0:
        return []
    return [r for r in json.loads(done.stdout)["processes"]
            if r["role"] == role]


def serves():
    try:
        return guest.get("https://api.demo.test/x")[0] == 200
    except (OSError, AssertionError, ValueError):
        return False


if os.getuid() != 0:
    print("1..1\nok 1 - the system service # SKIP only root can start it")
    sys.exit(0)
tap.main(globals(), setup, teardown)
