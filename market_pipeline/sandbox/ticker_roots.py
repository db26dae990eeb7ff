"""Roots of generated tickers: three or four letters, all different, the same for a slot and number in any market.

No root ends in A, R, U or W. So a root with one of the suffixes of preferreds, rights, units and warrants, or with
their capitals, is never another root.
"""

from string import ascii_uppercase

LAST_LETTERS = "".join(letter for letter in ascii_uppercase if letter not in "ARUW")
FIRST_LETTERS = "".join(letter for letter in ascii_uppercase if letter != "X")
THREE_LETTERS = len(FIRST_LETTERS) * 26 * len(LAST_LETTERS)
FOUR_LETTERS = 26 * THREE_LETTERS

LIVELY_SLOTS = 40
"""Slots whose companies change twenty times as often, so that a small market has every kind of change in two years."""

LIVELY_NAMES, NAMES = 128, 16
"""The most names of a lively slot, and of another one."""

SPREAD = 7_919
"""A prime by which neighbouring slots get distant names."""

TAKEN = "XX"
"""Appended to a root that is a real ticker of the sandbox."""


def name_root(slot: int, number: int, taken: frozenset[str]) -> str:
    """Return a slot's root of that number; its first has three letters, later ones have four."""
    if number == 0 and slot < THREE_LETTERS:
        root = _spell(slot * SPREAD % THREE_LETTERS, 3)
    else:
        place = slot * LIVELY_NAMES if slot < LIVELY_SLOTS else LIVELY_SLOTS * LIVELY_NAMES + slot * NAMES
        root = _spell((place + number) * SPREAD % FOUR_LETTERS, 4)
    return root + TAKEN if root in taken else root


def _spell(number: int, length: int) -> str:
    number, last = divmod(number, len(LAST_LETTERS))
    middle = ""
    for _ in range(length - 2):
        number, letter = divmod(number, 26)
        middle += ascii_uppercase[letter]
    return FIRST_LETTERS[number] + middle + LAST_LETTERS[last]
