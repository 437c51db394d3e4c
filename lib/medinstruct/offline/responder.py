"""Responder: the condition that a task is about, the facets it asks for, and the answer."""

import re
from functools import cache

from medinstruct import labels
from medinstruct.offline.knowledge import (
    FACETS,
    Condition,
    called,
    capital,
    conditions,
    listed,
    settings,
)
from medinstruct.offline.templates import facet_text

RULES = settings("responder")
LAY = "|".join(settings("writer")["lay_views"])
IS_LAY = re.compile(rf"\b({LAY}|public(?! health))\b", re.IGNORECASE)
OPTION = re.compile(r"^\(([A-E])\)\s*(.+?)\s*$", re.MULTILINE)
MAX_READ = 20_000  # characters of a text that are read
UNKNOWN = RULES["unknown"]


def answer(instruction: str, *, context: str = "", view: str = "", kind: str = "") -> str:
    """Return the answer to an instruction with its input, UNKNOWN outside the knowledge."""
    kind = labels.canonical("type", kind) or kind
    condition = subject(instruction, context)
    is_summary = kind == "summarization"
    if condition is None:
        return _shortened(context) if is_summary and context else UNKNOWN
    is_lay = bool(IS_LAY.search(view) or (not view and re.search(r"\b(my|me|I)\b", instruction)))
    facets = asked_facets(instruction, lay=is_lay, kind=kind)
    if is_summary:  # a summary adds nothing
        given = [facet for facet in FACETS if facet_text(condition, facet) in context]
        facets = sorted(given, key=lambda facet: facet not in facets)[:2] or facets
    is_rewrite = kind == "rewrite" and not re.search(RULES["colleagues"], instruction)
    plain = (is_lay and not is_summary) or kind == "chat" or is_rewrite
    texts = {facet: facet_text(condition, facet, plain=plain) for facet in facets}
    parts = [f"{RULES['heads'][facet]}: {text}" for facet, text in texts.items() if text]
    lead = _lead(condition, instruction, context, kind=kind, lay=is_lay)
    return " ".join([*lead, *parts])


def asked_facets(instruction: str, *, lay: bool = False, kind: str = "") -> list[str]:
    """Return at most three facets that an instruction asks for or its type implies."""
    text = instruction[:MAX_READ]
    patterns = RULES["asked"]
    named = [facet for facet in FACETS if re.search(patterns[facet], text, re.IGNORECASE)][:3]
    usual = RULES["usual"].get(kind, ["definition", "tests"])
    if lay and kind in ("", "open Q&A", "text generation", "single-hop reasoning"):
        usual = ["patient"]
    ordered = [*usual, *named[:1]] if kind in ("chat", "rewrite") else [*named, *usual]
    chosen = list(dict.fromkeys(ordered))[: 2 if kind == "summarization" else 3]
    facets = [facet for facet in FACETS if facet in chosen]
    return sorted(facets, key=lambda facet: facet != "patient") if lay else facets


def subject(instruction: str, context: str = "") -> Condition | None:
    """Return the condition that a task names or whose typical phrases it has, or None.

    The first name in the instruction counts most. Options name wrong conditions as well and do not
    count.
    """
    options_out = OPTION.sub("", context[:MAX_READ])
    text = re.sub(
        RULES["beside_the_subject"], "", f"{instruction[:MAX_READ]}\n{options_out}".lower()
    )
    pattern, owners = _names()
    points = [
        float(sum(weight for phrase, weight in phrases if phrase in text)) for phrases in _phrases()
    ]
    named = dict.fromkeys(owners[match.group()] for match in pattern.finditer(text))
    for rank, number in enumerate(named):
        points[number] += 1 if rank else 4
    best = max(range(len(points)), key=lambda number: (points[number], -number))
    return conditions()[best] if points[best] >= 1 else None


def _lead(c: Condition, instruction: str, context: str, *, kind: str, lay: bool) -> list[str]:
    """Return how an answer of this type begins: option, label, reasoning, or kind words."""
    if option := _chosen_option(context, c):
        return [f"The answer is {option}."]
    if kind == "classification":
        return _label(c, instruction, context)
    if kind == "multiple-hop reasoning":
        signs = [sign for sign in c.presentation if sign.lower() in instruction.lower()]
        first = f"Step 1, findings: {listed(signs or list(c.presentation[:2]))}."
        return [f"{first} Step 2, diagnosis: most likely {called(c.name)}. Step 3, what follows."]
    if kind == "single-hop reasoning":
        for mimic in c.differential:
            if mimic.feature.lower() in instruction.lower():
                return [f"This speaks against {called(c.name)} and for {called(mimic.condition)}."]
        return [f"This fits {called(c.name)}."]
    if kind == "chat":
        return ["I understand that this worries you, and it is good that you ask."]
    if kind == "USMLE-style Q&A" or re.search(r"\byear-old\b.*\bdiagnos", instruction):
        return [f"The most likely diagnosis is {called(c.name)}."]
    if kind == "text generation":
        return [f"About {called(c.name)}, for you:" if lay else f"{capital(called(c.name))}."]
    return []


def _label(c: Condition, instruction: str, context: str) -> list[str]:
    """Return the label of a case with its deciding finding, and the mark of the other label."""
    deciding = (test for test in c.tests if test.finding.lower() in context.lower())
    test = next(deciding, c.plain_tests[0])
    text = f"{instruction} {context}".lower()
    other = min(
        c.differential, key=lambda mimic: text.find(mimic.condition.lower()) % (len(text) + 1)
    )
    first = f"Label: {called(c.name)}. Deciding finding: {test.clause}."
    return [first, f"Against {called(other.condition)}: its mark would be {other.feature}."]


def _chosen_option(context: str, c: Condition) -> str:
    """Return the lettered option with the condition or one of its facts, "" without options."""
    options = {
        text.lower().rstrip("."): f"({letter}) {capital(text.rstrip('.'))}"
        for letter, text in reversed(OPTION.findall(context[:MAX_READ]))
    }
    facts = [c.name, c.drug.adverse_effect, c.drug.class_, *c.also, *c.causes, *c.treatment]
    facts += [test.finding for test in c.tests]
    return next((options[fact.lower()] for fact in facts if fact.lower() in options), "")


def _shortened(context: str) -> str:
    """Return the first and the longest sentence of a text outside the knowledge."""
    sentences = re.split(r"(?<=[.!?])\s+", context[:MAX_READ].strip())
    longest = max(range(len(sentences)), key=lambda n: len(sentences[n]))
    return " ".join(sentences[n] for n in sorted({0, longest}))


@cache
def _names() -> tuple[re.Pattern[str], dict[str, int]]:
    """Return a pattern of all names, longest first, and the number of each name's condition."""
    owners: dict[str, int] = {}
    for number, condition in enumerate(conditions()):
        for name in (condition.name, *condition.also):
            owners.setdefault(name.lower(), number)
    names = "|".join(map(re.escape, sorted(owners, key=len, reverse=True)))
    return re.compile(rf"(?<![\w-])(?:{names})(?![\w-])"), owners


@cache
def _phrases() -> list[dict[str, int]]:
    """Return for each condition its lower-case phrases with their weights."""
    rows = []
    for c in conditions():
        weak = [*c.presentation, *c.causes, *(test.finding for test in c.tests)]
        rows.append(
            [(c.typical_patient.lower(), 6)]
            + [(text.lower(), 4) for text in (c.mechanism, c.pearl, c.drug.use)]
            + [(text.lower(), 1) for text in weak]
        )
    return rows
