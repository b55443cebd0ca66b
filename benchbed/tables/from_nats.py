"""NATS-Bench's topology files: a `NATS-tss-*-simple` folder, or the single `NATS-tss-*.pickle.pbz2`.

The folder holds `meta.pickle.pbz2` and a file a cell, `000284.pickle.pbz2`; cells may be missing. The single file holds
all cells under `arch2infos`. A cell is {'12': record, '200': record}, by epochs; a record's `all_results` maps
(data set, seed) to a trial. Dong et al., "NATS-Bench", TPAMI 2021.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import BenchbedError
from .records import Records, Trial
from .table_builder import SIZE, Draft
from .trials import HPS
from .unpickle import read_pbz2

META = "meta.pickle.pbz2"
Progress = Callable[[int, int], None]  # cells done, of how many


def read_nats(path: Path, draft: Draft, progress: Progress) -> None:
    """Adds the folder or file to the draft. Raises BenchbedError that names the file and cell that is damaged."""
    meta = read_pbz2(path / META if path.is_dir() else path)
    strings = meta.get("meta_archs") if isinstance(meta, dict) else None
    if not isinstance(strings, list) or len(strings) != SIZE:
        raise BenchbedError(f"{path} holds no list of the {SIZE:,} cells: it is no NATS-Bench topology file")
    places = draft.places([str(text) for text in strings], lambda i: f"{path} cell {i}")
    draft.set_order(places, path.name)
    records, packer = Records(path.name), draft.add_trials(path.name)
    files = _files(path) if path.is_dir() else meta.get("arch2infos")
    if not isinstance(files, dict) or not files:
        expected = "files such as 000284.pickle.pbz2" if path.is_dir() else "them under arch2infos"
        raise BenchbedError(f"{path} holds no cells: expected {expected}")
    for done, (index, content) in enumerate(sorted(files.items())):
        if not isinstance(index, int) or not 0 <= index < SIZE:
            raise BenchbedError(f"{path}: cell index {index} is not one of 0 to {SIZE - 1}")
        where = content if isinstance(content, Path) else f"{path} cell {index}"
        cell = read_pbz2(content) if isinstance(content, Path) else content
        with damaged_means(where):
            records.add(int(places[index]), list(_trials(cell, strings[index])))
            packer.add(int(places[index]), index, strings[index], {hp: cell[hp] for hp in HPS})
        progress(done + 1, len(files))
    records.into(draft)
    draft.notes.append(f"{path.name}: {records.cells:,} of the {SIZE:,} cells")


@contextmanager
def damaged_means(where: object) -> Iterator[None]:
    """Turns what a record of unexpected form raises into one line that names it."""
    try:
        yield
    except BenchbedError:
        raise
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise BenchbedError(f"{where} holds a record of unexpected form ({reason})") from None


def _files(folder: Path) -> dict[int, Path]:
    """The cells' files by index; names without the leading zeros are accepted, as the official reader does."""
    found: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        if name := re.fullmatch(r"([0-9]{1,6})\.pickle\.pbz2", file.name):
            if int(name[1]) in found:
                raise BenchbedError(
                    f"{folder} holds cell {int(name[1])} twice: {found[int(name[1])].name}, {file.name}"
                )
            found[int(name[1])] = file
    return found


def _trials(cell: Mapping[str, Any], text: str) -> Iterator[Trial]:
    for hp in HPS:
        record = cell[hp]
        if record["arch_str"] != text:
            raise ValueError(f"it is of {record['arch_str']}")
        for (dataset, seed), state in record["all_results"].items():
            if state["epochs"] != int(hp):
                raise ValueError(f"{state['epochs']} epochs under {hp}")
            yield _trial(dataset, seed, state)


def _trial(dataset: str, seed: int, state: dict[str, Any]) -> Trial:
    epochs, times, latency = state["epochs"], state["train_times"], state["latency"]
    last = f"@{epochs - 1}"
    return Trial(
        dataset=dataset,
        seed=int(seed),
        epochs=epochs,
        accuracy={k.removesuffix(last): float(v) for k, v in state["eval_acc1es"].items() if k.endswith(last)},
        seconds=math.fsum(times.values()) if times else None,
        latency=math.fsum(latency) / len(latency) if latency else None,
        params=float(state["params"]),
        flops=float(state["flop"]),
    )
