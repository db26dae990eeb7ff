"""The account's API key: whether it can be one, and how it travels. It is in the header and nowhere else."""

import requests
from pydantic import SecretStr
from requests.auth import AuthBase

from market_pipeline.core.settings import Source
from market_pipeline.polygon.vendor_errors import BadKeyError, MissingKeyError

SANDBOX_KEY = SecretStr("sandbox")
"""What a sandbox is sent where there is no key."""


class BearerAuth(AuthBase):
    """Puts the key into the header. Being an auth of our own, it also keeps requests from looking into ~/.netrc."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with the key in its header."""
        request.headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return request


def usable_key(api_key: SecretStr | None, source: Source) -> SecretStr:
    """The key to send, without blanks around it.

    Raises:
        MissingKeyError: the vendor is to be asked without a key.
        BadKeyError: the key can't be one.
    """
    key = api_key.get_secret_value().strip() if api_key else ""
    if not key and source == "polygon":
        raise MissingKeyError
    # CheckedBars here because the HTTP library would show the whole header in its own complaint.
    if not all("!" <= letter <= "~" for letter in key):
        raise BadKeyError("POLYGON_API_KEY holds spaces or letters that no key has. Mend it in .env")
    return SecretStr(key) if key else SANDBOX_KEY


def without_key(text: str, key: SecretStr) -> str:
    """Somebody else's words, in which the key may have come back."""
    return text if key == SANDBOX_KEY else text.replace(key.get_secret_value(), "***")
