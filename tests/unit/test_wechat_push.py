"""The message push against the vectors that WeChat publishes with it."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.domain.refusal import PushRefused
from dispatch.wechat import push

TOKEN, KEY, APPID = "AAAAA", "A" * 43, "wxba5fad812f8e6fb9"
ENCRYPTED = (
    "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6J"
    "sXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8"
    "EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
)


def test_the_published_signatures_are_ours():
    push.check("f464b24fc39322e44b38aa78f5edd27bd1441696", TOKEN, "1714036504", "1514711492")
    push.check("899cf89e464efb63f54ddac96b0a0a235f53aa78", TOKEN, "1714037059", "486452656")
    push.check("046e02f8204d34f8ba5fa3b1db94908f3df2e9b3", TOKEN, "1714112445", "415670741", ENCRYPTED)
    for wrong in ("", "046e", "é", "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3"):
        with pytest.raises(PushRefused):
            push.check(wrong, TOKEN, "1714036504", "1514711492")


def test_the_published_message_opens_and_the_published_answer_closes():
    message = push.decrypt(ENCRYPTED, KEY, APPID)

    assert len(message.encode()) == 167
    assert json.loads(message)["Event"] == "debug_demo"
    answer = push.encrypt('{"demo_resp":"good luck"}', KEY, APPID, random=b"707722b803182950")
    assert (
        answer == "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ=="
    )
    push.check("1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1", TOKEN, "1713424427", "415670741", answer)


@given(st.text(max_size=200))
def test_whatever_is_encrypted_opens_again_whatever_its_padding(message: str):
    sealed = push.encrypt(message, KEY, APPID)

    assert push.decrypt(sealed, KEY, APPID) == message
    with pytest.raises(PushRefused):
        push.decrypt(sealed, KEY, "wx-another")
    with pytest.raises(PushRefused):
        push.decrypt(sealed, "B" * 43, APPID)


@given(st.binary(max_size=100))
def test_nonsense_is_refused_and_breaks_nothing(junk: bytes):
    for sealed in (base64.b64encode(junk).decode(), junk.decode("latin-1")):
        with pytest.raises(PushRefused):
            push.decrypt(sealed, KEY, APPID)


def test_xml_and_json_say_the_same():
    xml = (
        "<xml><ToUserName><![CDATA[gh]]></ToUserName><CreateTime>1</CreateTime>"
        "<List><PopupScene>0</PopupScene></List></xml>"
    )

    assert push.parsed(xml) == {"ToUserName": "gh", "CreateTime": "1", "List": {"PopupScene": "0"}}
    assert push.parsed('{"ToUserName": "gh"}') == {"ToUserName": "gh"}


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><xml><Event>&b;</Event></xml>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><Event>&a;</Event></xml>'


@pytest.mark.parametrize("body", [BOMB, OUTSIDE, "<xml>", "", "[]", "1", "{", "[" * 100_000])
def test_a_body_that_is_no_message_or_means_harm_is_refused(body: str):
    with pytest.raises(PushRefused):
        push.parsed(body)


def test_a_push_of_long_ago_is_refused():
    at = datetime(2026, 11, 22, tzinfo=UTC)
    for near in (at, at - timedelta(minutes=59), at + timedelta(minutes=59)):
        push.check_fresh(str(int(near.timestamp())), at=at)
    for far in (str(int((at - timedelta(hours=2)).timestamp())), "", "x", "-1", "9" * 400):
        with pytest.raises(PushRefused):
            push.check_fresh(far, at=at)
