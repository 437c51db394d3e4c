"""Read the tasks behind any bar: a filter with a search box where the page is live, the first tasks as a table elsewhere."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medinstruct import plotting

if TYPE_CHECKING:
    import pandas as pd

ALL = "(all)"
AXES = ("topic", "type", "view", "difficulty", "verb")
CARD = "border-left:4px solid #0072B2;padding:.3em .8em;margin:.6em 0;overflow-wrap:anywhere"
LONGEST = 1500


def matching(frame: "pd.DataFrame", *, search: str = "", **labels: Any) -> "pd.DataFrame":
    """The tasks that carry all the labels given (topic, type, view, difficulty, verb) and hold every word searched for.

    Labels are compared as text; "(all)" or nothing leaves an axis open; upper and lower case are alike.
    """
    found = frame
    for axis, label in labels.items():
        column = axis if axis == "verb" else f"{axis}_of"
        if label not in (ALL, "", None) and column in found:
            found = found[found[column].astype(str) == str(label)]
    if search.strip() and len(found):
        text = (found["instruction"] + "\n" + found["input"] + "\n" + found["output"]).str.lower()
        for word in search.lower().split():
            found = found[text.loc[found.index].str.contains(word, regex=False)]
    return found


def cards(frame: "pd.DataFrame", *, start: int = 0, number: int = 5) -> str:
    """Some tasks as HTML; whatever stands in the data is escaped, and long texts are cut."""
    parts = [_card(row) for row in frame.iloc[start : start + number].to_dict("records")]
    first = min(start + 1, len(frame))
    head = f"<p>{first} to {min(start + number, len(frame))} of {len(frame):,} tasks</p>"
    return f"<div>{head}{''.join(parts)}</div>"


def _card(row: dict[str, Any]) -> str:
    tags = " · ".join(
        str(row.get(axis) or row.get(f"{axis}_of") or "") for axis in ("type", "topic", "view")
    )
    level = f" · level {row['difficulty_of']}" if isinstance(row.get("difficulty_of"), int) else ""
    texts = [("", row["instruction"]), ("Input: ", row["input"]), ("Response: ", row["output"])]
    body = "".join(f"<p><b>{name}</b>{_escaped(text)}</p>" for name, text in texts if text)
    return f'<div style="{CARD}"><small>{_escaped(tags + level)}</small>{body}</div>'


def _escaped(text: str) -> str:
    return html.escape(text if len(text) <= LONGEST else text[:LONGEST] + "…").replace("\n", "<br>")


def choices(frame: "pd.DataFrame", axis: str, *, most: int = 200) -> list[tuple[str, str]]:
    """What a menu offers: every label with its number of tasks, the most frequent first."""
    column = axis if axis == "verb" else f"{axis}_of"
    found = frame[column].astype(str).value_counts() if column in frame else {}
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [
        (f"{ALL} {axis}", ALL),
        *((f"{plotting.short(name)} ({n:,})", name) for name, n in ranked),
    ]


def browse(
    frame: "pd.DataFrame", *, pairs: Sequence[tuple[str | None, str | None]] = (), number: int = 3
) -> Any:
    """A widget that filters, searches and pages through the tasks; on a page that is not live, the first tasks as they are."""
    table = frame.assign(verb=[verb or "(none)" for verb, _ in pairs]) if pairs else frame
    return _widget(table, number) if plotting.live() else Cards(table, number)


class Cards:
    """The first tasks, for print and exports."""

    def __init__(self, frame: "pd.DataFrame", number: int) -> None:
        self.frame, self.number = frame, number

    def _repr_html_(self) -> str:
        return cards(self.frame, number=self.number)

    def __repr__(self) -> str:
        return f"the first {min(self.number, len(self.frame))} of {len(self.frame)} tasks"


def _widget(frame: "pd.DataFrame", number: int) -> Any:
    """Menus, a search box, two buttons and the page; one function shows what they say."""
    import ipywidgets as widgets

    menus = {
        axis: widgets.Dropdown(options=choices(frame, axis), value=ALL, layout={"width": "15em"})
        for axis in AXES
    }
    search = widgets.Text(placeholder="search the texts", continuous_update=False)
    back, on = widgets.Button(description="previous"), widgets.Button(description="next")
    page, start = widgets.HTML(), widgets.IntText(value=0)

    def found() -> "pd.DataFrame":
        return matching(
            frame, search=search.value, **{axis: menu.value for axis, menu in menus.items()}
        )

    def show(_: Any = None) -> None:
        shown = found()
        page.value = cards(shown, start=start.value, number=number)
        back.disabled, on.disabled = start.value == 0, start.value + number >= len(shown)

    def turn(pages: int) -> None:
        start.value = max(0, start.value + pages * number)
        show()

    def anew(_: Any) -> None:
        start.value = 0
        show()

    for control in (*menus.values(), search):
        control.observe(anew, names="value")
    back.on_click(lambda _: turn(-1))
    on.on_click(lambda _: turn(1))
    show()
    row = widgets.HBox(list(menus.values()), layout={"flex_flow": "row wrap"})
    return widgets.VBox([row, widgets.HBox([search, back, on]), page])
