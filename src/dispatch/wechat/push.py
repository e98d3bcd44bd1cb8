"""The message push: WeChat's signatures, its AES, its XML and JSON (wechat.md §2.7).

Secure mode: AES-256-CBC with the key ``base64(EncodingAESKey + "=")``, the IV its first 16 bytes, padding
to **32** bytes; plain text: 16 random bytes, length (4 bytes, big-endian), message, appid.
"""

import base64
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from defusedxml import DefusedXmlException, ElementTree

from dispatch.domain.refusal import PushRefused

BLOCK = 32
FRESH = timedelta(hours=1)
"""How far a push's time may be from ours; WeChat repeats within a minute."""


def signature(*parts: str) -> str:
    """WeChat's signature: sha1 of the parts, sorted and joined."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def check(told: str, *parts: str) -> None:
    """Compare a signature, in a time that tells nothing. Raises: PushRefused."""
    if not compare_digest(told.encode(), signature(*parts).encode()):
        raise PushRefused()


def check_fresh(timestamp: str, *, at: datetime) -> None:
    """Refuse what was signed long ago: nobody may play it again. Raises: PushRefused."""
    if not timestamp.isdecimal() or abs(int(timestamp[:12]) - at.timestamp()) > FRESH.total_seconds():
        raise PushRefused()


def decrypt(encrypted: str, key: str, appid: str) -> str:
    """The message within ``Encrypt``. Raises: PushRefused: damaged, or meant for another program."""
    try:
        secret = base64.b64decode(key + "=")
        sealed = base64.b64decode(encrypted, validate=True)
        opened = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).decryptor()
        padded = opened.update(sealed) + opened.finalize()
        pad = padded[-1]
        if not 1 <= pad <= BLOCK or padded[-pad:] != bytes([pad]) * pad:
            raise ValueError("padding")
        plain = padded[:-pad]
        (length,) = struct.unpack(">I", plain[16:20])
        message, recipient = plain[20 : 20 + length], plain[20 + length :]
        if len(message) != length or not compare_digest(recipient, appid.encode()):
            raise ValueError("recipient")
        return message.decode()
    except (ValueError, IndexError, struct.error):
        raise PushRefused() from None


def encrypt(message: str, key: str, appid: str, *, random: bytes | None = None) -> str:
    """What ``decrypt`` opens. ``random``: 16 bytes, made up unless given."""
    secret, body = base64.b64decode(key + "="), message.encode()
    plain = (random or os.urandom(16)) + struct.pack(">I", len(body)) + body + appid.encode()
    pad = BLOCK - len(plain) % BLOCK
    sealing = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).encryptor()
    return base64.b64encode(sealing.update(plain + bytes([pad]) * pad) + sealing.finalize()).decode()


def parsed(body: str) -> dict[str, Any]:
    """A message as a dict, whichever of the two forms the console was set to. Raises: PushRefused."""
    try:
        if body.lstrip().startswith("<"):
            root = ElementTree.fromstring(body, forbid_dtd=True)
            return {child.tag: _value(child) for child in root}
        message = json.loads(body)
    except (ValueError, RecursionError, ParseError, DefusedXmlException):
        raise PushRefused() from None
    if not isinstance(message, dict):
        raise PushRefused()
    return message


def _value(element: Element) -> Any:
    return {child.tag: _value(child) for child in element} if len(element) else (element.text or "")


def digest(message: Mapping[str, Any]) -> str:
    """What two deliveries of one message share, however they were wrapped."""
    said = json.dumps(message, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()
