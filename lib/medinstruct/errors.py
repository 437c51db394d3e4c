"""Errors: the one error that a user meets."""


class UserError(Exception):
    """A mistake that the user can correct: what is wrong, what was got, what to do."""

    def __init__(self, what: str, *, got: object = None, do: str = "") -> None:
        self.what, self.got, self.do = what, got, do
        lines = [what]
        lines += [f"  got: {got}"] if got is not None else []
        lines += [f"  do:  {do}"] if do else []
        super().__init__("\n".join(lines))

    def _render_traceback_(self) -> list[str]:
        """Return what IPython prints instead of a traceback."""
        return [f"UserError: {self}"]
