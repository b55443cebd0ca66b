"""What a table's metadata must hold, as a schema: everything that benchbed later takes to be there and of its kind."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .figures import Figure

WORD = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}"


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a text with characters that cannot be printed")
    return value


Text = Annotated[str, Field(max_length=20_000), AfterValidator(_printable)]
Word = Annotated[str, Field(pattern=f"^{WORD}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Source(BaseModel):
    """A file, or what else a table was made of."""

    model_config = ConfigDict(extra="allow", strict=True)

    kind: Text
    name: Text
    sha256: Sha256 | None = None


class Metadata(BaseModel):
    """Format 1. What stands beside these (`units`, `task`, `recipe`, ...) is shown, and nothing depends on it."""

    model_config = ConfigDict(extra="allow", strict=True)

    format: Literal[1]
    space: Word
    fingerprint: Sha256
    figures: list[tuple[Word, Word, Annotated[int, Field(ge=1, le=10**6)]]]
    seeds: dict[Text, list[Text]]
    full_epochs: Annotated[int, Field(ge=1, le=10**6)] = 200
    operations: list[list[Text]] | None = None
    splits: dict[Text, Text] | None = None
    units: dict[Text, Text] = {}
    sources: list[Source] = []
    notes: list[Text] = []
    made: Text = ""
    date: Text = ""


def wrong(meta: dict[str, Any]) -> str | None:
    """What is wrong with the metadata, in a few words; None where nothing is. Fills in what may be left out."""
    try:
        found = Metadata.model_validate(meta, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            return f"its metadata has no '{name}'"
        said = str(first["msg"]).removeprefix("Value error, ")
        return f"its metadata has {name[:80]} = {repr(first['input'])[:60]}: {said[:1].lower()}{said[1:]}"
    if len(set(found.figures)) < len(found.figures):
        return "its metadata names a figure twice"
    if lost := sorted(found.seeds.keys() - {str(Figure(*figure)) for figure in found.figures}):
        return f"its metadata has seeds of '{lost[0][:60]}', which is not a figure of it"
    for key in ("sources", "notes"):
        meta.setdefault(key, [])
    return None
