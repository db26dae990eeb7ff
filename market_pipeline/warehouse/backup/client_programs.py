"""PostgreSQL's client programs (psql, pg_dump, pg_restore): finding one that fits a server, and running it.

The environment holds the address: every user of the machine can read a program's arguments.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO

from psycopg.pq import Conninfo
from pydantic import SecretStr
from sqlalchemy import Connection, text

from market_pipeline.core.child_processes import run_child
from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.connections import SCHEMA, is_direct

TRANSACTION_TIMEOUT = 17
"""Version of PostgreSQL that brought this setting."""


OPTIONS: Mapping[str, str] = MappingProxyType({"search_path": SCHEMA})
"""Settings of our connections that psql needs; its user chooses the others."""

NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


class ClientProgramError(MarketPipelineError):
    """A program failed, or none fits the server."""


def build_client_environment(url: SecretStr, options: Mapping[str, str] = NO_OPTIONS) -> dict[str, str]:
    """Return our environment with the variables that lead a program to `url`, in place of any PG* variables.

    The password is among them. One of the environment's own stays if `url` has none, as for every other connection of
    ours.

    Args:
        url: the database's address.
        options: settings for the program's sessions, in addition to those that `url` has.
    """
    address = DatabaseAddress.parse(url)
    variables = {option.keyword.decode(): option.envvar.decode() for option in Conninfo.get_defaults() if option.envvar}
    replaced = set(variables.values()) - (set() if "password" in address.parameters else {"PGPASSWORD", "PGPASSFILE"})
    ours = {variables[name]: value for name, value in address.parameters.items() if name in variables}
    if options:
        settings = " ".join(f"-c {name}={value}" for name, value in options.items())
        ours["PGOPTIONS"] = f"{ours.get('PGOPTIONS', '')} {settings}".strip()
    return {name: value for name, value in os.environ.items() if name not in replaced} | ours


def choose_session_options(connection: Connection) -> Mapping[str, str]:
    """Return settings for programs on the server of `connection`: none through a pooler, which takes no options."""
    return OPTIONS if is_direct(connection) else NO_OPTIONS


def find_program(connection: Connection, name: str) -> Path:
    """Return the program that fits the server of `connection`: the wheel's, else the one on the PATH.

    The wheel's has no TLS. No program fits a server newer than it is, and from version 17 on none fits a server before
    17: pg_restore's first statement is a setting that came with 17.

    Raises:
        ClientProgramError: neither the wheel's nor the one on the PATH does.
    """
    server = int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
    encrypted = connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar()
    in_wheel, on_path = embedded.find_binary(name), shutil.which(name)
    if not encrypted and _fits(in_wheel, server):
        return in_wheel
    if on_path is not None and _fits(Path(on_path), server):
        return Path(on_path)
    raise ClientProgramError(
        f"the server is PostgreSQL {server}{', with TLS' if encrypted else ''}, and there is no {name} for it: install "
        f"the client programs of PostgreSQL {server}, so that {name} is on the PATH"
    )


def _fits(program: Path, server: int) -> bool:
    major = _read_major(program)
    return major >= server and (major >= TRANSACTION_TIMEOUT) == (server >= TRANSACTION_TIMEOUT)


def _read_major(program: Path) -> int:
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"\d+", output)
    return int(found.group()) if found else 0


def run_program(
    program: Path,
    url: SecretStr,
    *arguments: str,
    output: IO[bytes] | int = subprocess.DEVNULL,
) -> None:
    """Run a program on the database at `url` to its end, with its standard output in `output`.

    Raises:
        ClientProgramError: it failed; the message holds the first lines of its output.
    """
    result = run_child(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        env=build_client_environment(url) | {"LC_ALL": "C"},
    )
    if result.returncode != 0:
        lines = [line.strip() for line in result.stderr.decode(errors="replace").splitlines() if line.strip()]
        output_text = " ".join(lines[:2]) or f"nothing (exit code {result.returncode})"
        raise ClientProgramError(f"{program.name} failed, saying: {output_text}. Fix that and run the command again.")
