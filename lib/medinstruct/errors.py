"""The one error a user meets: what is wrong, what was got, what to do."""


class UserError(Exception):
    """A mistake that the user can repair, told in one message and never as a traceback.

    >>> print(UserError("The seed file is not there.", got="seds.json", do="Check the parameter `seeds`."))
    The seed file is not there.
      got: seds.json
      do:  Check the parameter `seeds`.
    """

    def __init__(self, what: str, *, got: object = None, do: str = "") -> None:
        self.what, self.got, self.do = what, got, do
        lines = [what]
        lines += [f"  got: {got}"] if got is not None else []
        lines += [f"  do:  {do}"] if do else []
        super().__init__("\n".join(lines))

    def _render_traceback_(self) -> list[str]:
        """What IPython prints in place of a traceback."""
        return [f"UserError: {self}"]
