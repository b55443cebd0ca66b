"""Selectors on a finished search."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BenchbedError
from ..runtime.options import RunOptions
from .build import check_config, task_of
from .protocol import Origins
from .record import Record
from .resolve import resolve
from .run import run, shared_by
from .saved import refuse_another, saved_config
from .tables import NO_TABLE

SELECT_KEYS = ("scoring", "data", "splits", "table", "dataset")  # what `select` may change beside the selector


def select_again(search_path: Path, raw: Mapping[str, Any], selector: str, options: RunOptions) -> Record:
    """Another selector on a finished search; the record goes beside the search's other runs.

    `force` makes the selection and the score again, never the search. Raises BenchbedError if the folder holds no
    finished search, or if its plug-in or data are not what they were.
    """
    search_path = search_path.resolve()
    if search_path.parent.name != "searches":
        raise BenchbedError(
            f"{search_path} holds no finished search (no record.json): give a folder below OUT/searches"
        )
    given = [key for key in raw if key not in ("selector", "device", "origins", *SELECT_KEYS)]
    if given:
        raise BenchbedError(
            f"'{given[0]}' was fixed by the search: select takes selector, scoring and device, table and data"
        )
    saved = saved_config(search_path).model_dump()
    if (made_by := saved.get("processes", 1)) != options.group.size:
        raise options.group.refusal(
            f"{search_path} was searched by {made_by} processes, here are {options.group.size}: "
            + ("start without torchrun" if made_by == 1 else f"start with torchrun --nproc-per-node {made_by}")
        )
    whole = as_given(saved, raw)
    config = resolve(whole, saved["searcher"]["name"], selector, saved["seed"])
    (config,) = shared_by([config], options.group)
    check_config(config)
    task = task_of(config)
    refuse_another(search_path, config, task)
    return run(config, task, options._replace(out=search_path.parent.parent), keep_search=True)


def as_given(saved: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """A search's saved configuration as a user would have given it, with what `select` was given over it.

    The resolved options are complete, so they pass through `resolve`. The scoring is by default that of the search's
    first run; images, split files and table may have moved, so their places can be given anew.
    """
    table = saved.get("table") or {}
    tabled = raw.get("table", NO_TABLE) != NO_TABLE
    as_is = ("space", "space_options", "task", "task_options", "protocol", "budget", "supernet", "data", "splits")
    whole: dict[str, Any] = {key: saved[key] for key in as_is if key in saved}
    whole |= {
        "objective": saved.get("objective", "supernet"),
        "cost": {key: value for key, value in (saved.get("cost") or {}).items() if key != "fingerprint"},
        "origins": Origins({**saved.get("origins", {}), **raw.get("origins", {})}),
        **({"foreign": foreign} if (foreign := saved.get("foreign")) else {"epochs": saved["epochs"]}),
        **{key: saved[key] for key in ("steps", "fidelity", "figure") if saved.get(key) is not None},
        "searcher": {"name": saved["searcher"]["name"], **saved["searcher"]["options"]},
        "scoring": {} if tabled else {**(saved.get("scoring") or {}), **raw.get("scoring", {})},
        "table": table.get("name", NO_TABLE),
        "dataset": table.get("dataset"),
    }
    if whole["objective"] == "table":
        del whole["task"]
        if "dataset" in raw:
            raise BenchbedError("'dataset' was fixed by the search: its objective is a table")
    return whole | {key: raw[key] for key in ("selector", "data", "splits", "table", "dataset") if key in raw}
