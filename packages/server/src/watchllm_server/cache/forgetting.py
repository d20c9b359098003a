"""Forget a project's answers and questions where no server runs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from watchllm_server.cache import disk, judgements, questions
from watchllm_server.cache.entry import Chosen

if TYPE_CHECKING:
    from pathlib import Path

    from watchllm_server.secrets import Secret


def forget(directory: Path, secret: Secret, project: str) -> int:
    """Forget them in a data directory that no server uses, and return how many answers it were."""
    folder = directory / disk.FOLDER
    if not folder.is_dir():
        return 0
    with closing(disk.Disk(folder, max_bytes=0)) as answers:
        count = len(answers.delete(project, Chosen()))
    with closing(questions.Questions(folder, secret)) as asked:
        asked.forget(project, Chosen())
    with closing(judgements.Judgements(folder)) as judged:
        judged.forget(project)
    return count
