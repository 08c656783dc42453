"""Digest, the server's side, against our own client and against the captures."""

import pytest

from signaling.rtsp.auth import Authenticator, Credentials, digest_response, parse_params
from signaling.sip.digest import Authority, Verdict
from signaling.sip.message import parse
from tests.unit.sip.captures import CAPTURES

REALM = "3402000000"


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def authority(clock: Clock | None = None, **more: object) -> Authority:
    return Authority(REALM, now=clock or Clock(), secret=b"s" * 32, **more)  # type: ignore[arg-type]  # by keyword


def ask(server: Authority, client: Authenticator) -> Verdict:
    header = client.header("REGISTER", "sip:34020000002000000001@3402000000")
    assert header is not None
    return server.check([header], "REGISTER", lambda name: "secret" if name == "admin" else None).verdict


@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256",), ("MD5", "SHA-256")])
@pytest.mark.parametrize("qop", [False, True])
def test_a_client_that_knows_the_password_gets_in(algorithms: tuple[str, ...], qop: bool) -> None:
    server = authority(algorithms=algorithms, qop=qop)
    for name, password, verdict in (
        ("admin", "secret", Verdict.GOOD), ("admin", "wrong", Verdict.WRONG), ("other", "secret", Verdict.UNKNOWN),
    ):  # fmt: skip
        client = Authenticator(Credentials(name, password))
        assert client.challenged(server.challenges())
        assert ask(server, client) is verdict


def test_the_answer_of_a_real_device_is_reckoned_alike() -> None:
    """The trace does not tell the password; that of the realm ``hik`` must differ from a wrong one."""
    message = parse(dict(CAPTURES)["hik_2013_register_keepalive-0"])
    value = (message.headers.get("Authorization") or "").partition(" ")[2]
    params = parse_params(value)
    assert (params["username"], params["realm"], "qop" in params) == ("admin", "hik", False)
    assert digest_response(username="admin", password="x", method="REGISTER", params=params) != params["response"]


def test_a_nonce_without_qop_is_good_once() -> None:
    server, client = authority(), Authenticator(Credentials("admin", "secret"))
    client.challenged(server.challenges())
    assert ask(server, client) is Verdict.GOOD
    assert ask(server, client) is Verdict.STALE
    client.challenged(server.challenges(stale=True))
    assert ask(server, client) is Verdict.GOOD


def test_a_count_of_a_nonce_with_qop_is_good_once() -> None:
    server, client = authority(qop=True), Authenticator(Credentials("admin", "secret"))
    client.challenged(server.challenges())
    assert ask(server, client) is Verdict.GOOD
    header = client.header("REGISTER", "sip:x")
    assert header is not None
    assert server.check([header], "REGISTER", lambda _: "secret").good
    assert server.check([header], "REGISTER", lambda _: "secret").verdict is Verdict.STALE
    assert not server.check([header], "MESSAGE", lambda _: "secret").good


def test_a_nonce_grows_old_and_a_foreign_one_was_never_good() -> None:
    clock = Clock()
    server, client = authority(clock), Authenticator(Credentials("admin", "secret"))
    client.challenged(server.challenges())
    clock.now += 301
    assert ask(server, client) is Verdict.STALE
    client.challenged(Authority(REALM, now=clock).challenges())
    assert ask(server, client) is Verdict.FORGED
    client.challenged([f'Digest realm="{REALM}", nonce="x"'])
    assert ask(server, client) is Verdict.FORGED


def test_what_was_not_offered_is_not_taken() -> None:
    server, client = authority(), Authenticator(Credentials("admin", "secret"))
    client.challenged([server.challenges()[0].replace("MD5", "SHA-256")])
    assert ask(server, client) is Verdict.UNSUPPORTED
    client.challenged([server.challenges()[0] + ', qop="auth"'])
    assert ask(server, client) is Verdict.UNSUPPORTED
    assert server.check([], "REGISTER", lambda _: "").verdict is Verdict.MISSING
    other = f'Digest realm="other", nonce="{server.nonce()}", response="x", username="admin"'
    assert server.check([other], "REGISTER", lambda _: "").verdict is Verdict.MISSING


def test_challenges_cost_no_memory_and_a_flood_of_good_answers_is_bounded() -> None:
    server = authority(noted=10)
    for _ in range(1_000):
        server.challenges()
    assert len(server._noted) == 0
    old = Authenticator(Credentials("admin", "secret"))
    old.challenged(server.challenges())
    assert ask(server, old) is Verdict.GOOD
    for _ in range(30):
        client = Authenticator(Credentials("admin", "secret"))
        client.challenged(server.challenges())
        ask(server, client)
    assert len(server._noted) <= 10
    assert ask(server, old) is Verdict.STALE  # forgotten, and yet not good again
