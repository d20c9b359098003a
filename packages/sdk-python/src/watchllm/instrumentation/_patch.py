"""A method of a library that is replaced, and can be given back."""

from __future__ import annotations

from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class Patch:
    """Replace a method of a class by one that is made from it; `active` says whether it is."""

    def __init__(
        self, owner: type, name: str, make: Callable[[Callable[..., Any], Patch], Any]
    ) -> None:
        self._owner = owner
        self._name = name
        self._original = vars(owner)[name]
        self._ours = wraps(self._original)(make(self._original, self))
        self.active = False

    def apply(self) -> None:
        """Replace the method, if it is not replaced already."""
        self.active = True
        if vars(self._owner)[self._name] is self._original:
            setattr(self._owner, self._name, self._ours)

    def remove(self) -> None:
        """Give the method back, unless somebody has wrapped ours: then ours only passes on."""
        self.active = False
        if vars(self._owner)[self._name] is self._ours:
            setattr(self._owner, self._name, self._original)
