"""The official `NAS-Bench-201-v1_*.pth`, the one source among the tables whose reading imports torch.

The file is loaded restricted: containers, numbers, text, OrderedDict and numpy's scalars, nothing else. Its records are
read through the nas-bench-201 package's own classes, one architecture at a time, and let go of: the package's reader of
whole files fails on current torch and holds everything twice. Dong and Yang, ICLR 2020.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from ..errors import BenchbedError
from ..runtime.archives import damage
from ..runtime.pickles import memory_of, torch_value
from ..runtime.reading import opened
from .from_nats import Progress, damaged_means
from .records import OFFICIAL, Records, Trial
from .table_builder import SIZE, Draft

FACTOR = 16  # bytes of memory a byte of the file, which holds small numbers one by one
_HP = {"less": 12, "full": 200}
_KEYS = ("meta_archs", "arch2infos", "evaluated_indexes")


def read_pth(path: Path, draft: Draft, progress: Progress) -> None:
    """Adds the file to the draft. Raises BenchbedError that names the cell that is damaged or the type it refuses."""
    content = found if isinstance(found := _load(path), dict) else {}
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise BenchbedError(f"{path} is not a NAS-Bench-201 file: it holds no '{missing[0]}'")
    strings, cells = content["meta_archs"], content["arch2infos"]
    if not isinstance(strings, list) or len(strings) != SIZE or not isinstance(cells, dict) or not cells:
        raise BenchbedError(f"{path} is not a NAS-Bench-201 file: expected {SIZE:,} cells and their records")
    places = draft.places([str(text) for text in strings], lambda i: f"{path} cell {i}")
    draft.set_order(places, path.name)
    records, packer, total = Records(path.name, SIZE), draft.add_trials(path.name), len(cells)
    for done, index in enumerate(sorted(cells)):
        if not isinstance(index, int) or not 0 <= index < SIZE:
            raise BenchbedError(f"{path}: cell index {index} is not one of 0 to {SIZE - 1}")
        with damaged_means(f"{path} cell {index}"):
            cell = cells.pop(index)
            records.add(int(places[index]), list(_trials(cell, strings[index])))
            packer.add(int(places[index]), index, strings[index], {str(e): cell[key] for key, e in _HP.items()})
        progress(done + 1, total)
    records.into(draft)
    draft.notes.append(f"{path.name}: {records.cells:,} of the {SIZE:,} cells")


def _load(path: Path) -> object:
    scalar = np.float64(0).__reduce__()[0]
    admitted: list[Any] = [
        OrderedDict, np.dtype, *(type(np.dtype(code)) for code in ("f8", "f4", "i8", "i4", "?")),
        (scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"),
    ]  # fmt: skip
    try:
        with opened(path) as file:
            return torch_value(file, memory_of(path, FACTOR), admitted)
    except BenchbedError:
        raise
    except UnpicklingError as error:
        if name := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise BenchbedError(
                f"{path} holds {name[1]}, which no NAS-Bench-201 file does: nothing of it was run"
            ) from None
        raise BenchbedError(f"{path} is damaged or no NAS-Bench-201 file") from None
    except Exception as error:  # a damaged file can fail in any way
        raise BenchbedError(f"{path} is cut off or damaged ({damage(error)})") from None


def _trials(infos: dict[str, Any], text: str) -> Iterator[Trial]:
    from nas_201_api.api_utils import ArchResults

    for key, epochs in _HP.items():
        results = ArchResults.create_from_state_dict(infos[key])
        if results.arch_str != text:
            raise ValueError(f"it is of {results.arch_str}")
        for (dataset, seed), trial in results.all_results.items():
            if trial.get_total_epoch() != epochs:
                raise ValueError(f"{trial.get_total_epoch()} epochs under '{key}'")
            yield _trial(dataset, seed, trial)


def _trial(dataset: str, seed: int, trial: Any) -> Trial:
    accuracy = {}
    for theirs, evaluated in OFFICIAL:
        key = f"{evaluated}@{trial.get_total_epoch() - 1}"
        if theirs == dataset and key in trial.eval_acc1es:  # get_eval would insist on the seconds beside it
            accuracy[evaluated] = float(trial.eval_acc1es[key])
    seconds, latency = trial.get_times()["T-train@total"], trial.get_latency()
    return Trial(
        dataset=dataset,
        seed=int(seed),
        epochs=trial.get_total_epoch(),
        accuracy=accuracy,
        seconds=None if seconds is None else float(seconds),
        latency=None if latency < 0 else float(latency),
        params=float(trial.params),
        flops=float(trial.flop),
    )
