"""Answers as pages: the case, its notice, the models side by side with their marks, and what was written by hand."""

import html
from collections.abc import Sequence

import pandas as pd

from medinstruct.assist.asking import looked_at
from medinstruct.assist.cases import Case
from medinstruct.assist.checking import STYLE, checked
from medinstruct.assist.panels import Value
from medinstruct.assist.ranges import plain_unit
from medinstruct.assist.ways import WAYS
from medinstruct.records import Consultation

TOY = (
    "**The model on this page is a toy.** {what} Its words are noise in the shape of sentences; what can be judged here is what stands "
    "around them: the rules, the marks, the notices. With the profiles `local`, `colab`, `gpu` or `openai` a real model sits here."
)


def toy_notice(base_model: str, url: str = "", *, teacher_url: str = "") -> str:
    """The first line of the page where no real model answers, or was taught by none; "" elsewhere.

    >>> toy_notice("student")[:36], toy_notice("Qwen/Qwen3-8B")
    ('**The model on this page is a toy.**', '')
    """
    if url.partition("?")[0] == "offline":
        return TOY.format(
            what="It is the offline stand-in, which answers by rule from a small file."
        )
    if base_model == "student" and not url:
        return TOY.format(
            what="It is the tiny student of notebook 07, with about a million parameters."
        )
    if teacher_url.partition("?")[0] == "offline":
        return TOY.format(what="It is a real model, tuned on what the offline stand-in wrote.")
    return ""


def source_line(one: Consultation) -> str:
    """Which model, which data, whether cut: what every answer carries.

    >>> source_line(Consultation(way="results", case="x", question="?", model="tuned", text="…", dataset="529d"))
    'Model: tuned. Data: 529d. Whole.'
    """
    name = f"{one.model} ({one.provenance.model})" if one.provenance.model else one.model
    data = one.dataset if one.model != "base" else "none of ours"
    return f"Model: {name}. Data: {data or 'not known'}. {'Cut' if one.finish_reason == 'length' else 'Whole'}."


def case_html(case: Case, answers: Sequence[Consultation]) -> str:
    """One case: the emergency notice first, the case, then for each reader the models' answers side by side and the one by hand."""
    alarms = "".join(
        f'<p class="alarm" role="alert"><b>{html.escape(one.name.capitalize())}?</b> {html.escape(one.notice)}</p>'
        for one in checked(case.question, "", given=case.given).emergencies
    )
    asked = (
        f"<p><b>{html.escape(case.question)}</b></p><p class='text'>{html.escape(case.given)}</p>"
    )
    readers = "".join(_for_reader(case, answers, reader) for reader in case.readers)
    return f'{STYLE}<div class="assist">{alarms}<p><b>{html.escape(case.name)}</b></p>{asked}{readers}</div>'


def _for_reader(case: Case, answers: Sequence[Consultation], reader: str) -> str:
    ours = [
        one for one in answers if (one.way, one.case, one.reader) == (case.way, case.name, reader)
    ]
    cells = "".join(
        f'<div style="flex:1 1 20rem;min-width:0"><b>{html.escape(one.model)}</b>'
        f"{looked_at(one).without_alarm().html(source=source_line(one), style=False)}</div>"
        for one in ours
    )
    head = f"<p style='margin:1rem 0 .3rem'>For: <b>{html.escape(reader)}</b></p>" if reader else ""
    written = html.escape(case.written.get(reader, ""))
    hand = f"<details open><summary>By hand (not reviewed by clinicians)</summary><p class='text'>{written}</p></details>"
    return f'{head}<div style="display:flex;gap:.6rem;flex-wrap:wrap">{cells}</div>{hand if written else ""}'


def ways_html() -> str:
    """The five ways as a table: for whom the model writes, and what the clinician stays responsible for."""
    cell = '<td style="text-align:left;vertical-align:top">'
    heads = "".join(
        f'<th style="text-align:left">{name}</th>'
        for name in ("way", "written for", "the clinician stays responsible for")
    )
    rows = "".join(
        f"<tr>{cell}<b>{way.title}</b></td>{cell}{', '.join(way.readers) or 'the clinician'}</td>{cell}{way.responsibility}</td></tr>"
        for way in WAYS.values()
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def panel_table(values: Sequence[Value]) -> pd.DataFrame:
    """What the rules say of a panel, one row a value."""
    rows = [
        (one.analyte.name, f"{one.number:g}", one.unit, one.flag, range_said(one), one.note)
        for one in values
    ]
    return pd.DataFrame(
        rows, columns=["analyte", "value", "unit", "flag", "range", "note"]
    ).set_index("analyte")


def range_said(value: Value) -> str:
    """The reference range of a value in the unit that it was given in, or in the SI unit.

    >>> from medinstruct.assist.panels import read_panel
    >>> [range_said(one) for one in read_panel("glucose 100 mg/dL, CRP 3 mg/L")]
    ['70.3 to 101 mg/dL', 'up to 5 mg/L']
    """
    one = value.analyte
    same = [name for name in (one.si, *one.units) if plain_unit(name) == plain_unit(value.unit)]
    unit = same[0] if same and value.si is not None else one.si
    said = [
        _span(low and one.from_si(low, unit), high and one.from_si(high, unit))
        for low, high in value.limits
    ]
    names = ["women", "men"] if len(said) == 2 else [""]
    return "; ".join(
        f"{part} {unit} {name}".strip() for part, name in zip(said, names, strict=True)
    )


def _span(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"up to {high:.3g}" if low is None else f"from {low:.3g}"
    return f"{low:.3g} to {high:.3g}"
