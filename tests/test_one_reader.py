"""What comes from outside goes through `runtime.reading`, `archives` and `pickles`: no other module calls a parser."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(p for folder in ("benchbed", "searchers", "selectors") for p in (ROOT / folder).rglob("*.py"))

# Calls that make something of bytes, by what stands before the parenthesis.
PARSERS = {
    "json.load", "json.loads", "tomllib.load", "tomllib.loads", "np.load", "numpy.load", "np.fromfile", "torch.load",
    "torch.jit.load", "pickle.load", "pickle.loads", "Unpickler", "pickle.Unpickler", "joblib.load", "marshal.loads",
    "zipfile.ZipFile", "ZipFile", "tarfile.open", "gzip.open", "bz2.open", "bz2.BZ2File", "lzma.open", "csv.reader",
    "csv.DictReader", "pd.read_csv", "pd.read_json", "pd.read_pickle", "yaml.load", "yaml.safe_load",
    "yaml.compose", "loadmat", "Image.open", "np.genfromtxt", "np.loadtxt",
}  # fmt: skip
# Modules of which a parser could be taken under another name.
MODULES = {"tomllib", "pickle", "yaml", "gzip", "tarfile", "bz2", "lzma", "marshal", "shelve", "dill", "joblib", "h5py"}

ALLOWED = {
    "benchbed/runtime/reading.py": "the reader itself: JSON, TOML and YAML",
    "benchbed/latency/files.py": "kinds of YAML's nodes; `reading` parses",
    "benchbed/runtime/archives.py": "the reader itself: zip files and numpy's arrays",
    "benchbed/runtime/pickles.py": "the reader itself: pickles, torch's files and bz2",
    "benchbed/tables/csv_reader.py": "the one reader of CSV, over the lines that `reading` counts",
    "benchbed/images/opening.py": "the one opener of images: formats and pixels are bounded there",
    "benchbed/images/mat.py": "SVHN's files, whose MD5 is compared first; read in bounded memory",
    "benchbed/tables/from_pth.py": "an error's name; `pickles` reads",
    "benchbed/checkpoints/reading_room.py": "writes an archive, which the parent reads by `archives`",
    "benchbed/tables/store.py": "writes tables; `archives` reads them",
    "benchbed/tables/unpickle.py": "an error's name; `pickles` reads",
    "benchbed/runtime/worker.py": "a message of the process that began this one",
    "benchbed/runtime/executor.py": "a message of a process that this one began",
    "benchbed/runtime/on_ray.py": "messages of this sweep's own actors",
    "benchbed/tables/trials.py": "layouts that this process has written into its memory",
    "benchbed/tasks/digits.py": "digits that the installed scikit-learn ships",
    "benchbed/tasks/photo_digits.py": "photographs that installed packages ship",
    "benchbed/trackers/mlflow.py": "the picture that this process has drawn",
    "benchbed/trackers/tensorboard.py": "the picture that this process has drawn",
    "benchbed/trackers/wandb.py": "the picture that this process has drawn",
    "benchbed/tune/make.py": "trials.csv, which this call has just written",
    "benchbed/testing/proposer.py": "a line of the search that began this program, which is an example too",
    "benchbed/testing/tree.py": "bytes that the line before has made",
}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def parsing(source: str) -> Iterator[str]:
    """The parsers that a source calls or takes in; a value that it has itself turned into JSON is not from outside."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and str(node.module).split(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call) and (name := dotted(node.func)) in PARSERS:
            own = [arg for arg in node.args if isinstance(arg, ast.Call) and dotted(arg.func) == "json.dumps"]
            if not own:
                yield name


def test_no_other_module_parses_what_comes_from_outside() -> None:
    found = {str(file.relative_to(ROOT)): sorted(set(parsing(file.read_text()))) for file in FILES}
    found = {file: calls for file, calls in found.items() if calls}
    assert {file: calls for file, calls in found.items() if file not in ALLOWED} == {}
    assert set(ALLOWED) - set(found) == set(), "a name that is needed no longer"


def test_every_way_of_parsing_is_seen() -> None:
    for text in (
        "import json\njson.loads(x)", "def f():\n    import tomllib\n    return tomllib.load(x)",
        "import torch\ntorch.load(x)",
        "from pickle import loads\nloads(x)", "import numpy as np\nnp.load(x)", "with zipfile.ZipFile(x) as y: pass",
    ):  # fmt: skip
        assert list(parsing(text)), text
    assert not list(parsing("import json\njson.loads(json.dumps(x))"))
