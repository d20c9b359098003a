"""No product: an empty call, which shows the floor of the machine and of the measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def start(_url: str) -> tuple[Callable[[str, str], None], Callable[[], object]]:
    """Return functions that do nothing."""
    return (lambda _prompt, _response: None), (lambda: None)
