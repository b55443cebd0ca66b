"""A program for the searcher `command` that proposes at random: what the contract's suite asks, and one to start from.

Each line of its input is JSON:

    space         the space's class, unless the operations are anonymous
    positions     a list of {name, operations, droppable}: a decision, what may be chosen there, whether it may be left
                  out; on NAS-Bench-201 the six edges
    nodes         a list of {inputs, keep}: of these positions exactly so many are kept; empty on NAS-Bench-201
    seed          the search's
    epochs        after how many an architecture is judged
    budget        simulated seconds of the whole search
    history       a list of {architecture, accuracy, reward, seconds}, the first evaluation first: an operation a
                  position (null where it is left out), validation accuracy in percent, what is maximised, and the
                  simulated clock at its end

Each line of its output answers one, in turn: {"architecture": [an operation a position]}, or {"architecture": null}
where there is nothing left to propose. It may answer until its input ends, or answer once and end with exit status 0:
then it is started again for the next. What it writes to its error output is shown where it fails.
"""

import json
import random
import sys
from typing import Any

COMMAND = [sys.executable, "-m", "benchbed.testing.proposer"]


def propose(asked: dict[str, Any]) -> list[str | None]:
    """A uniform draw, of the seed and the length of the history alone: a search that goes on finds the same."""
    rng = random.Random(f"{asked['seed']}/{len(asked['history'])}")
    kept = {position["name"] for position in asked["positions"]}
    for node in asked["nodes"]:
        kept -= set(node["inputs"]) - set(rng.sample(node["inputs"], node["keep"]))
    return [rng.choice(position["operations"]) if position["name"] in kept else None for position in asked["positions"]]


def main() -> None:
    for line in sys.stdin:
        print(json.dumps({"architecture": propose(json.loads(line))}), flush=True)


if __name__ == "__main__":
    main()
