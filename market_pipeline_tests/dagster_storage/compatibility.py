"""Compatibility run: the storage's tests, and Dagster's own storage tests on it, with several versions of Dagster.

python -m market_pipeline_tests.dagster_storage.compatibility [VERSION ...]

Without versions these are the oldest that setup.py claims, the pinned one and the newest of the package index, and the
result goes into docs/compatibility.md. Each version is installed into an environment of its own, which takes all other
packages from this one.
"""

import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

CHECKOUT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
PAGE = CHECKOUT / "docs" / "compatibility.md"
MARK = "<!-- Written by `make compatibility` from here on. -->"

GROUPS = {
    "TestBulkEventLog": "Dagster's tests of an event log",
    "TestPooledRuns": "Dagster's tests of a run storage",
    "TestPooledSchedules": "Dagster's tests of a schedule storage",
    "TestPooledCursors": "Dagster's tests of daemon cursors",
    "test_range_runs": "range runs and the UI's GraphQL responses",
}
OWN = "the storage's other tests"


@dataclass(frozen=True)
class Result:
    """The tests of one group with one version: numbers by result, and the names of those that failed."""

    counts: Mapping[str, int]
    failed: Sequence[str]

    def __str__(self) -> str:
        """Return the numbers in words."""
        return ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)


def main(chosen: Sequence[str]) -> int:
    """Test the chosen versions and print the table; return 1 if a test failed."""
    roles = dict.fromkeys(chosen, "chosen") or claimed_versions()
    results = {version: test(version) for version in roles}
    table = "\n".join(lines(roles, results))
    print(table)  # noqa: T201 - the result
    if not chosen:
        page = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
        PAGE.write_text(f"{page}{MARK}\n\n{table}\n", encoding="utf-8")
    return int(any(result.failed for groups in results.values() for result in groups.values()))


def claimed_versions() -> dict[str, str]:
    """Return the versions to test, with their roles; one version may have several."""
    bound = re.search(r'"dagster~=([\d.]+)"', (CHECKOUT / "setup.py").read_text(encoding="utf-8"))
    assert bound, "setup.py bounds dagster"
    index = pip(sys.executable, "index", "versions", "dagster-postgres")  # it requires one version of Dagster
    newest = re.search(r"\((0\.\d+\.\d+)\)", index)
    assert newest, index
    roles: defaultdict[str, list[str]] = defaultdict(list)
    roles[bound[1]].append("oldest claimed")
    roles[pins()["dagster"]].append("pinned")
    roles[core_version(newest[1])].append("newest of the index")
    return {version: ", ".join(names) for version, names in roles.items()}


def pins() -> dict[str, str]:
    """Return the pinned versions of Dagster's packages that running takes, by name."""
    lock = (CHECKOUT / "requirements" / "run.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^(dagster[\w-]*)==([\d.]+)", lock, re.MULTILINE))


def core_version(library: str) -> str:
    """Return the version of dagster that belongs to a library's: 0.29.27 to 1.13.27."""
    _, minor, patch = library.split(".")
    return f"1.{int(minor) - 16}.{patch}"


def library_version(core: str) -> str:
    """Return the version of dagster's libraries that belongs to a version of dagster: 0.29.27 to 1.13.27."""
    _, minor, patch = core.split(".")
    return f"0.{int(minor) + 16}.{patch}"


def test(version: str) -> dict[str, Result]:
    """Run all tests with a version of Dagster, and return the results by group."""
    with tempfile.TemporaryDirectory(prefix="compatibility-") as name:
        folder = Path(name)
        python = make_environment(folder / "environment", version)
        fetch_tests(python, folder, version)
        report = folder / "report.xml"
        command = [
            python, "-m", "pytest", "-q", "--numprocesses", "2", "--dist", "loadscope", f"--junitxml={report}",
            "-p", "no:cacheprovider", "-o", "markers=flaky",
            "-o", "python_files=test_*.py shipped_cases.py", str(FOLDER),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=CHECKOUT, env={"PYTHONPATH": f"{CHECKOUT}:{folder}"}, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"pytest ended with {done.returncode} with Dagster {version}")
        results = by_group(report)
        if missing := {*GROUPS.values(), OWN} - results.keys():
            raise SystemExit(f"nothing was run with Dagster {version} of: {', '.join(sorted(missing))}")
        return results


def make_environment(folder: Path, version: str) -> str:
    """Install a version of Dagster's packages and return the Python that finds them before this environment's.

    Raises:
        SystemExit: these packages require others than are installed here.
    """
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    [packages] = (folder / "lib").glob("python*/site-packages")
    own = [sysconfig.get_path("purelib")]
    (packages / "outer.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in own))
    wanted = [
        f"{name}=={version if pin.startswith('1.') else library_version(version)}" for name, pin in pins().items()
    ]
    pip(python, "install", "--quiet", "--no-deps", "--ignore-installed", *wanted)
    checked = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True, check=False).stdout
    if broken := [line for line in checked.splitlines() if line.startswith(tuple(f"{name} " for name in pins()))]:
        raise SystemExit("\n".join(broken))
    return python


def fetch_tests(python: str, folder: Path, version: str) -> None:
    """Download Dagster's source distribution and unpack its package `dagster_tests` into the folder."""
    pip(
        python, "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), f"dagster=={version}"
    )
    root = f"dagster-{version}/"
    with tarfile.open(folder / f"dagster-{version}.tar.gz") as archive:
        for member in archive.getmembers():
            if member.name.startswith(f"{root}dagster_tests/"):
                member.name = member.name.removeprefix(root)
                archive.extract(member, folder, filter="data")


def pip(python: str, *arguments: str) -> str:
    """Run pip and return its output."""
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def by_group(report: Path) -> dict[str, Result]:
    """Return the results of a report of pytest by group; a test that fails as expected is `different`."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    failed: defaultdict[str, list[str]] = defaultdict(list)
    for case in ElementTree.parse(report).iter("testcase"):
        group = next((name for part, name in GROUPS.items() if part in case.get("classname", "")), OWN)
        found = state(case)
        counts[group][found] += 1
        if found == "failed":
            failed[group].append(case.get("name", ""))
    return {group: Result(counts[group], failed[group]) for group in (*GROUPS.values(), OWN) if group in counts}


def state(case: ElementTree.Element) -> str:
    """Return passed, failed, skipped or different."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    if skipped is None:
        return "passed"
    return "different" if skipped.get("type") == "pytest.xfail" else "skipped"


def lines(roles: Mapping[str, str], results: Mapping[str, Mapping[str, Result]]) -> Iterator[str]:
    """Yield the lines of the table, and the names of failed tests below it."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield f"{datetime.now(UTC):%Y-%m-%d}, Python {python}:"
    yield ""
    yield "| tests | " + " | ".join(f"Dagster {version} ({role})" for version, role in roles.items()) + " |"
    yield "| --- |" + " --- |" * len(roles)
    for group in (*GROUPS.values(), OWN):
        yield f"| {group} | " + " | ".join(str(results[version][group]) for version in roles) + " |"
    for version, groups in results.items():
        if failed := [name for result in groups.values() for name in result.failed]:
            yield ""
            yield f"Failed with Dagster {version}: {', '.join(failed)}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
