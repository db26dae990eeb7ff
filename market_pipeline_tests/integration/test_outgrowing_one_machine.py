"""Files for more than one machine: their differences to those of one machine, and that Dagster accepts them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, serialize_value
from typer.testing import CliRunner

from market_pipeline.cli.commands import app
from market_pipeline.core.settings import Settings
from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline.dagster_storage.internals import InstanceRef, WorkerStatus
from market_pipeline.orchestration.celery_app import NoBrokerError
from market_pipeline.orchestration.workers import WatchedRunLauncher
from market_pipeline.warehouse.embedded import Server

CHECKOUT = Path(__file__).parents[2]
IMAGE = {"repository": "market-pipeline", "tag": "0.1.0", "pullPolicy": "IfNotPresent"}
NOWHERE = "redis://:hunter2@127.0.0.1:1/0"


def read(name: str) -> Any:
    return yaml.safe_load((CHECKOUT / name).read_text(encoding="utf-8"))


ONE_MACHINE: Mapping[str, Any] = read("dagster.yaml")
WORKERS: Mapping[str, Any] = read("deploy/celery/dagster.yaml")
VALUES: Mapping[str, Any] = read("deploy/kubernetes/values.yaml")
API: list[Mapping[str, Any]] = list(
    yaml.safe_load_all((CHECKOUT / "deploy/kubernetes/api.yaml").read_text(encoding="utf-8"))
)


def test_with_workers_only_the_launcher_the_retries_the_poll_and_the_output_differ() -> None:
    assert set(WORKERS) - set(ONE_MACHINE) == {"run_launcher", "run_retries"}
    changed = {key for key in ONE_MACHINE if WORKERS[key] != ONE_MACHINE[key]}
    assert changed == {"run_monitoring", "compute_logs"}
    slower = {**WORKERS["run_monitoring"], "poll_interval_seconds": 60}
    assert slower == ONE_MACHINE["run_monitoring"]
    assert WORKERS["run_retries"]["retry_on_asset_or_op_failure"] is False


def test_on_kubernetes_only_the_storages_differ_from_those_with_workers() -> None:
    config = VALUES["additionalInstanceConfig"]
    storages = {"run_storage", "event_log_storage", "schedule_storage"}
    assert set(config) == storages | {
        "python_logs", "run_queue", "run_monitoring", "run_retries", "retention", "nux"
    }  # fmt: skip
    for key in set(config) - storages:
        assert config[key] == WORKERS[key], key
    for key in storages:
        assert config[key]["config"] == WORKERS["storage"]["custom"]["config"]
    # The chart's default is the other key's value, and what it would write of its own is left to these keys.
    assert WORKERS["compute_logs"]["class"] == "NoOpComputeLogManager"
    assert VALUES["telemetry"] == WORKERS["telemetry"]
    daemon = VALUES["dagsterDaemon"]
    assert not any(daemon[key]["enabled"] for key in ("runCoordinator", "runMonitoring", "runRetries"))


@pytest.fixture
def on_workers(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[DagsterInstance]:
    monkeypatch.setenv("CELERY_BROKER_URL", NOWHERE)
    folder = str(CHECKOUT / "deploy/celery")
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path), config_dir=folder)) as instance:
        yield instance


def test_tasks_for_workers_hold_no_secret(on_workers: DagsterInstance, server: Server) -> None:
    assert isinstance(on_workers.run_launcher, WatchedRunLauncher)
    result = serialize_value(on_workers.get_ref()) + on_workers.info_str()
    assert "WatchedRunLauncher" in result
    assert "hunter2" not in result
    assert server.password.get_secret_value() not in result


def test_a_commands_own_run_does_not_go_to_workers(on_workers: DagsterInstance) -> None:
    run = DagsterRun(job_name="job", status=DagsterRunStatus.STARTED, tags={"market_pipeline/trigger": "cli"})
    assert on_workers.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    assert not on_workers.run_launcher.terminate(run.run_id)


def test_without_a_broker_the_launcher_names_the_setting(
    on_workers: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CELERY_BROKER_URL")
    with pytest.raises(NoBrokerError, match="CELERY_BROKER_URL is not set"):
        assert on_workers.run_launcher


@pytest.fixture
def dagster_database() -> None:
    """Give Dagster no database yet, as its creation is tested here."""


def build_chart_config() -> str:
    """Return the chart's dagster.yaml with these values: its own storages, then the additional configuration."""
    database = {
        "username": VALUES["postgresql"]["postgresqlUsername"],
        "password": {"env": "DAGSTER_PG_PASSWORD"},
        "hostname": VALUES["postgresql"]["postgresqlHost"],
        "db_name": VALUES["postgresql"]["postgresqlDatabase"],
        "port": VALUES["postgresql"]["service"]["port"],
        "params": {},
    }
    parts = {"schedule": "schedule_storage", "run": "run_storage", "event_log": "event_log"}
    classes = {
        "schedule": "PostgresScheduleStorage",
        "run": "PostgresRunStorage",
        "event_log": "PostgresEventLogStorage",
    }
    own: dict[str, Any] = {
        f"{part}_storage": {
            "module": f"dagster_postgres.{module}",
            "class": classes[part],
            "config": {"postgres_db": database},
        }
        for part, module in parts.items()
    }
    own["scheduler"] = {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"}
    own["run_launcher"] = {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {"dagster_home": VALUES["global"]["dagsterHome"], "job_namespace": "default"},
    }
    own["telemetry"] = VALUES["telemetry"]
    return yaml.safe_dump({**own, **VALUES["additionalInstanceConfig"]})


def test_the_file_that_the_chart_writes_gives_an_instance_on_the_projects_storage(
    environment: dict[str, str], tmp_path: Path, server: Server
) -> None:
    (tmp_path / "dagster.yaml").write_text(build_chart_config(), encoding="utf-8")
    for _ in range(2):  # the second finds the tables that the first has made
        with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
            assert isinstance(instance.event_log_storage, BulkPostgresEventLogStorage)
            run = DagsterRun(job_name="job")
            instance.add_run(run)
            instance.report_engine_event("reported", run)
            assert [entry.message for entry in instance.all_logs(run.run_id)] == ["reported"]
            assert instance.schedule_storage is not None
            assert list(instance.all_instigator_state()) == []
            assert (instance.run_retries_max_retries, instance.run_monitoring_max_runtime_seconds) == (3, 86400)
            assert server.password.get_secret_value() not in serialize_value(instance.get_ref())


def find_values(found: Any, key: str) -> Iterator[Any]:
    """Yield the values of a key at any depth."""
    if isinstance(found, Mapping):
        for name, value in found.items():
            if name == key:
                yield value
            yield from find_values(value, key)
    elif isinstance(found, list):
        for value in found:
            yield from find_values(value, key)


def test_on_kubernetes_all_use_one_image_with_known_settings_and_no_secret() -> None:
    images = [image for image in find_values(VALUES, "image") if image]
    assert images == [IMAGE] * 3
    assert set(find_values(API, "image")) == {f"{IMAGE['repository']}:{IMAGE['tag']}"}
    known = {name.upper() for name in Settings.model_fields}
    for where in (VALUES, API):
        for variables in find_values(where, "env"):
            assert {variable["name"] for variable in variables} <= known
            assert all("valueFrom" in variable for variable in variables if variable["name"].endswith(("_URL", "_KEY"))
                       and "WEBSERVER" not in variable["name"])  # fmt: skip
    assert {each[0]["name"] for each in find_values(VALUES, "envSecrets")} == {"market-pipeline"}
    assert {each["name"] for each in find_values(API, "secretKeyRef")} == {"market-pipeline"}


def containers() -> list[Mapping[str, Any]]:
    """Return the container specifications: of API, migration, the chart's three parts and the runs."""
    [code] = VALUES["dagster-user-deployments"]["deployments"]
    runs = VALUES["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]["containerConfig"]
    own = [container for containers in find_values(API, "containers") for container in containers]
    # Volumes are handed on to the runs by the code server, and so are these.
    return [*own, VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], code, {**code, **runs}]


def test_on_kubernetes_no_container_may_change_its_files_gain_rights_or_take_the_whole_node() -> None:
    assert len(containers()) == 6
    for container in containers():
        assert container["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert set(container["resources"]) == {"requests", "limits"}
        assert all(set(part) == {"cpu", "memory"} for part in container["resources"].values())
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounted == {"data": "/var/lib/market-pipeline", "temporary": "/tmp"}
    for volumes in (*find_values(VALUES, "volumes"), *find_values(API, "volumes")):
        assert [(volume["name"], "sizeLimit" in volume["emptyDir"]) for volume in volumes] == [
            ("data", True),
            ("temporary", True),
        ]


def test_the_image_has_the_extras_that_more_machines_need() -> None:
    dockerfile = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
    assert 'ARG EXTRAS=""' in dockerfile
    assert 'for lock in install run $(echo "$EXTRAS" | tr , ' in dockerfile
    assert {"workers", "kubernetes"} <= {lock.stem for lock in (CHECKOUT / "requirements").glob("*.txt")}
    assert {found["EXTRAS"] for found in find_values(read("deploy/celery/compose.yaml"), "args")} == {"workers"}


# From the schema of the chart's values (helm/dagster/values.schema.json of the chart): these parts take no other.
POD = {
    "annotations", "affinity", "deploymentLabels", "env", "envConfigMaps", "envSecrets", "image",
    "initContainerResources", "labels", "livenessProbe", "nodeSelector", "podSecurityContext", "readinessProbe",
    "resources", "schedulerName", "securityContext", "startupProbe", "tolerations", "volumeMounts", "volumes",
}  # fmt: skip
CLOSED = {
    "dagsterWebserver": POD | {
        "dbPoolRecycle", "dbStatementTimeout", "enableReadOnly", "logLevel", "nameOverride", "pathPrefix",
        "replicaCount", "service", "workspace",
    },
    "dagsterDaemon": POD | {
        "enabled", "heartbeatTolerance", "runCoordinator", "runMonitoring", "runRetries", "schedules", "sensors",
    },
    "telemetry": {"enabled"},
}  # fmt: skip
TOP = {
    "additionalInstanceConfig", "busybox", "computeLogManager", "dagster-user-deployments", "dagsterDaemon",
    "dagsterWebserver", "flower", "generateCeleryConfigSecret", "generatePostgresqlPasswordSecret", "global",
    "imagePullSecrets", "ingress", "migrate", "postgresql", "pythonLogs", "rabbitmq", "redis", "retention",
    "runLauncher", "scheduler", "serviceAccount", "telemetry",
}  # fmt: skip


def test_the_chart_knows_all_values() -> None:
    assert set(VALUES) <= TOP
    for part, known in CLOSED.items():
        assert set(VALUES[part]) <= known, part
    [code] = VALUES["dagster-user-deployments"]["deployments"]
    assert {"name", "image", "port", "codeServerArgs"} <= set(code)
    assert set(VALUES["dagsterWebserver"]["service"]) <= {"annotations", "port", "type"}


def test_on_kubernetes_all_references_resolve() -> None:
    _, deployment, service = API
    assert [each["kind"] for each in API] == ["Job", "Deployment", "Service"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    webserver = VALUES["dagsterWebserver"]
    address = f"http://market-pipeline-{webserver['nameOverride']}:{webserver['service']['port']}"
    given = {v["name"]: v.get("value") for where in (VALUES, API) for env in find_values(where, "env") for v in env}
    assert given["DAGSTER_WEBSERVER_URL"] == address
    assert webserver["readinessProbe"]["httpGet"]["port"] == webserver["service"]["port"]
    assert VALUES["global"]["dagsterHome"] in (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", list(find_values(API, "command")), ids=" ".join)
def test_on_kubernetes_the_commands_exist(command: list[str]) -> None:
    program, *words = command
    names = [word for word in words if not word.startswith("--")][:2]
    names = names if names[0] == "db" else names[:1]
    result = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"})
    assert (program, result.exit_code) == ("market-pipeline", 0)
    assert all(word in re.sub(r"\x1b\[[0-9;]*m", "", result.stdout) for word in words if word.startswith("--"))


def test_the_compose_override_is_valid_and_every_process_has_the_workers_instance_and_redis() -> None:
    override, base = read("deploy/celery/compose.yaml"), read("docker-compose.yml")
    parsed = PyCompose.from_yaml(yaml.safe_dump(override))
    ours = {name for name, service in base["services"].items() if service["image"] == "market-pipeline"}
    assert set(parsed.service_names()) == ours | {"redis", "worker"}
    services = override["services"]
    redis = "redis://:${REDIS_PASSWORD:?set it in .env}@redis:6379/0"
    for name in (*ours, "worker"):
        assert services[name]["environment"]["DAGSTER_HOME"] == "/app/deploy/celery"
        assert services[name]["environment"]["CELERY_BROKER_URL"] == redis
        assert services[name]["build"]["args"] == {"EXTRAS": "workers"}
    shared = ("DATABASE_URL", "MARKET_PIPELINE_DATA_DIR")
    for variable in shared:
        assert services["worker"]["environment"][variable] == base["services"]["code"]["environment"][variable]
    assert services["worker"]["image"] == base["services"]["code"]["image"]
    assert services["worker"]["command"] == ["market-pipeline", "worker"]
    assert "ports" not in services["redis"]
