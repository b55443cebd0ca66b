"""What `verify` holds beside each other: every leaf of a stage's files, but for those that nobody can make again."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from ..runtime.digest import bits
from ..runtime.folder import SNAPSHOTS, load_checkpoint
from ..runtime.reading import LIMITS, parse_line, read_text
from ..typed import whole_number

OF_ONE_TIME = ("seconds", "peak_memory_bytes", "segments", "started", "finished", "versions", "machine", "commit")
NAMES_ONLY = ("origins", "data", "splits", "protocol", "processes")  # of a configuration: none is part of its identity
NEVER = (  # what `verify` says that it cannot verify, a line each
    "seconds and memory, which are of one machine at one time",
    "format, segments, versions, machine, commit, finished: when and on what it was computed, as the run wrote it down",
    "config.origins, config.protocol, config.processes, config.data, config.splits, and names of tables: where "
    "settings and data came from; the settings and the data themselves are compared",
    "the search's config.json beyond the search: how `select` would score",
    "a table's metadata beside its figures: names of seeds, sources, notes",
)
MOST_SHOWN = 60  # characters of a value

Path_ = tuple[str, ...]


class _Nothing:
    """Of a leaf that a file does not have: an older version did not write it, or somebody took it away."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()


def never(path: Path_) -> bool:
    """Whether nobody can make again what stands at this place of a record, a configuration or a checkpoint."""
    if any(key in OF_ONE_TIME for key in path):
        return True
    if "config" in path and path[path.index("config") + 1 :][:1] in [(key,) for key in NAMES_ONLY]:
        return True
    return path[-2:] == ("table", "name") or path[-2:] == ("task_facts", "table")


def leaves(tree: object, path: Path_ = ()) -> Iterator[tuple[Path_, object]]:
    """(path, value) of whatever in a tree of dicts, lists and tuples is none of these, or empty; tensors as bytes."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(tree, list | tuple) and tree:
        yield (*path, "length"), len(tree)
        for number, value in enumerate(tree):
            yield from leaves(value, (*path, str(number)))
    else:
        yield path, (str(tree.dtype), tuple(tree.shape), bits(tree)) if isinstance(tree, Tensor) else tree


def apart(there: object, here: object, under: Path_ = ()) -> list[tuple[str, object, object]]:
    """(place, what was there, what came out now) of every leaf that differs, but for those that are `never`.

    A leaf that is None on one side and not there on the other does not differ.
    """
    a, b = dict(leaves(there, under)), dict(leaves(here, under))
    return [
        (".".join(path), a.get(path, NOTHING), b.get(path, NOTHING))
        for path in dict.fromkeys([*a, *b])
        if a.get(path) != b.get(path) and not never(path)
    ]


def both(there: object, here: object) -> str:
    """Two leaves that differ, in a few words."""
    a, b = _shown(there), _shown(here)
    return f"{a}, now {b}" if a != b else f"{a}, now another"


def _shown(value: object) -> str:
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[2], bytes):
        return f"a tensor {list(value[1])}"
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def snapshots_in(search: Path) -> tuple[int, ...]:
    """The epochs after which the search's state was kept."""
    numbers = (whole_number(file.stem.removeprefix("epoch-")) for file in (search / SNAPSHOTS).glob("epoch-*.pt"))
    return tuple(sorted(number for number in numbers if number))


def files_apart(there: Path, here: Path) -> Iterator[tuple[str, list[tuple[str, object, object]]]]:
    """(a file of a stage's folder, what differs in it as `apart` has it), beside those made again in `here`.

    Raises BenchbedError where a file cannot be read.
    """
    yield "history.jsonl", _histories_apart(there, here)
    names = ["checkpoint.pt", *(str(file.relative_to(there)) for file in sorted((there / SNAPSHOTS).glob("*.pt")))]
    for name in names:
        if not (here / name).exists():
            yield name, [("all of it", "a checkpoint", NOTHING)]
            continue
        saved, again = load_checkpoint(there / name), load_checkpoint(here / name)
        found = apart(saved["tree"], again["tree"])
        if name == "checkpoint.pt" and isinstance(saved["history"], str) and saved["history"] != _text(there):
            found.append(("history", saved["history"], "that of history.jsonl"))
        yield name, found


def _text(folder: Path) -> str:
    file = folder / "history.jsonl"
    return read_text(file, LIMITS.lines_bytes) if file.exists() else ""


def _histories_apart(there: Path, here: Path) -> list[tuple[str, object, object]]:
    """Of a history that is gone: that it says nothing."""
    if not (there / "history.jsonl").exists() and _text(here):
        return [("all of it", NOTHING, "a history")]
    old, new = _text(there).splitlines(), _text(here).splitlines()
    if len(old) != len(new):
        return [("lines", len(old), len(new))]
    found: list[tuple[str, object, object]] = []
    for number, (a, b) in enumerate(zip(old, new, strict=True), 1):
        try:
            raw = parse_line(a)
        except ValueError as error:
            return [(f"line {number}", str(error), "a line")]
        found += apart(raw, parse_line(b), (f"line {number}",))
    return found
