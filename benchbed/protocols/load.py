"""A protocol by name: everything that a run of a paper on a data set needs, each value with its source.

A file NAME.toml of this folder holds

    summary = "one line"
    paper = "Wang et al., ICLR 2021"             # or "ours"
    [for]                                        # refused elsewhere; a list that is left out takes anything
    spaces = [...]; tasks = [...]; searchers = [...]; selectors = [...]; objective = "supernet" | "table"
    [values]                                     # keys as in a configuration file: space, task, searcher, epochs, ...
    [values.supernet]                            # scoring, task_options, space_options and cost likewise
    [values.searchers.NAME]                      # options by plug-in, used where that one runs; selectors likewise
    [[case]]                                     # values where all of searcher, selector, space, task named here match
    searcher = "blank"                           # a name or a list of names; later cases win
    source = "..."                               # of the case's values; else those of [sources]
    [case.values]                                # as [values]
    [sources]                                    # a dotted key, or a prefix with .*, -> where the value is from
    [differs]                                    # what benchbed does otherwise than the paper, a sentence each

Every value has a source. Nothing heavy is imported: options are typed where a run is configured.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ..errors import BenchbedError, unknown
from ..runtime.files import read_toml
from ..typed import typed

FOLDER = Path(__file__).parent
SECTIONS = ("supernet", "scoring", "task_options", "space_options", "cost")
PLUGINS = {"searchers": "searcher", "selectors": "selector"}  # sections by plug-in -> the section of a configuration
PLAIN = (
    "space", "objective", "task", "seed", "seeds", "epochs", "steps", "fidelity", "figure", "table", "dataset",
    "searcher", "selector",
)  # fmt: skip
IN_CASES = ("epochs", "steps", "fidelity")  # plain keys that a case may set
KINDS = ("searcher", "selector", "space", "task")
Names = Mapping[str, tuple[str, ...]]  # by kind, what a run's plug-in answers to: its name, and one that it extends


class Value(NamedTuple):
    """A value of a protocol and where it is from."""

    value: object
    source: str


class Applies(BaseModel):
    """What a protocol is for; an empty tuple: anything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spaces: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    searchers: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    objective: Literal["supernet", "table"] = "supernet"


class Case(BaseModel):
    """Values that hold where every plug-in named is the run's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    searcher: str | tuple[str, ...] = ()
    selector: str | tuple[str, ...] = ()
    space: str | tuple[str, ...] = ()
    task: str | tuple[str, ...] = ()
    values: dict[str, Any]
    source: str | None = None

    def holds(self, names: Names) -> bool:
        wanted = {kind: _listed(getattr(self, kind)) for kind in KINDS}
        return all(set(names.get(kind, ())) & set(wanted[kind]) for kind in KINDS if wanted[kind])


class Protocol(BaseModel):
    """A protocol file, complete: see the module."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str = Field(min_length=1)
    paper: str = Field(min_length=1)
    applies: Applies  # the section [for]
    values: dict[str, Any]
    case: tuple[Case, ...] = ()
    sources: dict[str, Any]
    differs: dict[str, str] = {}

    @property
    def specific(self) -> bool:
        """Whether it names its searchers, spaces and tasks, and so may be taken without being asked for."""
        return bool(self.applies.searchers and self.applies.spaces and self.applies.tasks)

    @property
    def searches(self) -> bool:
        """Whether it describes a search; one that does not is of `train` alone."""
        return "epochs" in self.values

    def values_for(self, names: Names) -> dict[str, Value]:
        """The values of a run of these plug-ins, by dotted key as in a configuration: 'epochs', 'searcher.alpha_lr'."""
        found = {key: Value(value, self._source(raw)) for key, raw, value in _flat(self.values, names)}
        for case in self.case:
            if case.holds(names):
                flat = _flat(case.values, names)
                found |= {key: Value(value, case.source or self._source(raw)) for key, raw, value in flat}
        return found

    def misfit(self, names: Names, objective: str | None = None) -> str | None:
        """Why it is not for these, such as "space nb201, not 'darts'"; None where it is. A kind not named is not asked.

        names: by kind; a task is known by what stands before ':'.
        """
        a = self.applies
        if objective is not None and objective != a.objective:
            return f"objective {a.objective}, not '{objective}'"
        for kind in KINDS:
            known = getattr(a, f"{kind}s")
            if known and kind in names and not set(names[kind]) & set(known):
                return f"{kind} {', '.join(known)}, not '{names[kind][0]}'"
        return None

    def _source(self, raw: str) -> str:
        found = _source_in(_dotted(self.sources), raw)
        assert found is not None, raw  # `load` has looked
        return found


@cache
def load(name: str) -> Protocol:
    """The protocol `name`. Raises BenchbedError, one line, on an unknown name and on a file that is damaged."""
    if name not in (known := names()):
        raise unknown("protocol", name, known)
    return read(FOLDER / f"{name}.toml")


def names() -> list[str]:
    """The names of all protocols, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def protocols() -> list[Protocol]:
    """All protocols, by name."""
    return [load(name) for name in names()]


def read(file: Path) -> Protocol:
    """The protocol in a file. Raises BenchbedError, one line, for a missing or unknown key and a value unsourced."""
    raw, where = dict(read_toml(file)), f"protocol {file.stem}"
    if "for" not in raw or "applies" in raw:
        raise BenchbedError(f"{where}: the section [for] is missing, which says what it is for")
    found = typed(Protocol, {"name": file.stem, "applies": raw.pop("for"), **raw}, where)
    sources = _dotted(found.sources)
    if odd := [key for key, text in sources.items() if not isinstance(text, str) or not text.strip()]:
        raise BenchbedError(f"{where}: the source of '{odd[0]}' is not a text")
    for case in (None, *found.case):
        for key in _raw_keys(found.values if case is None else case.values, where):
            if case is not None and key in PLAIN and key not in IN_CASES:
                raise BenchbedError(f"{where}: a case sets '{key}': expected {', '.join(IN_CASES)} or a section")
            if not (case and case.source) and _source_in(sources, key) is None:
                raise BenchbedError(f"{where}: the value '{key}' has no source: add it to [sources]")
    return found


def _raw_keys(values: Mapping[str, Any], where: str) -> Iterator[str]:
    """The dotted keys of a section of values as written. Raises BenchbedError for one that no configuration has."""
    for key, value in values.items():
        if key not in (*PLAIN, *SECTIONS, *PLUGINS):
            raise unknown(f"key in the values of {where}:", key, (*PLAIN, *SECTIONS, *PLUGINS))
        if (key in PLAIN) == isinstance(value, dict):
            raise BenchbedError(
                f"{where}: '{key}' is {value!r:.60}: expected a {'value' if key in PLAIN else 'section'}"
            )
        for option, inner in value.items() if isinstance(value, dict) else ():
            if key in PLUGINS and not isinstance(inner, dict):
                raise BenchbedError(f"{where}: '{key}.{option}' is {inner!r:.60}: expected a section of options")
            yield from (f"{key}.{option}.{last}" for last in inner) if key in PLUGINS else (f"{key}.{option}",)
        if key in PLAIN:
            yield key


def _flat(values: Mapping[str, Any], of: Names) -> Iterator[tuple[str, str, Any]]:
    """(key of a configuration, key as written, value) of the values that bear on these plug-ins."""
    for key, value in values.items():
        if key in PLUGINS:
            for name in reversed(of.get(PLUGINS[key], ())):  # what a plug-in extends first, its own name over it
                for option, inner in value.get(name, {}).items():
                    yield f"{PLUGINS[key]}.{option}", f"{key}.{name}.{option}", inner
        elif isinstance(value, dict):
            yield from ((f"{key}.{option}", f"{key}.{option}", inner) for option, inner in value.items())
        else:
            yield key, key, value


def _source_in(sources: Mapping[str, str], key: str) -> str | None:
    """The source of exactly this key, else of its longest prefix with '.*', else of '*'."""
    parts = key.split(".")
    tried = [key, *(".".join(parts[:n]) + ".*" for n in range(len(parts) - 1, 0, -1)), "*"]
    return next((sources[t] for t in tried if t in sources), None)


def _dotted(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A tree of tables by dotted keys, whether they were written quoted or not."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _dotted(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return found


def _listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
