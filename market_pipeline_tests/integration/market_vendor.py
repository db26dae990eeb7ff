"""A vendor of one small market over real HTTP, for precise cases: grouped responses and flat files, chosen by path."""

import gzip
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, urlsplit

import pandas as pd
from pydantic import SecretStr

from market_pipeline.core.markets import MARKETS
from market_pipeline.core.plans import VendorPlan
from market_pipeline.core.sessions import compute_session_starts
from market_pipeline.polygon.flat_file_reader import FlatFileKeys, FlatFileReader
from market_pipeline.polygon.market_fetcher import MarketFetcher
from market_pipeline.polygon.response_body import SANDBOX_HEADER
from market_pipeline_tests.integration.polygon_cases import HURRY, client_of
from market_pipeline_tests.scripted_vendor import Reply, ScriptedVendor, scripted_vendor

US_STOCKS = MARKETS["us_stocks"]
ACCESS, SECRET = "aCCess0123TOPSECRET", "sEcret/4567+TOPSECRET"
NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
FROM_SANDBOX = {SANDBOX_HEADER: "1"}
HEADER = "ticker,volume,open,close,high,low,window_start,transactions"


def keys_of(access: str = ACCESS, secret: str = SECRET) -> FlatFileKeys:
    return FlatFileKeys(SecretStr(access), SecretStr(secret))


def flat_file(session: date, *tickers: str) -> bytes:
    (start,) = compute_session_starts("XNYS", pd.DatetimeIndex([session])).as_unit("ns").asi8.tolist()
    lines = [HEADER, *(f"{ticker},100.5,10,11,12,9,{start},7" for ticker in tickers)]
    return gzip.compress("\n".join([*lines, ""]).encode())


def grouped(session: date, *tickers: str) -> dict[str, object]:
    close = int(pd.Timestamp(f"{session} 16:00", tz="America/New_York").timestamp() * 1000)
    bar = {"v": 100.5, "vw": 10.5, "o": 10, "c": 11, "h": 12, "l": 9, "t": close, "n": 7}
    return {"status": "OK", "adjusted": False, "results": [{"T": ticker, **bar} for ticker in tickers]}


def s3_error(status: int, code: str, message: str = "") -> Reply:
    return Reply(f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode(), status, FROM_SANDBOX)


def s3_list(files: dict[str, str], next_token: str | None = None) -> Reply:
    entries = "".join(f'<Contents><Key>{key}</Key><ETag>"{etag}"</ETag></Contents>' for key, etag in files.items())
    more = f"<NextContinuationToken>{next_token}</NextContinuationToken>" if next_token else ""
    body = (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>{str(bool(next_token)).lower()}</IsTruncated>{entries}{more}</ListBucketResult>"
    )
    return Reply(body.encode(), 200, FROM_SANDBOX)


@dataclass
class MarketVendor:
    """Responses by session; `etags` are the published files. A reply in `faults` replaces the response of a path."""

    etags: dict[date, str]
    faults: dict[str, Reply] = field(default_factory=dict)

    def choose(self, path: str) -> Reply:
        """Return the reply to a request."""
        for part, reply in self.faults.items():
            if part in path:
                return reply
        if "list-type" in path:
            after = parse_qs(urlsplit(path).query)["start-after"][0]
            files = {US_STOCKS.file_of(day): etag for day, etag in self.etags.items()}
            return s3_list({key: files[key] for key in sorted(files) if key > after})
        days = re.findall(r"\d{4}-\d{2}-\d{2}", path)
        session = date.fromisoformat(days[-1])
        if "/grouped/" in path:
            return Reply(grouped(session, "AAPL", "KIMpL"), 200, FROM_SANDBOX)
        if session not in self.etags:
            return s3_error(403, "AccessDenied")
        return Reply(flat_file(session, "AAPL", "KIMpL"), 200, {**FROM_SANDBOX, "ETag": f'"{self.etags[session]}"'})


@contextmanager
def market_fetcher(
    market: MarketVendor, *, with_keys: bool = True, requests_per_minute: int = 2, plan: VendorPlan | None = None
) -> Iterator[tuple[MarketFetcher, ScriptedVendor]]:
    with ExitStack() as stack:
        vendor = stack.enter_context(scripted_vendor(choose=market.choose))
        client = stack.enter_context(client_of(vendor, source="sandbox"))
        files = FlatFileReader(vendor.base_url, keys_of(), source="sandbox", retry_policy=HURRY) if with_keys else None
        fetcher = MarketFetcher(
            client, US_STOCKS, now=NOW, requests_per_minute=requests_per_minute, plan=plan, files=files
        )
        yield stack.enter_context(fetcher), vendor
