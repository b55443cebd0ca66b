"""Figures, written the same way everywhere: same bytes for the same figure, fonts that have the names' letters."""

import functools
import re
import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Families with the letters of Chinese, Japanese and Korean, of Linux, macOS and Windows. DejaVu, which comes with
# matplotlib, has the Latin, Greek, Cyrillic and Arabic ones.
WIDE = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans JP",
    "Noto Sans TC", "Noto Sans KR", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "IPAGothic",
    "NanumGothic", "PingFang SC", "Hiragino Sans", "Hiragino Sans GB", "Apple SD Gothic Neo", "Microsoft YaHei",
    "SimHei", "Yu Gothic", "MS Gothic", "Malgun Gothic",
)  # fmt: skip
UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def empty_figure(wide: float, high: float, layout: Literal["constrained"] | None = "constrained") -> "Figure":
    """A figure without axes, inches (Agg; no window, no global state)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide, high), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: "Figure", out: str | Path | BytesIO, ending: str, salt: str, **how: Any) -> None:
    """Writes a matplotlib figure to a path or an open file, in our font and not in that of the user's matplotlibrc.

    salt: makes an SVG's ids repeat. ending: svg, pdf or png; a PDF's text stays text (fonts of type 42). A letter that
    no font here has is drawn as a box, and that is said once, on stderr. Raises OSError where it cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set(fontfamily=_families(), usetex=False)
    own = rc_context({"svg.hashsalt": salt, "pdf.fonttype": 42, "font.family": _families(), "text.usetex": False})
    with own, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(out, format=ending, metadata=UNDATED.get(ending), **how)
    for one in caught:
        lacking = re.match(r"Glyph (\d+) \(.*missing from font", str(one.message))
        if lacking is None:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        else:
            _say(chr(int(lacking[1])))


@functools.cache
def _families() -> list[str]:
    from matplotlib.font_manager import get_font_names

    here = set(get_font_names())
    return ["DejaVu Sans", *(name for name in WIDE if name in here)]


@functools.cache
def _say(letter: str) -> None:
    print(
        f"benchbed: warning: no font here has '{letter}', figures show a box: install one such as Noto Sans CJK",
        file=sys.stderr,
    )
