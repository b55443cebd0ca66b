"""A CSV file, read whole and strictly: every refusal names the file, the line and the column."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..errors import BenchbedError
from ..runtime.files import one_line


class Sheet:
    """The rows of a CSV file under its header. Raises BenchbedError if it is no such file or has a ragged row.

    names: what columns are also called -> what they are called here.
    """

    def __init__(self, path: Path, names: Mapping[str, str] = MappingProxyType({})) -> None:
        self.path = path
        try:
            with one_line(path, "read"), open(path, newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file, strict=True)
                self.header = [names.get(name, name) for name in next(reader, [])]
                rows = [(reader.line_num, row) for row in reader if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise BenchbedError(f"{path} is no CSV text: {error}") from None
        twice = sorted({name for name in self.header if self.header.count(name) > 1})
        if twice:
            raise BenchbedError(f"{path} has two columns named '{twice[0]}'")
        for line, row in rows:
            if len(row) != len(self.header):
                raise BenchbedError(f"{path} line {line}: {len(row)} fields where the header has {len(self.header)}")
        if not rows:
            raise BenchbedError(f"{path} has no rows below its header")
        self.lines = [line for line, _ in rows]
        self._columns = dict(zip(self.header, zip(*(row for _, row in rows), strict=True), strict=True))

    def __len__(self) -> int:
        return len(self.lines)

    def keep(self, rows: Sequence[int]) -> None:
        """Forgets the other rows."""
        self.lines = [self.lines[row] for row in rows]
        self._columns = {name: tuple(fields[row] for row in rows) for name, fields in self._columns.items()}

    def is_numeric(self, column: str) -> bool:
        """Whether every field is a finite number or empty, and one is a number."""
        texts = [text for text in self._columns[column] if text.strip()]
        return bool(texts) and all(math.isfinite(_number(text)) for text in texts)

    def where(self, row: int) -> str:
        """The file and the line of a row, for an error."""
        return f"{self.path} line {self.lines[row]}"

    def text(self, column: str) -> tuple[str, ...]:
        return self._columns[column]

    def numbers(self, column: str, gaps: bool = False) -> np.ndarray:
        """float64 (rows,). Raises BenchbedError at a field that is no finite number; with `gaps`, empty is NaN."""
        texts = self._columns[column]
        try:
            found = np.array([float(text) for text in texts])
        except ValueError:
            found = np.array([_number(text) for text in texts])
        together = "".join(texts)
        if "_" in together or not together.isascii() or not np.isfinite(found).all():
            for i, text in enumerate(texts):
                if not math.isfinite(_number(text)) and (text.strip() or not gaps):
                    what = f"holds {text[:40]!r}, which is no number" if text.strip() else "is empty"
                    raise BenchbedError(f"{self.where(i)}: {column} {what}")
        return found

    def whole(self, column: str) -> np.ndarray:
        """int64 (rows,). Raises BenchbedError at a field that is no whole number from 0 up."""
        found = self.numbers(column)
        wrong = (found != np.rint(found)) | (found < 0) | (found > 2**53)
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            raise BenchbedError(f"{self.where(i)}: {column} holds {found[i]:g}, no whole number")
        return found.astype(np.int64)


def _number(text: str) -> float:
    try:
        # Python reads 1_000 and digits of every script, which no other program does
        return math.nan if "_" in text or not text.isascii() else float(text)
    except ValueError:
        return math.nan
