"""Which numbers are a card's: the prefixes and lengths of issuers, and the check digit.

Prefixes and lengths are those that the issuers publish; the check digit is Luhn's (ISO/IEC 7812-1).
"""

from __future__ import annotations

_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))

# (first prefix, last prefix, lengths): a number of any of them counts.
_ISSUERS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14, 16)),  # Diners Club
    ("3095", "3095", (14, 16)),
    ("36", "36", (14, 16)),
    ("38", "39", (14, 16)),
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "659", (16, 19)),
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("35", "35", (16,)),  # from which made-up numbers of theirs are drawn
    ("1800", "1800", (15,)),
    ("2131", "2131", (15,)),
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("81", "81", (16,)),  # UnionPay, RuPay
    ("5018", "5018", (12, 13, 14, 15, 16, 17, 18, 19)),  # Maestro
    ("5020", "5020", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("5038", "5038", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("5893", "5893", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6304", "6304", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("6759", "6763", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("67", "67", (12, 13, 14, 15, 16, 17, 18, 19)),
    ("56", "58", (16,)),
    ("6390", "6390", (16, 17, 18, 19)),
    ("5019", "5019", (16,)),  # Dankort
    ("2200", "2205", (16, 17, 18, 19)),  # Mir, Borica
    ("60", "60", (16,)),  # RuPay, Hipercard
    ("508", "508", (16,)),
    ("82", "82", (16,)),
    ("5041", "5041", (16,)),  # Elo
    ("5066", "5067", (16,)),
    ("509", "509", (16,)),
    ("6277", "6277", (16,)),
    ("6362", "6363", (16,)),
    ("5060", "5061", (16, 18, 19)),  # Verve
    ("637", "639", (16,)),  # InstaPayment, Hiper
    ("9792", "9792", (16,)),  # Troy
    ("9860", "9860", (16,)),  # Humo
    ("8600", "8600", (16,)),  # Uzcard
)


def _masks() -> list[int]:
    """Return, for each first four digits, the lengths that an issuer gives them, as bits."""
    masks = [0] * 10_000
    for low, high, lengths in _ISSUERS:
        bits = sum(1 << length for length in lengths)
        for prefix in range(int((low + "000")[:4]), int((high + "999")[:4]) + 1):
            masks[prefix] |= bits
    return masks


LENGTHS = _masks()  # by the first four digits; bit n says that n digits are a card's length


def is_card(digits: bytes) -> bool:
    """Say whether so many digits are a card: an issuer's prefix and length, and the check digit."""
    if not LENGTHS[int(digits[:4])] >> len(digits) & 1:
        return False
    plain, doubled = digits[-1::-2].translate(_VALUES), digits[-2::-2].translate(_DOUBLED)
    return not (sum(plain) + sum(doubled)) % 10
