"""Build the files of a release and check them by installing each: `make release`. Nothing is uploaded.

The wheel is built of the source distribution, which is built of the commit that is checked out. With `--draft`, the
section of the changelog may still say "unreleased".
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PLACE = CHECKOUT / "build" / "release"
LOCKS = ("install", "run")
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
INHERITED = ("HOME", "LANG", "PATH", "TMPDIR")
"""Variables of the environment that the installed command gets: no setting of the project's is among them."""


def main(arguments: list[str]) -> None:
    """Check, build, install and try a release."""
    draft = "--draft" in arguments
    version = read_version()
    check_changelog(version, draft=draft)
    check_committed()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    sdist, wheel = build(version)
    for file in (sdist, wheel):
        print(f"Installing {file.name} and trying it", flush=True)
        try_installed(file, version)
    print(f"{'A draft of' if draft else 'Ready:'} {version}, {sdist.relative_to(CHECKOUT)} and {wheel.name}")


def read_version() -> str:
    """Return `__version__` of the package."""
    text = (CHECKOUT / "market_pipeline" / "__init__.py").read_text(encoding="utf-8")
    [version] = re.findall(r'^__version__ = "(\d+\.\d+\.\d+(?:rc\d+)?)"$', text, re.MULTILINE)
    return str(version)


def check_changelog(version: str, *, draft: bool) -> None:
    """Check that the changelog begins with a dated section of this version that says something.

    Raises:
        SystemExit: it does not; the message names the line to change.
    """
    sections = re.split(r"^## ", (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    title, _, content = sections[1].partition("\n") if len(sections) > 1 else ("", "", "")
    said, _, when = title.partition(" ")
    if said != version:
        raise SystemExit(
            f"CHANGELOG.md begins with {said or 'no version'}, and __version__ is {version}: add its section"
        )
    if not re.search(r"^- ", content, re.MULTILINE):
        raise SystemExit(f"the section {version} of CHANGELOG.md is empty: list what changes for a user")
    if when == "(unreleased)" and draft:
        return
    try:
        date.fromisoformat(when.strip("()"))
    except ValueError:
        raise SystemExit(f"CHANGELOG.md says '## {title}': write '## {version} (2026-12-31)' with the date") from None


def check_committed() -> None:
    """Check that the files of the checkout are those of its commit.

    Raises:
        SystemExit: some are not.
    """
    if changed := output("git", "status", "--porcelain"):
        raise SystemExit(f"commit these files first, as a release is built of a commit:\n{changed}")


def build(version: str) -> tuple[Path, Path]:
    """Build the source distribution, and the wheel of what it holds, in PLACE."""
    source = PLACE / "source"
    source.mkdir()
    archive = PLACE / "source.zip"
    run("git", "archive", "--output", archive, "HEAD")
    shutil.unpack_archive(archive, source)
    run(sys.executable, "-c", BUILD, "build_sdist", PLACE, cwd=source)
    sdist = PLACE / f"market_pipeline-{version}.tar.gz"
    shutil.unpack_archive(sdist, PLACE / "unpacked")
    [unpacked] = (PLACE / "unpacked").iterdir()
    run(sys.executable, "-c", BUILD, "build_wheel", PLACE, cwd=unpacked)
    for left in (archive, source, PLACE / "unpacked"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return sdist, PLACE / f"market_pipeline-{version}-py3-none-any.whl"


def try_installed(file: Path, version: str) -> None:
    """Install a file with the locked dependencies into a new environment, and run the command and the demo there.

    Raises:
        SystemExit: something of it fails.
    """
    environment, folder = PLACE / "environment", PLACE / "an empty folder"
    for left in (environment, folder):
        shutil.rmtree(left, ignore_errors=True)
    folder.mkdir()
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    install = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps")
    for lock in LOCKS:
        run(*install, "--no-compile", "--require-hashes", "--requirement", CHECKOUT / "requirements" / f"{lock}.txt")
    run(*install, "--no-build-isolation", file)
    run(python, "-m", "pip", "check")
    command = environment / "bin" / "market-pipeline"
    if (printed := output(command, "--version", cwd=folder)) != f"market-pipeline {version}":
        raise SystemExit(f"{file.name} says that it is {printed!r}")
    variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
    variables["MARKET_PIPELINE_DATA_DIR"] = str(folder / "data")
    try:
        run(command, "demo", cwd=folder, env=variables)
    finally:
        run(command, "demo", "--clean", cwd=folder, env=variables)
    if left_over := [path.name for path in folder.iterdir()]:
        raise SystemExit(f"the demo of {file.name} left files behind: {', '.join(left_over)}")
    shutil.rmtree(environment)
    folder.rmdir()


def run(*command: str | Path, cwd: Path = CHECKOUT, env: Mapping[str, str] | None = None) -> None:
    """Run a command, and show what it printed only if it fails.

    Raises:
        SystemExit: it has failed.
    """
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}\n{Path(command[0]).name} {command[1]} has failed")


def output(*command: str | Path, cwd: Path = CHECKOUT) -> str:
    """Return what a command prints, without the last line's end."""
    return subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True, check=True).stdout.rstrip()


if __name__ == "__main__":
    main(sys.argv[1:])
