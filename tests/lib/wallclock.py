"""Set the wall clock of running programs, and of nothing else: a time
namespace has only the other clocks. Root may write into the vDSO of a
process, where its reading of the time is a few instructions that ask nobody;
what stands there afterwards asks the kernel, by the calls that the programs'
filters let pass anyway, and adds what the test said. x86-64 only.

    wallclock.step(house.pids(), 3600)      # an hour ahead of the real one
    wallclock.sleep(house.pids(), 3600)     # as after an hour of suspension
"""
import ctypes
import os
import struct
import time

ATTACH, DETACH, GETREGS = 16, 17, 12
RIP = 16  # in user_regs_struct
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                        ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, tid, data=0):
    if libc.ptrace(request, tid, None, data) == -1:
        raise OSError(ctypes.get_errno(), "ptrace")


def code(call, skip, add):
    """mov call,%eax; syscall; skip; mov seconds,%rcx; add; ret"""
    return lambda seconds: (
        b"\xb8" + struct.pack("<I", call) + b"\x0f\x05" + skip +
        b"\x48\xb9" + struct.pack("<q", seconds) + add + b"\xc3")


def only(clock):
    """test %edi,%edi; jz 1f; cmp $5,%edi; jz 1f; cmp clock,%edi; jz 1f; ret;
    1: (0 and 5 are CLOCK_REALTIME and its coarse sister)"""
    return (b"\x85\xff\x74\x0b\x83\xff\x05\x74\x06\x83\xff" +
            bytes([clock]) + b"\x74\x01\xc3")


# clock_gettime(id, t): add %rcx,(%rsi); gettimeofday(t, zone): add %rcx,(%rdi)
# time(p): add %rcx,%rax; test %rdi,%rdi; jz 1f; mov %rax,(%rdi); 1:
REALTIME, BOOTTIME = 0, 7
FUNCTIONS = {
    "clock_gettime": code(228, only(REALTIME), b"\x48\x01\x0e"),
    "gettimeofday": code(96, b"", b"\x48\x01\x0f"),
    "time": code(201, b"", b"\x48\x01\xc8\x48\x85\xff\x74\x03\x48\x89\x07"),
}


def mapping(pid):
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            if line.rstrip().endswith("[vdso]"):
                return [int(x, 16) for x in line.split()[0].split("-")]
    raise AssertionError(f"no vDSO in {pid}")


def symbols(image):
    """Name and place of each function, from the ELF image itself."""
    at, = struct.unpack_from("<Q", image, 40)
    size, n = struct.unpack_from("<HH", image, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", image, at + i * size)
                for i in range(n)]
    table = next(s for s in sections if s[1] == 11)  # SHT_DYNSYM
    names = sections[table[6]][4]
    found = {}
    for where in range(table[4], table[4] + table[5], 24):
        name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", image, where)
        text = image[names + name:image.index(b"\0", names + name)]
        found[text.decode()] = value
    return found


class Held:
    """All threads of a process stand still, none of them in the vDSO."""

    def __init__(self, pid, start, end):
        self.tids = []
        for tid in map(int, os.listdir(f"/proc/{pid}/task")):
            self.hold(tid, start, end)

    def hold(self, tid, start, end):
        while True:
            ptrace(ATTACH, tid)
            os.waitpid(tid, 0x40000000)
            room = ctypes.create_string_buffer(27 * 8)
            ptrace(GETREGS, tid, ctypes.addressof(room))
            if not start <= struct.unpack("27Q", room.raw)[RIP] < end:
                self.tids.append(tid)
                return
            ptrace(DETACH, tid)
            time.sleep(0.001)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for tid in self.tids:
            ptrace(DETACH, tid)


def step_one(pid, functions, seconds):
    start, end = mapping(pid)
    with Held(pid, start, end), open(f"/proc/{pid}/mem", "r+b", 0) as mem:
        mem.seek(start)
        places = symbols(mem.read(end - start))
        for name, make in functions.items():
            mem.seek(start + places["__vdso_" + name])
            mem.write(make(seconds))


def step(pids, seconds, functions=None):
    for pid in pids:
        try:
            step_one(pid, functions or FUNCTIONS, seconds)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended meanwhile


def sleep(pids, seconds):
    """CLOCK_BOOTTIME went on, too; CLOCK_MONOTONIC did not."""
    step(pids, seconds, {**FUNCTIONS, "clock_gettime": code(
        228, only(BOOTTIME), b"\x48\x01\x0e")})
