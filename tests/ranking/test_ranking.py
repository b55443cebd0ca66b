"""Runs of proxies: which architectures, each function once, what is done is kept, what is not finite is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.ranking.asked import asked
from benchbed.ranking.cells import members, stand_ins
from benchbed.ranking.run import columns_of, run
from benchbed.ranking.scores import Scores, in_words, read, write
from benchbed.ranking.setting import Setting
from benchbed.spaces.load import load_space
from benchbed.spaces.nb201.space import NB201

SPACE = NB201()
SMALL = ("--set", "scoring.channels=2", "--set", "scoring.cells=1")


@pytest.fixture
def setting(tiny_file: Path) -> Setting:
    return Setting(task=f"npz:{tiny_file}", channels=2, cells=1)


@pytest.fixture
def flags(tiny_file: Path) -> tuple[str, ...]:
    return ("--task", f"npz:{tiny_file}", *SMALL, "--workers", "1", "--quiet")


# -- which -------------------------------------------------------------------------------------------------------------


def test_names_and_options_are_read_as_they_are_written() -> None:
    found = asked(["synflow,nwot:batch=8", "zico:batch=4,batches=3,grad_norm"])
    assert [one.label for one in found] == ["synflow", "nwot:batch=8", "zico:batch=4,batches=3", "grad-norm"]
    assert found[2].make().options.images == 12


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("synflo", "unknown proxy 'synflo': did you mean 'synflow'"),
        ("nwot:bach=8", "unknown option of proxy 'nwot' 'bach': did you mean 'batch'"),
        ("nwot:batch=1", "proxy 'nwot': batch = 1"),
        ("nwot:batch", "option 'batch' of a proxy: expected KEY=VALUE"),
        ("synflow,synflow", "proxy 'synflow' is given twice"),
        ("swap:mu=3", "mu and sigma regularise together"),
    ],
)
def test_what_is_no_proxy_is_one_line(text: str, said: str) -> None:
    with pytest.raises(BenchbedError) as refused:
        asked([text])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_more_cells_hold_those_that_fewer_held() -> None:
    assert members(SPACE, "7") == members(SPACE, "30")[:7]
    assert len({cell.text for cell in members(SPACE, "400")}) == 400
    assert len(members(SPACE, None)) == 15_625
    large = load_space("darts")
    assert len(set(members(large, "5"))) == 5
    with pytest.raises(BenchbedError, match="architectures: give --cells N, so many drawn at random"):
        members(large, None)


@pytest.mark.parametrize("text", ["0", "15626", "many", "-3"])
def test_a_number_of_cells_that_there_is_not(text: str) -> None:
    with pytest.raises(BenchbedError, match=f"--cells '{text}': expected a number from 1 to 15,625, or a file"):
        members(SPACE, text)


def test_cells_of_a_file_in_other_notations(tmp_path: Path) -> None:
    file = tmp_path / "cells.csv"
    file.write_text('net\n"(4, 0, 3, 1, 4, 3)"\n"(2, 4, 0, 0, 3, 2)"\n"(4, 0, 3, 1, 4, 3)"\n')
    found = members(SPACE, str(file))
    assert found[0].text.startswith("|avg_pool_3x3~0|+|skip_connect~0|none~1|")
    assert len(found) == 2
    file.write_text("arch\n|a~0|\n")
    with pytest.raises(BenchbedError, match=r"cells.csv line 2: "):
        members(SPACE, str(file))


def test_cells_of_one_function_are_scored_once_by_the_lightest() -> None:
    live = "|nor_conv_1x1~0|+|none~0|{}~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"
    cells = [SPACE.parse(live.format(op)) for op in ("nor_conv_3x3", "none", "avg_pool_3x3")]
    (instead,) = set(stand_ins(SPACE, cells))
    assert SPACE.canonical(instead) == SPACE.canonical(cells[0])
    assert instead.choices.count(3) == 1  # no 3x3 convolution that reaches nothing


# -- a run -------------------------------------------------------------------------------------------------------------


def test_a_convolution_that_is_used_twice_and_two_of_a_kind_are_scored_each(setting: Setting, tmp_path: Path) -> None:
    """They compute one function only where the two have the same weights; a dead operation still changes nothing."""
    texts = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|",
        "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|skip_connect~1|none~2|",
        "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|skip_connect~1|none~2|",
    ]
    cells = [SPACE.parse(text) for text in texts]
    assert len({SPACE.canonical(cell) for cell in cells}) == 1
    found = run(setting, asked(["snip"]), cells, tmp_path)
    once, two, dead = found.scores.columns["snip"].tolist()
    assert found.measured == {"snip": 2}
    assert once != two == dead


def test_a_run_scores_each_function_once_and_spreads_it(setting: Setting, tmp_path: Path) -> None:
    live = "|nor_conv_1x1~0|+|none~0|{}~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"
    cells = [SPACE.parse(live.format(op)) for op in ("nor_conv_3x3", "none")] + members(SPACE, "3")
    done = run(setting, asked(["synflow,params"]), cells, tmp_path)
    assert done.measured == {"synflow": 4, "params": 5}
    synflow, params = done.scores.columns.values()
    assert synflow[0] == synflow[1]
    assert params[0] > params[1]
    alone = run(setting, asked(["synflow"]), cells[4:], tmp_path / "alone")
    assert alone.scores.columns["synflow"][0] == synflow[4]


def test_what_is_done_is_not_done_again(setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = members(SPACE, "30")
    first = run(setting, asked(["synflow"]), cells, tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr("benchbed.proxies.synflow.Synflow.score", never)
    again = run(setting, asked(["synflow,params"]), cells, tmp_path)
    assert again.scores.columns["synflow"].tolist() == first.scores.columns["synflow"].tolist()
    with pytest.raises(AssertionError, match="made again"):
        run(setting.model_copy(update={"seed": 1}), asked(["synflow"]), cells, tmp_path)


def test_a_proxy_of_ranks_joins_all_that_are_compared(setting: Setting, tmp_path: Path) -> None:
    cells = members(SPACE, "6")
    columns = run(setting, asked(["az-nas:batch=8"]), cells, tmp_path).scores.columns
    parts = np.stack([values for name, values in columns.items() if "." in name], 1)
    (one,) = asked(["az-nas:batch=8"])
    assert list(columns) == [f"az-nas:batch=8{end}" for end in (
        ".expressivity", ".progressivity", ".trainability", ".complexity", "")]  # fmt: skip
    assert columns["az-nas:batch=8"] == pytest.approx(columns_of(one, parts)["az-nas:batch=8"])


def test_other_spaces_are_scored_too(tiny_file: Path, tmp_path: Path) -> None:
    for space, options in (("darts", {}), ("nats-sss", {}), ("nb201-untied", {"cells": 1})):
        small = {"channels": 4, "cells": 3} if space == "darts" else {"channels": 2, "cells": 1}
        setting = Setting(space=space, space_options=options, task=f"npz:{tiny_file}", **small)
        cells = members(load_space(space, options), "2")
        done = run(setting, asked(["synflow,nwot:batch=8,snip:batch=8"]), cells, tmp_path / space)
        assert all(np.isfinite(values).all() for values in done.scores.columns.values()), space


# -- what is not finite ------------------------------------------------------------------------------------------------


def test_scores_that_are_not_finite_are_kept_counted_and_named(setting: Setting, tmp_path: Path) -> None:
    """Nothing flows through the first cell: its images' Jacobians are zero, and all patterns alike."""
    cells = [SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), *members(SPACE, "2")]
    done = run(setting, asked(["jacov:batch=8,nwot:batch=8"]), cells, tmp_path)
    jacov, nwot = done.scores.columns.values()
    assert np.isnan(jacov[0])
    assert nwot[0] == -np.inf
    said = in_words("nwot", nwot, cells)
    assert said is not None
    assert said.startswith("nwot: 1 of 3 scores are not finite (1 infinite), the first of |none~0|+")
    file = write(tmp_path, done.scores, {})
    assert read(file, "nwot:batch=8", SPACE).columns["nwot:batch=8"].tolist() == nwot.tolist()
    assert np.isnan(read(file, "jacov:batch=8", SPACE).columns["jacov:batch=8"][0])
    assert in_words("x", np.ones(3), cells) is None


def test_a_file_of_scores_is_read_as_it_was_written(tmp_path: Path) -> None:
    cells = members(SPACE, "4")
    values = np.array([1 / 3, -np.inf, np.nan, 1e300])
    file = write(tmp_path, Scores(cells, {"a": values, "b": -values}), {"space": "nb201"})
    found = read(file, "a", SPACE)
    assert found.cells == cells
    assert np.array_equal(found.columns["a"], values, equal_nan=True)
    assert json.loads((tmp_path / "scores.json").read_text()) == {"space": "nb201"}


CELLS = [cell.text for cell in members(SPACE, "3")]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["arch,b", f"{CELLS[0]},1"], "'a'"),
        (["arch,a", f"{CELLS[0]},1", f"{CELLS[0]},2"], "line 3: .* is on line 2 already"),
        (["arch,a", f"{CELLS[0]},one"], "line 2: a holds 'one', which is not a number"),
        (["arch,a", "k3e3-k3e3,1"], "line 2: "),
        (["cell,a", f"{CELLS[0]},1"], "has no column arch"),
        ([], "scores.csv is empty"),
        (["arch;a", f"{CELLS[0]};1"], "its one column is named 'arch;a'; columns are separated by commas here"),
    ],
)
def test_a_bad_file_of_scores_is_one_line(lines: list[str], said: str, tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("\n".join([*lines, ""]))
    with pytest.raises(BenchbedError, match=said) as refused:
        read(file, "a", SPACE)
    assert "\n" not in str(refused.value)


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_line_a_cell(command: Callable[..., Any], flags: tuple[str, ...], tmp_path: Path) -> None:
    words = ("proxy", "run", "--proxy", "synflow,params", "--cells", 4, "--out", tmp_path / "out", *flags)
    done = command(*words)
    assert (done.status, done.err) == (0, "")
    assert "synflow: " in done.out
    assert f"written: {tmp_path / 'out' / 'scores.csv'}" in done.out
    text = (tmp_path / "out" / "scores.csv").read_text()
    assert text.splitlines()[0] == "arch,synflow,params"
    assert len(text.splitlines()) == 5
    again = command(*words, "--json")
    assert json.loads(again.out)["networks"]["params"] == 4
    assert (tmp_path / "out" / "scores.csv").read_text() == text


def test_workers_give_the_same_scores(command: Callable[..., Any], flags: tuple[str, ...], tmp_path: Path) -> None:
    words = ("proxy", "run", "--proxy", "synflow,snip:batch=8,params", "--cells", 30, *flags)
    texts = []
    for workers in (1, 2):
        assert command(*words, "--out", tmp_path / str(workers), "--workers", workers).status == 0
        texts.append((tmp_path / str(workers) / "scores.csv").read_text())
    assert texts[0] == texts[1]


def test_a_proxy_of_ones_own(command: Callable[..., Any], flags: tuple[str, ...], tmp_path: Path) -> None:
    assert command("new", "proxy", "my-own", "--out", tmp_path).status == 0
    file = tmp_path / "my_own.py"
    checked = command("check", file)
    assert checked.status == 0, checked.out
    done = command("proxy", "run", "--plugin", file, "--proxy", "my-own:batch=8", "--cells", 2, "--out",
                   tmp_path / "out", *flags)  # fmt: skip
    assert done.status == 0, done.err
    assert (tmp_path / "out" / "scores.csv").read_text().startswith("arch,my-own:batch=8\n")


NO_NETWORK = '''"""A space that has no discrete network."""
from benchbed.testing.toys import ToySpace

class Mine(ToySpace):
    pass
'''


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--proxy", "synflo"), "unknown proxy 'synflo'"),
        (("--proxy", "zico"), "looks at 256 training images, task 'npz:tiny.npz' has"),
        (("--cells", "0"), "--cells '0': expected a number from 1"),
        (("--space", "nb20"), "unknown space 'nb20'"),
        (("--set", "scoring.epochs=3"), "--set scoring.epochs: proxies take"),
        (("--set", "searcher.alpha_lr=3"), "--set searcher: proxies take"),
        (("--set", "scoring.channels=0"), "channels = 0"),
        (("--workers", "0"), "--workers 0: at least one is needed"),
    ],
)
def test_what_is_refused_is_one_line(
    words: tuple[str, ...], said: str, refused: Callable[..., str], flags: tuple[str, ...]
) -> None:
    given = {"--proxy": "synflow", "--cells": "2", **dict(zip(words[::2], words[1::2], strict=True))}
    flat = [part for pair in given.items() for part in pair]
    assert said in refused("proxy", "run", "--out", "out", *flags, *flat)


def test_a_space_without_a_network(refused: Callable[..., str], flags: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text(NO_NETWORK)
    line = refused("proxy", "run", "--plugin", tmp_path / "bare.py", "--space", "bare", "--proxy", "synflow",
                   "--out", "out", *flags)  # fmt: skip
    assert "space 'bare' has no discrete network" in line
