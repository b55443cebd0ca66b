"""Bad input: one line on stderr that names the thing and what would do, exit status 2, nothing left behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GOOD = ("--searcher", "random", "--selector", "magnitude")
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"

Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--searcher", "darst", "--selector", "perturb"), ("unknown searcher 'darst'", "'darts'")),
        (("run", "--searcher", "darts", "--selector", "pertub"), ("unknown selector 'pertub'", "'perturb'")),
        (("run", "--searcher", "darts,proxles", "--selector", "perturb"), ("'proxles'", "'proxyless'")),
        (("run", "--searcher", "darts,", "--selector", "perturb"), ("unknown searcher ''", "known: asha, bananas")),
        (("run", "--selector", "perturb"), ("no searcher given", "known: asha, bananas")),
        (("run", "--searcher", "darts"), ("no selector given", "perturb")),
        (("run", *GOOD, "--space", "nb202"), ("unknown space 'nb202'", "'nb201'")),
        (("run", *GOOD, "--task", "digit"), ("unknown task 'digit'", "'digits'")),
        (("run", *GOOD, "--task", "digits:x"), ("task 'digits:x'", "takes nothing after its name")),
        (("run", *GOOD, "--task", "npz"), ("names no file", "npz:FILE")),
        (("run", *GOOD, "--preset", "smal"), ("unknown preset 'smal'", "'small'")),
        (("run", *GOOD, "--serchar", "x"), ("--serchar", "--searcher")),
        (("run", *GOOD, "stray"), ("stray",)),
        (("rum", *GOOD), ("'rum'", "'run'")),
        (("run", *GOOD, "--seed", "x"), ("'--seed'", "integer")),
        (("run", *GOOD, "--seed", "-1"), ("seed = -1", "at least 0")),
        (("run", *GOOD, "--seeds", "3:3"), ("seeds = '3:3'", "0:10")),
        (("run", *GOOD, "--seeds", "3"), ("seeds = '3'", "0:10")),
        (("run", *GOOD, "--seeds=-1:2"), ("seeds = '-1:2'", "FIRST from 0 on")),
        (("study", "skip", "--seeds", "3:1"), ("study skip: seeds = '3:1': expected FIRST",)),
        (("run", *GOOD, "--set", "searcher.modifiers=5"), ("searcher.modifiers = 5", "a table of modifiers")),
        (("run", *GOOD, "--set", "selector.preset=[1]"), ("selector.preset = [1]", "expected the name of one")),
        (("run", *GOOD, "--epochs", "0"), ("epochs = 0", "at least 1")),
        (("run", *GOOD, "--steps", "10"), ("steps = 10", "objective 'table'")),
        (("run", *GOOD, "--device", "quantum"), ("device 'quantum'",)),
        (("run", *GOOD, "--device", "meta"), ("device 'meta' cannot be used",)),
        (("list", "nonsense"), ("unknown kind of plug-in 'nonsense'", "searcher, selector, space")),
        (("list", "searcher", "proxyles"), ("unknown searcher 'proxyles'", "'proxyless'")),
        (("describe", "--arch", CELL, "--space", "nb2001"), ("unknown space 'nb2001'", "'nb201'")),
        (("describe", "--arch", "|nor_conv_3x3~0|"), ("nor_conv_3x3~0",)),
        (("describe", "--arch", ""), ("empty nb201 architecture", "|op~0|")),
        (("describe", "--arch", CELL.replace("skip_connect", "skip_conect")), ("skip_conect", "skip_connect")),
        (("describe", "--arch", CELL.replace("none~2", "none~3")), ("none~3",)),
        (("describe", "--arch", "Genotype(normal=[('sep_conv_3x3', 1)])"), ("Genotype",)),
        (("describe", "--arch", CELL, "--set", "scoring.channels=3"), ("--set scoring", "space_options.KEY=VALUE")),
        (("describe", "--space", "darts", "--arch", "darts_v2"), ("did you mean 'DARTS_V2'", "or a genotype, Geno")),
        (("describe", "--arch", CELL, "--plugin", "none.py"), ("none.py", "No such file")),
        (("select", "runs/searches/none", "--selector", "magnitude"), ("runs/searches/none", "no finished search")),
    ],
)
def test_names_and_values(refused: Refused, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    line = refused(*arguments)
    assert [word for word in words if word not in line] == [], line


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("searcher.alpha_lrr=1", ("unknown option of searcher 'darts' 'alpha_lrr'", "'alpha_lr'")),
        ("selector.intervall=1", ("unknown option of selector 'perturb' 'intervall'", "'interval'")),
        ("supernet.chanels=1", ("unknown option of supernet 'chanels'", "'channels'")),
        ("scoring.epoch=1", ("unknown option of scoring 'epoch'", "'epochs'")),
        ("serarcher.alpha_lr=1", ("unknown section in --set 'serarcher'", "'searcher'")),
        ("searcher.alpha_lr", ("--set 'searcher.alpha_lr'", "SECTION.KEY=VALUE")),
        ("alpha_lr=1", ("--set 'alpha_lr=1'", "SECTION.KEY=VALUE")),
        ("searcher.=1", ("--set 'searcher.=1'", "SECTION.KEY=VALUE")),
        ("searcher.alpha_lr=fast", ("searcher 'darts': alpha_lr = 'fast'", "number")),
        ("searcher.alpha_lr=-1", ("alpha_lr = -1", "greater than 0")),
        ("searcher.alpha_lr=nan", ("alpha_lr = nan", "finite")),
        ("searcher.order=3", ("order = 3", "1 or 2")),
        ("searcher.order=true", ("order = true", "true and false are no values of it")),
        ("supernet.batch=true", ("batch = true", "true and false are no values of it")),
        ("supernet.channels=0", ("channels = 0", "greater than or equal to 1")),
        ("supernet.channels=2.5", ("channels = 2.5", "integer")),
        ("supernet.lr=inf", ("lr = inf", "finite")),
        ("supernet.lr=none", ("lr = 'none'", "number")),
        ("scoring.lr_min=5", ("scoring: lr_min 5 is above lr 0.1",)),
        ("scoring.ema=1.5", ("scoring: ema = 1.5", "less than 1")),
        ("scoring.accumulate=0.5", ("scoring: accumulate = 0.5", "integer")),
        ("selector.gates=mixtur", ("gates = 'mixtur'", "'mixture'")),
        ("selector.preset=oficial", ("unknown preset of selector 'perturb' 'oficial'", "'official'")),
    ],
)
def test_settings(refused: Refused, setting: str, words: tuple[str, ...]) -> None:
    line = refused("run", "--searcher", "darts", "--selector", "perturb", "--set", setting)
    assert [word for word in words if word not in line] == [], line


@pytest.mark.parametrize(("option", "split"), [("batch", "train split of 120"), ("valid_batch", "valid split of 40")])
def test_fewer_images_than_a_batch(refused: Refused, tiny_flags: list[str], option: str, split: str) -> None:
    line = refused("run", *GOOD, *tiny_flags, "--set", f"supernet.{option}=121", "--quiet")
    assert f"{split} images: fewer than a batch, supernet.{option}=121; give supernet.{option} of " in line


@pytest.mark.parametrize("operation", ["nor_conv_5x5", "NONE"])
def test_a_constant_operation_that_does_not_exist_is_refused_before_the_search(
    refused: Refused, operation: str
) -> None:
    line = refused("run", *GOOD[:2], "--selector", "constant", "--set", f"selector.operation={operation}")
    assert f"unknown operation at position '0->1' '{operation}'" in line
    assert "nor_conv_3x3" in line


def test_an_option_that_none_of_several_has(refused: Refused) -> None:
    names = ("--searcher", "darts, proxyless", "--selector", "magnitude")
    assert "unknown option of searchers darts,proxyless: 'ordr': did you mean 'order'?" in refused(
        "run", *names, "--set", "searcher.ordr=2"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = ", ("my.toml is not TOML",)),
        ("\xff", ("not TOML",)),
        ("serch = 1", ("unknown configuration key 'serch'", "'searcher'")),
        ("[searchers]\nname = 'darts'", ("unknown configuration key 'searchers'", "'searcher'")),
        ("task = 3", ("'task' is 3", "a string")),
        ("seed = '3'", ("'seed' is '3'", "an integer")),
        ("epochs = true", ("'epochs' is True", "an integer")),
        ("device = 0", ("'device' is 0", "a string")),
        ("supernet = 5", ("'supernet' is 5", "a section")),
        ("[searcher]\nname = 3", ("'searcher.name' is 3", "a string")),
        ("objective = 'tabel'", ("unknown objective 'tabel'", "'table'")),
        ("objective = 'table'", ("table 'nb201' needs a data set", "--dataset")),
        ("task_options = 5", ("'task_options' is 5", "a section")),
        ("[task_options]\nimages = 10", ("unknown digits option 'images'", "train")),
        ("[task_options]\nnoise = 'loud'", ("noise='loud'", "at least 0")),
        ("[task_options]\ndata = 'here'", ("task_options.data", "--data")),
        ("[searcher]\nalpha_lrr = 3", ("'alpha_lrr'", "'alpha_lr'")),
    ],
)
def test_configuration_files(refused: Refused, tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    file = tmp_path / "my.toml"
    file.write_bytes(text.encode("latin-1"))
    names = () if "[searcher]\nname" in text else ("--searcher", "darts", "--selector", "magnitude")
    line = refused("run", *names, "--config", file)
    assert [word for word in words if word not in line] == [], line


def test_a_configuration_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    assert "cannot read configuration none.toml: No such file" in refused("run", *GOOD, "--config", "none.toml")
    assert "Is a directory" in refused("run", *GOOD, "--config", tmp_path)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (None, ("does not exist",)),
        ({"images": np.zeros((9, 2, 2))}, ("no array 'labels'",)),
        ({"images": np.zeros((9, 8)), "labels": np.arange(9)}, ("(9, 8)", "(n, h, w)")),
        ({"images": np.zeros((9, 8, 8, 4)), "labels": np.arange(9)}, ("(9, 8, 8, 4)", "channels")),
        ({"images": np.zeros((9, 2, 2)), "labels": np.arange(9)}, ("2x2", "4x4")),
        ({"images": np.zeros((9, 8, 8)), "labels": np.arange(8)}, ("8 for 9 images",)),
        ({"images": np.zeros((9, 8, 8)), "labels": np.zeros(9)}, ("float64", "integer")),
    ],
)
def test_task_files(refused: Refused, tmp_path: Path, arrays: dict[str, Any] | None, words: tuple[str, ...]) -> None:
    if arrays is not None:
        np.savez(tmp_path / "x.npz", **arrays)
    line = refused("run", *GOOD, "--task", f"npz:{tmp_path / 'x.npz'}")
    assert [word for word in ("x.npz", *words) if word not in line] == [], line


# -- plug-ins that cannot be used ----------------------------------------------------------------------------------

NEEDY = '''"""Wants a network that nobody gives."""
from benchbed.selector import Selector
class Needy(Selector):
    needs = frozenset({"fidelities"})
    def step(self, context):
        raise AssertionError("never reached")
'''


def test_a_need_that_the_objective_does_not_meet(refused: Refused, tmp_path: Path, tiny_flags: list[str]) -> None:
    (tmp_path / "needy.py").write_text(NEEDY)
    selectors = ("--searcher", "random", "--selector", "magnitude,needy", "--plugin", tmp_path / "needy.py")
    line = refused("run", *selectors, *tiny_flags)  # refused before the first of the two runs
    assert "selector 'needy' needs fidelities, which objective 'supernet' does not provide" in line


# -- select ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("--set", "searcher.alpha_lr=1"), ("'searcher' was fixed by the search", "selector, scoring and device")),
        (("--set", "selector.operatio=none"), ("'operatio'", "'operation'")),
        (("--set", "selector.operation=conv"), ("unknown operation", "'conv'")),
    ],
)
def test_select_refuses_what_a_search_has_fixed(
    finished: Path, refused: Refused, changes: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (search,) = (finished / "searches").iterdir()
    line = refused("select", search, "--selector", "constant", *changes)
    assert [word for word in words if word not in line] == [], line


def test_select_on_what_is_no_search(finished: Path, refused: Refused) -> None:
    (run,) = finished.glob("random-*")
    assert "holds no finished search" in refused("select", run, "--selector", "magnitude")


def test_select_on_a_search_whose_data_has_changed(
    finished: Path, refused: Refused, tmp_path: Path, tiny_file: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (search,) = (out / "searches").iterdir()
    arrays = dict(np.load(tiny_file))
    np.savez(tmp_path / tiny_file.name, images=arrays["images"] + 1, labels=arrays["labels"])
    config = json.loads((search / "config.json").read_text())
    config["task"] = f"npz:{tmp_path / tiny_file.name}"
    (search / "config.json").write_text(json.dumps(config))
    assert "(the task's data changed): search again" in refused("select", search, "--selector", "magnitude")
