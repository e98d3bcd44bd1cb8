"""Logs: one JSON object per line, on standard error, without personal data.

Events have dotted names (``request.done``); everything else is a keyed value. A processor masks what looks
like a phone or an identity number wherever it stands, and drops the values of fields that hold personal data.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.types import Processor

from dispatch.domain.screening import screened
from dispatch.settings import Settings

HIDDEN = "***"
LONGEST_COUNT = 10**10
PRIVATE_KEYS = frozenset(
    {
        "access_token",
        "address",
        "authorization",
        "beneficiary",
        "contact_phone",
        "id_number",
        "mobile",
        "openid",
        "password",
        "person_name",
        "phone",
        "refresh_token",
        "secret",
        "session_key",
        "text",
        "token",
        "unionid",
    }
)
"""Fields whose values never reach a log."""

TOO_TALKATIVE = {
    "uvicorn.access": logging.CRITICAL,  # it writes queries; request.done tells the same without them
    "httpx": logging.WARNING,  # it writes addresses, which hold openids and secrets
    "httpcore": logging.WARNING,
    "apscheduler": logging.WARNING,  # two lines a tick
    "aiosqlite": logging.WARNING,
    "asyncio": logging.WARNING,
}

# Values that drivers put into their messages: SQLAlchemy's parameters, PostgreSQL's DETAIL with the row.
_ROW_VALUES = re.compile(r"^(?:\[parameters: |DETAIL:\s).*$", re.MULTILINE)


def mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor: mask all values of an event; runs after tracebacks have become text."""
    for key, value in event.items():
        event[key] = _masked(key, value)
    return event


def _masked(key: object, value: Any) -> Any:
    if isinstance(key, str) and key.lower() in PRIVATE_KEYS and value is not None:
        return HIDDEN
    if isinstance(value, str):
        text = _ROW_VALUES.sub(HIDDEN, value) if key in ("exception", "event") else value
        return screened(text)
    if type(value) is int and value > LONGEST_COUNT:  # as long as a phone number
        text = screened(str(value))
        return value if text == str(value) else text
    if isinstance(value, dict):
        return {inner: _masked(inner, each) for inner, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(None, each) for each in value]
    return value


def configure(settings: Settings) -> None:
    """Set up structlog and the standard library's loggers; call once at the start of a process."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, mask, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name, level in TOO_TALKATIVE.items():
        logging.getLogger(name).setLevel(level)
