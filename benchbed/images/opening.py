"""Opens an image file of a stranger's: a regular file, of the formats that are asked for, and not too many pixels."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from ..errors import BenchbedError
from ..runtime.reading import opened

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # of `SUFFIXES`; no other decoder is begun
PIXELS = 64_000_000  # of one image, decoded whole; ImageNet's largest has 20 million
BYTES = 1 << 28  # of its file

# Pillow warns of an image of 89 million pixels, on stderr, and decodes it: ours is refused before, by its header.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@contextmanager
def image_in(path: Path) -> Iterator[Image.Image]:
    """The image, its header read; closed when the block ends.

    Raises BenchbedError for what is not a regular file, is of no such format or has too many pixels, and what Pillow
    makes of a damaged one.
    """
    with opened(path, BYTES) as file, _begun(file) as image:
        if image.width * image.height > PIXELS:
            size = f"{image.width:,}x{image.height:,}"
            raise BenchbedError(f"it is {size} pixels, and at most {PIXELS:,} are decoded")
        yield image


def _begun(file: IO[bytes]) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:  # it names Python's own file object
        raise BenchbedError(f"cannot identify it as {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from None


def why_unread(error: Exception, file: Path) -> str:
    """Why an image cannot be read, in a few words without its name."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = lines[0].removeprefix(f"cannot read {file}: ")  # first: `reason` would cut a long name's end
    return said.replace(repr(str(file)), "the file")[:200]
