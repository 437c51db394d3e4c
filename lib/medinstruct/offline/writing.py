"""How the stand-in writes tasks: favourite conditions, ten types, many wordings, and the slips of real models."""

import random
from collections.abc import Callable

from medinstruct.offline.knowledge import Condition, called, capital, conditions, listed, tell

# The share of tasks (or replies) with each slip; they imitate what the released data shows (paper.md, 1.5 and 2.4).
RATES = {
    "missing_field": 0.03,
    "no_separator": 0.03,
    "word_input": 0.03,
    "near_duplicate": 0.08,
    "refusal": 0.02,
    "numbered": 0.1,
}
VIEWS = (
    "patient", "medical student", "patient", "clinician", "nurse", "pharmacist", "resident", "caregiver", "general practitioner",
    "medical educator", "paramedic", "public health officer", "clinical researcher", "emergency physician", "medical writer",
    "parent", "epidemiologist", "nursing student", "dietitian", "physician",
)  # fmt: skip
WORDS = {
    "causes": "the causes", "mechanism": "the mechanism", "presentation": "the symptoms and signs", "red_flags": "the red flags",
    "tests": "the tests and their findings", "differential": "the differential diagnosis", "treatment": "the first-line treatment",
    "drug": "drug treatment and its adverse effects", "prevention": "prevention", "definition": "an overview",
}  # fmt: skip
FORMATS = (
    "a short leaflet", "a concise hand-over note", "a teaching paragraph", "a checklist in prose", "an entry for a ward handbook",
    "a script for a two-minute talk", "a column for a local newspaper", "a study card", "a briefing for the night team",
)  # fmt: skip


def write_tasks(count: int, *, first: int, chance: random.Random) -> str:
    """A reply with `count` tasks in the block format, numbered from `first`, slips included."""
    if chance.random() < RATES["refusal"]:
        return "I'm sorry, but I can't help with creating medical content."
    numbered = chance.random() < RATES["numbered"]
    blocks, last = [], None
    for n in range(first, first + count):
        again = last is not None and chance.random() < RATES["near_duplicate"]
        fields = last | {"Instruction": _reworded(last["Instruction"])} if again else _task(chance)
        blocks.append(_head(n, numbered, chance, is_first=n == first) + _block(fields, chance))
        last = fields
    return "".join(blocks)


def _head(number: int, numbered: bool, chance: random.Random, *, is_first: bool) -> str:
    if is_first or chance.random() < RATES["no_separator"]:
        return ""
    return f"{number}. " if numbered else f"### {number}.\n"


def _block(fields: dict[str, str], chance: random.Random) -> str:
    fields = dict(fields)
    if chance.random() < RATES["missing_field"]:
        del fields[chance.choice(["View", "Difficulty", "Topic"])]
    if chance.random() < RATES["word_input"]:
        fields["Instruction"] += " If the Input is empty, rely on general knowledge."
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _task(chance: random.Random) -> dict[str, str]:
    """One task about a condition; conditions and views are drawn with a Zipf-like preference for the first ones."""
    condition = _favourite(conditions(), chance)
    kind = chance.choice(list(KINDS))
    view = _favourite(VIEWS, chance)
    instruction, context, level = KINDS[kind](condition, view, chance)
    values = (kind, condition["specialty"], view, str(level), instruction, context or "<noinput>")
    return dict(zip(("Type", "Topic", "View", "Difficulty", "Instruction", "Input"), values, strict=True))


def _favourite(items: tuple, chance: random.Random):
    weights = [1 / (1 + n / 6) for n in range(len(items))]
    return chance.choices(items, weights)[0]


def _facet(chance: random.Random) -> str:
    return chance.choice(list(WORDS))


def _setting(condition: Condition, chance: random.Random) -> str:
    """A clause that ties a wording to one patient, so that no two conditions share it."""
    sign, other = chance.sample(condition["presentation"], 2)
    return chance.choice(
        [
            f"in {condition['typical_patient']}",
            f"when somebody has {sign} and {other}",
            f"for {condition['typical_patient']} who reports {sign}",
            f"after {chance.choice(condition['causes'])} has been found",
            f"where {chance.choice(condition['differential'])['condition'].lower()} has been ruled out",
        ]
    )


def _open(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    facet, where = _facet(chance), _setting(c, chance)
    if view in ("patient", "parent", "caregiver"):
        sign = chance.choice(c["presentation"])
        return f"My doctor mentioned {called(c)} because I have {sign}. Can you tell me about {WORDS[facet]}?", "", 2
    starts = ["What should a", "How would a", "Which points would a"]
    verbs = {"What should a": "know about", "How would a": "summarise", "Which points would a": "raise about"}
    start = chance.choice(starts)
    return f"{start} {view} {verbs[start]} {WORDS[facet]} of {called(c)} {where}?", "", chance.choice([1, 2, 3])


def _generation(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    verb = chance.choice(["Write", "Draft", "Compose", "Prepare", "Create"])
    facets = chance.sample(list(WORDS), 2)
    text = (
        f"{verb} {chance.choice(FORMATS)} on {called(c)} with {WORDS[facets[0]]} and {WORDS[facets[1]]} {_setting(c, chance)}."
    )
    return text, "", chance.choice([2, 3])


def _chat(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    signs = chance.sample(c["presentation"], 3)
    verb = chance.choice(["Reply kindly to", "Answer", "Respond to", "Continue the conversation with"])
    message = (
        f"Hello, I have been told that it might be {called(c)}. For some days I have noticed {listed(signs)}. I looked it up and now I "
        f"am quite worried. My family says that {chance.choice(c['causes'])} may have something to do with it. Should I wait "
        "until my next appointment, or is there something that I must do today? Please explain it in simple words."
    )
    return f"{verb} this message from a person with {signs[0]} who asks about {called(c)}.", message, 3


def _rewrite(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    reader = chance.choice(
        ["a worried relative", "a twelve-year-old", "a new nurse", "a patient leaving the ward", "a busy colleague"]
    )
    verb = chance.choice(["Rewrite", "Simplify", "Rephrase", "Restate"])
    text = " ".join(tell(c, facet) for facet in ("definition", "mechanism", chance.choice(["causes", "treatment", "tests"])))
    return (
        f"{verb} the passage on {called(c)} for {reader}, keeping {WORDS[_facet(chance)]} correct.",
        text,
        chance.choice([2, 3]),
    )


def _summary(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    verb = chance.choice(["Summarize", "Condense", "Boil down", "Shorten"])
    text = " ".join(tell(c, facet) for facet in chance.sample(["presentation", "tests", "treatment", "mechanism", "drug"], 3))
    return f"{verb} the notes on {called(c)} in two sentences that a {view} can use, naming {WORDS[_facet(chance)]}.", text, 2


def _classify(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    other = chance.choice(c["differential"])
    verb = chance.choice(["Classify", "Sort", "Label", "Categorize"])
    return (
        f"{verb} the case as {called(c)} or {other['condition'].lower()} and name the deciding finding.",
        _vignette(c, chance),
        3,
    )


def _usmle(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    sign = chance.choice(c["presentation"])
    ask = chance.choice(
        ["Choose the most likely diagnosis", "Select the best diagnosis", "Decide on the single best diagnosis"]
    )
    return f"{ask} for {c['typical_patient']} with {sign}.", _vignette(c, chance) + _options(c, chance), 4


def _choice(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    drug = c["drug"]
    rest = chance.sample(
        [x["drug"]["adverse_effect"] for x in conditions() if x is not c and x["drug"]["class"] != drug["class"]], 3
    )
    options = [drug["adverse_effect"], *rest]
    chance.shuffle(options)
    case = f"{capital(c['typical_patient'])} is treated for {called(c)} and starts {drug['example']}, which {drug['use']}. {tell(c, 'presentation')} "
    case += "Which adverse effect of this drug should be looked for at the next visit?"
    lines = "".join(f"\n({letter}) {text}" for letter, text in zip("ABCD", options, strict=True))
    return f"Pick the adverse effect that {drug['example']} is known for when it is given for {called(c)}.", case + lines, 2


def _single(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    test = chance.choice(c["tests"])
    verb = chance.choice(["Explain what it means", "State what follows", "Reason from the finding", "Say what this points to"])
    return f"{verb} when {test['test'].lower()} shows {test['finding']} in suspected {called(c)}.", "", chance.choice([2, 3])


def _multi(c: Condition, view: str, chance: random.Random) -> tuple[str, str, int]:
    signs = chance.sample(c["presentation"], 2)
    other = chance.choice(c["differential"])["condition"].lower()
    text = (
        f"{capital(c['typical_patient'])} presents with {signs[0]} and {signs[1]}. Work from these findings to the diagnosis, "
    )
    return text + f"tell it apart from {other}, and derive the first treatment.", "", chance.choice([4, 5])


def _vignette(c: Condition, chance: random.Random) -> str:
    signs = chance.sample(c["presentation"], 3)
    test = chance.choice(c["tests"])
    return (
        f"{capital(c['typical_patient'])} comes to the clinic with {listed(signs)}. The history is notable for {chance.choice(c['causes'])}. "
        f"The examination is otherwise unremarkable, and there are no known allergies. {capital(test['test'])} shows {test['finding']}. "
        "The patient asks what is wrong and what should happen next."
    )


def _options(c: Condition, chance: random.Random) -> str:
    names = [c["name"], *(d["condition"] for d in c["differential"])][:4]
    names += [x["name"] for x in conditions() if x["name"] not in names][: 4 - len(names)]
    chance.shuffle(names)
    return " Which diagnosis is most likely?" + "".join(
        f"\n({letter}) {name}" for letter, name in zip("ABCD", names, strict=True)
    )


def _reworded(instruction: str) -> str:
    return instruction.rstrip(".?") + (" please?" if instruction.endswith("?") else " now.")


KINDS: dict[str, Callable[[Condition, str, random.Random], tuple[str, str, int]]] = {
    "text generation": _generation, "open Q&A": _open, "chat": _chat, "rewrite": _rewrite, "summarization": _summary,
    "classification": _classify, "USMLE-style Q&A": _usmle, "multiple-choice Q&A": _choice,
    "single-hop reasoning": _single, "multiple-hop reasoning": _multi,
}  # fmt: skip
