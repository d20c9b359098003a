"""The command `watchllm`: commands of its own, and those that other packages add.

A package adds commands through the entry-point group `watchllm.commands`: each entry is a module
with `COMMANDS` (command name to one-line summary) and `main(argv)`, `argv[0]` being the name.
"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

from watchllm import _config
from watchllm._client import WatchLLMClient
from watchllm._outcome import Delivered, Outcome, Refused, Retry, TooLarge, Unauthorised
from watchllm._runtime import Clock, python_platform
from watchllm._transport import HttpTransport, Transport
from watchllm._version import __version__
from watchllm.errors import ConfigurationError

if TYPE_CHECKING:
    from typing import Callable, Mapping, Sequence

GROUP = "watchllm.commands"
OK, FAILED, WRONG_USE = 0, 1, 2
# What the server package adds, to say where a command comes from while it is not installed.
OF_THE_SERVER = frozenset(
    (
        *("serve", "demo", "projects", "keys", "erase", "backup", "restore", "doctor"),
        *("providers", "prices", "limits", "models", "cache", "export", "import", "mcp"),
    )
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 it failed, 2 it was called wrongly."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else "--help"
    if name in {"-h", "--help", "help"}:
        print(_help(_plugins()))
        return OK
    if name == "--version":
        name, arguments = "version", ["version"]
    # One name for both halves: the server's package examines the server.
    is_for_server = name == "doctor" and "--server" in arguments
    own = _OWN.get(name)
    if own is not None and not is_for_server:
        return own[1](arguments[1:])
    for plugin in _plugins():
        if name in plugin.COMMANDS:
            code: int = plugin.main(arguments)
            return code
    if name in OF_THE_SERVER:
        needs = "" if sys.version_info >= (3, 11) else " It needs Python 3.11 or newer."
        print(
            f"`watchllm {name}` is a command of the server, which is not installed here."
            f' Install it with: pip install "watchllm[server]".{needs}',
            file=sys.stderr,
        )
    else:
        print(
            f"There is no command {name!r}. `watchllm --help` shows those there are.",
            file=sys.stderr,
        )
    return WRONG_USE


def _plugins() -> list[Any]:
    """Return the modules that other packages add; one that cannot be loaded is named on stderr."""
    found: Any = metadata.entry_points()
    # Python 3.8 and 3.9 return a dict of lists.
    entries = found.select(group=GROUP) if hasattr(found, "select") else found.get(GROUP, ())
    plugins = []
    for entry in entries:
        try:
            plugins.append(entry.load())
        except Exception as error:
            print(f"The commands of {entry.value} cannot be loaded: {error}", file=sys.stderr)
    return plugins


def _help(plugins: Sequence[Any]) -> str:
    commands: dict[str, str] = {}
    for plugin in plugins:
        commands.update(plugin.COMMANDS)
    commands.update({name: summary for name, (summary, _) in _OWN.items()})
    lines = "\n".join(f"  {name:<10} {summary}" for name, summary in sorted(commands.items()))
    return (
        "usage: watchllm COMMAND [options]\n\n"
        "Watch the LLM calls of Python applications.\n\n"
        f"commands:\n{lines}\n\n"
        "examples:\n"
        "  watchllm serve                    start a server; prints the next two lines\n"
        "  export WATCHLLM_BASE_URL=http://127.0.0.1:8787/v1\n"
        "  export WATCHLLM_PROJECT_ID=my-project WATCHLLM_API_KEY=...\n"
        "  watchllm send                     try these settings with one event\n"
        "  watchllm doctor                   what is wrong, if it does not work\n"
        "  watchllm spool status             what waits on this machine\n"
        "  watchllm COMMAND --help           what a command takes\n\n"
        'serve and what else is of the server come with: pip install "watchllm[server]"'
    )


def version(argv: Sequence[str]) -> int:
    """Print the version of the SDK and of Python."""
    _parser(
        "version", "Print the version of the SDK and of Python.", "watchllm version"
    ).parse_args(argv)
    print(f"watchllm {__version__} ({python_platform()})")
    return OK


class _Witness(Transport):
    """Pass on what another transport does, and remember its last answer."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.outcome: Outcome | None = None

    def send(self, body: bytes, timeout: float) -> Outcome:
        self.outcome = self._inner.send(body, timeout)
        return self.outcome

    def close(self) -> None:
        self._inner.close()


def send(argv: Sequence[str]) -> int:
    """Log one event with the settings of this shell and say whether the server took it."""
    parser = _parser(
        "send",
        "Log one event with the settings of this shell and say whether the server took it.",
        "watchllm send --base-url http://127.0.0.1:8787/v1 --project-id my-project",
        "The key comes from WATCHLLM_API_KEY alone, so that it stays out of the shell's history.",
    )
    parser.add_argument("--base-url", help="instead of WATCHLLM_BASE_URL")
    parser.add_argument("--project-id", help="instead of WATCHLLM_PROJECT_ID")
    parser.add_argument("--message", default="A test event of `watchllm send`.", help="its text")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait (10)")
    given = parser.parse_args(argv)
    options = {"base_url": given.base_url, "project_id": given.project_id, "enabled": True}
    try:
        import os

        config, _ = _config.load({**options, "timeout": given.timeout}, os.environ)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return WRONG_USE
    witness = _Witness(HttpTransport(config.base_url, config.api_key, __version__, Clock()))
    client = WatchLLMClient(**options, sample_rate=1.0, timeout=given.timeout, transport=witness)
    run_id = "watchllm-send"
    event_id = client.log_agent_step(
        run_id=run_id,
        step_number=0,
        step_name="watchllm send",
        step_type="output",
        input_data={},
        output_data={"message": given.message},
        latency_ms=0,
    )
    taken = client.flush(given.timeout)
    client.close(0.0)
    if taken and client.stats()["sent"] == 1:
        print(
            f"{config.base_url} took event {event_id} of run {run_id} in project"
            f" {config.project_id}."
        )
        return OK
    print(_failure(witness.outcome, config.base_url), file=sys.stderr)
    return FAILED


def _failure(outcome: Outcome | None, base_url: str) -> str:
    if isinstance(outcome, (Unauthorised, Retry, Refused)):
        return outcome.reason
    if isinstance(outcome, TooLarge):
        return f"{base_url} takes no body of this size (413)."
    if isinstance(outcome, Delivered) and outcome.refused:
        first = outcome.refused[0]
        return f"{base_url} did not take the event: {first.code} {first.message}".rstrip()
    return f"{base_url} did not answer in time. Is it the right address?"


def _parser(name: str, about: str, example: str, note: str = "") -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f"watchllm {name}",
        description=about,
        epilog=f"example: {example}" + (f"\n{note}" if note else ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def doctor(argv: Sequence[str]) -> int:
    """Check everything that a client needs."""
    from watchllm import _doctor

    return _doctor.main(argv)


def spool(argv: Sequence[str]) -> int:
    """Show, send or delete what waits in the spool."""
    from watchllm import _spool_command

    return _spool_command.main(argv)


_OWN: Mapping[str, tuple[str, Callable[[Sequence[str]], int]]] = {
    "doctor": (
        "Say what is wrong with this shell's settings, or with a --server, and what to do",
        doctor,
    ),
    "send": ("Log one test event and say whether the server took it", send),
    "spool": ("Show, send or delete the events that wait on this machine", spool),
    "version": ("Print the version", version),
}
