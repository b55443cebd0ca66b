"""The README's picture, of the committed lines of selection.jsonl: `python results/readme_picture.py`.

Five kinds of supernet, three selectors on the same ten supernets each, every seed, its mean and Student's t interval
of 95 %; the line is the constant cell, the control below the random cell. No search is made.
"""

import json
from pathlib import Path

from benchbed.report.plots import panelled, svg_bytes
from benchbed.stats.interval import mean_interval

HERE = Path(__file__).resolve().parent
SEARCHERS = ("darts", "sdarts-rs", "blank", "sgas", "gdas")
NAMES = {"darts": "darts", "sdarts-rs": "darts+sdarts-rs", "blank": "blank", "sgas": "darts+sgas", "gdas": "gdas"}
SELECTORS = {"perturb": "#0072B2", "perturb-magnitude": "#009E73", "magnitude": "#D55E00"}  # Okabe and Ito's palette
CONTROL = "#666666"
LEFT = 58.0  # percent; what lies below is an arrow at the edge
APART = 0.26  # rows of a searcher


def accuracies() -> dict[tuple[str, str], list[float]]:
    """Test accuracies by searcher and selector, in the order of the seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for line in (HERE / "selection.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.setdefault((row["searcher"], row["selector"]), []).append(row["test_accuracy"])
    return found


def picture() -> bytes:
    found = accuracies()
    figure, (axes,) = panelled(1, 7.2, 3.7)
    constant = found["darts", "constant"][0]
    axes.axvline(constant, color=CONTROL, lw=1)
    axes.text(constant, -0.62, f"constant cell {constant:.2f}", ha="center", va="bottom", size=8, color=CONTROL)
    rows = [(name, selector, colour) for name in SEARCHERS for selector, colour in SELECTORS.items()]
    places = [at + APART * (k - 1) for at in range(len(SEARCHERS)) for k in range(len(SELECTORS))]
    drawn = [(*row, at) for row, at in zip(rows, places, strict=True)]
    for name, selector, colour, at in [*drawn, ("darts", "random", CONTROL, float(len(SEARCHERS)))]:
        values = found[name, selector]
        mean = mean_interval(values)
        seen = [value for value in values if value >= LEFT]
        axes.scatter(seen, [at] * len(seen), s=9, color=colour, lw=0, alpha=0.4)
        if len(seen) < len(values):
            axes.scatter([LEFT + 0.15], [at], s=16, color=colour, marker="<", lw=0)
        label = selector if name == SEARCHERS[0] and selector in SELECTORS else None
        reach = [[mean.mean - mean.low], [mean.high - mean.mean]]
        if mean.mean >= LEFT:
            axes.errorbar(
                mean.mean, at, xerr=reach, fmt="o", ms=5, capsize=2.5, lw=1.4, color=colour, label=label
            )
        else:
            text = f"mean {mean.mean:.1f} ({mean.low:.1f} to {mean.high:.1f})"
            axes.text(LEFT + 0.4, at - 0.02, text, va="bottom", size=6.5, color=colour)
    axes.set_yticks(range(len(SEARCHERS) + 1), [*(NAMES[name] for name in SEARCHERS), "random cell"])
    axes.set(xlim=(LEFT, 70.4), ylim=(len(SEARCHERS) + 0.5, -0.65), xlabel="test accuracy on digits, %")
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", title="selector", title_fontsize=8)
    return svg_bytes(figure)


if __name__ == "__main__":
    (HERE / "readme-picture.svg").write_bytes(picture())
