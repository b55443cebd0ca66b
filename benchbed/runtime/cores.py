"""How many processors this process may use."""

import os


def usable_cores() -> int:
    """At least 1. A scheduler's or a container's choice of processors counts where the system tells it (Linux)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
