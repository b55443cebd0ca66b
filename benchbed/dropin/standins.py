"""Stand-ins for the packages `nas_201_api` and `nats_bench`, so that a script's own imports find the drop-in."""

import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import BenchbedError
from ..tables import Table
from ..tables.benchmarks import BENCHMARKS, SIZES, TOPOLOGY
from ..tables.benchmarks import Benchmark as Published
from ..tables.trusted import trusted
from . import nas201, nats
from .api import Benchmark
from .cells import open_table
from .refusals import DropinError
from .results import ArchResults
from .structure import TopologyStructure, topology_str2structure
from .trial import mean
from .words import describe, remap_dataset_set_names


def install(*tables: str | Path | Table) -> None:
    """From here on `import nas_201_api` and `import nats_bench` give the drop-in, answered by the tables.

    `tables`: at most one a space, NAS-Bench-201's cells and NATS-Bench's sizes; without any 'nb201'. A space of which
    none is given is answered by the table named as it, nb201 or nats-sss, when a script asks for it.

    Whatever path a script hands over is not read, and one line on stderr says so. Raises BenchbedError, one line, for
    a table that there is not, is damaged or has no official index, and for two of one space; then nothing is installed.
    """
    opened = Opened(tables or (TOPOLOGY.space,))
    for module in (*_nas_201_api(opened), *_nats_bench(opened)):
        sys.modules[module.__name__] = module


class Opened:
    """The tables that answer, by space."""

    def __init__(self, tables: Sequence[str | Path | Table]) -> None:
        self._tables: dict[str, Table] = {}
        for given in tables:
            table = given if isinstance(given, Table) else trusted(given)
            space = table.meta["space"]
            if space in self._tables:
                raise DropinError(f"tables {self._tables[space].name} and {table.name} are both of space {space}: "
                                  "give one of them")  # fmt: skip
            self._tables[space] = open_table(table, BENCHMARKS.get(space, TOPOLOGY))

    def of(self, benchmark: Published) -> Table:
        """The table of a space. DropinError, naming how to get one, where there is none."""
        if benchmark.space not in self._tables:
            try:
                self._tables[benchmark.space] = open_table(None, benchmark)
            except BenchbedError as error:
                given = ", ".join(table.name for table in self._tables.values())
                raise DropinError(f"no table of {benchmark.title} is given (table {given} is not of it), and the "
                                  f"default does not open: {error}") from None  # fmt: skip
        return self._tables[benchmark.space]


def _nas_201_api(tables: Opened) -> list[ModuleType]:
    class NASBench201API(nas201.NASBench201API):
        def __init__(self, file_path_or_dict: object = None, verbose: bool = True) -> None:
            table = tables.of(TOPOLOGY)
            _tell("nas_201_api", table, file_path_or_dict)
            super().__init__(table, verbose)

    results = {"ArchResults": nas201.ArchResults, "ResultsCount": nas201.ResultsCount}
    inner = {
        "api_utils": {**results, "NASBenchMetaAPI": Benchmark, "remap_dataset_set_names": remap_dataset_set_names},
        "api_201": {
            "NASBench201API": NASBench201API,
            "ALL_BENCHMARK_FILES": nas201.ALL_BENCHMARK_FILES,
            "ALL_ARCHIVE_DIRS": nas201.ALL_ARCHIVE_DIRS,
            "print_information": partial(_print_information, ", "),
            **results,
        },
    }
    own = {"NASBench201API": NASBench201API, "NAS_BENCH_201_API_VERSION": nas201.NAS_BENCH_201_API_VERSION, **results}
    return _package("nas_201_api", own, inner)


def _nats_bench(tables: Opened) -> list[ModuleType]:
    class NATStopology(nats.NATStopology):
        def __init__(self, file_path_or_dict: object = None, fast_mode: bool = False, verbose: bool = True) -> None:
            table = tables.of(TOPOLOGY)
            _tell("nats_bench", table, file_path_or_dict)
            super().__init__(table, fast_mode, verbose)

    class NATSsize(nats.NATSsize):
        def __init__(self, file_path_or_dict: object = None, fast_mode: bool = False, verbose: bool = True) -> None:
            table = tables.of(SIZES)
            _tell("nats_bench", table, file_path_or_dict)
            super().__init__(table, fast_mode, verbose)

    def create(
        file_path_or_dict: object, search_space: object, fast_mode: bool = False, verbose: bool = True
    ) -> NATStopology | NATSsize:
        made = NATSsize if nats.benchmark_of(search_space) is SIZES else NATStopology
        return made(file_path_or_dict, fast_mode, verbose)

    results = {"ArchResults": nats.ArchResults, "ResultsCount": nats.ResultsCount}
    pickles = {"pickle_load": _no_pickle, "pickle_save": _no_pickle, "PICKLE_EXT": nats.PICKLE_EXT}
    structure = {"topology_str2structure": topology_str2structure, "TopologyStructure": TopologyStructure}
    topology = {"NATStopology": NATStopology, "ALL_BASE_NAMES": nats.ALL_BASE_NAMES}
    inner: dict[str, dict[str, Any]] = {
        "api_utils": {
            **results, **pickles, "NASBenchMetaAPI": Benchmark, "mean": mean, "time_string": _time_string,
            "remap_dataset_set_names": remap_dataset_set_names, "get_torch_home": _torch_home,
        },
        "api_topology": {
            **topology, **results, "print_information": partial(_print_information, " & "),
            "topology_str2structure": topology_str2structure,
        },
        "api_size": {
            "NATSsize": NATSsize, "ALL_BASE_NAMES": nats.SIZE_BASE_NAMES, **results,
            "print_information": partial(_print_information, " & ", sized=True),
        },
        "genotype_utils": structure,
    }  # fmt: skip
    constants = ("NATS_BENCH_API_VERSIONs", "NATS_BENCH_SSS_NAMEs", "NATS_BENCH_TSS_NAMEs", "version",
                 "search_space_info")  # fmt: skip
    own = {"create": create, "NATStopology": NATStopology, "NATSsize": NATSsize, **results, **pickles}
    return _package("nats_bench", {**own, **{name: getattr(nats, name) for name in constants}}, inner)


def _package(name: str, own: dict[str, Any], inner: dict[str, dict[str, Any]]) -> list[ModuleType]:
    """The package's module and those below it."""
    package = ModuleType(name, f"{name}, answered by a table of benchbed's (benchbed.dropin)")
    package.__path__ = []  # a package, with nothing on disk
    package.__dict__.update(own)
    modules = [package]
    for below, content in inner.items():
        module = ModuleType(f"{name}.{below}", package.__doc__)
        module.__dict__.update(content)
        setattr(package, below, module)
        modules.append(module)
    return modules


def _tell(package: str, table: Table, given: object) -> None:
    if isinstance(given, dict):
        raise DropinError(f"{package} was given a dict of records, and the drop-in answers from table {table.name}: "
                          "give a path or None, or import the records with 'table import'")  # fmt: skip
    instead = "" if given is None else f", not by {given}"
    print(f"benchbed: {package} is answered by table {table.name}{instead}", file=sys.stderr)


def _print_information(
    join: str, information: ArchResults, extra_info: object = None, show: bool = False, sized: bool = False
) -> list[str]:
    """The lines of `query_info_str_by_arch` of an ArchResults, printed if wished."""
    lines = describe(information, extra_info, join, sized)
    if show:
        print("\n".join(lines))
    return lines


def _torch_home() -> str:
    """Where the original looks for its files. Nothing is read there."""
    return os.environ.get("TORCH_HOME") or str(Path.home() / ".torch")


def _no_pickle(*_: object, **__: object) -> None:
    raise DropinError("the drop-in reads and writes no pickles: 'table import' reads the benchmark's")


def _time_string() -> str:
    return time.strftime("[%Y-%m-%d %X]", time.gmtime())
