"""What the project says of itself: metadata, citation, workflows and forms, against their schemas and each other."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml

from benchbed import __version__

ROOT = Path(__file__).parents[1]
SCHEMAS = {
    "vendor.github-workflows": (".github/workflows/*.yml", 3),
    "vendor.github-issue-forms": (".github/ISSUE_TEMPLATE/[bm]*.yml", 2),
    "vendor.github-issue-config": (".github/ISSUE_TEMPLATE/config.yml", 1),
    "vendor.citation-file-format": ("CITATION.cff", 1),
}
BUILD = """import sys
from setuptools import build_meta
print(build_meta.build_sdist(sys.argv[1]))
"""


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_are_of_their_schema(schema: str) -> None:
    pattern, count = SCHEMAS[schema]
    files = sorted(ROOT.glob(pattern))
    assert len(files) == count
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == __version__
    assert citation["license"] == project["license"]
    assert citation["authors"] == [{"name": project["authors"][0]["name"]}]


def test_the_hooks_run_what_the_environment_has() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"  # nothing is fetched
    assert all(hook["entry"].startswith(".venv/bin/") for hook in repo["hooks"])


def test_a_wheel_from_the_sdist_is_the_wheel_of_the_checkout(tmp_path: Path) -> None:
    """Both built offline; the sdist has what a build needs, and the wheel no test."""
    tree = tmp_path / "tree"
    for name in ("benchbed", "searchers", "selectors"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(file, tree)
    subprocess.run([sys.executable, "-c", BUILD, str(tmp_path)], cwd=tree, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (unpacked,) = (tmp_path / "sdist").iterdir()
    contents = []
    for name, place in (("one", tree), ("two", unpacked)):
        code = BUILD.replace("build_sdist", "build_wheel")
        out = tmp_path / name
        out.mkdir()
        subprocess.run([sys.executable, "-c", code, str(out)], cwd=place, check=True, capture_output=True)
        (wheel,) = out.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            contents.append({i.filename: i.CRC for i in archive.infolist() if ".dist-info/RECORD" not in i.filename})
            (about,) = [x for x in archive.namelist() if x.endswith(".dist-info/METADATA")]
            metadata = message_from_bytes(archive.read(about))
    assert contents[0] == contents[1]
    for needed in ("benchbed/py.typed", "benchbed/report/page.html.j2", "benchbed/protocols/table.toml",
                   "benchbed/searchers/darts.py", "benchbed/trackers/tracking.py"):  # fmt: skip
        assert needed in contents[0]
    assert not [name for name in contents[0] if name.startswith("tests/")]
    assert metadata["Author"] == "benchbed developers"
    assert "Typing :: Typed" in metadata.get_all("Classifier")
