"""Checks of the setup for `doctor`: settings, vendor key, disk, ports, database, Dagster, dbt, marts, vendor.

Nothing is started or changed, except that dbt parses its project. Only the database is contacted, and with
`--ask` the vendor.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from sqlalchemy.exc import DBAPIError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.markets import MARKETS
from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import LOOPBACK, LOOPBACK_HOSTS, PortTakenError, listen
from market_pipeline.dbt_project import prepare_manifest
from market_pipeline.operations.dagster_state import probe_dagster
from market_pipeline.operations.database_checks import DATABASE_CHECKS, Check, CheckContext
from market_pipeline.operations.findings import Finding, error, judge_clock, judge_port, judge_space, ok, warning
from market_pipeline.operations.market_state import read_market_states
from market_pipeline.operations.service_probes import ServiceState
from market_pipeline.operations.up_session import probe_services
from market_pipeline.polygon.flat_file_reader import FlatFileReader
from market_pipeline.polygon.key import prepare_key
from market_pipeline.polygon.key_check import check_key
from market_pipeline.polygon.limiter import WINDOW_SECONDS
from market_pipeline.polygon.vendor_errors import BadKeyError, MissingKeyError
from market_pipeline.warehouse.database_errors import read_first_line
from market_pipeline.warehouse.database_probe import WarehouseProbe, probe_warehouse
from market_pipeline.warehouse.rate_limit import SharedLimiter


def run_checks(settings: Settings, *, ask_vendor: bool) -> Iterator[Finding]:
    """Yield the finding of each check that can be made; `ask_vendor` sends the vendor one request."""
    yield ok("settings", "every variable is valid")
    yield check_vendor_key(settings)
    yield check_data_folder(settings)
    api, ui = probe_services(settings)
    yield _check_port("API's port", api, option="--port")
    yield check_ui_port(ui)
    with probe_warehouse(settings) as found:
        yield _check_database(found)
        if found.engine is None:
            return
        context = CheckContext(settings, found.engine, found)
        for name, check in (*DATABASE_CHECKS, *PROJECT_CHECKS):
            yield _run_check(name, partial(check, name, context))
        if ask_vendor:
            yield from _check_vendor(context)


def _run_check(name: str, check: Callable[[], Finding]) -> Finding:
    """Run one check; if it raises, return the error as its finding."""
    try:
        return check()
    except MarketPipelineError as problem:
        return error(name, str(problem))
    except DBAPIError as problem:
        return error(name, read_first_line(problem), "see the database's log")


def check_vendor_key(settings: Settings) -> Finding:
    """Check that a key is set if bars are requested from the vendor or its gateway."""
    try:
        prepare_key(settings.vendor_key, settings.source)
    except (MissingKeyError, BadKeyError) as problem:
        return error("vendor key", str(problem))
    if settings.source == "sandbox":
        return ok("vendor key", f"not needed: bars come from the sandbox at {settings.vendor_url}")
    if settings.vendor_url == settings.polygon_gateway_url:
        return ok("vendor key", f"POLYGON_API_KEY is set, and sent to {_describe_vendor(settings)}; --ask tries it")
    return ok("vendor key", "POLYGON_API_KEY is set; --ask tries it")


def _describe_vendor(settings: Settings) -> str:
    is_gateway = settings.vendor_url == settings.polygon_gateway_url
    return f"the vendor's gateway at {settings.vendor_url}" if is_gateway else settings.vendor_url


def check_data_folder(settings: Settings) -> Finding:
    """Check the free space of the data folder's disk; the folder needn't exist yet."""
    folder = settings.market_pipeline_data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return judge_space("data folder", str(folder), shutil.disk_usage(existing).free)


def check_ui_port(ui: ServiceState) -> Finding:
    """Check that Dagster's UI responds, or that its port is free if it is on this machine."""
    if urlsplit(ui.url).hostname in LOOPBACK_HOSTS:
        return _check_port("UI's port", ui, option="--port and DAGSTER_WEBSERVER_URL")
    if ui.answers:
        return ok("UI's port", f"{ui.url} is on another machine, and responds")
    found = f"{ui.url} is on another machine, and doesn't respond"
    return warning("UI's port", found, "start Dagster there, or correct DAGSTER_WEBSERVER_URL")


def _check_port(check: str, service: ServiceState, *, option: str) -> Finding:
    parts = urlsplit(service.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        listen(parts.hostname or LOOPBACK, port).close()
        free = True
    except PortTakenError:
        free = False
    return judge_port(check, port, ours=service.answers, free=free, option=option)


def _check_database(found: WarehouseProbe) -> Finding:
    if found.engine is None:
        return error("database", found.error or f"{found.where} can't be used")
    return ok("database", f"{'embedded, ' if found.embedded else ''}{found.where}")


def check_dagster(check: str, context: CheckContext) -> Finding:
    """Check that Dagster's database exists and its daemon is running."""
    state = probe_dagster(context.settings, context.warehouse, datetime.now(UTC))
    if state is None:
        return warning(check, "Dagster has never run on this database", "start it with `market-pipeline up`")
    if state.problem is not None:
        return warning(check, state.problem, "until then no nightly run happens")
    return ok(check, f"its daemon runs, and the next nightly run is at {state.next_run:%Y-%m-%d %H:%M} UTC")


def check_dbt_project(check: str, context: CheckContext) -> Finding:
    """Check that dbt can parse its project."""
    prepare_manifest(context.settings)
    return ok(check, "dbt can parse it")


def check_marts(check: str, context: CheckContext) -> Finding:
    """Check that the marts are built."""
    count = "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'v', 'm') AND relnamespace::regnamespace::text = "
    built = int(context.scalar(f"{count} 'analytics'"))
    if built:
        return ok(check, f"{built} of them are built")
    return warning(
        check, "none is built yet", "run `market-pipeline marts`, or let Dagster's daemon build them after a load"
    )


def check_markets(check: str, context: CheckContext) -> Finding:
    """Check that no session of a tracked market is missing."""
    states = read_market_states(context.warehouse, context.settings, datetime.now(UTC))
    problems = [state.problem for state in states if state.problem]
    if problems:
        return warning(check, "; ".join(problems), "`market-pipeline market status` lists them")
    return ok(
        check, f"{', '.join(state.market for state in states)}: no session is missing" if states else "none is tracked"
    )


PROJECT_CHECKS: Sequence[tuple[str, Check]] = (
    ("Dagster", check_dagster),
    ("dbt project", check_dbt_project),
    ("analysts' tables", check_marts),
    ("markets", check_markets),
)


def _check_vendor(context: CheckContext) -> Iterator[Finding]:
    settings = context.settings
    limiter = SharedLimiter(context.warehouse, settings.requests_per_minute, window_seconds=WINDOW_SECONDS)
    try:
        seconds_ahead = check_key(settings, limiter)
    except MarketPipelineError as problem:
        yield error("vendor", str(problem))
        return
    except DBAPIError as problem:
        found = f"the rate limit can't be read: {read_first_line(problem)}"
        yield error("vendor", found, "run `market-pipeline db migrate`")
        return
    yield ok("vendor", f"{_describe_vendor(settings)} responds, and accepts the key")
    if seconds_ahead is not None:
        yield judge_clock("vendor's clock", "the vendor's clock", seconds_ahead)
    yield _check_flat_files(settings)


def _check_flat_files(settings: Settings) -> Finding:
    """Check by one request that the keys of the flat files open them."""
    market, yesterday = MARKETS["us_stocks"], datetime.now(UTC).date() - timedelta(days=1)
    try:
        files = FlatFileReader.from_settings(settings)
        if files is None:
            return ok("flat files", "no keys are set; markets are loaded by grouped requests")
        with files:
            files.list_files(market, yesterday, yesterday)
    except MarketPipelineError as problem:
        return error("flat files", str(problem))
    return ok("flat files", f"{settings.files_url} responds, and accepts the keys")
