"""Responder: the condition that a task is about, the facets it asks for, and the answer."""

import re
from functools import cache

from medinstruct import labels
from medinstruct.offline.knowledge import FACETS, Condition, capital, conditions, listed, settings
from medinstruct.offline.templates import Filler, facet_text, facts

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
    return " ".join([*_lead(condition, instruction, context, kind=kind, lay=is_lay), *parts])


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
    text = f"{instruction[:MAX_READ]}\n{options_out}".lower()
    text = re.sub(RULES["beside_the_subject"], "", text)
    pattern, owners = _names()
    points = [sum(weight for phrase, weight in row if phrase in text) for row in _phrases()]
    named = dict.fromkeys(owners[match.group()] for match in pattern.finditer(text))
    for rank, number in enumerate(named):
        points[number] += 1 if rank else 4
    best = max(range(len(points)), key=lambda number: (points[number], -number))
    return conditions()[best] if points[best] >= 1 else None


def _lead(c: Condition, instruction: str, context: str, *, kind: str, lay: bool) -> list[str]:
    """Return how an answer of this type begins: option, label, reasoning, or kind words."""
    text, case = instruction.lower(), f"{instruction} {context}".lower()
    values = {"option": _chosen_option(context, c)}
    if values["option"]:
        kind = "option"
    elif kind == "classification":
        deciding = (test for test in c.tests if test.finding.lower() in context.lower())
        values["test"] = next(deciding, c.plain_tests[0])
        mimics = {case.find(m.condition.lower()) % (len(case) + 1): m for m in c.differential[::-1]}
        values["other"] = mimics[min(mimics)]
    elif kind == "multiple-hop reasoning":
        signs = [sign for sign in c.presentation if sign.lower() in text]
        values["signs"] = listed(signs or c.presentation[:2])
    elif kind == "single-hop reasoning":
        values["other"] = next((m for m in c.differential if m.feature.lower() in text), None)
        kind = kind if values["other"] else "fit"
    elif kind == "text generation":
        kind = "text generation, lay" if lay else kind
    elif kind != "chat" and re.search(r"\byear-old\b.*\bdiagnos", instruction):
        kind = "USMLE-style Q&A"
    lead = RULES["leads"].get(kind)
    return [Filler().vformat(lead, (), {**facts(c), **values})] if lead else []


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
def _phrases() -> list[list[tuple[str, int]]]:
    """Return for each condition its lower-case phrases with their weights."""
    rows = []
    for c in conditions():
        weak = [*c.presentation, *c.causes, *(test.finding for test in c.tests)]
        strong = (c.mechanism, c.pearl, c.drug.use)
        weights = {c.typical_patient: 6, **dict.fromkeys(strong, 4)}
        rows.append([(text.lower(), n) for text, n in [*weights.items(), *((w, 1) for w in weak)]])
    return rows
