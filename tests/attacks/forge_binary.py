"""Hostile archives, arrays, pickles and images, made here byte by byte; none is from elsewhere."""

import bz2
import io
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def header(text: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An .npy whose header is any text."""
    length = struct.pack("<H", len(text)) if version == b"\x01\x00" else struct.pack("<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode() + content


def said(descr: object, shape: object, content: bytes = b"") -> bytes:
    return header(f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n", content)


def archive(members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in members:
            made.writestr(name, content)
    return file.getvalue()


ARRAYS: dict[str, Callable[[], bytes]] = {
    "objects": lambda: npy(np.array([{"a": 1}], dtype=object)),
    "objects-said": lambda: said("|O", (1,), b"cos\nsystem\n(S'true'\ntR."),
    "record": lambda: npy(np.zeros(3, dtype=[("a", "f8"), ("b", "O")])),
    "plain-record": lambda: npy(np.zeros(3, dtype=[("a", "f8")])),
    "big-endian": lambda: npy(np.zeros(3, dtype=">f8")),
    "big-endian-integers": lambda: npy(np.zeros(3, dtype=">i4")),
    "complex": lambda: npy(np.zeros(3, dtype=complex)),
    "texts": lambda: npy(np.array(["a", "b"])),
    "dates": lambda: npy(np.array(["2026-01-01"], dtype="M8[D]")),
    "void": lambda: npy(np.zeros(3, dtype="V5")),
    "empty-type": lambda: said("|S0", (10**12,)),
    "terabyte": lambda: said("<f8", (10**11,)),
    "terabyte-bytes": lambda: said("|u1", (10**12,)),
    "overflow": lambda: said("<f8", (2**62, 2**62)),
    "negative-shape": lambda: said("<f8", (-1,), b"\0" * 8),
    "two-negatives": lambda: said("<f8", (-2, -2), b"\0" * 32),
    "no-integers": lambda: said("<f8", (1.5,), b"\0" * 12),
    "truth": lambda: said("<f8", (True,), b"\0" * 8),
    "40-axes": lambda: said("<f8", (1,) * 40, b"\0" * 8),
    "70-axes": lambda: said("<f8", (1,) * 70, b"\0" * 8),
    "too-few-bytes": lambda: npy(np.zeros(30))[:-8],
    "too-many-bytes": lambda: npy(np.zeros(30)) + b"\0" * 8,
    "unknown-type": lambda: said("<q9", (1,), b"\0" * 8),
    "type-of-commas": lambda: said("f8,f8", (1,), b"\0" * 16),
    "giant-item": lambda: said("|S1000000000", (1000,)),
    "python-2": lambda: header("{'descr': '<f8', 'fortran_order': False, 'shape': (10L,), }\n", b"\0" * 8),
    "header-no-dict": lambda: header("[1, 2]\n"),
    "header-code": lambda: header("__import__('os').system('true')\n"),
    "header-deep": lambda: header("(" * 9000 + "\n"),
    "header-signs": lambda: header("-" * 9000 + "1\n"),
    "header-long": lambda: header("{'descr': '<f8'" + " " * 60_000 + "}\n"),
    "header-cut": lambda: b"\x93NUMPY\x01\x00\xff\xff{",
    "header-4-GB": lambda: b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{",
    "version-3": lambda: header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", b"\0" * 8, b"\x03\x00"),
    "version-9": lambda: header("{}", b"", b"\x09\x09"),
    "no-magic": lambda: b"NUMPY" * 10,
    "empty": lambda: b"",
    "pickle": lambda: pickle.dumps([1, 2, 3]),
}


def stored(content: bytes, name: str = "images.npy", **changed: int) -> bytes:
    """A zip file of one member, each field of its headers as given: flags, method, size, held (packed), mode, crc."""
    f = {"flags": 0, "method": 0, "size": len(content), "held": len(content), "mode": 0, "crc": zlib.crc32(content)}
    f |= changed
    raw = name.encode()
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, f["flags"], f["method"], 0, 33, f["crc"], f["held"], f["size"],
                        len(raw), 0)  # fmt: skip
    central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0x314, 20, f["flags"], f["method"], 0, 33, f["crc"],
                          f["held"], f["size"], len(raw), 0, 0, 0, 0, f["mode"] << 16, 0)  # fmt: skip
    body = local + raw + content
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(central) + len(raw), len(body), 0)
    return body + central + raw + end


def zip_constructs(good: dict[str, bytes]) -> dict[str, Callable[[], bytes]]:
    """By name, archives of which no reader may take one; good: the members of a file that its reader takes."""
    names = list(good)
    first, content = names[-1], good[names[-1]]
    whole = archive(good.items())

    def bomb() -> bytes:
        packed = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = b"".join(packed.compress(b"\0" * (1 << 20)) for _ in range(1500)) + packed.flush()
        return stored(data, first, method=8, size=1500 << 20)

    def liar(size: int) -> bytes:
        packed = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = b"".join(packed.compress(b"\0" * (1 << 20)) for _ in range(300)) + packed.flush()
        return stored(data, first, method=8, size=size)

    def many(count: int) -> bytes:
        return archive((f"m{i}.npy", b"") for i in range(count))

    return {
        "empty": lambda: b"PK\5\6" + b"\0" * 18,
        "begins-alone": lambda: b"PK\3\4" + b"\0" * 100,
        "truncated": lambda: whole[: len(whole) // 2],
        "end-missing": lambda: whole[:-22],
        "end-cut": lambda: whole[:-10],
        "twice": lambda: archive([*good.items(), (first, content)]),
        "encrypted": lambda: stored(content, first, flags=1),
        "strong-encryption": lambda: stored(content, first, flags=0x41),
        "bzip2": lambda: archive(good.items(), zipfile.ZIP_BZIP2),
        "lzma": lambda: archive(good.items(), zipfile.ZIP_LZMA),
        "method-99": lambda: stored(content, first, method=99),
        "link": lambda: stored(b"/etc/passwd", first, mode=0o120777),
        "device": lambda: stored(content, first, mode=0o020666),
        "folder": lambda: stored(b"", f"{first}/", mode=0o040755),
        "bomb": bomb,
        "bomb-that-says-little": lambda: liar(100),
        "bomb-that-says-much": lambda: liar(60 << 20),
        "size-too-large": lambda: stored(content, first, size=len(content) + 5),
        "size-too-small": lambda: stored(content, first, size=max(len(content) - 5, 0)),
        "4-GB-said": lambda: stored(content, first, size=2**32 - 2, held=2**32 - 2),
        "checksum": lambda: stored(content, first, crc=1),
        "30000-members": lambda: many(30_000),
        "name-climbs": lambda: archive([("../" + first, content)]),
        "name-null": lambda: archive([(first.replace(".", "\0."), content)]),
        "list-of-members-cut": lambda: whole[:-60] + whole[-22:],
        "other-members": lambda: archive([("a.txt", b"a"), ("b.txt", b"b")]),
        "noise": lambda: b"PK\3\4" + np.random.default_rng(0).bytes(20_000),
    }


# -- pickles -----------------------------------------------------------------------------------------------------------


def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def named(module: str, name: str, arguments: bytes = b"(S'true'\nt") -> bytes:
    return f"c{module}\n{name}\n".encode() + arguments + b"R."


PICKLES: dict[str, Callable[[], bytes]] = {
    "system": lambda: named("os", "system"),
    "posix": lambda: named("posix", "system"),
    "eval": lambda: named("builtins", "eval"),
    "exec-2": lambda: named("__builtin__", "exec"),
    "getattr": lambda: named("builtins", "getattr"),
    "subprocess": lambda: named("subprocess", "check_output"),
    "numpy-load": lambda: named("numpy", "load"),
    "runstring": lambda: named("numpy.testing._private.utils", "runstring"),
    "dotted": lambda: opcodes(b"\x8c\x08builtins\x8c\x0bstr.__add__\x93"),
    "instance": lambda: b"(S'true'\nios\nsystem\n.",
    "new-object": lambda: opcodes(b"cos\nPathLike\n)\x81"),
    "build": lambda: opcodes(b"cbuiltins\nobject\n)R}b"),
    "persistent": lambda: b"Pabc\n.",
    "persistent-binary": lambda: opcodes(b"K\1Q"),
    "extension": lambda: opcodes(b"\x82\x01"),
    "memo-of-gigabytes": lambda: opcodes(b"]r\xff\xff\xff\x7f"),
    "memo-of-8-gigabytes": lambda: opcodes(b"]r\x00\x00\x00\x40"),
    "memo-text": lambda: b"]p99999999999\n.",
    "memo-missing": lambda: opcodes(b"h\x09"),
    "bytes-of-terabytes": lambda: opcodes(b"\x8e" + struct.pack("<Q", 1 << 42)),
    "bytes-of-gigabytes": lambda: opcodes(b"B" + struct.pack("<I", 0xF0000000)),
    "text-of-terabytes": lambda: opcodes(b"\x8d" + struct.pack("<Q", 1 << 42)),
    "bytearray-of-terabytes": lambda: b"\x80\x05\x96" + struct.pack("<Q", 1 << 42) + b".",
    "frame-of-terabytes": lambda: opcodes(b"\x95" + struct.pack("<Q", 1 << 42)),
    "integer-of-gigabytes": lambda: opcodes(b"\x8b" + struct.pack("<i", 0x7FFFFFFF)),
    "negative-length": lambda: opcodes(b"\x8b" + struct.pack("<i", -5)),
    "integer-of-100000-digits": lambda: b"L" + b"9" * 100_000 + b"L\n.",
    "deep-lists": lambda: b"]" * 200_000 + b"a" * 199_999 + b".",
    "deep-tuples": lambda: b"N" + b"\x85" * 500_000 + b".",
    "million-sets": lambda: b"\x80\x04(" + b"\x8f" * 5_000_000 + b"l.",
    "million-dicts": lambda: b"(" + b"}" * 12_000_000 + b"l.",
    "million-marks": lambda: b"(" * 3_000_000 + b".",
    "itself": lambda: b"]q\0h\0a.",
    "stop-alone": lambda: b".",
    "nothing": lambda: b"",
    "no-stop": lambda: b"\x80\x04K\1",
    "pop-too-much": lambda: b"0.",
    "unknown-opcode": lambda: b"\xff.",
    "protocol-99": lambda: b"\x80\x63K\1.",
    "two-values": lambda: b"K\1K\2.",
    "unhashable": lambda: b"}]K\1s.",
    "text": lambda: b"hello, this is no pickle\n" * 10,
    "array-of-terabytes": lambda: named("numpy", "ndarray", b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86t"),
    "object-array": lambda: pickle.dumps(np.array([{}], dtype=object)),
    "scalar-cut": lambda: b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntRS'abc'\ntR.",
    "plain-list": lambda: pickle.dumps([1, 2]),
    "plain-dict": lambda: pickle.dumps({"a": 1}),
    "plain-number": lambda: pickle.dumps(3),
}


def bz2_constructs() -> dict[str, Callable[[], bytes]]:
    """Files of NATS-Bench's kind: the pickles, packed, and packings that are none."""
    found: dict[str, Callable[[], bytes]] = {name: (lambda m=m: bz2.compress(m(), 1)) for name, m in PICKLES.items()}
    gigabyte = bz2.compress(b"\0" * (100 << 20))
    return found | {
        "bomb": lambda: gigabyte * 10,
        "bomb-of-text": lambda: bz2.compress(opcodes(b"\x8e" + struct.pack("<Q", 500 << 20))[:11]) + gigabyte * 5,
        "bomb-of-a-line": lambda: bz2.compress(b"S'" + b"a" * (100 << 20)),
        "bomb-of-sets": lambda: bz2.compress(b"\x80\x04(" + b"\x8f" * (60 << 20)),
        "packed-cut": lambda: bz2.compress(pickle.dumps({"a": list(range(9999))}))[:-20],
        "packed-changed": lambda: bz2.compress(pickle.dumps({"a": 1}))[:-4] + b"abcd",
        "no-bz2": lambda: b"BZh9" + b"\0" * 100,
        "head-alone": lambda: b"BZh9",
    }


# -- images ------------------------------------------------------------------------------------------------------------


def png(width: int, height: int, data: bytes = b"", more: bytes = b"") -> bytes:
    """A PNG in grey whose header says any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")


IMAGES: dict[str, Callable[[], bytes]] = {
    "bomb-png": lambda: png(60_000, 60_000, zlib.compress(b"\0" * (1 << 20))),
    "bomb-png-warned": lambda: png(12_000, 9_000, zlib.compress(b"\0" * (1 << 20))),
    "billion-wide": lambda: png(2**31 - 1, 1),
    "no-pixels": lambda: png(0, 0),
    "cut-png": lambda: png(8, 8, zlib.compress(b"\0" * 72))[:40],
    "bomb-bmp": lambda: (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0)
    ),
    "bomb-gif": lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0;",
    "bomb-ppm": lambda: b"P6\n100000 100000\n255\n",
    "ppm-of-digits": lambda: b"P6\n" + b"9" * 5000 + b" 1\n255\n",
    "tiff-loop": lambda: b"II*\0" + struct.pack("<IHHHII", 8, 1, 256, 4, 1, 8) + struct.pack("<I", 8),
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
    "svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "jpeg-head": lambda: b"\xff\xd8\xff\xe0" + b"\0" * 20,
    "webp-head": lambda: b"RIFF\xff\xff\xff\x7fWEBPVP8 " + b"\0" * 20,
    "empty": lambda: b"",
    "text": lambda: b"no image",
}
