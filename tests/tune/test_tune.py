"""`tune`, from a file to its best configuration, on a table; and that no test accuracy decides anything."""

import csv
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import create_trial

from benchbed import registry
from benchbed.pipeline.record import Record
from benchbed.tune.report import toml_text, trials_csv, write
from benchbed.tune.slots import Slot
from benchbed.tune.storage import open_storage
from benchbed.tune.study import read_study
from benchbed.tune.trial import Report, figures

Files = Callable[..., Path]


def sheet(out: Path) -> list[dict[str, str]]:
    with open(out / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def record_of(out: Path, run: str) -> dict[str, Any]:
    return json.loads((out / run / "record.json").read_text())


def load(file: Path) -> optuna.Study:
    return optuna.load_study(study_name="study", storage=open_storage(f"journal:{file}", 60, 180))


def test_a_study_ends_with_its_trials_and_a_file_that_run_takes(
    study_file: Files, tmp_path: Path, command: Callable[..., Any]
) -> None:
    journal, out = tmp_path / "study.journal", tmp_path / "out"
    file = study_file(f"journal:{journal}")
    file.write_text(file.read_text().replace("seed = 0", 'seeds = "0:2"'))
    assert "no study 'study'" in command("tune", file, "--status").err or not journal.exists()
    outcome = command("tune", file, "--quiet")
    assert outcome.status == 0, outcome.err
    trials = load(journal).trials
    assert load(journal).metric_names == ["accuracy"]
    assert [t.state.name for t in trials] == ["COMPLETE"] * 3
    for trial in trials:
        records = [record_of(out, run["run"]) for run in trial.user_attrs["runs"]]
        assert [r["seed"] for r in records] == [0, 1]
        assert {r["config"]["searcher"]["options"]["alpha_lr"] for r in records} == {trial.params["searcher.alpha_lr"]}
        assert trial.value == pytest.approx(np.mean([r["valid_accuracy"] for r in records]), abs=1e-9)
        lines = [json.loads(line) for r in records
                 for line in (out / "searches" / r["search"] / "history.jsonl").read_text().splitlines()]  # fmt: skip
        a, b, c, d = (line["accuracy"] for line in lines)
        assert trial.intermediate_values == pytest.approx({1: a, 2: b, 3: (b + c) / 2, 4: (b + d) / 2})
    best = max(trials, key=lambda t: t.value)
    taken = tomllib.loads((out / "best.toml").read_text())
    assert taken["searcher"] == {"name": "darts", **{"alpha_lr": best.params["searcher.alpha_lr"]}}
    assert [float(row["accuracy"]) for row in sheet(out)] == [t.value for t in trials]

    again = command("run", "--config", out / "best.toml")
    assert again.status == 0
    assert again.err.count("done before") == 2  # its runs are the study's own
    status = command("tune", file, "--status")
    assert "asked for 3  complete 3" in status.out
    more = command("tune", file, "--trials", 5)
    assert more.status == 0
    assert [t.number for t in load(journal).trials] == [0, 1, 2, 3, 4]
    assert more.err.count("trial ") == 2  # of the first three nothing is run again


def test_the_test_accuracy_decides_nothing(
    study_file: Files, tmp_path: Path, make_table: Callable[..., Any], command: Callable[..., Any]
) -> None:
    """Two tables of one validation accuracy: with other test accuracies, NaN aside, the study is the same."""
    valid = np.random.default_rng(1).uniform(20, 95, (5,) * 6)
    found, tests = [], []
    for number, test in enumerate((100 - valid, np.full((5,) * 6, 3.25))):
        file = study_file(f"journal:{tmp_path}/{number}.journal", 'pruner = "median"\nobjectives = ["accuracy"]')
        make_table("nb201", valid=valid, test=test)
        assert command("tune", file, "--out", tmp_path / str(number), "--trials", 8).status == 0
        trials = load(tmp_path / f"{number}.journal").trials
        runs = [run for t in trials for run in t.user_attrs.get("runs", [])]
        tests.append([record_of(tmp_path / str(number), run["run"])["test_accuracy"] for run in runs])
        shown = [(t.params, t.values, t.intermediate_values, [run["accuracy"] for run in t.user_attrs.get("runs", [])])
                 for t in trials]  # fmt: skip
        found.append((shown, (tmp_path / str(number) / "best.toml").read_text()))
        assert all(set(run) == {"seed", "run", "accuracy"} for run in runs)
        assert all(set(t.user_attrs) <= {"slot", "worker", "runs"} for t in trials)
        for text in ("best.toml", "trials.csv"):
            assert "test" not in (tmp_path / str(number) / text).read_text().replace(str(tmp_path), "")
    assert found[0] == found[1]
    assert set(tests[1]) == {3.25} != set(tests[0])  # the runs did see another table


def test_several_objectives_give_a_front(study_file: Files, tmp_path: Path, command: Callable[..., Any]) -> None:
    file = study_file(more='objectives = ["accuracy", "cost"]')
    text = file.read_text() + '"cost.weight" = [0.0, 1.0, 30.0]\n\n[cost]\ntable = "params"\ntarget = 0.5\n'
    file.write_text(text)
    outcome = command("tune", file, "--trials", 6)
    assert outcome.status == 0, outcome.err
    out = tmp_path / "out"
    rows = [(float(row["accuracy"]), float(row["cost"]), row["trial"]) for row in sheet(out)]
    front = {n for a, c, n in rows if not any(x >= a and y <= c and (x, y) != (a, c) for x, y, _ in rows)}
    assert {p.stem for p in (out / "front").iterdir()} == front
    best = tomllib.loads((out / "best.toml").read_text())
    taken = next(row for row in sheet(out) if float(row["accuracy"]) == max(a for a, _, _ in rows))
    assert best["cost"]["weight"] in (0.0, 1.0, 30.0)
    assert best["searcher"]["alpha_lr"] == float(taken["searcher.alpha_lr"])


def test_a_trial_that_has_left_the_front_leaves_its_folder(study_file: Files, tmp_path: Path) -> None:
    study = read_study(study_file(more='objectives = ["accuracy", "seconds"]'), [], {})
    trials = [create_trial(values=values, params={"searcher.alpha_lr": 0.01}, distributions=study.distributions)
              for values in ([80.0, 2.0], [90.0, 1.0])]  # fmt: skip
    for number, trial in enumerate(trials):
        trial.number = number
    slots = [Slot(number, trial, None, [], []) for number, trial in enumerate(trials)]
    out = tmp_path / "own"
    write(study, slots[:1], trials[:1], out)
    (out / "front" / "mine.toml").write_text("")
    write(study, slots, trials, out)
    assert {p.name for p in (out / "front").iterdir()} == {"1.toml", "mine.toml"}


def test_another_studys_results_are_not_replaced(
    study_file: Files, tmp_path: Path, command: Callable[..., Any], refused: Callable[..., str]
) -> None:
    file = study_file()
    assert command("tune", file).status == 0
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert command("tune", file).status == 0  # its own
    other = file.with_name("another.toml")
    other.write_text(file.read_text())
    outcome = command("tune", other)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert 'best.toml is of another study than "another" (# Trial' in outcome.err
    changed = {p.name for p in before if p.read_bytes() != before[p]}
    assert changed <= {"trials.csv"}  # the seconds of its own second start


def test_a_pruned_search_stops_at_that_epoch(study_file: Files, tmp_path: Path, command: Callable[..., Any]) -> None:
    """A threshold that no accuracy reaches prunes after one epoch of two; a pruned trial counts."""
    file = study_file(f"journal:{tmp_path}/j", 'pruner = {name = "threshold", lower = 99.0}')
    outcome = command("tune", file)
    assert outcome.status == 0
    trials = load(tmp_path / "j").trials
    assert [t.state.name for t in trials] == ["PRUNED"] * 3
    searches = list((tmp_path / "out" / "searches").iterdir())
    assert len(searches) == 3
    for search in searches:
        assert len((search / "history.jsonl").read_text().splitlines()) == 1
        assert not (search / "record.json").exists()
    assert not (tmp_path / "out" / "best.toml").exists()


def test_the_same_draws_whoever_makes_them(study_file: Files, tmp_path: Path, command: Callable[..., Any]) -> None:
    """A study that is stopped after each trial, and one in one go."""
    whole = study_file(f"journal:{tmp_path}/whole", 'sampler = {name = "tpe", n_startup_trials = 2}')
    assert command("tune", whole, "--trials", 5).status == 0
    for trials in (1, 3, 5):
        assert command("tune", whole, "--trials", trials, "--storage", f"journal:{tmp_path}/parts").status == 0
    assert [t.params for t in load(tmp_path / "parts").trials] == [t.params for t in load(tmp_path / "whole").trials]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga-ii", "nsga-iii", "qmc", "random"])
def test_every_sampler_by_name(study_file: Files, command: Callable[..., Any], sampler: str) -> None:
    outcome = command("tune", study_file(more=f'sampler = "{sampler}"'), "--dry-run")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("dry run: 2 trials of 1 seed(s)")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            'sampler = { name = "tpe", n_startup_trials = "x" }',
            "n_startup_trials is 'x': expected a number",
        ),
        ('sampler = { name = "tpe", n_startup_trials = true }', "n_startup_trials is True"),
        ('sampler = { name = "tpe", gamma = 0.25 }', "gamma is a function or an object, which no file can hold"),
    ],
)
def test_a_samplers_option_of_another_type(
    study_file: Files, command: Callable[..., Any], more: str, words: str
) -> None:
    outcome = command("tune", study_file(more=more), "--dry-run")
    assert outcome.status == 2
    assert words in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("pruner", ["median", "successive-halving", "hyperband", "none"])
def test_every_pruner_by_name(study_file: Files, command: Callable[..., Any], pruner: str, tmp_path: Path) -> None:
    outcome = command("tune", study_file(more=f'pruner = "{pruner}"'), "--dry-run")
    assert outcome.status == 0, outcome.err
    assert not (tmp_path / "out").exists()  # nothing was kept


def test_the_pruner_sees_the_mean_over_the_seeds_so_far() -> None:
    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(lower=50.0))
    trial = study.ask()
    report = Report(trial, epochs=2, prunes=True)
    for index, epoch, accuracy in ((0, 1, 60.0), (0, 2, 80.0), (0, 2, 80.0), (1, 1, 30.0)):
        report(index, epoch, accuracy)
    with pytest.raises(optuna.TrialPruned):
        report(1, 2, 10.0)
    assert study.trials[0].intermediate_values == {1: 60.0, 2: 80.0, 3: 55.0, 4: 45.0}


def test_the_configuration_as_toml_is_read_back() -> None:
    tree = {"task": 'npz:a "b"\\c é', "epochs": 3, "x": [1, "a", True], "searcher": {"name": "darts", "lr": 1e-05},
            "task_options": {"odd key": 1.5, "deep": {"a": False}}}  # fmt: skip
    assert tomllib.loads(toml_text(tree)) == tree


SPACE = "[tune.space]\n"
LR = '"searcher.alpha_lr" = '


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("trials = 3", "trails = 3", ("unknown option of tune 'trails'", "'trials'")),
        ("trials = 3", "trials = true", ("tune: trials = true", "true and false")),
        ("trials = 3", "trials = 0", ("tune: trials = 0", "greater than or equal to 1")),
        ("[tune]\ntrials = 3", "[tune]", ("trials is missing in [tune]",)),
        ("[tune.space]", "[tune.spaces]", ("unknown option of tune 'spaces'", "'space'")),
        ("epochs = 2", "epoch = 2", ("unknown configuration key 'epoch'", "'epochs'")),
        ("searcher.alpha_lr", "searcher.alpha_lrr", ("unknown parameter in tune.space", "'searcher.alpha_lr'")),
        ("searcher.alpha_lr", "selector.draws", ("unknown parameter in tune.space 'selector.draws'",)),
        ("low = 1e-3", "low = -1.0", ("-1.0", "searcher.alpha_lr")),
        ("low = 1e-3, high = 1.0, log = true", "low = -1.0, high = 1.0", ("alpha_lr", "-1.0", "greater than 0")),
        ("low = 1e-3", "low = 2.0", ("low", "high")),
        ("low = 1e-3", "lo = 1e-3", ("'lo'", "'low'")),
        ("high = 1.0, ", "", ("high is missing",)),
        ("log = true", 'log = "yes"', ("log = 'yes'", "true or false")),
        (f"{LR}{{low = 1e-3, high = 1.0, log = true}}", f"{LR}[]", ("the list is empty",)),
        (f"{LR}{{low = 1e-3, high = 1.0, log = true}}", f"{LR}[0.1, 0.1]", ("appears twice",)),
        (f"{LR}{{low = 1e-3, high = 1.0, log = true}}", f"{LR}[0.1, -0.1]", ("at -0.1 is refused", "greater than 0")),
        (f"{LR}{{low = 1e-3, high = 1.0, log = true}}", f"{LR}0.1", ("expected a list of values, or a table",)),
        (f"{LR}{{low = 1e-3, high = 1.0, log = true}}", '"searcher.order" = {low = 1, high = 2}', ("give a list",)),
        ('"darts"', '"darts,random"', ("a study tunes one searcher",)),
        ("trials = 3", 'trials = 3\nsampler = "tpee"', ("unknown sampler of tune 'tpee'", "'tpe'")),
        ("trials = 3", 'trials = 3\nsampler = {name = "tpe", startup = 1}', ("'startup'", "'n_startup_trials'")),
        ("trials = 3", 'trials = 3\npruner = "medan"', ("unknown pruner of tune 'medan'", "'median'")),
        ("trials = 3", 'trials = 3\npruner = {name = "median", interval_steps = 0}', ("pruner 'median'", "interval")),
        (
            "trials = 3",
            'trials = 3\npruner = "percentile"',
            ("'percentile' needs percentile, such as",),
        ),
        (
            "trials = 3",
            'trials = 3\npruner = {name = "hyperband", min_resource = 0}',
            ("hyperband", "min_resource = 0"),
        ),
        ("trials = 3", 'trials = 3\npruner = {name = "threshold", lower = nan}', ("lower is nan", "a number")),
        ("trials = 3", "trials = 3\nsampler = {}", ("sampler = {} has no name; known: tpe",)),
        ("trials = 3", "trials = 3\nsampler = 5", ("sampler = 5", "expected a name, or a table")),
        (
            "trials = 3",
            'trials = 3\nsampler = {name = "tpe", n_startup_trials = -1}',
            ("n_startup_trials is -1", "from 0 on"),
        ),
        (
            "low = 1e-3, high = 1.0, log = true",
            "low = 0.1, high = 1.0, step = 0.4",
            ("no whole number of steps", "high = 0.9"),
        ),
        (
            "trials = 3",
            'trials = 3\npruner = "median"\nobjectives = ["accuracy", "seconds"]',
            ("pruner 'median' with objectives accuracy, seconds", "one objective"),
        ),
        ("trials = 3", 'trials = 3\nobjectives = ["test_accuracy"]', ("unknown objective", "'accuracy'")),
        ("trials = 3", 'trials = 3\nobjectives = ["accuracy", "accuracy"]', ("twice",)),
        ("trials = 3", 'trials = 3\nobjectives = ["latency"]', ("objective 'latency' needs a section [cost]",)),
        ("trials = 3", "trials = 3\ngrace = 30", ("grace 30 is not above heartbeat 60",)),
        ('storage = "memory"', 'storage = "disk"', ("storage = 'disk'", "journal:FILE")),
        ('storage = "memory"', 'storage = "journal:"', ("names no file",)),
        ('storage = "memory"', 'storage = "nosql://x/y"', ("nosql://x/y", "driver")),
    ],
)
def test_bad_study_files(study_file: Files, refused: Callable[..., str], old: str, new: str, words: Any) -> None:
    file = study_file()
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    line = refused("tune", file)
    assert [word for word in words if word not in line] == [], line


def test_bad_commands(study_file: Files, refused: Callable[..., str], tmp_path: Path) -> None:
    file = study_file()
    plain = tmp_path / "plain.toml"
    plain.write_text('searcher = "darts"')
    assert "no section [tune]" in refused("tune", plain)
    assert "cannot read configuration" in refused("tune", tmp_path / "none.toml")
    assert "share no storage 'memory'" in refused("tune", file, "--workers", 2)
    assert "ends with its command" in refused("tune", file, "--status")
    for storage in (f"journal:{tmp_path}/none", f"sqlite:///{tmp_path}/none"):
        assert f"there is no {tmp_path}/none yet" in refused("tune", file, "--status", "--storage", storage)
    set_too = refused("tune", file, "--set", "searcher.alpha_lr=0.1")
    assert "searcher.alpha_lr is set to 0.1 and tuned as well" in set_too


def test_fewer_trials_than_there_are_is_refused(
    study_file: Files, tmp_path: Path, command: Callable[..., Any], refused: Callable[..., str]
) -> None:
    file = study_file(f"journal:{tmp_path / 'j'}")
    assert command("tune", file, "--trials", 2).status == 0
    line = refused("tune", file, "--trials", 1)
    assert "trials 1 is fewer than the 2 that study 'study'" in line
    assert line.rstrip().endswith("ask for 2 or more")


def test_a_study_of_another_space_or_configuration_is_refused(
    study_file: Files, tmp_path: Path, command: Callable[..., Any], refused: Callable[..., str]
) -> None:
    journal = tmp_path / "j"
    file = study_file(f"journal:{journal}")
    assert command("tune", file, "--trials", 1).status == 0
    text = file.read_text()
    for old, new, words in (
        ("low = 1e-3", "low = 1e-2", ("space.searcher.alpha_lr.low is 0.001, here it is 0.01",)),
        ("epochs = 2", "epochs = 3", ("configuration.epochs is 2, here it is 3",)),
        ("seed = 0", "seed = 1", ("seeds is [0], here it is [1]",)),
        ("trials = 3", 'trials = 3\nsampler = "random"', ("sampler.name is 'tpe', here it is 'random'",)),
    ):
        file.write_text(text.replace(old, new))
        for more in ((), ("--status",)):
            line = refused("tune", file, *more)
            assert [word for word in (*words, "study 'study'", str(journal)) if word not in line] == [], line
    foreign = open_storage(f"journal:{journal}", 60, 180)
    optuna.create_study(study_name="mine", storage=foreign).add_trial(optuna.create_trial(value=1.0))
    file.write_text(text.replace("trials = 3", 'trials = 3\nname = "mine"'))
    assert "was not made by tune" in refused("tune", file)


def test_the_status_counts_trials_that_were_asked_for_by_a_flag(
    study_file: Files, tmp_path: Path, command: Callable[..., Any]
) -> None:
    file = study_file(f"journal:{tmp_path / 'j'}")
    assert command("tune", file, "--trials", 5).status == 0
    shown = command("tune", file, "--status").out
    assert "asked for 5  complete 5" in shown
    assert "the best 5 of 5" in shown


def test_trials_that_are_no_longer_asked_for_have_no_row(study_file: Files, tmp_path: Path) -> None:
    """A start that asked for more has left them waiting in the storage."""
    file = study_file(f"journal:{tmp_path / 'j'}")
    study = read_study(file, over={"trials": 2})
    waiting = [create_trial(state=optuna.trial.TrialState.WAITING, user_attrs={"slot": slot}) for slot in range(5)]
    rows = list(csv.DictReader(trials_csv(study, waiting).splitlines()))
    assert [row["slot"] for row in rows] == ["0", "1"]


def test_a_sweeps_section_in_the_same_file_is_passed_over(study_file: Files) -> None:
    file = study_file()
    plain = read_study(file)
    file.write_text(file.read_text() + '\n[grid]\nseeds = "0:3"\n')
    assert read_study(file) == plain


def test_the_seconds_of_a_table_only_search_are_the_tables() -> None:
    seconds = {"search": 0.5, "selection": 0.25}
    assert figures(Record.model_construct(id="x", seconds=seconds), ["seconds"]) == {"seconds": 0.75}
    assert figures(Record.model_construct(id="x", seconds=seconds, simulated_seconds=900.0), ["seconds"]) == {
        "seconds": 900.25
    }


def test_a_range_of_integers_in_a_selector(study_file: Files) -> None:
    file = study_file()
    text = file.read_text() + '"selector.samples" = {low = 1, high = 64, log = true}\n'
    file.write_text(text.replace('"magnitude"', '"best-of"'))
    study = read_study(file)
    assert study.distributions["selector.samples"] == optuna.distributions.IntDistribution(1, 64, log=True)


def test_a_modifiers_option_is_tuned(study_file: Callable[..., Path], command: Callable[..., Any]) -> None:
    file = study_file()
    text = file.read_text().replace('searcher = "darts"', 'searcher = "darts+sgas"')
    text = text.replace('"searcher.alpha_lr"', '"searcher.modifiers.sgas.warmup"')
    file.write_text(text.replace("low = 1e-3, high = 1.0, log = true", "low = 0.1, high = 0.3, step = 0.1"))
    done = command("tune", file)
    assert done.status == 0, done.err
    best = tomllib.loads((file.parent / "out" / "best.toml").read_text())
    assert best["searcher"]["modifiers"]["sgas"]["warmup"] in (0.1, 0.2, pytest.approx(0.3))


def test_the_best_configuration_names_the_plug_ins_that_it_needs(
    study_file: Files, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "mine.py"
    monkeypatch.setattr(registry, "user_files", lambda: [plugin])
    outcome = command("tune", study_file(f"journal:{tmp_path}/j"), "--trials", 1)
    assert outcome.status == 0, outcome.err
    assert tomllib.loads((tmp_path / "out" / "best.toml").read_text())["plugins"] == [str(plugin)]
