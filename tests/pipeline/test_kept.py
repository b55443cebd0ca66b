"""Plug-ins named in a configuration are found; a search keeps theirs, and `select` and `verify` find them there."""

import subprocess
import sys

import pytest

SEARCHER = '''"""Mine."""
from benchbed.searchers.random import RandomSampling


class Mine(RandomSampling):
    pass
'''
OUT = "some out that is " + "long " * 40 + "indeed"  # longer than a line of the terminal
SELECTOR = '''"""Mine too."""
from benchbed.selectors.magnitude import Magnitude


class Mine(Magnitude):
    pass
'''


@pytest.fixture
def made(tmp_path, tiny_flags, child_env):
    """A folder with a run that was made from a configuration in another one, and how to call benchbed there."""
    place = tmp_path / "my files"
    place.mkdir()
    (place / "mine.py").write_text(SEARCHER)
    (place / "choice.py").write_text(SELECTOR)
    (place / "run.toml").write_text('plugins = ["mine.py", "choice.py"]\nsearcher = "mine"\nselector = "choice"\n')

    def call(*words: object) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-m", "benchbed", *map(str, words)]
        return subprocess.run(line, cwd=tmp_path, env=child_env, capture_output=True, text=True, timeout=300)

    done = call("run", "--config", place / "run.toml", *tiny_flags, "--out", OUT)
    assert done.returncode == 0, done.stderr
    return place, call, done.stdout


def test_a_search_keeps_its_plug_ins(made, child_env, tmp_path):
    place, call, printed = made
    (search,) = (tmp_path / OUT / "searches").iterdir()
    assert (search / "plugins" / "mine.py").read_text() == SEARCHER
    (place / "mine.py").unlink()
    (place / "choice.py").unlink()
    line = printed.split("next: another selector on the same supernet:\n")[1].strip()  # as it stands, in a shell
    assert f"'{OUT}/searches/" in line
    done = subprocess.run(line, shell=True, cwd=tmp_path, env=child_env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / OUT).glob("mine-choice-*")
    verified = call("verify", run)
    assert verified.returncode == 0, verified.stderr + verified.stdout
    (search / "plugins" / "mine.py").write_text(SEARCHER + "# changed\n")
    done = call("select", search, "--selector", "magnitude")
    assert done.returncode == 2
    assert "the searcher's file changed" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        ('["none.py"]', "cannot read plug-in file"),
        ('"mine.py"', "plugins = 'mine.py': expected a list of files"),
        ("[3]", "plugins = [3]: expected a list of files"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "sweep", "tune"])
def test_a_configuration_without_its_plug_ins_is_one_line(refused, tmp_path, plugins, said, verb):
    file = tmp_path / "cwd" / "study.toml"
    file.write_text(f"plugins = {plugins}\nsearcher = 'mine'\nselector = 'magnitude'\n")
    line = refused(*(("run", "--config", file) if verb == "run" else (verb, file)))
    assert f"configuration {file}: " in line
    assert said in line
