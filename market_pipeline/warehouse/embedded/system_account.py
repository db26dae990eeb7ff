"""The account that the server runs as. PostgreSQL does not run as root, so root uses an account without rights.

Only checks and `subprocess` options: nothing here changes an owner or a mode.
"""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError

_UNPRIVILEGED = ("postgres", "nobody")
"""Accounts that run the server for root, the first that exists."""


@dataclass(frozen=True)
class SystemAccount:
    """An account of this machine."""

    uid: int
    gid: int

    @classmethod
    def for_cluster(cls, cluster: Path) -> "SystemAccount":
        """Return the owner of the cluster, which another user than root may have made; else as for a new one."""
        if os.geteuid() == 0 and cluster.exists():
            owner = cluster.stat()
            return cls(owner.st_uid, owner.st_gid)
        return cls.for_new_cluster()

    @classmethod
    def for_new_cluster(cls) -> "SystemAccount":
        """Return our own account, or for root one of the accounts without rights.

        Raises:
            EmbeddedServerError: we are root and this machine has no such account.
        """
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        import pwd  # not on Windows, where nobody is root

        for name in _UNPRIVILEGED:
            with suppress(KeyError):
                found = pwd.getpwnam(name)
                return cls(found.pw_uid, found.pw_gid)
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, and this machine has no account {' or '.join(_UNPRIVILEGED)} to run "
            "it as: add one, run as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own."
        )

    @property
    def process_options(self) -> dict[str, Any]:
        """Arguments of `subprocess` that run a child as this account, away from our folder and terminal."""
        options: dict[str, Any] = {"cwd": "/", "start_new_session": True}
        if os.geteuid() == 0:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def can_run(self, *command: str | Path) -> bool:
        """Try a command as this account, to its end: the system itself knows of modes, ACLs and mounts.

        Returns:
            True if it exits with 0; False if it doesn't, or can't even be started.
        """
        try:
            done = subprocess.run(  # noqa: S603, the command is ours
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
                **self.process_options,
            )
        except OSError:  # a folder above the program is closed to the account
            return False
        return done.returncode == 0
