"""One builder for each of the ten task types: a condition, a view and a level become an instruction and an input."""

import random
from collections.abc import Callable

from medinstruct.offline.knowledge import FACETS, Condition, called, capital, conditions, listed
from medinstruct.offline.telling import tell
from medinstruct.offline.wording import (
    ASPECTS,
    FORMATS,
    LAY,
    LAY_ASPECTS,
    RELATIVES,
    aspect,
    setting,
    tail,
    unlike,
)
from medinstruct.offline.wording import a as _a

Built = tuple[str, str]


def _facet(
    facets: tuple[str, ...], chance: random.Random, *, lay: bool = False, instead: str = ""
) -> str:
    known = [f for f in (facets or ASPECTS) if not lay or f in LAY_ASPECTS] or list(LAY_ASPECTS)
    return chance.choice([f for f in known if f != instead] or known)


def _open(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    lay = view in LAY
    facet = _facet(facets, chance, lay=lay)
    what = aspect(c, facet, chance, lay=lay)
    if lay:
        sign, who = chance.choice(c.presentation), chance.choice(RELATIVES)
        return chance.choice(
            [
                f"My doctor mentioned {called(c)} because of {sign}. Can you explain {what} to me?",
                f"I keep wondering about {what}, since {who} had it and my notes mention {sign}. What should I know?",
                f"Could you tell me {what}? I was told about it after {_short(c, chance)}.",
                f"{capital(who)} has just been told the diagnosis and I worry. Where do I start with {what}?",
                f"Please help me understand {what}; what troubles me most is {sign}.",
                f"I read that {chance.choice(c.causes)} can be behind it. What should I ask about {what} at my visit?",
            ]
        ), ""
    where = setting(c, chance)
    question = chance.choice(
        [
            f"What should {_a(view)} know about {what} {where}?",
            f"How would {_a(view)} sum up {what} {where}?",
            f"Which points on {what} matter most {where}?",
            f"{capital(where)}, what is worth knowing about {what}?",
            f"What makes {what} worth attention {where}?",
            f"Outline {what} {where}.",
            f"Describe {what} {where}, from the standpoint of {_a(view)}.",
            f"In practice, what should one keep in mind about {what} {where}?",
            f"Discuss {what}, especially {where}.",
            f"What do we know about {what}, and what follows {where}?",
        ]
    )
    return question + tail(c, level, view, chance), ""


def _generation(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    one = _facet(facets, chance)
    two = _facet((), chance, instead=one)
    verb = chance.choice(
        ["Write", "Draft", "Compose", "Prepare", "Create", "Produce", "Develop", "Put together"]
    )
    form, where = chance.choice(FORMATS), setting(c, chance)
    me = "I need this for myself: " if view in LAY else ""
    text = chance.choice(
        [
            f"{verb} {form} on {aspect(c, one, chance)} {where}.",
            f"{verb} {form} that covers {aspect(c, one, chance)} together with {aspect(c, two, chance)}.",
            f"For {_a(view)}, {verb.lower()} {form} about {aspect(c, one, chance)}, useful {where}.",
            f"{capital(where)}: {verb.lower()} {form} with {aspect(c, one, chance)}.",
            f"{verb} {form} whose subject is {aspect(c, one, chance)}; open with {chance.choice(c.presentation)}.",
        ]
    )
    return me + text + tail(c, level, view, chance), ""


def _chat(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    signs = chance.sample(c.presentation, 3)
    verb = chance.choice(
        [
            "Reply kindly to",
            "Answer",
            "Respond to",
            "Continue the conversation with",
            "Write back to",
        ]
    )
    cause, who = chance.choice(c.causes), chance.choice(RELATIVES)
    opening = chance.choice(["Hello,", "Good evening,", "Hi there,", "Excuse me,"])
    message = (
        f"{opening} I have been told that it might be {called(c)}. My notes mention {listed(signs)}. I looked it up and now "
        f"I am quite worried. {capital(who)} says that {cause} may have something to do with it. Should I wait "
        f"until my next appointment, or is there something that I must do today? Please explain it in simple words, and tell me "
        f"{aspect(c, _facet((), chance, lay=True), chance, lay=True)}."
    )
    about = aspect(c, _facet(facets, chance, lay=True), chance, lay=True)
    if view in LAY:
        ask = chance.choice(
            [
                f"I am the one who wrote this; please answer me and include {about}.",
                f"Can you talk with me about {about}? My message is below; {signs[0]} frightens me.",
                f"Help me: my notes mention {signs[0]}, and I would like to hear {about}.",
            ]
        )
        return ask + (tail(c, level, view, chance) if level > 2 else ""), message
    text = chance.choice(
        [
            f"{verb} this message about {signs[0]} and bring in {about}.",
            f"{verb} a person who fears {called(c)} after {signs[1]}; touch on {about}.",
            f"As {_a(view)}, {verb.lower()} somebody with {signs[2]} who asks about {about}.",
        ]
    )
    return text + tail(c, level, view, chance), message


def _rewrite(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    reader = chance.choice(
        [
            "a worried relative",
            "a twelve-year-old",
            "a new nurse",
            "a patient leaving the ward",
            "a busy colleague",
            "a taxi driver with no medical training",
            "a volunteer",
            "an examiner",
            "somebody who reads slowly",
            "a committee of lay people",
            f"the family of {c.typical_patient}",
        ]
    )
    verb = chance.choice(["Rewrite", "Simplify", "Rephrase", "Restate", "Reword", "Turn", "Recast"])
    into = " into words" if verb == "Turn" else ""
    facet = _facet(facets, chance)
    shown = (
        "definition",
        chance.choice(["mechanism", "presentation", "tests"]),
        facet,
        "treatment",
    )
    told = [tell(c, f) for f in dict.fromkeys(shown)]
    passage = " ".join(told[:-1] if sum(len(part.split()) for part in told[:-1]) >= 50 else told)
    mine = "For me and my family: " if view in LAY else ""
    text = chance.choice(
        [
            f"{verb} this passage on {aspect(c, facet, chance)}{into} for {reader}.",
            f"{verb} the text below{into} so that {reader} grasps {aspect(c, facet, chance)}.",
            f"{verb} what the ward handbook says of {called(c)}{into or ' so that it is'} fit for {reader}, leaving out no fact on {chance.choice(c.treatment)}.",
        ]
    )
    return mine + text + tail(c, level, view, chance), _sized(passage)


def _summary(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    verb = chance.choice(
        ["Summarize", "Condense", "Boil down", "Shorten", "Abridge", "Distil", "Sum up"]
    )
    facet = _facet(facets, chance)
    rest = chance.sample(
        [
            f
            for f in ("presentation", "tests", "treatment", "mechanism", "drug", "causes")
            if f != facet
        ],
        2,
    )
    notes = chance.choice(
        ["notes", "passage", "handbook entry", "lecture extract", "paragraph", "ward summary"]
    )
    size = chance.choice(
        [
            "two sentences",
            "one sentence",
            "three short points",
            "forty words",
            "a single line",
            "a text message",
        ]
    )
    mine = "Please make this short for me. " if view in LAY else ""
    text = chance.choice(
        [
            f"{verb} the {notes} on {called(c)} to {size} that {_a(view)} can use, with {aspect(c, facet, chance)} kept.",
            f"{verb} the {notes} below in {size}; the reader is {_a(view)} who has {chance.choice(c.presentation)} in mind.",
            f"{verb} the {notes} below for {_a(view)}: {size}, centred on {aspect(c, facet, chance)}.",
        ]
    )
    return mine + text + tail(c, level, view, chance), _sized(
        " ".join(tell(c, f) for f in (facet, *rest))
    )


def _classify(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    other = called(chance.choice(c.differential).condition)
    pair = [called(c), other]
    chance.shuffle(pair)
    verb = chance.choice(["Classify", "Label", "Categorize", "Diagnose"])
    mine = "I would like to know: " if view in LAY else ""
    text = chance.choice(
        [
            f"{verb} the case as {pair[0]} or {pair[1]} and name the deciding finding.",
            f"Two labels are allowed, {pair[0]} and {pair[1]}: {verb.lower()} the description and defend the choice.",
            f"{'' if mine else f'As {_a(view)}, '}{verb.lower()} this presentation with {chance.choice(c.presentation)}: {pair[0]} or {pair[1]}?",
        ]
    )
    return mine + text + tail(c, level, view, chance), _vignette(c, chance)


def _usmle(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    ask = chance.choice(
        [
            "Choose the most likely diagnosis",
            "Select the best diagnosis",
            "Decide on the single best diagnosis",
            "Pick the diagnosis that fits best",
            "Mark the diagnosis that explains all findings",
        ]
    )
    sign, other = chance.sample(c.presentation, 2)
    text = chance.choice(
        [
            f"{ask} for {c.typical_patient} with {sign}.",
            f"{ask} in this vignette of {sign} and {other}.",
            f"Read the case of {c.typical_patient}; {ask[0].lower()}{ask[1:]}.",
        ]
    )
    names = list(dict.fromkeys([c.name, *(d.condition for d in c.differential)]))[:4]
    names += [x.name for x in chance.sample(conditions(), 8) if x.name not in names][
        : 4 - len(names)
    ]
    chance.shuffle(names)
    mine = "I am preparing for a quiz. " if view in LAY else ""
    return mine + text + tail(c, level, view, chance), _vignette(
        c, chance
    ) + " Which diagnosis is most likely?" + _lettered(names)


def _choice(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    drug = c.drug
    options = [drug.adverse_effect, *chance.sample(unlike(drug), 3)]
    chance.shuffle(options)
    case = (
        f"{capital(c.typical_patient)} is treated for {called(c)} and starts {drug.example}, which {drug.use}. {tell(c, 'presentation')} "
        "Which adverse effect is this drug typically known for, so that it should be looked for at the next visit?"
    )
    text = chance.choice(
        [
            f"Pick the adverse effect that {drug.example} is known for when it is given for {called(c)}.",
            f"Which lettered option names the harm to look for after {drug.example} was started for {called(c)}?",
            f"Choose the typical adverse effect of {drug.example} in {c.typical_patient}.",
            f"{capital(_a(view))} reviews {drug.example}, given for {called(c)} with {chance.choice(c.presentation)}: select its known side effect.",
        ]
    )
    mine = "I want to test myself. " if view in LAY else ""
    return mine + text + tail(c, level, view, chance), case + _lettered(
        [capital(option) for option in options]
    )


def _single(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    test, sign = chance.choice(c.plain_tests), chance.choice(c.presentation)
    text = chance.choice(
        [
            f"Explain what it means when {test.told} in suspected {called(c)}.",
            f"{capital(test.told)}. What does this point to in {c.typical_patient}?",
            f"State which diagnosis follows for {c.typical_patient} from {sign}.",
            f"Reason from one finding, {test.finding} on {called(test.test)}, to its meaning in {called(c)}.",
            f"What explains {sign} in {called(c)}? Name the mechanism.",
            f"Deduce how {called(c)} hangs together with one of its causes or risk factors, {chance.choice(c.causes)}.",
            f"What would {chance.choice(c.differential).feature} tell you when {called(c)} is suspected?",
        ]
    )
    mine = "I am trying to understand my results. " if view in LAY else ""
    return mine + text + tail(c, level, view, chance), ""


def _multi(
    c: Condition, *, view: str, level: int, facets: tuple[str, ...], chance: random.Random
) -> Built:
    signs = chance.sample(c.presentation, 2)
    other = called(chance.choice(c.differential).condition)
    test = chance.choice(c.plain_tests)
    start = chance.choice(
        [
            f"{capital(c.typical_patient)} presents with {signs[0]} and {signs[1]}.",
            f"Suppose that {c.typical_patient} has {signs[0]}, and that {test.told}.",
            f"{capital(signs[0])} and {signs[1]} bring {c.typical_patient} to you.",
        ]
    )
    task = chance.choice(
        [
            f"Work from these findings to the diagnosis, tell it apart from {other}, and derive the first treatment.",
            "Infer the diagnosis, then its mechanism, then the drug that acts on it.",
            f"Name the likely diagnosis, the test that would confirm it, and why {other} fits less well.",
            "Chain your reasoning: diagnosis, cause, red flags, next test.",
            "What is going on, what would you test, and how does the treatment follow?",
        ]
    )
    mine = "I would like to follow the reasoning about my own case. " if view in LAY else ""
    return f"{mine}{start} {task}{tail(c, level, view, chance)}", ""


def _vignette(c: Condition, chance: random.Random) -> str:
    signs, test = (
        chance.sample(c.presentation, 3),
        chance.choice(c.plain_tests[:2]),
    )  # the first ones decide
    seen = chance.choice(
        [
            "is seen with",
            "is examined because of",
            "is brought to your attention with",
            "is reviewed because of",
        ]
    )
    return (
        f"{capital(c.typical_patient)} {seen} {listed(signs)}. A colleague recalls that {chance.choice(c.causes)} can lie behind such a picture. "
        f"The rest of the history and examination adds nothing. {capital(test.told)}. "
        "The question is what is wrong and what should happen next."
    )


def _lettered(options: list[str]) -> str:
    return "".join(f"\n({letter}) {text}" for letter, text in zip("ABCD", options, strict=True))


def _sized(text: str, most: int = 190) -> str:
    """Whole sentences up to the length that the prompt allows for an input."""
    while len(text.split()) > most and ". " in text:
        text = text[: text.rstrip(".").rfind(". ") + 1]
    return text


def _short(c: Condition, chance: random.Random) -> str:
    return f"{chance.choice(c.presentation)} and {chance.choice(c.causes)} came up"


KINDS: dict[str, Callable[..., Built]] = {
    "text generation": _generation,
    "open Q&A": _open,
    "chat": _chat,
    "rewrite": _rewrite,
    "summarization": _summary,
    "classification": _classify,
    "USMLE-style Q&A": _usmle,
    "multiple-choice Q&A": _choice,
    "single-hop reasoning": _single,
    "multiple-hop reasoning": _multi,
}
assert set(ASPECTS) <= set(FACETS)
