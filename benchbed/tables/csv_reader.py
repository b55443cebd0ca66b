"""A CSV file, read whole and strictly: every refusal names the file, the line and the column."""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..errors import BenchbedError
from ..runtime.reading import LIMITS, Unfit, csv_lines, opened, plain_cell

OTHER_MARKS = (";", "\t")  # that spreadsheets put between columns


class Sheet:
    """The rows of a CSV file under its header. Raises BenchbedError if it is no such file or has a ragged row.

    names: what columns are also called -> what they are called here.
    """

    def __init__(self, path: Path, names: Mapping[str, str] = MappingProxyType({})) -> None:
        self.path = path
        self.lines: list[int] = []
        try:
            with opened(path) as file:
                rows = self._read(csv_lines(file), names)
        except (csv.Error, UnicodeDecodeError, Unfit) as error:
            raise BenchbedError(f"{path} is not a CSV file: {error}") from None
        if not self.header:
            raise BenchbedError(f"{path} is empty")
        if not rows:
            raise BenchbedError(f"{path} has no rows below its header")
        self._columns = dict(zip(self.header, zip(*rows, strict=True), strict=True))

    def _read(self, lines: Iterable[str], names: Mapping[str, str]) -> list[list[str]]:
        """The rows, after the header. Raises Unfit beyond the limits, BenchbedError for a ragged row."""
        reader = csv.reader(lines, strict=True)
        header = [plain_cell(name) for name in next(reader, [])]
        if len(header) > LIMITS.csv_columns:
            raise Unfit(f"it has {len(header):,} columns, and at most {LIMITS.csv_columns:,} are read")
        self.header = [names.get(name, name) for name in header]
        if len(header) == 1 and (other := next((mark for mark in OTHER_MARKS if mark in header[0]), None)):
            raise BenchbedError(f"{self.path}: its one column is named {header[0][:80]!r}; columns are separated by "
                                f"commas here, and not by {other!r}")  # fmt: skip
        if twice := sorted(name for name, count in Counter(self.header).items() if count > 1):
            raise BenchbedError(f"{self.path} has two columns named '{twice[0][:80]}'")
        width, rows = len(header), list[list[str]]()
        for row in reader:
            if not row:
                continue
            if len(row) != width:
                line = f"{self.path} line {reader.line_num}"
                raise BenchbedError(f"{line}: {len(row)} fields where the header has {width}")
            if len(rows) >= LIMITS.csv_rows or len(rows) * width > LIMITS.csv_fields:
                raise Unfit(f"it has more than {LIMITS.csv_rows:,} rows or {LIMITS.csv_fields:,} fields")
            rows.append(row)
            self.lines.append(reader.line_num)
        return rows

    def __len__(self) -> int:
        return len(self.lines)

    def keep(self, rows: Sequence[int]) -> None:
        """Forgets the other rows."""
        self.lines = [self.lines[row] for row in rows]
        self._columns = {name: tuple(fields[row] for row in rows) for name, fields in self._columns.items()}

    def _column(self, name: str) -> tuple[str, ...]:
        if name not in self._columns:
            raise BenchbedError(f"{self.path} has no column {name}")
        return self._columns[name]

    def is_numeric(self, column: str) -> bool:
        """Whether every field is a finite number or empty, and one is a number."""
        texts = [text for text in self._columns[column] if text.strip()]
        return bool(texts) and all(math.isfinite(strict_number(text)) for text in texts)

    def where(self, row: int) -> str:
        """The file and the line of a row, for an error."""
        return f"{self.path} line {self.lines[row]}"

    def text(self, column: str) -> tuple[str, ...]:
        return tuple(map(plain_cell, self._column(column)))

    def numbers(self, column: str, gaps: bool = False) -> np.ndarray:
        """float64 (rows,). Raises BenchbedError at a field that is no finite number; with `gaps`, empty is NaN."""
        texts = self._column(column)
        try:
            found = np.array([float(text) for text in texts])
        except ValueError:
            found = np.array([strict_number(text) for text in texts])
        together = "".join(texts)
        if "_" in together or not together.isascii() or not np.isfinite(found).all():
            for i, text in enumerate(texts):
                if not math.isfinite(strict_number(text)) and (text.strip() or not gaps):
                    what = f"holds {text[:40]!r}, which is not a number" if text.strip() else "is empty"
                    raise BenchbedError(f"{self.where(i)}: {column} {what}")
        return found

    def whole(self, column: str) -> np.ndarray:
        """int64 (rows,). Raises BenchbedError at a field that is not a whole number from 0 up."""
        found = self.numbers(column)
        wrong = (found != np.rint(found)) | (found < 0) | (found > 2**53)
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            raise BenchbedError(f"{self.where(i)}: {column} holds {found[i]:g}, no whole number")
        return found.astype(np.int64)


def strict_number(text: str) -> float:
    """The number that a text is; NaN where it is none."""
    try:
        # Python reads 1_000 and digits of every script, which no other program does
        return math.nan if "_" in text or not text.isascii() else float(text)
    except ValueError:
        return math.nan
