"""The page of `table browse` in Chromium, at two widths and in both schemes, held against the table in Python."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from benchbed.report.browse import write_page
from benchbed.spaces.nb201.space import NB201, OPERATIONS, all_strings
from benchbed.stats.pareto import front
from benchbed.tables import Table, store
from benchbed.tables.importing import import_table

from ..devtools import Browser, Page, chromium

SHAPE, SPACE, TEXTS = (5,) * 6, NB201(), all_strings()
TEST, VALID, PHONE, ROBUST = (
    "accuracy/cifar10_test_200", "accuracy/cifar10_valid_200", "further/phone_latency", "further/pgd@Linf_eps-1.0"
)  # fmt: skip
MINUS, MISSING = "\u2212", "\u2013"
LOOKS = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def table() -> Table:
    """Made-up figures of all cells: three seeds, an official order, ties, a latency with gaps and zeros."""
    rng = np.random.default_rng(11)
    seeds = np.clip(rng.normal(80, 8, SHAPE)[..., None] + rng.normal(0, 0.4, (*SHAPE, 3)), 0, 100)
    latency = rng.gamma(2.0, 3.0, SHAPE).round(2)
    latency.reshape(-1)[rng.choice(15_625, 500, replace=False)] = np.nan
    arrays = {
        TEST: seeds.mean(-1),
        VALID: rng.uniform(20, 95, SHAPE).round(1),  # many of them equal
        "seeds/cifar10_test_200": seeds,
        "params/cifar10": rng.integers(70_000, 1_500_000, SHAPE),
        PHONE: latency,
        ROBUST: rng.uniform(0, 60, SHAPE).round(1),
        "further/score": rng.normal(0, 1e-4, SHAPE),
        "order": rng.permutation(15_625).astype(np.int32),
    }
    meta = {
        "format": store.FORMAT, "space": "nb201", "fingerprint": store.fingerprint("nb201", arrays),
        "figures": [["cifar10", "valid", 200], ["cifar10", "test", 200]],
        "seeds": {"cifar10_test_200": ["0", "1", "2"]},
    }  # fmt: skip
    return Table("made-up", meta, arrays)


@pytest.fixture(scope="module")
def file(table: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("browse") / "made up.html"
    write_page(table, out)
    return out


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def opened(browser: Browser, file: Path, look: tuple[int, str] = (1280, "light"), **state: object) -> Page:
    """The page in a state of its address, drawn."""
    page = browser.open(f"{file.as_uri()}#{urlencode(state, doseq=True)}", *look)
    page.wait("document.documentElement.dataset.ready === 'yes'")
    return page


def flat(table: Table, name: str) -> np.ndarray:
    """A figure by official index, which is the page's order of rows."""
    kind, _, of = name.partition("/")
    values = table.further(of) if kind == "further" else table._array(name)
    return values.reshape(-1)[table.order].astype(np.float64)


def code(text: str) -> str:
    return "".join(map(str, SPACE.parse(text).choices))


def strings(page: Page, rows: str) -> list[str]:
    """The native strings of an expression's rows."""
    found: list[str] = page.ask(f"Array.from({rows}, (row) => browse.stringOf(Number(row)))")
    return found


def unfold(page: Page) -> None:
    """Opens every part of the page, and waits until each has its table."""
    page.ask("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    count = "document.querySelectorAll('#compare {}').length"
    page.wait(f"{count.format('table')} === {count.format('details')}")


@pytest.mark.parametrize("look", LOOKS)
def test_best_cell_values_neighbours_and_front_are_the_table_s(
    browser: Browser, file: Path, table: Table, look: tuple[int, str]
) -> None:
    page = opened(browser, file, look)
    best = table.best("cifar10", "test", 200)
    assert strings(page, "[document.querySelector('#list [role=option]').dataset.row]") == [best.architecture.text]
    page.ask("document.querySelector('#list [role=option]').click()")
    assert page.ask("document.querySelector('.card code').textContent") == best.architecture.text
    cell = f"document.querySelector('td[data-figure=\"{TEST}\"]')"
    assert page.ask(f"{cell}.textContent") == f"{best.value:.4f}rank 1 of 15,625mean of 3 seeds"

    values = table.values("cifar10", "test", 200)
    near = sorted(SPACE.neighbours(best.architecture), key=lambda other: -values[other.choices])
    assert strings(page, "[...document.querySelectorAll('#neighbours li')].map((li) => li.dataset.row)") == [
        other.text for other in near
    ]
    lines = "[...document.querySelectorAll('#neighbours .go')]"
    shown = page.ask(f"{lines}.map((line) => [...line.children].slice(1).map((e) => e.textContent))")
    assert shown == [[f"{values[n.choices]:.4f}", f"{MINUS}{best.value - values[n.choices]:.4f}"] for n in near]

    cost, accuracy = flat(table, "params/cifar10"), flat(table, TEST)
    assert page.ask("browse.matches().front") == front(cost, accuracy).tolist()
    page.ask("document.getElementById('frontOnly').click()")
    listed = page.ask("[...document.querySelectorAll('#list [role=option]')].map((line) => Number(line.dataset.row))")
    by_accuracy = sorted(front(cost, accuracy).tolist(), key=lambda row: -accuracy[row])
    assert listed == by_accuracy[: len(listed)]
    assert len(listed) >= min(8, len(by_accuracy))
    assert page.ask("document.documentElement.scrollWidth") == look[0]
    assert page.wrong == []


@pytest.mark.parametrize("look", LOOKS)
def test_four_pinned_cells_and_a_long_search_stay_within_the_width(
    browser: Browser, file: Path, look: tuple[int, str]
) -> None:
    pins = [code(TEXTS[place]) for place in (0, 777, 9_999, 15_624)]
    ranges = [f"{TEST} 60 ", f"{PHONE}  20"]
    page = opened(browser, file, look, pin=pins, range=ranges, colour=PHONE, x=PHONE, xLog=1, text="nor_conv_3x3~0")
    assert page.ask("[...document.querySelectorAll('.card code')].map((e) => e.textContent)") == [
        TEXTS[place] for place in (0, 777, 9_999, 15_624)
    ]
    unfold(page)
    assert page.ask("document.documentElement.scrollWidth") == look[0]
    ground = page.ask("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[look[1]]
    assert page.wrong == []


def test_every_value_of_a_pinned_cell_is_the_table_s(browser: Browser, file: Path, table: Table) -> None:
    rows = (0, 4_321, 15_624)
    page = opened(browser, file, pin=[code(table.arch(row).text) for row in rows])
    unfold(page)
    for name in (TEST, VALID, "params/cifar10", PHONE, ROBUST, "further/score"):
        values = flat(table, name)
        sign = -1 if name in (PHONE, "params/cifar10") else 1
        for row in rows:
            cell = f"document.querySelector('td[data-figure=\"{name}\"][data-row=\"{row}\"]')"
            text, rank = page.ask(f"[...{cell}.children].slice(0, 2).map((part) => part.textContent)")
            if np.isnan(values[row]):
                assert (text, rank) == (MISSING, "missing")
                continue
            wanted = f"{values[row]:.4f}" if name.startswith("accuracy") else f"{values[row]:.6g}"
            assert float(text.replace(",", "")) == float(wanted if name != "params/cifar10" else values[row])
            better = 1 + int((sign * values > sign * values[row]).sum())
            assert rank == f"rank {better:,} of {np.isfinite(values).sum():,}"
    every = page.ask("Array.from({length: 15625}, (_, row) => browse.value('" + TEST + "', row))")
    np.testing.assert_array_equal(every, flat(table, TEST))
    assert page.wrong == []


@pytest.mark.parametrize(
    ("x", "y", "signs"), [(PHONE, TEST, (-1, 1)), (VALID, TEST, (1, 1)), (PHONE, "params/cifar10", (-1, -1)),
                          (ROBUST, VALID, (1, 1)), ("further/score", VALID, (-1, 1))],
)  # fmt: skip
def test_the_front_of_any_two_figures(
    browser: Browser, file: Path, table: Table, x: str, y: str, signs: tuple[int, int]
) -> None:
    better = {"better": [f"{x} {signs[0]}"]} if x == "further/score" else {}
    page = opened(browser, file, x=x, y=y, range=f"{VALID} 30 90", **better)
    xs, ys, valid = flat(table, x), flat(table, y), flat(table, VALID)
    inside = np.flatnonzero(np.isfinite(xs) & np.isfinite(ys) & (valid >= 30) & (valid <= 90))
    assert page.ask("browse.matches().front") == inside[front(-signs[0] * xs[inside], signs[1] * ys[inside])].tolist()


def test_search_by_string_pattern_index_other_notations_and_ranges(browser: Browser, file: Path, table: Table) -> None:
    page = opened(browser, file)
    cells = [SPACE.parse(text) for text in TEXTS]
    first = table.arch(123).text

    def found(text: str) -> set[str]:
        page.ask(f"document.getElementById('text').value = {text!r}")
        page.ask("document.getElementById('text').dispatchEvent(new Event('input'))")
        rows = "browse.matches().isIn.reduce((all, is, row) => (is && all.push(row), all), [])"
        return set(strings(page, rows))

    assert found(first) == {first}
    assert found("123") == found("index 123") == found("#123") == {first}
    naslib = SPACE.parse("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|")
    assert found("(2, 1, 4, 3, 3, 2)") == {naslib.text}
    lists = '[(("nor_conv_3x3", 0),), (("none", 0), ("nor_conv_1x1", 1)), '
    assert found(lists + '(("avg_pool_3x3", 0), ("nor_conv_1x1", 1), ("nor_conv_3x3", 2))]') == {naslib.text}
    conv = OPERATIONS.index("nor_conv_3x3")
    pattern = {c.text for c in cells if c.choices[0] == conv and c.choices[3] == 1}
    assert found("|nor_conv_3x3~0|+|*~0|*~1|+|skip_connect~0|*~1|*~2|") == pattern
    assert found("none~0|*avg_pool_3x3~2") == {t for t in TEXTS if "avg_pool_3x3~2" in t.partition("none~0|")[2]}
    assert found("none~0|nor_conv_3x3~1|+") == {text for text in TEXTS if "none~0|nor_conv_3x3~1|+" in text}
    assert found("no such cell") == set()
    assert page.ask("document.getElementById('status').textContent").startswith("0 of 15,625 cells match")
    found("")
    for position, k in ((0, "3"), (1, "0")):
        page.ask(f"document.getElementById('pattern-{position}').value = '{k}'")
        page.ask(f"document.getElementById('pattern-{position}').dispatchEvent(new Event('change'))")
    assert page.ask("browse.matches().count") == sum(c.choices[:2] == (3, 0) for c in cells)
    page.ask("document.getElementById('clear').click()")
    assert page.ask("browse.matches().count") == 15_625
    page.ask("document.getElementById('add-range').click()")
    page.type("85.5")  # the new range's least value has the focus
    assert page.ask("browse.matches().count") == int((flat(table, TEST) >= 85.5).sum())
    assert page.wrong == []


def test_keys_a_click_on_the_plot_and_the_address(browser: Browser, file: Path, table: Table) -> None:
    page = opened(browser, file)
    order = np.argsort(-flat(table, TEST), kind="stable")
    page.ask("document.getElementById('list').focus()")
    for _ in range(3):
        page.press("ArrowDown")
    assert page.ask("document.getElementById('list').getAttribute('aria-activedescendant')") == "row-2"
    page.press("Enter")
    assert page.ask("browse.state.pins") == [order[2]]
    page.press("End")
    page.press("Enter")
    assert page.ask("browse.state.pins") == [order[2], order[-1]]
    assert page.ask("document.querySelectorAll('#list [role=option]').length") < 40  # of 15,625
    page.press("Escape")
    assert page.ask("browse.state.pins") == [order[2]]

    best = int(order[0])  # on the front, so nothing hides it
    left, top = page.ask("(({left, top}) => [left, top])(document.getElementById('over').getBoundingClientRect())")
    across, down = page.ask(f"[browse.plot.at[{2 * best}], browse.plot.at[{2 * best + 1}]]")
    x, y = left + across, top + down
    page.mouse("mouseMoved", x, y)
    page.wait("!document.getElementById('tip').hidden")
    assert table.arch(best).text in page.ask("document.getElementById('tip').textContent")
    page.mouse("mousePressed", x, y)
    page.mouse("mouseReleased", x, y)
    assert page.ask("browse.state.pins") == [order[2], best]
    page.mouse("mousePressed", x - 200, y)
    page.mouse("mouseMoved", x - 10, y + 150)
    page.mouse("mouseReleased", x - 10, y + 150)
    assert page.ask("browse.state.zoom.length") == 4

    page.ask("document.getElementById('yLog').click()")
    page.wait("location.hash.includes('yLog')")
    again = browser.open(page.ask("location.href"))
    again.wait("document.documentElement.dataset.ready === 'yes'")
    assert again.ask("JSON.stringify(browse.state)") == page.ask("JSON.stringify(browse.state)")
    assert page.wrong == again.wrong == []


def test_an_address_of_something_else_is_no_error(browser: Browser, file: Path) -> None:
    odd = {"x": "nothing", "pin": ["999999", "x"], "zoom": "1 nan 3", "range": "nope 1 2", "better": f"{TEST} up"}
    page = opened(browser, file, **odd)
    assert page.ask("[browse.state.x, browse.state.pins.length, browse.state.zoom]") == ["params/cifar10", 0, None]
    assert page.wrong == []


def test_equals_of_the_table_that_comes_with_benchbed(browser: Browser, tmp_path: Path) -> None:
    write_page(Table.open("nb201-digits"), tmp_path / "digits.html")
    page = opened(browser, tmp_path / "digits.html", pin=code(TEXTS[1234]))
    canonical = SPACE.canonical(SPACE.parse(TEXTS[1234]))
    same = {text for text in TEXTS if SPACE.canonical(SPACE.parse(text)) == canonical} - {TEXTS[1234]}
    assert set(strings(page, f"browse.samesOf({1234})")) == same
    assert len(same) > 40
    assert page.ask("document.querySelectorAll('#sames li').length") == 40
    page.ask("document.getElementById('sames-more').click()")
    assert set(strings(page, "[...document.querySelectorAll('#sames li')].map((li) => li.dataset.row)")) == same
    assert page.wrong == []


def table_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str, rows: list[str]) -> Table:
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    (tmp_path / "own.csv").write_text("\n".join(["arch,cifar10_test_50", *rows]) + "\n")
    return import_table([tmp_path / "own.csv"], "own", space=space, partial=True)


@pytest.mark.parametrize("space", ["macro", "darts", "mbconv"])
def test_any_space_has_its_neighbours_and_a_drawing(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str
) -> None:
    from benchbed.spaces.load import load_space

    of, rng = load_space(space), np.random.default_rng(5)
    centre = of.random(rng)
    near = list(of.neighbours(centre))
    held = {one.text: one for one in [centre, *near[::3], *(of.random(rng) for _ in range(5))]}
    table = table_of(tmp_path, monkeypatch, space, [f'"{text}",{50 + i / 8}' for i, text in enumerate(held)])
    write_page(table, tmp_path / "own.html")
    page = opened(browser, tmp_path / "own.html")
    row = strings(page, "browse.matches().isIn.keys()").index(centre.text)
    page.ask(f"browse.pin({row})")
    found = strings(page, f"browse.neighboursOf({row}).found.map((one) => one.row)")
    assert sorted(found) == sorted(other.text for other in near if other.text in held)
    assert page.ask(f"browse.neighboursOf({row}).absent") == len(near) - len(found)
    assert page.ask("document.querySelectorAll('.card svg').length") == (2 if space == "darts" else 1)
    drawn = page.ask("[...document.querySelectorAll('.card svg .operation')].map((e) => e.textContent).join('')")
    words = [word for _, word in of.describe_choices(centre) if word != "dropped"]
    assert sorted(drawn.replace("_", "")) == sorted("".join(words).replace("_", ""))  # long names stand in two lines
    assert page.ask("document.documentElement.scrollWidth") == 1280
    assert page.wrong == []


def test_the_real_table(browser: Browser, real_table: Table, tmp_path: Path) -> None:
    write_page(real_table, tmp_path / "nb201.html")
    page = opened(browser, tmp_path / "nb201.html")
    best = real_table.best("cifar10", "test", 200)
    assert strings(page, "[document.querySelector('#list [role=option]').dataset.row]") == [best.architecture.text]
    xs, ys = flat(real_table, "params/cifar10"), flat(real_table, TEST)
    assert page.ask("browse.matches().front") == front(xs, ys).tolist()
    assert page.wrong == []


def test_the_helper_sees_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text("<script>console.error('no'); missing()</script><img src='http://x.test/a.png'>")
    page = browser.open((tmp_path / "bad.html").as_uri())
    said = " ".join(page.wrong)
    for part in ("no", "missing is not defined", "asked for http://x.test/a.png"):
        assert part in said
