"""Which network a record's test accuracy is of, and what it costs: not the supernet's, nor a published network's."""

from typing import NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..pipeline.record import Record
from ..space import Space
from ..spaces.load import load_space
from ..tables.benchmarks import BENCHMARKS
from ..tables.figures import CLASSES
from ..tables.score import network_in
from ..tables.table import Table
from .groups import Group


class Network(NamedTuple):
    """Parameters, and multiply-accumulates of one image; None where they are not known."""

    params: int | None = None
    flops: int | None = None


def network_in_words(record: Record) -> str:
    """The network that was trained: by a table, or at its size and on its images as far as the record says them."""
    own = record.network or {}
    if record.scored_by == "table":
        table = record.table or {}
        return f"network that table {table.get('name')} trained on {table.get('dataset')}"
    said = [f"{letter}={own[name]}" for letter, name in (("C", "channels"), ("N", "cells")) if name in own]
    said += [f"{'x'.join(map(str, own['images']))} images"] if "images" in own else []
    return f"network that was trained{' (' if said else ''}{', '.join(said)}{')' if said else ''}"


def networks(group: Group, table: Table | None) -> dict[str, Network]:
    """By record, what the network costs that its test accuracy is of.

    table: the one that scored the group, where it is here. Of records that do not say it: what the table says, or a
    published benchmark; a trained one is known where the space fixes its size.
    """
    space = space_of(group)
    return {
        r.id: _said(r) or (Network() if space is None else _found(r, group.task, space, table)) for r in group.records
    }


def space_of(group: Group) -> Space | None:
    """The group's space; None where it is not known here, such as a plug-in's."""
    try:
        return load_space(group.space, dict(group.space_options))
    except BenchbedError:
        return None


def _said(record: Record) -> Network | None:
    own = record.network or {}
    return Network(own.get("params"), own.get("flops")) if own else None


def _found(record: Record, dataset: str, space: Space, table: Table | None) -> Network:
    """Of a record that was made before records said it."""
    facts = record.facts
    if record.scored_by != "table":
        fixed = not space.sized_by and "images" in facts
        return Network(facts.get("params"), facts.get("flops")) if fixed else Network()
    try:
        arch = space.parse(record.architecture)
    except BenchbedError:
        return Network()
    if record.space in BENCHMARKS and dataset in CLASSES:
        place = np.ravel_multi_index(arch.choices, tuple(len(p.operations) for p in space.positions))
        return Network(*(int(BENCHMARKS[record.space].costs(kind, dataset)[place]) for kind in Network._fields))
    return Network(**(network_in(table, dataset, arch) or {})) if table is not None else Network()
