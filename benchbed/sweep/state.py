"""What a sweep's folder holds: whose study it is, which runs are done, damaged or failed, and which are at work.

    study.json      the study: its id, its file's content, every run's id and place in the grid
    failures.jsonl  a line for each run that failed, appended
    RUN/, searches/ and scores/ are those of `run`

Everything is read from these files alone; a run is done when its record says so.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BenchbedError
from ..pipeline.many import Run, in_words, record_of
from ..pipeline.record import Record
from ..runtime.failures import Failure, failures
from ..runtime.files import make_folder, one_line, own_tag, write_atomic
from ..runtime.folder import read_json
from ..runtime.lock import Owner, held
from ..runtime.machine import versions
from .study import Study

FORMAT = 1
ANEW = "remove it, and start the sweep again: no run is lost"
STUDY_KEYS = ("format", "id", "name", "runs")


class Standing(NamedTuple):
    """How far a study is. records: of the runs that are done; damaged: id -> what is wrong; at_work: id -> by whom."""

    runs: list[dict[str, Any]]
    records: dict[str, Record]
    damaged: dict[str, str]
    failures: dict[str, Failure]
    at_work: dict[str, Owner]

    @property
    def searches_done(self) -> int:
        """Searches that have a finished run; of the runs' `search`."""
        return len({run["search"] for run in self.runs if run["id"] in self.records})


def claim(out: Path, study: Study, extend: bool = False) -> None:
    """Makes the folder this study's, or finds it so. Raises BenchbedError if it is another's.

    extend: a study that holds every run of the folder's own takes it over.
    """
    with one_line(out, "write to"):
        make_folder(out)
    path = out / "study.json"
    if path.exists():
        saved = read_study_file(out)
        if saved["id"] == study.id:
            return
        _compare(path, saved, study, extend)
    raw = {key: value for key, value in study.raw.items() if key != "origins"}
    own = {"format": FORMAT, "id": study.id, "name": study.name, "study": raw, "versions": versions()}
    own |= {"runs": saved_runs(study.runs)}
    write_atomic(path, (json.dumps(own, indent=1) + "\n").encode(), own_tag())  # shards begin together


def saved_runs(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The runs as study.json names them."""
    return [{"id": run.id, "search": run.search, "point": run.point} for run in runs]


def _compare(path: Path, saved: Mapping[str, Any], study: Study, extend: bool) -> None:
    """Raises BenchbedError that names the first difference, unless the study only adds runs and `extend`."""
    there, here = {run["id"]: run for run in saved["runs"]}, {run.id: run for run in study.runs}
    lost = [run for id_, run in there.items() if id_ not in here]
    more = [run for id_, run in here.items() if id_ not in there]
    if not lost and extend:
        return
    if not lost:
        raise BenchbedError(
            f"{path} is of a study with {len(there)} of these {len(here)} runs, without {more[0].id} "
            f"({in_words(more[0].point)}): give another --out, or --extend to add to it"
        )
    if not more:
        raise BenchbedError(
            f"{path} is of a study with {len(lost)} more runs than these {len(here)}, such as {lost[0]['id']} "
            f"({in_words(lost[0]['point'])}): give another --out, or the whole study"
        )
    raise BenchbedError(
        f"{path} is of another study, '{saved['name']}': its {lost[0]['id']} ({in_words(lost[0]['point'])}) is none of "
        f"this one's {len(here)} runs; give another --out, or the same settings, data and plug-ins"
    )


def read_study_file(out: Path) -> dict[str, Any]:
    """study.json of a sweep's folder. Raises BenchbedError if there is none, or it is damaged."""
    path = out / "study.json"
    if not path.exists():
        raise BenchbedError(f"{out} holds no study (no study.json): give the --out of a sweep that has begun")
    saved = read_json(path, STUDY_KEYS, ANEW)
    if saved["format"] != FORMAT:
        raise BenchbedError(f"{path} is of format {saved['format']!r}: this benchbed reads {FORMAT}")
    runs = saved["runs"]
    if not isinstance(runs, list) or not all(map(_whole, runs)):
        raise BenchbedError(f"{path} is damaged (its 'runs'): {ANEW}")
    return saved


def _whole(run: object) -> bool:
    """Whether a run in study.json is what `saved_runs` writes."""
    if not isinstance(run, dict) or not all(isinstance(run.get(key), str) for key in ("id", "search")):
        return False
    point = run.get("point")
    return "/" not in run["id"] and isinstance(point, dict) and {"searcher", "selector", "seed"} <= point.keys()


def standing(out: Path, runs: list[dict[str, Any]], look_for_work: bool = True) -> Standing:
    """How far the runs are, read from the folder; a damaged one is named and hides no other."""
    records: dict[str, Record] = {}
    damaged: dict[str, str] = {}
    at_work: dict[str, Owner] = {}
    for run in runs:
        path = out / run["id"]
        try:
            if (record := record_of(path)) is not None:
                records[run["id"]] = record
            elif look_for_work and (owner := held(path / ".lock")) is not None:
                at_work[run["id"]] = owner
        except BenchbedError as error:
            damaged[run["id"]] = str(error)
    ids = {run["id"] for run in runs}
    failed = {f.run: f for f in failures(out)[0] if f.run in ids and f.run not in records}
    return Standing(runs, records, damaged, failed, at_work)


def mixed_versions(records: Iterable[Record]) -> str | None:
    """One line that says which versions made how many runs, where there is more than one; else None."""
    made = [{**record.versions, "commit": (record.commit or "unknown")[:10]} for record in records]
    parts = []
    for name in dict.fromkeys(key for one in made for key in one):
        counts = Counter(str(one.get(name, "unknown")) for one in made)
        if len(counts) > 1:
            parts.append(f"{name} " + ", ".join(f"{value} ({n} runs)" for value, n in counts.most_common()))
    return f"records of different versions are mixed: {'; '.join(parts)}" if parts else None
