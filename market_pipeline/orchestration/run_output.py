"""Output of runs' processes, kept in the data folder for the Dagster UI's stdout and stderr tabs.

Named in dagster.yaml as `compute_logs:`. A command's own runs print to its terminal, which the tabs then say.
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
    """Dagster's own manager of files, in the folder that the settings name.

    `captures` says whether this process's runs are written to files, and mirrored to its standard output and error.
    """

    captures = True

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """The keys under `config:` in dagster.yaml: none."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003
    ) -> "RunOutputManager":
        """The manager that the settings describe.

        Raises:
            MarketPipelineError: the settings are wrong.
        """
        return cls(str(load_settings().dagster_dir / "run_output"), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Write what this process prints meanwhile to files; else only where that is to be found."""
        if self.captures:
            with super().capture_logs(log_key) as context:
                yield context
            return
        for extension, said in (("out", ON_THE_TERMINAL), ("err", ON_THE_TERMINAL), ("complete", "")):
            file = Path(self.get_captured_local_path(log_key, extension))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(said, encoding="utf-8")
        yield CapturedLogContext(log_key)

    def delete_before(self, instant: datetime) -> int:
        """Delete the output of the runs that have printed nothing since; of how many that was."""
        folder = Path(self._base_dir)
        old = [run for run in folder.iterdir() if _newest(run) < instant.timestamp()] if folder.is_dir() else []
        for run in old:
            shutil.rmtree(run, ignore_errors=True)
        return len(old)


@contextmanager
def on_the_terminal(instance: DagsterInstance) -> Iterator[None]:
    """Leave on this process's terminal what its runs print meanwhile: a file would take the progress bar off it."""
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
    """Delete the output of runs that are older; of how many that was, 0 where Dagster keeps it elsewhere."""
    manager = instance.compute_log_manager
    return manager.delete_before(before) if isinstance(manager, RunOutputManager) else 0


def _newest(run: Path) -> float:
    return max((path.stat().st_mtime for path in run.rglob("*")), default=0.0)
