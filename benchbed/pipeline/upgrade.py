"""Records of older formats, and configurations in them, as today's: the one place that knows how they were written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ..errors import BenchbedError
from ..runtime.segments import SAME_RESULT
from .protocol import PRESETS

FORMAT: Literal[2] = 2  # of record.json


def upgraded(path: Path, raw: Mapping[str, Any]) -> dict[str, Any]:
    """`raw`, read from `path`, as a record of today's format.

    Format 1 gave no number and no segments: its versions, commit and machine become one segment, of stage 'run'. Raises
    BenchbedError for a format that is newer than this benchbed's, or none.
    """
    found = raw.get("format", 1)
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise BenchbedError(f"{path} is damaged (format = {found!r:.40}: expected 1 or {FORMAT})")
    if found > FORMAT:
        raise BenchbedError(
            f"{path} is of format {found}, which a newer benchbed wrote: this one reads formats 1 to {FORMAT}"
        )
    record = {**raw, "format": FORMAT}
    if found == 1 and "segments" not in record:
        record["segments"] = _segments(raw)
    if isinstance(record.get("config"), dict):
        record["config"] = upgraded_config(record["config"])
    return record


def upgraded_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A saved configuration of any age, with the keys that today's have: a protocol was called a preset."""
    if "preset" not in raw:
        return dict(raw)
    new = {key: value for key, value in raw.items() if key != "preset"}
    return {**new, "protocol": PRESETS.get(raw["preset"], raw["preset"])}


def _segments(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What format 1 says of where it was made; none where it does not say, or is damaged, which is found elsewhere."""
    machine, versions = raw.get("machine", {}), raw.get("versions", {})
    if not isinstance(machine, dict) or not isinstance(versions, dict) or not (machine or versions):
        return []
    said = {**machine, **versions, "commit": raw.get("commit")}
    known = {key: said[key] for key in SAME_RESULT if isinstance(said.get(key), int if key == "threads" else str)}
    return [{"stage": "run", **known}]
