"""Gathers, here and beforehand, what the lent machine lacks, in parts that fit into a call each.

    python benchmarks/first_gpu/collect.py --data DIR --splits DIR [--table FILE.npz] [--state headline.zip]
        [--out .first_gpu] [--calls 3]

Wheels (wheels.py), CIFAR-10's training images as lossless mosaics (images.py; the test images stay: a table scores),
NAS-Bench-201's table and split file, and with --state what an earlier session's headline brought back; then only what
a search imports is carried. DIR of --data holds `cifar-10-batches-py`. The parts are .first_gpu/1, .first_gpu/2, ...:
README.md has the calls. What is made once is kept there and not made again.
"""

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

import images
import wheels
from parcel import MACHINE, Refused, cut, size, write

from benchbed.runtime import machine
from benchbed.tables import store
from benchbed.tasks.cifar10 import CIFAR10

ROOT = Path(__file__).resolve().parents[2]
MARGIN = 3 * 2**19  # bytes of a call that stay free: how the lender counts is not known to the byte


def tree_size(root: Path) -> int:
    """Bytes of the working tree that travel with every call: tracked or not ignored, and shared/ where it is there."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, capture_output=True, check=True).stdout.decode().split("\0")
    shared = (root / "shared").rglob("*") if (root / "shared").is_dir() else ()
    files = {root / name for name in names if name} | set(shared)
    return sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink())


def mosaics(data: Path, folder: Path, md5: dict[str, str]) -> dict[str, Path]:
    """The batches in `data`, packed into the folder where they are not yet; what is packed is unpacked and compared."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, published in md5.items():
        kept = {kind: folder / f"{name}.{kind}" for kind in ("webp", "rest")}
        if not all(path.exists() for path in kept.values()) or _md5_of(kept) != published:
            source = data / CIFAR10.folder / name
            if not source.is_file():
                raise Refused(f"{source} is not there: --data is the folder that holds {CIFAR10.folder}")
            batch = source.read_bytes()
            if hashlib.md5(batch).hexdigest() != published:
                raise Refused(f"{source} is not the published file: its MD5 is not {published}")
            print(f"packing {name} ...", flush=True)
            for kind, packed in images.packed(batch).items():
                write(kept[kind], packed)
            if _md5_of(kept) != published:
                raise Refused(f"{name}: what was packed is not what comes out")
        found |= {f"images/{path.name}": path for path in kept.values()}
    return found


def _md5_of(kept: dict[str, Path]) -> str:
    return hashlib.md5(images.restored(*(kept[kind].read_bytes() for kind in ("webp", "rest")))).hexdigest()


def gathered(given: argparse.Namespace) -> dict[str, Path]:
    """Everything by its name there, the images last: what a first call needs is in the first part."""
    lean = given.state is not None
    carried, trusted = wheels.collect(given.out / ("wheels-lean" if lean else "wheels"), lean)
    print(f"trusted to the versions there: {', '.join(trusted)}")
    table = store.path_of("nb201") if given.table is None else given.table
    said = given.out / "commit"  # no git is known to be there
    write(said, f"collected at commit {machine.commit()}\n".encode())
    others = {
        "commit": said,
        "home/tables/nb201.npz": table,
        "splits/cifar-split.txt": given.splits / "cifar-split.txt",
    }
    if lean:
        others["headline.zip"] = given.state
    for path in others.values():
        if not path.is_file():
            raise Refused(f"{path} is not there")
    found = {f"wheels/{path.name}": path for path in carried} | others
    return found | mosaics(given.data, given.out / "images", CIFAR10.train)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True, help="the folder of NAS-Bench-201's cifar-split.txt")
    parser.add_argument("--table", type=Path, help="the imported table (default: nb201 of BENCHBED_HOME)")
    parser.add_argument("--state", type=Path, help="headline.zip, which an earlier session's headline brought back")
    parser.add_argument("--out", type=Path, default=ROOT / ".first_gpu", help="(default .first_gpu of the checkout)")
    parser.add_argument("--calls", type=int, default=3, help="refuse what needs more of them (default 3)")
    given = parser.parse_args(arguments)
    try:
        files = gathered(given)
        tree = tree_size(ROOT)
        room = MACHINE["limits"]["carried"] - tree - MARGIN
        parts = cut(files, given.out, room, given.calls)
    except Refused as refusal:
        print(f"collect: {refusal}", file=sys.stderr)
        return 1
    for kind in dict.fromkeys(name.partition("/")[0] for name in files):
        mine = [path.stat().st_size for name, path in files.items() if name.partition("/")[0] == kind]
        print(f"{kind:14} {len(mine):3} file(s) {size(sum(mine)):>10}")
    print(f"{'checkout':14} {'':11} {size(tree):>10}, in every call")
    limit = size(MACHINE["limits"]["carried"])
    for part in parts:
        length = sum(path.stat().st_size for path in part.iterdir())
        print(f"{part}: {size(length)}, with the checkout {size(length + tree)} of {limit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
