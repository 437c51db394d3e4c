"""All that rules can say of an answer, and the piece of HTML that shows it. The model's text is data: escaped, never obeyed."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from medinstruct.assist.agreeing import Agreement, agreement
from medinstruct.assist.claims import Conflict, conflicts
from medinstruct.assist.marking import Mark, marks
from medinstruct.assist.panels import Value, read_panel
from medinstruct.assist.plain import reading_grade
from medinstruct.assist.redflags import Emergency, emergencies
from medinstruct.assist.ways import NOTICE

# what a terminal would act on: ANSI sequences, control characters, and signs that turn or hide text
CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])?|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
STYLE = (
    "<style>.assist{border:1px solid #9aa4af;border-radius:6px;padding:.6rem .9rem;margin:.4rem 0;max-width:60rem}"
    ".assist .alarm{border-left:5px solid #d55e00;padding:.3rem .7rem;margin:0 0 .5rem}"
    ".assist .text{white-space:pre-wrap;margin:.3rem 0;overflow-wrap:anywhere}"
    ".assist mark{background:#f6d58a;color:#1b1f24;border-bottom:2px solid #d55e00;cursor:help}"
    ".assist mark.drug{background:#b9dcf2;border-bottom-color:#0072b2}.assist mark.conflict{background:#f3b999;font-weight:600}"
    ".assist .badge{border:1px solid currentColor;border-radius:4px;padding:0 .35rem;font-size:.85em}"
    ".assist .small{font-size:.85em;opacity:.85;margin:.25rem 0}</style>"
)


@dataclass(frozen=True)
class Checked:
    """A question and an answer with what the rules found; `html()` shows it."""

    question: str
    answer: str
    emergencies: tuple[Emergency, ...]
    marks: tuple[Mark, ...]
    conflicts: tuple[Conflict, ...]
    agreement: Agreement
    is_cut: bool
    grade: float

    @property
    def lines(self) -> list[str]:
        """What stands under the answer, as plain sentences."""
        found = ["Cut at the token limit: the end is missing."] if self.is_cut else []
        if not self.answer.strip():
            found.append("The model gave no answer.")
        found += [f"Against the values given: {one.reason}." for one in self.conflicts]
        if self.marks:
            kinds = {
                kind: sum(one.kind == kind for one in self.marks) for kind in ("number", "drug")
            }
            found.append(
                f"Not in what was given: numbers {kinds['number']}, drugs {kinds['drug']}; look them up."
            )
        found += [self.agreement.sentence] if self.agreement.score == self.agreement.score else []
        return found + (
            [f"Reading level: school grade {max(self.grade, 0):.0f}."]
            if self.grade == self.grade
            else []
        )

    def without_alarm(self) -> "Checked":
        """The same where no person stands behind the question, as in a quiz."""
        return replace(self, emergencies=())

    def html(self, *, source: str = "", style: bool = True) -> str:
        """The emergency notice first, then the answer with its marks, then what else was found, `source`, and the standing notice."""
        alarms = "".join(
            f'<p class="alarm" role="alert"><b>{_safe(one.name.capitalize())}?</b> {_safe(one.notice)} '
            f"<span class='small'>Found: {_safe(', '.join(one.words))}</span></p>"
            for one in self.emergencies
        )
        badge = ' <span class="badge">cut</span>' if self.is_cut else ""
        said = "".join(
            f'<p class="small">{_safe(line)}</p>' for line in [*self.lines, source, NOTICE] if line
        )
        return f'{STYLE if style else ""}<div class="assist">{alarms}<p class="text">{self._marked()}{badge}</p>{said}</div>'

    def _marked(self) -> str:
        """The answer escaped, its marks as <mark>; where two overlap, the one that begins first."""
        spans = [(one.start, one.end, one.kind, one.reason) for one in self.marks]
        spans += [
            (one.start, one.end, "conflict", one.reason)
            for one in self.conflicts
            if one.end > one.start
        ]
        parts, at = [], 0
        for start, end, kind, reason in sorted(
            spans, key=lambda span: (span[0], span[2] != "conflict")
        ):
            if start >= at:
                word = f'<mark class="{kind}" title="{_safe(reason)}">{_safe(self.answer[start:end])}</mark>'
                parts += [_safe(self.answer[at:start]), word]
                at = end
        return "".join([*parts, _safe(self.answer[at:])])


def checked(
    question: str,
    answer: str,
    *,
    cut: bool = False,
    samples: Sequence[str] = (),
    given: str = "",
    values: Sequence[Value] | None = None,
) -> Checked:
    """All checks of one answer. `given` is what the model was given beside the question; `samples` are further answers to it.

    >>> found = checked("Crushing chest pain in the left arm", "Take <b>aspirin</b> 300 mg", cut=True)
    >>> [one.name for one in found.emergencies], len(found.marks), "<b>aspirin" in found.html()
    (['heart attack'], 2, False)
    """
    question, answer, whole = clean(question), clean(answer), clean(f"{question}\n{given}")
    found = read_panel(whole) if values is None else list(values)
    told = [answer, *map(clean, samples)] if samples else []
    return Checked(
        question=question,
        answer=answer,
        emergencies=(*emergencies(whole), *criticals(found)),
        marks=tuple(marks(answer, whole)),
        conflicts=tuple(conflicts(answer, found)),
        agreement=agreement(told),
        is_cut=cut,
        grade=reading_grade(answer),
    )


def criticals(values: Sequence[Value]) -> list[Emergency]:
    """The critical values of a panel as one emergency, so that they stand first as well."""
    words = tuple(
        f"{one.analyte.name} {one.number:g} {one.unit}".strip()
        for one in values
        if one.flag.startswith("critical")
    )
    notice = "A laboratory telephones such values: look at the patient and the sample now, before any text is read."
    return [Emergency("critical value", words, notice)] if words else []


def clean(text: str) -> str:
    """A text without what a terminal or a page would act on: ANSI sequences, control characters, signs that turn the direction.

    >>> clean("\\x1b[31mred\\x1b[0m \\x07bell \\u202eback")
    'red bell back'
    """
    return CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _safe(text: str) -> str:
    return html.escape(clean(text), quote=True)
