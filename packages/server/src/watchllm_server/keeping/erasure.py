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

    Safe to use from any thread; it blocks while the store works.
    """

    def __init__(self, store: EventStore, metadata: Metadata, then: Callable[[], object]) -> None:
        self._store = store
        self._metadata = metadata
        self._then = then

    def erase(self, project_id: str, subject: Subject, name: str) -> Erasure:
        """Erase what a project holds of a user or run; once it returns no answer knows them.

        What senders deliver later is stored. Raises StoreError.
        """
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
