"""Run a program that ends when its parent ends, however the parent ended: ``python deathsig.py PROGRAM …``.

Linux keeps the request (prctl PR_SET_PDEATHSIG) across exec. A supervisor killed by SIGKILL then leaves
no child behind. Imports nothing of the hub: it runs before every child and must start in milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies; leave at once if that has happened already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  fixed list from the supervisor, no shell
