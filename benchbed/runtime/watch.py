"""Whoever wants to see each line of a history as it is written, such as an experiment tracker."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

Told = Callable[[Path, Mapping[str, Any]], None]
Finish = Callable[[Mapping[str, Any]], None]  # takes the record, once

_watchers: list[Told] = []


@runtime_checkable
class Track(Protocol):
    """What follows runs and trainings from their beginning to their record; `names`: of the trackers in it."""

    names: tuple[str, ...]
    maker: str  # in place of `pipeline.many.make` in a worker, which follows what it makes

    def __call__(self, folder: Path, config: Mapping[str, Any], search: Path | None) -> AbstractContextManager[Finish]:
        """Follows the run in `folder`, and its search in `search`."""
        ...


@contextmanager
def watching(told: Told) -> Iterator[None]:
    """Within it, `told` is called with the folder and the line of each history that this process writes."""
    _watchers.append(told)
    try:
        yield
    finally:
        _watchers.remove(told)


def tell(folder: Path, line: Mapping[str, Any]) -> None:
    for told in tuple(_watchers):
        told(folder, line)
