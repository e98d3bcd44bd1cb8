"""The log in plain Chinese: one sentence a resident understands for every step."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dispatch.domain.order import HANDOVER, LEASE_EXPIRED, Closing, Exit, Level, Mode, Move, State
from dispatch.domain.sla import CLOCK_LABELS, WAITS, Clock, Step

LEVEL_WORDS = {Level.COMMUNITY: "社区党组织", Level.STREET: "街道", Level.DISTRICT: "区"}
MODE_WORDS = {Mode.OPEN: "面向大家认领", Mode.OFFER: "推荐给合适的人", Mode.ASSIGN: "直接指派"}
CLOSING_WORDS = {Closing.SOLVED: "已解决", Closing.EXPLAINED: "已解释说明", Closing.TRANSFERRED: "已转交"}
EXIT_WORDS = {
    Exit.SOLVED: "已解决",
    Exit.EXPLAINED: "已解释说明",
    Exit.PARKED: "转为挂账",
    Exit.TRANSFERRED: "已转交",
    Exit.NO_VERDICT: "到期未评价",
}
SCORE_WORDS = {5: "非常满意", 4: "满意", 3: "基本满意", 2: "不满意", 1: "非常不满意"}

_PLAIN: dict[Move, str] = {
    Move.SUBMIT: "提交了需求",
    Move.ASK: "请补充情况",
    Move.SUPPLEMENT: "补充了情况",
    Move.ACCEPT: "已受理",
    Move.REJECT: "不予受理",
    Move.ADMIT: "异议成立，恢复受理",
    Move.MERGE: "与同类需求合并办理",
    Move.UNMERGE: "取消合并，单独办理",
    Move.RECALL: "收回了派单",
    Move.TAKE: "接了单",
    Move.DECLINE: "未能接单",
    Move.PROCEED: "按现有人员开始办理",
    Move.STAFF: "安排了办理人员",
    Move.LEAD: "更换了牵头人",
    Move.START: "开始办理",
    Move.DELIBERATE: "研究决定",
    Move.RESUME: "恢复办理",
    Move.URGE: "催办",
    Move.SUPERVISE: "督办",
}


def sentence(move: Move, after: State, detail: Mapping[str, Any], text: str | None) -> str:
    """One step as a sentence, without naming anybody; the words people wrote follow after a colon."""
    said = _SAID[move](after, detail) if move in _SAID else _PLAIN[move]
    return f"{said}：{text}" if text else f"{said}。"


def _dispatch(after: State, detail: Mapping[str, Any]) -> str:
    fewer = f"，按{detail['slots_min']}人办理（应有{detail['needed']}人）" if "needed" in detail else ""
    return f"已派单，{MODE_WORDS[Mode(detail['mode'])]}{fewer}"


def _follow(after: State, detail: Mapping[str, Any]) -> str:
    return "原合并需求已撤回，由本需求继续办理" if "heir_of" in detail else "随同类需求一并合并办理"


def _release(after: State, detail: Mapping[str, Any]) -> str:
    if detail.get("returned"):
        return "退单获准，不再办理"
    said = {LEASE_EXPIRED: "接单后未按时联系，名额已放回", HANDOVER: "将接单移交给他人"}
    return said.get(detail.get("reason_code", ""), "退出了接单")


def _rate(after: State, detail: Mapping[str, Any]) -> str:
    solved = "问题已解决" if detail["solved"] else "问题未解决"
    who = "回访记录评价" if detail.get("follow_up") else "评价"
    return f"{who}：{SCORE_WORDS[detail['score']]}，{solved}"


def _redo(after: State, detail: Mapping[str, Any]) -> str:
    return "重办，由原接单人继续" if detail.get("same_takers") else "重办，重新派单"


_SAID: dict[Move, Any] = {
    Move.FOLLOW: _follow,
    Move.RESOLVE: lambda after, detail: f"已办结（{CLOSING_WORDS[Closing(detail['closing'])]}）",
    Move.DISPATCH: _dispatch,
    Move.RELEASE: _release,
    Move.LAPSE: lambda after, detail: (
        "候补未按时接单，名额转给下一位" if "place" in detail else "到期无人接单，继续寻找"
    ),
    Move.CONTACT: lambda after, detail: "已与居民取得联系" if detail["reached"] else "联系居民未接通",
    Move.PROGRESS: lambda after, detail: "延长了首次联系的时间" if "lease_until" in detail else "报告了进展",
    Move.FINISH: lambda after, detail: f"办理完成（{CLOSING_WORDS[Closing(detail['closing'])]}）",
    Move.ESCALATE: lambda after, detail: f"上报{LEVEL_WORDS[Level(detail['level'])]}研究",
    Move.PARK: lambda after, detail: f"暂时挂账，{detail['until']} 复核",
    Move.RATE: _rate,
    Move.CLOSE: lambda after, detail: f"归档（{EXIT_WORDS[Exit(detail['exit'])]}）",
    Move.REDO: _redo,
    Move.CANCEL: lambda after, detail: "需求已撤回",
}


_STEP_WORDS: dict[Step, str] = {
    Step.WARN_50: "{clock}时限已过半，{due}到期。",
    Step.WARN_80: "{clock}时限已过八成，{due}到期。",
    Step.BREACH: "{clock}已超时，应于{due}前完成。",
    Step.URGE: "{clock}超时未办，已催办。",
    Step.SUPERVISE: "{clock}催办后仍未办，已督办。",
}
_WAIT_WORDS: dict[tuple[Clock, Step], str] = {
    (Clock.EVALUATE, Step.REMIND): "请您评价这次服务，{due}未评价将归档。",
    (Clock.ANSWER, Step.REMIND): "请尽快补充情况，{due}仍未补充将自动撤单。",
    (Clock.PAUSE, Step.ACT): "挂账复核日已到，恢复办理。",
    (Clock.LEASE, Step.WARN_50): "请尽快联系居民，{due}前仍无进展，接单将放回。",
    (Clock.LEASE, Step.WARN_80): "请马上联系居民，{due}前仍无进展，接单将放回。",
}


def step_sentence(clock: Clock, step: Step, due_at: datetime) -> str | None:
    """A step of a clock as a sentence; ``due_at`` in the tenant's zone. None for one that its move tells already."""
    words = _WAIT_WORDS.get((clock, step)) if clock in WAITS else _STEP_WORDS.get(step)
    due = f"{due_at.month}月{due_at.day}日{due_at:%H:%M}"
    return words.format(clock=CLOCK_LABELS[clock], due=due) if words else None
