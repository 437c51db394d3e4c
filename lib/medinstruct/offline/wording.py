"""The phrases that the stand-in's tasks are made of: what may be asked about a condition, of whom, and in which setting."""

import random

from medinstruct.offline.knowledge import Condition, called

ASPECTS = {
    "definition": ("an overview of {c}", "what is meant by {c}", "the essentials of {c}"),
    "causes": ("the causes of {c}", "the risk factors for {c}", "what leads to {c}", "why somebody develops {c}"),
    "mechanism": ("the mechanism of {c}", "the pathophysiology of {c}", "what goes wrong in the body in {c}", "the mechanism behind {c}"),
    "presentation": ("the symptoms and signs of {c}", "the clinical picture of {c}", "the features that suggest {c}", "the usual presentation of {c}"),
    "red_flags": ("the red flags in {c}", "the warning signs of {c} that call for urgent help", "the point at which {c} becomes an emergency"),
    "tests": ("the tests that confirm {c}", "the work-up of suspected {c}", "the investigations for {c} with their findings", "the diagnosis of {c}"),
    "differential": ("the differential diagnosis of {c}", "the mimics of {c}", "the conditions that are mistaken for {c}"),
    "treatment": ("the first-line treatment of {c}", "the management of {c}", "a care plan for {c}", "the therapy of {c}"),
    "drug": ("the drug treatment of {c} with its adverse effects", "the medicines for {c} and their contraindications", "the pharmacology of a drug for {c}"),
    "prevention": ("the prevention of {c}", "ways to lower the risk of {c}", "the measures that protect against {c}"),
    "pearl": ("a pitfall to remember in {c}", "an exam pearl about {c}", "the point about {c} that is easily missed: a pearl"),
}  # fmt: skip
LAY_ASPECTS = {
    "definition": ("what {c} is", "what the name {c} stands for"),
    "causes": ("what causes {c}", "why people get {c}", "where my {c} comes from: its causes"),
    "presentation": ("the symptoms of {c}", "the signs of {c} that others notice"),
    "red_flags": ("the warning signs of {c}", "when {c} is an emergency"),
    "tests": ("the tests for {c}", "how doctors diagnose {c}"),
    "treatment": ("the treatment of {c}", "how {c} is treated"),
    "drug": ("the medicine for {c} and its side effects", "the side effects of the tablets for {c}"),
    "prevention": ("how to prevent {c}", "what I can do to lower my risk of {c}"),
}  # fmt: skip
LAY = ("patient", "parent", "caregiver", "family member", "school pupil", "athlete")
FORMATS = (
    "a short leaflet", "a concise hand-over note", "a teaching paragraph", "a checklist in prose", "an entry for a ward handbook",
    "a script for a two-minute talk", "a column for a local newspaper", "a study card", "a briefing for the night team",
    "a letter to a colleague", "a caption for a poster", "a one-page protocol", "a summary for a website", "an e-mail to the team",
    "a story of a case", "notes for a seminar", "a question-and-answer sheet", "an outline for a lecture", "a radio spot",
    "a reminder for the break room",
)  # fmt: skip
TAILS = {
    1: ("", "", "", "Keep it to three sentences.", "Stay with the basics."),
    2: ("", "", "Use an everyday comparison.", "Give one short example.", "Write at most {n} words.", "Use {k} short points."),
    3: (
        "", "Show that you take the worry seriously.", "Mention what the family should be told.", "Say how {view_the} can check it has been understood.",
        "Respect that {who} may decline {t}.", "Consider somebody who cannot afford {t}.", "Choose words that do not blame anyone.",
    ),
    4: (
        "", "Give the reasoning step by step.", "Weigh it against {d} as well.", "Justify each step with a finding.", "Say which result would decide, {test} among them.",
        "State the next two steps in order.", "Link each sign to its cause.",
    ),
    5: (
        "Bear in mind that {sign} is missing here and that {d} has not been excluded.", "Assume that {test} is not available on site.",
        "Say what would change your mind, and how sure you are.", "Discuss {t} when the patient is also frail and undecided.",
        "Two colleagues disagree, one of them in favour of {d}: weigh both sides.", "Include what to do if {flag} develops overnight.",
    ),
}  # fmt: skip
RELATIVES = (
    "my mother",
    "my brother",
    "my neighbour",
    "my partner",
    "my grandfather",
    "my best friend",
    "my sister",
    "my uncle",
)


def aspect(c: Condition, facet: str, chance: random.Random, *, lay: bool = False) -> str:
    """A noun phrase for one facet of a condition, as in "the causes of asthma"."""
    phrases = LAY_ASPECTS if lay and facet in LAY_ASPECTS else ASPECTS
    return chance.choice(phrases[facet]).format(c=chance.choice(names(c, lay=lay)))


def names(c: Condition, *, lay: bool) -> list[str]:
    """The names to choose from: the medical one, for lay people the lay ones too."""
    return [called(c), *(c.also[:2] if lay else ())]


def setting(c: Condition, chance: random.Random) -> str:
    """A clause that ties a wording to one patient or situation, so that no two conditions share it."""
    sign, other = chance.sample(c.presentation, 2)
    test, flag, drug = chance.choice(c.tests), chance.choice(c.red_flags), c.drug
    return chance.choice(
        [
            f"in {c.typical_patient}",
            f"when somebody has {sign} and {other}",
            f"for {c.typical_patient} who reports {sign}",
            f"where the suspected cause is {chance.choice(c.causes)}",
            f"once {called(chance.choice(c.differential).condition)} has been ruled out",
            f"when {test.test} shows {test.finding}",
            f"in case of {flag}",
            f"while {chance.choice(c.treatment)} is being considered",
            f"in a person who takes {drug.example} and notices {drug.adverse_effect}",
            f"for people who hope to benefit from {chance.choice(c.prevention)}",
            f"in a visit that began with {sign}",
        ]
    )


def tail(c: Condition, level: int, view: str, chance: random.Random) -> str:
    """A last sentence that makes a task as hard as its level says; often none for the easy ones."""
    article = "an" if view[:1].lower() in "aeiou" else "a"
    text = chance.choice(TAILS[level]).format(
        n=chance.choice([40, 60, 80, 100, 120, 150]), k=chance.choice(["three", "four", "five", "six"]), view_the=f"{article} {view}",
        who=c.typical_patient, t=chance.choice(c.treatment), d=called(chance.choice(c.differential).condition),
        test=chance.choice(c.tests).test, sign=chance.choice(c.presentation), flag=chance.choice(c.red_flags),
    )  # fmt: skip
    return f" {text}" if text else ""
