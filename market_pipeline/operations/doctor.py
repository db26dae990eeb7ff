"""The doctor's checks: each measures one thing and returns a finding. What is made of a measure, findings.py says.

Nothing is started, and nothing made but dbt's own reading of its project. Nobody outside this machine and the
database's is asked, unless that is wished for.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import PortTakenError, listen
from market_pipeline.dbt_project import manifest
from market_pipeline.operations.connection_checks import CONNECTION_CHECKS
from market_pipeline.operations.findings import (
    Finding,
    error,
    judge_clock,
    judge_connections,
    judge_port,
    judge_space,
    judge_writable,
    ok,
    warning,
)
from market_pipeline.operations.service_probes import API, DAGSTER_UI, answers
from market_pipeline.operations.up_session import service_urls
from market_pipeline.orchestration.instance import existing_instance
from market_pipeline.orchestration.scheduler_status import scheduler_state
from market_pipeline.polygon.key import usable_key
from market_pipeline.polygon.key_check import check_key
from market_pipeline.polygon.rate_limit import WINDOW_SECONDS
from market_pipeline.polygon.vendor_errors import BadKeyError, MissingKeyError
from market_pipeline.warehouse.database_errors import first_line
from market_pipeline.warehouse.database_probe import Found, probe_warehouse
from market_pipeline.warehouse.rate_limit import SharedLimiter
from market_pipeline.warehouse.roles import READER
from market_pipeline.warehouse.statements import statement

LOOPBACK = "127.0.0.1"
NEW_YORK = "America/New_York"


@dataclass(frozen=True)
class CheckContext:
    """What is examined: the settings, and an engine on the database, which takes connections."""

    settings: Settings
    warehouse: Engine
    found: Found


def examine_all(settings: Settings, *, ask: bool) -> Iterator[Finding]:
    """The findings of all checks that can be made, one by one; `ask` sends the vendor one request."""
    yield ok("settings", "every variable can be used")
    for check in WITHOUT_DATABASE:
        yield check(settings)
    with probe_warehouse(settings) as found:
        yield _database(found)
        if found.engine is None:
            return
        patient = CheckContext(settings, found.engine, found)
        for name, look in CONNECTION_CHECKS:
            yield _spoken(name, partial(look, name, found.engine))
        for name, examine in WITH_DATABASE:
            yield _spoken(name, partial(examine, name, patient))
        if ask:
            yield from _vendor(patient)


def _spoken(name: str, examine: Callable[[], Finding]) -> Finding:
    """The finding of a check; where it can't even be made, that."""
    try:
        return examine()
    except MarketPipelineError as problem:
        return error(name, str(problem))
    except DBAPIError as problem:
        return error(name, first_line(problem), "see the database's log")


def key(settings: Settings) -> Finding:
    """Check that there is a key where the vendor is to be asked, itself or through a gateway."""
    try:
        usable_key(settings.vendor_key, settings.source)
    except (MissingKeyError, BadKeyError) as problem:
        return error("vendor key", str(problem))
    if settings.source == "sandbox":
        return ok("vendor key", f"not needed: a sandbox is to answer, at {settings.vendor_url}")
    if settings.vendor_url == settings.polygon_gateway_url:
        return ok("vendor key", f"POLYGON_API_KEY is set, and goes to {_asked(settings)}; --ask tries it")
    return ok("vendor key", "POLYGON_API_KEY is set; --ask tries it")


def _asked(settings: Settings) -> str:
    """Address that bars are requested from, named as what it is."""
    is_gateway = settings.vendor_url == settings.polygon_gateway_url
    return f"the vendor's gateway at {settings.vendor_url}" if is_gateway else settings.vendor_url


def data_folder_space(settings: Settings) -> Finding:
    """Free space where the data folder is, or will be."""
    folder = settings.market_pipeline_data_dir
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return judge_space("data folder", str(folder), shutil.disk_usage(there).free)


def api_port(settings: Settings) -> Finding:
    """Whether the API can have its usual port, or has the one that `up` gave it."""
    url, _ = service_urls(settings)
    return _port("API's port", url, ours=answers(url, API), option="--port")


def ui_port(settings: Settings) -> Finding:
    """Whether Dagster's UI can have the port that the settings name, or has the one that `up` gave it."""
    _, url = service_urls(settings)
    ours = answers(url, DAGSTER_UI)
    if urlsplit(url).hostname not in (LOOPBACK, "localhost", "::1"):
        found = f"{url} is another machine's"
        return ok("UI's port", f"{found} and answers") if ours else warning(
            "UI's port", f"{found} and doesn't answer", "start Dagster there, or mend DAGSTER_WEBSERVER_URL"
        )  # fmt: skip
    return _port("UI's port", url, ours=ours, option="--port and DAGSTER_WEBSERVER_URL")


def _port(check: str, url: str, *, ours: bool, option: str) -> Finding:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        listen(parts.hostname or LOOPBACK, port).close()
        free = True
    except PortTakenError:
        free = False
    return judge_port(check, port, ours=ours, free=free, option=option)


WITHOUT_DATABASE: Sequence[Callable[[Settings], Finding]] = (key, data_folder_space, api_port, ui_port)


def _database(found: Found) -> Finding:
    if found.engine is None:
        return error("database", found.error or f"{found.where} can't be used")
    return ok("database", f"{'embedded, ' if found.embedded else ''}{found.where}")


def schema(check: str, patient: CheckContext) -> Finding:
    """Whether the tables are at this version's revision."""
    problem = patient.found.problem
    return error(check, problem) if problem else ok(check, f"at revision {patient.found.revision}, this version's")


def database_space(check: str, patient: CheckContext) -> Finding:
    """Free space where the embedded server keeps its data; nobody can tell of another's."""
    if not patient.found.embedded:
        return ok(check, "not ours to see: DATABASE_URL is set")
    folder = Path(_scalar(patient, "SHOW data_directory"))
    return judge_space(check, str(folder), shutil.disk_usage(folder).free)


def clock(check: str, patient: CheckContext) -> Finding:
    """Whether this machine and the database agree on the time."""
    before = datetime.now(UTC)
    theirs = datetime.fromisoformat(_scalar(patient, "SELECT clock_timestamp()::text"))
    halfway = before + (datetime.now(UTC) - before) / 2
    return judge_clock(check, "the database's clock", (halfway - theirs).total_seconds())


def time_zones(check: str, patient: CheckContext) -> Finding:
    """Whether this machine and the database know New York's time, and agree on it."""
    instants = [datetime(datetime.now(UTC).year, month, 1, 12, tzinfo=UTC) for month in (1, 7)]
    query = "SELECT (CAST(:instant AS timestamptz) AT TIME ZONE :zone)::text"
    with patient.warehouse.connect() as connection:
        theirs = [connection.scalar(text(query), {"instant": instant, "zone": NEW_YORK}) for instant in instants]
    ours = [instant.astimezone(ZoneInfo(NEW_YORK)).strftime("%Y-%m-%d %H:%M:%S") for instant in instants]
    if theirs != ours:
        found = f"in {NEW_YORK} it is {ours} by this machine and {theirs} by the database"
        return error(check, found, "bring the time zone data (tzdata) of the older one up to date")
    return ok(check, f"this machine and the database agree on {NEW_YORK}")


REMEDIES = {
    "make_tables_in_public": "GRANT CREATE ON SCHEMA public TO {role}",
    "make_schemas": "GRANT CREATE ON DATABASE {database} TO {role}",
    "read_and_write_all_tables_in_public": "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
    "work_as_the_reading_role": f"CREATE ROLE {READER} NOLOGIN (unless it is there); GRANT {READER} TO {{role}}",
    "make_dagsters_own_database": "ALTER ROLE {role} CREATEDB",
}
"""An administrator's statement for each right that may be lacking, by its column."""


def rights(check: str, patient: CheckContext) -> Finding:
    """Check that the role that we connect as may do what loading, dbt, Dagster and the API need."""
    elsewhere = patient.settings.dagster_database_url is not None
    with patient.warehouse.connect() as connection:
        row = connection.execute(statement("missing_rights"), {"reader": READER, "elsewhere": elsewhere}).one()
    lacking = [name for name in REMEDIES if not getattr(row, name)]
    if not lacking:
        return ok(check, f"the role {row.role} may do all that is needed")
    needs = ", ".join(name.replace("_", " ") for name in lacking)
    by_hand = "; ".join(REMEDIES[name].format(role=row.role, database=row.database) for name in lacking)
    return error(check, f"the role {row.role} may not {needs}", f"have an administrator run: {by_hand}")


def writable(check: str, patient: CheckContext) -> Finding:
    """Check that the server takes writes: a standby, or one set read-only after a failover, doesn't."""
    with patient.warehouse.connect() as connection:
        row = connection.execute(
            text("SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only")
        ).one()
    return judge_writable(check, standby=row.standby, read_only=row.read_only)


def connections(check: str, patient: CheckContext) -> Finding:
    """Check that a run finds the connections that it takes."""
    with patient.warehouse.connect() as connection:
        limits = connection.execute(statement("free_connections")).one()
    return judge_connections(check, {name: left for name, left in limits._asdict().items() if left is not None})


def dagster(check: str, patient: CheckContext) -> Finding:
    """Whether Dagster's own database is there, and its daemon alive."""
    with existing_instance(patient.settings, patient.warehouse) as instance:
        if instance is None:
            return warning(check, "no Dagster has ever run on this database", "start it with `market-pipeline up`")
        state = scheduler_state(instance, datetime.now(UTC))
    if state.reason is not None:
        return warning(check, state.reason, "until then no nightly run happens")
    return ok(check, f"its daemon runs, and the next nightly run is at {state.next_run:%Y-%m-%d %H:%M} UTC")


def dbt_project(check: str, patient: CheckContext) -> Finding:
    """Whether dbt can read its project."""
    manifest(patient.settings)
    return ok(check, "dbt reads it")


def marts(check: str, patient: CheckContext) -> Finding:
    """Whether the analysts' tables are built."""
    count = "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'v', 'm') AND relnamespace::regnamespace::text = "
    built = int(_scalar(patient, f"{count} 'analytics'"))
    if built:
        return ok(check, f"{built} of them are there")
    return warning(
        check, "none is built yet", "run `market-pipeline marts`, or let Dagster's daemon do it after a load"
    )


WITH_DATABASE: Sequence[tuple[str, Callable[[str, CheckContext], Finding]]] = (
    ("schema", schema),
    ("database's disk", database_space),
    ("clock", clock),
    ("time zones", time_zones),
    ("rights", rights),
    ("writing", writable),
    ("connections", connections),
    ("Dagster", dagster),
    ("dbt project", dbt_project),
    ("analysts' tables", marts),
)


def _vendor(patient: CheckContext) -> Iterator[Finding]:
    settings = patient.settings
    limiter = SharedLimiter(patient.warehouse, settings.requests_per_minute, window_seconds=WINDOW_SECONDS)
    try:
        ahead = check_key(settings, limiter)
    except MarketPipelineError as problem:
        yield error("vendor", str(problem))
        return
    except DBAPIError as problem:
        yield error(
            "vendor", f"the rate limit can't be asked: {first_line(problem)}", "run `market-pipeline db migrate`"
        )
        return
    yield ok("vendor", f"{_asked(settings)} answers, and takes the key")
    if ahead is not None:
        yield judge_clock("vendor's clock", "the vendor's clock", ahead)


def _scalar(patient: CheckContext, query: str) -> str:
    with patient.warehouse.connect() as connection:
        return str(connection.scalar(text(query)))
