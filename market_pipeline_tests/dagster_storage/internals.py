"""Dagster's internals that only tests of the storage use: test helpers, and the schema of its UI."""

from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.dependency import NodeHandle
from dagster._core.events import AssetObservationData
from dagster._core.execution.plan.handle import StepHandle
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._serdes import serialize_value
from dagster_graphql.test.utils import execute_dagster_graphql
