"""What a card can be refused for."""

from hubmem.errors import UsageError


class CardRefused(UsageError):
    """A card that cannot be read, or whose section cannot be told from the rest; the card is left as it is.

    Attributes:
        line: where, counted from 1, or 0 where no line is to blame.
    """

    def __init__(self, message: str, *, line: int = 0, hint: str = "") -> None:
        super().__init__(f"line {line}: {message}" if line else message, hint=hint)
        self.line = line
