"""command: a program of yours proposes, such as one that asks a language model. On a table.

It reads lines of JSON, each with everything that was evaluated so far, and answers each by a line that names the next
architecture. benchbed.testing.proposer is such a program, and documents both lines.

A language model may have read of the benchmark, and remember the best cell in place of finding it. With `anonymous` the
program is told neither the space nor its operations' names, but letters that each seed deals anew.
"""

import json
import shlex
import shutil
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from benchbed.black_box import BlackBoxOptions, BlackBoxSearcher
from benchbed.errors import BenchbedError
from benchbed.objective import Objective, Tree
from benchbed.runtime.program import Program
from benchbed.runtime.reading import Unfit, parse_json
from benchbed.space import Architecture, Position, Space
from benchbed.streams import Streams, derive
from benchbed.testing.proposer import COMMAND


class Options(BlackBoxOptions):
    """The program and how it is asked."""

    program: str | None = Field(None, description="its command line, split like a shell's; it runs without a shell")
    anonymous: bool = Field(False, description="whether operations have letters for names, dealt anew for each seed")
    timeout: float = Field(60.0, gt=0, description="seconds after which an answer is too late")


class Command(BlackBoxSearcher[Options]):
    """Asks a program for every architecture."""

    suite_options: ClassVar[dict[str, Any]] = {"program": shlex.join(COMMAND)}

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self.seed = streams.seed
        self.program = Program(shlex.split(options.program or ""), options.timeout, "searcher.program")
        self.ended = False  # the program has nothing more to propose

    @cached_property
    def called(self) -> dict[str, str]:
        """What the program is told of each operation: its name or, if that is not to be known, a letter."""
        names = list(dict.fromkeys(name for position in self.space.positions for name in position.operations))
        if not self.options.anonymous:
            return {name: name for name in names}
        order = np.random.default_rng(derive(self.seed, "anonymous")).permutation(len(names)).tolist()
        return {name: letter(number) for name, number in zip(names, order, strict=True)}

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        try:
            words = shlex.split(options.program or "")
        except ValueError as error:
            raise BenchbedError(f"searcher.program = {options.program!r} is no command line: {error}") from None
        if not words:
            raise BenchbedError("searcher 'command' has no program: give --set searcher.program='python mine.py'")
        if shutil.which(words[0]) is None:
            raise BenchbedError(f"searcher.program = {options.program!r}: there is no program {words[0]!r}")
        super().check(options, space, objective)

    def propose(self) -> Architecture | None:
        if self.ended:
            return None
        text = self.program.ask(json.dumps(self.question()))
        found = self.answered(text)
        self.ended = found is None
        return found

    def question(self) -> dict[str, Any]:
        """What the program is told; operations by the names that they are called here."""
        positions = [
            {"name": position.name, "operations": sorted(self.choices(position)), "droppable": position.droppable}
            for position in self.space.positions
        ]
        of = [position["name"] for position in positions]
        nodes = [{"inputs": [of[i] for i in node.incoming], "keep": node.keep} for node in self.space.nodes]
        history = [
            {"architecture": self.written(trial.architecture), "accuracy": trial.accuracy, "reward": trial.reward,
             "seconds": trial.seconds} for trial in self.trials
        ]  # fmt: skip
        space = {} if self.options.anonymous else {"space": type(self.space).__name__}
        return {**space, "positions": positions, "nodes": nodes, "seed": self.seed,
                "epochs": self.options.fidelity, "budget": self.options.budget, "history": history}  # fmt: skip

    def choices(self, position: Position) -> dict[str, int]:
        """What may be chosen at a position, by the names that operations are called here, and their numbers."""
        named = enumerate(zip(position.operations, position.selectable, strict=True))
        return {self.called[name]: k for k, (name, allowed) in named if allowed}

    def written(self, architecture: Architecture) -> list[str | None]:
        """An operation a position, None where it was dropped."""
        pairs = zip(self.space.positions, architecture.choices, strict=True)
        return [None if k < 0 else self.called[position.operations[k]] for position, k in pairs]

    def answered(self, text: str) -> Architecture | None:
        """The architecture of an answer; None where it ends the search. Raises BenchbedError, one line."""
        shown = f"searcher.program answered {text.strip()[:200]!r}"
        try:
            named = parse_json(text)["architecture"]
        except (Unfit, TypeError, KeyError):
            raise BenchbedError(f'{shown}: expected one line of JSON, {{"architecture": [operation, ...]}}') from None
        if named is None:
            return None
        if not isinstance(named, list) or len(named) != len(self.space.positions):
            raise BenchbedError(f"{shown}: expected a list of {len(self.space.positions)} operations, one a position")
        choices = []
        for position, name in zip(self.space.positions, named, strict=True):
            own = self.choices(position)
            if name is not None and (not isinstance(name, str) or name not in own):
                raise BenchbedError(
                    f"{shown}: {name!r} is none of position {position.name}'s: {', '.join(sorted(own))}"
                )
            if name is None and not position.droppable:
                raise BenchbedError(f"{shown}: position {position.name} is not one that may be left out")
            choices.append(-1 if name is None else own[name])
        try:
            return self.space.architecture_of(tuple(choices))
        except BenchbedError as error:
            raise BenchbedError(f"{shown}: {error}") from None

    def state(self) -> Tree:
        return {**super().state(), "ended": self.ended, "seed": self.seed}

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        self.ended, self.seed = tree["ended"], tree["seed"]
        self.__dict__.pop("called", None)


def letter(number: int) -> str:
    """A, B, ..., Z, A1, B1, ..."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 26] + (str(number // 26) if number >= 26 else "")
