"""Let one system call of a running program fail, as root may: by ptrace, so
that its own filters stay as they are (a call that is skipped, as strace does
it, dies in them).

usage: fault.py PID PATH CALL ERRNO NTH     CALL: write, pwrite64, fdatasync

The NTH CALL on the file at PATH answers ERRNO; of a write nothing is written.
Says "ready" once it watches and "struck" when it has done it; goes on
watching until it is ended. x86-64 only.
"""
import ctypes
import os
import struct
import sys
from pathlib import Path

CALLS = {"write": 1, "pwrite64": 18, "fdatasync": 75}
SEIZE, INTERRUPT, SYSCALL, GETREGS, SETREGS = 0x4206, 0x4207, 24, 12, 13
RDX, RAX, RDI, ORIG_RAX = 12, 10, 14, 15  # in user_regs_struct
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


def is_ours(pid, regs, number, path):
    if regs[ORIG_RAX] != number:
        return False
    try:
        return os.readlink(f"/proc/{pid}/fd/{regs[RDI]}") == path
    except OSError:
        return False


def main():
    pid, path = int(sys.argv[1]), os.path.realpath(sys.argv[2])
    number = CALLS[sys.argv[3]]
    error, nth = int(sys.argv[4]), int(sys.argv[5])
    inside, strike, count = {}, set(), 0
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
        signal, pass_on = os.WSTOPSIG(status), 0
        if signal == 0x85:  # a call begins or ends
            inside[tid] = not inside.get(tid, False)
            regs = registers(tid)
            if inside[tid] and is_ours(pid, regs, number, path):
                count += 1
                if count == nth:
                    strike.add(tid)
                    regs[RDX] = 0
                    if number != CALLS["fdatasync"]:
                        set_registers(tid, regs)
            elif not inside[tid] and tid in strike:
                strike.discard(tid)
                regs[RAX] = 2 ** 64 - error
                set_registers(tid, regs)
                print("struck", flush=True)
        elif status >> 16 == 0:
            pass_on = signal
        ptrace(SYSCALL, tid, pass_on)
        if not said:
            said = True
            print("ready", flush=True)


main()
