"""Working time the slow way: looks at every minute of the wall clock. The measure of domain/calendar.py."""

from datetime import UTC, datetime, timedelta

from dispatch.domain.calendar import Calendar, DayKind, Span

MINUTE = timedelta(minutes=1)


def hours(calendar: Calendar, on) -> tuple[Span, ...]:
    """The hours of a date, said once more and independently."""
    day = calendar.days.get(on)
    if day is None:
        return calendar.weekly[on.weekday()]
    if day.kind in (DayKind.REST, DayKind.HOLIDAY):
        return ()
    if day.spans is not None:
        return day.spans
    usual = [calendar.weekly[on.weekday()]] if day.kind is DayKind.WORKDAY else []
    return next(spans for spans in [*usual, *calendar.weekly] if spans)


def is_working(calendar: Calendar, at: datetime) -> bool:
    """Whether the clock on the wall shows working time."""
    local = at.astimezone(calendar.zone)
    minute = local.hour * 60 + local.minute
    today, yesterday = local.date(), local.date() - timedelta(days=1)
    return any(s.start_minute <= minute < s.end_minute for s in hours(calendar, today)) or any(
        s.start_minute <= minute + 1440 < s.end_minute for s in hours(calendar, yesterday)
    )


def measure(start: datetime, end: datetime, calendar: Calendar) -> timedelta:
    """Working time in [start, end)."""
    total, here = timedelta(0), start.astimezone(UTC).replace(second=0, microsecond=0)
    while here < end:
        if is_working(calendar, here):
            total += min(here + MINUTE, end) - max(here, start)
        here += MINUTE
    return total


def add(start: datetime, amount: timedelta, calendar: Calendar) -> datetime:
    """The earliest instant by which an amount > 0 has passed."""
    here = start.astimezone(UTC).replace(second=0, microsecond=0)
    while True:
        if is_working(calendar, here):
            begin = max(here, start)
            if amount <= (room := here + MINUTE - begin):
                return begin + amount
            amount -= room
        here += MINUTE
