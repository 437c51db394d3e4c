"""The stand-in's knowledge told in sentences: to clinicians, to lay readers, and as the prose of a handbook."""

import random

from medinstruct.offline.knowledge import (
    FACETS,
    Condition,
    Drug,
    Mimic,
    called,
    capital,
    conditions,
    listed,
    stop,
)

CLINICAL = (
    "definition",
    "mechanism",
    "differential",
    "pearl",
)  # facets that only clinicians talk about


def tell(condition: Condition, facet: str) -> str:
    """One facet of a condition in one to four sentences."""
    name = called(condition)
    return {
        "definition": lambda: stop(condition.definition),
        "causes": lambda: (
            f"Causes of and risk factors for {name} include {listed(condition.causes)}."
        ),
        "mechanism": lambda: stop(condition.mechanism),
        "presentation": lambda: (
            f"A person with {name} may present with {listed(condition.presentation)}."
        ),
        "red_flags": lambda: f"Urgent help is needed for {listed(condition.red_flags)}.",
        "tests": lambda: " ".join(f"{capital(t.told)}." for t in condition.tests),
        "differential": lambda: " ".join(
            [
                f"The mimics of {name} have marks of their own.",
                *map(_tell_mimic, condition.differential),
            ]
        ),
        "treatment": lambda: f"First-line care of {name} includes {listed(condition.treatment)}.",
        "drug": lambda: _tell_drug(condition.drug),
        "prevention": lambda: (
            f"The risk of {name}, or of its complications, is lowered by {listed(condition.prevention)}."
        ),
        "patient": lambda: stop(condition.patient),
        "pearl": lambda: stop(condition.pearl),
    }[facet]()


def _tell_mimic(mimic: Mimic) -> str:
    return f"{capital(called(mimic.condition))} would show {mimic.feature}."


def tell_plainly(condition: Condition, facet: str) -> str:
    """One facet for a lay reader; "" for a facet that only clinicians talk about."""
    drug, tests = condition.drug, [called(t.test) for t in condition.tests]
    if facet in CLINICAL:
        return ""
    plain = {
        "tests": f"Tests that a doctor may use are {listed(tests)}.",
        "presentation": f"Signs that doctors look for are {listed(condition.presentation)}.",
        "drug": f"A medicine that is often used is {drug.example}. A side effect to know is {drug.adverse_effect}.",
    }
    return plain.get(facet) or tell(condition, facet)


def _tell_drug(drug: Drug) -> str:
    warning = (
        f", and a contraindication is {drug.contraindication}" if drug.is_contraindicated else ""
    )
    first = f"A typical drug is {drug.example}, from the class {drug.class_}: it {drug.use}."
    return f"{first} A known adverse effect is {drug.adverse_effect}{warning}."


def prose(*, seed: int = 42) -> list[str]:
    """Plain medical prose, several entries a condition in several orders of facets, as a handbook has them; no instruction among them."""
    chance = random.Random(seed)
    texts = []
    for condition in conditions():
        for size in (4, 4, 4, len(FACETS)):
            facets = chance.sample(FACETS, size) if size < len(FACETS) else FACETS
            texts.append(
                " ".join([_entry(condition), *(tell(condition, facet) for facet in facets)])
            )
    return chance.sample(texts, len(texts))


def _entry(condition: Condition) -> str:
    """How an entry begins: "Acute myocardial infarction, also called heart attack."."""
    return (
        f"{condition.name}, also called {' or '.join(condition.also)}."
        if condition.also
        else f"{condition.name}."
    )
