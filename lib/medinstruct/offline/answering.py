"""How the stand-in answers: it finds the condition that is meant and the facets asked for, and tells them."""

import re

from medinstruct.offline.knowledge import FACETS, Condition, called, capital, conditions, tell

ASKED = {
    "definition": r"\bwhat is\b|\bdefin|\boverview\b|\bdescribe\b|\bleaflet\b|\bintroduc",
    "causes": r"\bcause|\brisk factor|\bwhy does\b|\btrigger|\bleads? to\b",
    "mechanism": r"\bmechanism|\bpathophysiolog|\bhow does\b|\bexplain why\b|\bunderl",
    "presentation": r"\bsymptom|\bsigns?\b|\bpresent|\bfeatures?\b|\blook like\b",
    "red_flags": r"\bred flags?\b|\bemergenc|\burgent|\bwhen to (?:get|seek)\b|\bwarning|\bworr",
    "tests": r"\btests?\b|\binvestigat|\bdiagnos|\bfinding|\bconfirm|\bwork-?up\b|\bnext step",
    "differential": r"\bdifferen|\btell apart\b|\bdistinguish|\bmistaken\b|\bmimic",
    "treatment": r"\btreat|\bmanage|\btherap|\bcare\b|\bfirst-line\b|\bplan\b",
    "drug": r"\bdrugs?\b|\bmedicat|\bmedicine|\badverse|\bside effect|\bcontraindic|\bpharmac",
    "prevention": r"\bprevent|\blower (?:the|my) risk\b|\bavoid\b|\bprotect",
    "patient": r"\bpatient leaflet\b|\bplain (?:language|words)\b|\blay\b|\bI have\b|\bmy (?:doctor|mother|father|child|partner)\b",
    "pearl": r"\bpearl|\bexam tip|\bremember\b|\bpitfall",
}
# Each part of an answer has a head, so that a small student can tell how an answer goes on and when it ends.
HEADS = {
    "definition": "In brief", "causes": "Causes", "mechanism": "Mechanism", "presentation": "Presentation",
    "red_flags": "Red flags", "tests": "Tests", "differential": "Differential", "treatment": "Treatment", "drug": "Drug",
    "prevention": "Prevention", "patient": "In plain words", "pearl": "Remember",
}  # fmt: skip
IS_LAY = re.compile(r"\b(patient|parent|caregiver|family|public|pupil|athlete)\b", re.IGNORECASE)
UNKNOWN = (
    "I am the offline stand-in, a rule-based program over a small knowledge file, and this question is outside it. "
    "A clinician or a real model should answer it."
)


def answer(instruction: str, *, context: str = "", view: str = "", kind: str = "") -> str:
    """The stand-in's answer to an instruction with its input; an honest sentence where it knows nothing of the matter."""
    condition = meant(f"{instruction}\n{context}")
    if condition is None:
        return UNKNOWN
    option = _chosen_option(context, condition)
    facets = asked(instruction, lay=bool(IS_LAY.search(view)), kind=kind)
    body = " ".join(f"{HEADS[facet]}: {tell(condition, facet)}" for facet in facets)
    lead = (
        f"The answer is {option}. " if option else f"The most likely diagnosis is {called(condition)}. " * _is_case(instruction)
    )
    return lead + body


def asked(instruction: str, *, lay: bool = False, kind: str = "") -> list[str]:
    """The two to four facets that an instruction asks for, in the order of the knowledge file."""
    found = [facet for facet in FACETS if re.search(ASKED[facet], instruction, re.IGNORECASE)][:3]
    usual = ["patient", "red_flags"] if lay else ["definition", "tests"]
    if kind in ("USMLE-style Q&A", "multiple-choice Q&A", "classification"):
        usual = ["tests", "pearl"]
    chosen = found + [facet for facet in usual if facet not in found][: 1 if found else 2]
    return [facet for facet in FACETS if facet in chosen]


def meant(text: str) -> Condition | None:
    """The condition that a text names, or whose typical phrases it repeats; None where there is no sign of any."""
    low = text.lower()
    scored = [(_signs(condition, low), -n, condition) for n, condition in enumerate(conditions())]
    best = max(scored, key=lambda row: row[:2], default=(0, 0, None))
    return best[2] if best[0] >= 1 else None


def _signs(condition: Condition, low: str) -> float:
    """Points for a name, for a lay name, and for each phrase of the presentation or the tests that stands in the text."""
    name = condition["name"].lower()
    first = low.find(name)
    points = 4 + len(name) / 100 - first / 1e5 if first >= 0 else 0.0
    points += 2 * any(re.search(rf"\b{re.escape(lay.lower())}\b", low) for lay in condition["also"])
    points += 3 * (condition["typical_patient"].lower() in low)
    phrases = [*condition["presentation"], *condition["causes"], *(test["finding"] for test in condition["tests"])]
    return points + sum(phrase.lower() in low for phrase in phrases)


def _chosen_option(context: str, condition: Condition) -> str:
    """The lettered option that names the condition or one of its facts, "" where there are no options."""
    options = re.findall(r"^\(([A-E])\)\s*(.+?)\s*$", context, re.MULTILINE)
    drug = condition["drug"]
    facts = [condition["name"], drug["adverse_effect"], drug["class"], *condition["causes"], *condition["treatment"]]
    for fact in facts:
        for letter, text in options:
            if text.lower().rstrip(".") == fact.lower():
                return f"({letter}) {capital(text.rstrip('.'))}"
    return ""


def _is_case(instruction: str) -> bool:
    return bool(re.search(r"\byear-old\b|\bdiagnos|\bcase\b|\bpresents\b", instruction, re.IGNORECASE))
