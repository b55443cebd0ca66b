"""`--json`: one JSON value on stdout and nothing else there, the same figures as in the files; `--version`, `-h`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed import __version__

Command = Callable[..., Any]


def given(out: Path, *more: object) -> tuple[object, ...]:
    return ("run", "--objective", "table", "--table", "nb201-digits", "--dataset", "digits", "--epochs", 2,
            "--steps", 3, "--searcher", "darts", "--selector", "magnitude,constant", "--out", out, *more)  # fmt: skip


def value(outcome: Any, status: int = 0) -> Any:
    assert outcome.status == status, outcome.err
    return json.loads(outcome.out)


def test_runs_and_what_is_asked_of_them(command: Command, tmp_path: Path) -> None:
    records = value(command(*given(tmp_path, "--json")))
    kept = {r["id"]: json.loads((tmp_path / r["id"] / "record.json").read_text()) for r in records}
    assert [r["selector"] for r in records] == ["magnitude", "constant"]
    assert {r["id"]: r for r in records} == kept
    search = tmp_path / "searches" / records[0]["search"]
    (again,) = value(command("select", search, "--selector", "random", "--json"))
    assert again["search"] == records[0]["search"]
    report = value(command("report", tmp_path, "--json"))
    assert {row["selector"] for row in report["rows"]} >= {"magnitude", "constant", "random"}
    assert all(Path(file).exists() for file in report["written"])
    verified = value(command("verify", tmp_path / records[0]["id"], "--json", "--quiet"))
    assert (verified["status"], verified["differences"]) == (0, [])


def test_lists_tables_and_figures(command: Command) -> None:
    plugins = value(command("list", "--json"))
    assert {"kind": "searcher", "name": "darts"} in [{k: p[k] for k in ("kind", "name")} for p in plugins]
    options = {o["option"]: o for o in value(command("list", "searcher", "darts", "--json"))}
    assert options["searcher.order"]["allowed"] == "1, 2"
    assert options["searcher.alpha_lr"]["presets"]["protocol table"] == "0.05"
    assert {p["protocol"] for p in value(command("list", "protocols", "--json"))} >= {"table", "darts-pt-nb201"}
    assert "nb201-digits" in {t["name"] for t in value(command("table", "list", "--json"))}


def test_a_sweep_and_how_far_it_is(command: Command, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text('objective = "table"\ntable = "nb201-digits"\ndataset = "digits"\nepochs = 2\nsteps = 3\n\n'
                     '[grid]\nsearcher = ["darts"]\nselector = ["magnitude"]\nseeds = "0:2"\n')  # fmt: skip
    records = value(command("sweep", study, "--out", tmp_path / "out", "--json", "--quiet"))
    assert [r["seed"] for r in records] == [0, 1]
    standing = value(command("sweep", "--status", "--out", tmp_path / "out", "--json"))
    assert (standing["runs"], standing["left"], sorted(standing["done"])) == (2, 0, sorted(r["id"] for r in records))


def test_version_and_short_help(command: Command) -> None:
    assert command("--version").out == f"benchbed {__version__}\n"
    for words in (("-h",), ("run", "-h"), ("table", "info", "-h")):
        assert "--help" in command(*words).out


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("rn",), "run"), (("run", "--serch", "x"), "--searcher"), (("table", "improt"), "import"),
        (("study", "correlat"), "correlate"), (("list", "serchers"), "searcher"),
        (("list", "searcher", "dart"), "darts"),
        (("query", "nb201-digits", "--arc", "x"), "--arch"), (("latency", "shw"), "show"),
        (("tune", "x.toml", "--trails", "3"), "--trials"), (("sweep", "x.toml", "--worker", "3"), "--workers"),
    ],
)  # fmt: skip
def test_a_near_name_is_named(command: Command, words: tuple[str, ...], near: str) -> None:
    outcome = command(*words)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert near in outcome.err


@pytest.mark.parametrize("flag", ["--dry-run", "--explain"])
def test_where_there_is_no_result_there_is_no_json(command: Command, tmp_path: Path, flag: str) -> None:
    outcome = command(*given(tmp_path, "--json", flag))
    assert (outcome.status, outcome.out) == (2, "")
    assert f"--json prints results, and {flag} has none" in outcome.err


def test_a_number_that_float32_does_not_hold(command: Command, tmp_path: Path) -> None:
    for value in ("1e39", "-1e308"):
        outcome = command(*given(tmp_path, "--set", f"searcher.alpha_lr={value}"))
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert "a number of at most 1e+30 in size is needed" in outcome.err
