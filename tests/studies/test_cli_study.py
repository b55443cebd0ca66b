"""The study commands: flags become the configuration of the searches, every option is a flag, a study of one's own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed import registry
from benchbed.cli.study import RUNNING, command_of
from benchbed.studies.tabular import TabularStudy
from benchbed.study import Lab, Study

STUDIES = {
    "proxy": ("--proxy", "epochs=1"),
    "front": ("--latency", "macs", "--targets", "1"),
    "devices": ("--latency", "macs", "--latency", "params"),
    "skip": (),
    "strength": (),
    "trajectory": ("--at", "1"),
}
OWN = '''"""How far apart seeds are; [brackets] are no markup."""

from pydantic import Field

from benchbed.study import SearchOptions, Study, seeded


class Options(SearchOptions):
    factor: float = Field(1.0, gt=0, description="what a difference is multiplied by")


class Spread(Study[Options]):
    def runs(self, base):
        return seeded(base, self.options, "random")

    def rows(self, records, measured):
        return [{"seed": seed, "accuracy": record.test_accuracy} for seed, record in records.items()]

    def figures(self, rows):
        values = [row["accuracy"] for row in rows]
        return {"my-spread.md": f"spread {self.options.factor * (max(values) - min(values)):.4f}\\n"}
'''


class Taken(Exception):
    """No error: it ends the command where the study would begin."""


@pytest.mark.parametrize(("flag", "protocol"), [("--protocol", "small-digits"), ("--preset", "small")])
@pytest.mark.parametrize("name", STUDIES)
def test_the_shared_flags_reach_every_search(
    name: str, flag: str, protocol: str, command: Callable[..., Any], monkeypatch: Any
) -> None:
    def runs(self: Any, base: dict[str, Any]) -> None:
        raise Taken(base)

    monkeypatch.setattr(registry.load("study", name), "runs", runs)
    flags = (flag, protocol, "--budget", "steps=9")
    flags += ("--task", "cifar10", "--epochs", 3, "--set", "task_options.images=500")
    with pytest.raises(Taken) as taken:
        command("study", name, *STUDIES[name], *flags)
    raw = taken.value.args[0]
    found = (raw["protocol"], raw["budget"], raw["task"], raw["epochs"], raw["task_options"]["images"])
    assert found == ("small-digits", "steps=9", "cifar10", 3, 500)


def test_an_unknown_preset_is_refused(refused: Callable[..., str]) -> None:
    line = refused("study", "skip", "--preset", "smal")
    assert "unknown preset 'smal'" in line
    assert "'small'" in line


@pytest.mark.parametrize("plugin", registry.plugins("study"), ids=lambda p: p.name)
def test_every_option_is_a_flag_with_its_description(plugin: registry.Plugin) -> None:
    command = command_of(plugin.name)
    by_name = {parameter.name: parameter for parameter in command.params}
    fields = registry.load("study", plugin.name).Options.model_fields
    assert set(by_name) - {"help"} == set(fields) | set(RUNNING)
    for key, field in fields.items():
        assert by_name[key].help == field.description
        assert by_name[key].required == field.is_required()
    assert command.help == plugin.summary


def test_the_list_of_studies_imports_none_of_them(child_env: dict[str, str]) -> None:
    code = "import sys\nfrom benchbed.cli.main import main\nsys.argv = ['benchbed', 'study', '--help']\n"
    code += "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=child_env, capture_output=True, text=True, check=True)
    assert registry.find("study", "trajectory").summary[:40] in " ".join(done.stdout.split())
    assert not {"torch", "benchbed.study"} & set(done.stdout.split())


def test_without_a_name_there_is_the_list(command: Callable[..., Any]) -> None:
    done = command("study")
    assert done.status == 2
    assert all(plugin.name in done.out + done.err for plugin in registry.plugins("study"))


def test_a_study_of_ones_own(
    command: Callable[..., Any], tiny_flags: list[str], tmp_path: Path, refused: Callable[..., str]
) -> None:
    file, out = tmp_path / "my_spread.py", tmp_path / "out"
    file.write_text(OWN)
    assert "study my-spread How far apart seeds are; [brackets] are no markup." in " ".join(
        command("list", "study", "--plugin", file).out.split()
    )
    words = ("study", "my-spread", "--plugin", file, "--searcher", "random", "--seeds", "0:2", "--out", out, "--quiet")
    done = command(*words, *tiny_flags, "--factor", 2)
    assert done.status == 0, done.err
    lines = [json.loads(line) for line in (out / "my-spread.jsonl").read_text().splitlines()]
    records = {r["seed"]: r for r in (json.loads(p.read_text()) for p in out.glob("random-random-*/record.json"))}
    assert [line["accuracy"] for line in lines] == [records[seed]["test_accuracy"] for seed in (0, 1)]
    spread = 2 * abs(lines[0]["accuracy"] - lines[1]["accuracy"])
    assert (out / "my-spread.md").read_text() == f"spread {spread:.4f}\n"
    assert "factor = 0.0: input should be greater than 0" in refused(*words, "--factor", 0)


def test_a_study_without_its_file_or_its_plug_ins_is_refused_in_one_line(
    tmp_path: Path, command: Callable[..., Any], tiny_flags: list[str]
) -> None:
    done = command("study", "my-spred")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("benchbed: unknown study 'my-spred'")
    file = tmp_path / "lonely.py"
    file.write_text(OWN.replace("self.options,", "self.options.model_copy(update={'searcher': 'halves'}),"))
    done = command("study", "lonely", "--plugin", file, *tiny_flags, "--out", tmp_path / "out")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("benchbed: unknown searcher 'halves'")
    assert not (tmp_path / "out").exists()


ALONE: list[str] = []


def of_one_process(command: Callable[..., Any], words: tuple[Any, ...], out: Path) -> list[str]:
    """The page that one process writes and what it prints above the files' names; made once for both tests."""
    if not ALONE:
        done = command(*words, out)
        assert done.status == 0, done.err
        ALONE.extend([(out / "skip.md").read_text(), done.out.rpartition("written:")[0]])
    return ALONE


@pytest.mark.slow
def test_workers_give_the_page_of_one_process(
    command: Callable[..., Any], tiny_flags: list[str], tmp_path: Path
) -> None:
    words = ("study", "skip", "--seeds", "0:2", "--swaps", 2, *tiny_flags, "--quiet", "--out")
    page, _ = of_one_process(command, words, tmp_path / "alone")
    shared = command(*words, tmp_path / "workers", "--workers", 2)
    assert shared.status == 0, shared.err
    assert (tmp_path / "workers" / "skip.md").read_text() == page


def test_shards_share_runs_then_measurements_and_one_call_writes_the_page(
    command: Callable[..., Any], tiny_flags: list[str], tmp_path: Path
) -> None:
    words = ("study", "skip", "--seeds", "0:2", "--swaps", 2, *tiny_flags, "--quiet", "--out")
    _, printed = of_one_process(command, words, tmp_path / "alone")
    said = [command(*words, tmp_path / "shards", "--shard", f"{i}/2") for i in (1, 2, 1)]
    assert [done.status for done in said] == [0, 0, 0], said
    assert not (tmp_path / "shards" / "skip.md").exists()
    assert [done.out.rpartition("share of the ")[2] for done in said] == [
        "2 runs is made\n\n",
        "2 measurements is made\n\n",  # the second shard finds all runs there
        "2 measurements is made\n\n",
    ]
    measured = {p: p.stat().st_mtime_ns for p in (tmp_path / "shards" / "jobs").glob("*/record.json")}
    assert len(measured) == 2
    assert command(*words, tmp_path / "shards").out.rpartition("written:")[0] == printed
    assert all(p.stat().st_mtime_ns == when for p, when in measured.items()), "made once"


def test_one_process_keeps_each_measurement_as_workers_do(
    made: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ended in its second measurement, the same call makes that one alone, and the lab that it has makes it."""
    measure, labs = TabularStudy.measure.__func__, []  # type: ignore[attr-defined]

    def counted(cls: type[Study[Any]], lab: Lab, job: dict[str, Any]) -> dict[str, Any]:
        labs.append(lab)
        if len(labs) == 2:
            raise KeyboardInterrupt
        found: dict[str, Any] = measure(cls, lab, job)
        return found

    monkeypatch.setattr(TabularStudy, "measure", classmethod(counted))
    asked: dict[str, Any] = {"table": "nb201-digits", "dataset": "digits", "seeds": "0:1", "budget": 500.0}
    asked["searcher"] = ["random-search", "local-search"]
    with pytest.raises(KeyboardInterrupt):
        made("tabular", tmp_path, **asked)
    whole = made("tabular", tmp_path, **asked)
    assert len(labs) == 3
    assert [run.searcher for run in whole.rows] == asked["searcher"]
    assert len(set(map(id, labs[1:]))) == 2, "a lab a call, not one of a worker"


def test_bad_pools_are_refused(refused: Callable[..., str]) -> None:
    assert "--workers 0: at least one is needed" in refused("study", "skip", "--workers", 0)
    assert "--shard '3/2': expected I/N" in refused("study", "skip", "--shard", "3/2")
    assert "unknown executor 'rey': did you mean 'ray'" in refused("study", "skip", "--executor", "rey")
