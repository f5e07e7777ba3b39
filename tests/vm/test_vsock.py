#!/usr/bin/env python3
"""Boots a VM (image.py) in which inside.py runs, and says what it says.
Words are those of the tests' names that shall run, as in the other tests."""
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import image  # noqa: E402

LAST = 800  # seconds: a bound against hanging


def main():
    out = Path(os.environ["HATCHECK_OUT"])
    work = Path(tempfile.mkdtemp(prefix="vm-", dir="/var/tmp"))
    began, planned, seen = time.monotonic(), None, 0
    try:
        vm = image.boot(image.host(work, out), work, "tests/vm/inside.py",
                        *sys.argv[1:])
        killer = threading.Timer(LAST, vm.kill)
        killer.start()
        for line in vm.stdout:
            line = line.rstrip("\r\n")
            print(line, flush=True)
            plan = re.match(r"1\.\.(\d+)$", line)
            planned = int(plan[1]) if plan else planned
            seen += bool(re.match(r"(not )?ok \d", line))
        vm.wait()
        killer.cancel()
        if planned is None or seen != planned:
            print(f"not ok - the VM ended after {seen} of {planned} tests, "
                  f"{time.monotonic() - began:.0f} s")
            text = (work / "console").read_text(errors="replace")
            print("\n".join("# " + x for x in text.splitlines()[-60:]))
    finally:
        shutil.rmtree(work)


main()
