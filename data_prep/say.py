"""What a command tells the person who runs it, on standard error."""

from rich.console import Console

console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line on stderr, as it is."""
    console.print(text, soft_wrap=True, markup=False, emoji=False)
