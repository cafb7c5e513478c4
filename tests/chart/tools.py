"""Where things are, and programs that tests need. A missing one is an error that says how it is installed."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/perijove"
RULES = ROOT / "dashboards/rules"
VENV = ROOT / ".venv/chart/bin"
HELMS = ("helm4", "helm3")
KUBERNETES = [f"1.{minor}" for minor in range(29, 38)]
REMEDY = "install it with: scripts/setup test"


def program(name):
    """The path of a program: of the tests' own environment, else of the system."""
    own = VENV / name
    found = str(own) if own.exists() else shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not found:
        raise RuntimeError(f"{name} is missing; {REMEDY}")
    return found


def postgres(name):
    """A program of PostgreSQL, which Debian keeps out of the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(folders[-1]) if folders else program(name)


def binary(variable):
    """One of our own programs, as tests/chart/run names it."""
    path = os.environ.get(variable)
    if not path:
        raise RuntimeError(f"{variable} is not set; run tests/chart/run")
    return path


def run(*words, **options):
    """Runs a program to its end and gives what it said."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)
