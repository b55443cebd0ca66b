"""Tables of a benchmark's figures: opened and queried with numpy alone, imported from every published form."""

from .answers import Answer, Best
from .figures import DATASETS, SPLITS, Figure
from .inverse import whois
from .table import Table

open = Table.open  # `benchbed.tables.open("nb201")`

__all__ = ["DATASETS", "SPLITS", "Answer", "Best", "Figure", "Table", "open", "whois"]
