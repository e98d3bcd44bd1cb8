"""What the WeChat edge remembers."""

from sqlalchemy import Column, String, Text

from dispatch.db.base import directory_table
from dispatch.db.types import Instant

wechat_tokens = directory_table(
    "wechat_tokens",
    # The access token of each mini-program, shared by every process.
    Column("appid", String(64), primary_key=True),
    Column("token", String(1024), nullable=False),
    Column("expires_at", Instant, nullable=False),
    by="appid",
)

wechat_pushes = directory_table(
    "wechat_pushes",
    # Messages that WeChat pushed, decrypted, as they came. The same one comes up to four times.
    Column("appid", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("event", String(64), nullable=False),
    # For three days; the digest alone recognises a repeat.
    Column("raw", Text),
    Column("received_at", Instant, nullable=False),
    by="appid",
)
