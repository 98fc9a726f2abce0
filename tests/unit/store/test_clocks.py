"""A clock that jumps: S3 servers refuse requests that are signed with another time than theirs."""

import pytest
import urllib3
from minio.error import S3Error

from consort.errors import InputError
from consort.store import s3_errors
from consort.store.s3_errors import retried

REFUSALS = [("RequestTimeTooSkewed", "The difference between the request time and the server's time is too large."),
            ("AccessDenied", "Request has expired"), ("AccessDenied", "Request is not valid yet")]


def refusal(code: str, message: str) -> S3Error:
    return S3Error(urllib3.HTTPResponse(status=403), code, message, "/bucket/a", "1", "1")


def asked(answers: list[Exception | str]) -> str:
    """What comes of asking a server that gives these answers."""
    rest = iter(answers)

    def ask() -> str:
        answer = next(rest)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return retried(ask, "the store", "a", 60, lambda: None)


@pytest.mark.parametrize(("code", "message"), REFUSALS)
def test_a_clock_that_is_set_meanwhile(code, message):
    assert asked([refusal(code, message), refusal(code, message), "content"]) == "content"


@pytest.mark.parametrize(("code", "message"), REFUSALS)
def test_a_clock_that_stays_wrong(monkeypatch, code, message):
    monkeypatch.setattr(s3_errors, "STRANGER_SECONDS", 0.0)
    with pytest.raises(InputError, match=r"refused \(a\): this machine's clock differs from the server's"):
        asked([refusal(code, message)])


def test_other_refusals_are_not_waited_for():
    with pytest.raises(InputError, match="access is refused: check AWS_ACCESS_KEY_ID"):
        asked([refusal("AccessDenied", "Access Denied.")])
    with pytest.raises(InputError, match="Weird, no such thing"):
        asked([refusal("Weird", "no such thing")])
