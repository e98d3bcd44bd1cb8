"""The only reader of the clock; everything else is told the time (``at=``)."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present as an aware UTC instant in whole milliseconds: what is stored is what was decided on."""
    return whole(datetime.now(UTC))


def whole(at: datetime) -> datetime:
    """An instant cut to whole milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
