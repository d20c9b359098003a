"""Edits by rule: those that change what is asked, and those that do not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from watchllm_server.cache import lexicon

if TYPE_CHECKING:
    import random

_OPPOSITES: dict[str, list[str]] = {}
for _one, _other in sorted(lexicon.ANTONYMS):
    _OPPOSITES.setdefault(_one, []).append(_other)

_NEGATED = (
    (r"\b(can|could|should|would|is|are|was|were|does|did|has|have|must|will) (I|you|my|the|it|we|they|he|she|this|a|an)\b", r"\1 \2 not"),
    (r"\b(I|you|we|they) (can|could|should|would|have|did|want|need|know)\b", r"\1 don't \2"),
    (r"\b(is|are|was|were|can|could|should|will|must)\b", r"\1 not"),
    (r"\bdo I\b", "do I not"),
)  # fmt: skip
_AFFIRMED = (
    (r"n't\b", ""),
    (r"\b(not|never|no) ", ""),
    (r"\bcannot\b", "can"),
    (r"\bwithout\b", "with"),
)
_SWAPPED = (
    (r"\bfrom (\w+(?: \w+)?) to (\w+(?: \w+)?)(?=[?.!,]|$| on| in| at)", r"from \2 to \1"),
    (r"\b(\w+) instead of (\w+)\b", r"\2 instead of \1"),
    (r"\b(\w+) (better|worse|bigger|cheaper|faster|older) than (\w+)\b", r"\3 \2 than \1"),
)
_NOUNS = [
    "card",
    "account",
    "phone",
    "pin",
    "password",
    "payment",
    "transfer",
    "cheque",
    "refund",
    "fee",
    "app",
    "cash",
    "balance",
    "bank",
    "address",
    "email",
    "order",
    "product",
    "price",
    "invoice",
    "plan",
    "doctor",
    "dentist",
    "hospital",
    "school",
    "laptop",
    "tablet",
    "dog",
    "cat",
    "car",
    "bike",
    "train",
    "plane",
    "house",
    "flat",
    "book",
    "film",
    "song",
    "game",
    "rice",
    "bread",
    "milk",
    "coffee",
    "tea",
    "wine",
    "child",
    "baby",
    "man",
    "woman",
    "headache",
    "fever",
    "cough",
    "Germany",
    "France",
    "Spain",
    "Japan",
    "India",
    "London",
    "Paris",
    "Android",
    "iPhone",
    "Windows",
    "Linux",
    "Python",
    "Java",
]
_SCOPES = (
    (r"\ball\b", "some"), (r"\bevery\b", "some"), (r"\bonly\b", "also"), (r"\bany\b", "all"),
    (r"\bmy\b", "my friend's"), (r"\bI\b(?! don)", "my brother"), (r"\bhow do\b", "why do"),
    (r"\bhow can\b", "why can"), (r"\bwhy\b", "how"), (r"\bwhen\b", "where"), (r"\bwhere\b", "when"),
    (r"\bwho\b", "when"), (r"\bhow long\b", "how often"), (r"\bhow much\b", "how long"),
    (r"\bHow do\b", "Why do"), (r"\bHow can\b", "Who can"), (r"\bWhy\b", "How"), (r"\bWhen\b", "Where"),
    (r"\bcan I\b", "must I"), (r"\bCan I\b", "Must I"), (r"\bshould\b", "may"), (r"\bis\b", "was"),
    (r"\bwill\b", "did"), (r"\bdo\b", "did"), (r"\bbest\b", "cheapest"), (r"\bcause", "treat"),
)  # fmt: skip
_SAME = (
    (r"\bhow do I\b", "how can I"), (r"\bHow do I\b", "How can I"), (r"\bHow can I\b", "How do I"),
    (r"\bwhat is\b", "what's"), (r"\bWhat is\b", "What's"), (r"\bWhat's\b", "What is"),
    (r"\bdo not\b", "don't"), (r"\bdon't\b", "do not"), (r"\bcan't\b", "cannot"), (r"\bI am\b", "I'm"),
    (r"\bI'm\b", "I am"), (r"\bI would like\b", "I'd like"), (r"\bwant to\b", "would like to"),
    (r"\bneed to\b", "have to"), (r"\bbig\b", "large"), (r"\bquickly\b", "fast"), (r"\bbegin\b", "start"),
    (r"\bbuy\b", "purchase"), (r"\bhelp\b", "assist"), (r"\bfix\b", "repair"), (r"\bchild\b", "kid"),
    (r"\bis there\b", "does there exist"), (r"\bdoes not\b", "doesn't"), (r"\bisn't\b", "is not"),
    (r"\bphone\b", "mobile phone"), (r"\bget\b", "obtain"), (r"\bstop\b", "quit"), (r"\bwhy\b", "for what reason"),
    (r"\bWhy\b", "How come"), (r"\bmistake\b", "error"), (r"\bshould I\b", "do I have to"),
)  # fmt: skip
_BEFORE = ("Hi, ", "Hello! ", "Hey, ", "Please tell me: ", "Quick question: ", "I was wondering, ",
           "Good morning. ", "Could you help me? ", "Hi there. ", "Sorry to bother you, ")  # fmt: skip
_AFTER = (" Thanks!", " Thank you.", " Please help.", " Thanks in advance", " Any ideas?",
          " Please.", " I'd appreciate your help.", " Cheers")  # fmt: skip


def changes(text: str, random_: random.Random) -> list[str]:
    """Return edits of a text that ask for another answer, one of each kind that it allows."""
    found = [_number(text, random_), _opposite(text, random_), _date(text, random_)]
    found.append(_first(text, _AFFIRMED) or _first(text, _NEGATED))
    found.append(_first(text, _SWAPPED))
    found.append(_noun(text, random_))
    scopes = [edited for rule in _SCOPES if (edited := _first(text, (rule,)))]
    found.append(random_.choice(scopes) if scopes else None)
    return [edited for edited in found if edited and edited != text]


def harmless(text: str, random_: random.Random) -> str:
    """Return an edit of a text that asks for the same."""
    kind = random_.randrange(7)
    if kind == 0:
        before = random_.choice(_BEFORE)
        opened = text[0].lower() + text[1:] if before[-2] == "," and text[:2] != "I " else text
        return before + opened
    if kind == 1:
        return text.rstrip() + random_.choice(_AFTER)
    if kind == 2:  # noqa: PLR2004 - a kind's number
        return random_.choice(
            [text.lower(), text.rstrip("?.!"), text.lower().rstrip("?.!"), text + "?"]
        )
    if kind == 3:  # noqa: PLR2004 - likewise
        return _typo(text, random_)
    if kind == 4:  # noqa: PLR2004 - likewise
        parts = re.split(r"(?<=[.?!]) ", text)
        return " ".join(reversed(parts)) if len(parts) > 1 else text
    same = [edited for rule in _SAME if (edited := _first(text, (rule,)))]
    return random_.choice(same) if same else random_.choice(_BEFORE) + text


def _first(text: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    for rule, replacement in rules:
        edited = re.sub(rule, replacement, text, count=1)
        if edited != text:
            return edited
    return None


def _replace(text: str, word: str, other: str) -> str:
    if word[0].isupper():
        other = other[0].upper() + other[1:]
    return re.sub(rf"\b{re.escape(word)}\b", other, text, count=1)


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]+", text)


def _number(text: str, random_: random.Random) -> str | None:
    numbers = re.findall(r"\b\d+\b", text)
    if numbers:
        old = random_.choice(numbers)
        new = str(max(1, int(old) + random_.choice([-2, -1, 1, 2, 5, 10, int(old)])))
        return re.sub(rf"\b{old}\b", new if new != old else new + "0", text, count=1)
    words = [word for word in _words(text) if word.lower() in lexicon.NUMBERS]
    if words:
        return _replace(
            text, random_.choice(words), random_.choice(["three", "four", "six", "nine"])
        )
    return None


def _date(text: str, random_: random.Random) -> str | None:
    for names in (sorted(lexicon.MONTHS - lexicon.UNSURE_MONTHS),
                  ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
                  ["today", "tomorrow", "yesterday"], ["morning", "evening", "night"],
                  ["week", "month", "year", "day"], ["hour", "minute"]):  # fmt: skip
        words = [word for word in _words(text) if word.lower() in names]
        if words:
            word = random_.choice(words)
            return _replace(text, word, random_.choice([n for n in names if n != word.lower()]))
    return None


def _opposite(text: str, random_: random.Random) -> str | None:
    words = [word for word in _words(text) if word.lower() in _OPPOSITES]
    if not words:
        return None
    word = random_.choice(words)
    return _replace(text, word, random_.choice(_OPPOSITES[word.lower()]))


def _noun(text: str, random_: random.Random) -> str | None:
    words = [word for word in _words(text) if word in _NOUNS]
    if not words:
        return None
    word = random_.choice(words)
    near = _NOUNS[max(0, _NOUNS.index(word) - 3) : _NOUNS.index(word) + 4]
    return _replace(text, word, random_.choice([noun for noun in near if noun != word]))


def _typo(text: str, random_: random.Random) -> str:
    words = [word for word in _words(text) if len(word) > 4]  # noqa: PLR2004 - short ones become other words
    if not words:
        return text
    word = random_.choice(words)
    place = random_.randrange(1, len(word) - 2)
    spelled = random_.choice(
        [
            word[:place] + word[place + 1] + word[place] + word[place + 2 :],
            word[:place] + word[place + 1 :],
            word[:place] + word[place] + word[place:],
        ]
    )
    return text.replace(word, spelled, 1)
