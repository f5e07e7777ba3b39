"""hatcheck-guest.service under a real systemd: this machine's own, booted in
a container whose root is an overlay over ours that goes with it."""
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, ROOT, UID  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
house = up = None

# Only this is booted, and what it needs; its end is the container's.
TARGET = """[Unit]
Requires=basic.target probe.service
After=basic.target
AllowIsolate=yes
"""
PROBE = """[Unit]
Wants=hatcheck-guest.service
After=hatcheck-guest.service
[Service]
Type=oneshot
ExecStart=/bin/sh /out/probe
ExecStopPost=/bin/systemctl --no-block --force poweroff
StandardOutput=file:/out/said
StandardError=inherit
"""
SCRIPT = r"""
PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; cd /
bundle=/etc/ssl/certs/ca-certificates.crt
ask() { curl -s "$@" https://api.demo.test/v1/x || echo "curl $?"; }
echo "active: $(systemctl is-active hatcheck-guest)"
echo "result: $(systemctl show -p Result --value hatcheck-guest)"
systemctl --no-pager status hatcheck-guest
echo "no variables: $(https_proxy=http://127.0.0.1:8377 ask)"
(. /etc/profile.d/hatcheck-guest.sh
echo "login shell: $(ask)"
hatcheck-guest doctor | sed 's/^/doctor: /')
echo "dir: $(stat -c %a /run/hatcheck-guest)"
kill -9 $(systemctl show -p MainPID --value hatcheck-guest)
for i in $(seq 300); do
	sleep 0.1
	systemctl is-active -q hatcheck-guest && break
done
echo "killed, then: $(https_proxy=http://127.0.0.1:8377 ask)"
ls /usr/local/share/ca-certificates | sed 's/^/installed: /'
systemctl stop hatcheck-guest
ls /usr/local/share/ca-certificates | grep hatcheck | sed 's/^/left: /'
echo "stopped: $(systemctl is-active hatcheck-guest)"
echo end
"""


def setup():
    global house, up
    if os.getuid() != 0 or not shutil.which("systemd-nspawn"):
        return
    up = Upstream(["api.demo.test"])
    up.answer = lambda r: (
        (200, {}, b"served")
        if r.header("authorization") == [f"Bearer {KEY}"]
        else (401, {}, b"no"))
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml("demo-api", up, credential="demo"))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def boot(folder, *binds):
    here = [] if os.path.exists("/run/systemd/system") else \
        ["--register=no", "--keep-unit"]
    root = house.base / "root"
    root.mkdir()
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         'mount --bind / "$0" && exec "$@"', root,
         "systemd-nspawn", *here, "--quiet", "--private-network",
         "--volatile=overlay", f"--directory={root}", "--console=pipe",
         # keytool is slow, and has a test of its own.
         *(["--tmpfs=/etc/ssl/certs/java"]
           if os.path.isdir("/etc/ssl/certs/java") else []),
         *(f"--bind-ro={a}:{b}" for a, b in binds),
         f"--bind={folder}:/out", "--boot",
         "systemd.unit=probe.target", "systemd.mask=systemd-networkd.service"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=240, cwd="/")


def test_service():
    "it serves once the host answered, with trust, and takes it out again"
    if house is None:
        raise tap.Skip("no systemd-nspawn, or not root")
    channel = house.user_home / "box"
    channel.mkdir(mode=0o700)
    os.chown(channel, UID, UID)
    house.hatcheck("session", "create", "--name", "box", "--grant",
                   "demo-api", "--dir", str(channel), "--uid", "0")
    out = house.base / "out"
    out.mkdir()
    unit = out / "hatcheck-guest.service"
    unit.write_text((ROOT / "packaging/system/hatcheck-guest.service")
                    .read_text().replace("@BINDIR@", "/usr/local/bin"))
    for name, text in (("probe.target", TARGET), ("probe.service", PROBE),
                       ("probe", SCRIPT)):
        (out / name).write_text(text)
    etc = "/etc/systemd/system"
    r = boot(out, (unit, f"{etc}/hatcheck-guest.service"),
             (out / "probe.target", f"{etc}/probe.target"),
             (out / "probe.service", f"{etc}/probe.service"),
             (ROOT / "packaging/guest/hatcheck-guest.sh",
              "/etc/profile.d/hatcheck-guest.sh"),
             (house.bin / "hatcheck-guest", "/usr/local/bin/hatcheck-guest"),
             (channel, "/run/hatcheck"))
    if not (out / "said").exists():
        raise tap.Skip("systemd does not boot in a container here: " +
                       (r.stderr + r.stdout).decode(errors="replace")[-200:])
    lines = (out / "said").read_text().splitlines()
    assert lines and lines[-1] == "end", lines
    for line in ("active: active", "result: success", "no variables: served",
                 "login shell: served", "dir: 755",
                 "killed, then: served", "installed: hatcheck-session.crt",
                 "stopped: inactive"):
        assert line in lines, (line, lines)
    doctor = [x for x in lines if x.startswith("doctor: ")]
    assert len(doctor) == 8 and all(x.startswith("doctor: ok ")
                                    for x in doctor), doctor
    assert not [x for x in lines if x.startswith("left: ")], lines


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
