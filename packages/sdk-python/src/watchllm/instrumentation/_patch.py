"""A method of a library that is replaced, and can be given back."""

from __future__ import annotations

from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class Switch:
    """Say whether a method that stands for another does more than to pass on."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = False


class Patch:
    """Replace a method of a class by one that `make` returns for it and for a switch."""

    def __init__(
        self, owner: type, name: str, make: Callable[[Callable[..., Any], Switch], Any]
    ) -> None:
        self._owner = owner
        self._name = name
        self._make = make
        self._switch = Switch()
        self._original: Any = None
        self._ours: Any = None

    @property
    def active(self) -> bool:
        """Whether the method is replaced."""
        return self._switch.on

    def apply(self) -> None:
        """Replace the method, unless it is replaced already, be it below somebody else's."""
        found = vars(self._owner)[self._name]
        if not _leads_to(found, self._ours):
            # Of two of ours, one below something that does not tell what it wraps, one is enough.
            self._switch.on = False
            self._switch = Switch()
            self._original = found
            self._ours = wraps(found)(self._make(found, self._switch))
            setattr(self._owner, self._name, self._ours)
        self._switch.on = True

    def remove(self) -> None:
        """Give the method back; where somebody has wrapped ours since, ours only passes on."""
        self._switch.on = False
        if self._ours is not None and vars(self._owner)[self._name] is self._ours:
            setattr(self._owner, self._name, self._original)


def owner(found: type, name: str) -> type:
    """Return the class that defines a method, for its other heirs use it too.

    Raises LookupError if none does.
    """
    for each in found.__mro__:
        if name in vars(each):
            return each
    raise LookupError(f"{found.__name__} has no method {name}")


def _leads_to(method: Any, ours: Any) -> bool:
    while method is not None and method is not ours:
        method = getattr(method, "__wrapped__", None)
    return method is not None
