"""Erase events on request: those of a user, of a run, or a whole project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from watchllm_server.store.deletion import erase

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchllm_server.metadata import Erasure, Metadata
    from watchllm_server.store.base import EventStore
    from watchllm_server.store.deletion import Subject


class Eraser:
    """Erase events and note that it was done. `then` is called afterwards, to clear the disk.

    `forget_answers` empties the cache of a project, whose answers do not say whom they were made
    for. Safe to use from any thread; it blocks while the store works.
    """

    def __init__(
        self,
        store: EventStore,
        metadata: Metadata,
        then: Callable[[], object],
        forget_answers: Callable[[str], object] | None = None,
    ) -> None:
        self._store = store
        self._metadata = metadata
        self._then = then
        self._forget_answers = forget_answers

    def erase(self, project_id: str, subject: Subject, name: str) -> Erasure:
        """Erase what a project holds of a user or run; once it returns no answer knows them.

        What senders deliver later is stored. Raises StoreError.
        """
        if self._forget_answers:
            self._forget_answers(project_id)
        events = erase(self._store, project_id, subject, name)
        self._then()
        return self._metadata.erasures.note(project_id, subject, name, events)

    def erase_project(self, project_id: str, forget_keys: Callable[[], None]) -> Erasure:
        """Remove a project, its keys and its events.

        The keys go first, so that nothing new is stored while the events are erased.
        """
        self._metadata.delete_project(project_id)
        forget_keys()
        return self.erase(project_id, "project", project_id)
