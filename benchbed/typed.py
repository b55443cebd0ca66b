"""Values from a file, a flag or a call as a typed model, or one line that says what is wrong."""

import math
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from .errors import BenchbedError, unknown

M = TypeVar("M", bound=BaseModel)
LARGEST = 1e30  # of an option: torch computes in float32, whose greatest number is 3.4e38
KINDS: dict[Any, str] = {int: "integer", float: "number", str: "text"}


def whole_number(text: str) -> int | None:
    """The number that text of ASCII digits is, at most eighteen of them; None of anything else.

    Python itself reads digits of every script as numbers.
    """
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def option_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Every option of a model, those of its sections by dotted name: 'modifiers.NAME.OPTION'."""
    found: dict[str, FieldInfo] = {}
    for key, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found |= {f"{key}.{name}": inner for name, inner in option_fields(section).items()}
        else:
            found[key] = field
    return found


def allowed(field: FieldInfo) -> str:
    """What an option takes, in words: its choices, or its kind and bounds."""
    choices, kinds = [], []
    for kind in _members(field.annotation):
        if get_origin(kind) is Literal:
            choices += [str(value) for value in get_args(kind)]
        elif kind is bool:
            choices += ["true", "false"]
        elif kind is type(None):
            choices.append("none")
        else:
            item = KINDS.get(get_args(kind)[0], "") if get_origin(kind) in (list, tuple) else ""
            kinds.append(f"list of {item}s" if item else KINDS.get(kind, ""))
    words = {"gt": "above {}", "ge": "from {}", "lt": "below {}", "le": "to {}"}
    bounds = [text.format(f"{value:g}") for one in field.metadata for key, text in words.items()
              if isinstance(value := getattr(one, key, None), int | float)]  # fmt: skip
    described = " ".join([*filter(None, dict.fromkeys(kinds)), *bounds])
    return ", ".join([*filter(None, [described]), *choices])


def _members(annotation: object) -> list[Any]:
    """The kinds of a union, each without what annotates it."""
    inside = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _members(inside[0])
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return [one for kind in inside for one in _members(kind)]
    return [annotation]


def _takes(kind: type, annotation: object) -> bool:
    """Whether a value of this very type is one of the annotation's, a Literal's values included."""
    return annotation in (kind, Any) or any(type(a) is kind or _takes(kind, a) for a in get_args(annotation))


def typed(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """`values` as the model; the word 'none' is no value where a field may have none (TOML has no null).

    Raises BenchbedError of one line that names the option, its value and what is accepted.
    """
    given = dict(values)
    for key, value in given.items():
        if key not in model.model_fields:
            raise unknown(f"option of {where}", key, model.model_fields)
        section = model.model_fields[key].annotation
        if isinstance(value, Mapping) and isinstance(section, type) and issubclass(section, BaseModel):
            given[key] = typed(section, value, f"{where}, {key}")
        if value == "none" and type(None) in get_args(model.model_fields[key].annotation):
            given[key] = None
        if isinstance(value, float) and not math.isfinite(value):
            raise BenchbedError(f"{where}: {key} = {value}: a finite number is needed")
        if isinstance(value, float) and abs(value) > LARGEST:
            raise BenchbedError(f"{where}: {key} = {value:g}: a number of at most {LARGEST:g} in size is needed")
        if isinstance(value, bool) and not _takes(bool, model.model_fields[key].annotation):  # pydantic takes it for 1
            raise BenchbedError(f"{where}: {key} = {str(value).lower()}: true and false are no values of it")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # of several options together
            raise BenchbedError(f"{where}: {message}") from None
        name = ".".join(str(part) for part in first["loc"])
        message = message[:1].lower() + message[1:]
        message = message.removeprefix(f"{name} = {first['input']!r}: ")  # where the value's own reader has said it
        raise BenchbedError(f"{where}: {name} = {first['input']!r}: {message}") from None
