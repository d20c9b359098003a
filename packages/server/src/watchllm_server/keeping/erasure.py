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
    for; `settle` waits until what is on its way to the store is there, and no recorded call that
    was looked up before the erasure was noted is still to come; `removed` is told of a project that
    is no more. Safe to use from any thread but the event loop's; it blocks while the store works.
    """

    def __init__(
        self,
        store: EventStore,
        metadata: Metadata,
        then: Callable[[], object],
        forget_answers: Callable[[str], object] | None = None,
        settle: Callable[[], object] = lambda: None,
        *,
        removed: Callable[[str], object] | None = None,
    ) -> None:
        self._store = store
        self._metadata = metadata
        self._then = then
        self._forget_answers = forget_answers
        self._settle = settle
        self._removed = removed

    def erase(self, project_id: str, subject: Subject, name: str) -> Erasure:
        """Erase what a project holds of a user or run; once it returns no answer knows them.

        What senders deliver later is stored; of calls through the gateway, those that begin later.
        Raises StoreError.
        """
        notes = self._metadata.erasures
        # The note comes first: whatever waits for the store is held against it from then on.
        note = notes.begin(project_id, subject, name)
        try:
            if self._forget_answers:
                self._forget_answers(project_id)
            self._settle()
            events = erase(self._store, project_id, subject, name)
        except Exception:
            notes.take_back(note)
            raise
        self._then()
        return notes.end(note, events)

    def erase_project(self, project_id: str, forget_keys: Callable[[], None]) -> Erasure:
        """Remove a project, its keys and its events.

        The keys go first, so that nothing new is stored while the events are erased, and the
        project last: whoever makes one of its id anew must not find its events. Where they cannot
        be erased, the project is still there to be deleted again. Raises StoreError.
        """
        self._metadata.delete_keys(project_id)
        forget_keys()
        done = self.erase(project_id, "project", project_id)
        self._metadata.delete_project(project_id)
        if self._removed:
            self._removed(project_id)
        return done
