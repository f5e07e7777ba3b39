"""Directories that a test needs until it ends, and nobody after that."""
import atexit
import os
import shutil
import tempfile
from pathlib import Path


def scratch(prefix):
    path, owner = Path(tempfile.mkdtemp(prefix=prefix)), os.getpid()

    def remove():
        if os.getpid() == owner:  # and not a fork of it
            shutil.rmtree(path, ignore_errors=True)
    atexit.register(remove)
    return path
