"""A search's supernet after some of its epochs, and what its shared weights say of a table's cells."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..errors import BenchbedError
from ..pipeline.build import Parts
from ..pipeline.config import RunConfig
from ..pipeline.search import SEARCH_KEYS, run_search
from ..runtime.folder import Folder, read_json, snapshot_path
from ..study import Lab
from ..tables.table import Table

AT_ONCE = 50  # cells whose paths are measured together


def kept(lab: Lab, study: str, config: RunConfig, search: str, epochs: Sequence[int]) -> Path:
    """A search's folder with all the snapshots: its own, or that of the same search made once more, in OUT/STUDY.

    Raises BenchbedError where it ends elsewhere the second time, as it may on another machine or an accelerator.
    """
    options, own = lab.options, lab.search(search)
    earlier = [epoch for epoch in epochs if epoch < config.epochs]
    if all(snapshot_path(own, epoch).exists() for epoch in earlier):
        return own
    again = options.out / study / "searches" / search
    with Folder(again, SEARCH_KEYS, wait=True) as folder:  # for another worker at this search
        if not all(snapshot_path(again, epoch).exists() for epoch in earlier):
            options.reporter.line(f"{own} kept no snapshot of some epochs: searched once more, in {again}")
            if folder.record is not None:
                folder.clear()
        made = run_search(lab.parts(config), folder, options.reporter, earlier)
    if made["state_sha256"] != read_json(own / "record.json", SEARCH_KEYS)["state_sha256"]:
        raise BenchbedError(
            f"{own} kept no snapshot of some epochs, and searched once more it ended elsewhere: give another --out, "
            "where it is searched with snapshots"
        )
    if missing := [epoch for epoch in earlier if not snapshot_path(again, epoch).exists()]:
        raise BenchbedError(f"{own} ended before epoch {missing[0] + 1}: --at asks for what it was after {missing[0]}")
    return again


def drawn(truth: np.ndarray, count: int) -> np.ndarray:
    """int64 (count,): places of cells that have a truth, drawn at random, the same at every call."""
    return np.random.default_rng(0).choice(np.flatnonzero(np.isfinite(truth)), count, replace=False)


def by_weights(parts: Parts, table: Table, places: np.ndarray) -> np.ndarray:
    """float64 (n,): validation accuracy in percent of the cells at the table's places, each on its own path."""
    found = []
    for some in range(0, len(places), AT_ONCE):
        cells = [table.places.architecture(place) for place in places[some : some + AT_ONCE].tolist()]
        gates = torch.from_numpy(np.stack([parts.space.gates(cell) for cell in cells]))
        found.append(parts.objective.measure(gates).accuracy.double().numpy())
    return np.concatenate(found)
