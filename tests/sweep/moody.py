"""A searcher that misbehaves in its second epoch each time, and notes which process begins which epoch."""

import ctypes
import os
import signal
import time

from benchbed.cost import Problem
from benchbed.objective import Batch
from benchbed.searcher import Clock
from benchbed.searchers.darts import DARTS
from benchbed.searchers.darts import Options as DartsOptions


class Options(DartsOptions):
    how: str = "well"


class Moody(DARTS):
    """Hangs in Python (hangs) or in C with Python's lock held (gil), crashes, is deaf to SIGTERM, or is slow."""

    Options = Options

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        how = self.options.how
        if clock.step == 0:
            with open(os.environ["MOODY_LOG"], "a") as file:
                file.write(f"{how}-{self.streams.seed} {clock.epoch} {os.getpid()}\n")
        if how == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if clock.epoch == 1 and clock.step == 3:
            if how == "crashes":
                os.kill(os.getpid(), signal.SIGSEGV)
                time.sleep(60)  # Ray takes the signal in another thread, and writes a report before it ends
            while how in ("hangs", "deaf"):
                pass
            if how == "gil":
                ctypes.PyDLL(None).sleep(100_000)  # PyDLL keeps the lock
        if how == "slow" and clock.epoch == 1 and clock.step % 10 == 0:
            time.sleep(4.0)
        return super().arch_step(problem, batch, clock)
