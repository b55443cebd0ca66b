"""Forgeries of a finished run on a table, one place each: what was changed, and how to change it."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchbed.runtime.folder import load_checkpoint
from benchbed.tables import store


class Forgery(NamedTuple):
    """where: the file's kind and the place in it; make: changes the files of the run below a folder."""

    where: str
    make: Callable[[], None]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """(path, value) of everything in a tree of dicts and lists that is neither, empty ones included."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    found = False
    for key, one in inside:
        found = True
        yield from leaves(one, (*path, key))
    if not found:
        yield path, value


def forged(value: Any, rng: random.Random) -> Any:
    """Another value of the same kind, or nearly."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice([-1, 1, 2, 1000])
    if isinstance(value, float):
        return rng.choice([value + 1e-6, value * 0.9 + 0.1, -value - 1.0, np.nextafter(value, 1e9).item()])
    if isinstance(value, str):
        return rng.choice([value + "x", value[::-1] + "y", "other"]) if value else "x"
    if isinstance(value, torch.Tensor):
        changed = value.clone()
        flat = changed.reshape(-1)
        if not flat.numel():
            return torch.ones(1, dtype=value.dtype)
        at = rng.randrange(flat.numel())
        flat[at] = ~flat[at] if value.dtype == torch.bool else flat[at] + 1
        return changed
    if value is None:
        return rng.choice([1, "x", 0.5])
    return {"x": 1} if isinstance(value, dict) else [1]


def changed(tree: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    """A copy of the tree with one leaf changed, or taken away where it says more than nothing does."""
    new = copy.deepcopy(tree)
    parent: Any = new
    for key in path[:-1]:
        if isinstance(parent[key], tuple):
            parent[key] = list(parent[key])
        parent = parent[key]
    if not path:
        return forged(new, rng)
    if isinstance(parent, dict) and parent[path[-1]] not in (None, {}, []) and rng.random() < 0.15:
        del parent[path[-1]]
    else:
        parent[path[-1]] = forged(parent[path[-1]], rng)
    return new


def of_json(file: Path, what: str, rng: random.Random) -> Iterator[Forgery]:
    tree = json.loads(file.read_text())
    for path, _ in leaves(tree):
        new = changed(tree, path, rng)
        yield Forgery(f"{what}: {_dotted(path)}", lambda new=new: file.write_text(json.dumps(new)))


def of_lines(file: Path, what: str, rng: random.Random) -> Iterator[Forgery]:
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines):
        for path, _ in leaves(json.loads(line)):
            new = [*lines[:number], json.dumps(changed(json.loads(line), path, rng)), *lines[number + 1 :]]
            text = "\n".join(new) + "\n"
            yield Forgery(f"{what}: {_dotted(path)}", lambda text=text: file.write_text(text))
    for text in ("", "\n".join(lines[:-1]) + "\n", "\n".join([*lines, lines[-1]]) + "\n"):
        yield Forgery(f"{what}: lines", lambda text=text: file.write_text(text))


def of_checkpoint(file: Path, what: str, rng: random.Random) -> Iterator[Forgery]:
    tree = load_checkpoint(file)
    for path, _ in leaves(tree):
        new = changed(tree, path, rng)
        yield Forgery(f"{what}: {_dotted(path)}", lambda new=new: torch.save(new, file))


def of_table(file: Path, count: int, rng: random.Random) -> Iterator[Forgery]:
    """Values changed, exchanged, columns exchanged, metadata changed; the fingerprint as it was, or made to fit."""
    there = store.Arrays(file)
    meta, arrays = there.meta(), {name: there[name] for name in there}
    for _ in range(count):
        new, name = {key: value.copy() for key, value in arrays.items()}, rng.choice(sorted(arrays))
        flat = new[name].reshape(-1)
        one, other = rng.sample(range(flat.size), 2)
        if rng.random() < 0.5:
            flat[one] = np.nextafter(flat[one], 50.0) if flat.dtype.kind == "f" else flat[one] ^ 1
            how = "a value"
        else:
            flat[one], flat[other] = flat[other], flat[one]
            how = "two values exchanged"
        about = dict(meta)
        if rng.random() < 0.3:
            about["fingerprint"] = store.fingerprint("nb201", new)
            how += ", fingerprint made to fit"
        yield Forgery(f"table: {name}, {how}", lambda about=about, new=new: store.write(file, about, new))
    for path, _ in leaves(meta):
        about = changed(meta, path, rng)
        yield Forgery(f"table: metadata {_dotted(path)}", lambda about=about: store.write(file, about, arrays))


def of_source(file: Path, what: str, count: int, rng: random.Random) -> Iterator[Forgery]:
    """A number of the source changed, or a line added that changes nothing: another file all the same."""
    text = file.read_text()
    for number in range(count):
        another = text.replace("1.0", f"{1 + rng.random():.6f}", 1)
        new = another if number % 2 and another != text else f"{text}# {number}\n"
        yield Forgery(f"{what}: its source", lambda new=new: file.write_text(new))


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
