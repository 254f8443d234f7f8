"""The one exception for what a user can cause. Its text is one line: what was wrong, where, what to do."""

from collections.abc import Iterable


class LettergpuError(Exception):
    """The command line prints it as `error: ...` and exits with 2."""


def one_of(option: str, value: str, choices: Iterable[str]) -> None:
    """Raises LettergpuError, which tells the choices, where a value is none of them."""
    names = list(choices)
    if value not in names:
        raise LettergpuError(f"{option} {brief(value)}: choose one of {', '.join(names)}")


def brief(said: object, most: int = 100) -> str:
    """What an error quotes of a file, or of another's error about it: a line of at most so many characters."""
    try:
        text = str(said)
    except ValueError:  # a whole number of more digits than Python writes
        text = "a huge number"
    text = text if len(text) <= most else f"{text[:most]}..."
    return "".join(character if character.isprintable() else " " for character in text)
