"""A published batch of CIFAR-10 as a lossless WebP mosaic and the bytes around its images, and back byte for byte.

A batch is a pickle that holds n images, uint8 (n, 3, 32, 32), as one run of bytes. The mosaic has them in rows; what
stands before and after them (labels, file names) is compressed beside it. 31 MB become 17.
"""

import gzip
import io
import math
import sys
from pathlib import Path

import numpy as np
from parcel import write
from PIL import Image

SIDE = 32
IMAGE = 3 * SIDE * SIDE  # bytes
SIZES = b"T", b"B"  # of a pickled string of bytes: BINSTRING (protocol 2, as published) and BINBYTES, 4 bytes of length


def found(batch: bytes) -> tuple[int, int]:
    """Where the images begin in a pickled batch, and how many there are. Raises ValueError where they are not found."""
    for code in SIZES:
        start = -1
        while (start := batch.find(code, start + 1)) >= 0:
            length = int.from_bytes(batch[start + 1 : start + 5], "little")
            if length >= IMAGE and length % IMAGE == 0 and start + 5 + length <= len(batch):
                return start + 5, length // IMAGE
    raise ValueError("no images of 3x32x32 bytes in one piece are found in it")


def columns(count: int) -> int:
    return math.isqrt(count - 1) + 1


def packed(batch: bytes, quality: int = 90) -> dict[str, bytes]:
    """'webp': the mosaic; 'rest': all else. Raises ValueError where no image is found.

    quality: WebP's effort, 0 to 100; the pixels are the same. At 100 a batch takes 125 s and is 0.2 % smaller.
    """
    start, count = found(batch)
    wide = columns(count)
    high = -(-count // wide)
    pixels = np.zeros((high * wide, 3, SIDE, SIDE), np.uint8)
    pixels[:count] = np.frombuffer(batch, np.uint8, count * IMAGE, start).reshape(count, 3, SIDE, SIDE)
    mosaic = pixels.reshape(high, wide, 3, SIDE, SIDE).transpose(0, 3, 1, 4, 2).reshape(high * SIDE, wide * SIDE, 3)
    kept = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(mosaic)).save(kept, "webp", lossless=True, quality=quality, method=6)
    head = start.to_bytes(4, "big") + count.to_bytes(4, "big")
    rest = gzip.compress(head + batch[:start] + batch[start + count * IMAGE :], mtime=0)
    return {"webp": kept.getvalue(), "rest": rest}


def restored(webp: bytes, rest: bytes) -> bytes:
    """The batch that `packed` was given."""
    plain = gzip.decompress(rest)
    start, count = (int.from_bytes(plain[i : i + 4], "big") for i in (0, 4))
    mosaic = np.asarray(Image.open(io.BytesIO(webp)).convert("RGB"))
    high, wide = mosaic.shape[0] // SIDE, mosaic.shape[1] // SIDE
    pixels = mosaic.reshape(high, SIDE, wide, SIDE, 3).transpose(0, 2, 4, 1, 3).reshape(high * wide, IMAGE)
    return plain[8 : 8 + start] + pixels[:count].tobytes() + plain[8 + start :]


# -- on the lent machine -------------------------------------------------------------------------------------------

FOLDER = "cifar-10-batches-py"
NAMES = tuple(f"data_batch_{k}" for k in range(1, 6))


def place(store: Path, stand_in: bool) -> str:
    """Writes the batches of `store`/images to `store`/data; what was done. benchbed checks MD5s when it reads them.

    stand_in: to `store`/stand-in, where those that have not come are copies of those that have: the right number of
    images, for times and for no figure. The test images, which no table needs, are an empty file. Raises SystemExit
    in one line where a batch is missing (of a stand-in: each).
    """
    whole = [name for name in NAMES if all((store / "images" / f"{name}.{kind}").exists() for kind in ("webp", "rest"))]
    if not whole or (len(whole) < len(NAMES) and not stand_in):
        missing = [name for name in NAMES if name not in whole]
        sys.exit(f"{', '.join(missing)} did not come: carry the next part")
    folder = store / ("stand-in" if stand_in else "data") / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(NAMES):
        source = store / "images" / whole[number % len(whole)]
        if not (folder / name).exists():
            write(folder / name, restored(*(source.with_suffix(f".{kind}").read_bytes() for kind in ("webp", "rest"))))
    (folder / "test_batch").touch()
    return f"{folder}: {len(whole)} of {len(NAMES)} batches have come"


if __name__ == "__main__":
    print(place(Path(sys.argv[1]), "--stand-in" in sys.argv))
