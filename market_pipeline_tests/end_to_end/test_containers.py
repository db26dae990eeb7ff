"""docker-compose.yml: valid, and each service works as a local process with the same command."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
import yaml
from compose_spec import PyCompose
from pydantic import SecretStr
from sqlalchemy import make_url

from market_pipeline.core.sockets import find_free_port
from market_pipeline.warehouse import embedded
from market_pipeline_tests.dagster_internals import DagsterGrpcClient
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.forked_commands import run_forked
from market_pipeline_tests.processes import until

FILE = CHECKOUT / "docker-compose.yml"
COMPOSE: Mapping[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: Mapping[str, Any] = COMPOSE["services"]
CELERY: Mapping[str, Any] = yaml.safe_load((CHECKOUT / "deploy/celery/compose.yaml").read_text(encoding="utf-8"))
OURS = [name for name, service in SERVICES.items() if service["image"] == "market-pipeline"]
LASTING = ["code", "webserver", "daemon", "api"]
SECONDS = 300
COUNTS = """
  SELECT
    'market_data' as table_name,
    COUNT(*) as rows
  FROM market_data
  UNION ALL
  SELECT
    'tracked_symbols',
    COUNT(*)
  FROM tracked_symbols;
"""


def test_it_is_what_the_compose_specification_allows() -> None:
    # Compose merges `<<`, which is YAML's own and which the parser leaves to YAML.
    parsed = PyCompose.from_yaml(yaml.safe_dump(COMPOSE))
    assert sorted(parsed.service_names()) == sorted(["database", "migrate", *LASTING])
    assert set(parsed.volumes or {}) == {"database", "pipeline"}


def test_containers_are_called_as_the_runbook_calls_them() -> None:
    assert SERVICES["database"]["container_name"] == "market_data_postgres"
    assert SERVICES["api"]["container_name"] == "market_data_api"
    assert (
        SERVICES["database"]["environment"]["POSTGRES_USER"],
        SERVICES["database"]["environment"]["POSTGRES_DB"],
    ) == (
        "market_user",
        "market_data",
    )


def test_one_image_is_built_runs_unprivileged_and_holds_no_secret() -> None:
    assert {SERVICES[name]["build"] for name in OURS} == {"."}
    lines = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER market"]
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".env*", ".git", ".market_pipeline"} <= set(ignored)


@pytest.mark.parametrize(
    ("name", "service"), [*SERVICES.items(), *((name, CELERY["services"][name]) for name in ("redis", "worker"))]
)
def test_no_service_may_change_its_files_gain_rights_or_take_the_whole_machine(
    name: str, service: Mapping[str, Any]
) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["cpus"] == 1, "Docker starts no container that may use more processors than there are"
    assert service["pids_limit"] >= 128
    user = {"database": "postgres", "redis": "redis"}.get(name, "10001:10001")
    assert service["user"] == user
    if user == "10001:10001":
        assert "useradd --uid 10001" in (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
        written = service["environment"]["MARKET_PIPELINE_DATA_DIR"]
        assert service["volumes"] == [f"pipeline:{written}"]
        assert (service["tmpfs"], service["environment"]["TMPDIR"]) == (["/tmp"], written)


def test_there_is_no_password_to_guess_and_the_database_is_not_published() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert "ports" not in SERVICES["database"]
    assert set(re.findall(r"POSTGRES_PASSWORD: (.*)", text)) == {"${POSTGRES_PASSWORD:?set it in .env}"}
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:3000:3000", "127.0.0.1:8000:8000"]


def test_lasting_services_are_restarted_and_have_a_health_check() -> None:
    for name in ("database", *LASTING):
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@dataclass(frozen=True)
class Host:
    """A machine without containers in their place: the ports and folders, and the settings of .env."""

    replaced: Mapping[str, str]
    settings: Mapping[str, str]

    def command(self, words: Sequence[str]) -> list[str]:
        return [self.here(word) for word in words]

    def environment(self, name: str) -> dict[str, str]:
        own = {key: self.here(value) for key, value in SERVICES[name]["environment"].items()}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, **self.settings, **own, "PATH": path}

    def here(self, text: str) -> str:
        for there, here in self.replaced.items():
            text = text.replace(there, here)
        return text

    def execute(self, name: str, *words: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a command as `docker exec` does in the container of a service. Scripts are forked: the import is slow."""
        program, *arguments = self.command(words)
        environment = self.environment(name)
        if program == "python" and arguments[0].startswith("scripts/"):
            return run_forked(arguments[1:], environment, CHECKOUT, seconds, script=arguments[0])
        return subprocess.run(
            [program, *arguments], env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=seconds,
            check=False,
        )  # fmt: skip

    def is_healthy(self, name: str) -> bool:
        return self.execute(name, *SERVICES[name]["healthcheck"]["test"][1:]).returncode == 0

    def is_up(self, name: str) -> bool:
        """Return True once a health check, whose process may take seconds to import Dagster, will pass or nearly so."""
        words = self.command(SERVICES[name]["command"])
        if name == "daemon":
            with psycopg.connect(f"{self.environment(name)['DATABASE_URL']}_dagster") as connection:
                return connection.execute("SELECT count(*) FROM daemon_heartbeats").fetchone() != (0,)
        port = int(words[words.index("--port") + 1])
        if name == "code":
            client = DagsterGrpcClient(port=port, host="127.0.0.1")
            return bool(client.health_check_query() == "SERVING")  # type: ignore[no-untyped-call]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Run a service, and wait until it is healthy."""
        process = subprocess.Popen(
            self.command(SERVICES[name]["command"]), env=self.environment(name), cwd=CHECKOUT, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until(lambda: process.poll() is not None or self.is_up(name), f"the start of {name}")
            until(lambda: process.poll() is not None or self.is_healthy(name), f"the health of {name}")
            assert process.poll() is None, f"{name} has ended"
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


@pytest.fixture
def host(database_url: SecretStr, dbt_manifest: None, sandbox: str, tmp_path: Path) -> Host:
    home = tmp_path / "app"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    address = make_url(database_url.get_secret_value())
    password = "${POSTGRES_PASSWORD:?set it in .env}"
    replaced = {
        f"postgresql://market_user:{password}@database:5432/market_data": database_url.get_secret_value(),
        "/var/lib/market-pipeline": str(tmp_path / "data"),
        "/app": str(home),
        "http://webserver:": "http://127.0.0.1:",
        "0.0.0.0": "127.0.0.1",
        "4000": str(find_free_port()),
        "3000": str(find_free_port()),
        "8000": str(find_free_port()),
    }
    assert address.username == SERVICES["database"]["environment"]["POSTGRES_USER"]
    dotenv = {"POLYGON_BASE_URL": sandbox, "POLYGON_API_KEY": "sandbox", "BACKFILL_SCHEDULE_HOUR": "3"}
    return Host(replaced, dotenv)


@pytest.mark.timeout(600)
def test_the_services_run_become_healthy_and_do_what_the_runbook_has_containers_do(
    host: Host, database_url: SecretStr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SERVICES["code"]["environment"], "DAGSTER_CODE_HOST", "127.0.0.1")  # of all: they share it
    assert not host.is_healthy("api")
    migrated = host.execute("migrate", *SERVICES["migrate"]["command"])
    assert migrated.returncode == 0, migrated.stderr
    with ExitStack() as stack:
        for name in LASTING:
            stack.enter_context(host.running(name))
        api = host.here("http://127.0.0.1:8000")
        health = requests.get(f"{api}/health", timeout=30).json()
        assert (health["database"], health["scheduler"]["last_heartbeat"] is not None) == ("reachable", True)
        assert requests.get(f"{api}/api/v1/metrics", timeout=30).json()["scheduler"]["schedule"] == "03:00 UTC daily"
        links = requests.get(f"{api}/api/v1/links", timeout=30).json()
        assert links["dagster"] == host.here("http://localhost:3000")
        initialized = host.execute("api", "python", "scripts/init_symbols.py")
        assert initialized.returncode == 0, initialized.stderr
        dates = ["--start", "2024-10-01", "--end", "2024-10-31"]
        filled = host.execute("api", "python", "scripts/backfill.py", "--symbols", "AAPL,MSFT", *dates)
        assert filled.returncode == 0, filled.stderr
        counted = subprocess.run(
            [embedded.find_binary("psql"), database_url.get_secret_value(), "-c", COUNTS],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert re.search(r"market_data +\| +46\n", counted.stdout)
        assert re.search(r"tracked_symbols +\| +65\n", counted.stdout)
    assert not host.is_healthy("webserver")
