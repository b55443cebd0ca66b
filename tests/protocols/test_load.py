"""Protocol files: what is read, what holds for whom, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchbed.errors import BenchbedError
from benchbed.pipeline.resolve import resolve
from benchbed.protocols.load import Protocol, Value, load, names, protocols, read

FROZEN = json.loads((Path(__file__).parent / "presets-426fd38.json").read_text())
SUCCESSOR = {"small": "small-digits", "paper": "generic-paper", "table": "table"}
MEASURED_SINCE = {("small", "gdas"): {"alpha_lr": 0.03}}  # results/small-protocols.md
HEAD = 'summary = "a test"\npaper = "ours"\n[for]\n'
GOOD = HEAD + '[values]\nepochs = 3\n[values.searchers.darts]\nalpha_lr = 1.0\n[sources]\n"*" = "ours"\n'


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def written(folder: Path, text: str) -> Protocol:
    file = folder / "mine.toml"
    file.write_text(text)
    return read(file)


@pytest.mark.parametrize("preset", SUCCESSOR)
def test_a_protocol_gives_every_pair_what_the_preset_before_it_gave(
    preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Searchers by spaces at one selector, then selectors: what each gave did not depend on the other (426fd38)."""
    frozen, values = FROZEN["runs"][preset], FROZEN["values"]
    raw = {"objective": "table", "table": "nb201-digits"} if preset == "table" else {"table": "none"}
    assert len(frozen["search"]) >= 15
    for pair, index in frozen["search"].items():
        space, searcher = pair.split()
        config = plain(resolve({**raw, "preset": preset, "space": space}, searcher, "magnitude", 0).model_dump())
        was = values[index]
        assert (config["protocol"], config["epochs"]) == (SUCCESSOR[preset], was["epochs"]), pair
        later = {"compile": False, "partial": 1}  # options that there were none of
        assert config["supernet"] == (was["supernet"] and {**later, **was["supernet"]}), pair
        options = was["options"] | MEASURED_SINCE.get((preset, searcher), {})
        assert {k: config["searcher"]["options"][k] for k in options} == options, pair
        assert config["scoring"] == values[frozen["scoring"][space]], pair
        assert config["space_options"] == values[frozen["space_options"][space]], pair
    for selector, index in frozen["selector"].items():
        options = resolve({**raw, "preset": preset}, "darts", selector, 0).selector.options
        assert {k: plain(options)[k] for k in values[index]} == values[index], selector
    assert len(capsys.readouterr().err.splitlines()) <= 1  # once a process: what to type now


def test_later_cases_win_and_a_plug_in_takes_those_of_the_one_that_it_extends(tmp_path: Path) -> None:
    cases = (
        '[[case]]\nsearcher = "darts"\nsource = "one"\nvalues.epochs = 4\n'
        '[[case]]\nsearcher = ["darts", "gdas"]\nspace = "nb201"\nsource = "two"\nvalues.epochs = 5\n'
    )
    mine = written(tmp_path, GOOD + cases)
    assert mine.values_for({"searcher": ("proxyless",)})["epochs"] == Value(3, "ours")
    assert mine.values_for({"searcher": ("darts",), "space": ("macro",)})["epochs"] == Value(4, "one")
    assert mine.values_for({"searcher": ("gdas",), "space": ("macro",)})["epochs"] == Value(3, "ours")
    assert mine.values_for({"searcher": ("gdas",), "space": ("nb201",)})["epochs"] == Value(5, "two")
    extending = mine.values_for({"searcher": ("mine", "darts"), "space": ("nb201",)})
    assert (extending["epochs"].value, extending["searcher.alpha_lr"].value) == (5, 1.0)


def test_the_source_of_the_longest_key_counts(tmp_path: Path) -> None:
    sources = '"searchers.*" = "a"\n"searchers.darts.*" = "b"\n'
    mine = written(tmp_path, GOOD + sources + 'searchers.darts.alpha_lr = "c"\n')
    assert mine.values_for({"searcher": ("darts",)})["searcher.alpha_lr"].source == "c"
    mine = written(tmp_path, GOOD + sources)
    assert mine.values_for({"searcher": ("darts",)})["searcher.alpha_lr"].source == "b"


def test_what_a_protocol_is_for(tmp_path: Path) -> None:
    mine = written(tmp_path, GOOD.replace("[for]\n", '[for]\nspaces = ["nb201"]\ntasks = ["cifar10"]\n'))
    here = {"space": ("nb201",), "task": ("cifar10",), "searcher": ("darts",)}
    assert mine.misfit(here, "supernet") is None
    assert mine.misfit({"space": ("nb201",)}) is None  # the task is not asked
    assert mine.misfit({**here, "space": ("darts",)}) == "space nb201, not 'darts'"
    assert mine.misfit(here, "table") == "objective supernet, not 'table'"
    assert not mine.specific  # it names no searcher


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace('summary = "a test"\n', ""), "summary"),
        (GOOD.replace("[for]\n", ""), "the section [for] is missing"),
        (GOOD.replace('"*" = "ours"', '"epochs" = "ours"'), "'searchers.darts.alpha_lr' has no source"),
        (GOOD.replace('"*" = "ours"', '"*" = ""'), "the source of '*' is not a text"),
        (GOOD.replace("epochs = 3", "epoch = 3"), "did you mean 'epochs'"),
        (GOOD.replace("epochs = 3", "epochs = {a = 1}"), "expected a value"),
        (GOOD.replace("epochs = 3", "supernet = 3"), "expected a section"),
        (GOOD.replace("[values.searchers.darts]\nalpha_lr", "[values.searchers]\ndarts"), "expected a section of"),
        (GOOD + '[[case]]\nsercher = "darts"\nvalues = {}\n', "sercher"),
        (GOOD.replace("[for]\n", '[for]\nobjective = "tables"\n'), "objective"),
        (
            GOOD + '[[case]]\nsearcher = "darts"\nvalues.task = "cifar10"\n',
            "a case sets 'task': expected epochs, steps, fidelity",
        ),
        ("summary = ", "mine.toml"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BenchbedError, match=re.escape(said)) as error:
        written(tmp_path, text)
    assert "mine" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(BenchbedError, match="unknown protocol 'small-digit': did you mean 'small-digits'"):
        load("small-digit")


def test_every_protocol_is_read() -> None:
    assert [p.name for p in protocols()] == names()
    assert {"small-digits", "table", "generic-paper"} <= set(names())
