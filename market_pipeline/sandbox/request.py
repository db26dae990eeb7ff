"""A request to the sandbox: the vendor's, with the market that it reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from market_pipeline.sandbox.flat_files import FlatFile, FlatFiles
from market_pipeline.sandbox.market import SandboxMarket
from market_pipeline.vendor_format.vendor_request import VendorRequest


@dataclass(kw_only=True, eq=False)
class ApiRequest(VendorRequest):
    """A request: the parts of its URL, its headers' values, and the market it reads."""

    market: SandboxMarket
    files: FlatFiles
    """The flat files of that market."""

    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    """The headers, by names in lower case."""

    raw_path: str = ""
    raw_query: str = ""
    """Path and query as they came, which signatures are made of."""

    variant_of: Callable[[FlatFile], str] = lambda _file: ""
    """Returns the name of the fault that a file's content has, or nothing."""

    key: str | None = None
    accepts_gzip: bool = False
