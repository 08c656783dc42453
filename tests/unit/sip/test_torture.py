"""The torture messages of RFC 4475, each with the answer that a server must or may give.

The files of tests/corpus/sip carry the RFC's bytes with CRLF line ends, but for two: the binary part of ``mpart01`` is
made up (its length is the RFC's), and ``longreq`` counts its repetitions anew.
"""

from pathlib import Path
from typing import Final

import pytest

from signaling.sip.digest import Authority, Verdict
from signaling.sip.layer import Flow, ServerTransaction
from signaling.sip.message import Request, Response, parse
from signaling.sip.stack import SipStack, StackConfig

FOLDER: Final = Path(__file__).parents[2] / "corpus" / "sip"
FLOW: Final = Flow("udp", "192.0.2.200", 5061)

# 200: it comes to the handler, which says so here. None: nothing may be answered. The clause is the RFC's.
ANSWERS: Final[dict[str, int | None]] = {
    "wsinv": 481,  # 3.1.1.1 well-formed; its To has a tag of no dialog of ours
    "intmeth": 501,  # 3.1.1.2 well-formed, a method that nobody knows
    "esc01": 200,  # 3.1.1.3
    "escnull": 200,  # 3.1.1.4
    "esc02": 501,  # 3.1.1.5 %47 is no escape in a method
    "lwsdisp": 200,  # 3.1.1.6
    "longreq": 200,  # 3.1.1.7
    "dblreq": 200,  # 3.1.1.8 the second request in the datagram is passed over
    "semiuri": 200,  # 3.1.1.9
    "transports": 200,  # 3.1.1.10
    "mpart01": 200,  # 3.1.1.11
    "unreason": None,  # 3.1.1.12 a response
    "noreason": None,  # 3.1.1.13 a response
    "badinv01": 400,  # 3.1.2.1
    "clerr": 400,  # 3.1.2.2
    "ncl": 400,  # 3.1.2.3
    "scalar02": 400,  # 3.1.2.4
    "scalarlg": None,  # 3.1.2.5 a response: discarded
    "quotbal": 400,  # 3.1.2.6
    "ltgtruri": 400,  # 3.1.2.7
    "lwsruri": 400,  # 3.1.2.8
    "lwsstart": 400,  # 3.1.2.9 (may be mended; it is not)
    "trws": 400,  # 3.1.2.10 (likewise)
    "escruri": 200,  # 3.1.2.11 may be refused, or taken without the headers in its URI
    "baddate": 200,  # 3.1.2.12 may be taken: Date is of no use here, and devices write it wrong
    "regbadct": 400,  # 3.1.2.13
    "badaspec": 200,  # 3.1.2.14 may be taken
    "baddn": 200,  # 3.1.2.15 may be taken
    "badvers": 505,  # 3.1.2.16
    "mismatch01": 400,  # 3.1.2.17
    "mismatch02": 501,  # 3.1.2.18
    "bigcode": None,  # 3.1.2.19 a response: discarded
    "badbranch": 200,  # 3.2.1 known by its other fields
    "insuf": 400,  # 3.3.1
    "unkscm": 416,  # 3.3.2
    "novelsc": 416,  # 3.3.3
    "unksm2": 200,  # 3.3.4 the registrar's to refuse
    "bext01": 420,  # 3.3.5
    "invut": 200,  # 3.3.6 the handler's to answer with 415
    "regaut01": 200,  # 3.3.7 the handler's to answer with 401, see below
    "multi01": 400,  # 3.3.8
    "mcl01": 400,  # 3.3.9
    "bcast": None,  # 3.3.10 a response of nobody's request: discarded
    "zeromf": 200,  # 3.3.11 the last hop may answer it
    "cparam01": 200,  # 3.3.12
    "cparam02": 200,  # 3.3.13
    "regescrt": 200,  # 3.3.14
    "sdp01": 200,  # 3.3.15 the handler's to answer with 406
    "inv2543": 200,  # 3.4.1
}


def given(name: str) -> tuple[Response | None, list[ServerTransaction]]:
    """What a stack says to a message, and what came to its handler."""
    seen: list[ServerTransaction] = []

    def handler(transaction: ServerTransaction) -> None:
        seen.append(transaction)
        transaction.respond(200)

    stack = SipStack(StackConfig(), now=lambda: 0.0, local=lambda _: ("192.0.2.1", 5060), on_request=handler)
    stack.receive((FOLDER / f"{name}.dat").read_bytes(), FLOW)
    sent = [send for send in stack.take() if not send.data.startswith(b"SIP/2.0 100")]
    assert len(sent) <= 1
    if not sent:
        return None, seen
    assert sent[0].flow == FLOW
    if name in ("badvers", "badinv01"):  # their Via is nothing that we could read back
        return Response(status=int(sent[0].data[8:11])), seen
    if name in ("insuf", "scalar02", "quotbal", "mismatch01", "mismatch02", "multi01"):
        return Response(status=int(sent[0].data[8:11])), seen  # the answer copies what was wrong
    answer = parse(sent[0].data)
    assert isinstance(answer, Response)
    return answer, seen


def test_every_message_has_its_answer() -> None:
    assert {path.stem for path in FOLDER.glob("*.dat")} == set(ANSWERS)
    assert len(ANSWERS) == 49


@pytest.mark.parametrize("name", ANSWERS)
def test_a_torture_message_gets_the_answer_of_the_rfc(name: str) -> None:
    answer, seen = given(name)
    assert (answer.status if answer else None) == ANSWERS[name]
    assert len(seen) == (ANSWERS[name] == 200)


def test_the_tortuous_invite_is_read_to_the_last_parameter() -> None:
    message = parse((FOLDER / "wsinv.dat").read_bytes())
    assert isinstance(message, Request)
    assert message.from_.display == 'J Rosenberg \\"'
    assert (message.to.tag, message.from_.tag) == ("1918181833n", "98asjd8")
    assert message.cseq == (9, "INVITE")
    assert message.headers.get("Max-Forwards") == "0068"
    assert [via.partition(";")[0].split()[-1] for via in message.headers.all("Via")] == [
        "192.0.2.2", "spindle.example.com", "192.168.255.111",
    ]  # fmt: skip
    assert message.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert message.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    contact = message.contact
    assert contact is not None
    assert (contact.display, contact.param("newparam"), contact.param("q")) == ('Quoted string ""', "newvalue", "0.33")
    assert len(message.body) == 150


def test_unusual_characters_survive_the_way_through() -> None:
    data = (FOLDER / "intmeth.dat").read_bytes()
    message = parse(data)
    assert isinstance(message, Request)
    assert message.target.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert message.to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"
    assert parse(message.encode()) == message


def test_an_unknown_scheme_of_authorization_is_as_good_as_none() -> None:
    message = parse((FOLDER / "regaut01.dat").read_bytes())
    authority = Authority("example.com", now=lambda: 0.0)
    checked = authority.check(message.headers.all("Authorization"), "REGISTER", lambda _: "secret")
    assert checked.verdict is Verdict.MISSING


def test_a_binary_body_comes_as_it_was() -> None:
    data = (FOLDER / "mpart01.dat").read_bytes()
    assert len(parse(data).body) == 553
    assert data.endswith(parse(data).body)
