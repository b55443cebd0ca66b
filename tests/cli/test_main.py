"""The command line: what is printed, what wins over what, what is shared; bad input is in test_bad_input."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from benchbed import registry
from benchbed.cli.main import app
from benchbed.errors import BenchbedError
from benchbed.pipeline.config import RunConfig
from benchbed.spaces.nb201.space import NB201
from benchbed.typed import allowed

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
Command = Callable[..., Any]


# -- run ---------------------------------------------------------------------------------------------------------------


def test_a_run_prints_what_its_record_holds_and_the_next_command_works(
    command: Command, tmp_path: Path, tiny_flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("run", "--searcher", "random", "--selector", "random", *tiny_flags)
    outcome = command(*arguments)
    assert outcome.status == 0
    (file,) = (tmp_path / "runs").glob("random-random-*/record.json")  # `runs` is the default folder
    record = json.loads(file.read_text())
    lines = outcome.out.splitlines()
    for shown in (
        record["architecture"],
        f"{record['test_accuracy']:.2f} %",
        f"{record['valid_accuracy']:.2f} %",
        f"{record['supernet_accuracy']:.2f} %",
        f"{record['network']['params']:,}",
        f"{record['network']['flops']:,}",
        f"{record['facts']['parameter_free']:.0%}",
        f"search {record['seconds']['search']:.1f}",
        f"runs/{record['id']}/record.json",
    ):
        assert any(shown in line for line in lines), shown
    progress = outcome.err.splitlines()
    assert [line for line in progress if line.startswith("epoch   ")] == progress[:2]
    assert "trained the cell" in progress[-1]
    (following,) = [line for line in lines if "benchbed select" in line]
    words = shlex.split(following)
    again = command(*words[words.index("select") :], "--quiet")
    assert again.status == 0
    assert "random x magnitude" in again.out
    assert len(list((tmp_path / "runs" / "searches").iterdir())) == 1
    assert len(list((tmp_path / "runs").glob("random-magnitude-*/record.json"))) == 1
    done = command(*arguments)
    assert done.out == outcome.out
    assert done.err.startswith("done before: runs/random-random-")


def test_quiet_prints_the_result_alone(command: Command, tmp_path: Path, tiny_flags: list[str]) -> None:
    outcome = command("run", "--searcher", "random", "--selector", "random", *tiny_flags, "--out", tmp_path, "--quiet")
    assert (outcome.status, outcome.err) == (0, "")
    assert "test accuracy" in outcome.out


def test_seeds_and_several_names_with_commas_share_what_they_can(
    command: Command, tmp_path: Path, tiny_flags: list[str]
) -> None:
    names = ("--searcher", "random", "--selector", "constant, random", "--seeds", "0:3")
    outcome = command("run", *names, *tiny_flags, "--out", tmp_path, "--quiet")
    assert outcome.status == 0
    records = [json.loads(p.read_text()) for p in tmp_path.glob("random-*/record.json")]
    assert sorted((r["selector"], r["seed"]) for r in records) == [
        (t, n) for t in ("constant", "random") for n in range(3)
    ]
    assert len(list((tmp_path / "searches").iterdir())) == 3
    assert "all equal" in outcome.out  # the differences of a selector that chooses the same
    table = outcome.out[: outcome.out.index("constant minus")].splitlines()
    for selector in ("constant", "random"):
        mean = sum(r["test_accuracy"] for r in records if r["selector"] == selector) / 3
        (line,) = [x for x in table if x.split()[1:2] == [selector]]
        assert f"{mean:.2f}" in line


def test_select_takes_several_with_commas(command: Command, tmp_path: Path, tiny_flags: list[str]) -> None:
    run = ("run", "--searcher", "random", "--selector", "random", *tiny_flags, "--out", tmp_path, "--quiet")
    assert command(*run).status == 0
    (search,) = (tmp_path / "searches").iterdir()
    scoring = [x for x in tiny_flags if x.startswith("scoring.")]
    settings = [word for setting in scoring for word in ("--set", setting)]
    outcome = command("select", search, "--selector", "constant,magnitude", *settings, "--quiet")
    assert outcome.status == 0
    assert sorted(p.parent.name.split("-")[1] for p in tmp_path.glob("random-*/record.json")) == [
        "constant",
        "magnitude",
        "random",
    ]
    assert "constant" in outcome.out
    assert "magnitude" in outcome.out


def test_force_makes_it_again(command: Command, tmp_path: Path, tiny_flags: list[str]) -> None:
    run = ("run", "--searcher", "random", "--selector", "random", *tiny_flags, "--out", tmp_path)
    assert command(*run).status == 0
    (file,) = tmp_path.glob("random-*/record.json")
    before = json.loads(file.read_text())
    assert "done before" in command(*run).err
    assert json.loads(file.read_text()) == before
    assert "epoch   1/2" in command(*run, "--force").err
    after = json.loads(file.read_text())
    assert after["seconds"] != before["seconds"]
    assert after["state_sha256"] == before["state_sha256"]


def test_a_dry_run_leaves_nothing(
    command: Command, tmp_path: Path, tiny_flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out in ([], ["--out", "elsewhere"]):
        outcome = command("run", "--searcher", "darts,random", "--selector", "random", *tiny_flags, *out, "--dry-run")
        assert outcome.status == 0
        assert "2 pairing(s)" in outcome.out
        assert list(tmp_path.iterdir()) == []


# -- configuration: file, flags, --set ---------------------------------------------------------------------------------


@pytest.fixture
def configured(command: Command, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[RunConfig], Any]]:
    """The configurations and options that a `run` command would run."""

    def read(*arguments: object) -> tuple[list[RunConfig], Any]:
        seen: list[Any] = []

        def stop(configs: list[RunConfig], options: Any) -> None:
            seen.append((configs, options))
            raise BenchbedError("far enough")

        monkeypatch.setattr("benchbed.pipeline.many.run_all", stop)
        outcome = command("run", *arguments)
        assert outcome.err == "benchbed: far enough\n"
        return seen[0]

    return read


def test_flags_win_over_the_file_and_settings_over_both(configured: Any, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(
        f'seed = 1\nepochs = 3\nout = "{tmp_path}/a"\ndevice = "cpu"\n'
        '[searcher]\nname = "darts"\nalpha_lr = 0.1\norder = 2\n[selector]\nname = "magnitude"\n'
        "[supernet]\nlr = 0.2\ncells = 2\n"
    )
    (config,), options = configured("--config", file)
    assert (config.seed, config.epochs, config.searcher.name, config.selector.name) == (1, 3, "darts", "magnitude")
    assert (config.searcher.options["alpha_lr"], config.searcher.options["order"]) == (0.1, 2)
    assert (config.supernet.lr, config.supernet.cells) == (0.2, 2)
    assert options.out == tmp_path / "a"
    (config,), options = configured(
        "--config", file, "--seed", 7, "--epochs", 4, "--selector", "perturb", "--out", tmp_path / "b",
        "--set", "searcher.alpha_lr=0.3", "--set", "supernet.lr=0.4", "--set", "supernet.cells=3",
    )  # fmt: skip
    assert (config.seed, config.epochs, config.selector.name) == (7, 4, "perturb")
    assert (config.searcher.options["alpha_lr"], config.searcher.options["order"]) == (0.3, 2)
    assert (config.supernet.lr, config.supernet.cells) == (0.4, 3)
    assert options.out == tmp_path / "b"


def test_a_seed_or_seeds_of_a_flag_win_over_both_of_the_file(configured: Any, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('searcher = "darts"\nselector = "magnitude"\nseeds = "2:5"\n')
    (tmp_path / "b.toml").write_text('searcher = "darts"\nselector = "magnitude"\nseed = 9\n')

    def seeds(*arguments: object) -> list[int]:
        return [config.seed for config in configured(*arguments)[0]]

    assert seeds("--config", tmp_path / "a.toml") == [2, 3, 4]
    assert seeds("--config", tmp_path / "a.toml", "--seed", 7) == [7]
    assert seeds("--config", tmp_path / "b.toml") == [9]
    assert seeds("--config", tmp_path / "b.toml", "--seeds", "0:2") == [0, 1]
    assert seeds("--searcher", "darts", "--selector", "magnitude") == [0]


def test_a_protocol_that_only_trains_is_no_runs(refused: Any) -> None:
    said = refused("run", "--searcher", "darts", "--selector", "magnitude", "--protocol", "imagenet-training")
    assert "trains networks and searches for none: use train --protocol imagenet-training" in said
    other = refused("run", "--searcher", "darts", "--selector", "magnitude", "--protocol", "nb201-gdas")
    assert "nb201-darts-v2|small-digits would fit" in other
    assert "imagenet-training" not in other


def test_a_modifiers_option_says_which_modifier_is_missing(refused: Any) -> None:
    names = ("--searcher", "darts", "--selector", "magnitude")
    said = refused("run", *names, "--set", "searcher.modifiers.sgas.warmup=0.1")
    assert "searcher.modifiers.sgas: the searcher is not under it; write darts+sgas" in said


def test_config_of_a_protocol_for_anything_has_names_that_stand_in(command: Any, tmp_path: Path) -> None:
    done = command("config", "small-digits")
    assert done.out.startswith("# The protocol is for any searcher: darts stands in for yours, which --searcher names.")
    (tmp_path / "mine.toml").write_text(done.out)
    assert command("run", "--config", tmp_path / "mine.toml", "--explain").status == 0


def test_each_pairing_once_however_often_it_is_named(configured: Any) -> None:
    configs, _ = configured("--searcher", "darts,darts, random", "--selector", "magnitude,magnitude")
    assert [(c.searcher.name, c.selector.name) for c in configs] == [("darts", "magnitude"), ("random", "magnitude")]


# -- list --------------------------------------------------------------------------------------------------------------


def test_list_shows_every_plug_in_on_a_line_of_its_own(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")  # so that no summary is broken
    outcome = command("list")
    assert outcome.status == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    wanted = [(kind, p.name, p.summary) for kind in registry.KINDS for p in registry.plugins(kind)]
    assert [tuple(line[:2]) for line in lines] == [(kind, name) for kind, name, _ in wanted]
    assert [" ".join(line[2:]) for line in lines] == [summary for *_, summary in wanted]
    assert {tuple(line[:2]) for line in lines} >= {("searcher", "darts"), ("selector", "best-of"), ("space", "nb201")}
    only = command("list", "selector").out.splitlines()
    assert {line.split()[0] for line in only} == {"selector"}


def test_list_imports_no_heavy_library(child_env: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom benchbed.cli.main import main\nsys.argv = ['benchbed', 'list']\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print('heavy:', *sorted({'torch', 'numpy', 'pandas', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child_env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:"
    assert "proxyless" in done.stdout


@pytest.mark.parametrize(("words", "status"), [(["list"], 0), (["list", "nothing"], 2)])
def test_the_end_of_a_process_loses_nothing_and_takes_nothing_down(
    words: list[str], status: int, child_env: dict[str, str], tmp_path: Path
) -> None:
    """Threads and what is registered for the end have run, all output is there; torch's modules are left alone."""
    code = (
        "import atexit, sys, threading, time, torch\nfrom benchbed.cli.main import process\n"
        "class Held:\n    def __del__(self):\n        print('taken down')\n"
        "sys.held = Held()\natexit.register(print, 'registered')\n"
        "def late():\n    threading.main_thread().join()\n    time.sleep(0.3)\n    print('thread')\n"
        "threading.Thread(target=late).start()\n"
        f"sys.argv = ['benchbed', *{words}]\nprocess()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child_env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status
    assert done.stdout.splitlines()[-2:] == ["thread", "registered"]
    assert ("proxyless" in done.stdout) == (status == 0)
    assert len(done.stderr.splitlines()) == (status == 2)


@pytest.mark.parametrize("kind", ["searcher", "selector"])
def test_list_names_the_options_of_each_with_default_and_source(command: Command, kind: str) -> None:
    for plugin in registry.plugins(kind):
        outcome = command("list", kind, plugin.name)
        assert outcome.status == 0
        text = " ".join(outcome.out.split())
        assert plugin.summary in text
        for key, field in registry.load(kind, plugin.name).Options.model_fields.items():
            default = str(field.default).lower() if field.default in (None, True, False) else field.default
            assert len([x for x in outcome.out.splitlines() if x.startswith(f"{kind}.{key} = {default}")]) == 1
            assert f"{kind}.{key} = {default} ({allowed(field)})" in text
            assert field.description
            assert " ".join(field.description.split()[:3]) in text
    proxyless = " ".join(command("list", "searcher", "proxyless").out.split())
    assert "searcher.alpha_lr = 0.006 (number above 0)" in proxyless
    assert "(paper, CIFAR-10: 0.006)" in proxyless


# -- describe ----------------------------------------------------------------------------------------------------------


def test_describe_gives_the_facts_of_the_space(command: Command, tmp_path: Path) -> None:
    outcome = command("describe", "--space", "nb201", "--arch", f" {CELL} ", "--json", "--draw", tmp_path / "cell.svg")
    facts = json.loads(outcome.out)
    space = NB201()
    assert facts == {"space": "nb201", "architecture": CELL, **space.facts(space.parse(CELL))}
    assert {"params", "flops"} <= facts.keys()
    assert (tmp_path / "cell.svg").stat().st_size > 1000
    text = command("describe", "--arch", CELL).out
    for word in ("nor_conv_3x3", "avg_pool_3x3", f"{facts['params']:,}", f"{facts['flops']:,}"):
        assert word in text


# -- the program -------------------------------------------------------------------------------------------------------


def test_help(command: Command) -> None:
    for arguments in (["--help"], ["run", "--help"], ["select", "--help"], ["list", "--help"], ["describe", "--help"]):
        outcome = command(*arguments)
        assert (outcome.status, outcome.err) == (0, "")
        assert "Usage" in outcome.out
    nothing = command()
    assert nothing.status == 2
    assert "Usage" in nothing.out + nothing.err
    assert "benchbed: " not in nothing.err


def test_help_loses_no_word(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words in [brackets], the defaults among them, are text and no markup, in every command."""
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 1000)
    seen = []
    todo: list[tuple[tuple[str, ...], Any]] = [((), get_command(app))]
    while todo:
        names, one = todo.pop()
        todo += [((*names, name), child) for name, child in getattr(one, "commands", {}).items()]
        shown = " ".join(command(*names, "--help").out.split())
        for parameter in one.params:
            text = " ".join((getattr(parameter, "help", None) or "").split())
            if text and not getattr(parameter, "hidden", False):
                assert text in shown, (names, parameter.name)
                seen.append(text)
    assert len(seen) > 100
    assert sum("[default: " in text for text in seen) > 10


def test_a_bug_keeps_its_traceback(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a user did is told in one line; a mistake of ours must be found."""

    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(registry, "plugins", broken)
    with pytest.raises(RuntimeError, match="ours"):
        command("list")
