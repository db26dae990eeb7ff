"""Keys of the flat files: the check of a request's signature (AWS Signature Version 4, in the header Authorization).

Source: the S3 API reference. Presigned URLs are not accepted. Without configured keys every request is, signed or not.
"""

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.vendor_format.error_bodies import ErrorBody, RejectedRequestError

ALGORITHM = "AWS4-HMAC-SHA256"
FORM = re.compile(
    rf"{ALGORITHM} +Credential=(?P<key>[^/]+)/"
    r"(?P<scope>(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request), *"
    r"SignedHeaders=(?P<headers>[^,]+), *Signature=(?P<signature>[0-9a-f]{64})"
)
UNRESERVED = "-_.~"
UNSIGNED = "UNSIGNED-PAYLOAD"


class StorageError(ErrorBody):
    """An error of the object storage: `status` is S3's code."""

    media_type = "application/xml"

    def to_body(self, request_id: str) -> str:
        """Return the error as S3's XML."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.status}</Code><Message>{escape(self.text)}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        )


UNSIGNED_REQUEST = StorageError(403, "AccessDenied", "Access Denied.")
UNKNOWN_ACCESS_KEY = StorageError(
    403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
)
WRONG_SIGNATURE = StorageError(
    403,
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
)


def check_signature(request: ApiRequest) -> None:
    """Check that the request is signed by one of the sandbox's keys.

    Raises:
        RejectedRequestError: it is not signed, its access key is unknown, or its signature is wrong.
    """
    keys = request.market.config.file_keys
    if not keys:
        return
    found = FORM.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        raise RejectedRequestError(UNSIGNED_REQUEST)
    secret = keys.get(found["key"])
    if secret is None:
        raise RejectedRequestError(UNKNOWN_ACCESS_KEY)
    text = "\n".join(
        (
            ALGORITHM,
            request.headers.get("x-amz-date", ""),
            found["scope"],
            _hash_text(_build_canonical_request(request, found["headers"])),
        )
    )
    key = f"AWS4{secret.get_secret_value()}".encode()
    for part in (found["date"], found["region"], found["service"], "aws4_request"):
        key = _sign(key, part)
    if not hmac.compare_digest(_sign(key, text).hex(), found["signature"]):
        raise RejectedRequestError(WRONG_SIGNATURE)


def _build_canonical_request(request: ApiRequest, signed_headers: str) -> str:
    """Return the request in the form that is signed."""
    pairs = parse_qsl(request.raw_query, keep_blank_values=True)
    query = "&".join(sorted(f"{quote(name, safe=UNRESERVED)}={quote(value, safe=UNRESERVED)}" for name, value in pairs))
    headers = "".join(
        f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed_headers.split(";")
    )
    payload = request.headers.get("x-amz-content-sha256", UNSIGNED)
    return "\n".join((request.method, request.raw_path, query, headers, signed_headers, payload))


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sign(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
