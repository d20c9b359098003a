"""The commands `watchllm models fetch` and `watchllm cache evaluate`."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server import control
from watchllm_server.cache.evaluate import Decision, Judged, Pair, read_pairs, served, threshold_for
from watchllm_server.commands import run
from watchllm_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAIRS = st.lists(st.builds(Judged, st.booleans(), st.floats(0, 1)), max_size=60)


def write(path: Path, *lines: str) -> Path:
    """Write a file of lines."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_pairs_of_ones_own_go_through_the_real_decision(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints what is served rightly and wrongly, with intervals, and a curve."""
    same = [f"how do i reset it{n}\thow do i reset it{n}\t1\tmore" for n in range(6)]
    other = [f"book a table for {n}\tbook a table for {n + 1}\t0" for n in range(10, 16)]
    pairs = write(tmp_path / "pairs.tsv", "text_a\ttext_b\tlabel", *same, *other)

    assert run(["cache", "evaluate", str(pairs), "--model", str(model_folder)]) == 0

    told = capsys.readouterr().out
    assert "6 pairs that one answer serves, 6 that it does not." in told
    assert "0.00% (0.00% to" in " ".join(told.split())
    assert "0.80" in told
    assert "0.99" in told


def test_a_decision_is_that_of_a_lookup(model_folder: Path) -> None:
    """A veto is a confidence of 0, and so is a text that is too long to be compared."""
    decision = Decision(model_folder)

    assert decision.judge("book a table for four", "book a table for five").confidence == 0
    assert decision.judge("a " * 300, "a " * 300).confidence == 0
    assert decision.judge("how are you?", "how are you?").confidence > 0


def test_a_model_of_another_sum_is_not_made(
    model_source: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not the published model is refused in one sentence, with exit code 2."""
    told = ["models", "fetch", "--from", str(model_source[0]), "--data-dir", str(tmp_path)]

    assert run(told) == 2

    assert "SHA-256 differs" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_model_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the model, evaluating ends with what to do."""
    pairs = write(tmp_path / "pairs.tsv", "a\tb\t1")

    assert run(["cache", "evaluate", str(pairs), "--data-dir", str(tmp_path)]) == 2
    assert "run watchllm models fetch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a\tb\t1", "c\td"], "Line 2"),
        (["a\tb\t1", "c\td\tmaybe"], "Line 2"),
        (["text_a\ttext_b\tlabel"], "no pairs"),
        ([""], "no pairs"),
    ],
)
def test_what_is_no_pair_is_told_by_its_line(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    """A line that cannot be read is named; nothing is guessed."""
    with pytest.raises(StartError, match=message):
        read_pairs(write(tmp_path / "pairs.tsv", *lines))


def test_nothing_in_a_file_of_pairs_is_quoted(tmp_path: Path) -> None:
    """Quotation marks belong to the texts, and Windows' ends of lines do not."""
    path = tmp_path / "pairs.tsv"
    path.write_bytes(b'say "hi\tsay ""hi""\tYES\r\nc\td\t0\r\n')

    assert read_pairs(path) == [
        Pair('say "hi', 'say ""hi""', same=True),
        Pair("c", "d", same=False),
    ]


@given(judged=PAIRS, rate=st.floats(0, 0.5))
def test_a_chosen_threshold_keeps_its_rate_where_it_was_chosen(
    judged: list[Judged], rate: float
) -> None:
    """No more than the share that was asked for is served wrongly of the pairs it was chosen on."""
    found = served(judged, threshold_for(judged, rate))

    assert found.wrong.share <= rate + 1e-12


@contextmanager
def server_whose_decisions_fail(directory: Path, status: int) -> Iterator[None]:
    """Run an admin API with one project, that answers a question for a decision with an error."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fails = "/decisions/" in self.path
            body = (
                {"error": {"message": "It is on fire."}} if fails else {"projects": [{"id": "p"}]}
            )
            self.send_response(status if fails else 200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with control.announced(directory, f"http://127.0.0.1:{server.server_port}"):
                yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "said"), [(404, "is not known how it was matched"), (503, "It is on fire.")]
)
def test_a_server_that_cannot_say_is_not_one_that_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int, said: str
) -> None:
    """`cache explain` repeats what the server says is wrong, and takes 404 alone for unknown."""
    with server_whose_decisions_fail(tmp_path, status):
        code = run(["cache", "explain", "an-event", "--data-dir", str(tmp_path)])

    assert code == 2
    assert said in capsys.readouterr().err
