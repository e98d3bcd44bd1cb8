"""What goes over the wire about privacy."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from dispatch.domain.keeping import Purpose
from dispatch.domain.people import Role
from dispatch.orders.schemas import BeneficiaryOut, OrderRef
from dispatch.orders.schemas import ConsentIn as ConsentEvidence
from dispatch.web.wire import Body, IdIn, InstantOut, LocationOut, PersonName, Phone, TextRule, Wire, example


class RevealIn(Body, json_schema_extra=example(purpose="上门前与居民约定时间")):
    """What contact data is needed for; the requester reads it."""

    purpose: Annotated[str, TextRule(2, 200, lines=False)]


class RevealAskIn(
    Body,
    json_schema_extra=example(
        purpose="核实督办件办理情况", text="市里转来的督办件，需要当面向居民核实办理结果。"
    ),
):
    """What the district needs contact data for, and why it cannot do without."""

    purpose: Annotated[str, TextRule(2, 200, lines=False)]
    text: Annotated[str, TextRule(2, 1000)]


class RevealDecisionIn(Body, json_schema_extra=example(text="已核对督办件，同意。")):
    """The second person's word."""

    text: Annotated[str, TextRule(1, 1000)] | None = None


class ContactOut(Wire):
    """An order's contact data, shown once and on record."""

    view_id: UUID
    order_id: UUID
    filer_name: str
    beneficiary: BeneficiaryOut
    contact_phone: str | None
    address: str | None
    location: LocationOut | None
    shown_at: InstantOut


class LookerOut(Wire):
    """Who looked."""

    role: Role | None
    role_label: str | None
    name: str


class RevealRequestOut(Wire):
    """A request of the district for contact data, and the second person's answer."""

    id: UUID
    order: OrderRef
    status: Literal["pending", "approved", "refused", "lapsed"] = Field(
        description="lapsed: nobody answered within a day."
    )
    who: LookerOut
    purpose: str
    text: str | None
    asked_at: InstantOut
    decided_by: LookerOut | None
    decision: str | None
    decided_at: InstantOut | None
    open_until: InstantOut | None = Field(description="Until when the one who asked may look.")


class RevealRequestsOut(Wire):
    """Every request for one order's contact data, newest first."""

    items: list[RevealRequestOut]


class RecusalIn(Body, json_schema_extra=example(kind="person", id="01a20ffe-4782-743f-957a-09f909921a8f")):
    """Who must not know of the order: a person, or a body with all its people."""

    kind: Literal["person", "unit", "team", "provider", "department"]
    id: IdIn


class RecusalOut(Wire):
    """Who is kept from the order."""

    kind: Literal["person", "unit", "team", "provider", "department"]
    id: UUID
    name: str
    at: InstantOut


class RecusalsOut(Wire):
    """Everybody who is kept from the order."""

    items: list[RecusalOut]


class ViewOut(Wire):
    """One look at an order's contact data."""

    id: UUID
    at: InstantOut
    kind: Literal["open", "reveal"] = Field(
        description="open: it stood in the order as this person reads it, once a day. reveal: asked for, each time."
    )
    who: LookerOut
    purpose: str | None
    fields: list[str]
    confirmed_by: LookerOut | None = Field(description="The second person, where one is needed.")


class PurposeOut(Wire):
    """One purpose that personal data is asked for."""

    code: Purpose
    name: str
    text: str
    basis: Literal["duty", "consent"]
    sensitive: bool


class PrivacyPolicyOut(Wire):
    """What people are told, in its current words."""

    version: int = Field(description="0 is the shipped text of a tenant that published none.")
    hash: str = Field(description="SHA-256 of title, line feed and text, in hex.")
    title: str
    text: str
    published_at: InstantOut | None
    purposes: list[PurposeOut]


class PrivacyPolicyIn(
    Body,
    json_schema_extra=example(
        title="隐私政策（2026年12月版）",
        text="我们只在为您办理需求时使用您的姓名、电话和地址，每次查看都有记录，您可以随时查阅、更正、导出或注销。",
    ),
):
    """The next version of the policy."""

    title: Annotated[str, TextRule(2, 64, lines=False)]
    text: Annotated[str, TextRule(10, 20_000)]


class ConsentIn(Body, json_schema_extra=example(version=0)):
    """Which version was read and agreed to."""

    version: Annotated[int, Field(ge=0)]


class StaffPhoneIn(
    Body,
    json_schema_extra=example(
        phone="0731-82345678", verified="call_back", consent={"how": "oral", "note": "本人电话中同意"}
    ),
):
    """A phone that a person gave to staff, how it was verified, and that the person agreed."""

    phone: Phone
    verified: Literal["call_back", "in_person", "document"] = Field(
        description="call_back: it was rung and the person answered. in_person: told face to face. document: seen in writing."
    )
    consent: ConsentEvidence


class RecordedOut(Wire):
    """Who of the staff wrote a consent down, and on what evidence."""

    by: LookerOut
    how: str
    note: str | None
    verified: str


class ConsentOut(Wire):
    """How the caller stands to a purpose."""

    purpose: Purpose
    state: Literal["given", "outdated", "withdrawn", "none"] = Field(
        description="outdated: given to an earlier version."
    )
    version: int | None
    given_at: InstantOut | None
    withdrawn_at: InstantOut | None
    ask_again_at: InstantOut | None = Field(description="Clients do not ask before this.")
    recorded: RecordedOut | None = Field(description="Where it was given to staff and not here.")


class ConsentsOut(Wire):
    """How the caller stands to every purpose."""

    items: list[ConsentOut]


class DataRequestOut(Wire):
    """What a person asked of their own data."""

    id: UUID
    kind: Literal["export", "correction", "deletion"]
    status: Literal["pending", "waiting", "done"]
    reason: str | None = Field(
        description="Why it waits: order_open, take_active, office_held. failed: the file could not be made; ask again."
    )
    fields: list[str] | None
    asked_at: InstantOut
    due_at: InstantOut
    ended_at: InstantOut | None
    expires_at: InstantOut | None


def _taken_out(value: object) -> object:
    if value is not None:
        raise PydanticCustomError("phone_unproven", "新的手机号码请用验证码或微信填写，这里只能清除")
    return value


class CorrectionIn(Body, json_schema_extra=example(name="白嘉怡", phone=None)):
    """What is put right; a field that is absent stays. A phone is only taken out, by null: by it orders and a
    membership are found, so a new one needs a proof (``POST /v1/me/phone``)."""

    name: PersonName | None = None
    phone: Annotated[None, BeforeValidator(_taken_out)] = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        said = self.model_fields_set
        if not said or ("name" in said and self.name is None):
            raise PydanticCustomError("nothing_to_correct", "请填写要更正的内容")
        return self


class RecipientOut(Wire):
    """Who was told."""

    kind: str
    name: str


class DisclosureOut(Wire):
    """An organisation that was told of the person, because it took an order."""

    id: UUID
    at: InstantOut
    recipient: RecipientOut
    order: OrderRef
    purpose: str
    basis: Literal["duty"]
