"""The promises of the README and of the pages of docs/: commands parse, figures are those of results/, examples run."""

import csv
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
import typer

from benchbed import registry
from benchbed.cli.main import app
from benchbed.layers.plan import plan
from benchbed.pipeline.build import run_id, task_in
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.runtime.options import RunOptions
from benchbed.stats.interval import mean_interval
from benchbed.stats.paired import permutation
from benchbed.sweep.study import read_study

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
PAGES["README.md"] = README
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
PROGRAM = re.compile(r"^(?:PYTHONPATH=\S+ |\.venv/bin/|torchrun --nproc-per-node \d+ -m |python -m )*benchbed (?=\w)")
OTHERS = {"docs/promises.md", "docs/sweep.md"}  # whose lines others keep short


def blocks(page: str, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(PAGES[page]) if kind == language]


def commands(page: str) -> Iterator[str]:
    """Every command of benchbed on a page, in a block of shell or an indented one, continued lines joined."""
    parts = blocks(page, "sh") + INDENTED.findall(FENCE.sub("", PAGES[page]))
    for part in parts:
        for line in re.sub(r"\\\n\s*", "", part).splitlines():
            for one in line.strip().split(" && "):
                if PROGRAM.match(one):
                    yield PROGRAM.sub("", one)


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and the rest of them."""
    found = typer.main.get_command(app)
    context = found.context_class(found, info_name="benchbed")
    while words and hasattr(found, "get_command"):
        inner = found.get_command(context, words[0])
        if inner is None:
            break
        found, words = inner, words[1:]
        context = found.context_class(found, info_name="x", parent=context)
    return found, words


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 8192


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_command_and_option_exists(page: str) -> None:
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if "--plugin" in words and words[0] == "study":
            continue  # a study of one's own, on docs/studies.md: its test runs it
        command, rest = command_of(words)
        assert not hasattr(command, "get_command") or rest[:1] in ([], ["--help"]), line
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        given = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert given <= known, f"{page}: {line}"


def test_commands_are_found() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 90
    assert len(list(commands("README.md"))) == 2


@pytest.mark.parametrize("page", sorted(PAGES))
def test_no_placeholder_and_no_dead_link(page: str) -> None:
    assert "@@" not in PAGES[page]
    prose = FENCE.sub("", PAGES[page])
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
        if link.startswith("https://") or "reference/" in link:  # tests/test_site.py follows the generated ones
            continue
        assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"


@pytest.mark.parametrize("page", sorted(PAGES.keys() - OTHERS))
def test_lines_are_short(page: str) -> None:
    """But for rows of tables, and output and commands as they are."""
    prose = FENCE.sub("", PAGES[page])
    assert [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_the_searcher_on_its_page_is_the_example() -> None:
    (block,) = blocks("docs/own-searcher.md", "python")
    assert block == (ROOT / "examples" / "gumbel.py").read_text()
    assert len(block.splitlines()) <= 30


def test_the_readmes_python_runs_and_prints_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("Agg")
    (block,) = blocks("README.md", "python")
    assert len(block.splitlines()) == 6
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    pyplot.close("all")
    (claim,) = re.findall(r"`(\+2\.98 points.*?)`", README)
    assert claim in capsys.readouterr().out
    assert (tmp_path / "accuracy.svg").stat().st_size > 0


# ---- figures


def of_selection() -> dict[tuple[str, str], dict[int, dict[str, Any]]]:
    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for line in (ROOT / "results" / "selection.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.setdefault((row["searcher"], row["selector"]), {})[row["seed"]] = row
    return found


def of_the_first_run(interval: int) -> list[dict[str, Any]]:
    """The runs of results/first-run.md that tune so many epochs between decisions, by seed."""
    lines = (ROOT / "results" / "first-run.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["selector"] == "perturb" and row["seed"] < 10]
    own = [row for row in rows if (row["interval"], row["race"], row["tune_alpha"]) == (interval, None, True)]
    return sorted(own, key=lambda row: int(row["seed"]))


def test_the_first_run_is_the_committed_line() -> None:
    first = of_the_first_run(0)[0]  # its id is of the plug-ins of its day; the pages' is tested by itself
    assert first["architecture"] in PAGES["docs/install.md"]
    for page in ("README.md", "docs/install.md"):
        (printed,) = re.findall(r"test accuracy +([\d.]+) %, digits in table", PAGES[page])
        assert abs(float(printed) - first["test_accuracy"]) <= 0.0051
    shared = README.split("```text\n")[1].split("```")[0].splitlines()
    assert [line for line in shared if line not in PAGES["docs/install.md"]] == ["..."]


def test_what_the_control_gets() -> None:
    found = of_selection()

    def above(pair: tuple[str, str]) -> list[float]:
        control = found[pair[0], "constant"]
        return [found[pair][seed]["test_accuracy"] - control[seed]["test_accuracy"] for seed in range(10)]

    ours, control = (found["sdarts-rs", selector].values() for selector in ("perturb", "constant"))
    means = [mean(row["test_accuracy"] for row in rows) for rows in (ours, control)]
    difference = mean_interval(above(("sdarts-rs", "perturb")))
    text = " ".join(README.split())
    untuned = [row["test_accuracy"] for row in of_the_first_run(0)]
    tuned = [row["test_accuracy"] for row in of_the_first_run(1)]
    assert tuned == pytest.approx([row["test_accuracy"] for row in ours])
    cost = mean_interval([a - b for a, b in zip(untuned, tuned, strict=True)])
    assert f"{cost.mean:+.2f} points ({cost.low:+.2f} to {cost.high:+.2f})" in text
    assert f"this pair's mean is {means[0]:.2f} %" in text
    assert f"the constant cell at {means[1]:.2f} %" in text
    assert f"{difference.mean:+.2f} points (95 % interval {difference.low:+.2f} to {difference.high:+.2f}" in text
    assert f"p = {permutation(above(('sdarts-rs', 'perturb'))).p:.3f}, uncorrected" in text
    with (ROOT / "results" / "selection.csv").open() as file:
        rows = list(csv.DictReader(file))
    (corrected,) = (float(row["p"]) for row in rows if row["selector"] == "constant")
    compared = sum(bool(row["p"]) for row in rows)
    assert f"after Holm's correction for {compared} comparisons neither is this one" in text
    assert f"(p = {corrected:.2f})" in text
    drawn = [pair for pair in found if pair[1] in ("perturb", "perturb-magnitude", "magnitude")]
    shown = [pair for pair in drawn if mean(above(pair)) > 0 and permutation(above(pair)).p < 0.05]
    assert shown == [("sdarts-rs", "perturb")]


def test_the_picture_is_made_of_the_committed_lines() -> None:
    source: dict[str, Any] = {"__name__": "picture", "__file__": str(ROOT / "results" / "readme_picture.py")}
    exec((ROOT / "results" / "readme_picture.py").read_text(), source)
    kept, made = (ROOT / "results" / "readme-picture.svg").read_bytes(), source["picture"]()
    words = re.compile(rb"<!-- (.*?) -->")
    assert words.findall(made) == words.findall(kept)
    mark = re.compile(rb'<use xlink:href="#m\w+" x="([\d.]+)" y="([\d.]+)"')
    places = [np.array(mark.findall(svg), dtype=float) for svg in (made, kept)]
    assert len(places[0]) > 150
    np.testing.assert_allclose(*places, atol=0.5)


def test_the_grids_rows_are_those_of_the_reference() -> None:
    with (ROOT / "results" / "reference" / "digits-grid.csv").open() as file:
        means = {(row["searcher"], row["selector"]): row for row in csv.DictReader(file)}
    for page, count in (("README.md", 5), ("docs/compare.md", 20)):
        line = re.compile(r"^\W*(\w+)[ │]+([\w-]+)[ │]+10[ │]+([\d.]+)[ │]+([\d.]+) ", re.MULTILINE)
        rows = line.findall(PAGES[page])
        assert len(rows) == count
        for searcher, selector, average, deviation in rows:
            row = means.get((searcher, selector)) or means["any", selector]
            assert abs(float(row["mean"]) - float(average)) <= 0.0051, (searcher, selector)
            assert abs(float(row["deviation"]) - float(deviation)) <= 0.0051, (searcher, selector)
    assert "+1.76 points, +0.47 to +3.05, 7 of 10 seeds" in README
    assert re.search(r"darts +│ magnitude +│ +10 │ \+1\.76 │ +\+0\.47 to \+3\.05 +│ +7 of 10", PAGES["docs/compare.md"])
    assert "+0.86 points, -0.11 to +1.83, 6 of 10 seeds" in README
    assert re.search(r"darts +│ constant +│ +10 │ \+0\.86 │ +-0\.11 to \+1\.83 +│ +6 of 10", PAGES["docs/compare.md"])


def test_which_cells_the_auditing_page_finds(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = [line for line in commands("docs/audit.md") if "nb201-digits" in line]
    typer.main.get_command(app)(shlex.split(line), standalone_mode=False)
    (printed,) = blocks("docs/audit.md", "text")
    assert capsys.readouterr().out == printed


# ---- examples


@pytest.fixture
def images(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 3
    pictures = rng.normal(0, 0.3, (240, 8, 8)) + labels[:, None, None] * np.eye(8)
    np.savez(tmp_path / "images.npz", images=pictures.astype(np.float32), labels=labels)
    return f"npz:{tmp_path / 'images.npz'}"


@pytest.mark.parametrize(
    ("file", "space", "searcher", "selector"),
    [("gumbel.py", "nb201", "gumbel", "magnitude"), ("chain.py", "chain", "proxyless", "perturb")],
)
def test_the_examples_run(
    file: str, space: str, searcher: str, selector: str, images: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_USER_FILES", {})
    registry.add_file(ROOT / "examples" / file)
    small = {"channels": 4, "cells": 1}
    raw = {
        "space": space,
        "task": images,
        "epochs": 4,
        "supernet": {**small, "batch": 16, "valid_batch": 16, "eval_batch": 24},
        "scoring": {**small, "epochs": 6, "batch": 16},
    }
    configs = expand(raw, [searcher], [selector], [0])
    (record,) = run_all(configs, RunOptions(tmp_path / "runs", torch.device("cpu")))
    where = registry.load("space", space)()
    assert str(where.parse(record["architecture"])) == record["architecture"]
    assert record["test_accuracy"] > 100 / 3  # three classes that a convolution tells apart


def test_the_chain_probes_operations_that_do_not_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probed operations change no output and get a gradient all the same."""
    monkeypatch.setattr(registry, "_USER_FILES", {})
    registry.add_file(ROOT / "examples" / "chain.py")
    space = registry.load("space", "chain")()
    module = __import__(type(space).__module__)
    torch.manual_seed(0)
    network, batch = module.Supernet(4, 1, 3, 1), torch.randn(6, 1, 8, 8)
    gates = torch.from_numpy(space.gates(space.parse("conv3-skip-conv5"))).requires_grad_()
    need = torch.ones(3, 3, dtype=torch.bool)
    alone, probed = network(batch, gates, plan(gates)), network(batch, gates, plan(gates, need))
    torch.testing.assert_close(alone, probed)
    (gradient,) = torch.autograd.grad(probed.square().sum(), gates)
    assert gradient.isfinite().all()
    assert (gradient != 0).all()


def test_the_images_of_ones_own_can_be_searched_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("docs/own-data.md", "python")
    exec(compile(block, "own-data.md", "exec"), {})
    (line,) = commands("docs/own-data.md")
    assert line.startswith("run --task npz:mine.npz ")
    configs = expand({"task": "npz:mine.npz"}, ["darts"], ["magnitude"], [0])
    assert task_in({}, configs[0]).classes == 10


def test_the_ids_that_pages_print_are_those_of_their_commands(tmp_path: Path) -> None:
    """An id holds a plug-in's options: a new option makes new ones."""
    (first,) = expand({"selector": {"interval": 0}}, ["darts+sdarts-rs"], ["perturb"], [0])
    for page in ("README.md", "docs/install.md"):
        assert f"runs/{run_id(first, task_in({}, first))}/record.json" in PAGES[page]
    tutorial = PAGES["docs/tutorial.md"]
    (study,) = (block for block in re.findall(r"```toml\n(.*?)```", tutorial, re.DOTALL) if "[grid]" in block)
    (tmp_path / "study.toml").write_text(study)
    runs = {run.id for run in read_study(tmp_path / "study.toml").runs}
    named = set(re.findall(r"runs/study/([a-z0-9-]+-s\d+-[0-9a-f]{10})", tutorial))
    assert named
    assert named <= runs
