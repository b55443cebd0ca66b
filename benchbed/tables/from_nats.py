"""NATS-Bench's files, of both spaces: a `NATS-tss-*-simple` folder, or the single `NATS-tss-*.pickle.pbz2`; or `sss`.

The folder holds `meta.pickle.pbz2` and a file a cell, `000284.pickle.pbz2`; cells may be missing. The single file holds
all cells under `arch2infos`. A cell is {'12': record, '200': record}, by epochs, of the size space ('sss') with '01',
'12' and '90'; a record's `all_results` maps (data set, seed) to a trial. Which space it is the list of architectures
says. Dong et al., "NATS-Bench", TPAMI 2021.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BenchbedError
from .benchmarks import BENCHMARKS, Benchmark
from .records import Records, Trial
from .table_builder import Draft
from .unpickle import read_pbz2

META = "meta.pickle.pbz2"
Progress = Callable[[int, int], None]  # cells done, of how many


class Opened(NamedTuple):
    """A source whose list of architectures has been read; of a single file that is all of it."""

    path: Path
    benchmark: Benchmark
    meta: dict[str, Any]


def open_nats(path: Path) -> Opened:
    """Reads which architectures a folder or file is of. Raises BenchbedError if it is damaged or does not say."""
    meta = read_pbz2(path / META if path.is_dir() else path)
    strings = meta.get("meta_archs") if isinstance(meta, dict) else None
    for benchmark in BENCHMARKS.values():
        if isinstance(strings, list) and len(strings) == benchmark.size:
            return Opened(path, benchmark, meta)
    sizes = " or ".join(f"{b.size:,} architectures of {b.title}" for b in BENCHMARKS.values())
    raise BenchbedError(f"{path} is not a NATS-Bench file: it holds no list of the {sizes}")


def read_nats(source: Opened, draft: Draft, progress: Progress) -> None:
    """Adds the folder or file to the draft. Raises BenchbedError that names the file and cell that is damaged."""
    path, benchmark, meta = source
    strings = meta["meta_archs"]
    places = draft.places([str(text) for text in strings], lambda i: f"{path} cell {i}")
    draft.set_order(places, path.name)
    records, packer = Records(path.name, benchmark.size), draft.add_trials(path.name)
    files = _files(path) if path.is_dir() else meta.get("arch2infos")
    if not isinstance(files, dict) or not files:
        expected = "files such as 000284.pickle.pbz2" if path.is_dir() else "them under arch2infos"
        raise BenchbedError(f"{path} holds no cells: expected {expected}")
    for done, (index, content) in enumerate(sorted(files.items())):
        if not isinstance(index, int) or not 0 <= index < benchmark.size:
            raise BenchbedError(f"{path}: cell index {index} is not one of 0 to {benchmark.size - 1}")
        where = content if isinstance(content, Path) else f"{path} cell {index}"
        cell = read_pbz2(content) if isinstance(content, Path) else content
        with damaged_means(where):
            records.add(int(places[index]), list(_trials(cell, strings[index], benchmark.hps)))
            packer.add(int(places[index]), index, strings[index], {hp: cell[hp] for hp in benchmark.hps})
        progress(done + 1, len(files))
    records.into(draft)
    draft.notes.append(f"{path.name}: {records.cells:,} of the {benchmark.size:,} cells")


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


def _trials(cell: Mapping[str, Any], text: str, hps: Sequence[str]) -> Iterator[Trial]:
    for hp in hps:
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
