"""Settings: defaults, the example file, and the error for an unusable value."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from market_pipeline.core.settings import Settings, SettingsError, find_checkout_dir, find_project_dir, load_settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to a folder without a .env, and hide the checkout's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("market_pipeline.core.settings.find_checkout_dir", lambda: None)


def test_the_example_file_has_the_texts_of_the_module() -> None:
    expected = [
        "# Copy to .env and set what you need; settings with a default are commented out. "
        "The environment overrides this file."
    ]
    for name, field in Settings.model_fields.items():
        default = field.default if field.default_factory is None else None
        written = str(default).lower() if isinstance(default, bool) else default
        line = f"{name.upper()}=" if default is None else f"# {name.upper()}={written}"
        expected += ["", f"# {field.description}", line]
    assert EXAMPLE.read_text(encoding="utf-8").splitlines() == expected


@pytest.mark.usefixtures("elsewhere")
def test_the_example_file_copied_to_env_changes_nothing(tmp_path: Path) -> None:
    without = load_settings()
    (tmp_path / ".env").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_settings() == without


@pytest.mark.usefixtures("elsewhere")
def test_the_environment_takes_precedence_over_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("BACKFILL_SCHEDULE_HOUR=3\nBACKFILL_SCHEDULE_MINUTE=15\n", encoding="utf-8")
    monkeypatch.setenv("BACKFILL_SCHEDULE_MINUTE", "45")
    settings = load_settings()
    assert (settings.backfill_schedule_hour, settings.backfill_schedule_minute) == (3, 45)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BACKFILL_SCHEDULE_HOUR", "24"),
        ("BACKFILL_SCHEDULE_MINUTE", "half"),
        ("POLYGON_REQUESTS_PER_MINUTE", "0"),
        ("POLYGON_BASE_URL", "api.massive.com"),
        ("POLYGON_BASE_URL", "http://api.massive.com"),
        ("POLYGON_BASE_URL", "https://api.massive.com?apiKey=hunter2"),
        ("POLYGON_GATEWAY_URL", "gateway.example"),
        ("POLYGON_S3_ENDPOINT", "files.massive.com"),
        ("POLYGON_S3_ENDPOINT", "http://files.massive.com"),
        ("POLYGON_S3_ENDPOINT", "https://hunter2:hunter2@files.massive.com"),
        ("POLYGON_GATEWAY_URL", "http://gateway.example/polygon"),
        ("POLYGON_GATEWAY_URL", "http://8.8.8.8:8080"),
        ("POLYGON_GATEWAY_URL", "https://hunter2@gateway.example"),
        ("DATABASE_URL", "mysql://user:hunter2@host/db"),
        ("DATABASE_URL", "postgresql://user:hunter2@host"),
    ],
)
def test_a_bad_value_is_one_line_naming_the_variable_and_no_secret(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert "\n" not in message
    assert "hunter2" not in message


@pytest.mark.usefixtures("elsewhere")
def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLYGON_API_KEY", "POLYGON_S3_ACCESS_KEY", "POLYGON_S3_SECRET_KEY"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@host/db")
    assert "hunter2" not in repr(load_settings())


@pytest.mark.parametrize(
    ("base_url", "source"),
    [
        ("https://api.massive.com", "polygon"),
        ("https://api.polygon.io", "polygon"),
        ("http://127.0.0.1:8900", "sandbox"),
        ("https://api.massive.com.example.org", "sandbox"),
    ],
)
def test_only_the_vendors_own_hosts_are_the_market(base_url: str, source: str) -> None:
    assert Settings(_env_file=None, polygon_base_url=base_url).source == source


GATEWAY = "https://gateway.example/polygon/"


@pytest.mark.parametrize(
    "gateway",
    [
        GATEWAY, "http://127.0.0.1:8080", "http://[::1]:8080", "http://10.0.0.7/p", "http://192.168.1.2", "http://gateway:80",
        "http://gateway.internal", "http://gateway.default.svc.cluster.local", "https://8.8.8.8",
    ],
)  # fmt: skip
def test_bars_of_a_declared_gateway_are_the_vendors(gateway: str) -> None:
    settings = Settings(_env_file=None, polygon_gateway_url=gateway, polygon_api_key=SecretStr("key"))
    assert (settings.vendor_url, settings.source) == (gateway.rstrip("/"), "polygon")
    assert settings.vendor_key == SecretStr("key")
    assert settings.requests_per_minute == 5
    same = Settings(_env_file=None, polygon_gateway_url=gateway, polygon_base_url=gateway)
    assert (same.vendor_url, same.source) == (gateway.rstrip("/"), "polygon")


def test_without_being_declared_nothing_is_a_gateway() -> None:
    settings = Settings(_env_file=None, polygon_base_url=GATEWAY, polygon_api_key=SecretStr("key"))
    assert (settings.source, settings.vendor_key) == ("sandbox", None)


def test_a_sandbox_is_used_even_if_a_gateway_is_declared() -> None:
    sandbox = "http://127.0.0.1:8900"
    settings = Settings(_env_file=None, polygon_gateway_url=GATEWAY)
    for loaded in (
        settings.model_copy(update={"polygon_base_url": sandbox}),
        Settings(_env_file=None, polygon_gateway_url="http://127.0.0.1:8080", polygon_base_url=sandbox),
    ):
        assert (loaded.vendor_url, loaded.source) == (sandbox, "sandbox")


def test_the_free_plans_rate_limit_holds_for_the_vendor_and_not_for_the_sandbox() -> None:
    assert Settings(_env_file=None).requests_per_minute == 5
    sandbox = "http://127.0.0.1:8900"
    assert Settings(_env_file=None, polygon_base_url=sandbox).requests_per_minute > 1000
    assert Settings(_env_file=None, polygon_plan="starter").requests_per_minute == 5000
    loaded = Settings(_env_file=None, polygon_base_url=sandbox, polygon_requests_per_minute=300)
    assert loaded.requests_per_minute == 300


@pytest.mark.usefixtures("elsewhere")
def test_an_installation_without_a_checkout_keeps_its_data_in_the_users_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert load_settings().market_pipeline_data_dir == Path("/somewhere/market-pipeline")


def test_a_checkout_keeps_its_data_to_itself() -> None:
    checkout = Path(__file__).parents[2]
    assert find_checkout_dir() == find_project_dir() == checkout
    assert Settings(_env_file=None).market_pipeline_data_dir == checkout / ".market_pipeline"
