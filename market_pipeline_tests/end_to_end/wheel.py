"""The project's wheel, built and installed for tests, on the dependencies that are installed already."""

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
OF_DEPENDENCIES = ("dagster", "dagster-daemon", "dagster-webserver", "dbt")

BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


@dataclass(frozen=True)
class Wheel:
    """A wheel, the environment that it is installed in, and an empty folder to use it from."""

    file: Path
    environment: Path
    folder: Path

    @classmethod
    def installed_in(cls, place: Path) -> "Wheel":
        """Return the wheel that is installed below `place`."""
        [file] = place.glob("unpacked/*/built/*.whl")
        return cls(file, place / "environment", place / "an empty folder")

    @staticmethod
    def build_and_install(place: Path) -> None:
        """Build it as pip does, from the files of a source distribution, and install it below `place`."""
        ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
        source = shutil.copytree(CHECKOUT, place / "checkout", ignore=ignored)
        shutil.unpack_archive(_built("build_sdist", source, "*.tar.gz"), place / "unpacked")
        [unpacked] = (place / "unpacked").iterdir()
        file = _built("build_wheel", unpacked, "*.whl")
        _install(file, place / "environment")
        (place / "an empty folder").mkdir()

    def program(self, name: str) -> Path:
        """Return the path of a program of the environment."""
        return self.environment / "bin" / name


def _built(what: str, source: Path, name: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, what, "built"], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [file] = (source / "built").glob(name)
    return file


def _install(file: Path, environment: Path) -> None:
    """Install it with a path file that leads to the dependencies, but not to the editable checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, file], check=True)
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    for name in OF_DEPENDENCIES:
        text = Path(sys.executable).with_name(name).read_text(encoding="utf-8")
        program = environment / "bin" / name
        program.write_text(text.replace(sys.executable, str(python)), encoding="utf-8")
        program.chmod(0o755)
