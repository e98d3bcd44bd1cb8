"""How the rulebook says no: a stable code for programs, a sentence for a resident.

A refusal names what is wrong and knows nothing of HTTP; the statuses stand in ``web/problems.py``. Codes are
public: they are listed in ``docs/errors.md``, never renamed and never given a second meaning.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from string import Formatter
from types import MappingProxyType
from typing import Any, ClassVar


class Refusal(Exception):
    """An act that the rules do not allow.

    Args:
        facts: what the sentence needs and what a program may want to know. Facts named in ``told`` travel
            in the answer and must be JSON values; the others stay inside (logs, tests).

    Raises:
        TypeError: a fact that the sentence needs was neither given nor has a default.
    """

    code: ClassVar[str]
    """Stable name in capitals; empty on the abstract kinds."""
    message: ClassVar[str]
    """Chinese sentence, formatted with the facts."""
    told: ClassVar[tuple[str, ...]] = ()
    """Names of the facts that the answer carries."""
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Facts that stand when none are given."""
    keeps: ClassVar[bool] = False
    """Whether what the act wrote before it was refused stays written: what somebody worked on is not thrown away."""

    facts: dict[str, Any]

    def __init__(self, **facts: Any) -> None:
        self.facts = {**self.defaults, **facts}
        if absent := _names_in(self.message) - self.facts.keys():
            raise TypeError(f"{type(self).__name__} needs {', '.join(sorted(absent))}")
        super().__init__(self.code)

    @property
    def text(self) -> str:
        """The sentence to show."""
        return self.message.format(**self.facts)

    @property
    def public(self) -> dict[str, Any]:
        """The facts that the answer carries."""
        return {name: self.facts[name] for name in self.told if name in self.facts}

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


@cache
def _names_in(sentence: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(sentence) if name)


def every_refusal() -> Iterator[type[Refusal]]:
    """All concrete refusals that are imported, ordered by code."""
    found: set[type[Refusal]] = set()
    ahead = [Refusal]
    while ahead:
        for kind in ahead.pop().__subclasses__():
            ahead.append(kind)
            if "code" in vars(kind):
                found.add(kind)
    return iter(sorted(found, key=lambda kind: (kind.code, kind.__qualname__)))


# The kinds. A kind says what sort of no it is; only concrete refusals, which have a code, are raised.


class Unauthorised(Refusal):
    """We do not know who is asking."""


class Forbidden(Refusal):
    """We know who is asking, and it is not theirs to do."""


class Missing(Refusal):
    """There is none, or it is none of the asker's business: the two look alike."""


class Conflict(Refusal):
    """The thing is not in a state that allows this."""


class Stale(Refusal):
    """The asker decided on an older version than the one that stands."""


class Invalid(Refusal):
    """Well-formed, and senseless."""


class TooLarge(Refusal):
    """More than we take in one piece."""


class TooOld(Refusal):
    """The client program is older than we support."""


class TooMany(Refusal):
    """Asked too often; ``retry_after`` (seconds) says when to come back."""

    told = ("retry_after",)


class Busy(Refusal):
    """We cannot now; ``retry_after`` (seconds) says when to come back."""

    told = ("retry_after",)


# Who is asking


class AuthRequired(Unauthorised):
    """No credentials were sent."""

    code = "AUTH_REQUIRED"
    message = "请先登录。"


class TokenExpired(Unauthorised):
    """The access token has run out; a refresh gives another."""

    code = "AUTH_TOKEN_EXPIRED"
    message = "登录已过期，请重新登录。"


class TokenRevoked(Unauthorised):
    """The token was good and has been called back: logout, a changed grant, a reused refresh token."""

    code = "AUTH_TOKEN_REVOKED"
    message = "登录已失效，请重新登录。"


class TokenInvalid(Unauthorised):
    """The token is not one of ours, or is damaged."""

    code = "AUTH_TOKEN_INVALID"
    message = "登录信息无效，请重新登录。"


class LoginCodeInvalid(Unauthorised):
    """The login code is unknown, used or too old."""

    code = "AUTH_CODE_INVALID"
    message = "登录没有成功，请重新打开小程序再试。"


class CredentialsInvalid(Unauthorised):
    """User name, password or second factor are wrong; which one is not told."""

    code = "AUTH_CREDENTIALS_INVALID"
    message = "账号、密码或验证码不正确。"


class IdentityUnknown(Forbidden):
    """The provider vouches for somebody whom no account here is linked with."""

    code = "AUTH_IDENTITY_UNKNOWN"
    message = "这个账号还没有开通，请联系管理员。"


class OidcRefused(Unauthorised):
    """The provider's word cannot be taken: a code or state that is unknown, used or too old, a wrong signature."""

    code = "AUTH_OIDC_REFUSED"
    message = "统一认证没有成功，请重新登录。"


class SecondFactorMissing(Forbidden):
    """The tenant asks staff for a second factor, and this account has none yet."""

    code = "AUTH_SECOND_FACTOR_MISSING"
    message = "本单位要求双重验证，请联系管理员开通后再登录。"


class LoginBlocked(Forbidden):
    """WeChat takes the user for a risk (40226) and gives no identity."""

    code = "AUTH_LOGIN_BLOCKED"
    message = "微信提示该账号存在风险，暂时不能登录，请联系社区代为办理。"


class TenantRequired(Invalid):
    """A stranger signs in and nothing says which district is meant."""

    code = "TENANT_REQUIRED"
    message = "请先选择所在的区县。"


class SmsCodeInvalid(Invalid):
    """The code of a short message is wrong, too old, used, tried too often, or was sent to another phone."""

    code = "SMS_CODE_INVALID"
    message = "验证码不正确或已失效，请重新获取。"


class PhoneCodeInvalid(Invalid):
    """The code of the phone button is unknown, used, too old, another's, or of another mini-program."""

    code = "PHONE_CODE_INVALID"
    message = "没有取得手机号，请重新点击授权。"


class PhoneForeign(Invalid):
    """WeChat knows only a number outside the mainland."""

    code = "PHONE_FOREIGN"
    message = "暂不支持境外手机号，请联系社区登记联系方式。"


class WechatRequired(Conflict):
    """Only who signed in through WeChat can hand over the phone that WeChat knows."""

    code = "WECHAT_REQUIRED"
    message = "请先用微信登录，再授权手机号。"


# Whose it is to do


class ScopeMissing(Forbidden):
    """The API key does not reach this far; fact ``scope`` says what it would need."""

    code = "SCOPE_MISSING"
    message = "这个密钥没有相应的权限。"
    told = ("scope",)


class PushRefused(Forbidden):
    """A message push whose signature, time or recipient is wrong."""

    code = "PUSH_REFUSED"
    message = "推送消息未通过验证。"


class RoleForbidden(Forbidden):
    """The state allows the move, but to others."""

    code = "ROLE_FORBIDDEN"
    message = "您没有权限进行这项操作。"


class SecondPersonRequired(Forbidden):
    """Contact data opens to the district only when another person has confirmed it (domain.md §4.1)."""

    code = "SECOND_PERSON_REQUIRED"
    message = "查看联系方式须先提出申请，由另一位工作人员核准。"


class GrantRequired(Invalid):
    """Several grants and none named: a write must say as whom it acts."""

    code = "GRANT_REQUIRED"
    message = "您有多个身份，请先选择以哪个身份办理。"


class GrantUnknown(Forbidden):
    """The named grant is not the caller's, or has ended."""

    code = "GRANT_UNKNOWN"
    message = "您选择的身份不存在或已失效，请重新选择。"


class OwnWork(Forbidden):
    """Who worked on an order does not accept the work (domain.md §4.1)."""

    code = "OWN_WORK"
    message = "您参与了办理，请由其他工作人员验收。"


class GrantImpossible(Invalid):
    """The role cannot be given or lent so: ``why`` says own, role, person, body, place, ended or period."""

    code = "GRANT_IMPOSSIBLE"
    message = "不能这样授权，请检查人员、角色和时间。"
    told = ("why",)


class NotYourRating(Forbidden):
    """Takers, resolvers and those who filed for another do not rate: lifecycle, move ``rate``."""

    code = "NOT_YOUR_RATING"
    message = "这项评价应由点单人或受益人本人作出。"


# What there is not


class OrderNotFound(Missing):
    """Unknown order, or not visible to the caller."""

    code = "ORDER_NOT_FOUND"
    message = "没有找到这张需求单。"


class PlaceNotFound(Missing):
    """Unknown place, or not visible to the caller."""

    code = "PLACE_NOT_FOUND"
    message = "没有找到这个地点。"


class ItemNotFound(Missing):
    """Unknown service item."""

    code = "ITEM_NOT_FOUND"
    message = "没有找到这个服务事项。"


class NothingOpen(Missing):
    """No order is open to the taker that nobody else is taking and nothing stands against."""

    code = "NOTHING_OPEN"
    message = "目前没有适合您接的单。"


class HandoverNotFound(Missing):
    """No such handover, or none of the asker's business."""

    code = "HANDOVER_NOT_FOUND"
    message = "没有找到这次移交。"


class DraftNotFound(Missing):
    """No such draft, or somebody else's."""

    code = "DRAFT_NOT_FOUND"
    message = "没有找到这份草稿。"


class AttachmentNotFound(Missing):
    """No such file, it is gone, or it hangs on an order that the asker does not see or not so far."""

    code = "ATTACHMENT_NOT_FOUND"
    message = "没有找到这个附件。"


class RequestNotFound(Missing):
    """Unknown request (return, extension, …), or not visible to the caller."""

    code = "REQUEST_NOT_FOUND"
    message = "没有找到这条申请。"


class KeyNotFound(Missing):
    """Unknown API key, or not one that the caller administers."""

    code = "KEY_NOT_FOUND"
    message = "没有找到这个接口密钥。"


class BodyNotFound(Missing):
    """Unknown unit, team, provider or department."""

    code = "BODY_NOT_FOUND"
    message = "没有找到这个单位或队伍。"


class ProviderNotFound(Missing):
    """No such OpenID Connect provider is set up."""

    code = "PROVIDER_NOT_FOUND"
    message = "没有这个统一认证入口。"


class GrantNotFound(Missing):
    """No such grant, or one that is none of the asker's business."""

    code = "GRANT_NOT_FOUND"
    message = "没有找到这项授权。"


class ExportNotFound(Missing):
    """No such file of one's own data, or it has expired."""

    code = "EXPORT_NOT_FOUND"
    message = "没有找到这份导出，可能已过期，请重新申请。"


class ExportNotReady(Conflict):
    """The file is being made; ask again in a moment."""

    code = "EXPORT_NOT_READY"
    message = "导出还在准备中，请稍后再来。"


class PolicyChanged(Conflict):
    """The policy that was agreed to is not the current one; fact ``version`` is."""

    code = "POLICY_CHANGED"
    message = "隐私政策已更新，请阅读后再确认。"
    told = ("version",)


class ConsentNotWithdrawable(Conflict):
    """The purpose rests on a duty, not on consent; an account can be deleted instead."""

    code = "CONSENT_NOT_WITHDRAWABLE"
    message = "这项信息是办理服务所必需的，不能单独撤回；如不再使用，可以申请注销。"


class RecusedAtWork(Conflict):
    """Who is to be kept from the order is working on it: recall first."""

    code = "RECUSED_AT_WORK"
    message = "对方正在办理这条需求，请先收回派单，再设置回避。"


class OfficeHeld(Conflict):
    """Who holds an office does not leave it by deleting the account."""

    code = "OFFICE_HELD"
    message = "您还担任工作角色，请先由管理员收回后再申请注销。"


class AccountNotFound(Missing):
    """Unknown account, or not visible to the caller."""

    code = "ACCOUNT_NOT_FOUND"
    message = "没有找到这个账号。"


class CheckinNotFound(Missing):
    """Unknown check-in, or not visible to the caller."""

    code = "CHECKIN_NOT_FOUND"
    message = "没有找到这份报到。"


class RegistrationNotFound(Missing):
    """Unknown registration of a unit or team, or not visible to the caller."""

    code = "REGISTRATION_NOT_FOUND"
    message = "没有找到这份单位（队伍）报到。"


# Checking in


class CheckinDecided(Conflict):
    """The check-in or registration was approved, returned or withdrawn; fact ``state``."""

    code = "CHECKIN_DECIDED"
    message = "这份报到已经有结果了，请刷新后查看。"
    told = ("state",)


class NotCheckedIn(Conflict):
    """Only who has checked in, and has not left, can do this."""

    code = "NOT_CHECKED_IN"
    message = "您还没有报到，或已经退出。"


class OwnCheckin(Forbidden):
    """Nobody approves his own check-in, or the registration that he filed."""

    code = "OWN_CHECKIN"
    message = "不能审核自己提交的报到，请由其他工作人员办理。"


class TakesInHand(Conflict):
    """Who still holds orders does not leave: they would be nobody's."""

    code = "TAKES_IN_HAND"
    message = "手上还有没办完的需求单，请先办结或退出接单。"


class PeriodsOverlap(Conflict):
    """A period of belonging would run into another of the same kind; fact ``until`` where the other ends."""

    code = "PERIODS_OVERLAP"
    message = "归属的起始时间与已有的记录重叠，请核对日期。"
    told = ("until",)


class RosterInvalid(Invalid):
    """Lines of a roster are wrong; nothing was taken in. ``errors`` name each line and column."""

    code = "ROSTER_INVALID"
    message = "名册有误，没有导入任何内容，请按所列行号修改后重试。"


# The order is elsewhere


class OrderMoved(Conflict):
    """The order's state does not allow the move; facts ``state`` and, where known, ``state_label``."""

    code = "ORDER_MOVED"
    message = "需求单的状态已经变化，不能进行这项操作，请刷新后查看。"
    told = ("state", "state_label")

    @property
    def text(self) -> str:
        """The sentence to show; it names the state when its label is known."""
        label = self.facts.get("state_label")
        return f"需求单目前是“{label}”状态，不能进行这项操作，请刷新后查看。" if label else self.message


class ChangedMeanwhile(Stale):
    """``If-Match`` named another version than the one that stands; fact ``version`` is the standing one."""

    code = "CHANGED_MEANWHILE"
    message = "内容刚刚被其他人更新，请刷新后再操作。"
    told = ("version",)


class HasChildren(Conflict):
    """Other orders are merged into this one."""

    code = "HAS_CHILDREN"
    message = "还有其他需求单合并在这里，请先处理它们。"


class MergeImpossible(Conflict):
    """The parent rests, is itself merged, or is the order itself."""

    code = "MERGE_IMPOSSIBLE"
    message = "不能合并到这张需求单。"


class TooLate(Conflict):
    """The time within which this was possible has passed."""

    code = "TOO_LATE"
    message = "已超过可以办理的期限。"


# Listings and claims


class ListingNotFound(Missing):
    """Unknown listing, or not published for the caller."""

    code = "LISTING_NOT_FOUND"
    message = "没有找到这条资源或需求。"


class ClaimNotFound(Missing):
    """Unknown claim on a listing, or none of the caller's business."""

    code = "CLAIM_NOT_FOUND"
    message = "没有找到这条认领。"


class ListingClosed(Conflict):
    """Withdrawn, its last day is over, or its publisher is out of service."""

    code = "LISTING_CLOSED"
    message = "这条资源或需求已经撤下或到期，或发布单位已退出，不能再认领。"


class OwnListing(Conflict):
    """Nobody claims what they published."""

    code = "OWN_LISTING"
    message = "不能认领自己发布的资源或需求。"


class AlreadyClaimed(Conflict):
    """The same unit or community has a claim on it that is still open."""

    code = "ALREADY_CLAIMED"
    message = "您已经认领过，请等上一次办结后再认领。"


class NotEnoughLeft(Conflict):
    """More is claimed than is left; fact ``left``."""

    code = "NOT_ENOUGH_LEFT"
    message = "剩余数量不足，目前还可以认领{left}份。"
    told = ("left",)
    defaults = MappingProxyType({"left": 0})


class VenueTaken(Conflict):
    """Somebody booked an overlapping time first; who, is not told."""

    code = "VENUE_TAKEN"
    message = "这个时段已被预订，请换一个时段。"


class VenueShut(Conflict):
    """The venue is not open then; fact ``why`` is ``days`` or ``hours``."""

    code = "VENUE_SHUT"
    message = "场地在这个时段不开放，请查看开放时间。"
    told = ("why",)


class ClaimMoved(Conflict):
    """The claim is in another state; facts ``state`` and its label."""

    code = "CLAIM_MOVED"
    message = "这条认领目前是“{label}”状态，不能进行这项操作。"
    told = ("state",)
    defaults = MappingProxyType({"label": "已变化"})


# Taking and doing


class SlotTaken(Conflict):
    """Every slot of the dispatch is held by somebody."""

    code = "SLOT_TAKEN"
    message = "慢了一步，名额已经被接满了。"


class OrderClosed(Conflict):
    """The dispatch no longer runs: expired, recalled, or the order has gone on."""

    code = "ORDER_CLOSED"
    message = "这一单已经不能再接了。"


class NotEligible(Conflict):
    """The taker may not have this order; fact ``why`` is a stable word (``returned``, ``fair_window`` …)."""

    code = "NOT_ELIGIBLE"
    message = "您目前不符合接这一单的条件。"
    told = ("why", "until")


class TakeLimitReached(Conflict):
    """The taker holds as many orders as the tenant lets one hold at a time."""

    code = "TAKE_LIMIT_REACHED"
    message = "您手上的单已到上限，请先办好手上的。"
    told = ("limit",)


class LeaseLost(Conflict):
    """The take ended by time; what was sent is kept as a draft (``draft_id``), to be read and attached later."""

    code = "LEASE_LOST"
    message = "您接单后未按时联系，这一单已放回；您填写的内容已存为草稿。"
    told = ("draft_id",)
    keeps = True


class PlacesFree(Conflict):
    """There is nothing to wait for: the order can be taken."""

    code = "PLACES_FREE"
    message = "还有名额，请直接接单。"


class NotInLine(Conflict):
    """The taker does not stand in the order's waiting list."""

    code = "NOT_IN_LINE"
    message = "您不在这一单的候补名单里。"


class HandoverPending(Conflict):
    """The take is to pass to somebody who has not answered yet."""

    code = "HANDOVER_PENDING"
    message = "已经请人接手，请先等对方答复或撤回。"


class HandoverEnded(Conflict):
    """It was answered or withdrawn, or the take is no longer the giver's."""

    code = "HANDOVER_ENDED"
    message = "这次移交已经结束。"


class CoolingDown(Conflict):
    """The taker gave back too often lately, or let this very order lapse; ``until`` says when it may be taken."""

    code = "COOLING_DOWN"
    message = "您近期退出或未及时联系的单较多，请过一段时间再接。"
    told = ("until",)


class NoActiveTake(Conflict):
    """The move needs an active take and there is none."""

    code = "NO_ACTIVE_TAKE"
    message = "目前没有人接着这一单，不能进行这项操作。"


class FinishNotAllowed(Conflict):
    """Not finishable in this way yet, such as ``explained`` before three failed tries at contact."""

    code = "FINISH_NOT_ALLOWED"
    message = "还不能这样办结，请先补齐所需的步骤。"
    told = ("why",)


class ReturnInstead(Conflict):
    """An assignee declines; what is assigned can only be asked back."""

    code = "RETURN_INSTEAD"
    message = "这是指派给您的任务，不能婉拒；确有困难请申请退单。"


class RatingClosed(Conflict):
    """The time for rating, or for changing a rating, is over."""

    code = "RATING_CLOSED"
    message = "评价时间已过，不能再评价或修改。"


# Requests


class AttachmentUnusable(Conflict):
    """Files that cannot be handed in: not one's own, not wholly sent, or used already. ``attachment_ids``: which."""

    code = "ATTACHMENT_UNUSABLE"
    message = "有附件不能使用：还没有传完、已经用过，或者不是您上传的，请重新选择。"
    told = ("attachment_ids",)
    defaults = MappingProxyType({"attachment_ids": ()})


class UploadClosed(Conflict):
    """The file has failed, or the time to send it is over: announce it anew, under another ``client_id``."""

    code = "UPLOAD_CLOSED"
    message = "这次上传已经失效，请重新选择文件。"


class TooManyUnused(Conflict):
    """Too many files that were handed in with nothing; they go by themselves after a while."""

    code = "TOO_MANY_UNUSED"
    message = "还没有使用的附件太多，请先提交或过几天再传。"


class RequestPending(Conflict):
    """One pending request per order, kind and asker."""

    code = "REQUEST_PENDING"
    message = "您已经提交过同样的申请，请等待处理。"


class RequestDecided(Conflict):
    """The request has been approved, refused or withdrawn."""

    code = "REQUEST_DECIDED"
    message = "这条申请已经有结果了。"
    told = ("status",)


# What was sent makes no sense


class AttachmentTypeUnknown(Invalid):
    """A file of a type that is not taken, or not the one that was announced."""

    code = "ATTACHMENT_TYPE_UNKNOWN"
    message = "不支持这种文件：照片请用 JPG、PNG 或 WebP，文件用 PDF，录音用 MP3 或 M4A，视频用 MP4。"


class HeicUnsupported(Invalid):
    """A photo as newer iPhones keep it; there is no decoder of it here."""

    code = "HEIC_UNSUPPORTED"
    message = "暂不支持 HEIC 照片，请在手机“设置－相机－格式”里选“兼容性最佳”重新拍摄，或先转成 JPG。"


class AttachmentBroken(Invalid):
    """The file cannot be read as what it is said to be; it has failed and is announced anew. ``why``: unreadable,
    too_many_pixels, not_alone."""

    code = "ATTACHMENT_BROKEN"
    message = "这个文件打不开，可能已损坏或尺寸过大，请换一个再试。"
    told = ("why",)
    defaults = MappingProxyType({"why": "unreadable"})


class UploadIncomplete(Invalid):
    """Fewer bytes than were announced, or others (``sha256``); nothing was kept, and it may be sent again."""

    code = "UPLOAD_INCOMPLETE"
    message = "文件没有传完，请重新上传。"


class TooManyAttachments(Invalid):
    """More files with one move than are taken; ``most``."""

    code = "TOO_MANY_ATTACHMENTS"
    message = "一次最多可以附{most}个文件。"
    told = ("most",)
    defaults = MappingProxyType({"most": 9})


class ValidationFailed(Invalid):
    """A field is missing, of a wrong form or unknown; ``errors`` name each."""

    code = "VALIDATION_FAILED"
    message = "填写的内容有误，请检查后再提交。"


class UnknownParameter(Invalid):
    """A query parameter that this path does not know; ``errors`` name each."""

    code = "UNKNOWN_PARAMETER"
    message = "请求带有不认识的参数。"


class CursorInvalid(Invalid):
    """The cursor is damaged, or belongs to another list."""

    code = "CURSOR_INVALID"
    message = "翻页位置已失效，请从头刷新列表。"


class ReasonUnknown(Invalid):
    """The reason code is not among those of this move or request."""

    code = "REASON_UNKNOWN"
    message = "请从给出的原因中选择一项。"


class ModeNotAllowed(Invalid):
    """The item, or the place, does not allow this way of dispatching."""

    code = "MODE_NOT_ALLOWED"
    message = "这个事项不能用这种方式派单。"


class TargetNotAllowed(Invalid):
    """A target is unknown, out of scope or of a kind the mode does not take; fact ``why`` where it helps."""

    code = "TARGET_NOT_ALLOWED"
    message = "选择的派单对象不合适，请重新选择。"
    told = ("why", "target")


class SlotsInvalid(Invalid):
    """The slot numbers contradict each other or the targets."""

    code = "SLOTS_INVALID"
    message = "需要的人数填写有误，请检查最少和最多人数。"


class ItemRetired(Invalid):
    """The service item is no longer offered."""

    code = "ITEM_RETIRED"
    message = "这个服务事项已停用，请选择其他事项。"


class PlaceRequired(Invalid):
    """No place was given and the filer has no home community."""

    code = "PLACE_REQUIRED"
    message = "请选择需求所在的社区或地点。"


# Repeats


class IdempotencyKeyRequired(Invalid):
    """This write must carry an ``Idempotency-Key``."""

    code = "IDEMPOTENCY_KEY_REQUIRED"
    message = "缺少防重复提交的标识，请更新小程序后再试。"


class IdempotencyKeyInvalid(Invalid):
    """The ``Idempotency-Key`` is empty, too long or not printable ASCII."""

    code = "IDEMPOTENCY_KEY_INVALID"
    message = "防重复提交的标识格式不正确，请更新小程序后再试。"


class IdempotencyKeyReused(Invalid):
    """The key was used for another body."""

    code = "IDEMPOTENCY_KEY_REUSED"
    message = "这次提交与之前的内容不一致，请刷新后重新提交。"


class IdempotencyInProgress(Conflict):
    """The first request with this key is still at work after the wait."""

    code = "IDEMPOTENCY_IN_PROGRESS"
    message = "上一次提交还在处理，请稍候再看结果。"


# Published numbers


class NothingPublished(Missing):
    """No such tenant, or it publishes no numbers, or none of this place."""

    code = "NOTHING_PUBLISHED"
    message = "这里没有公示的统计数字。"


class MonthNotPublished(Invalid):
    """The month is not over, or was over a few days ago; facts ``first`` and ``last``, the months there are."""

    code = "MONTH_NOT_PUBLISHED"
    message = "这个月的数字没有公示，公示的月份见答复。"
    told = ("first", "last")


class TooFine(Invalid):
    """Numbers by category are published for the whole tenant only: below it they would tell of single households."""

    code = "TOO_FINE"
    message = "为保护隐私，街道和社区的数字不按类别公示。"


# Client and service


class ClientTooOld(TooOld):
    """The client is below the configured minimum; fact ``min_version``."""

    code = "CLIENT_TOO_OLD"
    message = "当前版本过低，请更新小程序后再使用。"
    told = ("min_version",)


class BodyTooLarge(TooLarge):
    """The request's body is over the limit; fact ``limit_bytes``."""

    code = "BODY_TOO_LARGE"
    message = "提交的内容太大，请精简后再试。"
    told = ("limit_bytes",)


class AttachmentTooLarge(TooLarge):
    """The file is larger than one of its kind may be; ``limit_bytes``."""

    code = "ATTACHMENT_TOO_LARGE"
    message = "文件太大，最多 {limit_mb} MB。"
    told = ("limit_bytes",)
    defaults = MappingProxyType({"limit_mb": 10})


class RateLimited(TooMany):
    """Too many requests in a short time; fact ``retry_after`` in seconds."""

    code = "RATE_LIMITED"
    message = "操作太频繁，请{retry_after}秒后再试。"
    defaults = MappingProxyType({"retry_after": 60})


class ServiceBusy(Busy):
    """The database cannot take this now; nothing was written. Fact ``retry_after`` in seconds."""

    code = "BUSY"
    message = "系统繁忙，请{retry_after}秒后再试。"
    defaults = MappingProxyType({"retry_after": 1})


class StorageFull(Busy):
    """The database has no room on its disk, or the disk fails; nothing was written. Fact ``retry_after`` in seconds."""

    code = "STORAGE_FULL"
    message = "存储空间不足，暂时无法保存，请{retry_after}秒后再试。"
    defaults = MappingProxyType({"retry_after": 30})


class SmsUnavailable(Busy):
    """Nobody is set up to send short messages, or the sender does not answer. Fact ``retry_after`` in seconds."""

    code = "SMS_UNAVAILABLE"
    message = "短信暂时不能发送，可以请社区工作人员代录电话。"
    defaults = MappingProxyType({"retry_after": 60})


class WechatUnavailable(Busy):
    """WeChat did not answer, or refuses our program; the log has its code. Fact ``retry_after`` in seconds."""

    code = "WECHAT_UNAVAILABLE"
    message = "微信服务暂时不可用，请{retry_after}秒后再试。"
    defaults = MappingProxyType({"retry_after": 5})


class OidcUnavailable(Busy):
    """The OpenID Connect provider does not answer, or with nonsense. Fact ``retry_after`` in seconds."""

    code = "OIDC_UNAVAILABLE"
    message = "统一认证暂时不可用，请{retry_after}秒后再试。"
    defaults = MappingProxyType({"retry_after": 5})


class WechatBusy(Busy):
    """WeChat's quota of this minute or day is used up (45009, 45011). Fact ``retry_after`` in seconds."""

    code = "WECHAT_BUSY"
    message = "使用微信的人太多，请{retry_after}秒后再试。"
    defaults = MappingProxyType({"retry_after": 60})


def wrong(field: str, message: str, code: str = "INVALID") -> ValidationFailed:
    """The refusal of one field of a body, by name; the message says what is expected."""
    return ValidationFailed(errors=[{"loc": ["body", *field.split(".")], "code": code, "message": message}])
