"""Session file of `market-pipeline up`: the mark of its processes and the URLs of its services, for other commands."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import psutil
from pydantic import SecretStr

from market_pipeline.core.settings import Settings
from market_pipeline.operations.service_probes import API, DAGSTER_UI, SANDBOX, ServiceState, is_listening, probe_urls

API_URL = "http://127.0.0.1:8000"
FILE = "session.json"


@dataclass(frozen=True)
class UpSession:
    """One `up`: the mark of its processes, its code server's port, which identifies its runs, and its services' URLs.

    `sandbox` is None if the vendor itself is used. `pid` and `started` (seconds since the epoch) identify the process.
    """

    mark: str
    code_port: int
    api: str
    ui: str
    sandbox: str | None = None
    pid: int | None = None
    started: float | None = None

    @classmethod
    def begin(cls, code_port: int, api: str, ui: str, sandbox: str | None) -> "UpSession":
        """Return the session of this process, with a new mark."""
        me = psutil.Process()
        return cls(uuid4().hex, code_port, api, ui, sandbox, me.pid, me.create_time())

    @property
    def running(self) -> bool:
        """True while its process is alive; a later process with the same id doesn't count."""
        try:
            return self.pid is not None and bool(psutil.Process(self.pid).create_time() == self.started)
        except psutil.Error:
            return False

    @classmethod
    def last(cls, settings: Settings) -> "UpSession | None":
        """Return the last session on the data folder, running or not."""
        try:
            return cls(**json.loads((find_up_folder(settings) / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none, or another version's
            return None

    def write(self, settings: Settings) -> None:
        """Write the session file into the data folder."""
        partial = find_up_folder(settings) / f"{FILE}.partial"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.replace(find_up_folder(settings) / FILE)


def find_up_folder(settings: Settings) -> Path:
    """Return the folder of `up` in the data folder."""
    return settings.dagster_dir / "up"


def probe_services(settings: Settings, api_url: str | None = None) -> tuple[ServiceState, ServiceState]:
    """Probe the API and Dagster's UI at the URLs of the last `up`, or else at the usual ones.

    Args:
        settings: with the data folder and the usual URL of the UI.
        api_url: probe the API at this URL only.
    """
    last = UpSession.last(settings)
    api_urls = [api_url] if api_url else [*([last.api] if last else []), API_URL]
    ui_urls = [*([last.ui] if last else []), settings.dagster_webserver_url]
    return probe_urls(api_urls, API), probe_urls(ui_urls, DAGSTER_UI)


def use_running_sandbox(settings: Settings) -> Settings:
    """Replace the vendor in the settings by the sandbox of a running `up --sandbox`, unless POLYGON_BASE_URL is set.

    The vendor's keys are removed too: they are for the vendor only. The sandbox takes any.
    """
    last = UpSession.last(settings)
    if "polygon_base_url" in settings.model_fields_set or last is None or last.sandbox is None:
        return settings
    if not last.running or not is_listening(last.sandbox, SANDBOX):
        return settings
    urls = dict.fromkeys(("polygon_base_url", "polygon_s3_endpoint"), last.sandbox)
    keys = dict.fromkeys(("polygon_s3_access_key", "polygon_s3_secret_key"), SecretStr("sandbox"))
    return settings.model_copy(update={**urls, **keys, "polygon_api_key": None})
