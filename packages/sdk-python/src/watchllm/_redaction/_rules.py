"""What is looked for, ready to be run over texts.

This module is loaded with the package, so it loads nothing: the detectors, which compile regular
expressions and tables, are loaded when the first text is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from watchllm._redaction._config import RedactionConfig, normal_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Protocol, Tuple, Union

    from watchllm._redaction._keyed import Keyed

    class Detector(Protocol):
        """Find one kind of personal data in text.

        `in_labels` says whether it also replaces parts of names and ids, or only whole ones.
        """

        kind: str
        placeholder: str
        in_labels: bool

        def find(self, text: str) -> list[tuple[int, int]]:
            """Return the spans found in a folded text, in order and apart from each other."""
            ...

    class Step(Protocol):
        """Replace what the user's own pattern or function finds."""

        kind: str

        def replace(self, text: str) -> tuple[str, int]:
            """Return the text with every finding replaced, and how many there were."""
            ...

    Found = Tuple[int, int, int]  # start, end, place of the detector in the order of precedence
    Skip = Dict[str, Union[bool, "Skip"]]
else:
    Detector = object

SHORT = 64  # characters; names, tags and settings are shorter, and come again and again
_MOST_KNOWN = 4_096
_MOST_ROUNDS = 8
_INDEPENDENT = 2  # addresses and cards hide each other only where they touch; others look further
_BLANKS = " \n\t"
NO_TEXTS: frozenset[str] = frozenset()


class Rules(Sequence):  # type: ignore[type-arg] # 3.8 cannot subscript it at run time
    """Detectors in their order of precedence, keys and paths. Safe to use from any thread.

    `looks` say for an ASCII text whether anything can be found in it; there are none where every
    text must be looked at in full. `clean`, `labels` and `plain` remember short texts, ids and keys
    in which nothing was found. They are bounded, and change nothing but the time that a look takes.
    """

    __slots__ = (
        "_config",
        "_detectors",
        "_keyed",
        "_steps",
        "clean",
        "deny",
        "labels",
        "looks",
        "plain",
        "skip",
    )

    def __init__(self, detectors: Sequence[Detector] | RedactionConfig) -> None:
        self._detectors: tuple[Detector, ...] | None = None
        self._keyed: Keyed | None = None
        self._steps: tuple[Step, ...] = ()
        self.deny: frozenset[str] = NO_TEXTS
        self.skip: Skip = {}
        self.looks: tuple[Callable[[str], bool], ...] = ()
        self.clean: set[str] = set()
        self.labels: set[str] = set()
        self.plain: set[str] = set()
        self._config: RedactionConfig | None = None
        if isinstance(detectors, RedactionConfig):
            self._config = detectors
            self.deny = frozenset(map(normal_key, detectors.deny_keys))
            self.skip = _paths(detectors.skip_fields)
        else:
            self._detectors = tuple(detectors)

    def __len__(self) -> int:
        return len(self.load())

    def __getitem__(self, index: Any) -> Any:
        return self.load()[index]

    def redact(self, text: str, *, whole: bool = False) -> tuple[str, dict[str, int] | None]:
        """Return a text with every finding replaced, and how many there were of each kind.

        With `whole`, what holds digits by nature is replaced only if it is the whole text. Raises
        whatever a detector raises.
        """
        counts: dict[str, int] | None = None
        for _ in range(_MOST_ROUNDS):
            found = self.spans(text, whole=whole)
            if not found:
                break
            # What stood beside a finding may have hidden another one: then look again.
            again = len(self.load()) > _INDEPENDENT or _touches(text, found)
            counts = counts or {}
            text = self._replaced(text, found, counts)
            if not again:
                break
        for step in self._steps:
            text, number = step.replace(text)
            if number:
                counts = counts or {}
                counts[step.kind] = counts.get(step.kind, 0) + number
        return text, counts

    def spans(self, text: str, *, whole: bool = False) -> list[Found] | None:
        """Return what the detectors find, in order and apart, or None."""
        detectors = self._detectors
        if detectors is None:
            detectors = self.load()
        folded, left_out = text, None
        if not text.isascii():
            from watchllm._redaction._fold import fold, places

            folded, left_out = fold(text)
        found: list[Found] | None = None
        for index, detector in enumerate(detectors):
            spans = detector.find(folded)
            if spans:
                if whole and not detector.in_labels and spans != [(0, len(folded))]:
                    continue
                found = found or []
                found += [(start, end, index) for start, end in spans]
        if found is None:
            return None
        if left_out:
            at = places(text, left_out)
            found = [(at[start], at[end - 1] + 1, index) for start, end, index in found]
        return found if len(found) == 1 else _apart(found)

    def remember(self, known: set[str], text: str) -> None:
        """Remember a text, unless functions of the user want to see each of them."""
        if self._config is None or not self._config.callables:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known.add(text)

    def _replaced(self, text: str, spans: list[Found], counts: dict[str, int]) -> str:
        pieces: list[str] = []
        done = 0
        for start, end, index in spans:
            detector = self.load()[index]
            placeholder = detector.placeholder
            if self._keyed is not None:
                placeholder = self._keyed.mark(placeholder, text[start:end])
            pieces += (text[done:start], placeholder)
            done = end
            counts[detector.kind] = counts.get(detector.kind, 0) + 1
        pieces.append(text[done:])
        return "".join(pieces)

    def load(self) -> tuple[Detector, ...]:
        """Import the detectors, if that was not done, and return them."""
        if self._detectors is None:
            from watchllm._redaction import _fold  # noqa: F401 - so that no event has to
            from watchllm._redaction._kinds import detectors_of, steps_of

            config = self._config or RedactionConfig()
            if config.hash_key is not None:
                from watchllm._redaction._keyed import Keyed

                self._keyed = Keyed(config.hash_key)
            self._steps = steps_of(config, self._keyed)
            self._detectors = detectors_of(config.kinds)
            looks = [getattr(detector, "may_find", None) for detector in self._detectors]
            if not self._steps and all(looks):
                self.looks = tuple(look for look in looks if look is not None)
        return self._detectors


def _touches(text: str, spans: list[Found]) -> bool:
    """Say whether anything but white space stands beside a span."""
    for start, end, _ in spans:
        if text[start - 1 : start] not in _BLANKS or text[end : end + 1] not in _BLANKS:
            return True
    return False


def _apart(found: list[Found]) -> list[Found]:
    """Return the spans in order, those that overlap made one of the kind that takes precedence."""
    found.sort()
    merged = found[:1]
    for start, end, index in found[1:]:
        begin, stop, first = merged[-1]
        if start < stop:
            merged[-1] = (begin, max(end, stop), min(index, first))
        else:
            merged.append((start, end, index))
    return merged


def _paths(dotted: Iterable[str]) -> Skip:
    """Return paths as nested dicts, by key; True ends one."""
    root: Skip = {}
    for path in dotted:
        *way, last = path.split(".")
        node = root
        for name in way:
            inner = node.setdefault(name, {})
            if isinstance(inner, bool):  # a shorter path has ended here: all below is skipped
                break
            node = inner
        else:
            node[last] = True
    return root


DEFAULT_DETECTORS = Rules(RedactionConfig())
NOTHING = Rules(())


def rules_of(setting: bool | RedactionConfig) -> Rules:
    """Return the rules of a `redact_pii` setting; those of the default are shared."""
    if isinstance(setting, bool):
        return DEFAULT_DETECTORS if setting else NOTHING
    return Rules(setting)
