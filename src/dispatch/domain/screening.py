"""Free text without the phone and identity numbers in it: what takers read and logs keep.

People write numbers as they speak them: full-width, in Han digits, with blanks and dashes between. Every sign is
read as the digit it stands for, so that a masked text has the length of the original and nothing else changes.
Formats: mobiles ``1[3-9]`` + 9 digits and landlines with area code (MIIT numbering), identity numbers of 18 and
(old) 15 digits (GB 11643).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_HAN = {
    "〇零○": "0",
    "一壹幺": "1",
    "二贰两": "2",
    "三叁": "3",
    "四肆": "4",
    "五伍": "5",
    "六陆": "6",
    "七柒": "7",
}
_HAN |= {"八捌": "8", "九玖": "9", "Ｘxｘ": "X", "－—–‐‑": "-", "＋": "+", "：": ":"}
_READ_AS = str.maketrans(
    {sign: meant for signs, meant in _HAN.items() for sign in signs}
    | {chr(0xFF10 + digit): str(digit) for digit in range(10)}
)

_GAP = r"[ \u3000\t.·_,，、/*-]{0,2}"
_UUID = r"(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
_ID = (
    r"(?P<id>(?<![0-9])[1-9](?:GAP[0-9]){5}GAP(?:1GAP[89]|2GAP0)(?:GAP[0-9]){2}GAP(?:0GAP[1-9]|1GAP[0-2])"
    r"GAP[0-3](?:GAP[0-9]){4}GAP[0-9X](?![0-9]))"
    r"|(?P<old_id>(?<![0-9])[1-9][0-9]{7}(?:0[1-9]|1[0-2])[0-3][0-9]{4}(?![0-9]))"
)
_MOBILE = r"(?P<mobile>(?<![0-9])(?:(?:\+|00)?86GAP)?1GAP[3-9](?:GAP[0-9]){9}(?![0-9]))"
_LANDLINE = r"(?P<landline>(?<![0-9-])0[1-9][0-9]{1,2}GAP[2-9][0-9]{2,3}GAP[0-9]{4}(?![0-9]))"
_SAID = r"(?:电话|座机|手机|[Tt][Ee][Ll])[是为号: ]{0,3}(?P<local>[2-9][0-9]{2,3}-?[0-9]{4})(?![0-9])"
_NUMBERS = re.compile("|".join((_UUID, _ID, _MOBILE, _LANDLINE, _SAID)).replace("GAP", _GAP), re.ASCII)


def screened(text: str) -> str:
    """The text with phone and identity numbers masked; of the same length, ids of ours (UUIDs) left alone."""
    said = text.translate(_READ_AS)
    masked = None
    for match in _NUMBERS.finditer(said):
        if match["uuid"]:
            continue
        masked = masked or list(text)
        start, end, before, after = _hidden(match)
        for place in range(start + before, end - after):
            masked[place] = "*"
    return "".join(masked) if masked else text


def _hidden(match: re.Match[str]) -> tuple[int, int, int, int]:
    """(from, to, signs kept at the front, at the end); the platform's table: wechat.md §2.9."""
    if match["mobile"]:
        return (*match.span("mobile"), 3, 2)
    if match["landline"]:
        return (*match.span("landline"), 3, 2)
    if match["local"]:
        return (*match.span("local"), 2, 2)
    return (*match.span(), 1, 1)


def holds_numbers(text: str) -> bool:
    """Whether a phone or identity number stands in the text."""
    return screened(text) != text


def screened_whole(value: Any) -> Any:
    """A JSON value with every text in it screened."""
    if isinstance(value, str):
        return screened(value)
    if isinstance(value, Mapping):
        return {name: screened_whole(inner) for name, inner in value.items()}
    if isinstance(value, Sequence):
        return [screened_whole(inner) for inner in value]
    return value
