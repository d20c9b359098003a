"""Notebooks in a real kernel, and the shell of IPython."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from watchllm._context import current_run
from watchllm.integrations import jupyter

from conftest import EXAMPLES, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector import Collector
    from watchllm.testing import CapturedEvents

LOAD = "%load_ext watchllm.integrations.jupyter"
LOG = "watchllm.get_client().log_prompt_call(None, 'p', 'gpt-4o', 'r', 12, 3, 250)"


@pytest.fixture(scope="module")
def _ipython() -> InteractiveShell:
    return InteractiveShell.instance()


@pytest.fixture
def shell(_ipython: InteractiveShell, watchllm_events: CapturedEvents) -> Iterator[Any]:
    """Return a shell that has the extension loaded."""
    run(_ipython, "import watchllm, asyncio")
    run(_ipython, LOAD)
    yield _ipython
    run(_ipython, "%unload_ext watchllm.integrations.jupyter")


def run(shell: Any, code: str) -> Any:
    """Run a cell; return how it ended."""
    return shell.run_cell(code, store_history=True)


def test_a_cell_that_logs_is_a_step_with_its_calls_below(
    shell: Any, watchllm_events: CapturedEvents, capsys: pytest.CaptureFixture[str]
) -> None:
    """The step has the cell's code; a line below the cell tells of calls, tokens and the run."""
    result = run(shell, f"{LOG}; {LOG}")

    step = watchllm_events.of_type("agent_step")[0]
    calls = watchllm_events.of_type("prompt_call")
    assert step["input_data"] == {"code": f"{LOG}; {LOG}"}
    assert step["step_name"] == f"cell {result.execution_count}"
    assert (step["status"], len(calls)) == ("success", 2)
    assert all(call["parent_event_id"] == step["event_id"] for call in calls)
    assert all(call["run_id"] == step["run_id"] for call in calls)
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"WatchLLM: 2 calls of gpt-4o; 24 tokens in, 6 out; in {step['run_id']}"
    )


def test_cells_share_the_notebook_s_run_and_those_that_log_nothing_are_none_of_it(
    shell: Any, watchllm_events: CapturedEvents, capsys: pytest.CaptureFixture[str]
) -> None:
    """The steps are numbered through; a cell that only computes prints nothing of ours."""
    for code in (LOG, "1 + 1", LOG):
        run(shell, code)

    steps = watchllm_events.of_type("agent_step")
    assert len({step["run_id"] for step in steps}) == 1
    assert [step["step_number"] for step in steps] == [1, 2]
    assert capsys.readouterr().out.count("WatchLLM: ") == 2


def test_a_cell_that_fails_is_a_step_with_its_exception(
    shell: Any, watchllm_events: CapturedEvents, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell shows the exception as ever, and what the cell logged stands below the step."""
    result = run(shell, f"{LOG}\nraise ValueError('the app\\'s own')")

    (step,) = watchllm_events.of_type("agent_step")
    assert isinstance(result.error_in_exec, ValueError)
    assert (step["status"], step["error"]["type"]) == ("error", "ValueError")
    assert "ValueError" in capsys.readouterr().out


def test_what_tasks_and_threads_of_a_cell_log_is_counted(
    shell: Any, watchllm_events: CapturedEvents, capsys: pytest.CaptureFixture[str]
) -> None:
    """Top-level `await`, tasks, and threads by `propagate` are in the cell."""
    run(
        shell,
        "import threading\n"
        f"def call(): {LOG}\n"
        "thread = threading.Thread(target=watchllm.propagate(call))\n"
        "thread.start(); thread.join()\n"
        "await asyncio.gather(*(asyncio.to_thread(call) for _ in range(2)))\n",
    )

    assert len(watchllm_events.of_type("prompt_call")) == 3
    assert "WatchLLM: 3 calls of gpt-4o; 36 tokens in, 9 out" in capsys.readouterr().out


def test_a_trace_in_a_cell_is_a_run_of_its_own_and_errors_are_told(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary names up to three runs and models, and counts what failed."""
    run(shell, "with watchllm.trace('mine'): watchllm.get_client().log_error(None, 'e')")
    run(
        shell,
        "for n in range(5):\n"
        "    with watchllm.trace(f'run-{n}'):\n"
        "        watchllm.get_client().log_prompt_call(\n"
        "            None, 'p', f'model-{n}', None, None, 'odd', 1, status='timeout')",
    )

    lines = [line for line in capsys.readouterr().out.splitlines() if "WatchLLM" in line]
    models = "model-0, model-1, model-2, others"
    runs = "run-0, run-1, run-2, others"
    assert lines == [
        "WatchLLM: 1 event; 1 error; in mine",
        f"WatchLLM: 5 calls of {models}; 0 tokens in, 0 out; 5 errors; in {runs}",
    ]


def test_what_a_cell_computes_is_as_without_it(
    shell: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results stay, also when our code is made to fail before, in and after a cell."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("ours")

    for name in ("_Cell", "_keep", "AgentStepEvent"):
        monkeypatch.setattr(jupyter, name, fail)
        result = run(shell, f"{LOG}; 1 + 1")
        monkeypatch.undo()
        assert (result.success, result.result) == (True, 2)
    assert "RuntimeError" not in capsys.readouterr().out


def test_loading_it_twice_and_unloading_it_leave_the_shell_as_it_was(
    shell: Any, watchllm_events: CapturedEvents
) -> None:
    """Each cell is told once; after `%unload_ext` none is, and none is in a run."""
    jupyter.load_ipython_extension(shell)
    run(shell, LOG)
    jupyter.unload_ipython_extension(shell)
    jupyter.unload_ipython_extension(shell)
    run(shell, LOG)

    runs = [event["run_id"] for event in watchllm_events]
    assert len(watchllm_events.of_type("agent_step")) == 1
    assert runs[0] == runs[1] != runs[2]
    assert current_run() is None


def test_a_cell_that_never_ended_is_left_when_the_next_begins(
    shell: Any, watchllm_events: CapturedEvents
) -> None:
    """A shell that tells no end, such as one that was interrupted, goes on with the next cell."""
    shell.events.trigger("pre_run_cell", None)
    run(shell, LOG)

    assert len(watchllm_events.of_type("agent_step")) == 1
    assert current_run() is None


def test_the_tally_counts_what_several_threads_log() -> None:
    """It can be used from any thread, and goes on after a fork."""
    tally = jupyter.Tally()
    tally.after_fork()

    def count() -> None:
        for _ in range(1_000):
            tally.note("prompt_call", {"tokens_input": 1})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (tally.calls, tally.tokens_in) == (4_000, 4_000)


def executed(source: str) -> Any:
    """Run a notebook in a kernel of its own; return it with its outputs."""
    notebook = nbformat.reads(source, as_version=4)
    NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
    return notebook


def printed(notebook: Any) -> list[str]:
    """Return what each cell of code has printed."""
    return [
        "".join(output.get("text", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_the_example_runs_in_a_kernel(
    environment: dict[str, str], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebook's calls are logged, and the line below each cell tells of them."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    told = printed(executed((EXAMPLES / "jupyter" / "notebook.ipynb").read_text("utf-8")))
    collector.wait_for_events(4)

    steps = [event for event in collector.events() if event["event_type"] == "agent_step"]
    calls = [event for event in collector.events() if event["event_type"] == "prompt_call"]
    run_id = steps[0]["run_id"]
    assert {call["parent_event_id"] for call in calls} == {step["event_id"] for step in steps}
    assert {event["run_id"] for event in collector.events()} == {run_id}
    summary = re.compile(rf"WatchLLM: 1 call of gpt-4o.*; 40 tokens in, 12 out; in {run_id}\n")
    assert [bool(summary.search(text)) for text in told] == [False, True, True]
    assert current_run() is None


def test_the_cells_of_the_page_run_in_a_kernel(
    environment: dict[str, str], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the how-to page shows below its cell is what a kernel prints."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cells = [nbformat.v4.new_code_cell(code) for code in blocks("jupyter")]
    shown = blocks("jupyter", "text")[0]

    told = printed(executed(nbformat.writes(nbformat.v4.new_notebook(cells=cells))))
    collector.wait_for_events(2)

    (run_id,) = {event["run_id"] for event in collector.events()}
    assert told == ["", re.sub(r"run-\S+", run_id, shown)]
