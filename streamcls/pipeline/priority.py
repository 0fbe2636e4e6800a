"""Who goes first where cores are scarce: what is decoded already, before what is still to be."""

import os
import sys
import threading
from contextlib import suppress

_NICER = 5  # a third of the share of a thread that has not given way: decoding is never starved


def give_way() -> None:
    """Lower the calling thread's priority, and that of the threads and processes it starts.

    On Linux a priority is a thread's own; elsewhere it would be the whole process's. Where even
    lowering it is forbidden, everything runs at one priority.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            nice = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, nice + _NICER)
