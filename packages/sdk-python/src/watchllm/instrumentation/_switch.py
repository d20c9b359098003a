"""Switch the instrumentation of providers' libraries on and off."""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.util import find_spec

from watchllm._default import get_client, init
from watchllm._late import importing
from watchllm.errors import ConfigurationError
from watchllm.instrumentation import _anthropic, _google, _openai
from watchllm.instrumentation._call import problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Protocol, Sequence

    from watchllm.instrumentation._patch import Patch

    class Library(Protocol):
        """A library whose calls can be logged."""

        def patches(self, module: ModuleType) -> list[Patch]:
            """Return the patches; raises whatever it does if it is not made as expected."""
            ...


LIBRARIES: dict[str, Library] = {
    "openai": _openai.LIBRARY,
    "anthropic": _anthropic.LIBRARY,
    "google-genai": _google.LIBRARY,
}
"""What is known, by the name under which it is installed."""

_lock = threading.RLock()
_patches: dict[str, list[Patch]] = {}


def auto_instrument(
    providers: Sequence[str] | str | None = None, **client_options: Any
) -> list[str]:
    """Log every call of the LLM libraries that are installed; return their names.

    `providers` are some of "openai", "anthropic" and "google-genai"; without it, all that are
    installed. With `client_options` calls `init()` with them; without, the client is the one of
    `get_client()`. Clients that the app has made already are covered too. Once more is harmless.
    Raises ConfigurationError for an unknown provider and as `init()` does, before anything is
    changed. A provider that is not installed is left out; if it was asked for by name, one warning
    says so.
    """
    names = [providers] if isinstance(providers, str) else list(providers or LIBRARIES)
    for name in names:
        if name not in LIBRARIES:
            raise ConfigurationError(
                f"There is no provider {name!r}: it must be one of {', '.join(LIBRARIES)}."
            )
    if client_options:
        init(**client_options)
    else:
        get_client()
    with _lock:
        return [name for name in names if _instrument(name, asked_for=bool(providers))]


def disable_instrumentation() -> None:
    """Give the libraries back their own methods. Calls that are under way are still logged.

    Where somebody else has wrapped a method since, ours stays below and does nothing.
    """
    with _lock:
        for patches in _patches.values():
            for patch in patches:
                patch.remove()


def is_instrumented(provider: str | None = None) -> bool:
    """Say whether the calls of a provider's library are logged; without a name, of any."""
    names = list(_patches) if provider is None else [provider]
    return any(patch.active for name in names for patch in _patches.get(name, ()))


def _instrument(name: str, *, asked_for: bool) -> bool:
    library = LIBRARIES[name]
    if name not in _patches:
        try:
            if not _installed(name):
                if asked_for:
                    problems.report(
                        f"not installed {name}",
                        f"The library {name} is not installed, so its calls are not logged.",
                    )
                return False
            with importing:
                module = import_module(name.replace("-", "."))
            _patches[name] = library.patches(module)
        except Exception as failure:
            problems.report(
                f"patch {name}",
                f"Calls of {name} are not logged: {type(failure).__name__}: {failure}",
            )
            return False
    for patch in _patches[name]:
        patch.apply()
    return True


def _installed(name: str) -> bool:
    try:
        return find_spec(name.replace("-", ".")) is not None
    except ModuleNotFoundError:  # not even what it would be a part of
        return False
