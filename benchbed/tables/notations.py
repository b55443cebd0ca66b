"""NAS-Bench-201's cells as other tools write them, to the benchmark's own strings. Numpy only.

- NASLib's numbers, `(4, 0, 3, 1, 4, 3)`: an operation an edge, edges by source (0-1 0-2 0-3 1-2 1-3 2-3), operations
  0 skip_connect, 1 none, 2 nor_conv_3x3, 3 nor_conv_1x1, 4 avg_pool_3x3. (NASLib, branch Develop at 0b51bc18,
  naslib/search_spaces/nasbench201/conversions.py; Zela's exports of NAS-Bench-Suite-Zero and HW-NAS-Bench use them.)
- AutoDL's lists of nodes, `[(('avg_pool_3x3', 0),), (('none', 0), ('none', 1)), ...]`: (operation, source) by target.
"""

import ast
import re

from ..errors import BenchbedError
from ..space import Space
from ..spaces.nb201.space import EDGES, NB201, OPERATIONS

KEYS = ("arch", "arch_str", "net_str", "net")  # names of a file's column of architectures; the first there is counts
NASLIB = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_BY_SOURCE = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))  # (source, target)
_NUMBERS = re.compile(r"\s*[\[(]\s*\d(\s*,\s*\d){5}\s*[\])]\s*")
_LONGEST = 1000  # characters


def numbered(space: Space) -> list[tuple[str, list[int], list[int]]]:
    """Notations of one number a position: (name, positions in its order, operations in the order of its numbers)."""
    if not isinstance(space, NB201):
        return []
    return [("NASLib", [EDGES.index(edge) for edge in _BY_SOURCE], [OPERATIONS.index(name) for name in NASLIB])]


def native(text: str, space: Space) -> str:
    """The native string of a cell in another notation; any other text, and every other space's, as it is.

    Raises BenchbedError for what begins as one of the notations and is none.
    """
    if not isinstance(space, NB201) or text[:1] not in "[(" or len(text) > _LONGEST:
        return text
    if _NUMBERS.fullmatch(text):
        return _from_naslib(tuple(int(digit) for digit in re.findall(r"\d", text)))
    try:
        nodes = ast.literal_eval(text)
        inputs = {(int(source), target): str(op) for target, node in enumerate(nodes, 1) for op, source in node}
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise BenchbedError(
            f"nb201 cell {text[:60]!r}: expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, six numbers of NASLib, or lists "
            "of ('OPERATION', SOURCE)"
        ) from None
    return _written(inputs, text)


def _from_naslib(numbers: tuple[int, ...]) -> str:
    if max(numbers) >= len(NASLIB):
        raise BenchbedError(f"nb201 cell {numbers}: NASLib's operations are numbered 0 to {len(NASLIB) - 1}")
    inputs = {edge: NASLIB[number] for edge, number in zip(_BY_SOURCE, numbers, strict=True)}
    return _written(inputs, str(numbers))


def _written(inputs: dict[tuple[int, int], str], text: str) -> str:
    if set(inputs) != set(_BY_SOURCE):
        raise BenchbedError(f"nb201 cell {text[:60]!r}: expected an operation on each of the edges 0-1 0-2 0-3 1-2 1-3 "
                            "2-3")  # fmt: skip
    nodes = ("|".join(f"{inputs[source, target]}~{source}" for source in range(target)) for target in (1, 2, 3))
    return "+".join(f"|{node}|" for node in nodes)
