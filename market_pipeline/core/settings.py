"""Settings: every environment variable that the project reads, with its type, default and meaning.

Values come from the environment, or from a `.env` file in the project's folder or the current one. Nothing else in the
package reads the environment, and nothing reads it on import: callers use `load_settings()`.
"""

from email.utils import getaddresses
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from market_pipeline.core.errors import UsageError
from market_pipeline.core.plans import PLANS, PlanName, VendorPlan
from market_pipeline.core.setting_types import (
    DatabaseUrl,
    MailAddresses,
    MailReceivers,
    MailServerUrl,
    Networks,
    RedisUrl,
    WebhookUrl,
    WebUrl,
)
from market_pipeline.core.vendor_url import check_address, check_files_endpoint, check_gateway, is_private, is_vendor

Source = Literal["polygon", "sandbox"]

PACKAGE = Path(__file__).resolve().parent.parent
SANDBOX_REQUESTS_PER_MINUTE = 60_000
"""Used if POLYGON_REQUESTS_PER_MINUTE is not set and bars come from the sandbox, which has no plan to protect."""

MOST_CONNECTIONS = 20
"""Default of DATABASE_MAX_CONNECTIONS. A run takes half of them."""


class SettingsError(UsageError):
    """An environment variable has an unusable value."""


def find_checkout_dir() -> Path | None:
    """Return the checkout that this package runs from; None if it was installed without one."""
    folder = PACKAGE.parent
    return folder if (folder / "dagster.yaml").is_file() else None


def find_project_dir() -> Path:
    """Return the folder of `dbt/`, `dagster.yaml` and `docs/glossary.md`: the checkout, or a wheel's copies."""
    return find_checkout_dir() or PACKAGE / "project"


def choose_data_dir() -> Path:
    """Return `.market_pipeline` in the checkout, so that clones share no database; else the user's data folder."""
    folder = find_checkout_dir()
    return folder / ".market_pipeline" if folder else platformdirs.user_data_path("market-pipeline")


def _make_absolute(folder: Path) -> Path:
    return folder.expanduser().absolute()


class Settings(BaseSettings):
    """The project's settings; each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: DatabaseUrl | None = Field(
        None,
        description="PostgreSQL to use, as postgresql://user:password@host:5432/database. Unset: an embedded server.",
    )
    dagster_database_url: DatabaseUrl | None = Field(
        None,
        description="Dagster's own database. Unset: the database <database>_dagster on the same server.",
    )
    database_max_connections: int = Field(
        MOST_CONNECTIONS,
        ge=6,
        description="The most connections of a process for loading and Dagster; the API reads with as many more.",
    )
    dagster_webserver_url: WebUrl = Field(
        "http://127.0.0.1:3000",
        description="URL of Dagster's webserver, which gets a request to reload when symbols are added.",
    )
    dagster_ui_url: WebUrl | None = Field(
        None, description="URL of the Dagster UI as browsers reach it. Unset: DAGSTER_WEBSERVER_URL."
    )
    polygon_api_key: SecretStr | None = Field(
        None, description="Key of your Polygon.io (Massive) account. Not needed for the sandbox."
    )
    polygon_base_url: Annotated[str, AfterValidator(check_address)] = Field(
        "https://api.massive.com",
        description="URL of the vendor, or of a sandbox: http://127.0.0.1:8900 for `market-pipeline sandbox`.",
    )
    polygon_gateway_url: Annotated[str, AfterValidator(check_gateway)] | None = Field(
        None,
        description="URL of your gateway to the vendor, as https://host/path. Market bars are "
        "requested from it instead.",
    )
    polygon_plan: PlanName | None = Field(
        None,
        description="Your plan: basic, starter, developer or advanced. Unset: its limits are learnt "
        "from rejected requests.",
    )
    polygon_requests_per_minute: int = Field(
        5, ge=1, description="The most requests per minute that your plan allows; 5 is the free plan's limit."
    )
    polygon_s3_access_key: SecretStr | None = Field(
        None,
        description="Access key of your account's flat files. Unset: none are read. Not the same as POLYGON_API_KEY.",
    )
    polygon_s3_secret_key: SecretStr | None = Field(
        None, description="Secret key of your account's flat files. Unset: none are read."
    )
    polygon_s3_endpoint: Annotated[str, AfterValidator(check_files_endpoint)] = Field(
        "https://files.massive.com",
        description="URL of the flat files of the vendor, or of a sandbox. Unset while bars come from "
        "a sandbox: its own.",
    )
    ticker_corrections: Annotated[Path, AfterValidator(_make_absolute)] | None = Field(
        None, description="CSV of ticker histories that win over the vendor's. Unset: those in the package only."
    )
    backfill_schedule_hour: int = Field(2, ge=0, le=23, description="Hour of the nightly run, UTC.")
    backfill_schedule_minute: int = Field(0, ge=0, le=59, description="Minute of the nightly run, UTC.")
    backfill_look_back_sessions: int = Field(
        5,
        ge=1,
        description="Number of newest sessions that every nightly run fetches again, since the "
        "vendor corrects bars after the close.",
    )
    backfill_reach_back_sessions: int = Field(
        260, ge=1, description="The most sessions (260 are about a year) that a nightly run fetches after an outage."
    )
    api_key_required: bool = Field(
        False, description="Require an API key for reading over HTTP too. Admin endpoints always require one."
    )
    api_vendor_dialect: bool = Field(
        False,
        description="Answer the vendor's own REST paths too, such as /v2/aggs, from the warehouse. Beyond this machine "
        "they require an API key.",
    )
    api_requests_per_minute: int = Field(
        1200, ge=0, description="The most requests per minute of one client address; 0: no limit."
    )
    api_max_rows: int = Field(
        100_000,
        ge=1,
        description="The most rows in one page of JSON, or of a file with a limit; without one a file has all rows.",
    )
    api_max_connections: int = Field(
        500, ge=10, description="The most connections to the API at once; keep it well below `ulimit -n`."
    )
    api_max_backfills: int = Field(
        10,
        ge=1,
        description="The most unfinished backfills; while there are so many, the API starts no other one.",
    )
    api_trusted_proxies: Networks = Field(
        "",
        description="Comma-separated addresses or networks of proxies whose X-Forwarded-For is "
        "trusted, e.g. 10.0.0.0/8.",
    )
    api_cors_origins: str = Field(
        "", description="Comma-separated origins whose web pages may read the API, e.g. https://app.example.com."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Format of logs: text for people, or json (one object per line) for programs."
    )
    alert_webhook_url: WebhookUrl | None = Field(
        None, description="URL that alerts are POSTed to as JSON, e.g. the incoming webhook of a chat service."
    )
    smtp_url: MailServerUrl | None = Field(
        None, description="Mail server for alerts, as smtp://user:password@host:587 or smtps://user:password@host."
    )
    alert_email_to: MailReceivers | None = Field(
        None, description="Comma-separated recipients of alerts by e-mail; requires SMTP_URL."
    )
    alert_email_from: MailAddresses | None = Field(
        None, description="Sender of alerts by e-mail. Unset: the first of ALERT_EMAIL_TO."
    )
    alert_stale_sessions: int = Field(
        1, ge=1, description="Number of sessions that a symbol must be behind to be reported as stale."
    )
    celery_broker_url: RedisUrl | None = Field(
        None, description="Redis that hands runs to workers, as redis://:password@host:6379/0. Unset: no workers."
    )
    steps_on_workers: bool = Field(
        False, description="Execute the steps of a run on workers too, instead of in the run's process."
    )
    market_pipeline_data_dir: Annotated[Path, AfterValidator(_make_absolute)] = Field(
        default_factory=choose_data_dir,
        description="Folder for the embedded PostgreSQL and other data. Unset: .market_pipeline in "
        "the project's folder.",
    )

    @property
    def dagster_dir(self) -> Path:
        """The folder of the little that Dagster keeps in files, unless DAGSTER_HOME names another."""
        return self.market_pipeline_data_dir / "dagster"

    @property
    def limits_vendor_dialect(self) -> bool:
        """True if API_REQUESTS_PER_MINUTE is set, and so limits requests in the vendor's dialect too."""
        return "api_requests_per_minute" in self.model_fields_set

    @property
    def trusted_proxies(self) -> list[str]:
        """The addresses and networks whose forwarded headers are believed."""
        return [part for part in map(str.strip, self.api_trusted_proxies.split(",")) if part]

    @property
    def alert_receivers(self) -> list[str]:
        """The receivers of alerts by e-mail, each address without a name."""
        return [address for _, address in getaddresses([self.alert_email_to or ""]) if address]

    @property
    def vendor_url(self) -> str:
        """The URL that bars are fetched from: the gateway's, if one is set and POLYGON_BASE_URL is the vendor's."""
        if self.polygon_gateway_url is not None and is_vendor(self.polygon_base_url):
            return self.polygon_gateway_url
        return self.polygon_base_url

    @property
    def source(self) -> Source:
        """The source of that URL's bars: the market or a sandbox. Only a declared gateway counts as the market."""
        is_markets = is_vendor(self.vendor_url) or self.vendor_url == self.polygon_gateway_url
        return "polygon" if is_markets else "sandbox"

    @property
    def vendor_key(self) -> SecretStr | None:
        """The key for that URL; None for one in the internet that is neither the vendor's nor a gateway's."""
        return self.polygon_api_key if self.source == "polygon" or is_private(self.vendor_url) else None

    @property
    def files_url(self) -> str:
        """The URL that flat files are fetched from; a sandbox serves them beside its other responses."""
        if self.source == "sandbox" and "polygon_s3_endpoint" not in self.model_fields_set:
            return self.vendor_url
        return self.polygon_s3_endpoint

    @property
    def requests_per_minute(self) -> int:
        """The rate limit in force, for all processes on the database together."""
        if "polygon_requests_per_minute" in self.model_fields_set:
            return self.polygon_requests_per_minute
        if self.plan is not None:
            return self.plan.requests_per_minute
        return SANDBOX_REQUESTS_PER_MINUTE if self.source == "sandbox" else self.polygon_requests_per_minute

    @property
    def plan(self) -> VendorPlan | None:
        """The limits of the account's plan, if it is known."""
        return PLANS[self.polygon_plan] if self.polygon_plan is not None else None


def load_settings() -> Settings:
    """Return the settings that the environment and the `.env` files give now.

    Raises:
        SettingsError: a value can't be used; the message names the variable and never shows a secret.
    """
    folder = find_checkout_dir()
    env_files = ((folder / ".env") if folder else None, Path(".env").absolute())
    try:
        return Settings(_env_file=[file for file in env_files if file is not None])
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = str(problem["loc"][0]).upper()
        reason = problem["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name}: {reason}. Fix it in the environment or in .env.") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f".env can't be read: {error.reason}. Save it as UTF-8.") from None
    except OSError as error:
        raise SettingsError(f"{error.filename or '.env'} can't be read: {error.strerror}. Fix that.") from None
