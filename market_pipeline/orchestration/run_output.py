"""Output of runs' processes, kept in the data folder for the stdout and stderr tabs of the Dagster UI.

dagster.yaml names the manager as `compute_logs:`. Runs of a command print to its terminal, and the tabs refer to it.
"""

import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

from market_pipeline.core.settings import load_settings
from market_pipeline.dagster_storage.internals import (
    CapturedLogContext,
    ConfigurableClassData,
    LocalComputeLogManager,
    UserConfigSchema,
)

ON_THE_TERMINAL = "A command executed this run in its own process: what it printed is on that command's terminal.\n"


class RunOutputManager(LocalComputeLogManager):
    """Dagster's own manager of local files, in the folder that the settings name.

    While `captures` is True, the output of this process's runs goes to files, mirrored to standard output and error.
    """

    captures = True

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return the fields of `config:` in dagster.yaml: none."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003
    ) -> "RunOutputManager":
        """Return the manager that the settings describe.

        Raises:
            MarketPipelineError: the settings are wrong.
        """
        return cls(str(load_settings().dagster_dir / "run_output"), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Write what this process prints to files, or a note that it is on the terminal."""
        if self.captures:
            with super().capture_logs(log_key) as context:
                yield context
            return
        for extension, note in (("out", ON_THE_TERMINAL), ("err", ON_THE_TERMINAL), ("complete", "")):
            file = Path(self.get_captured_local_path(log_key, extension))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(note, encoding="utf-8")
        yield CapturedLogContext(log_key)

    def delete_before(self, instant: datetime) -> int:
        """Delete the output of runs that have printed nothing since, and return their number."""
        folder = Path(self._base_dir)
        old = (
            [run for run in folder.iterdir() if _find_newest_time(run) < instant.timestamp()] if folder.is_dir() else []
        )
        for run in old:
            shutil.rmtree(run, ignore_errors=True)
        return len(old)


@contextmanager
def on_the_terminal(instance: DagsterInstance) -> Iterator[None]:
    """Leave the output of runs on this process's terminal: capture to files would take the progress bar off it."""
    manager = instance.compute_log_manager
    if not isinstance(manager, RunOutputManager):
        yield
        return
    manager.captures = False
    try:
        yield
    finally:
        manager.captures = True


def delete_run_output(instance: DagsterInstance, before: datetime) -> int:
    """Delete the output of older runs and return their number, 0 if Dagster keeps it elsewhere."""
    manager = instance.compute_log_manager
    return manager.delete_before(before) if isinstance(manager, RunOutputManager) else 0


def _find_newest_time(run: Path) -> float:
    return max((path.stat().st_mtime for path in run.rglob("*")), default=0.0)
