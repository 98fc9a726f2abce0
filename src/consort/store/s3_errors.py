"""What an answer of an S3 server, or its silence, means to the user: wait, fix something, or no such object.

Messages name the endpoint, never a credential.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError, ProxyError, SSLError

from consort.errors import ConsortError, InputError, StoreUnavailable, system_reason

log = logging.getLogger(__name__)
Result = TypeVar("Result")

FAILURES = (S3Error, ServerError, InvalidResponseError, HTTPError, ConnectionError, TimeoutError,
            ParseError)
"""Everything that asking a server can raise."""

FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"}
PASSING = {"SlowDown", "SlowDownRead", "SlowDownWrite", "InternalError", "ServiceUnavailable", "RequestTimeout",
           "XMinioServerNotInitialized", "OperationAborted", "IncompleteBody"}
STRANGER_SECONDS = 5.0
"""For how long an answer that no S3 server gives does not count. Where a Service or an ingress has just changed,
whatever else is on the route may answer in the server's place for a moment; for longer it is the wrong address. The
same goes for a refusal because of the time: a machine that has slept has the old one for a moment."""
SILENT_SECONDS = 5.0
"""After so long a person is told what is waited for."""
REMEDIES = {
    "InvalidAccessKeyId": "the server does not know this access key: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key: check AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "access is refused: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do there",
    "RequestTimeTooSkewed": "this machine's clock differs from the server's: set the clock",
    "AuthorizationHeaderMalformed": "the region is another one: set AWS_REGION to the server's",
    "BucketAlreadyExists": "somebody else has a bucket of this name: choose another",
}


def retried(action: Callable[[], Result], place: str, what: str, deadline_seconds: float,
            hang_up: Callable[[], None]) -> Result:
    """The action's result; repeated with growing, random pauses while the server is down or busy.

    The deadline runs from the first failure, so a long transfer has its full patience too; an attempt under way is
    not cut short. Raises StoreUnavailable after the deadline or when the server is full, InputError for a refusal and
    where for STRANGER_SECONDS something else than an S3 server answers or the clocks differ; an S3Error about a missing
    bucket or object passes through, as the caller knows what that means.

    hang_up: ends the open connections. One that was made to a stranger would go on to lead there.
    """
    give_up_at = stranger_at = None
    pause_seconds, told = 0.1, False
    while True:
        try:
            return action()
        except FAILURES as e:
            if isinstance(e, S3Error) and e.code in ("NoSuchKey", "NoSuchBucket"):
                raise
            now = time.monotonic()
            give_up_at = now + deadline_seconds if give_up_at is None else give_up_at
            final = verdict(e, place, what)
            doubtful = status_of(e) is not None or _for_the_time(e)
            stranger_at = (stranger_at or now) if final is not None and doubtful else None
            if stranger_at is not None:
                hang_up()
            if final is not None and (stranger_at is None or now >= min(stranger_at + STRANGER_SECONDS, give_up_at)):
                raise final from e
            if now >= give_up_at:
                raise StoreUnavailable(f"{place} did not answer within {deadline_seconds:g} s ({what}; last: "
                                       f"{reason(e)}). Check that the server runs and can be reached from here, then "
                                       "run the same command again; finished members are kept.") from e
            if not told and give_up_at - now <= deadline_seconds - SILENT_SECONDS:
                log.warning(f"{place} does not answer ({what}; {reason(e)}): asking again for up to "
                            f"{give_up_at - now:.3g} s")
                told = True
        # Jitter, so that many pods that lost one server do not come back at one moment; the last attempt is at the end.
        time.sleep(min(pause_seconds * random.uniform(0.5, 1.0), give_up_at - now))
        pause_seconds = min(pause_seconds * 2, 5.0)


def verdict(error: Exception, place: str, what: str) -> ConsortError | None:
    """The error that ends the attempts, or None where asking again can help."""
    if isinstance(error, S3Error):
        return _verdict_on_code(error, place, what)
    if isinstance(error, ProxyError) and "Tunnel connection failed: 4" in str(error):
        return InputError(f"{place} cannot be reached ({what}): the proxy answered {error.original_error}. Check its "
                          "address and password, or name the server in NO_PROXY to reach it directly.")
    if isinstance(error, SSLError):
        return InputError(f"{place} cannot be reached over TLS ({what}): {error}. " + (
            "For a certificate that a private authority signed, set AWS_CA_BUNDLE to the file with that authority's."
            if "CERTIFICATE_VERIFY_FAILED" in str(error) else
            "For a server without TLS write the endpoint with http:// in front (AWS_ENDPOINT_URL_S3)."))
    status = status_of(error)
    if status is not None and status < 500 and status not in (408, 429):
        return InputError(f"{place} answered with HTTP status {status} and not as an S3 server does ({what}). Check "
                          "the endpoint: AWS_ENDPOINT_URL_S3 is the address of the S3 API, not of a console.")
    return None


def _verdict_on_code(error: S3Error, place: str, what: str) -> ConsortError | None:
    code = str(error.code)
    if code in FULL:
        return StoreUnavailable(f"{place} is full ({what}). Free some room on the server and run the same command "
                                "again; finished members are kept.")
    if code in PASSING or error.response.status >= 500:
        return None
    remedy = REMEDIES["RequestTimeTooSkewed" if _for_the_time(error) else code] if (
        code in REMEDIES) else f"{code}, {error.message}"
    return InputError(f"{place} refused ({what}): {remedy}.")


def _for_the_time(error: Exception) -> bool:
    """Whether a request was refused because this machine's clock and the server's differ."""
    if not isinstance(error, S3Error):
        return False
    return error.code == "RequestTimeTooSkewed" or (error.code == "AccessDenied" and any(
        words in str(error.message) for words in ("Request has expired", "Request is not valid yet")))


def status_of(error: Exception) -> int | None:
    """The HTTP status of an answer that was not S3's XML."""
    if isinstance(error, ServerError):
        return error.status_code
    if isinstance(error, InvalidResponseError):
        return int(error._code)  # the client has no public name for it
    return None


def reason(error: Exception) -> str:
    """In a few words why an attempt failed."""
    if isinstance(error, S3Error):
        return str(error.code)
    status = status_of(error)
    if status is not None:
        return f"HTTP status {status}"
    return system_reason(error)
