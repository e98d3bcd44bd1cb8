"""How long what is kept, and for what people are asked (domain.md §4.2; PIPL Art. 13–17, 44–47; wechat.md §6.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from dispatch.domain.people import BODY_ROLES, STAFF_ROLES, Role

CONTACT_DAYS = timedelta(days=180)
"""Phone and address go so long after an order has come to rest, unless it is disputed."""
FILE_DAYS = timedelta(days=365)
"""Photos and other files go so long after an order has come to rest (domain.md §4.2: attachments one year)."""
CONTENT_DAYS = timedelta(days=3 * 365)
"""Then an order says what it was about and how it went, and no longer whom it concerned."""
RECORD_DAYS = timedelta(days=3 * 365)
"""Who looked at contact data, and what was asked of one's data, is kept this long at least."""
EXPORT_DAYS = timedelta(days=7)
"""A file with one's own data waits so long to be fetched."""
ANSWER_DAYS = timedelta(days=15)
"""Within this a request about one's data is answered (GB/T 35273-2020 §8.7: 30 days; ours is half of it)."""
ASK_AGAIN = timedelta(days=30)
"""Who refused or withdrew is not asked again sooner (网络数据安全管理条例 Art. 22(5): no frequent asking)."""

CONTACT_GONE, ALL_GONE = 1, 2
"""``orders.cleared``: contact data is gone; all that names or describes a person is."""
CLEARED = "（内容已按规定清除）"
"""Stands where a text was."""
GONE = "已注销用户"
"""The name of an account whose person asked for deletion."""


def gone_login(account_id: UUID | None) -> str:
    """What a deleted account is called: nobody signs in as it, and its words were erased lawfully."""
    return f"gone-{account_id.hex}" if account_id else ""


class Purpose(StrEnum):
    """What personal data is asked for."""

    SERVICE = "service"
    PHONE = "phone"
    LOCATION = "location"
    PARTY = "party"


@dataclass(frozen=True, slots=True)
class Asked:
    """One purpose as people read it.

    Args:
        basis: ``duty`` (履行法定职责, PIPL Art. 13(3)) or ``consent``.
        sensitive: needs a consent of its own (Art. 28–29).
    """

    name: str
    text: str
    basis: str = "consent"
    sensitive: bool = False


PURPOSES: Mapping[Purpose, Asked] = {
    Purpose.SERVICE: Asked("办理需求", "登记、派单、办理、评价您提交的需求所必需的信息。", basis="duty"),
    Purpose.PHONE: Asked("联系电话", "接单人员与您联系；撤回后电话从已办结的需求中清除。"),
    Purpose.LOCATION: Asked("位置", "上门服务时确定地点；撤回后位置从已办结的需求中清除。", sensitive=True),
    Purpose.PARTY: Asked(
        "党员身份", "在职党员报到与接单；居民默认看不到；撤回后报到结束，报到内容清除。", sensitive=True
    ),
}

DEFAULT_TITLE = "个人信息保护政策"
DEFAULT_TEXT = (
    "我们只收集办理需求所必需的信息。接单前，接单人员看不到您的姓名、电话和门牌；办结七天后联系方式对其关闭；"
    "谁查看过您的联系方式，您可以在需求中看到。电话和地址在办结180天后清除，需求内容在三年后去标识。"
    "您可以查阅、导出、更正和删除自己的信息，也可以随时撤回同意。"
)
"""The policy of a tenant that has published none: version 0."""

OFFICES = STAFF_ROLES | frozenset(BODY_ROLES) | {Role.SUPERVISOR, Role.REPORTER, Role.ADMIN}
"""Who holds one asks for its end first: an office is not left by deleting an account."""
