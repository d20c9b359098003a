"""Texts with labelled personal data, made up from seeds: none of it belongs to anyone.

They are other texts than those that the detectors were tuned on: other names, domains, issuers'
numbers, separators and sentences. Addresses are under domains reserved for documentation or of
made-up names; account and card numbers are random, with right check digits.
"""

from __future__ import annotations

import hashlib
import ipaddress
import random
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Labelled:
    """A text, the spans of one kind in it, and how hard it is: `core` or `hard`."""

    kind: str
    text: str
    spans: tuple[tuple[int, int], ...]
    tier: str
    form: str


SENTENCES = [
    "Hallo, hier {} - bitte melden.",
    "{}",
    "row 17;{};ok",
    '<user id="4"><contact>{}</contact></user>',
    "{{'who': '{}', 'n': 3}}",
    '[{{"a": "{}", "b": [1, 2]}}, 4]',
    "* one\n* {}\n* three",
    "\tvalue={}\r\n",
    "WARN 12:04:59 worker-3 rejected {} (attempt 2)",
    "UPDATE people SET contact = '{}' WHERE id = 9;",
    "We wrote to {}, and waited.",
    "(see {})",
    "> {}\n> on Monday",
    "Is it {}?",
    "| name | {} |",
    "print('{}')  # left here by mistake",
    "Merci de noter {}.",
    "お問い合わせは {} まで",
]
_FIRST = [
    "maeve", "tomasz", "inez", "okoro", "yuki", "baptiste", "saoirse", "dmitri", "leila", "xun",
]  # fmt: skip
_LAST = [
    "quill", "brandt", "ferreira", "achterberg", "nakagawa", "o-brien", "lindqvist", "szabo",
]  # fmt: skip
_HOSTS = ["harbourline", "tidepool-labs", "kestrel9", "nordlicht", "blue-sky", "fjordnet", "qx"]
_TOPS = [
    "com", "net", "org", "io", "dev", "de", "fr", "co.uk", "com.br", "co.jp", "systems",
    "engineering", "museum", "online", "ai",
]  # fmt: skip
_WORDS = ["the", "order", "was", "sent", "to", "a", "shop", "and", "nobody", "asked", "why", "not"]


def _local(seed: random.Random) -> str:
    first, last = seed.choice(_FIRST), seed.choice(_LAST)
    return seed.choice(
        [
            f"{first}.{last}",
            f"{first[0]}{last}",
            f"{last}_{first}",
            f"{first}{seed.randint(1, 9999)}",
            f"{first}+{seed.choice(['bills', 'x-1', 'a.b'])}",
            f"{first}-{last}".upper(),
            f"{first}.{last[0]}.{last}",
            first,
            f"{seed.randint(10**6, 10**8)}",
            f"{first}%{last}",
            f"{first}'{last}".replace("o-", "o"),
        ]
    )


def _domain(seed: random.Random) -> str:
    parts = [seed.choice(_HOSTS), seed.choice(_TOPS)]
    if seed.random() < 0.3:
        parts.insert(0, seed.choice(["mail", "eu-1", "post.intern"]))
    return ".".join(parts)


_HARD_ADDRESSES: list[Callable[[str, str], str]] = [
    lambda local, domain: f"{local}\uff20{domain}",
    lambda local, domain: f"{local}\ufe6b{domain}",
    lambda local, domain: f"{local}%40{domain}",
    lambda local, domain: f"{local}\\u0040{domain}",
    lambda local, domain: f"{local}&#64;{domain}",
    lambda local, domain: f"{local}&#x40;{domain}",
    lambda local, domain: f"{local} (at) {domain}",
    lambda local, domain: f"{local}[at]{domain}",
    lambda local, domain: f"{local} [AT] {domain.replace('.', ' [DOT] ')}",
    lambda local, domain: f"{local} {{at}} {domain.replace('.', ' {dot} ')}",
    lambda local, domain: f"{local} at {domain.replace('.', ' dot ')}",
    lambda local, domain: f"{local} AT {domain.replace('.', ' DOT ')}",
    lambda local, domain: f"{local}@\u200b{domain}",
    lambda local, domain: f"{local}\u00ad@{domain}",
    lambda local, domain: f"{local}@{domain}".replace(".", "\uff0e"),
    lambda local, _: f"{local}@b\u00fccher-ecke.de",
    lambda local, _: f"{local}@\u043f\u043e\u0447\u0442\u0430.\u0440\u0444",
    lambda _, domain: f"ren\u00e9e.m\u00fcller@{domain}",
    lambda _, domain: f'"{_FIRST[0]} {_LAST[0]}"@{domain}',
    lambda local, _: f"{local}@[203.0.113.77]",
]
_NO_ADDRESSES = [
    "uses: actions/setup-python@v5", "npm i left-pad@1.3.0 @scope/pkg@^2.0.1", "logo@3x.webp",
    "@dataclass\nclass A: ...", "scores = (q @ k.mT).softmax(-1)", "x = a@b", "hey @maeve, look",
    "@media (max-width: 60em) { a { b: c } }", "pip install tool@latest", "ssh deploy@build-7",
    "redis@sha256:9f86d081884c7d65", "3 x widget @ 4.50 each", "12@2.75", "me@localhost",
    "go get example.com/mod@v0.4.1", "@2024-05-01T10:00", "a@b.", "@example.com", "foo@", "w@h.T",
    "room @dave:matrix", "{{ user@ }}", "cpu@100%", "price@5.99", "@@ -1,4 +1,9 @@", "user@@host",
]  # fmt: skip


def _luhn(body: str) -> str:
    total = sum(
        sum(divmod(int(digit) * (2 if index % 2 == 0 else 1), 10))
        for index, digit in enumerate(reversed(body))
    )
    return body + str(-total % 10)


_ISSUED = [
    ("40", 16), ("45", 16), ("49", 13), ("4716", 19), ("51", 16), ("5399", 16), ("2223", 16),
    ("2719", 16), ("340", 15), ("377", 15), ("304", 14), ("361", 14), ("388", 14), ("6011", 16),
    ("6480", 16), ("655", 16), ("3530", 16), ("3588", 16), ("6212", 16), ("6250", 17),
    ("6283", 19), ("6763", 12), ("5020", 13), ("6759", 18), ("2204", 16), ("6521", 16),
    ("5067", 16),
]  # fmt: skip


def _card(seed: random.Random) -> str:
    prefix, length = seed.choice(_ISSUED)
    rest = "".join(seed.choice("0123456789") for _ in range(length - 1 - len(prefix)))
    return _luhn(prefix + rest)


def _grouped(card: str, gap: str) -> str:
    if len(card) == 15:
        return gap.join((card[:4], card[4:10], card[10:]))
    if len(card) == 14:
        return gap.join((card[:4], card[4:10], card[10:]))
    return gap.join(card[at : at + 4] for at in range(0, len(card), 4))


_ARABIC = str.maketrans(
    "0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669"
)
_WIDE = str.maketrans("0123456789", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19")
_HARD_CARDS: list[Callable[[str], str]] = [
    lambda card: _grouped(card, "."),
    lambda card: _grouped(card, "   "),
    lambda card: _grouped(card, " - "),
    lambda card: _grouped(card, "\u2011"),
    lambda card: _grouped(card, "\u2014"),
    lambda card: _grouped(card, "\u2212"),
    lambda card: _grouped(card, "\u00a0"),
    lambda card: _grouped(card, "\u202f"),
    lambda card: _grouped(card, "\u3000"),
    lambda card: _grouped(card, "\u2060"),
    lambda card: _grouped(card, "\u200d"),
    lambda card: _grouped(card, "_"),
    lambda card: _grouped(card, "/"),
    lambda card: _grouped(card, "\u00b7"),
    lambda card: _grouped(card, "%20"),
    lambda card: _grouped(card, "&nbsp;"),
    lambda card: _grouped(card, "\\u00a0"),
    lambda card: _grouped(card, "\t"),
    lambda card: _grouped(card, " ").replace(" ", "\r\n", 1),
    lambda card: _grouped(card, "-").translate(_WIDE),
    lambda card: card.translate(_ARABIC),
    " ".join,
    "-".join,
]


def _digits(seed: random.Random, among: str, count: int) -> str:
    return "".join(seed.choice(among) for _ in range(count))


def _no_cards(seed: random.Random) -> Iterator[str]:
    digits = partial(_digits, seed, "0123456789")
    yield f"at={seed.randint(1_500_000_000_000, 1_999_999_999_999)}ms"
    yield f"ns {seed.randint(1_500_000_000, 1_999_999_999)}{digits(9)}"
    yield f"span {uuid.UUID(int=seed.getrandbits(128), version=4)}"
    yield f"sha {hashlib.sha256(digits(9).encode()).hexdigest()}"
    yield f"pos {seed.random():.16f}, {seed.random() * 90:.14f}"
    yield f"EAN 40{digits(11)}"
    yield f"parcel 1Z{digits(3)}AA{digits(10)}"
    yield f"[{', '.join(digits(4) for _ in range(6))}]"
    yield f"{digits(4)},{digits(4)},{digits(4)},{digits(4)}"
    yield f"mean {digits(3)}.{digits(13)} max {digits(2)}.{digits(14)}"
    yield f"account 0{digits(9)} bank 70{digits(6)}"
    yield f"call +{seed.choice(['44', '49', '1', '81'])} {digits(3)} {digits(3)} {digits(4)}"
    yield f"2025-03-1{digits(1)} 1{digits(1)}:2{digits(1)}:3{digits(1)}.{digits(6)}"
    yield f"0x{seed.getrandbits(64):016x} and {seed.getrandbits(60)}e-3"
    yield f"seq {digits(24)}"
    yield f"order 9{digits(15)}"
    yield " ".join(str(seed.randint(1, 99)) for _ in range(30))
    yield f"v{digits(1)}.{digits(2)}.{digits(4)}-rc{digits(1)}+{digits(8)}.{digits(6)}"
    yield f"ids={seed.randint(10**17, 10**18 - 1)}"


def _iban(seed: random.Random) -> str:
    country, length = seed.choice([("DE", 22), ("AT", 20), ("ES", 24), ("PL", 28), ("PT", 25)])
    body = _digits(seed, "0123456789", length - 4)
    number = int(body + "".join(str(int(char, 36)) for char in country) + "00")
    return f"{country}{98 - number % 97:02}{body}"


def _ip(seed: random.Random) -> str:
    if seed.random() < 0.5:
        return str(ipaddress.IPv4Address(seed.getrandbits(32)))
    address = ipaddress.IPv6Address(seed.getrandbits(128))
    return str(address) if seed.random() < 0.7 else f"2001:db8::{seed.getrandbits(16):x}"


def _phone(seed: random.Random) -> str:
    d = partial(_digits, seed, "23456789")
    return seed.choice(
        [
            f"+1 ({d(3)}) {d(3)}-{d(4)}", f"{d(3)}.{d(3)}.{d(4)}", f"+44 7{d(3)} {d(6)}",
            f"0{d(3)} {d(3)} {d(4)}", f"+49 {d(3)} {d(7)}", f"+81-{d(2)}-{d(4)}-{d(4)}",
            f"+33{d(9)}", f"0{d(1)} {d(2)} {d(2)} {d(2)} {d(2)}", f"({d(3)}) {d(3)}-{d(4)} x{d(3)}",
            f"{d(3)} {d(3)} {d(4)}", f"+351 {d(3)} {d(3)} {d(3)}", f"0{d(2)}/{d(7)}",
        ]
    )  # fmt: skip


def _ssn(seed: random.Random) -> str:
    return f"{seed.randint(1, 665):03}-{seed.randint(1, 99):02}-{seed.randint(1, 9999):04}"


def _put(seed: random.Random, kind: str, value: str, tier: str, form: str) -> Labelled:
    before, after = seed.choice(SENTENCES).split("{}")
    before, after = before.replace("{{", "{"), after.replace("}}", "}")
    start = len(before)
    return Labelled(kind, f"{before}{value}{after}", ((start, start + len(value)),), tier, form)


def made_up(count: int = 400, seed: int = 11) -> list[Labelled]:
    """Return labelled texts, about `count` of each kind; the same for the same arguments."""
    chance = random.Random(seed)
    found = []
    for index in range(count):
        found.append(_put(chance, "email", f"{_local(chance)}@{_domain(chance)}", "core", "plain"))
        form = index % len(_HARD_ADDRESSES)
        address = _HARD_ADDRESSES[form](_local(chance).replace("'", ""), _domain(chance))
        found.append(_put(chance, "email", address, "hard", f"address {form}"))
        card = _card(chance)
        card = card if index % 3 == 0 else _grouped(card, " -"[index % 3 - 1])
        found.append(_put(chance, "credit_card", card, "core", "plain"))
        form = index % len(_HARD_CARDS)
        card = _HARD_CARDS[form](_card(chance))
        found.append(_put(chance, "credit_card", card, "hard", f"card {form}"))
        iban = _iban(chance)
        iban = iban if index % 2 else " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))
        found.append(_put(chance, "iban", iban, "core", "iban"))
        found.append(_put(chance, "ip", _ip(chance), "core", "ip"))
        found.append(_put(chance, "ssn", _ssn(chance), "core", "ssn"))
        found.append(_put(chance, "phone", _phone(chance), "core", "phone"))
    texts = [*_NO_ADDRESSES, *(text for _ in range(count // 8) for text in _no_cards(chance))]
    texts += [" ".join(chance.choices(_WORDS, k=30)) for _ in range(count // 8)]
    for kind in ("email", "credit_card", "iban", "ip", "ssn", "phone"):
        # "call +44 ..." is no card, and a telephone number.
        found += [
            Labelled(kind, text, (), "core", "none")
            for text in texts
            if not (kind == "phone" and text.startswith("call "))
        ]
    return found
