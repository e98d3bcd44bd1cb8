"""Logs without personal data, and the clock."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from dispatch import clock
from dispatch.domain.screening import screened
from dispatch.log import mask


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("call 13800001111 now", "call 138******11 now"),
        ("138 0000 1111", "138********11"),
        ("138-0000-1111", "138********11"),
        ("tel=0731-82345678", "tel=073********78"),
        ("id 11010519491231002X", "id 1****************X"),
        ("id 110105194912310021.", "id 1****************1."),
        ("phone13800001111", "phone138******11"),
    ],
)
def test_phones_and_identity_numbers_are_masked(said, logged):
    assert screened(said) == logged


@pytest.mark.parametrize(
    "said",
    [
        "0190a3c4-0000-7000-8000-013800001111",
        "D20261122-000123",
        "2026-11-22T09:30:00.000+08:00",
        "GET /v1/orders/{order_id} 200",
        "1380000111",
        "1138000011112",
    ],
)
def test_ids_numbers_and_instants_stay(said):
    assert screened(said) == said


def test_values_of_private_fields_are_dropped_at_any_depth():
    event = mask(
        None,
        "info",
        {
            "event": "x",
            "phone": "82345678",
            "text": "三楼",
            "order": {"contact_phone": "1", "id": 7, "tags": ["13800001111"]},
            "token": None,
            "n": 13800001111,
        },
    )

    assert event["phone"] == event["text"] == event["order"]["contact_phone"] == "***"
    assert event["order"]["tags"] == ["138******11"]
    assert (event["order"]["id"], event["token"]) == (7, None)


def test_traces_lose_the_values_of_rows():
    trace = "IntegrityError\nDETAIL:  Failing row contains (王芳).\n[parameters: ('王芳',)]\nend"

    event = mask(None, "error", {"event": "x", "exception": trace})

    assert "王芳" not in event["exception"]
    assert event["exception"].endswith("end")


def test_a_process_logs_json_lines_for_its_own_and_for_library_events():
    program = """
import logging, structlog
from dispatch import log
from dispatch.settings import Settings
log.configure(Settings())
structlog.contextvars.bind_contextvars(request_id="r1")
structlog.get_logger("dispatch.x").info("order.moved", phone="13800001111", move="take")
logging.getLogger("lib").warning("hello %s", "13800001111", extra={"openid": "o1"})
logging.getLogger("uvicorn.access").info("GET /?q=x")
logging.getLogger("httpx").info("GET https")
structlog.get_logger().debug("quiet")
try:
    raise ValueError("13800001111")
except ValueError:
    structlog.get_logger("dispatch.x").exception("request.failed")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert [line["event"] for line in lines] == ["order.moved", "hello 138******11", "request.failed"]
    assert lines[0]["phone"] == lines[1]["openid"] == "***"
    assert (lines[0]["request_id"], lines[0]["level"], lines[0]["logger"]) == ("r1", "info", "dispatch.x")
    assert "138******11" in lines[2]["exception"]
    assert "13800001111" not in done.stderr
    assert done.stdout == ""


def test_a_number_that_is_a_phone_is_masked():
    assert mask(None, "info", {"event": "x", "n": 13800001111})["n"] == "138******11"
    assert mask(None, "info", {"event": "x", "n": 10**12})["n"] == 10**12


def test_the_clock_gives_whole_milliseconds_in_utc():
    before = datetime.now(UTC)
    at = clock.now()

    assert at.tzinfo is UTC
    assert at.microsecond % 1000 == 0
    assert abs((at - before).total_seconds()) < 1
    assert logging.getLogger().handlers is not None
