"""Whether two addresses are one household, from what people write."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

HOUSEHOLD = "household"
"""The kind of place that is one door."""

_NUMERALS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0, "○": 0}
_TENS = {"十": 10, "百": 100, "千": 1000}
_SIGNS = "".join((*_NUMERALS, *_TENS))
_LABELS = "栋幢座号楼元门层#-"
_SAID = re.compile(  # before a label or after one: 五一路 and 三八小区 stay names
    rf"[{_SIGNS}]+(?=\s*(?:单元|[栋幢座号楼门层室房户#-]))|(?:(?<=[{_LABELS}])|(?<=[{_LABELS}]\s))[{_SIGNS}]+"
)
_BRACKETS = re.compile(r"[(\[【〔].*?(?:[)\]】〕]|$)")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−/~", "-"))
_NUMBER = re.compile(
    r"(?P<road>[路街巷道段]\s*)?"
    r"(?<![0-9A-Z])(?P<value>[A-Z]?[0-9]{1,5}[A-Z]?|[A-Z](?=\s*(?:单元|[栋幢座号-])))(?![0-9A-Z])\s*"
    r"(?P<label>号楼|号栋|#楼|号院|号房|号室|单元|[栋幢座#楼层室房户门号院弄区期年月日米元路])?"
)


class _Part(StrEnum):
    BUILDING = "building"
    UNIT = "unit"
    ROOM = "room"
    FLOOR = "floor"
    ROAD = "road"
    PLAIN = "plain"
    """Told by its place alone."""


_KINDS = (
    dict.fromkeys(("号楼", "号栋", "#楼", "栋", "幢", "座", "#"), _Part.BUILDING)
    | dict.fromkeys(("单元", "门"), _Part.UNIT)
    | dict.fromkeys(("号房", "号室", "室", "房", "户"), _Part.ROOM)
    | dict.fromkeys(("楼", "层"), _Part.FLOOR)
    | dict.fromkeys(("弄", "号院", "院"), _Part.ROAD)
)
_NO_DOOR = frozenset("区期年月日米元路")
"""Numbers followed by these say nothing of a door."""


@dataclass(frozen=True, slots=True)
class _Number:
    value: str
    kind: _Part
    joined: bool
    """A dash leads to it from the number before."""


def address_key(community_id: UUID | None, address: str | None) -> str | None:
    """One key for the many ways of writing a door: ``幸福路18号3栋2单元501室``, ``三号楼二单元五零一``, ``3-2-501``; kept as a
    hash.

    Building, unit and room, as their labels tell; where none does, the last three numbers. What stands in brackets,
    the number in a road and the floor do not count, unless nothing else names building or room. Two compounds of one
    community may share a key: then a helper is held back without need, which costs less than sending somebody to a
    relative's door.

    Returns:
        None where no room is told beside a building or unit, or no community: neither a street name nor a staircase
        is a household.
    """
    if not address or community_id is None:
        return None
    told = _numbers(address)
    labelled = any(one.kind in (_Part.BUILDING, _Part.UNIT) for one in told)
    door = _labelled(told) if labelled else _unlabelled(told)
    return f"{community_id.hex} {'-'.join(door)}" if len(door) > 1 else None


def _numbers(address: str) -> list[_Number]:
    """The numbers of an address in the order they are told."""
    text = unicodedata.normalize("NFKC", address).upper().translate(_DASHES)
    text = _SAID.sub(lambda said: str(_number(said[0])), _BRACKETS.sub(" ", text))
    found: list[_Number] = []
    end = -1
    for told in _NUMBER.finditer(text):
        label = told["label"]
        if label in _NO_DOOR:
            continue
        kind = _KINDS.get(label, _Part.PLAIN)
        if told["road"] and kind is _Part.PLAIN:
            kind = _Part.ROAD
        if kind is _Part.UNIT and found:
            found[-1] = _before_a_unit(found[-1])
        joined = text[end : told.start()].strip() == "-" if end >= 0 else False
        found.append(_Number(told["value"].lstrip("0") or "0", kind, joined))
        end = told.end()
    return found


def _before_a_unit(one: _Number) -> _Number:
    """What comes before a unit is the building: 3楼2单元 is no floor, 5号2单元 no house of a road."""
    building = one.kind in (_Part.PLAIN, _Part.FLOOR)
    return _Number(one.value, _Part.BUILDING, one.joined) if building else one


def _labelled(told: list[_Number]) -> list[str]:
    """Building and unit by their labels, and the room behind them; the floor where no room is told."""
    last = max(at for at, one in enumerate(told) if one.kind in (_Part.BUILDING, _Part.UNIT))
    buildings = [one.value for one in told[: last + 1] if one.kind is _Part.BUILDING]
    units = [one.value for one in told[: last + 1] if one.kind is _Part.UNIT][-1:]
    rest = told[last + 1 :]
    runs = _runs([one for one in rest if one.kind in (_Part.PLAIN, _Part.ROOM)])
    named = next((run for run in runs if any(one.kind is _Part.ROOM for one in run)), runs[0] if runs else [])
    room = [one.value for one in named]
    if units and room:  # 501-1 is behind the door of 501
        room = [max(room, key=len)]
    floor = [f"F{one.value}" for one in rest if one.kind is _Part.FLOOR]
    room = room or floor[:1]
    return [*buildings, *units, *room] if room else []


def _unlabelled(told: list[_Number]) -> list[str]:
    """The numbers that dashes join, else the last three; the road's only where it stands for the building."""
    near = [one for one in told if one.kind in (_Part.PLAIN, _Part.ROOM)]
    joined = [run for run in _runs(near) if len(run) > 1]
    if joined:
        return [one.value for one in joined[0][-3:]]
    if len(near) < 2:
        near = [one for one in told if one.kind is not _Part.FLOOR]
    return [one.value for one in near[-3:]]


def _runs(told: list[_Number]) -> list[list[_Number]]:
    """What dashes join, together."""
    found: list[list[_Number]] = []
    for one in told:
        if one.joined and found:
            found[-1].append(one)
        else:
            found.append([one])
    return found


def _number(said: str) -> int:
    """三 → 3, 十二 → 12, 五百零一 → 501; digits said one by one are read so: 五零一 → 501."""
    if not any(sign in _TENS for sign in said):
        return int("".join(str(_NUMERALS[sign]) for sign in said))
    total = digit = 0
    for sign in said:
        if sign in _TENS:
            total, digit = total + (digit or 1) * _TENS[sign], 0
        else:
            digit = _NUMERALS[sign]
    return total + digit
