"""Jobs for the tests of the pool: each does what its payload says, and notes that it was begun."""

import ctypes
import os
import signal
import time
from typing import Any

from benchbed.errors import BenchbedError
from benchbed.runtime import pulse
from benchbed.runtime.folder import Folder
from benchbed.runtime.worker import Place


def toy(payload: dict[str, Any], place: Place) -> dict[str, Any]:
    """how: once, dies, stops, loops, sleeps in C (gil), refused or crashes on the first attempt alone; sleeps: seconds;
    steps: likewise, a sign of life every half; after: a job that must have been begun, by another worker, before this
    one ends."""
    number, how = payload["number"], payload.get("how")
    place.out.mkdir(parents=True, exist_ok=True)
    first = not (place.out / f"begun-{number}").exists()
    with open(place.out / f"begun-{number}", "a") as file:
        file.write(f"{os.getpid()}\n")
    if how == "refused":
        raise BenchbedError(f"toy {number} is refused")
    if how == "crashes":
        raise ZeroDivisionError(f"toy {number}")
    if first and how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if first and how == "stops":
        os.kill(os.getpid(), signal.SIGSTOP)
    while first and how == "loops":
        pass
    if first and how == "gil":
        ctypes.PyDLL(None).sleep(100_000)  # PyDLL keeps Python's lock
    for _ in range(2 * payload.get("steps", 0)):
        time.sleep(0.5)
        pulse.beat()
    while "after" in payload and not (place.out / f"begun-{payload['after']}").exists():
        time.sleep(0.01)
    time.sleep(payload.get("sleeps", 0))
    place.say(f"toy {number} speaks")
    return {"square": number * number, "third": number / 3}


def steps(payload: dict[str, Any], place: Place) -> dict[str, Any]:
    """Counts to ten, saved after each; killed in the middle it goes on."""
    folder = place.folder
    assert isinstance(folder, Folder)
    saved = folder.load()
    done = 0 if saved is None else saved["done"]
    for step in range(done, 10):
        folder.log({"step": step, "process": os.getpid()})
        folder.save({"done": step + 1})
        if saved is None and step == 4:
            os.kill(os.getpid(), signal.SIGKILL)
    return {"steps": 10, "from": done}
