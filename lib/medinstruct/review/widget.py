"""The review page: one widget where somebody sits before it, and a static page of the same items everywhere else."""

import os
from collections.abc import Sequence
from typing import Any

from medinstruct import paths, plotting
from medinstruct.review.cards import Card, printed
from medinstruct.review.session import Session
from medinstruct.review.store import Store


def desk(
    store: Store,
    cards: Sequence[Card],
    *,
    role: str = "reviewer",
    seed: int = 42,
    number: int = 0,
    votes: bool = True,
) -> Any:
    """The place where one person reviews: a widget on a live page, else the first `number` cards in print (0 for all).

    Without `votes` it is in print everywhere, as for a rehearsal.

    The page asks who reviews, or takes it from the environment variable `MEDINSTRUCT_REVIEWER`; a name is never put into the
    notebook.
    """
    if not (votes and plotting.live()):
        return Printed(cards, number)
    return panel(
        Session(
            store, cards, role=role, seed=seed, reviewer=os.environ.get("MEDINSTRUCT_REVIEWER", "")
        )
    )


def panel(session: Session) -> Any:
    """The widget over a session: the browser sends what was pressed and gets back what to show."""
    import anywidget
    import traitlets

    class Panel(anywidget.AnyWidget):
        """All texts are set as text nodes; the page knows no way to HTML."""

        _esm = paths.data("review_panel.js")
        _css = paths.data("review_panel.css")
        view = traitlets.Dict().tag(sync=True)

    made = Panel(view=session.view())

    def heard(_: Any, message: Any, __: Any) -> None:
        made.view = session.act(message if isinstance(message, dict) else {})
        made.send({"done": True})  # also when the view is the same as before

    made.on_msg(heard)
    return made


class Printed:
    """The cards in print; the page is not live, so nobody can vote on it."""

    def __init__(self, cards: Sequence[Card], number: int) -> None:
        self.cards, self.number = list(cards), number

    def _repr_html_(self) -> str:
        return printed(self.cards, number=self.number)

    def __repr__(self) -> str:
        return f"{len(self.cards)} items to review; open this notebook in JupyterLab to vote"
