"""Results of runs: their frame, summary, paired comparison and plots, compared with what the records say."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

import benchbed
from benchbed import BenchbedError, Results

pytestmark = pytest.mark.usefixtures("closed_figures")
SEEDS = range(5)


@pytest.fixture
def closed_figures() -> object:
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("Agg")
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """{darts, random} x {magnitude, constant} x 5 seeds on the embedded table. To be read only."""
    return benchbed.run(
        ["darts", "random"], ["magnitude", "constant"], seeds=SEEDS, objective="table", table="nb201-digits", epochs=2,
        out=tmp_path_factory.mktemp("made"), quiet=True,
    )  # fmt: skip


def test_it_is_a_sequence_of_records_whose_slices_are_results(made: Results) -> None:
    assert len(made) == 20
    assert [r.seed for r in made[:4]] == [0] * 4
    assert isinstance(made[3:5], Results)
    assert made[3:5].place == made.place
    assert made[-1] in made
    assert made.where(searcher="darts", seed=[1, 3])[0].seed == 1
    assert len(made.where(searcher="darts", seed=[1, 3])) == 4
    with pytest.raises(BenchbedError, match="unknown attribute of a record 'searchr': did you mean 'searcher'"):
        made.where(searchr="darts")


def test_the_frame_has_a_row_a_record(made: Results) -> None:
    frame = made.frame()
    assert list(frame["seed"]) == [r.seed for r in made]
    assert list(frame["test_accuracy"]) == [r.test_accuracy for r in made]
    assert list(frame["params"]) == [r.facts["params"] for r in made]
    assert not any(name.startswith(("searcher.", "selector.")) for name in frame.columns)  # no setting differs


def test_the_frame_has_a_column_for_a_setting_that_differs(made: Results, tmp_path: Path) -> None:
    found = [
        benchbed.run("darts", "magnitude", objective="table", table="nb201-digits", epochs=2, out=tmp_path, quiet=True,
                     set={"searcher.alpha_lr": rate})[0]
        for rate in (0.1, 0.2)
    ]  # fmt: skip
    assert list(Results(found).frame()["searcher.alpha_lr"]) == [0.1, 0.2]


def test_the_summary_is_the_means_over_seeds_with_controls_beside(made: Results) -> None:
    summary = made.summary()
    means = {(row.searcher, row.selector): row.mean for row in summary.itertuples()}
    for searcher, selector in product(("darts",), ("magnitude",)):
        records = made.where(searcher=searcher, selector=selector)
        assert means[searcher, selector] == pytest.approx(np.mean([r.test_accuracy for r in records]))
    controls = dict(zip(summary["selector"], summary["control"], strict=True))
    assert controls["constant"] == "constant cell"
    assert "random cell" in set(summary["control"])
    row = summary[(summary["searcher"] == "random") & (summary["selector"] == "magnitude")].iloc[0]
    assert row["low"] < row["mean"] < row["high"]
    with pytest.raises(BenchbedError, match="hold no record"):
        made[:0].summary()


def test_effects_are_the_comparisons_of_a_grid(made: Results, tmp_path: Path) -> None:
    assert made.effects().empty  # constant is no selector of a search
    crossed = benchbed.run(
        ["darts", "proxyless", "darts+shrink"], ["magnitude", "best-of"], seeds=SEEDS, objective="table",
        table="nb201-digits", epochs=2, out=tmp_path, quiet=True,
    )  # fmt: skip
    rows = crossed.effects().set_index(["kind", "searcher", "selector"])
    for searcher in ("darts", "proxyless", "darts+shrink"):
        row = rows.loc["selector", searcher, "best-of"]
        one = crossed.compare(f"{searcher} x best-of", f"{searcher} x magnitude")
        assert (row["base"], row["pairs"], row["difference"]) == ("magnitude", one.n, pytest.approx(one.mean))
        assert [row["low"], row["high"]] == pytest.approx([one.low, one.high], nan_ok=True)
    row = rows.loc["modifier", "darts+shrink", "magnitude"]
    assert row["base"] == "darts"
    assert row["difference"] == pytest.approx(crossed.compare("darts+shrink x magnitude", "darts x magnitude").mean)
    both = Results([*crossed, *(r.model_copy(update={"space": "other"}) for r in crossed)]).effects()
    assert len(both) == 2 * len(rows)
    assert both["group"].nunique() == 2
    assert list(crossed[:0].effects().columns) == list(crossed.effects().columns)


def test_a_comparison_is_of_the_differences_seed_by_seed(made: Results) -> None:
    found = made.compare("random x magnitude", "random x constant")
    a, b = (
        {r.seed: r.test_accuracy for r in made.where(searcher="random", selector=s)} for s in ("magnitude", "constant")
    )
    wanted = {seed: a[seed] - b[seed] for seed in SEEDS}
    assert found.differences == pytest.approx(wanted)
    assert found.n == 5
    assert found.mean == pytest.approx(np.mean(list(wanted.values())))
    assert found.wins == sum(d > 0 for d in wanted.values())
    signs = np.array(list(product((1, -1), repeat=5)))  # every assignment of signs: the exact permutation test
    sums = np.abs(signs @ np.array(list(wanted.values())))
    assert found.p == pytest.approx((sums >= sums[0] - 1e-9).mean())
    assert str(found).startswith("random x magnitude minus random x constant: ")
    back = made.compare(
        made.where(searcher="random", selector="constant"), made.where(searcher="random", selector="magnitude")
    )
    assert back.mean == pytest.approx(-found.mean)
    assert back.a == "random x constant"


@pytest.mark.parametrize(
    ("a", "b", "figure", "words"),
    [
        (
            "darts x magnitud",
            "darts x constant",
            "test_accuracy",
            "unknown setting of these results 'darts x magnitud': did",
        ),
        ("magnitude", "constant", "test_accuracy", "'magnitude' names several runs of seed 0, such as"),
        ("darts x magnitude", "darts x constant", "test_acuracy", "unknown figure to compare 'test_acuracy': did you"),
    ],
)
def test_a_comparison_that_is_none_is_refused_in_one_line(
    made: Results, a: str, b: str, figure: str, words: str
) -> None:
    with pytest.raises(BenchbedError, match=r"^[^\n]*$") as refused:
        made.compare(a, b, figure)
    assert words in str(refused.value)


def test_without_a_shared_seed_nothing_is_paired(made: Results) -> None:
    one = made.where(searcher="darts", selector="magnitude")
    with pytest.raises(BenchbedError, match=r"has the seeds 0, 1, .* has 3, 4: no seed is shared"):
        one.where(seed=[0, 1]).compare(one.where(seed=[0, 1]), one.where(seed=[3, 4]))


def test_the_plot_of_accuracies_shows_every_record_and_every_mean(made: Results) -> None:
    axes = made.plot_accuracy()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert "darts x magnitude" in labels
    shown = sorted(x for points in axes.collections for x, _ in points.get_offsets().tolist()
                   if type(points).__name__ == "PathCollection")  # fmt: skip
    rows = made.summary()
    assert len(shown) == rows["n"].sum()
    assert len(labels) == len(rows)


def test_the_plot_of_curves_ends_at_the_means_of_the_histories(made: Results) -> None:
    from matplotlib.figure import Figure

    from benchbed.pipeline.history import history

    given = Figure().add_subplot()
    axes = made.plot_curves(given)
    assert axes is given
    lines = {line.get_label(): line for line in axes.get_lines()}
    ends = [history(s / "history.jsonl")[-1].accuracy for s in made.where(searcher="darts").searches]
    assert lines["darts"].get_ydata()[-1] == pytest.approx(np.mean(ends))
    with pytest.raises(BenchbedError, match="of a dry run, or empty"):
        Results(list(made)).plot_curves()


def test_it_says_what_it_is(made: Results) -> None:
    text = repr(made)
    assert text.startswith("Results of 20 run(s) in /")
    assert "darts x magnitude (5)" in text
    page = made._repr_html_()
    assert f"{made.where(searcher='darts', selector='magnitude').summary()['mean'][0]:.2f}" in page
    assert page.count("<tr>") >= len(made.summary())
    assert made[:0]._repr_html_().endswith("none</p>")


def test_an_architecture_draws_itself(made: Results, tmp_path: Path) -> None:
    (cell, *_) = made.architectures()
    assert str(cell) == made[0].architecture
    picture = cell._repr_svg_()
    assert picture is not None
    assert picture.count("<svg") == 1
    assert cell.draw(tmp_path / "cell.svg") == picture
    assert (tmp_path / "cell.svg").read_text() == picture
    unknown = benchbed.Architecture("no such thing", (0,))
    assert unknown._repr_svg_() is None
    with pytest.raises(BenchbedError, match="cannot be drawn without its space: give space="):
        unknown.draw()


def test_problems_of_a_folder_are_named(made: Results, tmp_path: Path) -> None:
    import shutil

    assert made.place is not None
    shutil.copytree(made.place, tmp_path / "runs")
    (tmp_path / "runs" / made[0].id / "record.json").write_text("{")
    found = Results.read(tmp_path / "runs")
    assert len(found) == 19
    assert "is not valid JSON" in found.problems[0]
    assert "left out or odd, see .problems" in repr(found)
    with pytest.raises(BenchbedError, match="is not a folder of runs"):
        Results.read(tmp_path / "nowhere")
