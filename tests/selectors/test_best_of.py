"""Best-of against a plain ranking of the same draws."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.selectors.best_of import BestOf, Options
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToySpace, ToyTable, random_table


def bench_of(objective: ToyTable, seed: int = 0) -> Bench:
    return Bench(objective.space, objective, Streams(seed))


def selectable_draws(bench: Bench, chunks: list[int]) -> list[tuple[int, ...]]:
    """What the selection stream gives when draws that hold the unselectable 'a' at the third are drawn again."""
    generator, kept, wanted = bench.streams.generator("selection"), [], 0
    for n in chunks:
        wanted += n
        while len(kept) < wanted:
            drawn = bench.searcher.sample(wanted - len(kept), generator).argmax(2).tolist()
            kept += [tuple(c) for c in drawn if c[2] != 3]
    return kept


def test_the_best_draw_and_the_mean_accuracy_per_operation():
    table = random_table(ToySpace(), 3)
    chosen = bench_of(table).run(BestOf(Options(samples=23)))
    drawn = selectable_draws(bench_of(table), [10, 10, 3])
    accuracies = [float(100 * (1 - table.losses[c])) for c in drawn]
    assert chosen.architecture.choices == drawn[int(np.argmax(accuracies))]
    assert chosen.notes["samples"] == 23
    assert chosen.notes["supernet_accuracy_of_best"] == pytest.approx(max(accuracies), abs=1e-4)
    for i, position in enumerate(table.space.positions):
        for k in range(4):
            held = [a for a, c in zip(accuracies, drawn, strict=True) if c[i] == k]
            if held:
                assert chosen.scores[i, k] == pytest.approx(np.mean(held), abs=1e-4)
            else:
                assert np.isnan(chosen.scores[i, k]), (position, k)
    assert np.isnan(chosen.scores[2, 3])


def test_ties_go_to_the_earliest_draw():
    flat = ToyTable(ToySpace(), torch.full((3, 2, 4), 0.5))
    chosen = bench_of(flat).run(BestOf(Options(samples=30)))
    assert chosen.architecture.choices == selectable_draws(bench_of(flat), [10])[0]


@pytest.mark.parametrize(("samples", "steps"), [(1, 1), (10, 1), (11, 2), (100, 10)])
def test_it_advances_by_ten_draws(samples, steps):
    bench, lines = bench_of(random_table(ToySpace(), 0)), []
    selector = BestOf(Options(samples=samples))
    assert selector.steps(bench.space) == steps
    context = bench.context()._replace(log=lines.append)
    results = [selector.step(context) for _ in range(steps)]
    assert [r is None for r in results] == [True] * (steps - 1) + [False]
    assert [line["draws"] for line in lines] == [min(10 * (i + 1), samples) for i in range(steps)]


def test_a_searcher_that_draws_nothing_selectable_is_refused():
    bench = bench_of(random_table(ToySpace(), 0))
    with torch.no_grad():
        bench.searcher.alpha[2] = torch.tensor([0.0, 0.0, 0.0, 200.0])
    with pytest.raises(BenchbedError, match=r"best-of.*may be selected"):
        BestOf(Options()).step(bench.context())


def test_of_a_ranked_pool_only_the_best_are_measured(tmp_path: Path) -> None:
    table = random_table(ToySpace(), 3)
    drawn = dict.fromkeys(selectable_draws(bench_of(table), [200]))
    ranked = sorted(
        drawn, key=lambda c: sum(ord(p.operations[k]) for p, k in zip(table.space.positions, c, strict=True))
    )
    best = ranked[::-1][:4]
    bench = bench_of(table)
    selector = BestOf(Options(samples=4, by="params", pool=200))
    chosen = bench.run(selector)
    assert selector.ranked is not None
    sizes = [sum(ord(word) for word in str(bench.space.architecture(one.numpy()))) for one in selector.ranked]
    assert sizes == [sum(ord(word) for word in str(table.space.architecture_of(c))) for c in best]
    measured = [tuple(one.argmax(1).tolist()) for one in selector.ranked]
    assert chosen.architecture.choices == min(measured, key=lambda c: float(table.losses[c]))


def test_draws_without_a_score_are_not_measured(tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text("arch,x\na-c-b,1\nb-c-b,3\nc-a-d,2\na-a-c,nan\n")
    bench = bench_of(random_table(ToySpace(), 3))
    selector = BestOf(Options(samples=3, by=f"{scores}:x", pool=400))
    bench.run(selector)
    assert selector.ranked is not None
    assert [str(bench.space.architecture(one.numpy())) for one in selector.ranked] == ["b-c-b", "c-a-d", "a-c-b"]
    with pytest.raises(BenchbedError, match="400 draws hold 3 architectures with a score by"):
        bench.run(BestOf(Options(samples=4, by=f"{scores}:x", pool=400)))
    found = Options(samples=3, by=f"{scores}:x", pool=400)
    scores.write_text("arch,x\na-c-b,9\n")
    with pytest.raises(BenchbedError, match=r"scores\.csv has changed since then: its SHA-256 is no longer"):
        BestOf.check(found, ToySpace(), None)


def test_a_pool_smaller_than_what_is_measured_is_refused() -> None:
    with pytest.raises(BenchbedError, match=r"selector\.pool = 10: expected at least selector\.samples = 100"):
        BestOf.check(Options(by="params", pool=10), ToySpace(), None)
