"""Responder: answers to tasks, verdicts on two answers, grades by a criterion."""

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache, lru_cache
from random import Random

from medinstruct import labels, paths
from medinstruct.offline import knowledge
from medinstruct.offline.knowledge import FACETS, Condition, conditions, facet_text

RULES, GRADING = paths.load("offline/responder"), paths.load("offline/grader")
LAY = "|".join(paths.load("offline/writer")["lay_views"])
IS_LAY = re.compile(rf"\b({LAY}|public(?! health))\b", re.IGNORECASE)
MAX_READ = 20_000  # characters of a text that are read
UNKNOWN = RULES["unknown"]
MARGIN = 0.01
TRUNCATED = 0.5  # weight of an answer that stops in the middle of a sentence


@lru_cache(maxsize=1024)  # a judge is asked about each question in several pairs and orders
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
    named = [facet for facet in FACETS if re.search(RULES["asked"][facet], text, re.IGNORECASE)][:3]
    usual = RULES["usual"].get(kind, ["definition", "tests"])
    if lay and kind in ("", "open Q&A", "text generation", "single-hop reasoning"):
        usual = ["patient"]
    ordered = [*usual, *named[:1]] if kind in ("chat", "rewrite") else [*named, *usual]
    chosen = list(dict.fromkeys(ordered))[: 2 if kind == "summarization" else 3]
    facets = [facet for facet in FACETS if facet in chosen]
    return sorted(facets, key=lambda facet: facet != "patient") if lay else facets


def subject(instruction: str, context: str = "") -> Condition | None:
    """Return the condition that a task names, the first first, or whose phrases it has, or None."""
    options_out = re.sub(RULES["option"], "", context[:MAX_READ])
    text = f"{instruction[:MAX_READ]}\n{options_out}".lower()
    text = re.sub(RULES["beside_the_subject"], "", text)
    pattern, owners = _names()
    points = [sum(weight for phrase, weight in row if phrase in text) for row in _phrases()]
    named = dict.fromkeys(owners[match.group()] for match in pattern.finditer(text))
    for rank, number in enumerate(named):
        points[number] += 1 if rank else 4
    best = points.index(max(points))
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
        other = mimics[min(mimics)]
        values |= {"other": knowledge.called(other.condition), "mark": other.feature}
    elif kind == "multiple-hop reasoning":
        signs = [sign for sign in c.presentation if sign.lower() in text]
        values["signs"] = knowledge.listed(signs or c.presentation[:2])
    elif kind == "single-hop reasoning":
        mimics = [m.condition for m in c.differential if m.feature.lower() in text]
        kind = kind if mimics else "fit"
        values |= {"other": knowledge.called(mimics[0])} if mimics else {}
    elif kind == "text generation":
        kind = "text generation, lay" if lay else kind
    elif kind != "chat" and re.search(r"\byear-old\b.*\bdiagnos", instruction):
        kind = "USMLE-style Q&A"
    lead = RULES["leads"].get(kind)
    return [knowledge.Filler().format(lead, **knowledge.facts(c) | values)] if lead else []


def _chosen_option(context: str, c: Condition) -> str:
    """Return the lettered option with the condition or one of its facts, "" without options."""
    options = {
        text.lower().rstrip("."): f"({letter}) {knowledge.capital(text.rstrip('.'))}"
        for letter, text in reversed(re.findall(RULES["option"], context[:MAX_READ]))
    }
    known = [c.name, c.drug.adverse_effect, c.drug.class_, *c.also, *c.causes, *c.treatment]
    known += [test.finding for test in c.tests]
    return next((options[fact.lower()] for fact in known if fact.lower() in options), "")


def _shortened(context: str) -> str:
    """Return the first and the longest sentence of a text outside the knowledge."""
    first, *rest = re.split(r"(?<=[.!?])\s+", context[:MAX_READ].strip())
    longest = max([first, *rest], key=len)
    return first if longest == first else f"{first} {longest}"


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
        phrases = [c.typical_patient, c.mechanism, c.pearl, c.drug.use, *weak]
        rows.append([*zip(map(str.lower, phrases), [6, 4, 4, 4, *[1] * len(weak)], strict=True)])
    return rows


def winner(question: str, first: str, second: str, *, wording: str = "") -> str:
    """Return "a", "b" or "tie" in any order of the answers; a tie outside the knowledge."""
    own, policies = answer(question), GRADING["policies"].items()
    lacking = next((weight for phrase, weight in policies if phrase in wording), 1.0)
    gap = _score(first, own, lacking) - _score(second, own, lacking)
    if own == UNKNOWN or abs(gap) < MARGIN:
        return "tie"
    return "a" if gap > 0 else "b"


def verdict(
    question: str, first: str, second: str, *, chance: Random, rate: Mapping, wording: str = ""
) -> str:
    """Return a judge's reply, with its failures; the `wording` may ask for [[A]], with reasons."""
    replies, own = GRADING["replies"], answer(question)
    choice = "a" if chance.random() < rate["first_wins"] else None
    choice = choice or winner(question, first, second, wording=wording)
    if rate["longer_wins"] and chance.random() < rate["longer_wins"]:
        choice = "a" if len(first.split()) >= len(second.split()) else "b"
    if chance.random() < rate["unclear"]:
        return replies["unclear"]
    if "[[A]]" in wording:
        a, b = (round(100 * overlap(text, own)) for text in (first, second))
        return replies["bracketed"].format(a=a, b=b, letter={"a": "A", "b": "B"}.get(choice, "C"))
    if chance.random() >= rate["explained"]:
        return replies[choice]
    if choice != "tie":
        return f"{replies[choice]} {replies['because']}"
    return replies["unknown" if own == UNKNOWN else "equal"]


def grade(text: str, criterion: str) -> str:
    """Return whether half of a criterion's content words are in an answer."""
    wanted = set(_words(criterion)) - set(GRADING["criterion_words"])
    is_met = wanted and len(wanted & set(_words(text))) >= 0.5 * len(wanted)
    return "Met" if is_met else "Not met"


def overlap(text: str, own: str, lacking: float = 1.0) -> float:
    """Return F of the content words of two texts; F1, or with another weight of words lacking."""
    a, b = _words(text), _words(own)
    shared = (a & b).total()
    return (1 + lacking) * shared / (a.total() + lacking * b.total()) if shared else 0.0


def _score(text: str, own: str, lacking: float) -> float:
    is_whole = text.rstrip().rstrip("*_`)\"'").endswith((".", "!", "?", ":", "</s>"))
    return overlap(text, own, lacking) * (1.0 if is_whole else TRUNCATED)


def _words(text: str) -> Counter[str]:
    words = re.findall(r"[a-z0-9]+", text[:MAX_READ].lower())
    return Counter(word for word in words if word not in GRADING["stop_words"])
