"""Zip files and numpy's arrays from outside: nothing is unpacked, or given memory, before its size is known to fit.

What is refused, in words: an archive with more members than any table has, or whose list of them is larger; a member
that stands twice, is encrypted, a link, or packed otherwise than stored or deflated; more bytes, unpacked, than a
factor of the file's own size; an array whose header does not agree with its bytes, or that holds objects, records or
numbers of the other byte order.
"""

import io
import math
import stat
import warnings
import zipfile
from collections import Counter
from typing import Any  # the streams: a file, a file in memory, or a member of an archive

import numpy as np

from .reading import Unfit, reason

MEMBERS = 20_000
LISTED = 4 << 20  # bytes of an archive's own list of its members: a hundred a member
FACTOR, FLOOR = 20, 64 << 20  # unpacked: so many times the file's size, and so much in any case
HEADER = 10_000  # letters of an array's header, as numpy has it
TEXT = 8 << 20  # bytes of a member that is one JSON text
_BLOCK = 1 << 20


class _Listing:
    """The archive's file; as long as its list of members is read, no call of `read` gives more than `LISTED`."""

    def __init__(self, file: Any) -> None:
        self._file, self.listing = file, True

    def read(self, count: int = -1) -> bytes:
        if self.listing and count > LISTED:
            raise Unfit(f"its list of members has {count:,} bytes, and at most {LISTED:,} are read")
        data: bytes = self._file.read(LISTED if self.listing and count < 0 else count)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def open_archive(file: Any, only_stored: bool = False) -> zipfile.ZipFile:
    """The zip file in an open file, its list of members read and found fit; closing it leaves `file` open.

    only_stored: members that are packed are refused too, as torch's archives have none. Raises Unfit, or whatever
    `zipfile` makes of a damaged archive.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    listing = _Listing(file)
    archive = zipfile.ZipFile(listing)
    listing.listing = False
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise Unfit(f"it has {len(members):,} members, and at most {MEMBERS:,} are read")
    name, count = max(Counter(member.filename for member in members).items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        raise Unfit(f"the member {name[:60]!r} appears twice")
    for member in members:
        _refuse_member(member, only_stored)
    if sum(member.compress_size for member in members) > size:
        raise Unfit("its members overlap")
    most, unpacked = max(FLOOR, FACTOR * size), sum(member.file_size for member in members)
    if unpacked > most:
        raise Unfit(f"it would unpack to {unpacked:,} bytes, and at most {most:,} are read")
    return archive


def _refuse_member(member: zipfile.ZipInfo, only_stored: bool) -> None:
    what = f"the member {member.filename[:60]!r}"
    if member.flag_bits & 0x1:
        raise Unfit(f"{what} is encrypted")
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or member.is_dir():
        raise Unfit(f"{what} is a link or a folder, not a file")
    known = (zipfile.ZIP_STORED,) if only_stored else (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if member.compress_type not in known:
        raise Unfit(f"{what} is packed by method {member.compress_type}, which is not read")
    if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
        raise Unfit(f"{what} has two different sizes")


def check_torch_archive(file: Any) -> None:
    """Looks at a zip file that torch is to load, checksums too. Raises as `open_archive` does, BadZipFile too."""
    with open_archive(file, only_stored=True) as archive:
        if (bad := archive.testzip()) is not None:  # torch does not look at the checksums that it writes
            raise zipfile.BadZipFile(f"the checksum of {bad[:60]} does not match")
    file.seek(0)


def is_archive(file: Any) -> bool:
    """Whether an open file begins as a zip file does."""
    file.seek(0)
    begins = file.read(4)
    file.seek(0)
    return begins in (b"PK\x03\x04", b"PK\x05\x06")


# -- numpy's arrays ----------------------------------------------------------------------------------------------------


def array_header(stream: Any, kinds: str = "biuf") -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """(shape, whether in Fortran's order, type, bytes of the content) by the header of an .npy, which is read past.

    kinds: of the types, as numpy codes them, that may be; 'S' are texts. Raises Unfit or ValueError for any other.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise Unfit(f"an array of numpy's format {version[0]}.{version[1]}, expected 1.0 or 2.0")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():  # numpy mends headers of Python 2, and says so
        warnings.simplefilter("ignore")
        try:
            shape, fortran, kind = read(stream, max_header_size=HEADER)
        except (RecursionError, MemoryError, SyntaxError, TypeError, KeyError, OverflowError) as error:
            raise Unfit(f"an array's header cannot be read ({type(error).__name__})") from None
    if kind.hasobject:
        raise Unfit("it holds pickled objects, not numbers")
    if kind.kind not in kinds or kind.itemsize == 0 or kind.fields is not None:
        raise Unfit(f"it holds {str(kind)[:40]}, not numbers")
    if not kind.isnative:
        raise Unfit(f"its numbers are of the other byte order ({kind.str}): write them with .astype('{kind.str[1:]}')")
    if any(length < 0 for length in shape) or len(shape) > 32:
        raise Unfit(f"its shape is {str(shape)[:60]}")
    return shape, fortran, kind, math.prod(shape) * kind.itemsize


def read_array(archive: zipfile.ZipFile, name: str, kinds: str = "biuf", most: int | None = None) -> np.ndarray:
    """The array of a member of an archive that `open_archive` has looked at. Raises as `array_header` does, Unfit where
    its bytes are not what the header says, and what `zipfile` raises for damage."""
    info = archive.getinfo(name)
    with archive.open(info) as member:
        shape, fortran, kind, size = array_header(member, kinds)
        held = info.file_size - member.tell()
        if held != size:
            raise Unfit(f"{name.removesuffix('.npy')} has {held:,} bytes where its header says {size:,}")
        if most is not None and size > most:
            raise Unfit(f"{name.removesuffix('.npy')} has {size:,} bytes, and at most {most:,} are read")
        content = bytearray(size)
        at = 0
        while block := member.read(_BLOCK):  # to the end, where the checksum is compared
            if at + len(block) > size:
                raise Unfit(f"{name.removesuffix('.npy')} unpacks to more than its header says")
            content[at : at + len(block)] = block
            at += len(block)
        if at < size:
            raise Unfit(f"{name.removesuffix('.npy')} ends after {at:,} of {size:,} bytes")
    found: np.ndarray = np.frombuffer(content, dtype=kind).reshape(shape, order="F" if fortran else "C")
    return found


def read_json_array(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a member that holds a text as numbers from 0 to 255. Raises as `read_array` does."""
    found = read_array(archive, name, "u", most=TEXT)
    if found.dtype != np.uint8 or found.ndim != 1:
        raise Unfit(f"{name.removesuffix('.npy')} holds {found.dtype} {found.shape}, expected bytes")
    return found.tobytes()


def damage(error: BaseException) -> str:
    """What is wrong with an archive, in a few words, by the error that reading it raised."""
    if isinstance(error, MemoryError | RecursionError):
        return "it asks for more memory than it may have"
    return reason(error)


