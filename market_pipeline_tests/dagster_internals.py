"""Dagster's internals that only tests use: test helpers, and the entry points of its daemon and command line."""

from dagster._cli import cli
from dagster._cli.asset import asset_materialize_command
from dagster._cli.job import job_execute_command
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.execution.submit_asset_runs import submit_asset_run
from dagster._core.remote_representation.external import RemoteSchedule
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.test_utils import create_run_for_test, create_test_daemon_workspace_context
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget, PythonFileTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._grpc.client import DagsterGrpcClient
from dagster._scheduler.scheduler import launch_scheduled_runs
from dagster_dg_cli.cli.launch import launch_command
