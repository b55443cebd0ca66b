"""NAS-Bench-Macro's file, `nas-bench-macro_cifar10.json`: 6,561 chains, three CIFAR-10 trainings each.

    {"02012100": {"test_acc": [89.47, 88.95, 89.17], "mean_acc": 89.20, "std": 0.21, "params": 890666, "flops": ...}}

Its authors' script (`train/train.py` of xiusu/NAS-Bench-Macro at 8608081) trains on all 50,000 images for 50 epochs
and keeps the highest test accuracy of any epoch; there is no validation accuracy. So the trials are split: the mean of
1 and 2 serves the search as `valid`, trial 3 the score as `test`, and the table says so. Both are test accuracies of
the best epoch, and are biased upwards alike.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import BenchbedError
from ..runtime.reading import LIMITS, parse_json, read_bytes
from ..spaces.macro.space import OPERATIONS, STAGES, Macro, all_architectures, flops, parameters
from . import store
from .arrays import check_percent
from .figures import Figure

SHAPE = (len(OPERATIONS),) * sum(STAGES)
EPOCHS = 50  # the default of the authors' script, which their driver does not change
TRIALS = 3
VALID, TEST = Figure("cifar10", "valid", EPOCHS), Figure("cifar10", "test", EPOCHS)
SPLITS = {
    "valid": "mean of the test accuracies of trials 1 and 2: the source has no validation accuracy",
    "test": "test accuracy of trial 3 alone",
}
UNITS = {
    "accuracy": "percent, mean over the trials of the split",
    "seeds": "percent, one a trial",
    "params": "trainable parameters of the published network, by formula",
    "flops": "multiply-accumulates of one image in convolutions and the linear layer, by formula",
}
_START = re.compile(rb'\s*\{\s*"[012]{8}"\s*:\s*\{')


def starts_macro(head: bytes) -> bool:
    """Whether a file that begins so is a NAS-Bench-Macro file."""
    return _START.match(head) is not None


def read_macro(
    path: Path, source: dict[str, Any], notes: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The metadata and the arrays of the table. Raises BenchbedError, naming the network, for a bad or missing one."""
    entries = _entries(path)
    chains = list(all_architectures())
    trials = np.array([_trials(path, entries, chain.text) for chain in chains])
    check_percent(trials, str(path), "test_acc")
    costs = {kind: np.array([f(c) for c in chains]) for kind, f in (("params", parameters), ("flops", flops))}
    arrays = {
        f"accuracy/{VALID}": trials[:, :2].mean(1).reshape(SHAPE),
        f"accuracy/{TEST}": trials[:, 2].reshape(SHAPE),
        f"seeds/{VALID}": trials[:, :2].reshape(*SHAPE, 2),
        f"seeds/{TEST}": trials[:, 2:].reshape(*SHAPE, 1),
        **{f"{kind}/cifar10": own.reshape(SHAPE) for kind, own in costs.items()},
    }
    trained = len({Macro().canonical(chain) for chain in chains})
    meta = {
        "format": store.FORMAT,
        "space": "macro",
        "fingerprint": store.fingerprint("macro", arrays),
        "figures": [list(VALID), list(TEST)],
        "full_epochs": EPOCHS,
        "splits": SPLITS,
        "seeds": {str(VALID): ["trial 1", "trial 2"], str(TEST): ["trial 3"]},
        "units": UNITS,
        "sources": [source],
        "notes": [*notes, *_notes(entries, [c.text for c in chains], costs, trained)],
        "made": f"imported by benchbed {__version__}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return meta, arrays


def _notes(entries: dict[str, Any], texts: list[str], costs: dict[str, np.ndarray], trained: int) -> list[str]:
    """What a user should know, in one line each."""
    found = [
        f"every accuracy is the highest test accuracy of any of the {EPOCHS} epochs, as the authors' script keeps it",
        f"{trained:,} networks were trained; the other strings differ by identities that do nothing, and repeat them",
    ]
    for kind, own in costs.items():
        wrong = sum(entries[text].get(kind) != value for text, value in zip(texts, own.tolist(), strict=True))
        if wrong:
            found.append(f"{kind}: {wrong:,} of {len(texts):,} networks differ from the formula, which the table holds")
    return found


def _entries(path: Path) -> dict[str, Any]:
    content = read_bytes(path, LIMITS.json_bytes)
    try:
        found = parse_json(content)
    except ValueError as error:  # no JSON, or no UTF-8
        raise BenchbedError(f"{path} is cut off or damaged ({error})") from None
    if not isinstance(found, dict):
        raise BenchbedError(f"{path} is not a NAS-Bench-Macro file: expected a JSON object by network")
    for text in found:
        try:
            Macro().parse(text)
        except BenchbedError as error:
            raise BenchbedError(f"{path}: {error}") from None
    return found


def _trials(path: Path, entries: dict[str, Any], text: str) -> list[float]:
    """The three accuracies of a network."""
    if text not in entries:
        raise BenchbedError(f"{path} has {len(entries):,} of the 6,561 networks, {text} is not among them")
    entry = entries[text]
    values = entry.get("test_acc") if isinstance(entry, dict) else None
    numbers = [v for v in values if type(v) in (int, float) and v == v] if isinstance(values, list) else []
    if len(numbers) != TRIALS or numbers != values:
        raise BenchbedError(f"{path}: network {text} has test_acc {str(values)[:60]}, expected {TRIALS} numbers")
    return [float(value) for value in numbers]
