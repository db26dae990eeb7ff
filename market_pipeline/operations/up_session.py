"""The file that a `market-pipeline up` leaves for other commands: the mark of its processes, where its servers are."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import psutil  # type: ignore[import-untyped]

from market_pipeline.core.settings import Settings
from market_pipeline.operations.service_probes import API, DAGSTER_UI, SANDBOX, ServiceProbe, answers

API_URL = "http://127.0.0.1:8000"
FILE = "session.json"


@dataclass(frozen=True)
class UpSession:
    """One `up`: the mark of its processes, its code server's port, which tells its runs from others', and addresses.

    `sandbox` is None where the vendor is asked. `pid` and `started` (seconds since the epoch) tell whether it runs yet.
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
        """The session of this process, with a new mark."""
        me = psutil.Process()
        return cls(uuid4().hex, code_port, api, ui, sandbox, me.pid, me.create_time())

    @property
    def running(self) -> bool:
        """True while its process is alive; a process that got its id later is another."""
        try:
            return self.pid is not None and bool(psutil.Process(self.pid).create_time() == self.started)
        except psutil.Error:
            return False

    @classmethod
    def last(cls, settings: Settings) -> "UpSession | None":
        """The last one on the data folder, whether it still runs or not."""
        try:
            return cls(**json.loads((folder_of(settings) / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none, or another version's
            return None

    def write(self, settings: Settings) -> None:
        """Leave it for others."""
        partial = folder_of(settings) / f"{FILE}.partial"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.replace(folder_of(settings) / FILE)


def folder_of(settings: Settings) -> Path:
    """The folder of `up`."""
    return settings.dagster_dir / "up"


def service_urls(settings: Settings) -> tuple[str, str]:
    """Where the API and Dagster's UI should be: where the last `up` has them if they answer there, else the usual."""
    last = UpSession.last(settings)
    if last is None:
        return API_URL, settings.dagster_webserver_url
    return _found(last.api, API, API_URL), _found(last.ui, DAGSTER_UI, settings.dagster_webserver_url)


def with_running_sandbox(settings: Settings) -> Settings:
    """The settings, with the sandbox of a running `up --sandbox` as the vendor unless POLYGON_BASE_URL is set.

    No key goes to it: POLYGON_API_KEY is the vendor's.
    """
    last = UpSession.last(settings)
    if "polygon_base_url" in settings.model_fields_set or last is None or last.sandbox is None:
        return settings
    if not last.running or not answers(last.sandbox, SANDBOX):
        return settings
    return settings.model_copy(update={"polygon_base_url": last.sandbox, "polygon_api_key": None})


def _found(url: str, face: ServiceProbe, usual: str) -> str:
    return url if answers(url, face) else usual
