"""What a `market-pipeline up` leaves for others to find: by what its processes are known, and where its servers are."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from market_pipeline.operations.answering import API, DAGSTER_UI, Face, answers
from market_pipeline.settings import Settings

API_URL = "http://127.0.0.1:8000"
FILE = "session.json"


@dataclass(frozen=True)
class UpSession:
    """One `up`: the mark of its processes, its code server's port, which tells its runs from others', and addresses."""

    mark: str
    code_port: int
    api: str
    ui: str

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


def whereabouts(settings: Settings) -> tuple[str, str]:
    """Where the API and Dagster's UI should be: where the last `up` has them if they answer there, else the usual."""
    last = UpSession.last(settings)
    if last is None:
        return API_URL, settings.dagster_webserver_url
    return _found(last.api, API, API_URL), _found(last.ui, DAGSTER_UI, settings.dagster_webserver_url)


def _found(url: str, face: Face, usual: str) -> str:
    return url if answers(url, face) else usual
