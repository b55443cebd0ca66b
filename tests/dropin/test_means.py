"""The drop-in over a table of means (CSV exports): what it has it answers, what it lacks it names."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchbed.dropin import DropinError, DropinWarning, NASBench201API, NATStopology
from benchbed.objectives.table import TableObjective
from benchbed.tables import Table

COLUMNS = {  # data set, key -> column after 200 epochs
    ("cifar10-valid", "valid"): "cifar10_valid_200",
    ("cifar10", "test"): "cifar10_test_200",
    ("cifar100", "valid"): "cifar100_valid_200",
    ("cifar100", "test"): "cifar100_test_200",
    ("ImageNet16-120", "valid"): "imagenet16_valid_200",
    ("ImageNet16-120", "test"): "imagenet16_test_200",
}
CELLS = (0, 11, 284, 1462, 15624)


@pytest.fixture(params=[NASBench201API, NATStopology])
def api(request: pytest.FixtureRequest, csv_table: Table) -> Any:
    return request.param(csv_table, verbose=False)


@pytest.fixture(scope="session")
def sheet(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "nb201" / "table.csv", index_col="index")


def test_accuracies_and_seconds_are_the_columns(api: Any, sheet: pd.DataFrame) -> None:
    for index in CELLS:
        row = sheet.loc[index]
        for (dataset, key), column in COLUMNS.items():
            for epochs in (200, 12):
                info = api.get_more_info(index, dataset, hp=str(epochs), is_random=False)
                assert info[f"{key}-accuracy"] == row[column.replace("200", str(epochs))]
                assert api.get_more_info(row.arch, dataset, epochs - 1, epochs, False) == info
                assert not {key for key in info if "loss" in key or key == "train-accuracy"}
            info = api.get_more_info(index, dataset, hp="200", is_random=False)
            seconds = {"cifar10-valid": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet16"}
            if dataset in seconds:
                assert info["train-all-time"] == row[f"{seconds[dataset]}_train_seconds_200"]
                assert info["train-per-time"] == info["train-all-time"] / 200
            else:
                assert "train-all-time" not in info  # the export has the shorter run's alone
    assert set(api.get_more_info(0, "cifar100", hp="200", is_random=False)) == {
        "train-all-time", "train-per-time", "valid-accuracy", "test-accuracy", "valtest-accuracy"
    }  # fmt: skip


def test_costs_are_the_columns(api: Any, sheet: pd.DataFrame) -> None:
    for index in CELLS:
        row, cost = sheet.loc[index], api.get_cost_info(index, "cifar10", "200")
        assert cost["params"] == row.cifar10_params_M
        assert cost["flops"] == row.cifar10_flops_M
        assert cost["latency"] == api.get_latency(index, "cifar10", "200") == row.cifar10_gpu_latency_s
        assert api.get_cost_info(index, "cifar100", "200")["params"] == row.cifar100_params_M
        assert api.get_cost_info(index, "cifar100", "200")["T-train@total"] == row.cifar100_train_seconds_200
        assert "latency" not in api.get_cost_info(index, "cifar100", "200")
        config = {"name": "infer.tiny", "C": 16, "N": 5, "arch_str": row.arch, "num_classes": 120}
        assert api.get_net_config(index, "ImageNet16-120") == config


@pytest.mark.parametrize(
    ("dataset", "setname", "best", "index"),
    [
        ("cifar10", "valid", 91.6067, 6111),
        ("cifar10", "test", 94.3733, 1459),  # two cells share it: the lower index, as in a loop over all
        ("cifar100", "valid", 73.4933, 9930),
        ("cifar100", "test", 73.5133, 9930),
        ("ImageNet16-120", "valid", 46.7333, 10676),
        ("ImageNet16-120", "test", 47.3111, 857),
    ],
)
def test_the_best_cells_are_the_published_ones(
    api: Any, sheet: pd.DataFrame, dataset: str, setname: str, best: float, index: int
) -> None:
    column = sheet[COLUMNS["cifar10-valid" if (dataset, setname) == ("cifar10", "valid") else dataset, setname]]
    found = api.find_best(dataset, setname, hp="200")
    assert found == (column.idxmax(), column.max())
    assert round(found[1], 4) == best


@pytest.mark.slow
def test_the_best_cell_within_limits(api: Any, sheet: pd.DataFrame) -> None:
    for flops, params in ((50.0, None), (None, 0.3), (60.0, 0.4), (15.64737, None)):
        fits = sheet[(sheet.cifar10_flops_M <= (flops or 1e9)) & (sheet.cifar10_params_M <= (params or 1e9))]
        column = fits.cifar10_test_12
        assert api.find_best("cifar10", "test", flops, params, hp="12") == (column.idxmax(), column.max())
    assert api.find_best("cifar10", "test", 0.1, hp="200") == (-1, None)


def test_numbers_of_runs(api: Any) -> None:
    """Of version 1.1: 2,225, 5,439 and 7,961 cells with one, two and three."""
    assert api.statistics("cifar10-valid", 200) == {1: 2225, 2: 5439, 3: 7961}
    with pytest.raises(DropinError, match="has no numbers of seeds on cifar100 after 12 epochs"):
        api.statistics("cifar100", 12)


def test_records_answer_as_far_as_they_can(api: Any, sheet: pd.DataFrame) -> None:
    record = api.query_meta_info_by_index(284, "200")
    assert record.get_metrics("cifar10", "ori-test")["accuracy"] == sheet.loc[284].cifar10_test_200
    assert record.get_dataset_names() == ["cifar10-valid", "cifar10", "cifar100", "ImageNet16-120"]
    assert (record.get_total_epoch(), record.arch_str) == (200, sheet.loc[284].arch)
    assert record.get_latency("cifar10") == sheet.loc[284].cifar10_gpu_latency_s
    assert api.get_net_param(284, "cifar10", None, "200") is None


def test_a_random_seed_is_a_mean_and_says_so(api: Any) -> None:
    with pytest.warns(DropinWarning, match=r"table csv has no single trainings: .*mean over seeds.*is_random=False"):
        info = api.get_more_info(284, "cifar10", hp="200", is_random=True)
    assert info == api.get_more_info(284, "cifar10", hp="200", is_random=False)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda a: a.get_more_info(0, "cifar10", 100, "200", False),
            "has no figures after epoch 100, before the last: ",
        ),
        (lambda a: a.get_more_info(0, "cifar10", 200, "200", False), "invalid iepoch=200: epochs are 0 to 199"),
        (lambda a: a.get_more_info(0, "cifar10", hp="200", is_random=777), "has no seed 777, and no single training"),
        (lambda a: a.get_more_info(0, "cifar10", hp="90", is_random=False), "has nothing of hp='90': it has 12, 200"),
        (
            lambda a: a.get_more_info(0, "svhn", hp="200", is_random=False),
            "unknown data set 'svhn': known: cifar10-val",
        ),
        (lambda a: a.get_more_info(15625, "cifar10", hp="200", is_random=False), "index 15625 is out of range"),
        (lambda a: a.query_by_index(0, "cifar10", "200"), "has no single trainings: 'table import' of NAS-Bench-201's"),
        (
            lambda a: a.get_latency(0, "cifar100", "200"),
            r"no latency on cifar100 .*column cifar100_gpu_latency_s brings",
        ),
        (
            lambda a: a.find_best("cifar10", "train", hp="200"),
            "has no accuracy on 'train' of cifar10 after 200 epochs: ",
        ),
        (lambda a: a.find_best("svhn", "valid", hp="200"), "unknown data set 'svhn'"),
        (lambda a: a.find_best("cifar10", "valid", hp="90"), "has nothing of hp='90'"),
    ],
)
def test_what_is_missing_is_named_with_how_to_get_it(api: Any, call: Any, said: str) -> None:
    with pytest.raises(DropinError, match=said) as refused:
        call(api)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("hp", [12, 200])
@pytest.mark.parametrize(
    ("dataset", "column"), [("cifar10", "cifar10"), ("cifar100", "cifar100"), ("ImageNet16-120", "imagenet16")]
)
def test_a_simulated_training_has_the_clock_of_study_tabular(
    api: Any, csv_table: Table, sheet: pd.DataFrame, dataset: str, column: str, hp: int
) -> None:
    objective, spent = TableObjective.of(csv_table, dataset.lower()), 0.0
    for index in CELLS:
        row, cell = sheet.loc[index], csv_table.arch(index)
        accuracy, latency, seconds, used = api.simulate_train_eval(row.arch, dataset, hp=str(hp))
        assert objective.evaluate(cell, hp) == (accuracy, seconds)
        assert accuracy == row[f"{column}_valid_{hp}"]
        assert seconds == pytest.approx(row[f"{column}_train_seconds_200"] * hp / 200, rel=1e-15)
        assert latency == (row.cifar10_gpu_latency_s if dataset == "cifar10" else None)
        spent += seconds
        assert used == api.used_time == spent
    api.simulate_train_eval(0, dataset, hp=str(hp), account_time=False)
    assert api.used_time == spent


def test_what_is_derived_is_said_once(csv_table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    api = NATStopology(csv_table, verbose=False)
    for index in CELLS:
        api.simulate_train_eval(index, "cifar100", hp="12")
    said = capsys.readouterr().err
    assert said == (
        "benchbed: table csv holds means over seeds, and simulate_train_eval on cifar100 answers with them; its "
        "seconds are 12/200 of those of training for 200 epochs, without validation; it has no latency, which is None\n"
    )
    whole, early = (api.simulate_train_eval(0, "cifar100", iepoch, "12") for iepoch in (11, 2))
    assert early[:2] == whole[:2]
    assert early[2] == pytest.approx(whole[2] / 4, rel=1e-15)
    api.simulate_train_eval(1, "cifar100", 0, "12")
    assert capsys.readouterr().err == (
        "benchbed: table csv has no accuracy on cifar100 before the last of 12 epochs: the one after 12 epochs stands "
        "for it, at the seconds of the epochs asked for\n"
    )
    with pytest.raises(DropinError, match="invalid iepoch=12: epochs are 0 to 11"):
        api.simulate_train_eval(0, "cifar100", 12, "12")


def test_texts_mark_what_is_missing_and_one_line_says_so(
    api: Any, sheet: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    join, row = " & " if isinstance(api, NATStopology) else ", ", sheet.loc[284]
    lines = api.query_info_str_by_arch(row.arch, "200").splitlines()
    none = f"[loss = n/a{join}top1 = n/a]"
    valid, tested = (f"[loss = n/a{join}top1 = {row[f'cifar100_{split}_200']:.2f}%]" for split in ("valid", "test"))
    assert lines[0] == row.arch
    assert lines[1].endswith("extra-info : arch-index=284")
    assert lines[7] == f"cifar100       train : {none}, valid : {valid}, test : {tested}"
    assert lines[2].endswith(f"latency={row.cifar10_gpu_latency_s * 1000:.2f} ms.")
    assert lines[6].endswith("latency=None ms.")
    api.show(284)
    printed = capsys.readouterr()
    assert "\n".join([lines[0], lines[1].replace("arch-index=284", "None"), *lines[2:]]) in printed.out
    assert ">>> 012 epochs >>>" in printed.out
    assert printed.err.startswith("benchbed: table csv has no losses and no training accuracies: n/a stands")
    assert printed.err.count("\n") == 1


def test_a_table_without_seconds_has_no_clock(imported: Any, sheet: pd.DataFrame, tmp_path: Path) -> None:
    rows = sheet.reset_index()[["index", "arch", "cifar10_valid_200", "cifar10_test_200"]]
    rows.to_csv(tmp_path / "bare.csv", index=False)
    api = NATStopology(imported("bare", tmp_path / "bare.csv"), verbose=False)
    with pytest.raises(DropinError, match=r"table bare has no training seconds of cifar10_valid_200: 'table import'"):
        api.simulate_train_eval(0, "cifar10", hp="200")


def test_a_table_without_12_epochs_names_the_column(shared_data: Path, imported: Any) -> None:
    table = imported("upstream", *sorted((shared_data / "nb201" / "upstream").glob("*.csv")))
    api = NATStopology(table, verbose=False)
    assert api.avaliable_hps == ["200"]
    assert round(api.find_best("cifar10", "test", hp="200")[1], 4) == 94.3733
    with pytest.raises(DropinError, match=r"table upstream has nothing of hp='12': it has 200 epochs \('table import'"):
        api.get_more_info(0, "cifar10", hp="12", is_random=False)


def test_a_cell_that_a_partial_table_lacks_is_refused(imported: Any, sheet: pd.DataFrame, tmp_path: Path) -> None:
    rows = sheet.reset_index()[["index", "arch", "cifar10_test_200"]]
    rows.loc[11, "cifar10_test_200"] = float("nan")
    rows.to_csv(tmp_path / "gaps.csv", index=False)
    from benchbed.tables.importing import import_table

    table = import_table([tmp_path / "gaps.csv"], "gaps", partial=True, force=True)
    api = NATStopology(table, verbose=False)
    assert len(api.evaluated_indexes) == 15624
    with pytest.raises(DropinError, match="table gaps has nothing of architecture 11"):
        api.get_more_info(11, "cifar10", hp="200", is_random=False)
    with pytest.raises(DropinError, match="unknown data set of table gaps 'cifar100'"):
        api.get_more_info(12, "cifar100", hp="200", is_random=False)
    assert api.get_more_info(12, "cifar10", hp="200", is_random=False)["test-accuracy"] == rows.cifar10_test_200[12]
