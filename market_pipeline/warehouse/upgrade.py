"""Upgrade of a warehouse to this version's schema: checks the disk, makes a backup, then migrates.

`schema` knows the migrations. The parts before them are for the one that rewrites every bar, and left out without bars.
"""

import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine

from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.database_errors import SchemaError
from market_pipeline.warehouse.migrations.bar_conversion import measure_stored_bars
from market_pipeline.warehouse.schema import BEFORE_CONVERSION, migrate, read_revision

log = logging.getLogger(__name__)

SPACE_NEEDED = 1.5
"""Free space that the conversion of bars needs, as a share of their size.

That is 0.6 for the new tables, 0.6 for PostgreSQL's log and 0.3 for the backup."""


def upgrade(
    engine: Engine, settings: Settings, *, backup: bool = True, report: Callable[[str], None] = log.info
) -> str:
    """Bring a warehouse's schema to this version's, and return its revision.

    Args:
        engine: the warehouse.
        settings: of the warehouse.
        backup: make a backup before bars are rewritten.
        report: called with each step.

    Raises:
        DatabaseUnavailableError: the warehouse can't be reached, or the role may not make tables in it.
        SchemaError: it holds tables that this version doesn't know, or the disk is too full.
        BackupError, DumpError, ClientProgramError: the backup can't be made; nothing is changed.
    """
    with engine.connect() as connection:
        revision = read_revision(connection)
    size = measure_stored_bars(engine) if revision is not None and revision <= BEFORE_CONVERSION else 0
    if size:
        if settings.database_url is None:
            _check_space(settings, size)
        if backup:
            _make_backup(settings, report)
    return migrate(engine, report)


def _check_space(settings: Settings, size: int) -> None:
    """Check that the embedded server's disk has room for the migration; another server's can't be seen from here.

    Raises:
        SchemaError: it has not.
    """
    free, needed = shutil.disk_usage(settings.market_pipeline_data_dir).free, int(SPACE_NEEDED * size)
    if free < needed:
        raise SchemaError(
            f"the upgrade of the bars needs {needed / 1e9:.1f} GB of free space, and the disk of "
            f"{settings.market_pipeline_data_dir} has {free / 1e9:.1f} GB: free some, then run `market-pipeline db "
            "migrate`. Nothing is changed"
        )


def _make_backup(settings: Settings, report: Callable[[str], None]) -> None:
    from market_pipeline.warehouse.backup.backup import WAREHOUSE, back_up  # it needs the module that opens warehouses
    from market_pipeline.warehouse.database import find_database_url

    folder = settings.market_pipeline_data_dir / "backups"
    made = back_up({WAREHOUSE: find_database_url(settings)}, folder, datetime.now(UTC), verify=False, report=report)
    report(f"the warehouse as it was is in {made.folder}")
