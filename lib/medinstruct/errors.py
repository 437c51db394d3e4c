"""Errors: the one error that a user meets."""

from collections.abc import Iterable


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


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise unless `value` is one of the parameter's choices."""
    if value not in (names := list(choices)):
        do = f"Choose from {', '.join(filter(None, map(str, names)))}."
        raise UserError(f"`{name}` has an unknown value.", got=value, do=do)
