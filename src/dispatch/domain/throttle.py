"""How often somebody may try to sign in, or have a code sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

HOST_BITS = 64
"""Of an IPv6 address: everybody has a /64 of addresses at least, and takes another one as often as he likes (RFC 6177)."""


def network(address: str) -> str:
    """What an address is counted as: IPv4 as it is, IPv6 by its /64. What is no address stays as it is."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> HOST_BITS << HOST_BITS)}/{128 - HOST_BITS}"


@dataclass(frozen=True, slots=True)
class Throttle:
    """So many tries in each window of time; windows begin at whole multiples of their length."""

    kind: str
    most: int
    window: timedelta

    def number(self, at: datetime) -> int:
        """Which window an instant falls into."""
        return int(at.timestamp() // self.window.total_seconds())

    def wait(self, at: datetime) -> int:
        """Seconds until the next window, at least one."""
        length = int(self.window.total_seconds())
        return max(1, (self.number(at) + 1) * length - int(at.timestamp()))


PER_LOGIN = Throttle("login", 10, timedelta(minutes=15))
"""Tries on one user name: a person mistypes, a program guesses. NIST SP 800-63B §5.2.2 allows up to 100."""
PER_ADDRESS = Throttle("address", 200, timedelta(minutes=15))
"""Wrong tries from one address: a street office shares one, a guesser tries many names from one."""
PER_SENDER = Throttle("sms_account", 10, timedelta(days=1))
"""Codes that one account may have sent."""
PER_PHONE = Throttle("sms_phone", 5, timedelta(days=1))
"""Codes that one phone is sent, whoever asks: nobody is pestered through us."""
