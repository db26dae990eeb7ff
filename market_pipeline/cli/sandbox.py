"""`market-pipeline sandbox`: a Polygon-compatible server on this machine, for trials and tests."""

from datetime import datetime, time
from typing import Annotated, Literal

import typer
from pydantic import SecretStr

from market_pipeline.cli.output import print_note
from market_pipeline.cli.parameters import parse_utc_instant
from market_pipeline.core.errors import UsageError
from market_pipeline.core.plans import PlanName
from market_pipeline.core.sockets import LOOPBACK, build_base_url
from market_pipeline.sandbox.config import MOST_TICKERS, SandboxConfig
from market_pipeline.sandbox.faults import FAULTS
from market_pipeline.sandbox.loopback_server import create_sandbox_server, listen_on_loopback

DEFAULT_PORT = 8900
DEFAULT_UNKNOWN = "NOSUCH"


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 for any free one.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = LOOPBACK,
    plan: Annotated[PlanName, typer.Option(help="Vendor plan whose limits apply.")] = PlanName.ADVANCED,
    history_edge: Annotated[
        Literal["refuse", "clip"], typer.Option(help="Response to a range that begins before the plan's history.")
    ] = "refuse",
    key: Annotated[
        list[str] | None, typer.Option(help="Accept only this API key (repeatable).", show_default="any key")
    ] = None,
    now: Annotated[
        datetime | None,
        typer.Option(
            help="Stop the sandbox's clock at this instant (UTC).", metavar="YYYY-MM-DDTHH:MM", parser=parse_utc_instant
        ),
    ] = None,
    unknown: Annotated[str, typer.Option(help="Tickers that do not exist.", metavar="A,B")] = DEFAULT_UNKNOWN,
    tickers: Annotated[
        str, typer.Option(help="More tickers to include in responses about the whole market.", metavar="A,B")
    ] = "",
    market_tickers: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_TICKERS,
            help="Generate a market of about so many tickers a session, with listings and delistings; 0 for none.",
        ),
    ] = 0,
    file_key: Annotated[
        list[str] | None,
        typer.Option(
            help="Accept only these keys for flat files (repeatable).", metavar="ACCESS:SECRET", show_default="any key"
        ),
    ] = None,
    files_at: Annotated[
        str,
        typer.Option(help="Time in New York at which a session's flat file appears, the day after.", metavar="HH:MM"),
    ] = "11:00",
    revisions: Annotated[
        bool, typer.Option("--revisions", help="Correct the volume of each session a day after its end.")
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="Apply a fault to a share of the requests, to one ticker or kind of endpoint, or a number of times "
            "(repeatable).",
            metavar="NAME[=ARG][:SHARE][@SUBJECT][*TIMES]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random faults and of the generated market.")] = 0,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Print all faults.")] = False,
) -> None:
    """Run a Polygon-compatible server on this machine, until Ctrl-C.

    It serves recorded real bars of AAPL, IBM, MSFT, GOOG and FB from 2000 to 2013, and generated bars of any ticker;
    with --market-tickers those of a generated market's alone, in flat files (S3) too.
    """
    if list_faults:
        for known in FAULTS.values():
            typer.echo(f"{known.name:<20} {known.meaning}{f' (default {known.default})' if known.default else ''}")
        return
    config = SandboxConfig(
        now=now,
        keys=tuple(map(SecretStr, key or ())),
        plan=plan,
        history_edge=history_edge,
        revisions=revisions,
        unknown=_parse_names(unknown),
        also_listed=_parse_names(tickers),
        faults=tuple(fault or ()),
        seed=seed,
        market_tickers=market_tickers,
        file_keys=_parse_file_keys(file_key or []),
        files_published=_parse_time(files_at),
    )
    server = create_sandbox_server(config)
    with listen_on_loopback(host, port) as listener:
        typer.echo(f"export POLYGON_BASE_URL={build_base_url(listener)}")
        typer.echo(f"export POLYGON_API_KEY={'<one of your --key>' if key else 'sandbox'}")
        if market_tickers:
            typer.echo(f"export POLYGON_S3_ENDPOINT={build_base_url(listener)}")
            typer.echo(f"export POLYGON_S3_ACCESS_KEY={'<one of your --file-key>' if file_key else 'sandbox'}")
            typer.echo(f"export POLYGON_S3_SECRET_KEY={'<its secret>' if file_key else 'sandbox'}")
        print_note("The sandbox is running: use these lines in another terminal. Ctrl-C stops it.")
        try:
            server.run([listener])
        except KeyboardInterrupt:
            print_note("The sandbox has stopped.")


def _parse_file_keys(texts: list[str]) -> dict[str, SecretStr]:
    """Parse pairs of access and secret key.

    Raises:
        UsageError: one is no pair.
    """
    pairs = [text.partition(":") for text in texts]
    if not all(access and secret for access, _, secret in pairs):
        raise UsageError("--file-key takes an access key and its secret key: --file-key ACCESS:SECRET")
    return {access: SecretStr(secret) for access, _, secret in pairs}


def _parse_time(text: str) -> time:
    """Parse a time of day.

    Raises:
        UsageError: it is none.
    """
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--files-at takes a time like 11:00, not {text!r}") from None


def _parse_names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())
