"""One merge: which protocol a run follows, what lies over it, who set each value, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.pipeline import protocol as room
from benchbed.pipeline.build import run_id, search_id, task_of
from benchbed.pipeline.given import configuration, names_in, seeds_in
from benchbed.pipeline.record import upgraded_config
from benchbed.pipeline.resolve import expand, resolve
from benchbed.protocols.load import Protocol
from benchbed.report.protocols import explained

FILE = '[values]\nepochs = 3\n[sources]\n"*" = "a test"\n'
USERS = '''"""A user's searcher."""
from benchbed.searchers.darts import DARTS
class Mine(DARTS):
    """DARTS again."""
'''


def protocol(name: str, **applies: Any) -> Protocol:
    values = {"space": "nb201", "searcher": "gdas", "selector": "magnitude", "seeds": "3:5", "epochs": 7}
    values["scoring"] = {"channels": 2, "cells": 1, "epochs": 1, "batch": 8, "lr": 0.1}
    return Protocol(
        name=name, summary="a test", paper="ours", applies=applies, values=values, sources={"*": "section 9"}
    )


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """known(a, b): these protocols beside our own."""

    def add(*more: Protocol) -> None:
        of = {p.name: p for p in (*room.protocols(), *more)}
        monkeypatch.setattr(room, "protocols", lambda: list(of.values()))
        monkeypatch.setattr(room, "load", of.__getitem__)
        monkeypatch.setattr("benchbed.report.protocols.load", of.__getitem__)

    return add


def test_a_named_protocol_says_what_is_run_and_flags_win(known: Callable[..., None]) -> None:
    known(protocol("whole"))
    raw = configuration({"protocol": "whole", "task": "digits"}, {})
    assert (names_in(raw, "searcher"), names_in(raw, "selector"), seeds_in(raw)) == (["gdas"], ["magnitude"], [3, 4])
    raw = configuration({"protocol": "whole", "task": "digits"}, {"searcher": "darts", "seed": 9, "epochs": 2})
    assert (names_in(raw, "searcher"), seeds_in(raw)) == (["darts"], [9])
    (config,) = expand(raw | {"supernet": {"channels": 4}}, ["darts"], ["magnitude"], [9])
    assert (config.protocol, config.epochs) == ("whole", 2)


def test_every_value_says_who_set_it(known: Callable[..., None], tmp_path: Path) -> None:
    known(protocol("whole"))
    mine = tmp_path / "mine.toml"
    mine.write_text('protocol = "whole"\n[supernet]\nlr = 0.3\nbatch = 32\n[searcher]\nalpha_lr = 0.5\n')
    raw = configuration(mine, {"task": "digits", "selector": "random"}, ["supernet.batch=16"])
    config = resolve(raw, "gdas", "random", 3)
    said = {key: (value, origin, source) for key, value, origin, source in explained(config)}
    assert said["epochs"] == (7, "protocol whole", "section 9")
    assert said["searcher.name"] == ("gdas", "protocol whole", "section 9")
    assert said["selector.name"] == ("random", "--selector", "")
    assert said["searcher.alpha_lr"] == (0.5, "mine.toml", "")
    assert said["supernet.lr"][1] == "mine.toml"
    assert said["supernet.batch"][:2] == (16, "--set")
    assert said["supernet.channels"][1] == "default of the option"
    assert resolve({"epochs": 3}, "gdas", "random", 3).origins["epochs"] == "given"


def test_ids_of_uniform_sampling_are_from_before_there_was_another(tiny: dict[str, Any]) -> None:
    keys = [
        expand({**tiny, "searcher": given}, [name], ["magnitude"], [0])[0].search_key()["searcher"]["options"]
        for name, given in (("random", {}), ("random", {"sampling": "uniform"}), ("random", {"sampling": "fair"}))
    ]
    assert keys == [{}, {}, {"sampling": "fair"}]


def test_origins_and_the_protocols_name_are_no_part_of_an_identity(tiny: dict[str, Any]) -> None:
    one = resolve(tiny, "darts", "magnitude", 0)
    other = resolve(configuration(tiny, {}), "darts", "magnitude", 0).model_copy(update={"protocol": "another"})
    assert one.origins != other.origins
    assert run_id(one, task_of(one)) == run_id(other, task_of(other))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            {"protocol": "small-digits", "objective": "table", "table": "nb201-digits"},
            "is for objective supernet, not 'table'",
        ),
        ({"protocol": "here", "space": "macro", "task": "cifar10"}, "is for space nb201, not 'macro': --protocol"),
        ({"protocol": "here", "task": "svhn"}, "is for task cifar10, not 'svhn'"),
        ({"protocol": "smal-digits"}, "did you mean 'small-digits'"),
        ({"protocol": "table", "preset": "table"}, "preset 'table' is the old name"),
        ({"preset": "papers"}, "unknown preset 'papers': did you mean 'paper'"),
    ],
)
def test_a_protocol_elsewhere_is_refused(
    raw: dict[str, Any], said: str, known: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if raw.get("protocol") == "here":
        known(protocol("here", spaces=("nb201",), tasks=("cifar10",), searchers=("gdas",)))
    with pytest.raises(BenchbedError, match=said.replace("[", r"\[")) as error:
        resolve({"table": "none", **raw} if raw.get("objective") != "table" else raw, "gdas", "magnitude", 0)
    assert "\n" not in str(error.value)


def test_published_data_take_the_one_protocol_that_fits(known: Callable[..., None]) -> None:
    ours = room.protocols()
    raw = {"space": "macro", "task": "svhn"}
    of = {"spaces": ("macro",), "tasks": ("svhn",), "searchers": ("gdas",)}
    with pytest.raises(BenchbedError, match="no paper's protocol is for gdas x macro x svhn: add --protocol generic"):
        resolve(raw, "gdas", "magnitude", 0)
    known(protocol("one", **of), protocol("elsewhere", **{**of, "spaces": ("nb201",)}))
    assert (resolve(raw, "gdas", "magnitude", 0).protocol, resolve(raw, "gdas", "magnitude", 0).epochs) == ("one", 7)
    with pytest.raises(BenchbedError, match="no paper's protocol is for darts x macro x svhn"):
        resolve(raw, "darts", "magnitude", 0)
    known(*ours, protocol("two", **of))
    with pytest.raises(BenchbedError, match=r"several protocols are for gdas x macro x svhn: add --protocol one\|two"):
        resolve(raw, "gdas", "magnitude", 0)


def test_an_old_name_does_what_it_did_and_says_once_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(room, "_said", set())
    found = [resolve({"preset": "paper", "table": "none"}, "darts", "magnitude", seed) for seed in (0, 1)]
    assert [config.protocol for config in found] == ["generic-paper"] * 2
    err = capsys.readouterr().err
    assert err == "benchbed: preset paper is an old name, gone in the next release: type --protocol generic-paper\n"
    assert upgraded_config({"preset": "paper", "seed": 1}) == {"protocol": "generic-paper", "seed": 1}


def test_an_old_set_of_a_selector_is_still_read(capsys: pytest.CaptureFixture[str]) -> None:
    options = resolve({"selector": {"preset": "small"}, "protocol": "generic-paper"}, "darts", "perturb", 0)
    assert (options.selector.options["interval"], options.selector.options["schedule"]) == (1, "even")


def test_a_users_searcher_takes_the_settings_of_ours_that_it_extends_and_its_own_old_presets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(room, "_said", set())
    for name, more in (("extending", ""), ("declaring", "    presets = {'small': {'supernet': {'lr': 0.4}}}\n")):
        (tmp_path / f"{name}.py").write_text(USERS + more)
        registry.add_file(tmp_path / f"{name}.py")
    mine, ours = (resolve({}, name, "magnitude", 0) for name in ("extending", "darts"))
    assert (mine.searcher.options, mine.epochs) == (ours.searcher.options, ours.epochs)
    assert resolve({}, "extending+sdarts-rs", "magnitude", 0).epochs == ours.epochs
    assert capsys.readouterr().err == ""
    assert resolve({}, "declaring", "magnitude", 0).supernet.lr == 0.4
    assert "the presets of searcher 'declaring' is an old name" in capsys.readouterr().err


def test_a_copy_of_a_protocol_is_the_same_search(command: Callable[..., Any], tmp_path: Path) -> None:
    flags = ("--searcher", "darts", "--selector", "perturb")
    copy = tmp_path / "mine.toml"
    copy.write_text(command("config", "small-digits", *flags).out)
    assert "alpha_lr = 0.003  # ours, measured: results/small-preset.md\n" in copy.read_text()
    ids = []
    for raw in (configuration(copy, {}), configuration(None, {"searcher": "darts", "selector": "perturb"})):
        (config,) = expand(raw, names_in(raw, "searcher"), names_in(raw, "selector"), seeds_in(raw))
        ids.append((search_id(config, task_of(config)), run_id(config, task_of(config))))
    assert ids[0] == ids[1]


@pytest.mark.parametrize(("name", "left"), [("mobile", 1), ("gpu", 2), ("cpu", 2)])
def test_a_copy_leaves_open_what_the_user_must_fill_in(
    name: str, left: int, command: Callable[..., Any], tmp_path: Path
) -> None:
    done, file = command("config", f"proxyless-imagenet-{name}"), tmp_path / "mine.toml"
    assert (done.status, done.out.count(" = ...  # fill in, ")) == (0, left)
    file.write_text(done.out)
    refusal = command("run", "--config", file, "--dry-run")
    assert refusal.err == "benchbed: cost.table is missing: a search that pays for latency needs --latency TABLE\n"
    filled = done.out.replace("# table = ...", 'table = "macs"  #').replace("# target = ...", "target = 300.0  #")
    file.write_text(filled)
    refusal = command("run", "--config", file, "--dry-run")
    assert refusal.err.startswith("benchbed: task 'imagenet' needs its images, data=DIR: ")


def test_explain_runs_nothing_and_list_names_every_protocol(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")  # so that no line is broken
    out = command("run", "--searcher", "darts", "--selector", "magnitude", "--epochs", 3, "--explain").out
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines() if line.strip()}
    assert lines["epochs"] == "3 --epochs"
    assert lines["supernet.lr"] == "0.1 protocol small-digits ours, measured: results/small-preset.md"
    assert not (tmp_path / "runs").exists()
    listed = command("list", "protocols").out
    assert all(name in listed for name in ("small-digits", "table", "generic-paper"))
