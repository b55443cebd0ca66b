"""What travels: a stream of files cut into parts that fit into a call, and an archive that fits into what comes back.

Of the standard library alone: it runs on the lent machine before anything is installed there.
"""

import hashlib
import json
import os
import shutil
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MACHINE: dict[str, Any] = tomllib.loads((HERE / "machine.toml").read_text())
BACK: int = MACHINE["limits"]["back"]
MANIFEST, CHUNK = "manifest.json", "chunk"
MIB = 2**20


class Refused(Exception):
    """One line that says what does not fit, or is not what was sent."""


def size(count: int) -> str:
    return f"{count / MIB:.1f} MiB" if count >= MIB / 10 else f"{count:,} bytes"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- there ---------------------------------------------------------------------------------------------------------


def cut(files: Mapping[str, Path], out: Path, room: int, most: int) -> list[Path]:
    """The files, in their order, as one stream in `out`/1, `out`/2, ...: as few folders as fit, of one size.

    room: bytes of a folder at most. Every folder says what is in the whole stream. Raises Refused, with nothing
    written, where more than `most` folders would be needed.
    """
    lengths = {name: path.stat().st_size for name, path in files.items()}
    slack = 1024 + sum(len(json.dumps(name)) + 120 for name in files)  # the manifest
    total, each = sum(lengths.values()), room - slack
    if each <= 0 or total > each * most:
        room_of_each = size(max(each, 0))
        raise Refused(
            f"{size(total)} in {len(files)} files do not fit into {most} call(s) with room for {room_of_each}"
        )
    each = -(-total // max(1, -(-total // each)))
    data = b"".join(path.read_bytes() for path in files.values())
    held, start = [], 0
    for name, length in lengths.items():
        held.append({"name": name, "start": start, "size": length, "sha256": sha256(data[start : start + length])})
        start += length
    chunks = [data[i : i + each] for i in range(0, total, max(each, 1))] or [b""]
    for left in out.glob("[0-9]*"):
        shutil.rmtree(left)
    made = []
    for number, chunk in enumerate(chunks, 1):
        folder = out / str(number)
        folder.mkdir(parents=True)
        (folder / CHUNK).write_bytes(chunk)
        said = {"part": number, "start": each * (number - 1), "sha256": sha256(chunk), "files": held}
        (folder / MANIFEST).write_text(json.dumps(said))
        made.append(folder)
    return made


def receive(part: Path, store: Path) -> list[str]:
    """Adds the part to the stream in `store`, and writes out what is whole of it by now; the names of all that is.

    A part that is there already is left. Raises Refused for a part that is damaged, or that comes before its time.
    """
    said = json.loads((part / MANIFEST).read_text())
    chunk = (part / CHUNK).read_bytes()
    if sha256(chunk) != said["sha256"]:
        raise Refused(f"{part} is damaged: the SHA-256 of its {CHUNK} is not that of its {MANIFEST}")
    store.mkdir(parents=True, exist_ok=True)
    stream = store / "stream"
    length = stream.stat().st_size if stream.exists() else 0
    if length < said["start"]:
        raise Refused(f"{part} is part {said['part']}, and the {said['part'] - 1} before have not all come to {store}")
    end = said["start"] + len(chunk)
    if length < end:  # also where a call was killed while it wrote
        with open(stream, "r+b" if stream.exists() else "wb") as file:
            file.seek(said["start"])
            file.write(chunk)
        length = end
    whole = []
    with open(stream, "rb") as file:
        for one in said["files"]:
            if one["start"] + one["size"] > length:
                continue
            whole.append(one["name"])
            place = store / one["name"]
            if place.exists():
                continue
            file.seek(one["start"])
            data = file.read(one["size"])
            if sha256(data) != one["sha256"]:
                raise Refused(f"{one['name']} is damaged: {stream} is of another parcel, remove {store}")
            place.parent.mkdir(parents=True, exist_ok=True)
            write(place, data)
    return whole


# -- and back ------------------------------------------------------------------------------------------------------


def write(path: Path, data: bytes) -> None:
    """All of it or nothing: the command may be killed at any moment."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    os.replace(new, path)


def archive(out: Path, files: Mapping[str, Path], rest: Iterable[str] = (), limit: int = BACK) -> list[str]:
    """A zip file of the files at `out`, of at most `limit` bytes; what was left out of it.

    Those in `rest` are left out where they do not fit, the last first. Raises Refused, and leaves what is at `out`,
    where the others do not fit either.
    """
    optional, left = [name for name in rest if name in files], []
    while True:
        new = out.with_name(f".{out.name}.new")
        with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as made:
            for name, path in files.items():
                if name not in left and path.is_file():
                    made.write(path, name)
        length = new.stat().st_size
        if length <= limit:
            os.replace(new, out)
            return left
        if not optional:
            new.unlink()
            raise Refused(f"{out.name} would have {size(length)}: {size(limit)} come back")
        left.append(optional.pop())


if __name__ == "__main__":  # python parcel.py PART STORE, on the lent machine
    import sys

    try:
        come = receive(Path(sys.argv[1]), Path(sys.argv[2]))
    except (Refused, OSError, ValueError, KeyError) as error:
        sys.exit(f"parcel: {error}")
    print(f"{len(come)} files are whole: the last is {come[-1] if come else 'none'}")
