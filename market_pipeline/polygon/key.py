"""The vendor key: its check, its HTTP header, and its removal from text. It is sent in the header only."""

import requests
from pydantic import SecretStr
from requests.auth import AuthBase

from market_pipeline.core.settings import Source
from market_pipeline.polygon.vendor_errors import BadKeyError, MissingKeyError

SANDBOX_KEY = SecretStr("sandbox")
"""Sent to a sandbox if there is no key."""


class BearerAuth(AuthBase):
    """Puts the key into the header. Any auth object also keeps requests from reading ~/.netrc."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request with the key in its header."""
        request.headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return request


def prepare_key(api_key: SecretStr | None, source: Source) -> SecretStr:
    """Return the key to send, without blanks around it.

    Raises:
        MissingKeyError: the source is the vendor and there is no key.
        BadKeyError: the key has characters that no key has.
    """
    key = api_key.get_secret_value().strip() if api_key else ""
    if not key and source == "polygon":
        raise MissingKeyError
    # Checked here because the HTTP library's error would show the whole header.
    if not all("!" <= letter <= "~" for letter in key):
        raise BadKeyError("POLYGON_API_KEY has spaces or letters that no key has. Fix it in .env")
    return SecretStr(key) if key else SANDBOX_KEY


def remove_key(text: str, key: SecretStr) -> str:
    """Replace the key by *** in text from outside, which may repeat it."""
    return text if key == SANDBOX_KEY else text.replace(key.get_secret_value(), "***")
