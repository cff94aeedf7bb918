"""Errors that more than one layer knows."""


class ParseError(ValueError):
    """Bytes or text from outside are not of the form they must have. Costs the sender; never a traceback."""


def reason_of(error: Exception) -> str:
    """Return why something failed, for people: the words of a system error without its number and path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class OperatorError(Exception):
    """Something that the operator has to put right.

    The text is complete: what happened, with which value, and what to do. `cli` prints it as one line and
    ends with `exit_status`.
    """

    def __init__(self, message: str, exit_status: int = 2) -> None:
        super().__init__(message)
        self.exit_status = exit_status
