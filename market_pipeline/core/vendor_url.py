"""URLs that bars may be fetched from, by REST or as flat files: the vendor's, a gateway's, or a sandbox's."""

from ipaddress import ip_address
from urllib.parse import urlsplit

POLYGON_HOSTS = frozenset({"api.massive.com", "api.polygon.io"})
"""The vendor's hosts (Polygon.io renamed itself Massive in 2025)."""

FILE_HOSTS = frozenset({"files.massive.com", "files.polygon.io"})
"""The vendor's hosts of flat files."""


def is_vendor(url: str) -> bool:
    """Return True for a URL of the vendor's own."""
    return urlsplit(url).hostname in POLYGON_HOSTS


def is_vendors_files(url: str) -> bool:
    """Return True for a URL of the vendor's flat files."""
    return urlsplit(url).hostname in FILE_HOSTS


def is_private(url: str) -> bool:
    """Return True for a URL that can only be of this machine or of a private network.

    Such are loopback and private addresses, names without a dot, as containers have, and names that end in `.internal`
    or `.local`. Sources: RFC 1918, RFC 4193, RFC 6762, and ICANN's reservation of `.internal`.
    """
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".internal", ".local"))


def check_address(url: str) -> str:
    """Return the URL of the vendor, a gateway or a sandbox, without a slash at its end.

    Raises:
        ValueError: it can't be one, or is the vendor's and the key would travel in the clear.
    """
    _check_form(url, "the key belongs in POLYGON_API_KEY")
    if is_vendor(url) and urlsplit(url).scheme != "https":
        raise ValueError("must begin with https://, or the key would travel in the clear")
    return url.rstrip("/")


def check_gateway(url: str) -> str:
    """Return the URL of a gateway, without a slash at its end.

    Raises:
        ValueError: it can't be one, or the key would travel in the clear beyond a private network.
    """
    if urlsplit(url).scheme == "http" and not is_private(url):
        raise ValueError("must begin with https://, or the key would travel in the clear beyond your own network")
    return check_address(url)


def check_files_endpoint(url: str) -> str:
    """Return the URL of the vendor's or a sandbox's flat files, without a slash at its end.

    Raises:
        ValueError: it can't be one, or requests would travel in the clear beyond a private network.
    """
    _check_form(url, "the keys belong in POLYGON_S3_ACCESS_KEY and POLYGON_S3_SECRET_KEY")
    if urlsplit(url).scheme == "http" and not is_private(url):
        raise ValueError("must begin with https://, or bars could be changed on their way beyond your own network")
    return url.rstrip("/")


def _check_form(url: str, where_keys_belong: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not of the form https://host or http://host:port")
    if parts.username or parts.query or parts.fragment:
        raise ValueError(f"must hold neither a user nor a query; {where_keys_belong}")
