"""Let one system call of a running program fail, as root may: by ptrace, so
that its own filters stay as they are (a call that is skipped, as strace does
it, dies in them).

usage: fault.py PID PATH CALL ERROR NTH

CALL: one of CALLS below, or "any" of them. ERROR: its number, or "kill". The
NTH CALL on the file at PATH, or on any below PATH if that is a directory (of
rename and unlink: wherever it is), answers ERROR and does nothing, or is the
last that the program does not live to see done. Says "ready" once it watches
and "struck" when it has done it; goes on watching until it is ended. x86-64
only.
"""
import ctypes
import os
import signal
import struct
import sys
from pathlib import Path

RDI, RSI, RDX = 14, 13, 12  # in user_regs_struct
RAX, ORIG_RAX = 10, 15
# Number, whether it names no fd of its own, and what makes it do nothing.
CALLS = {"write": (1, False, (RDX, 0)),
         "pwrite64": (18, False, (RDX, 0)),
         "fsync": (74, False, (RDI, 2 ** 64 - 1)),
         "fdatasync": (75, False, (RDI, 2 ** 64 - 1)),
         "ftruncate": (77, False, (RDI, 2 ** 64 - 1)),
         "rename": (82, True, (RDI, 0)),
         "unlink": (87, True, (RDI, 0)),
         "unlinkat": (263, True, (RSI, 0)),
         "renameat": (264, True, (RSI, 0)),
         "renameat2": (316, True, (RSI, 0))}
SEIZE, INTERRUPT, SYSCALL, GETREGS, SETREGS = 0x4206, 0x4207, 24, 12, 13
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                        ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, tid, data=0):
    if libc.ptrace(request, tid, None, data) == -1:
        raise OSError(ctypes.get_errno(), "ptrace")


def registers(tid):
    room = ctypes.create_string_buffer(27 * 8)
    ptrace(GETREGS, tid, ctypes.addressof(room))
    return list(struct.unpack("27Q", room.raw))


def set_registers(tid, regs):
    room = ctypes.create_string_buffer(struct.pack("27Q", *regs))
    ptrace(SETREGS, tid, ctypes.addressof(room))


def is_ours(pid, regs, calls, path):
    number, nameless = regs[ORIG_RAX], None
    for n, nameless, _ in calls:
        if n == number:
            break
    else:
        return False
    if nameless:
        return True
    try:
        there = os.readlink(f"/proc/{pid}/fd/{regs[RDI]}")
    except OSError:
        return False
    there = there.removesuffix(" (deleted)")
    return there == path or there.startswith(path + "/")


def strike(tid, regs, calls):
    """The call does nothing; the register that saw to it is put back."""
    at, value = next(do for n, _, do in calls if n == regs[ORIG_RAX])
    was, regs[at] = regs[at], value
    set_registers(tid, regs)
    return at, was


def main():
    pid, path = int(sys.argv[1]), os.path.realpath(sys.argv[2])
    calls = [v for k, v in CALLS.items() if sys.argv[3] in (k, "any")]
    error, nth = sys.argv[4], int(sys.argv[5])
    inside, struck, count = {}, {}, 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        ptrace(SEIZE, int(task.name), 1)  # TRACESYSGOOD
        ptrace(INTERRUPT, int(task.name))
    said = False
    while True:
        tid, status = os.waitpid(-1, 0x40000000)
        if not os.WIFSTOPPED(status):
            if tid == pid:
                return
            continue
        signo, pass_on = os.WSTOPSIG(status), 0
        if signo == 0x85:  # a call begins or ends
            inside[tid] = not inside.get(tid, False)
            regs = registers(tid)
            if inside[tid] and is_ours(pid, regs, calls, path):
                count += 1
                if count == nth and error == "kill":
                    os.kill(pid, signal.SIGKILL)
                    print("struck", flush=True)
                    continue
                if count == nth:
                    struck[tid] = strike(tid, regs, calls)
            elif not inside[tid] and tid in struck:
                at, was = struck.pop(tid)
                regs[at], regs[RAX] = was, 2 ** 64 - int(error)
                set_registers(tid, regs)
                print("struck", flush=True)
        elif status >> 16 == 0:
            pass_on = signo
        ptrace(SYSCALL, tid, pass_on)
        if not said:
            said = True
            print("ready", flush=True)


main()
