"""A VM in the VM, over vhost-vsock: told what to do by its serial port, a
line at a time, and held, saved and let go by QEMU's monitor."""
import json
import os
import socket
import subprocess
import sys
import time

QEMU = "/usr/bin/qemu-system-x86_64"
COMMAND_LINE = ("console=ttyS0 quiet panic=-1 mitigations=off nokaslr "
                "tsc=unstable random.trust_cpu=on cryptomgr.notests=1")
# Emulated twice it would do little but answer its clock, 250 times a second:
# so its time is counted in instructions while it works.
CLOCK = ["-icount", "shift=5"]
PATIENCE = 300  # seconds: a bound against hanging


class Monitor:
    """QMP: one command at a time; events are not looked at."""

    def __init__(self, path, vm):
        end = time.monotonic() + PATIENCE
        self.s = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.s.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end or vm.poll() is not None:
                    raise
                time.sleep(0.1)
        self.lines = self.s.makefile("rb")
        self.lines.readline()  # its greeting
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        self.s.sendall(json.dumps({"execute": command, "arguments":
                                   arguments}).encode() + b"\n")
        while True:
            got = json.loads(self.lines.readline())
            if "return" in got or "error" in got:
                assert "return" in got, (command, got)
                return got["return"]


class Vm:
    """Boots, or goes on where another one was when it was saved."""

    def __init__(self, cid, saved=None):
        self.cid, self.ready = cid, saved is not None
        at = f"/tmp/vm-{cid}-{os.urandom(4).hex()}.qmp"
        self.p = subprocess.Popen(
            [QEMU, "-M", "q35", "-cpu", "max,-erms", "-accel", "tcg", "-m", "160",
             "-smp", "1", "-kernel", "/t/vmlinux", "-initrd", "/t/guest.cpio",
             "-append", COMMAND_LINE, "-nographic", "-no-reboot",
             "-nodefaults", "-nic", "none", "-serial", "stdio", "-device",
             f"vhost-vsock-pci,guest-cid={cid}", "-qmp",
             f"unix:{at},server=on,wait=off", *CLOCK,
             *(["-incoming", f"exec:cat {saved}"] if saved else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.monitor = Monitor(at, self.p)
        if saved:  # a byte that comes before its state does is lost with it
            self.p.stdin.write(b"\n\n")

    def read(self, until):
        got = []
        while True:
            line = self.p.stdout.readline().decode(errors="replace")
            print(f"{time.monotonic():.1f} {self.cid}: {line!r}",
                  file=sys.stderr)  # to the console
            if not line:
                raise AssertionError("the VM ended:\n" + "".join(got))
            line = line.rstrip("\r\n")
            if line.startswith(until):
                return got, line
            got.append(line)

    def booted(self):
        if not self.ready:
            self.read("@ready")
            self.ready = True

    def run(self, command, status=0):
        self.booted()
        self.p.stdin.write(command.encode() + b"\n")
        self.p.stdin.flush()
        got, last = self.read("@done")
        assert int(last.split()[1]) == status, (command, got, last)
        return "\n".join(got)

    def hold(self):
        self.monitor.run("stop")

    def go_on(self):
        self.monitor.run("cont")

    def save(self, path):
        """All that it is, into a file; it is held then."""
        self.monitor.run("migrate", uri=f"exec:cat >{path}")
        end = time.monotonic() + PATIENCE
        while True:
            state = self.monitor.run("query-migrate")
            if state["status"] == "completed":
                return
            assert state["status"] in ("setup", "active", "device"), state
            assert time.monotonic() < end, state
            time.sleep(0.2)

    def kill(self):
        self.p.kill()
        self.p.wait()
