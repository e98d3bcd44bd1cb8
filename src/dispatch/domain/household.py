"""Whether two addresses are one household, from what people write."""

import re
import unicodedata
from uuid import UUID

HOUSEHOLD = "household"
"""The kind of place that is one door."""

_NUMERALS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_SAID = re.compile(r"[零〇一二两三四五六七八九十]+(?=[号栋幢座楼单元层室户])")


def address_key(community_id: UUID | None, address: str | None) -> str | None:
    """One key for the many ways of writing a door: ``3栋2单元501室``, ``三号楼2单元501``, ``3-2-501``; kept as a hash.

    The numbers of an address within its community. Two compounds of one community may share them: then a
    helper is held back without need, which costs less than sending somebody to a relative's door.

    Returns:
        None where fewer than two numbers are told, or no community: a street name is no household.
    """
    if not address or community_id is None:
        return None
    text = _SAID.sub(lambda said: str(_number(said[0])), unicodedata.normalize("NFKC", address))
    numbers = [str(int(digits)) for digits in re.findall(r"[0-9]{1,9}", text)]
    if len(numbers) < 2:
        return None
    return f"{community_id.hex} {'-'.join(numbers)}"


def _number(said: str) -> int:
    """三 → 3, 十二 → 12, 二十 → 20; digits said one by one are read so."""
    tens, ten, ones = said.partition("十")
    if ten:
        return (_NUMERALS[tens[-1]] if tens else 1) * 10 + (_NUMERALS[ones[0]] if ones else 0)
    return int("".join(str(_NUMERALS[sign]) for sign in said))
