"""Reading single comparisons: the question, both answers, both verdicts and why; a widget, and the same as plain HTML."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from medinstruct.evaluation.items import question
from medinstruct.records import TestItem, Verdict

MOST = 6000  # characters of one text that are shown
WORDS = {
    "model": "the model wins",
    "reference": "the reference wins",
    "tie": "tie",
    None: "could not be read",
}
PLACES = {"model_first": "model first", "reference_first": "reference first"}


def comparison_html(
    item: TestItem, verdicts: Sequence[Verdict], texts: Mapping[str, Mapping[str, str]]
) -> str:
    """One comparison as HTML; whatever people or models wrote is escaped. `verdicts` are those on one model and reference."""
    model, reference = verdicts[0].model, verdicts[0].reference
    answers = "".join(
        f'<td style="width:50%;vertical-align:top;text-align:left;white-space:pre-wrap"><b>{_safe(name)}</b>\n'
        f"{_safe(texts.get(name, {}).get(item.id, '(not at hand)')) or '<i>(empty)</i>'}</td>"
        for name in (model, reference)
    )
    said = "".join(
        f'<li><b>{PLACES[v.order]}: {WORDS[v.winner]}</b> <span style="opacity:.7">{_safe(v.judge)}</span>'
        f'<div style="white-space:pre-wrap;opacity:.85">{_safe(v.reply)}</div></li>'
        for v in verdicts
    )
    known = " · ".join(
        _safe(str(one))
        for one in (
            item.type,
            item.topic,
            item.view,
            item.difficulty and f"level {item.difficulty}",
        )
        if one
    )
    return (
        f'<div><p style="white-space:pre-wrap"><b>{_safe(question(item))}</b><br><small>{known}</small></p>'
        f'<table style="width:100%;table-layout:fixed"><tr>{answers}</tr></table><ul>{said}</ul></div>'
    )


def reader(
    items: Sequence[TestItem], verdicts: Sequence[Verdict], texts: Mapping[str, Mapping[str, str]]
) -> Any:
    """A widget to leaf through all comparisons: choose model and reference, show all or only what was lost, won or inconsistent."""
    import ipywidgets as widgets

    pairs = list(dict.fromkeys((v.model, v.reference) for v in verdicts))
    choice = widgets.Dropdown(
        options=[(f"{m} against {r}", (m, r)) for m, r in pairs], description="Pair"
    )
    only = widgets.Dropdown(
        options=["all", "lost", "won", "orders disagree", "unreadable"], description="Show"
    )
    place = widgets.BoundedIntText(value=1, min=1, max=1, description="Number")
    count, page = widgets.Label(), widgets.HTML()

    def redraw(_: Any = None) -> None:
        found = comparisons(items, verdicts, *choice.value, only=only.value) if choice.value else []
        place.max = max(len(found), 1)
        count.value = f"of {len(found)}"
        page.value = (
            comparison_html(*found[min(place.value, len(found)) - 1], texts)
            if found
            else "<p>Nothing of this kind.</p>"
        )

    for one in (choice, only, place):
        one.observe(redraw, names="value")
    redraw()
    return widgets.VBox([widgets.HBox([choice, only, place, count]), page])


def comparisons(
    items: Sequence[TestItem],
    verdicts: Sequence[Verdict],
    model: str,
    reference: str,
    *,
    only: str = "all",
) -> list[tuple[TestItem, list[Verdict]]]:
    """The comparisons of a model with a reference, each with its verdicts; all of them or one kind."""
    by_item: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if (verdict.model, verdict.reference) == (model, reference):
            by_item.setdefault(verdict.id, []).append(verdict)
    kinds = {
        "all": lambda winners: True,
        "lost": lambda winners: winners == {"reference"},
        "won": lambda winners: winners == {"model"},
        "orders disagree": lambda winners: len(winners) > 1,
        "unreadable": lambda winners: None in winners,
    }
    return [
        (item, by_item[item.id])
        for item in items
        if item.id in by_item and kinds[only]({v.winner for v in by_item[item.id]})
    ]


def _safe(text: str) -> str:
    return html.escape(text if len(text) <= MOST else f"{text[:MOST]} [...]")
