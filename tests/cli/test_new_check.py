"""`new` writes files that run as they are and pass `check`; `check` says line by line what is wrong."""

from pathlib import Path

import pytest

from benchbed.cli.plugins import USE

ROOT = Path(__file__).resolve().parents[2]
LINES = {"searcher": 10, "selector": 8, "space": 14, "task": 7, "proxy": 6}  # of the checks

BROKEN = '''"""Selects what may not be selected."""
import numpy as np
from benchbed.selector import Selection, Selector


class Mine(Selector):
    def step(self, context):
        choices = tuple(len(p.operations) - 1 for p in context.space.positions)
        return Selection(context.space.architecture_of(choices), np.full(context.space.mask.shape, np.nan), {})
'''
CRASHES = BROKEN.replace("        choices =", "        1 / 0\n        choices =")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", LINES)
def test_a_new_file_passes_its_check(kind, command, here):
    made = command("new", kind, f"my-{kind}")
    assert made.status == 0, made.err
    assert (here / f"my_{kind}.py").is_file()
    done = command("check", f"my_{kind}.py")
    assert done.status == 0, done.out
    lines = done.out.splitlines()
    assert lines[-1] == f"{LINES[kind]} of {LINES[kind]} checks passed"
    assert len(lines) == LINES[kind] + 1
    assert all(line.startswith("ok ") and f"{kind} my-{kind}: " in line for line in lines[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["modifier", "study"])
def test_a_new_file_passes_its_long_check(kind, command, here):
    assert command("new", kind, f"my-{kind}").status == 0
    done = command("check", f"my_{kind}.py")
    assert done.status == 0, done.out


def test_a_new_modifier_keeps_the_contract_around_darts(command, here):
    from benchbed import registry
    from benchbed.testing.checks import checks_of, outcome

    assert command("new", "modifier", "my-modifier").status == 0
    registry.add_file(here / "my_modifier.py")
    checks = dict(checks_of("modifier", "my-modifier"))
    assert {"around darts", "around gdas", "around random"} <= set(checks)
    assert outcome(checks["around darts"]) is None


@pytest.mark.parametrize("kind", USE)
def test_a_new_file_is_called_as_it_is_named_and_listed(kind, command, here):
    (here / "below").mkdir()
    made = command("new", kind, "grey-scale", "--out", "below")
    text = (here / "below" / "grey_scale.py").read_text()
    assert text.startswith('"""grey-scale: one line that')
    assert "NAME" not in text
    assert "CLASS" not in text.replace("CLASSES", "")
    assert made.out.splitlines()[0] == "wrote below/grey_scale.py"
    listed = command("list", kind, "--plugin", "below/grey_scale.py")
    assert "grey-scale" in listed.out


def test_the_examples_of_the_readme_pass(command, here):
    assert command("check", ROOT / "examples" / "gumbel.py").status == 0
    assert command("check", ROOT / "examples" / "chain.py").status == 0


def test_registered_names_are_checked(command, here, tiny_file):
    done = command("check", "magnitude", "--kind", "selector")
    assert (done.status, done.out.splitlines()[-1]) == (0, "8 of 8 checks passed")
    done = command("check", f"npz:{tiny_file}")
    assert (done.status, done.out.splitlines()[-1]) == (0, "7 of 7 checks passed")


def test_what_fails_is_said_in_its_line(command, here):
    (here / "mine.py").write_text(BROKEN)
    done = command("check", "mine.py")
    assert done.status == 1
    assert done.err == ""
    (line,) = [line for line in done.out.splitlines() if "only selectable operations" in line]
    assert line.startswith("FAILED")
    assert line.endswith("third: a may not be selected")
    assert "checks passed" in done.out.splitlines()[-1]


def test_an_error_in_it_is_one_line_with_its_place(command, here):
    (here / "mine.py").write_text(CRASHES)
    done = command("check", "mine.py")
    assert done.status == 1
    assert f"ZeroDivisionError: division by zero ({here / 'mine.py'} at line 8)" in done.out
    assert len(done.out.splitlines()) == 9


def test_options_are_given_with_set(command, here):
    assert command("check", "constant", "--set", "operation=c").status == 0
    done = command("check", "random", "--kind", "searcher", "--set", "alpha_lr=1")
    assert (done.status, done.out) == (2, "")
    assert "unknown option of 'random' 'alpha_lr'" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("new", "searchr", "mine"), "unknown kind of plug-in 'searchr': did you mean 'searcher'?"),
        (("new", "searcher", "darts"), "there is a searcher 'darts' already: choose another name"),
        (("new", "searcher", "My way"), "name 'My way': lower-case letters, digits and single hyphens are needed"),
        (("new", "searcher", "mine", "--out", "other.py"), "a plug-in is named as its file, so write --out mine.py"),
        (("new", "searcher", "mine", "--out", "none/mine.py"), "folder 'none' does not exist"),
        (("check", "none.py"), "cannot read plug-in file"),
        (("check", "dart"), "unknown plug-in 'dart': did you mean 'darts'?"),
        (("check", "darts", "--kind", "serchr"), "unknown kind of plug-in 'serchr': did you mean 'searcher'?"),
        (("check", "npz"), "task 'npz' needs its file: write npz:FILE"),
        (("check", "darts", "--set", "alpha_lr"), "--set 'alpha_lr': expected KEY=VALUE"),
    ],
)
def test_what_cannot_be_is_one_line(refused, arguments, said):
    assert said in refused(*arguments)


def test_a_file_that_is_there_is_not_overwritten(refused, tmp_path):
    (tmp_path / "cwd" / "mine.py").write_text("mine")
    assert "mine.py is there already, and is not overwritten" in refused("new", "searcher", "mine")
