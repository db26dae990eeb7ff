"""Pins and bounds of setup.py, and locks with hashes that name no index."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
LOCKS = {file.stem: file.read_text(encoding="utf-8") for file in (CHECKOUT / "requirements").glob("*.txt")}
HASH = r"    --hash=sha256:[0-9a-f]{64}"
PIN = rf"\S+==\S+( ; [^\\]+)? \\\n({HASH} \\\n)*{HASH}\n"


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """Return the arguments of setup.py for setuptools."""
    code = "import setuptools; setuptools.setup = lambda **given: print({k: given[k] for k in sorted(given) if k in "
    code += "('install_requires', 'extras_require', 'python_requires', 'classifiers')}); exec(open('setup.py').read())"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return dict(eval(done.stdout))


def pins(lock: str) -> Iterator[Requirement]:
    for line in LOCKS[lock].splitlines():
        if "==" in line:
            yield Requirement(line.rstrip("\\ "))


def test_every_pin_has_hashes_and_no_lock_names_a_host_or_a_folder() -> None:
    assert set(LOCKS) == {"install", "run", "workers", "kubernetes", "dg", "benchmarks", "dev"}
    for name, lock in LOCKS.items():
        assert re.fullmatch(rf"# Written by .*\n({PIN})+", lock), name
        assert "/" not in lock, name


def test_requirements_of_running_have_both_bounds_and_are_locked_within_them(given: dict[str, Any]) -> None:
    locked = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins("run")}
    for expected in map(Requirement, given["install_requires"]):
        operators = {each.operator for each in expected.specifier}
        assert operators in ({"~="}, {">=", "<"}), expected
        assert expected.specifier.contains(locked[canonicalize_name(expected.name)]), expected
        assert expected.name != "dbt-core" or not expected.specifier.contains("1.12.0")


def test_every_extra_is_locked(given: dict[str, Any]) -> None:
    run = {canonicalize_name(pin.name) for pin in pins("run")}
    for extra, requirements in given["extras_require"].items():
        locked = run | {canonicalize_name(pin.name) for pin in pins(extra)}
        assert {canonicalize_name(Requirement(each).name) for each in requirements} <= locked, extra


def test_the_tests_run_on_the_locked_versions() -> None:
    for pin in (*pins("run"), *pins("dev")):
        if pin.marker is None or pin.marker.evaluate():
            try:
                assert pin.specifier.contains(version(pin.name), prereleases=True), f"{pin}: run `make install-dev`"
            except PackageNotFoundError:
                pytest.fail(f"{pin} is not installed: run `make install-dev`")


def test_setup_makefile_and_readme_claim_the_same_pythons(given: dict[str, Any]) -> None:
    claimed = SpecifierSet(given["python_requires"])
    named = [line.rpartition(" ")[2] for line in given["classifiers"] if "Python ::" in line]
    assert [minor for minor in (f"3.{n}" for n in range(8, 20)) if claimed.contains(f"{minor}.99")] == named
    assert claimed.contains("3.11.2")
    assert not claimed.contains("3.11.1")
    assert "(3, 11, 2) <= sys.version_info[:3] < (3, 14)" in (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    assert "Python 3.11, 3.12 or 3.13 (3.11.2 or newer)" in (CHECKOUT / "README.md").read_text(encoding="utf-8")
