"""Responder: answers to tasks, verdicts on two answers, grades by a criterion."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from random import Random
from typing import Any

from medinstruct import labels
from medinstruct.offline import knowledge
from medinstruct.offline.knowledge import FACETS, Condition, conditions, facet_text, swapped, texts

RULES, GRADING = texts("responder"), texts("grader")
FORMS = texts("styles").values()
SWAPS = {short: word for form in FORMS for word, short in form.get("swaps", {}).items()}
LAY = "|".join(texts("writer")["lay_views"])
IS_LAY = re.compile(rf"\b({LAY}|public(?! health))\b", re.IGNORECASE)
MAX_READ = 20_000  # characters of a text that are read
UNKNOWN = RULES["unknown"]
MARGIN = 0.01
TRUNCATED = 0.5  # weight of an answer that stops in the middle of a sentence


@lru_cache(maxsize=1024)  # a judge is asked about each question in several pairs and orders
def answer(instruction: str, *, context: str = "", view: str = "", kind: str = "") -> str:
    """Return the answer in the language of an instruction; `unknown` outside the knowledge."""
    kind, rules = labels.canonical("type", kind) or kind, rules_for(instruction)
    swaps = {} if knowledge.language_of(instruction) else SWAPS
    instruction, context = (swapped(text[:MAX_READ], swaps) for text in (instruction, context))
    c = subject(instruction, context)
    if c is None:
        is_given = kind == "summarization" and context
        return knowledge.cut(context, 40) if is_given else rules["unknown"]
    is_lay = bool(IS_LAY.search(view) or (not view and re.search(rules["own"], instruction)))
    request = " ".join([instruction, *re.findall(rules["asks"], context)])
    plain = (is_lay and kind != "summarization") or kind == "chat"
    extras, rest = _extras(c, request, lay=is_lay or plain)
    named, usual = asked_facets(rest, lay=plain, kind=kind)
    words, sentences = (re.search(pattern, instruction) for pattern in rules["sizes"])
    limit = int(words[1]) if words else MAX_READ
    count = rules["numbers"][sentences[1]] if sentences else 0
    if kind == "rewrite" and context:
        return " ".join([_reworded(c, context, request), *extras])
    if kind == "summarization" and context:
        given = (facet for facet in FACETS if facet_text(c, facet) in context)
        given = sorted(given, key=lambda facet: facet not in named)
        steps = ((count or 2, 9), (1, 9), (1, 4), (1, 3), (1, 2))  # facets, entries in each
        forms = ([facet_text(c, f, most=most) for f in given[:n]] or [context] for n, most in steps)
        return " ".join([_fitted(forms, limit, count, rules["joined"]), *extras])
    lead, last = _lead(c, request, context, kind=kind), len(named)
    usual = [] if words or sentences else usual[: max(0, 2 - len(named))]
    lists = (4, 3, 2) if kind == "chat" else (9, 4, 3, 2)  # the most entries of a list
    heads = {facet: f"{rules['heads'][facet]}: " for facet in (*named, *usual)}
    parts = ([heads[f] + facet_text(c, f, plain=plain, most=most) for f in heads] for most in lists)
    forms = ([*lead, *part[:last], *extras, *part[last:]] for part in parts)
    return _fitted(forms, limit, count, rules["joined"])


def rules_for(text: str) -> dict[str, Any]:
    """Return the rules of answers in the language of a text."""
    return texts("responder", knowledge.language_of(text))


def asked_facets(text: str, *, lay: bool = False, kind: str = "") -> tuple[list[str], list[str]]:
    """Return the facets that an instruction asks for, and others that go with its type."""
    asked = rules_for(text)["asked"]
    named = [facet for facet in FACETS if re.search(asked[facet], text, re.IGNORECASE)]
    usual = RULES["usual"] | (RULES["usual_lay"] if lay else {})
    named = list(dict.fromkeys(RULES["plainer"].get(f, f) if lay else f for f in named))
    return named, [f for f in usual.get(kind, ["definition", "tests"]) if f not in named]


def _reworded(c: Condition, text: str, request: str) -> str:
    """Return a text in the words of its new readers; lay people get names of illnesses as given."""
    is_expert = re.search(rules_for(text)["colleagues"], request)
    readers = "colleagues" if is_expert else "lay"
    names = map(re.escape, (c.name, *(mimic.condition for mimic in c.differential)))
    names = re.findall("|".join(names), text, re.IGNORECASE) if readers == "lay" else []
    for number, name in enumerate(names):
        text = text.replace(name, f"\0{number}\0", 1)
    for pattern, words in texts("rewordings", knowledge.language_of(text))[readers].items():
        text = re.sub(pattern, words, text)
    return re.sub(r"\0(\d+)\0", lambda match: names[int(match[1])], text)


def _extras(c: Condition, text: str, *, lay: bool) -> tuple[list[str], str]:
    """Return sentences on what a text asks for beside facets, and the rest of the text."""
    marks = {knowledge.called(m.condition).lower(): m.feature for m in c.differential}
    results = {knowledge.called(test.test).lower(): test.clause for test in c.tests}
    care, sentences, rest = [*knowledge.facts(c)["any"]["care"], *c.treatment], [], text
    rules = rules_for(c.definition)
    for pattern, says in (rules["extras"] | (rules["extras_lay"] if lay else {})).items():
        if match := re.search(pattern, text, re.IGNORECASE):
            words = match.groupdict()
            words["mark"] = marks.get(words.get("other", "").lower(), rules["no_mark"])
            words["result"] = results.get(words.get("test", "").lower(), c.plain_tests[0].clause)
            words["instead"] = next(x for x in care if x != words.get("treatment"))
            says = knowledge.Filler().format(says, **knowledge.facts(c) | words)
            sentences, rest = [*sentences, knowledge.capital(says)], rest.replace(match[0], " ")
    return sentences, rest


def _fitted(versions: Iterable[Iterable[str]], words: int, count: int, joined: Mapping) -> str:
    """Return the first version within both limits (0 sentences: none), else the last one, cut."""
    text = ""
    for version in versions:
        parts = list(version)
        if count:
            parts = [part.rstrip(".") for part in parts]
            parts = [*parts[: count - 1], ".\0".join(parts[count - 1 :])]
            for end, link in joined.items():
                pattern = rf"{end}[.!?](?:\0|{knowledge.BETWEEN})"
                parts = [re.sub(pattern, link, part) for part in parts]
            parts = [f"{part}." for part in parts if part]
        text = " ".join(parts)
        if len(text.split()) <= words:
            break
    return knowledge.cut(text, words)


def subject(instruction: str, context: str = "") -> Condition | None:
    """Return the condition that a task names, the first weighing most, or describes, or None."""
    language, rules = knowledge.language_of(instruction), rules_for(instruction)
    text = f"{instruction[:MAX_READ]}\n{re.sub(rules['option'], '', context[:MAX_READ])}".lower()
    for pattern, words in rules["read"].items():
        text = re.sub(pattern, words, text)
    pattern, owners = _names(language)
    points, index = [0] * len(conditions(language)), _phrases(language)
    for word in index.keys() & {"", *re.findall(r"\w+", text)}:
        for phrase, weight, number in index[word]:
            points[number] += weight * (phrase in text)
    named = dict.fromkeys(owners[match.group()] for match in pattern.finditer(text))
    for rank, number in enumerate(named):
        points[number] += 1 if rank else 4
    best = points.index(max(points))
    return conditions(language)[best] if points[best] >= rules["least"] else None


def _lead(c: Condition, text: str, context: str, *, kind: str) -> list[str]:
    """Return how an answer of this type begins: option, label, reasoning, or kind words."""
    rules = rules_for(c.definition)
    case = re.sub(rules["absent"], "", f"{text} {context}".lower())
    given = next((t for t in c.tests if t.finding.lower() in case), c.plain_tests[0])
    signs = [sign for sign in c.presentation if sign.lower() in case][:4]
    signs = signs or [sign for sign in c.presentation if sign not in text][:2]
    values = {"test": given, "signs": knowledge.listed(signs)}
    lead = rules["leads"].get(kind)
    pairs = reversed(re.findall(rules["option"], context))
    options = {text.lower().rstrip("."): f"({letter}) {text.rstrip('.')}" for letter, text in pairs}
    known = [c.name, c.drug.adverse_effect, c.drug.class_, *c.also, *c.causes, *c.treatment]
    known += [text for test in c.tests for text in (test.finding, test.clause)]
    if fitting := [options[fact.lower()] for fact in known if fact.lower() in options]:
        values["option"] = fitting[0]
        lead = rules["leads"].get(f"{kind}, option", rules["leads"]["option"])
    elif kind == "classification":
        mimics = {case.find(m.condition.lower()) % (len(case) + 1): m for m in c.differential[::-1]}
        other = mimics[min(mimics)]
        values |= {"other": knowledge.called(other.condition), "mark": other.feature}
    elif kind == "single-hop reasoning":
        mimics = [m.condition for m in c.differential if m.feature.lower() in case]
        lead = lead if mimics else rules["leads"]["fit"]
        values |= {"other": knowledge.called(mimics[0])} if mimics else {}
    elif kind == "text generation":
        lead = next((s for form, s in c.texts["forms"].items() if form in text), lead)
    return [knowledge.Filler().format(lead, **knowledge.facts(c) | values)] if lead else []


@cache
def _names(language: str) -> tuple[re.Pattern[str], dict[str, int]]:
    """Return a pattern of all names, longest first, and the number of each name's condition."""
    owners: dict[str, int] = {}
    for number, condition in enumerate(conditions(language)):
        for name in (condition.name, *condition.also):
            owners.setdefault(name.lower(), number)
    names = "|".join(map(re.escape, sorted(owners, key=len, reverse=True)))
    return re.compile(texts("responder", language)["name"].format(names)), owners


@cache
def _phrases(language: str) -> dict[str, list[tuple[str, int, int]]]:
    """Return lower-case phrases, weights and numbers of conditions, by a whole word of the phrase.

    A text with the phrase has that word; phrases of one or two words are under "".
    """
    index = defaultdict(list)
    for number, c in enumerate(conditions(language)):
        weak = [*c.presentation, *c.causes, *(test.finding for test in c.tests)]
        phrases = [c.typical_patient, c.mechanism, c.pearl, c.drug.use, *weak]
        for phrase, weight in zip(
            map(str.lower, phrases), [6, 4, 4, 4, *[1] * len(weak)], strict=True
        ):
            word = max(re.findall(r"\w+", phrase)[1:-1], key=len, default="")
            index[word].append((phrase, weight, number))
    return index


def winner(question: str, first: str, second: str, *, wording: str = "") -> str:
    """Return "a", "b" or "tie" in any order of the answers; a tie outside the knowledge."""
    own, policies = answer(question), GRADING["policies"].items()
    lacking = next((weight for phrase, weight in policies if phrase in wording), 1.0)
    gap = _score(first, own, lacking) - _score(second, own, lacking)
    if own == rules_for(question)["unknown"] or abs(gap) < MARGIN:
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
    return replies["unknown" if own == rules_for(question)["unknown"] else "equal"]


def grade(text: str, criterion: str) -> str:
    """Return whether half of a criterion's content words are in an answer."""
    wanted = set(_words(criterion)) - set(GRADING["criterion_words"])
    is_met = wanted and len(wanted & set(_words(text))) >= 0.5 * len(wanted)
    return "Met" if is_met else "Not met"


def second_reading(question: str, text: str) -> str:
    """Return the lists of a second reader, by words that question and answer share or do not."""
    asked, text, condition = question[:MAX_READ].lower(), text[:MAX_READ].lower(), subject(question)
    language = knowledge.language_of(question)
    rules = texts("grader", language)
    drugs = dict.fromkeys(c.drug.example.lower() for c in conditions(language))
    named = [drug for drug in drugs if re.search(rules["drug"].format(re.escape(drug)), text)]
    spans = dict.fromkeys([*re.findall(GRADING["quantity"], text), *named])
    parts = [] if text == "(empty)" else re.findall(r"[^.?!\n]+\?", asked)
    against = named if re.search(rules["reaction"], asked) else ()
    lists = {
        "emergencies": condition.red_flags if condition else (),
        "unsupported": [span for span in spans if span not in asked],
        "contradictions": [drug for drug in against if drug in asked],
        "omissions": [part.strip() for part in parts if not _words(part) & _words(text)],
    }
    forms = GRADING["lists"].items()
    return json.dumps({name: [form.format(item) for item in lists[name]] for name, form in forms})


def overlap(text: str, own: str, lacking: float = 1.0) -> float:
    """Return F of the content words of two texts; F1, or with another weight of words lacking."""
    a, b = _words(text), _words(own)
    shared = (a & b).total()
    return (1 + lacking) * shared / (a.total() + lacking * b.total()) if shared else 0.0


def _score(text: str, own: str, lacking: float) -> float:
    is_whole = text.rstrip().rstrip("*_`)\"'").endswith((".", "!", "?", ":", "</s>"))
    return overlap(text, own, lacking) * (1.0 if is_whole else TRUNCATED)


def _words(text: str) -> Counter[str]:
    """Return the words in Latin letters, and the pairs of neighboring syllables in Hangul."""
    matches = re.finditer(r"[a-z0-9]+|(?=([가-힣]{2}))[가-힣]", text[:MAX_READ].lower())
    words = (match[1] or match[0] for match in matches)
    stop_words = texts("grader", knowledge.language_of(text))["stop_words"]
    return Counter(word for word in words if word not in stop_words)
