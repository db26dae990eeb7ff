"""DAGSTER_HOME: the folder in which Dagster's services find dagster.yaml and keep their few files."""

import os
import shutil
from pathlib import Path
from uuid import uuid4

from market_pipeline.core.settings import Settings, find_project_dir


def prepare_dagster_home(settings: Settings) -> Path:
    """Return DAGSTER_HOME, else a folder below the data folder, with the project's current dagster.yaml."""
    if given := os.environ.get("DAGSTER_HOME"):
        return Path(given)
    home = settings.dagster_dir
    home.mkdir(parents=True, exist_ok=True)
    partial = home / f"{uuid4().hex}.partial"  # other processes may be reading the present file
    shutil.copyfile(find_project_dir() / "dagster.yaml", partial)
    partial.replace(home / "dagster.yaml")
    return home
