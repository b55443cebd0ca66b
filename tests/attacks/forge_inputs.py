"""What hypothesis draws for the parsers: good files, files in the words of each format, and how bytes are changed."""

import io
import json
import pickle
import random
import struct
import zipfile
from typing import Any

import forge_binary as binary
import numpy as np
from hypothesis import strategies as st

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.just(10**30),
    st.just("\0"),
    st.sampled_from([0, 1, -1, 93.5, "0", "valid", "nb201", [], {}, "int"]),
)


def trees(keys: list[str]) -> st.SearchStrategy[Any]:
    named = st.sampled_from(keys) | st.text(max_size=4)
    return st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(named, inner, max_size=6), max_leaves=12
    )


def texts(tree: Any) -> bytes:
    return json.dumps(tree).encode()


CHUNKS = (
    b"\xff" * 4,
    b"\0" * 4,
    b"[" * 9,
    b'"',
    b"-1",
    b"1e999",
    b"nan",
    b"\n",
    b",",
    b"{",
    b"\\u0000",
    b"\xed\xa0\x80",
)


def changed(data: bytes, rng: random.Random) -> bytes:
    """The input after up to four changes: bytes put in, taken out, replaced, doubled, turned, or the rest cut off."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, count, kind = rng.randint(0, len(made)), rng.randint(0, 8), rng.randint(0, 12)
        if kind == 0:
            made[at : at + count] = rng.randbytes(count)
        elif kind == 1:
            del made[at : at + count]
        elif kind == 2:
            del made[at:]
        elif kind == 3:
            made[at:at] = made[at : at + count] * rng.randint(1, 5)
        elif kind < 9 and at < len(made):
            made[at] ^= 1 << rng.randint(0, 7)
        else:
            made[at : at + count] = rng.choice(CHUNKS)
    return bytes(made)


def mutated(good: bytes) -> st.SearchStrategy[bytes]:
    return st.integers(0, 2**32).map(lambda seed: changed(good, random.Random(seed)))


def of(good: list[bytes], structured: st.SearchStrategy[bytes] | None = None) -> st.SearchStrategy[bytes]:
    either = [st.sampled_from(good), st.binary(max_size=60)]
    return st.one_of(*either, *([structured, structured] if structured is not None else []))


def json_inputs(*good: Any, keys: tuple[str, ...] = ()) -> st.SearchStrategy[bytes]:
    found = {key for one in good if isinstance(one, dict) for key in one} | set(keys)
    changed = [
        st.fixed_dictionaries({key: st.just(value) | trees([*found]) for key, value in one.items()}).map(texts)
        for one in good
        if isinstance(one, dict)
    ]
    return of([texts(one) for one in good], st.one_of(*changed, trees([*found]).map(texts)))


CSV_WORDS = st.sampled_from(
    [
        "arch",
        "index",
        "method",
        "seed",
        "seconds",
        CELL,
        "1",
        "-1",
        "nan",
        "1e999",
        "1_0",
        "=1",
        "'=1",
        '"',
        '"a,b"',
        "\r",
        "\0",
        "cifar10_test_200",
        "phone",
        "",
        " ",
        "٣",
        "\ufeff",
    ]
)
CSV = of(
    [f"arch,phone\n{CELL},3.5\n".encode(), f"arch,method,seed\n{CELL},mine,0\n".encode()],
    st.lists(st.lists(CSV_WORDS, max_size=5).map(",".join), max_size=6).map(lambda rows: "\n".join(rows).encode()),
)
TOML_WORDS = st.sampled_from(
    [
        "seed",
        "=",
        "1",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        "\n",
        "'",
        '"',
        '"""',
        "'''",
        "#",
        "a",
        " ",
        "inf",
        "nan",
        "0x",
        "1e9",
        "2026-01-01",
        "\\u0000",
        "\\ud800",
        "true",
        "[[",
        "]]",
        "\r",
        "\t",
    ]
)
TOML = of(
    [b"seed = 1\n[supernet]\nlr = 0.1\n", b'task = "x"\na.b.c = [1, {d = 2}]\n'],
    st.lists(TOML_WORDS, max_size=30).map(lambda words: "".join(words).encode()),
)
YAML_WORDS = st.sampled_from(
    ["a:", "  mean:", " 1", "\n", "nan", "-1", "  count: 1", ":", "#", "\t", "1e999", "\u2028", "{"]
)
LATENCY = st.one_of(
    of(
        [b"a:\n  mean: 1.5\n  count: 3\n"], st.lists(YAML_WORDS, max_size=20).map(lambda words: "".join(words).encode())
    ),
    json_inputs(
        {
            "format": "benchbed-latency",
            "unit": "ms",
            "space": "nb201",
            "entries": {"a": {"median": 1.5}},
            "device_name": "x",
        }
    ),
)


@st.composite
def archives(draw: st.DrawFn, good: dict[str, bytes], changed: list[str]) -> bytes:
    """An archive of good members, of which one is another array, cut, or a header of any words."""
    members = dict(good)
    name = draw(st.sampled_from(changed))
    made = st.one_of(
        st.sampled_from(sorted(binary.ARRAYS)).map(lambda kind: binary.ARRAYS[kind]()),
        mutated(good[name]),
        st.tuples(
            st.sampled_from(["<f8", ">f8", "|u1", "<i8", "|O", "|S3", "<U2", "<f2", "|b1", "<M8[D]", [("a", "<f8")]]),
            st.lists(st.integers(-2, 70), max_size=6).map(tuple),
            st.binary(max_size=64),
        ).map(lambda x: binary.said(*x)),
    )
    members[name] = draw(made)
    if draw(st.booleans()):
        members.pop(draw(st.sampled_from(sorted(members))))
    return binary.archive(members.items(), draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))


META = {
    "format": 1,
    "space": "nb201",
    "fingerprint": "0" * 64,
    "figures": [["digits", "test", 1]],
    "seeds": {"digits_test_1": ["0"]},
    "sources": [{"kind": "x", "name": "x", "sha256": None}],
}


def small_table() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    arrays = {
        "accuracy/digits_test_1": rng.uniform(20, 90, (5,) * 6),
        "seeds/digits_test_1": np.full((5,) * 6 + (1,), 50.0),
        "meta": np.frombuffer(json.dumps(META).encode(), np.uint8),
    }
    return {f"{name}.npy": binary.npy(array) for name, array in arrays.items()}


IMAGES = {"labels.npy": binary.npy(np.arange(30) % 3), "images.npy": binary.npy(np.zeros((30, 4, 4), np.uint8))}
TABLE = small_table()
METADATA = json_inputs(META).map(
    lambda meta: binary.archive({**TABLE, "meta.npy": binary.npy(np.frombuffer(meta, np.uint8))}.items())
)
CODES = st.one_of(
    st.sampled_from(
        [
            b"]",
            b"}",
            b"(",
            b")",
            b"l",
            b"t",
            b"d",
            b"a",
            b"s",
            b"e",
            b"u",
            b"q\0",
            b"h\0",
            b"0",
            b"1",
            b"2",
            b"N",
            b"K\1",
            b"R",
            b"b",
            b"\x81",
            b"\x85",
            b"\x86",
            b"\x87",
            b"\x88",
            b"\x8f",
            b"\x90",
            b"\x94",
            b".",
        ]
    ),
    st.sampled_from(
        [
            b"cnumpy\ndtype\n",
            b"cnumpy\nndarray\n",
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"c_codecs\nencode\n",
            b"cnumpy.core.multiarray\nscalar\n",
            b"ccollections\nOrderedDict\n",
            b"cos\nsystem\n",
            b"S'f8'\n",
            b"S'O'\n",
            b"S'latin1'\n",
            b"X\1\0\0\0a",
            b"C\1a",
            b"U\1b",
            b"I99\n",
            b"L9L\n",
            b"F1e999\n",
        ]
    ),
    st.tuples(st.sampled_from([b"J", b"B", b"X", b"T", b"r", b"j", b"\x8b"]), st.integers(0, 2**32 - 1)).map(
        lambda x: x[0] + struct.pack("<I", x[1])
    ),
    st.tuples(st.sampled_from([b"\x8d", b"\x8e", b"\x95", b"\x96"]), st.integers(0, 2**64 - 1)).map(
        lambda x: x[0] + struct.pack("<Q", x[1])
    ),
)
BATCH = pickle.dumps({"data": np.zeros((2, 48), np.uint8), "labels": [0, 1]}, protocol=2)
PROGRAMS = st.lists(CODES, max_size=30).map(lambda codes: b"\x80\x04" + b"".join(codes) + b".")
PICKLES = of([BATCH, pickle.dumps({"data": [1], "labels": (2, "a")}), pickle.dumps(np.float64(3))], PROGRAMS)


def checkpoint() -> bytes:
    import torch

    file = io.BytesIO()
    torch.save({"history": '{"epoch": 1}\n', "tree": {"a": torch.zeros(3), "n": [1, "x", None]}}, file)
    return file.getvalue()


RECORD: dict[str, Any] = {
    "format": 2,
    "id": "run",
    "search": "s",
    "searcher": "darts",
    "selector": "magnitude",
    "space": "nb201",
    "task": "digits",
    "seed": 0,
    "architecture": CELL,
    "test_accuracy": 50.0,
    "facts": {"params": 1},
    "seconds": {"search": 1.0, "selection": 1.0, "scoring": 1.0},
    "config": {
        "space": "nb201",
        "task": "digits",
        "protocol": "generic",
        "epochs": 1,
        "seed": 0,
        "supernet": None,
        "searcher": {"name": "darts", "options": {}, "sha256": None},
        "selector": {"name": "magnitude", "options": {}, "sha256": None},
    },
}
EPOCH = {"epoch": 1, "seconds": 1.0, "accuracy": 50.0, "probabilities": [[0.5, 0.5]]}


def lines(strategy: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(strategy, max_size=3).map(b"\n".join)


MAT = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\x0e\0\0\0\x30\0\0\0" + b"\x06\0\0\0\x08\0\0\0" * 6
