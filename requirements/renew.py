"""Write the locks beside this file from setup.py: `make pins`. It is the only use of uv.

One resolution covers all that setup.py names, for every Python and platform it supports. `install.txt` holds the
installers, `run.txt` the requirements of the package, and each other lock those of an extra on top of these two.
Versions that setup.py still allows are kept; arguments, such as `--upgrade`, go to uv.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
EXTRAS = ("workers", "kubernetes", "dg", "benchmarks", "dev")
INSTALLERS = "pip\nsetuptools>=77\n"
OPTIONS = (
    "--universal", "--python-version", "3.11.2", "--fork-strategy", "fewest", "--generate-hashes",
    "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--no-config", "--quiet",
)  # fmt: skip
LEFT_OUT = ("clarabel", "cvxpy-base", "plotly", "scikit-learn", "scipy", "statsmodels")
"""Requirements of arch and skfolio, 100 MB, which the data that the tests read from these two don't need."""
RAISED = ("typer",)
"""Requirements that take their bounds from setup.py alone. openapi-python-client has typer below 0.28, but works with
newer ones."""
CPYTHON_ONLY = ("cffi",)
"""Requirements under different conditions on PyPy, where this package doesn't run, and which a lock repeats."""
HEADER = "# Written by `make pins`. The hashes are of all files that a package index has of a version.\n"


def main(arguments: list[str]) -> None:
    """Resolve everything at once, then write each lock's part of it."""
    before = "".join(file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.txt")))
    everything = resolve(before, "setup.py", "--all-extras", "-", *arguments)
    there: dict[str, str] = {}
    for name, inputs in {
        "install": ["-"],
        "run": ["setup.py"],
        **{extra: ["setup.py", "--extra", extra] for extra in EXTRAS},
    }.items():
        part = split(resolve(everything, *inputs))
        if not part.items() <= split(everything).items():
            raise SystemExit(f"{name} was resolved to other versions than all requirements together")
        own = {first: pin for first, pin in part.items() if first not in there}
        (FOLDER / f"{name}.txt").write_text(HEADER + "".join(own.values()), encoding="utf-8")
        if name in ("install", "run"):
            there |= own


def resolve(before: str, *inputs: str) -> str:
    """Return the lock of `inputs`, with the versions of the lock `before` that are still allowed."""
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "lock.txt")
        lock.write_text(before, encoding="utf-8")
        uv = Path(sys.executable).with_name("uv")
        overrides = Path(folder, "overrides.txt")
        own = (FOLDER.parent / "setup.py").read_text(encoding="utf-8")
        raised = [bound for name in RAISED for bound in re.findall(rf'"({name}[^\w"].*)"', own)]
        conditions = dict.fromkeys(LEFT_OUT, "python_version < '3'") | dict.fromkeys(
            CPYTHON_ONLY, "platform_python_implementation != 'PyPy'"
        )
        lines = [*raised, *(f"{name} ; {when}" for name, when in conditions.items())]
        overrides.write_text("\n".join(lines), encoding="utf-8")
        command = [uv, "pip", "compile", *OPTIONS, "--overrides", overrides, "--output-file", lock, *inputs]
        subprocess.run(command, cwd=FOLDER.parent, input=INSTALLERS, text=True, check=True)  # noqa: S603, it is ours
        return lock.read_text(encoding="utf-8")


def split(lock: str) -> dict[str, str]:
    """Return the pins of a lock: by a pin's first line, all of its lines with the hashes."""
    return {pin.partition("\n")[0]: pin for pin in re.findall(r"^\S+==(?:.*\\\n)*.*\n", lock, re.MULTILINE)}


if __name__ == "__main__":
    main(sys.argv[1:])
