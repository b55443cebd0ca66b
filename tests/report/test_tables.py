"""The frame of a report, and its Markdown and LaTeX: figures, marks, words."""

import io
import math
from pathlib import Path

import pandas as pd
import pytest

from benchbed.report.collect import Record, collect
from benchbed.report.groups import groups
from benchbed.report.latex import in_latex, latex
from benchbed.report.tables import brief, caption, frame, markdown, noise_line


@pytest.fixture
def records(made: Path) -> list[Record]:
    """Three seeds: darts 90, 80, 70; proxyless a little below it on each; the constant cell far below."""
    given = {"darts": [90.0, 80.0, 70.0], "proxyless": [89.5, 79.0, 69.75]}
    return [
        r.model_copy(update={"test_accuracy": given[r.searcher][r.seed] if r.selector == "magnitude" else 30.0})
        for r in collect(made).records
    ]  # fmt: skip


def test_the_frame_is_what_the_csv_file_says(records: list[Record]) -> None:
    table = frame(groups(records))
    back = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert back["mean"].tolist() == pytest.approx([80.0, 79.416667, 30.0])
    assert back["deviation"].tolist() == pytest.approx([10.0, 9.8815906, 0.0])
    assert back["median"].tolist() == [80.0, 79.0, 30.0]
    assert back["n"].tolist() == [3, 3, 3]
    assert back["searcher"].tolist() == ["darts", "proxyless", "any"]
    assert back["control"].fillna("").tolist() == ["", "", "constant cell"]
    assert back["best"].tolist() == [True, False, False]
    assert back["p"].iloc[1:].tolist() == pytest.approx([0.5, 0.5])
    assert math.isnan(back["p"].iloc[0])
    own = [r for r in records if (r.searcher, r.selector) == ("darts", "magnitude")]
    assert back["mean_search_seconds"].iloc[0] == pytest.approx(sum(r.search_seconds for r in own) / 3)
    assert back["mean_search_hours"].iloc[0] == pytest.approx(sum(r.search_seconds for r in own) / 3 / 3600)
    assert back["mean_regret"].iloc[0] == pytest.approx(sum(r.regret or 0.0 for r in own) / 3)


def test_the_best_is_bold_and_what_is_not_told_apart_underlined(records: list[Record]) -> None:
    table = frame(groups(records))
    lines = markdown(table)
    assert "| **80.00 ± 10.00** |" in lines[2]
    assert "| <u>79.42 ± 9.88</u> |" in lines[3]
    assert "settings" not in lines[0]  # a column that says nothing is left out
    text = latex(table, "words of 5 %", "tab:x")
    for part in (r"\textbf{80.00 $\pm$ 10.00}", r"\underline{79.42 $\pm$ 9.88}", r"\caption{words of 5 \%",
                 r"\label{tab:x}", r"\toprule", r"\midrule", r"\bottomrule"):  # fmt: skip
        assert part in text
    worse = table.assign(not_worse=False)
    assert "underline" not in latex(worse, "", "tab:x")
    assert "<u>" not in "\n".join(markdown(worse))


def test_one_seed_has_no_deviation_and_no_test(records: list[Record]) -> None:
    (group,) = groups([r for r in records if r.seed == 1])
    table = frame([group])
    assert "| 80.00 |" in markdown(table)[2].replace("**", "")
    assert "permutation" not in caption(group)
    assert "Test accuracy of one seed" in caption(group)
    assert "±" not in caption(group)
    assert "interval" not in markdown(table)[0]


def test_the_caption_names_the_test_and_what_so_few_seeds_can_show(records: list[Record]) -> None:
    (group,) = groups(records)
    text = caption(group)
    for words in ("n = 3 seeds", "paired permutation test", "Holm's correction for 2 comparison(s)", "below 0.5:",
                  "no difference can be significant"):  # fmt: skip
        assert words in text
    many = [r.model_copy(update={"seed": 3 * k + r.seed}) for k in range(5) for r in records]
    assert "can be significant" not in caption(groups(many)[0])


def test_a_random_search_at_another_cost_is_said_to_be_one(records: list[Record]) -> None:
    given = [r.model_copy(update={"seconds": {**r.seconds, "search": 60.0, "selection": 0.0}}) for r in records]
    methods = {"searcher": "random", "selector": "best-of"}

    def as_control(one: Record, seconds: float) -> Record:
        config = one.config | {kind: {**one.config[kind], "name": name} for kind, name in methods.items()}
        new = {"id": f"c{one.seed}", "search": f"c{one.seed}", "seconds": {**one.seconds, "search": seconds}}
        return one.model_copy(update={**methods, **new, "config": config})

    def with_control(seconds: float) -> str:
        like = [r for r in given if (r.searcher, r.selector) == ("darts", "magnitude")]
        drawn = [as_control(r, seconds) for r in like]
        return caption(groups([*given, *drawn])[0])

    words = "(random x best-of) took {} times the seconds of darts x magnitude: not at equal cost"
    assert words.format("0.25") in with_control(15.0)
    assert words.format("3") in with_control(180.0)
    assert "at equal cost" not in with_control(66.0)


def test_the_noise_floor_is_the_tables_own_or_measured_or_not_known(records: list[Record]) -> None:
    (group,) = groups(records)
    floor = records[0].noise_floor
    assert noise_line(group).startswith(f"Noise floor: {floor:,} of the table's 15,625 cells")
    without = [r.model_copy(update={"noise_floor": None}) for r in records]
    assert "no per-seed" in noise_line(groups(without)[0])
    trained = [r.model_copy(update={"scored_by": "training"}) for r in without]
    assert "deviation of 0.00 points" in noise_line(groups([r for r in trained if r.selector == "constant"])[0])
    single = [r for r in trained if r.seed == 0 and r.selector == "magnitude"]
    assert "not known" in noise_line(groups(single)[0])


def test_figures_in_words() -> None:
    assert [brief(x) for x in (0.0, 0.0004, 0.0339, 12.345, 99.96, 31610.4)] == [
        "0", "< 0.001", "0.0339", "12.3", "100", "31,610"
    ]  # fmt: skip
    assert in_latex("a_b & 5 % ±") == r"a\_\allowbreak{}b \& 5 \% $\pm$"
    assert in_latex("ü") == "?"
    assert in_latex("[12] Foo*") == "{[}12{]} Foo{*}"  # a row that begins with either would end the one before
