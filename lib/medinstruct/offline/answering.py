"""How the stand-in answers: it finds the condition that is meant and the facets asked for, and tells them."""

import re
from functools import cache

from medinstruct import labels
from medinstruct.offline.knowledge import FACETS, Condition, called, capital, conditions, listed
from medinstruct.offline.telling import tell, tell_plainly
from medinstruct.offline.wording import LAY

ASKED = {
    "definition": r"\bwhat is\b|\bwhat \S+(?: \S+)? is\b|\bdefin|\boverview\b|\bdescribe\b|\bleaflet\b|\bessentials\b|\bmeant by\b|\bstands for\b",
    "causes": r"\bcause|\brisk factor|\bwhy (?:does|do|people|somebody)\b|\btrigger|\bleads? to\b",
    "mechanism": r"\bmechanism|\bpathophysiolog|\bhow does\b|\bexplain why\b|\bunderl|\bgoes wrong\b",
    "presentation": r"\bsymptom|\bsigns?\b|\bpresentation of\b|\bfeatures? that\b|\bclinical picture\b|\blook like\b",
    "red_flags": r"\bred flags?\b|\bemergency\b(?! dep)|\burgent|\bwhen to (?:get|seek)\b|\bwarning|\bovernight\b",
    "tests": r"\btests? (?:that|for)\b|\binvestigations?\b|\bdiagnos(?:is|ed?) of\b|\bdoctors diagnose\b|\bfinding|\bconfirm|\bwork-?up\b|\bnext (?:step|test)|\bwould you test\b",
    "differential": r"\bdifferential\b|\btell (?:it )?apart\b|\bdistinguish|\bmistaken\b|\bmimic|\bfits less\b|\bagainst\b",
    "treatment": r"\btreat(?:s|ment|ed)?\b|\bmanage|\btherap(?:y|ies) of\b|\bcare plan\b|\bfirst-line\b",
    "drug": r"\bdrugs?\b|\bmedicat|\bmedicines?\b|\badverse|\bside effect|\bcontraindic|\bpharmac(?!ist|y student)",
    "prevention": r"\bprevent|\blower (?:the|my) risk\b|\bavoid\b|\bprotect",
    "patient": r"\bpatient leaflet\b|\bplain (?:language|words)\b|\blay\b|\btwelve-year-old\b|\bmy (?:doctor|mother|father|child|partner)\b",
    "pearl": r"\bpearl|\bexam tip|\bpitfall",
}
# Each part of an answer has a head, so that a small student can tell how an answer goes on and when it ends.
HEADS = {
    "definition": "In brief",
    "causes": "Causes",
    "mechanism": "Mechanism",
    "presentation": "Presentation",
    "red_flags": "Red flags",
    "tests": "Tests",
    "differential": "Differential",
    "treatment": "Treatment",
    "drug": "Drug",
    "prevention": "Prevention",
    "patient": "In plain words",
    "pearl": "Remember",
}
IS_LAY = re.compile(rf"\b({'|'.join(LAY)}|public(?! health))\b", re.IGNORECASE)
TO_COLLEAGUES = re.compile(
    r"\b(?:examiner|busy colleague|new nurse)\b"
)  # readers of a rewritten text who know the words

OPTION = re.compile(r"^\(([A-E])\)\s*(.+?)\s*$", re.MULTILINE)
RULED_OUT = re.compile(
    r"\bonce [^.:,]{1,80}? has been ruled out|\bwhere the suspected cause is [^.:,?]{1,80}|\bread that [^.:]{1,80}? can be behind it"
)  # what a task mentions beside its subject
READ = 20_000  # characters of a text that are looked at
UNKNOWN = (
    "I am the offline stand-in, a rule-based program over a small knowledge file, and this question is outside it. "
    "A clinician or a real model should answer it."
)


def answer(instruction: str, *, context: str = "", view: str = "", kind: str = "") -> str:
    """The stand-in's answer to an instruction with its input; an honest sentence where it knows nothing of the matter."""
    kind = labels.canonical("type", kind) or kind
    condition = meant(instruction, context)
    if condition is None:
        return _shortened(context) if kind == "summarization" and context else UNKNOWN
    lay = bool(IS_LAY.search(view)) or bool(re.search(r"\b(my|me|I)\b", instruction)) and not view
    facets = asked(instruction, lay=lay, kind=kind)
    if kind == "summarization" and (
        given := [facet for facet in FACETS if tell(condition, facet) in context]
    ):
        facets = sorted(given, key=lambda facet: facet not in facets)[:2]  # a summary adds nothing
    plainly = (
        lay
        and kind != "summarization"
        or kind == "chat"
        or kind == "rewrite"
        and not TO_COLLEAGUES.search(instruction)
    )
    told = [
        (HEADS[facet], (tell_plainly if plainly else tell)(condition, facet)) for facet in facets
    ]
    lead = _lead(condition, instruction, context, kind=kind, lay=lay)
    return " ".join([*lead, *(f"{head}: {text}" for head, text in told if text)])


def asked(instruction: str, *, lay: bool = False, kind: str = "") -> list[str]:
    """The facets that an instruction asks for and those that go with its type, in the order of the knowledge file."""
    low = instruction[:READ]
    found = [facet for facet in FACETS if re.search(ASKED[facet], low, re.IGNORECASE)][:3]
    usual = {
        "text generation": ["presentation", "tests", "treatment"],
        "chat": ["patient"],
        "rewrite": ["patient"],
        "classification": [],
        "USMLE-style Q&A": ["tests", "pearl"],
        "multiple-choice Q&A": ["drug"],
        "multiple-hop reasoning": ["tests", "treatment"],
        "single-hop reasoning": ["mechanism"],
    }.get(kind, ["definition", "tests"])
    if lay and kind in ("", "open Q&A", "text generation", "single-hop reasoning"):
        usual = ["patient"]
    room = 3
    chosen = list(
        dict.fromkeys([*usual, *found[:1]] if kind in ("chat", "rewrite") else [*found, *usual])
    )
    told = [facet for facet in FACETS if facet in chosen[: 2 if kind == "summarization" else room]]
    return sorted(told, key=lambda facet: facet != "patient") if lay else told


def meant(instruction: str, context: str = "") -> Condition | None:
    """The condition that a task names, or whose typical phrases it repeats; None where there is no sign of any.

    The first name in the instruction counts most; options do not count, since they name the wrong ones as well.
    """
    text = RULED_OUT.sub("", f"{instruction[:READ]}\n{OPTION.sub('', context[:READ])}".lower())
    points = dict.fromkeys(range(len(conditions())), 0.0)
    for rank, number in enumerate(
        dict.fromkeys(_names()[1][found.group()] for found in _names()[0].finditer(text))
    ):
        points[number] += 4 if rank == 0 else 1
    for number, phrases in enumerate(_phrases()):
        points[number] += sum(weight for phrase, weight in phrases if phrase in text)
    best = max(points, key=lambda number: (points[number], -number), default=None)
    return conditions()[best] if best is not None and points[best] >= 1 else None


def _lead(c: Condition, instruction: str, context: str, *, kind: str, lay: bool) -> list[str]:
    """How an answer of this type begins: the option, the label, the reasoning, or a word to the person."""
    if option := _chosen_option(context, c):
        return [f"The answer is {option}."]
    if kind == "classification":
        test = next((t for t in c.tests if t.finding.lower() in context.lower()), c.plain_tests[0])
        low = f"{instruction} {context}".lower()
        other = min(c.differential, key=lambda d: low.find(d.condition.lower()) % (len(low) + 1))
        first = f"Label: {called(c)}. Deciding finding: {test.told}."
        return [first, f"Against {called(other.condition)}: its mark would be {other.feature}."]
    if kind == "multiple-hop reasoning":
        seen = [sign for sign in c.presentation if sign.lower() in instruction.lower()] or list(
            c.presentation[:2]
        )
        return [
            f"Step 1, findings: {listed(seen)}. Step 2, diagnosis: most likely {called(c)}. Step 3, what follows."
        ]
    if kind == "single-hop reasoning":
        mimic = next((d for d in c.differential if d.feature.lower() in instruction.lower()), None)
        if mimic:
            return [f"This speaks against {called(c)} and for {called(mimic.condition)}."]
        return [f"This fits {called(c)}."]
    if kind == "chat":
        return ["I understand that this worries you, and it is good that you ask."]
    if kind == "USMLE-style Q&A" or re.search(r"\byear-old\b.*\bdiagnos", instruction):
        return [f"The most likely diagnosis is {called(c)}."]
    return (
        [f"About {called(c)}, for you:" if lay else f"{capital(called(c))}."]
        if kind == "text generation"
        else []
    )


def _chosen_option(context: str, c: Condition) -> str:
    """The lettered option that names the condition or one of its facts, "" where there are no options."""
    options = OPTION.findall(context[:READ])
    facts = [
        c.name,
        c.drug.adverse_effect,
        c.drug.class_,
        *c.also,
        *c.causes,
        *c.treatment,
        *(t.finding for t in c.tests),
    ]
    for fact in facts if options else []:
        for letter, text in options:
            if text.lower().rstrip(".") == fact.lower():
                return f"({letter}) {capital(text.rstrip('.'))}"
    return ""


def _shortened(context: str) -> str:
    """The first and the longest of the sentences, for a text about nothing that it knows."""
    sentences = re.split(r"(?<=[.!?])\s+", context[:READ].strip())
    chosen = {0, max(range(len(sentences)), key=lambda n: len(sentences[n]))}
    return " ".join(sentences[n] for n in sorted(chosen))


@cache
def _names() -> tuple[re.Pattern[str], dict[str, int]]:
    """One pattern for all names, the longest first, and the condition that each belongs to."""
    owner: dict[str, int] = {}
    for number, condition in enumerate(conditions()):
        for name in (condition.name, *condition.also):
            owner.setdefault(name.lower(), number)
    names = sorted(owner, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names))})(?![\w-])"), owner


@cache
def _phrases() -> tuple[tuple[tuple[str, int], ...], ...]:
    """For each condition the lower-case phrases that speak for it, with their weight."""
    return tuple(
        (
            (c.typical_patient.lower(), 6),
            *((sentence.lower(), 4) for sentence in (c.mechanism, c.pearl, c.drug.use)),
            *(
                (phrase.lower(), 1)
                for phrase in (*c.presentation, *c.causes, *(t.finding for t in c.tests))
            ),
        )
        for c in conditions()
    )
