"""Jupyter and IPython: a notebook is a run, and a cell that logs something is a step of it.

%load_ext watchllm.integrations.jupyter
"""

from __future__ import annotations

import threading

from watchllm._context import Inside, Run, new_id, new_run_id
from watchllm._default import get_client
from watchllm._enums import Status, StepType
from watchllm._events import AgentStepEvent
from watchllm._exceptions import status_of
from watchllm._runtime import CLOCK, call_after_fork
from watchllm.integrations._requests import problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

MOST_NAMES = 3  # of models and of runs, that a summary tells
_ATTRIBUTE = "_watchllm_notebook"  # of a shell: what watches it


def load_ipython_extension(shell: Any) -> None:
    """Put what the cells from the next one on log into one run, and tell it below each cell.

    A cell in which something is logged is an agent step, with its code, its time and its exception;
    what is logged inside has it as its `parent_event_id`. `watchllm.trace()` in a cell is a run of
    its own. Called by `%load_ext`; loading it again changes nothing.
    """
    if getattr(shell, _ATTRIBUTE, None) is None:
        notebook = Notebook()
        shell.events.register("pre_run_cell", notebook.begin)
        shell.events.register("post_run_cell", notebook.end)
        setattr(shell, _ATTRIBUTE, notebook)


def unload_ipython_extension(shell: Any) -> None:
    """Watch the cells no more. Called by `%unload_ext`."""
    notebook = getattr(shell, _ATTRIBUTE, None)
    if notebook is not None:
        notebook.leave()
        shell.events.unregister("pre_run_cell", notebook.begin)
        shell.events.unregister("post_run_cell", notebook.end)
        setattr(shell, _ATTRIBUTE, None)


class Tally:
    """Count what is logged in a cell. Safe to use from any thread."""

    def __init__(self) -> None:
        self.events = self.calls = self.errors = self.tokens_in = self.tokens_out = 0
        self.models: dict[str, None] = {}  # in their order
        self.runs: dict[str, None] = {}
        self.after_fork()
        call_after_fork(self)

    def after_fork(self) -> None:
        """Forget a lock that another thread of the parent may have held."""
        self._lock = threading.RLock()

    def note(self, event_type: str, values: dict[str, Any]) -> None:
        """Count an event, whatever its values are."""
        try:
            with self._lock:
                self._count(event_type, values)
        except Exception as failure:
            _report(failure)

    def _count(self, event_type: str, values: dict[str, Any]) -> None:
        self.events += 1
        _keep(self.runs, values.get("run_id"))
        if event_type == "error" or values.get("status") in (Status.ERROR, Status.TIMEOUT):
            self.errors += 1
        if event_type == "prompt_call":
            self.calls += 1
            _keep(self.models, values.get("model"))
            self.tokens_in += _number(values.get("tokens_input"))
            self.tokens_out += _number(values.get("tokens_output"))

    def summary(self) -> str:
        """Return a line for people to read."""
        parts = []
        if self.calls:
            parts.append(f"{_several(self.calls, 'call')} of {_names(self.models)}")
            parts.append(f"{self.tokens_in} tokens in, {self.tokens_out} out")
        else:
            parts.append(_several(self.events, "event"))
        if self.errors:
            parts.append(_several(self.errors, "error"))
        return f"WatchLLM: {'; '.join(parts)}; in {_names(self.runs)}"


def _keep(names: dict[str, None], name: Any) -> None:
    if isinstance(name, str) and len(names) <= MOST_NAMES:
        names[name] = None


def _names(names: dict[str, None]) -> str:
    shown = list(names)[:MOST_NAMES]
    return ", ".join([*shown, "others"] if len(names) > MOST_NAMES else shown)


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def _several(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class _Cell:
    """A cell that runs."""

    def __init__(self, run: Run, code: str) -> None:
        self.code = code
        self.event_id = new_id()
        self.tally = Tally()
        self.run = run
        inner = run.below(self.event_id)
        inner.tally = self.tally
        self.inside = Inside(inner)
        self.started = CLOCK.monotonic()
        self.inside.resume()


class Notebook:
    """The run of a notebook, and the cell that runs. Its methods raise nothing."""

    def __init__(self) -> None:
        self._run = Run(new_run_id())
        self._cell: _Cell | None = None

    def begin(self, info: Any = None) -> None:
        """Note that a cell begins."""
        try:
            self.leave()  # a cell that never came to its end
            self._cell = _Cell(self._run, str(getattr(info, "raw_cell", "")))
        except Exception as failure:
            _report(failure)

    def end(self, result: Any = None) -> None:
        """Log the cell and print its summary, if something was logged in it."""
        try:
            cell = self.leave()
            if cell is not None and cell.tally.events:
                summary = cell.tally.summary()
                self._log(cell, result)
                print(summary)  # noqa: T201 - below the cell, where its reader looks
        except Exception as failure:
            _report(failure)

    def leave(self) -> _Cell | None:
        """Leave the run of the cell, and return the cell, if there is one."""
        cell, self._cell = self._cell, None
        if cell is not None:
            # A kernel runs a cell in a context of its own and tells of its end in another one,
            # where the run of the cell never was: there this sets what is set already.
            cell.inside.pause()
        return cell

    def _log(self, cell: _Cell, result: Any) -> None:
        latency_ms = (CLOCK.monotonic() - cell.started) * 1_000
        error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
        number = getattr(result, "execution_count", None)
        event = AgentStepEvent(
            event_id=cell.event_id,
            step_number=next(self._run.steps),
            step_name="cell" if number is None else f"cell {number}",
            step_type=StepType.REASONING,
            input_data={"code": cell.code},
            output_data={},
            latency_ms=latency_ms,
            status=Status.SUCCESS if error is None else status_of(error),
            error=error,
        )
        with Inside(self._run):
            get_client().log_event(event)


def _report(failure: Exception) -> None:
    problems.report(
        f"cell {type(failure).__name__}",
        f"A cell could not be recorded: {type(failure).__name__}: {failure}",
    )
