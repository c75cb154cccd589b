"""Small parts of the sentences of a methods section."""

from collections.abc import Iterable

from chest_transfer.reporting.wording import STARTS


def start_in_methods(name: str) -> str:
    """Return what a network was initialized with."""
    if name in ("phantom", "imagenet"):
        return f"weights pretrained on {STARTS[name]}"
    return STARTS.get(name, name)


def count(number: float, what: str) -> str:
    """Return a number of things, such as `1 epoch` or `3 epochs`."""
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def cite(*keys: str) -> str:
    """Return a citation of references by their keys, as Pandoc writes it; empty without any."""
    return f"[{'; '.join(f'@{key}' for key in keys if key)}]" if any(keys) else ""


def enumeration(words: Iterable[str], word: str = "and") -> str:
    """Return words as `a, b and c`."""
    *others, last = words
    return f"{', '.join(others)} {word} {last}" if others else last
