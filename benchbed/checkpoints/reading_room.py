"""Reads a checkpoint from elsewhere in a process of its own, with limits on its memory, its time and what it writes.

The process gets the file's bytes on its stdin, so that what it reads is what was hashed, and gives back an archive of
plain arrays, which is read as any stranger's archive is: whatever the file did to that process stays in it.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

from ..errors import BenchbedError
from ..runtime.archives import damage, open_archive, read_array, read_json_array
from ..runtime.pickles import SPARE, address_space
from ..runtime.reading import parse_json, read_bytes
from .source import Foreign, ForeignConfig, parsed

LARGEST = 1 << 28  # bytes of a checkpoint; with Adam's state, C=16 and N=5, they have 20 MB
SECONDS = 60  # of one processor; a whole one takes 3
_ROOT = Path(__file__).resolve().parents[2]
_last: dict[tuple[str, str], Foreign] = {}  # a selection reads its file twice: to check it, and to take it over


def read(path: Path) -> Foreign:
    """The checkpoint. Raises BenchbedError as `source.parsed` does, and where reading it takes more than it may."""
    content = read_bytes(path, LARGEST)
    key = str(path.absolute()), hashlib.sha256(content).hexdigest()
    if key not in _last:
        found = in_child(path, content, key[1])
        _last.clear()
        _last[key] = found
    return _last[key]


def in_child(path: Path, content: bytes, sha256: str) -> Foreign:
    """What `source.parsed` says of the content, by a process that ends with it. Raises BenchbedError as `read` does."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __name__, str(path), sha256]
    try:
        done = subprocess.run(command, input=content, capture_output=True, env=environment, timeout=2 * SECONDS)
    except subprocess.TimeoutExpired:
        raise BenchbedError(f"{path} cannot be read: it took more than {2 * SECONDS} s") from None
    if done.returncode != 0:
        raise BenchbedError(
            f"{path} cannot be read: the process that did ended with status {done.returncode}, it asks for more than "
            f"{SECONDS} s or {(SPARE + 3 * len(content)) >> 20:,} MB, or it is damaged"
        )
    return _unpacked(path, done.stdout)


def _unpacked(path: Path, answer: bytes) -> Foreign:
    try:
        with open_archive(io.BytesIO(answer), only_stored=True) as archive:
            meta = parse_json(read_json_array(archive, "meta.npy"))
            if "error" in meta:
                raise BenchbedError(str(meta["error"]))
            names = [name.removesuffix(".npy") for name in archive.namelist() if name != "meta.npy"]
            arrays = {name: torch.from_numpy(read_array(archive, f"{name}.npy", "f")) for name in names}
        below: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "adam": {}}
        for name, value in arrays.items():
            if "/" in name:
                folder, _, own = name.partition("/")
                below[folder][own] = value
        return Foreign(ForeignConfig(**meta["config"]), below["weights"], arrays["alpha"], below["adam"] or None)
    except BenchbedError:
        raise
    except Exception as error:  # whatever the process has written
        raise BenchbedError(f"{path} cannot be read ({damage(error)})") from None


# -- in the process of its own -----------------------------------------------------------------------------------------


def answer(path: Path, content: bytes, sha256: str) -> bytes:
    """The archive that `_unpacked` reads: 'meta', JSON, and the tensors as float32; or an error alone."""
    arrays: dict[str, np.ndarray] = {}
    meta: dict[str, object] = {}
    try:
        found = parsed(path, content, sha256)
        named = {f"weights/{name}": value for name, value in found.weights.items()}
        named |= {"alpha": found.alpha, **{f"adam/{name}": value for name, value in (found.adam or {}).items()}}
        arrays = {name: value.detach().float().contiguous().numpy() for name, value in named.items()}
        meta = {"config": found.config.model_dump()}
    except BenchbedError as error:
        meta = {"error": str(error)}
    except (MemoryError, RuntimeError) as error:  # a tensor that is small in the file and large in memory
        meta = {"error": f"{path} is damaged or no checkpoint of torch ({damage(error)})"}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays}.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def _limit(size: int) -> None:
    """Holds this process to what a checkpoint of so many bytes may take, where the system can."""
    now = address_space()
    if sys.platform == "win32" or now is None:
        return
    import resource

    for what, most in (
        (resource.RLIMIT_AS, now + SPARE + 3 * size),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def main() -> None:
    """Answers, on stdout, what stdin holds; arguments: the file's name, for refusals, and its SHA-256."""
    torch.set_num_threads(1)
    content = sys.stdin.buffer.read(LARGEST + 1)
    _limit(len(content))
    sys.stdout.buffer.write(answer(Path(sys.argv[1]), content, sys.argv[2]))


if __name__ == "__main__":
    main()
