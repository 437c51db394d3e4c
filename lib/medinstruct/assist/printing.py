"""A conversation in print: one static page of HTML, everything escaped, the emergency first, marks and their reasons readable."""

import html
from collections.abc import Sequence
from typing import Any

from medinstruct.assist.live import Live, shown
from medinstruct.assist.ways import NOTICE, WAYS

STYLE = """<style>
.talk{--line:#9aa4af;max-width:64rem;font-size:.95em;line-height:1.5}
.talk .ask{margin:.9rem 0 .6rem auto;width:fit-content;max-width:85%;padding:.5rem .9rem;border:1px solid #0072b2;border-radius:14px 14px 3px 14px;
background:rgba(0,114,178,.09);white-space:pre-wrap;overflow-wrap:anywhere}
.talk .alarm{border:1px solid #d55e00;border-left-width:6px;border-radius:6px;background:rgba(213,94,0,.1);padding:.5rem .8rem;margin:.5rem 0}
.talk .both{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:.8rem}
.talk .one{border:1px solid var(--line);border-radius:10px;padding:.6rem .9rem;min-width:0}
.talk .said{white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0}
.talk .small{font-size:.82em;opacity:.82;margin:.15rem 0}
.talk .badge{border:1px solid #d55e00;border-radius:9px;padding:0 .5rem;font-size:.8em;margin-left:.4rem}
.talk mark{color:inherit;background:rgba(230,159,0,.28);border-bottom:2px solid #e69f00}
.talk mark.drug{background:rgba(86,180,233,.3);border-bottom-color:#0072b2}
.talk mark.conflict{background:rgba(213,94,0,.3);border-bottom-color:#d55e00;font-weight:600}
</style>"""


def printed(turns: Sequence[Live], *, about: str = "") -> str:
    """Turns as one piece of HTML."""
    parts = [_turn(shown(live, feedback={})) for live in turns] or ["<p>Nothing was said yet.</p>"]
    foot = f'<p class="small">{_safe(NOTICE)}</p>'
    return (
        f'{STYLE}<div class="talk"><p class="small">{_safe(about)}</p>{"".join(parts)}{foot}</div>'
    )


def _turn(turn: dict[str, Any]) -> str:
    way = WAYS[turn["way"]].title if turn["way"] in WAYS else ""
    head = f'<div class="small"><b>{_safe(way)}</b></div>' if way else ""
    alarms = "".join(
        f'<div class="alarm" role="alert"><b>{_safe(one["name"].capitalize())}?</b> {_safe(one["notice"])} '
        f'<span class="small">Found by rule: {_safe(one["words"])}</span></div>'
        for one in turn["alarms"]
    )
    answers = "".join(map(_answer, turn["answers"]))
    return f'<div class="ask">{head}{_safe(turn["question"]["text"])}</div>{alarms}<div class="both">{answers}</div>'


def _answer(answer: dict[str, Any]) -> str:
    badge = f'<span class="badge">{_safe(answer["badge"])}</span>' if answer["badge"] else ""
    lines = [answer["about"], answer["data"], answer["trouble"], answer["ended"], *answer["lines"]]
    lines += [answer["agreement"]["text"]] if answer["agreement"] else []
    small = "".join(f'<p class="small">{_safe(line)}</p>' for line in lines if line)
    rest = f" <i>… {answer['length']:,} characters in all</i>" if answer["cut"] else ""
    return f'<div class="one"><b>{_safe(answer["name"])}</b>{badge}<div class="said">{_marked(answer)}{rest}</div>{small}</div>'


def _marked(answer: dict[str, Any]) -> str:
    text, parts, at = answer["text"], [], 0
    for start, end, kind, reason in answer["spans"]:
        parts += [
            _safe(text[at:start]),
            f'<mark class="{_safe(kind)}" title="{_safe(reason)}">{_safe(text[start:end])}</mark>',
        ]
        at = end
    return "".join([*parts, _safe(text[at:])])


def _safe(text: str) -> str:
    return html.escape(str(text), quote=True)
