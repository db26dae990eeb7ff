"""Dagster's internals: the one module that imports names outside the documented API of dagster and dagster-postgres.

All other modules import these names from here, so an upgrade of Dagster is checked against one list.
dagster-celery has its own door, `celery_internals`: it is an optional extra, and may not be installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dagster._config.config_schema import UserConfigSchema
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.partitions.subset import PartitionsSubset, TimeWindowPartitionsSubset
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.errors import DagsterAssetBackfillDataLoadError
from dagster._core.events import (
    ASSET_EVENTS,
    BATCH_WRITABLE_EVENTS,
    AssetMaterializationPlannedData,
    JobFailureData,
    StepMaterializationData,
)
from dagster._core.execution.api import execute_run_iterator
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._core.instance import InstanceRef
from dagster._core.instance.config import is_dagster_home_set
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.storage.tags import BACKFILL_ID_TAG, GRPC_INFO_TAG, WILL_RETRY_TAG
from dagster._core.utils import make_new_backfill_id
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value
from dagster._utils.schedules import schedule_execution_time_iterator
from dagster_shared.error import SerializableErrorInfo
from dagster_shared.record import copy as copy_record

if TYPE_CHECKING:
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorType, ScheduleInstigatorData
    from dagster._core.storage.base_storage import DagsterStorage
    from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
    from dagster._core.storage.event_log.schema import (
        AssetCheckExecutionsTable,
        AssetEventTagsTable,
        AssetKeyTable,
        SqlEventLogStorageTable,
    )
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
    from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
    from dagster._core.storage.runs.base import RunStorage
    from dagster._daemon.controller import (
        DEFAULT_DAEMON_HEARTBEAT_TOLERANCE_SECONDS,
        DEFAULT_HEARTBEAT_INTERVAL_SECONDS,
    )
    from dagster._daemon.daemon import BackfillDaemon, SchedulerDaemon
    from dagster._daemon.types import DaemonHeartbeat
    from dagster_postgres.utils import create_pg_connection, create_pg_engine, set_pg_statement_timeout

LATE_NAMES = {
    "BulkActionStatus": "dagster._core.execution.backfill",
    "BulkActionsFilter": "dagster._core.execution.backfill",
    "PartitionBackfill": "dagster._core.execution.backfill",
    "InstigatorState": "dagster._core.scheduler.instigation",
    "InstigatorType": "dagster._core.scheduler.instigation",
    "ScheduleInstigatorData": "dagster._core.scheduler.instigation",
    "DagsterStorage": "dagster._core.storage.base_storage",
    "ASSET_KEY_INDEX_COLS": "dagster._core.storage.event_log.migration",
    "AssetCheckExecutionsTable": "dagster._core.storage.event_log.schema",
    "AssetEventTagsTable": "dagster._core.storage.event_log.schema",
    "AssetKeyTable": "dagster._core.storage.event_log.schema",
    "SqlEventLogStorageTable": "dagster._core.storage.event_log.schema",
    "SqlEventLogStorage": "dagster._core.storage.event_log.sql_event_log",
    "LocalComputeLogManager": "dagster._core.storage.local_compute_log_manager",
    "RunStorage": "dagster._core.storage.runs.base",
    "DEFAULT_DAEMON_HEARTBEAT_TOLERANCE_SECONDS": "dagster._daemon.controller",
    "DEFAULT_HEARTBEAT_INTERVAL_SECONDS": "dagster._daemon.controller",
    "BackfillDaemon": "dagster._daemon.daemon",
    "SchedulerDaemon": "dagster._daemon.daemon",
    "DaemonHeartbeat": "dagster._daemon.types",
    "create_pg_connection": "dagster_postgres.utils",
    "create_pg_engine": "dagster_postgres.utils",
    "set_pg_statement_timeout": "dagster_postgres.utils",
}
"""Names whose modules `import dagster` doesn't load, with those modules: each is imported at its first use.

Together they would add 483 modules and 0.5 s to every command that imports one name: https://peps.python.org/pep-0562/
"""


def __getattr__(name: str) -> Any:
    """Import a name of `LATE_NAMES` and keep it.

    Raises:
        AttributeError: there is no such name, here or in this version of Dagster.
    """
    if name not in LATE_NAMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    value = getattr(import_module(LATE_NAMES[name]), name)
    globals()[name] = value
    return value
