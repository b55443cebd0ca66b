"""Which hostile file goes to which command: every construct of a kind to every reader of that kind."""

import json
import os
import shutil
import socket
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forge_binary as binary
import forge_text as text
import numpy as np

Content = bytes | Callable[[], bytes]
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
EMBEDDED = Path(__file__).resolve().parents[2] / "benchbed" / "tables" / "embedded" / "nb201-digits.npz"
PLUGINS = ["--searcher", "random", "--selector", "magnitude"]


@dataclass(frozen=True)
class Reader:
    """A command that reads a file. words: of the command, given the folder of the case, where `file` lies hostile.

    prepare: what else must be there. kinds: the constructs by name. special: whether what is no file is tried too.
    """

    name: str
    file: str
    words: Callable[[Path], list[str]]
    kinds: Mapping[str, Content]
    prepare: Callable[[Path], None] = lambda place: None
    special: bool = True

    def cases(self) -> Iterator["Case"]:
        for name, content in self.kinds.items():
            yield Case(f"{self.name}-{name}", self, content)
        for name, make in SPECIAL.items() if self.special else ():
            yield Case(f"{self.name}-is-{name}", self, make)


@dataclass(frozen=True)
class Case:
    """One hostile file for one command. content: its bytes, or what makes them, or what makes the file itself."""

    name: str
    reader: Reader
    content: Content | Callable[[Path], None]

    def put(self, place: Path) -> list[str]:
        """Makes the files of the case in an empty folder; the words of the command."""
        self.reader.prepare(place)
        path = place / self.reader.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if self.content in SPECIAL.values():
            self.content(path)  # type: ignore[call-arg, operator]
        else:
            path.write_bytes(self.content if isinstance(self.content, bytes) else self.content())  # type: ignore[call-arg, arg-type]
        return self.reader.words(place)


def _socket(path: Path) -> None:
    made, here = socket.socket(socket.AF_UNIX), os.getcwd()
    os.chdir(path.parent)  # the name of a socket is at most 108 letters long
    try:
        made.bind(path.name)
    finally:
        os.chdir(here)
        made.close()


def _sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(20 << 30)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path),
    "folder": lambda path: path.mkdir(),
    "socket": _socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "dangling-link": lambda path: path.symlink_to(path.with_name("nowhere")),
    "looping-link": lambda path: path.symlink_to(path.name),
    "link-to-pipe": lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to("pipe")),  # type: ignore[dict-item, return-value]
    "20-GB-of-nothing": _sparse,
}


# -- readers -----------------------------------------------------------------------------------------------------------


def readers(finished: Path) -> list[Reader]:
    """All. finished: an output folder with one run, which is copied for the commands that read one."""
    (run,) = [p.parent.name for p in finished.glob("*/record.json")]
    (search,) = [p.name for p in (finished / "searches").iterdir()]
    return [*_texts(finished, run, search), *_tables(), *_images(), *_checkpoints(finished, search)]


def _copied(finished: Path) -> Callable[[Path], None]:
    return lambda place: shutil.copytree(finished, place / "runs") and None  # type: ignore[func-returns-value]


def _texts(finished: Path, run: str, search: str) -> list[Reader]:
    of_run, whole = _copied(finished), {**text.JSON_WHOLE, **text.NOT_FINITE}
    importing: Callable[[str], Callable[[Path], list[str]]] = lambda file: lambda place: [  # noqa: E731
        "table", "import", str(place / file), "--name", "t", "--partial"
    ]  # fmt: skip
    latency: Callable[[str, str], Callable[[Path], list[str]]] = lambda file, space: lambda place: [  # noqa: E731
        "latency", "show", "--space", space, "--table", str(place / file)
    ]  # fmt: skip
    split = '"xvalid": ["int", ["1"]], "xtest": ["int", ["0"]]'
    measured = '"format": "benchbed-latency", "unit": "ms", "space": "nb201", "entries": {}'
    toml = text.toml_constructs()
    return [
        Reader("macro", "x.json", importing("x.json"),
               text.json_constructs('"02012100": {"test_acc": [1, 2, 3]}')),
        Reader("by-cell", "x.json", importing("x.json"), text.json_constructs('"|none~0|": 1')),
        Reader("latency-json", "x.json", latency("x.json", "nb201"), text.json_constructs(measured) | whole),
        Reader("record-reported", f"runs/{run}/record.json",
               lambda place: ["report", str(place / "runs"), "--out", str(place / "report")],
               text.json_constructs('"id": "x"') | whole, of_run),
        Reader("record-verified", f"runs/{run}/record.json", lambda place: ["verify", str(place / "runs" / run)],
               text.json_constructs('"id": "x"') | whole, of_run),
        Reader("study-file", "out/study.json", lambda place: ["sweep", "--status", "--out", str(place / "out")],
               text.json_constructs('"format": 1, "id": "a", "name": "b"') | whole),
        Reader("search-configuration", f"runs/searches/{search}/config.json",
               lambda place: ["select", str(place / "runs" / "searches" / search), "--selector", "magnitude"],
               text.json_constructs('"space": "nb201"') | whole, of_run),
        Reader("splits", "s/cifar100-test-split.txt",
               lambda place: ["run", *PLUGINS, "--task", "cifar100", "--data", str(place / "d"), "--splits",
                              str(place / "s"), "--out", str(place / "out")],
               text.json_constructs(split) | whole, _empty_cifar100),
        Reader("metadata", "x.npz", lambda place: ["table", "info", str(place / "x.npz")],
               {name: _with_meta(c) for name, c in (text.json_constructs('"format": 1') | whole | METADATA).items()}),
        Reader("run-configuration", "x.toml",
               lambda place: ["run", *PLUGINS, "--config", str(place / "x.toml"), "--out", str(place / "out")], toml),
        Reader("sweep-study", "x.toml",
               lambda place: ["sweep", str(place / "x.toml"), "--plan", "--out", str(place / "out")], toml),
        Reader("tuned-study", "x.toml",
               lambda place: ["tune", str(place / "x.toml"), "--out", str(place / "out")], toml),
        Reader("reported-study", "x.toml", lambda place: ["report", str(place / "x.toml")], toml),
        Reader("training-configuration", "x.toml",
               lambda place: ["train", "--arch", CELL, "--config", str(place / "x.toml"), "--out", str(place / "out")],
               toml),
        Reader("imported-csv", "x.csv", importing("x.csv"),
               text.csv_constructs("arch;cifar10_test_200", f"{CELL};93.5", 1)),
        Reader("landscape", "x.csv", importing("x.csv"), text.csv_constructs(
            "ArchitectureString;CIFAR10TestAccuracy200Epochs;CIFAR100TestAccuracy200Epochs;"
            "ImageNetTestAccuracy200Epochs", f"{CELL};93.5;70.1;40.2", 1)),
        Reader("scored", "x.csv",
               lambda place: ["score", str(place / "x.csv"), "--table", "nb201-digits", "--out", str(place / "out")],
               text.csv_constructs("arch;method;seed;seconds", f"{CELL};mine;0;3", 2)),
        Reader("latency-csv", "x.csv", latency("x.csv", "nb201"), text.csv_constructs("arch;phone", f"{CELL};3.5", 1)),
        Reader("latency-yaml", "x.yaml", latency("x.yaml", "mbconv"),
               {name: content.encode() for name, content in text.YAML.items()}),
    ]  # fmt: skip


METADATA = {
    name: json.dumps({
        "format": 1, "space": "nb201", "fingerprint": "0" * 64, "figures": [["digits", "test", 1]], "seeds": {}, **more
    }).encode()
    for name, more in {
        "space-a-path": {"space": "../../etc/passwd"}, "space-unknown": {"space": "nowhere"},
        "space-a-list": {"space": []}, "space-of-a-module": {"space": "os"},
        "fingerprint-short": {"fingerprint": "abc"}, "fingerprint-a-number": {"fingerprint": 3},
        "figures-a-text": {"figures": "abc"}, "figures-of-four": {"figures": [["a", "test", 1, 2]]},
        "figures-of-dicts": {"figures": [{}]}, "epochs-a-text": {"figures": [["a", "test", "x"]]},
        "epochs-negative": {"figures": [["a", "test", -1]]}, "epochs-giant": {"figures": [["a", "test", 10**18]]},
        "figure-twice": {"figures": [["a", "test", 1]] * 2}, "data-set-a-path": {"figures": [["../x", "test", 1]]},
        "seeds-a-list": {"seeds": []}, "seeds-numbers": {"seeds": {"digits_test_1": [1, 2]}},
        "seeds-of-nothing": {"seeds": {"other": ["1"]}}, "sources-a-text": {"sources": "x"},
        "source-without-kind": {"sources": [{}]}, "operations-a-text": {"operations": "abc"},
        "splits-a-list": {"splits": []}, "notes-a-dict": {"notes": {}}, "note-escapes": {"notes": ["\x1b[2Jgone"]},
        "format-2": {"format": 2}, "format-true": {"format": "1"}, "full-epochs": {"full_epochs": "many"},
        "array-missing": {},
    }.items()
}  # fmt: skip


def _with_meta(content: bytes) -> Callable[[], bytes]:
    meta = lambda: binary.npy(np.frombuffer(content, np.uint8))  # noqa: E731
    return lambda: binary.archive([("meta.npy", meta())])


def _empty_cifar100(place: Path) -> None:
    for name in ("train", "test"):
        (place / "d" / "cifar-100-python").mkdir(parents=True, exist_ok=True)
        (place / "d" / "cifar-100-python" / name).write_bytes(b"")


def _members() -> dict[str, bytes]:
    with zipfile.ZipFile(EMBEDDED) as there:
        return {name: there.read(name) for name in there.namelist() if not name.startswith("seeds/")}


def _tables() -> list[Reader]:
    column = "accuracy/digits_test_1.npy"
    members = _members()

    def instead(make: Callable[[], bytes]) -> Callable[[], bytes]:
        return lambda: binary.archive({**members, column: make()}.items())

    arrays: dict[str, Content] = {name: instead(make) for name, make in binary.ARRAYS.items()}
    for name, value in {"infinite": np.inf, "beyond-100": 101.0, "negative": -1.0, "all-missing": np.nan}.items():
        arrays[name] = instead(lambda v=value: binary.npy(np.full((5,) * 6, v)))
    of_zip = binary.zip_constructs({"meta.npy": members["meta.npy"], column: members[column]})
    query = ["--arch", CELL, "--dataset", "digits", "--split", "test", "--epochs", "1"]
    packed = binary.bz2_constructs()
    few = ("system", "memo-of-gigabytes", "bomb", "packed-cut", "million-sets", "plain-dict", "no-bz2", "deep-tuples")

    def torch_archive(make: Callable[[], bytes]) -> Callable[[], bytes]:
        return lambda: binary.archive([("a/data.pkl", make()), ("a/version", b"3\n"), ("a/byteorder", b"little")])

    def legacy(make: Callable[[], bytes]) -> Callable[[], bytes]:
        head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00."
        return lambda: head + make()

    def imported(file: str) -> Callable[[Path], list[str]]:
        return lambda place: ["table", "import", str(place / file), "--name", "t"]

    pth: dict[str, Content] = {name: torch_archive(make) for name, make in binary.PICKLES.items()}
    pth |= {f"legacy-{name}": legacy(make) for name, make in binary.PICKLES.items()}
    torch_zip = binary.zip_constructs({"a/version": b"3\n", "a/data.pkl": binary.PICKLES["plain-dict"]()})
    return [
        Reader("table-shown", "x.npz", lambda place: ["table", "info", str(place / "x.npz")], arrays | of_zip),
        Reader("table-queried", "x.npz", lambda place: ["query", str(place / "x.npz"), *query], arrays),
        Reader("table-exported", "x.npz",
               lambda place: ["table", "export", str(place / "x.npz"), str(place / "x.csv")], of_zip),
        Reader("imported-npz", "x.npz", imported("x.npz"), of_zip),
        Reader("imported-pth", "x.pth", imported("x.pth"), pth | {f"zip-{k}": v for k, v in torch_zip.items()}),
        Reader("imported-pbz2", "x.pickle.pbz2", imported("x.pickle.pbz2"), packed),
        Reader("imported-folder", "n/meta.pickle.pbz2", imported("n"), {name: packed[name] for name in few}),
    ]  # fmt: skip


def _images() -> list[Reader]:
    images, labels = np.zeros((60, 8, 8), np.uint8), np.arange(60) % 3
    good = {"labels.npy": binary.npy(labels), "images.npy": binary.npy(images)}

    def npz(**changed: Callable[[], bytes]) -> Callable[[], bytes]:
        return lambda: binary.archive({**good, **{f"{key}.npy": make() for key, make in changed.items()}}.items())

    wrong: dict[str, Any] = {
        "nan": np.full((60, 8, 8), np.nan), "infinite": np.full((60, 8, 8), np.inf), "one-axis": np.zeros(60),
        "beyond-float32": np.full((60, 8, 8), 1e300), "none": np.zeros((0, 8, 8)), "tiny": np.zeros((60, 2, 2)),
        "signed": np.zeros((60, 8, 8), np.int8), "five-axes": np.zeros((60, 1, 8, 8, 1)), "fewer": np.zeros((3, 8, 8)),
    }  # fmt: skip
    classes: dict[str, Any] = {
        "negative": labels - 1, "gap": labels * 2, "giant": labels.astype(np.uint64) + 2**63, "fractions": labels * 0.5,
        "truths": labels > 0, "two-axes": labels[:, None], "one-class": labels * 0, "billion": labels + 10**9,
    }  # fmt: skip
    task: dict[str, Content] = {f"images-{name}": npz(images=make) for name, make in binary.ARRAYS.items()}
    task |= {f"labels-{name}": npz(labels=make) for name, make in binary.ARRAYS.items()}
    task |= {f"images-{name}": npz(images=lambda a=array: binary.npy(a)) for name, array in wrong.items()}
    task |= {f"labels-{name}": npz(labels=lambda a=array: binary.npy(a)) for name, array in classes.items()}

    def run(task: str, *more: str) -> Callable[[Path], list[str]]:
        return lambda place: [
            "run", *PLUGINS, "--task", task.format(place), "--out", str(place / "out"), "--quiet",
            *(word.format(place) for word in more),
        ]  # fmt: skip

    def batches(place: Path) -> None:
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            (place / "cifar-10-batches-py").mkdir(exist_ok=True)
            (place / "cifar-10-batches-py" / name).write_bytes(b"")

    def folder(place: Path) -> None:
        for kind in "ab":
            (place / "i" / kind).mkdir(parents=True)
            for i in range(3):
                (place / "i" / kind / f"{i}.png").write_bytes(binary.png(8, 8, binary.zlib.compress(b"\0" * 72)))

    def digits(place: Path) -> None:
        (place / "svhn").mkdir()
        (place / "svhn" / "test_32x32.mat").write_bytes(b"")

    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    mat: dict[str, Content] = {
        "empty": b"", "zeros": b"\0" * 4096, "head-alone": head, "noise": head + np.random.default_rng(1).bytes(9999),
        "packed-noise": head + b"\x0f\0\0\0\x00\x10\0\0" + b"x" * 4096, "hdf5": b"\x89HDF\r\n\x1a\n" + b"\0" * 999,
        "packed-bomb": lambda: head + binary.struct.pack("<II", 15, 1 << 20) + binary.zlib.compress(
            b"\x0e\0\0\0\xff\xff\xff\x7f" + b"\0" * (400 << 20)),
        "giant-element": head + b"\x0e\0\0\0\xff\xff\xff\x7f" + b"\0" * 100,
        "negative": head + b"\x0e\0\0\0\xff\xff\xff\xff" * 20,
    }  # fmt: skip
    unverified = ("--data", "{}", "--set", "task_options.verify=false")
    return [
        Reader("npz-task", "x.npz", run("npz:{}/x.npz"), task | binary.zip_constructs(good)),
        Reader("cifar10", "cifar-10-batches-py/data_batch_1", run("cifar10", *unverified), binary.PICKLES, batches),
        Reader("svhn", "svhn/train_32x32.mat", run("svhn", *unverified), mat, digits),
        Reader("image-folder", "i/a/0.png", run("images:{}/i"), binary.IMAGES, folder),
    ]


def _checkpoints(finished: Path, search: str) -> list[Reader]:
    def archived(make: Callable[[], bytes]) -> Callable[[], bytes]:
        return lambda: binary.archive([("a/data.pkl", make()), ("a/version", b"3\n"), ("a/byteorder", b"little")])

    own: dict[str, Content] = {name: archived(make) for name, make in binary.PICKLES.items()}
    own |= binary.zip_constructs({"a/version": b"3\n", "a/data.pkl": binary.PICKLES["plain-dict"]()})
    few = ("system", "memo-of-gigabytes", "bytes-of-terabytes", "deep-tuples", "million-dicts", "plain-dict", "twice",
           "bomb", "encrypted", "noise", "truncated", "checksum")  # fmt: skip
    foreign = {name: own[name] for name in few} | {f"bare-{name}": binary.PICKLES[name] for name in few[:6]}
    return [
        Reader("own-checkpoint", f"runs/searches/{search}/checkpoint.pt",
               lambda place: ["select", str(place / "runs" / "searches" / search), "--selector", "constant", "--set",
                              "selector.operation=none", "--quiet"], own, _copied(finished)),
        Reader("foreign-checkpoint", "x.pt",
               lambda place: ["select", "--foreign", str(place / "x.pt"), "--selector", "magnitude", "--out",
                              str(place / "out"), "--quiet"], foreign),
    ]  # fmt: skip
