"""Some architectures scored by one proxy: the job of a run of proxies."""

import math
import time
from typing import Any

from ..errors import BenchbedError
from ..runtime.machine import threads
from ..runtime.worker import Place
from .asked import Asked
from .setting import loaded

AT_ONCE = 25  # architectures of a job: what a kill may cost


def measure(payload: dict[str, Any], place: Place) -> dict[str, Any]:
    """The job of {"setting": as JSON, "task": fingerprint, "proxy", "options", "code", "cells": strings}.

    {"scores": a list of numbers a cell, "seconds": of them all}. A number that is not finite is its word: JSON has none
    for it. One thread computes, so that the scores are the same whatever else is made at the same time.
    """
    setting, space, task, device = loaded(payload["setting"], place.device)
    proxy, scores = Asked(payload["proxy"], payload["options"]).make(), []
    with threads(1):
        began = time.perf_counter()
        for text in payload["cells"]:
            try:
                score = proxy.score(setting.case(space, task, space.parse(text), device))
            except BenchbedError as error:
                raise BenchbedError(f"proxy '{payload['proxy']}', {text}: {error}") from None
            scores.append([in_json(x) for x in (score if isinstance(score, tuple) else (score,))])
        return {"scores": scores, "seconds": time.perf_counter() - began}


def in_json(x: float) -> float | str:
    """A finite number as it is, any other by its word: nan, inf or -inf."""
    return float(x) if math.isfinite(x) else str(float(x))
