"""`table import`: recognises each source by what it holds, reads them into one draft, writes the table."""

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BenchbedError
from ..runtime.archives import damage, open_archive
from ..runtime.reading import opened
from . import store
from .from_csv import read_csv
from .from_json import read_by_cell, starts_by_cell
from .from_macro import read_macro, starts_macro
from .from_nats import META, Progress, open_nats, read_nats
from .from_pth import read_pth
from .from_upstream import LANDSCAPE, read_landscape, read_monet, read_seeds
from .notations import KEYS
from .table import Table
from .table_builder import Draft

# In the order of reading: those that know the official index come before those that need it.
KINDS = {
    "nats-folder": "NATS-Bench folder",
    "nats-file": "NATS-Bench file",
    "pth": "NAS-Bench-201 file",
    "csv": "CSV with a column of architectures",
    "landscape": "nats_bench.csv of v-tao/nats-bench-landscape",
    "monet": "NB201 scores of vilhess/MONET",
    "seeds": "per-seed arrays",
    "by-cell": "JSON with a number a cell",
    "macro": "NAS-Bench-Macro file",
}
_TORCH_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of torch.save before version 1.6
# Six digits in an official name are the last of the file's own MD5. NATS-Bench's names have five, of which no source
# says what they are, and a folder's are its archive's: nothing is checked there.
_HASH = re.compile(r".*-([0-9a-fA-F]{6})\.(pth|pickle\.pbz2)")


def import_table(
    paths: Sequence[Path],
    name: str,
    *,
    space: str | None = None,
    force: bool = False,
    verify: bool = True,
    partial: bool = False,
    notes: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
) -> Table:
    """Imports one table from one or several sources and opens it.

    `space`: whose architectures CSV files hold, NAS-Bench-201's by default; the benchmarks' own files know theirs,
    and CSV files beside NATS-Bench's are of the same.
    `force` replaces a table of that name, `verify=False` does not look at the MD5 in a file's name, `partial` admits a
    CSV file that lacks architectures, `notes` go in front of the importers' own. Raises BenchbedError, one line, for
    anything wrong; then nothing has been written.
    """
    target = free_path(name, force)
    twice = {p.name for p in paths if [q.name for q in paths].count(p.name) > 1}
    if twice or not paths:
        raise BenchbedError(f"two sources are named '{twice.pop()}'" if twice else "no source to import")
    kinds = {path: recognise(path) for path in paths}
    opened = {path: open_nats(path) for path, kind in kinds.items() if kind in ("nats-folder", "nats-file")}
    for path, kind in sorted(kinds.items(), key=lambda item: item[0] not in opened):
        own = opened[path].benchmark.space if path in opened else "macro" if kind == "macro" else "nb201"
        if kind != "csv" and space not in (None, own):
            raise BenchbedError(f"{path} is a {KINDS[kind]}, of space '{own}' and not of '{space}'")
        space = own if path in opened else space  # the other sources are of the same space, or are refused
    if "macro" in kinds.values():
        store.write(target, *_macro(paths, verify, notes))
        return Table.open(name)
    draft = Draft(space or "nb201")
    draft.notes += notes
    with closing(draft):
        for path in sorted(paths, key=lambda p: list(KINDS).index(kinds[p])):
            kind = kinds[path]
            sha256 = None if path.is_dir() else check_hash(path, verify)
            draft.sources.append({"kind": KINDS[kind], "name": path.name, "sha256": sha256})
            if path in opened:
                read_nats(opened.pop(path), draft, progress)  # a whole benchmark's content, let go of when it is read
            else:
                _reader(kind, partial, progress)(path, draft)
        store.write(target, *draft.finish())
    return Table.open(name)


def _macro(paths: Sequence[Path], verify: bool, notes: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """NAS-Bench-Macro is one file, and a table of a space of its own."""
    if len(paths) > 1:
        raise BenchbedError(f"{KINDS['macro']}: give it alone, it is a whole table ({len(paths)} sources given)")
    source = {"kind": KINDS["macro"], "name": paths[0].name, "sha256": check_hash(paths[0], verify)}
    return read_macro(paths[0], source, notes)


def free_path(name: str, force: bool) -> Path:
    """Where a table of this name will be written. Raises BenchbedError if the name is taken and not `force`."""
    target = store.path_of(name)
    if not force and (store.EMBEDDED / target.name).is_file() and not target.exists():
        raise BenchbedError(f"table '{name}' comes with benchbed: give another name, or --force to hide it by yours")
    if target.exists() and not force:
        raise BenchbedError(f"a table named '{name}' is there already: give another name, or --force to replace it")
    return target


def recognise(path: Path) -> str:
    """The kind of a source, one of KINDS, by its content. Raises BenchbedError if it is none or cannot be read."""
    if path.is_dir():
        if (path / META).is_file():
            return "nats-folder"
        raise BenchbedError(f"folder {path} is not a NATS-Bench folder (it holds no {META}): name the files in it")
    with opened(path) as file:
        head = file.read(4096)
    if head.startswith(b"PK"):
        return _archive(path)
    if head.startswith(_TORCH_LEGACY):
        return "pth"
    if head.startswith(b"BZh"):
        return "nats-file"
    if starts_macro(head):
        return "macro"
    if starts_by_cell(head):
        return "by-cell"
    columns = head.decode("utf-8-sig", errors="ignore").partition("\n")[0].rstrip("\r").replace('"', "").split(",")
    if set(KEYS) & set(columns):
        return "csv"
    if {"ArchitectureString", *LANDSCAPE} <= set(columns):
        return "landscape"
    if {"index", "num_param", "accuracy"} <= set(columns):
        return "monet"
    raise BenchbedError(
        f"{path} is not a source of a table: expected NAS-Bench-201's .pth, a NATS-Bench file or folder, "
        "a CSV file with a column arch, per-seed arrays in an .npz, NAS-Bench-Macro's .json, or a .json with a number "
        "a cell"
    )


def check_hash(path: Path, verify: bool) -> str:
    """The file's SHA-256. Raises BenchbedError if its name ends in six digits of an MD5 that it does not have."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with opened(path) as file:
        while block := file.read(1 << 20):
            md5.update(block)
            sha256.update(block)
    expected = _HASH.fullmatch(path.name)
    if verify and expected and not md5.hexdigest().endswith(expected[1].lower()):
        raise BenchbedError(f"{path}: its name says that its MD5 ends in {expected[1]}, but it is {md5.hexdigest()}: "
                            "fetch it again, or --no-verify to import it as it is")  # fmt: skip
    return sha256.hexdigest()


def _archive(path: Path) -> str:
    """The kind of a zip file."""
    try:
        with opened(path) as file, open_archive(file) as archive:
            names = archive.namelist()
    except BenchbedError:
        raise
    except Exception as error:  # a damaged archive can fail in any way
        raise BenchbedError(f"{path} is cut off or damaged ({damage(error)})") from None
    if any(name.endswith("/data.pkl") for name in names):
        return "pth"
    if "meta.npy" in names:
        raise BenchbedError(f"{path} is a table of benchbed's own: copy it to {store.home()}, or name the file itself")
    if names and all(name.endswith(".npy") for name in names):
        return "seeds"
    raise BenchbedError(f"{path} is a zip file that holds neither torch's nor numpy's data")


def _reader(kind: str, partial: bool, progress: Progress) -> Callable[[Path, Draft], None]:
    return {
        "pth": lambda path, draft: read_pth(path, draft, progress),
        "csv": lambda path, draft: read_csv(path, draft, partial),
        "landscape": read_landscape,
        "monet": read_monet,
        "seeds": read_seeds,
        "by-cell": read_by_cell,
    }[kind]
