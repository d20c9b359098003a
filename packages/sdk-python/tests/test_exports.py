"""The public names are those that are documented."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import watchllm
from watchllm import testing


@pytest.mark.parametrize("module", [watchllm, testing])
def test_all_is_sorted_and_complete(module: object) -> None:
    """`__all__` names, in order, every public name that is there."""
    names = module.__all__  # type: ignore[attr-defined] # both modules have it
    there = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("watchllm")
    }

    assert names == sorted(names)
    assert set(names) == there | set(vars(module).get("_LATE", ()))


def test_a_name_that_loads_late_is_loaded_once_and_others_are_missed() -> None:
    """`watchllm.step` is the same object each time; a name that is not there raises as usual."""
    assert watchllm.step is watchllm.step
    assert not hasattr(watchllm, "steps")


def test_version_is_that_of_the_distribution() -> None:
    """`__version__` is the installed version."""
    assert watchllm.__version__ == version("watchllm")


def test_importing_loads_neither_network_nor_json() -> None:
    """Importing the SDK loads no HTTP library, no ssl, no json, and nothing else that costs."""
    program = (
        "import sys; import watchllm;"
        "print({'ssl', 'http', 'http.client', 'json', 'urllib3', 'logging', 'socket',"
        " 'typing', 're', 'random', 'urllib', 'hashlib', 'datetime', 'pathlib', 'inspect',"
        " 'watchllm._step', 'watchllm.instrumentation'}"
        " & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"],
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "set()"
