"""What was decided and compared: on disk, bounded for each project, whole after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from keeping import NOW, key
from watchllm_server.cache.calibrate import NEVER, Comparison
from watchllm_server.cache.evidence import Evidence
from watchllm_server.cache.judgements import FILE_NAME, Decision, Judged, Judgements, Total

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def judged(project: str = "p", *, wrong: bool = False, scope: str = "1") -> Judged:
    """Return a comparison of a hit of a project."""
    groups = (f"scope:{project}:{scope}", f"project:{project}")
    return Judged(groups, Comparison(1.0, wrong), reported=False)


def decision(confidence: float = 0.95) -> Decision:
    """Return a decision."""
    return Decision(
        key("one"), "event-1", ("project:p",), "shadow", 0.01, False, confidence, 0.9, NEVER,
        "project:p", ("numbers",), -1.5, None, None, NOW.timestamp(),
    )  # fmt: skip


def test_a_decision_comes_back_as_it_was_in_its_project_alone(tmp_path: Path) -> None:
    """What became of it is told beside it; another project knows nothing of the event."""
    with closing(Judgements(tmp_path)) as kept:
        kept.decide("p", "event", decision())
        before = kept.known("p", "event")
        kept.set_outcome("p", "event", "same")
        kept.set_feedback("p", "event", "right")
        after = kept.known("p", "event")
        other = kept.known("q", "event")

    assert before == (decision(), "", "")
    assert after == (decision(), "same", "right")
    assert other is None


def test_each_project_keeps_its_own_newest(tmp_path: Path) -> None:
    """However many comparisons and decisions one has, none of another's is pushed out."""
    with closing(Judgements(tmp_path, kept=5)) as kept:
        kept.note("q", judged("q"))
        kept.decide("q", "event", decision())
        for number in range(12):
            kept.note("p", judged(scope=str(number)))
            kept.decide("p", f"event-{number}", decision())
        found = [each.groups[0] for each in kept.judged()]
        events = [n for n in range(12) if kept.known("p", f"event-{n}")]
        others = kept.known("q", "event")

    assert found == ["scope:q:1", *(f"scope:p:{number}" for number in range(7, 12))]
    assert events == [7, 8, 9, 10, 11]
    assert others is not None


def test_what_is_counted_adds_up_for_each_project(tmp_path: Path) -> None:
    """Times and dollars are those of the project, and outlive the process."""
    for _ in range(2):
        with closing(Judgements(tmp_path)) as kept:
            kept.count("p", "hits", 0.25)
            kept.count("q", "hits", 1.0)
    with closing(Judgements(tmp_path)) as kept:
        found = kept.totals("p")

    assert found == {"hits": Total(2, 0.5)}


def test_a_damaged_file_is_set_aside_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A page that was overwritten is found when the file is opened; what comes next is kept."""
    with closing(Judgements(tmp_path)) as kept:
        for number in range(200):
            kept.note("p", judged(scope=str(number)))
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[8_192:12_288] = b"\xff" * 4_096
    path.write_bytes(content)

    with closing(Judgements(tmp_path)) as kept:
        kept.note("p", judged())
        found = kept.judged()

    assert found == [judged()]
    assert (tmp_path / "judgements.damaged").exists()
    assert len(caplog.records) == 1


WRITER = """
import sys
from pathlib import Path
from watchllm_server.cache.calibrate import Comparison
from watchllm_server.cache.judgements import Judged, Judgements
kept = Judgements(Path(sys.argv[1]))
number = 0
while True:
    groups = (f"scope:p:{number}", "project:p")
    kept.note("p", Judged(groups, Comparison(1.0, wrong=False), reported=False))
    kept.count("p", "same")
    number += 1
    print(number, flush=True)
"""


def test_a_kill_while_it_writes_leaves_whole_rows(tmp_path: Path) -> None:
    """All that was written before a SIGKILL is there, in order, and nothing half."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = [int(process.stdout.readline()) for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    process.communicate()

    with closing(Judgements(tmp_path)) as kept:
        found = [each.groups[0] for each in kept.judged()]
        total = kept.totals("p")["same"].times

    assert len(found) >= seen[-1]
    assert found == [f"scope:p:{number}" for number in range(len(found))]
    assert len(found) - 1 <= total <= len(found)


def test_evidence_forgets_the_oldest_of_the_project_that_has_too_much() -> None:
    """A group of which nothing is left is gone, and what another project has stays."""
    evidence = Evidence(kept=3)
    evidence.take(judged("q"))
    for number in range(5):
        evidence.take(judged(scope=str(number)))

    names = evidence.names("project:p")

    assert names[0] == "project:p"
    assert sorted(names[1:]) == ["scope:p:2", "scope:p:3", "scope:p:4"]
    assert sorted(evidence.names("project:q")) == ["project:q", "scope:q:1"]


def test_a_group_that_was_put_away_is_made_again_of_its_comparisons() -> None:
    """What was decided from the same comparisons is the same, kept in memory or not."""
    evidence = Evidence(calibrations=1)
    for _ in range(1_200):
        evidence.take(judged())
    before = evidence.threshold(["project:p"], 0.01)
    others = [evidence.threshold([f"project:{number}"], 0.01) for number in range(3)]

    after = evidence.threshold(["project:p"], 0.01)

    assert after == before
    assert before[0] < 1
    assert {threshold for threshold, _ in others} == {NEVER}
