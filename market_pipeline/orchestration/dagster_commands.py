"""Check of Dagster's own commands `dagster asset materialize`, `dagster job execute` and `dg launch`.

They load the definitions in their own process, and end with a traceback if no partition was chosen.
"""

import click
import dagster as dg

from market_pipeline.orchestration.partitions import NO_PARTITIONS, PartitionError

_COMMANDS = ("materialize", "execute", "launch")


def check_command(definitions: dg.Definitions) -> None:
    """Check that one of Dagster's commands, if it loads the definitions, names the partitions to materialize.

    Raises:
        PartitionError: it names none, and its selection is partitioned.
    """
    command = click.get_current_context(silent=True)
    if command is None or command.info_name not in _COMMANDS:
        return
    options = command.params
    if options.get("partition") or options.get("partition_range") or "dagster/" in (options.get("tags") or ""):
        return
    if _is_partitioned(
        definitions, options.get("select") or options.get("assets"), options.get("job_name") or options.get("job")
    ):
        raise PartitionError(NO_PARTITIONS)


def _is_partitioned(definitions: dg.Definitions, selection: str | None, job: str | None) -> bool:
    repository = definitions.get_repository_def()
    if job is not None:
        return repository.has_job(job) and repository.get_job(job).partitions_def is not None
    if selection is None:
        return False
    assets = repository.asset_graph
    selected = dg.AssetSelection.from_coercible(selection.split(",")).resolve(assets, allow_missing=True)
    return any(assets.get(key).partitions_def is not None for key in selected)
