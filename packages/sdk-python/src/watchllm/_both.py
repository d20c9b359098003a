"""Batches that go two ways."""

from __future__ import annotations

from watchllm._outcome import Delivered, Outcome
from watchllm._transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from watchllm._log import Problems


class Both(Transport):
    """Carry batches through `first`, and those that were delivered through `second` too.

    What `second` answers or raises changes nothing for `first`: it is a warning.
    """

    def __init__(self, first: Transport, second: Transport, problems: Problems) -> None:
        self._first = first
        self._second = second
        self._problems = problems

    def send(self, body: bytes, timeout: float) -> Outcome:
        """Carry one body."""
        outcome = self._first.send(body, timeout)
        if isinstance(outcome, Delivered):
            try:
                also = self._second.send(body, timeout)
                failure = None if isinstance(also, Delivered) else type(also).__name__
            except Exception as error:
                failure = type(error).__name__
            if failure is not None:
                self._problems.report(
                    "also_to", f"Events could not be carried to `also_to` as well: {failure}."
                )
        return outcome

    def close(self) -> None:
        """Let go of connections."""
        self._first.close()
        try:
            self._second.close()
        except Exception as error:
            self._problems.report("also_to", f"`also_to` was not closed: {type(error).__name__}.")

    def after_fork(self) -> None:
        """Forget connections."""
        self._first.after_fork()
        self._second.after_fork()
