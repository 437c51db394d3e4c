"""The phrases that the stand-in's tasks are made of: what may be asked about a condition, of whom, and in which setting."""

import random
import re

from medinstruct.offline.knowledge import Condition, Drug, called

ASPECTS = {
    "definition": ("an overview of {c}", "what is meant by {c}", "the essentials of {c}"),
    "causes": (
        "the causes of {c}",
        "the risk factors for {c}",
        "what leads to {c}",
        "why somebody develops {c}",
    ),
    "mechanism": (
        "the mechanism of {c}",
        "the pathophysiology of {c}",
        "what goes wrong in the body in {c}",
        "the mechanism behind {c}",
    ),
    "presentation": (
        "the symptoms and signs of {c}",
        "the clinical picture of {c}",
        "the features that suggest {c}",
        "the usual presentation of {c}",
    ),
    "red_flags": (
        "the red flags in {c}",
        "the warning signs of {c} that call for urgent help",
        "the point at which {c} becomes an emergency",
    ),
    "tests": (
        "the tests that confirm {c}",
        "the work-up of suspected {c}",
        "the investigations for {c} with their findings",
        "the diagnosis of {c}",
    ),
    "differential": (
        "the differential diagnosis of {c}",
        "the mimics of {c}",
        "the conditions that are mistaken for {c}",
    ),
    "treatment": (
        "the first-line treatment of {c}",
        "the management of {c}",
        "a care plan for {c}",
        "the therapy of {c}",
    ),
    "drug": (
        "the drug treatment of {c} with its adverse effects",
        "the medicines for {c} and their contraindications",
        "the pharmacology of a drug for {c}",
    ),
    "prevention": (
        "the prevention of {c}",
        "ways to lower the risk of {c}",
        "the measures that protect against {c}",
    ),
    "pearl": (
        "a pitfall to remember in {c}",
        "an exam pearl about {c}",
        "a pearl about {c} that is easily missed",
    ),
}
LAY_ASPECTS = {
    "definition": ("what {c} is", "what is meant by {c}"),
    "causes": ("what causes {c}", "why people get {c}", "where {c} comes from, its causes"),
    "presentation": ("the symptoms of {c}", "the signs of {c} that others notice"),
    "red_flags": ("the warning signs of {c}", "when {c} is an emergency"),
    "tests": ("the tests for {c}", "how doctors diagnose {c}"),
    "treatment": ("the treatment of {c}", "how {c} is treated"),
    "drug": (
        "the medicine for {c} and its side effects",
        "the side effects of the medicine for {c}",
    ),
    "prevention": ("how to prevent {c}", "what I can do to lower my risk of {c}"),
}
LAY = ("patient", "parent", "caregiver", "family member", "school pupil", "athlete")
FORMATS = (
    "a short leaflet",
    "a concise hand-over note",
    "a teaching paragraph",
    "a checklist in prose",
    "an entry for a ward handbook",
    "a script for a two-minute talk",
    "a column for a local newspaper",
    "a study card",
    "a briefing for the night team",
    "a letter to a colleague",
    "a caption for a poster",
    "a one-page protocol",
    "a summary for a website",
    "an e-mail to the team",
    "a story of a case",
    "notes for a seminar",
    "a question-and-answer sheet",
    "an outline for a lecture",
    "a radio spot",
    "a reminder for the break room",
)
TAILS = {
    1: ("", "", "", "Keep it to three sentences.", "Stay with the basics."),
    2: (
        "",
        "",
        "Use an everyday comparison.",
        "Give one short example.",
        "Write at most {n} words.",
        "Use {k} short points.",
    ),
    3: (
        "",
        "Show that you take the worry seriously.",
        "Mention what the family should be told.",
        "Say how {view_the} can check that it has been understood.",
        "Respect that some people in this situation do not want {t}.",
        "Consider a place that cannot offer {t}.",
        "Choose words that do not blame anyone.",
    ),
    4: (
        "",
        "Give the reasoning step by step.",
        "Weigh it against {d} as well.",
        "Justify each step with a finding.",
        "Say which result would decide, {test} among them.",
        "State the next two steps in order.",
        "Link each sign to its cause.",
    ),
    5: (
        "Bear in mind that {sign} is missing here and that {d} has not been excluded.",
        "Assume that {test} is not available on site.",
        "Say what would change your mind, and how sure you are.",
        "Discuss {t} when the patient is also frail and undecided.",
        "Two colleagues disagree, one of them in favour of {d}: weigh both sides.",
        "Include what to do overnight in case of {flag}.",
    ),
}
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
    return [called(c), *((_counted(name) for name in c.also[:2]) if lay else ())]


def _counted(name: str) -> str:
    """A lay name with its article where it needs one: "a heart attack", but "gout"."""
    return (
        a(name)
        if re.search(
            r"\b(?:attack|valve|clot|ulcer|thyroid|prostate|testicle|hip|fracture|bowel|appendix|aneurysm|lung under)\b",
            name,
        )
        and not name.startswith("anemia")
        else name
    )


def a(noun: str) -> str:
    """The noun with its article, by its sound.

    >>> a("intern"), a("nurse"), a("university student")
    ('an intern', 'a nurse', 'a university student')
    """
    return (
        f"{'an' if re.match(r'(?!uni|uro|use|eu)[aeiou]|hono|hour', noun.lower()) else 'a'} {noun}"
    )


def setting(c: Condition, chance: random.Random) -> str:
    """A clause that ties a wording to one patient or situation, so that no two conditions share it."""
    sign, other = chance.sample(c.presentation, 2)
    test, flag, drug = chance.choice(c.plain_tests), chance.choice(c.red_flags), c.drug
    return chance.choice(
        [
            f"in {c.typical_patient}",
            f"when somebody has {sign} and {other}",
            f"for {c.typical_patient} who reports {sign}",
            f"where the suspected cause is {chance.choice(c.causes)}",
            f"once {called(chance.choice(c.differential).condition)} has been ruled out",
            f"when {test.told}",
            f"in case of {flag}",
            f"where the plan includes {chance.choice(c.treatment)}",
            f"in a person who takes {drug.example} and notices {drug.adverse_effect}",
            f"for people who hope to benefit from {chance.choice(c.prevention)}",
            f"in a visit that began with {sign}",
        ]
    )


def tail(c: Condition, level: int, view: str, chance: random.Random) -> str:
    """A last sentence that makes a task as hard as its level says; often none for the easy ones."""
    text = chance.choice(TAILS[level]).format(
        n=chance.choice([40, 60, 80, 100, 120, 150]),
        k=chance.choice(["three", "four", "five", "six"]),
        view_the=a(view),
        t=chance.choice(c.treatment),
        d=called(chance.choice(c.differential).condition),
        test=called(chance.choice(c.tests).test),
        sign=chance.choice(c.presentation),
        flag=chance.choice(c.red_flags),
    )
    return f" {text}" if text else ""


# Adverse effects that few drugs share: wrong options for a question on another drug, unless its class or name is one of these.
TELLTALE = {
    "dry cough": "ACE",
    "genital yeast infection": "SGLT2|cillin|cef|vancomycin|cort|steroid|prednis|dexa|contracept|progest|estrogen",
    "tooth staining and altered taste": "antiseptic|iron|ferrous|cillin",
    "endophthalmitis after injection": "VEGF",
    "retinal toxicity after long use": "antimalarial|tamoxifen|VEGF|phosphodiesterase-5|GLP-1|insulin|gases",
    "delayed hemolysis one to four weeks later": "artem|artes|sulfone|immunoglobulin|cillin|cef|rifam|antimalarial|platin",
    "cold-triggered tingling and peripheral neuropathy": "platin|proteasome|sulfone|tyrosine|integrase",
    "Jarisch-Herxheimer reaction with fever": "cillin|cef",
    "growth suppression": "cort|steroid|prednis|dexa",
    "reactivation of latent tuberculosis": "TNF|interleukin|cort|steroid|prednis|dexa|CD20|DMARD|checkpoint|proteasome|reductase",
    "digital ischemia": "vasopressor|adrenergic|uterotonic|alpha-1 agonist|beta|immunoglobulin|platin",
    "hepatitis and orange body fluids": "rifam",
    "dyskinesia and low blood pressure on standing": "dopamine|antipsychotic|alpha-1|dihydropyridine|ACE|loop|angiotensin|opioid|phosphodiesterase|beta|SGLT2",
    "tissue injury on extravasation": "calcium salt|vasopressor|adrenergic|platin|glycopeptide|dantrolene|proteasome|magnesium",
    "hemolysis and methemoglobinemia": "sulfone|anesthetic|artem|immunoglobulin|antimalarial",
    "metabolic acidosis and tingling of the fingers": "carbonic|biguanide|SGLT2",
    "immune-mediated colitis": "checkpoint|CD20|TNF|interleukin",
    "flu-like symptoms and rarely osteonecrosis of the jaw": "bisphosphonate|rifam|immunoglobulin",
    "supine hypertension and urinary retention": "alpha-1|muscarinic|opioid|mineralocorticoid|adrenergic|dopamine|vestibular",
    "low magnesium with long-term use": "proton|loop|platin",
    "hot flushes and venous thrombosis": "estrogen|contracept|progest|thrombopoietin",
    "oral thrush": "cort|steroid|prednis|dexa|cillin|cef|macrocyclic|interleukin|TNF|DMARD|proteasome|CD20|muscarinic|platin|reductase",
}


def unlike(drug: Drug) -> list[str]:
    """Adverse effects that this drug is not known for."""
    return [
        effect
        for effect, shared in TELLTALE.items()
        if effect != drug.adverse_effect and not re.search(shared, f"{drug.class_} {drug.example}")
    ]
