"""Kernel, initramfs and QEMU for the tests in a VM.

The kernel is Debian's cloud kernel, taken out of its package and never
installed: no bootloader, no initramfs-tools, no root are needed. It is kept
under the cache directory of tests/lib/npm.py.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
import npm  # noqa: E402

# Without "enhanced" rep movsb and stosb, which go byte by byte here: Linux and
# glibc copy by words then.
CPU = "max,-erms"
META = "linux-image-cloud-amd64"
QEMU = "/usr/bin/qemu-system-x86_64"
TCG = Path("/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so")
ROMS = ("bios-256k.bin", "pvh.bin", "linuxboot_dma.bin", "kvmvapic.bin")


def run(*words, **more):
    return subprocess.run([str(w) for w in words], check=True,
                          capture_output=True, text=True, **more).stdout


def package():
    for _ in range(2):
        found = re.search(r"Depends: (linux-image-\S+-cloud-amd64)",
                          run("apt-cache", "depends", META))
        if found:
            return found[1]
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True)
    raise RuntimeError(f"apt knows no {META}")


def kernel():
    """Its version, and the tree of its package."""
    name = package()
    version = name.removeprefix("linux-image-")
    tree = npm.cache() / name
    if not tree.is_dir():
        fresh = npm.cache() / f".{name}.{os.getpid()}"
        fresh.mkdir()
        if subprocess.run(["apt-get", "download", "-qq", name], cwd=fresh,
                          capture_output=True).returncode != 0:
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True)
            run("apt-get", "download", "-qq", name, cwd=fresh)
        run("dpkg", "-x", next(fresh.glob("*.deb")), fresh / "tree")
        if not (fresh / "tree" / "lib").exists():  # Debian 13
            (fresh / "tree" / "lib").symlink_to("usr/lib")
        run("depmod", "-b", fresh / "tree", version)
        unpack(fresh / "tree" / "boot" / f"vmlinuz-{version}",
               fresh / "tree" / "boot" / "vmlinux")
        (fresh / "tree").rename(tree)
        shutil.rmtree(fresh)
    return version, tree


def unpack(image, to):
    """The ELF file in a bzImage: it need not be unpacked in a VM in a VM."""
    data = image.read_bytes()
    for magic, command in ((b"\x02\x21\x4c\x18", "lz4"),
                           (b"\x28\xb5\x2f\xfd", "zstd"),
                           (b"\xfd7zXZ\0", "xz"), (b"\x1f\x8b\x08", "gzip")):
        for at in (m.start() for m in re.finditer(re.escape(magic), data)):
            # What follows the kernel is no part of it: an error at the end.
            got = subprocess.run([command, "-dc"], input=data[at:],
                                 capture_output=True).stdout
            if got[:4] == b"\x7fELF":
                to.write_bytes(got)
                run("strip", to)
                return
    raise RuntimeError(f"no kernel found in {image}")


class Image:
    """A directory that becomes an initramfs."""

    def __init__(self, root):
        self.root = root
        for d in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc",
                  "opt/busybox", "modules"):
            (root / d).mkdir(parents=True)
        for d in ("bin", "sbin", "lib", "lib64"):
            (root / d).symlink_to(f"usr/{d}")
        self.add("/bin/busybox", "/bin/busybox")
        (root / "usr/bin/sh").symlink_to("/bin/busybox")

    def add(self, source, to=None, libraries=True):
        source = Path(source)
        place = self.root / str(to or source).lstrip("/")
        if place.exists():
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source.resolve(), place)
        if libraries and source.resolve().read_bytes()[:4] == b"\x7fELF":
            out = subprocess.run(["ldd", source], capture_output=True,
                                 text=True).stdout
            for lib in re.findall(r"(?:=> )?(/\S+) \(0x", out):
                self.add(lib, libraries=False)

    def tree(self, source, to):
        shutil.copytree(source, self.root / to.lstrip("/"),
                        ignore=shutil.ignore_patterns("__pycache__"),
                        dirs_exist_ok=True)

    def modules(self, version, tree, *names):
        order = []
        for name in names:
            shown = run("modprobe", "-d", tree, "-S", version,
                        "--show-depends", name)
            for path in re.findall(r"^insmod (\S+)", shown, re.M):
                file = Path(path).name
                if file.endswith(".xz"):
                    plain = self.root / "modules" / file[:-3]
                    plain.write_bytes(subprocess.run(
                        ["xz", "-dc", path], check=True,
                        capture_output=True).stdout)
                    file = file[:-3]
                else:
                    self.add(path, f"/modules/{file}", libraries=False)
                if file not in order:
                    order.append(file)
        (self.root / "modules/order").write_text("\n".join(order) + "\n")

    def python(self):
        """As much of it as the harness imports."""
        code = ("import sys; sys.path.insert(0, 'tests/lib')\n"
                "import tap, harness, upstream, secrets, json, base64, hmac, "
                "concurrent.futures.thread\n"
                "print('\\n'.join(sorted({m.__file__ for m in "
                "list(sys.modules.values()) if getattr(m, '__file__', None)"
                "})))\nimport encodings; print(encodings.__path__[0])")
        *files, encodings = run("/usr/bin/python3", "-c", code,
                                cwd=ROOT).split()
        self.add("/usr/bin/python3")
        for f in files:
            if not f.startswith(str(ROOT)) and os.path.isabs(f):
                self.add(f)
        self.tree(encodings, encodings)
        for lib in Path("/lib/x86_64-linux-gnu").glob("libgcc_s.so.1"):
            self.add(lib)

    def compile(self):
        """All Python in it, once and here rather than in the VM."""
        run("/usr/bin/python3", "-m", "compileall", "-q", "-s", self.root,
            "-p", "/", "--invalidation-mode", "unchecked-hash", self.root)

    def pack(self, to):
        files = run("find", ".", cwd=self.root)
        with open(to, "wb") as out:
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"],
                           cwd=self.root, input=files.encode(), stdout=out,
                           check=True)


def guest(work, out, version, tree):
    """The VM in the VM: busybox, the agent and what a hostile guest has."""
    i = Image(work / "guest")
    i.add(ROOT / "tests/vm/guest-init", "/init")
    i.add(out / "bin/hatcheck-guest", "/bin/hatcheck-guest")
    i.add(work / "dial", "/bin/dial")
    i.modules(version, tree, "virtio_pci", "vmw_vsock_virtio_transport")
    i.pack(work / "guest.cpio")


def host(work, out, more=None):
    """Makes work/host.cpio; the kernel to boot it with. more(image) puts in
    what else is wanted there."""
    version, tree = kernel()
    run("musl-gcc", "-std=c17", "-D_GNU_SOURCE", "-Os", "-Wall", "-Werror",
        "-static", "-s", "-o", work / "dial", ROOT / "tests/vm/dial.c")
    guest(work, out, version, tree)
    i = Image(work / "host")
    i.add(ROOT / "tests/vm/init", "/init")
    i.modules(version, tree, "vsock_loopback", "vhost_vsock")
    for program in (out / "bin").iterdir():
        i.add(program, f"/t/out/bin/{program.name}")
    i.tree(ROOT / "presets", "/t/presets")
    i.tree(ROOT / "tests/lib", "/t/tests/lib")
    for script in (ROOT / "tests/vm").glob("*.py"):
        i.add(script, f"/t/tests/vm/{script.name}")
    i.python()
    for f in ("/usr/bin/openssl", "/usr/lib/ssl/openssl.cnf",
              "/etc/ssl/openssl.cnf", "/usr/bin/curl", "/usr/bin/setpriv",
              QEMU):
        i.add(f)
    if TCG.exists():  # else it is in the program
        i.add(TCG)
    for rom in ROMS:
        for d in ("/usr/share/qemu", "/usr/share/seabios"):
            if os.path.exists(f"{d}/{rom}"):
                i.add(f"{d}/{rom}", f"/usr/share/qemu/{rom}")
    i.add(work / "dial", "/t/dial")
    i.add(work / "guest.cpio", "/t/guest.cpio", libraries=False)
    i.add(tree / "boot/vmlinux", "/t/vmlinux", libraries=False)
    if more:
        more(i)
    i.compile()
    etc = i.root / "etc"
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\n"
                                "user:x:23456:23456::/tmp:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\nuser:x:23456:\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n")
    (etc / "nsswitch.conf").write_text("passwd: files\nhosts: files\n")
    i.pack(work / "host.cpio")
    return tree / "boot" / f"vmlinuz-{version}"


def boot(kernel_image, work, *script):
    """QEMU in software, no network; the script, with its words, runs in it,
    and speaks on its stdout."""
    return subprocess.Popen(
        [QEMU, "-M", "q35", "-m", "2000", "-smp", "2", "-accel",
         "tcg,thread=multi", "-cpu", CPU, "-kernel", str(kernel_image),
         "-initrd", str(work / "host.cpio"), "-append",
         "console=ttyS0 quiet panic=-1 mitigations=off nokaslr "
         f"random.trust_cpu=on script={','.join(script)}", "-nographic",
         "-no-reboot", "-nodefaults", "-nic", "none", "-serial",
         f"file:{work}/console", "-serial", "stdio"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace")
