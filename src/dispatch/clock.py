"""The only reader of the clock; everything else is told the time (``at=``)."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present as an aware UTC instant in whole milliseconds: what is stored is what was decided on."""
    present = datetime.now(UTC)
    return present.replace(microsecond=present.microsecond // 1000 * 1000)
