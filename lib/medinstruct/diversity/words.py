"""Words: sentences and tokens, and what parts of speech a word may be.

The parts come from LemmInflect (MIT), which carries the biomedical SPECIALIST lexicon of the US National Library of Medicine.
"""

import re
from functools import cache

SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"'”’)]))\s+(?=[\"'“‘(]*[A-Z0-9])|\n+")
ABBREVIATED = re.compile(r"(?:^|[\s(])(?:Dr|Mr|Mrs|Ms|Prof|St|vs|e\.g|i\.e|approx|No|Fig|[A-Z])\.$")
TOKEN = re.compile(r"n['’]t\b|['’](?:s|d|ll|re|ve|m)\b|\w+(?=n['’]t\b)|\w+(?:[-/]\w+)*|[^\w\s]")

DETERMINERS = frozenset(
    "the a an this that these those my your his her its our their each every some any no all both another several few many "
    "much enough either neither such".split()
)
PRONOUNS = frozenset(
    "i you he she it we they me him us them myself yourself himself herself itself ourselves themselves something anything "
    "nothing everything someone anyone everyone nobody somebody there one ones mine yours hers ours theirs".split()
)
PREPOSITIONS = frozenset(
    "of in on at by for with without from into onto about against between among during through throughout over under after "
    "before since until till within across toward towards upon per via regarding concerning despite except including like than "
    "to as below above behind beyond along around near off out up down away beside besides inside outside versus vs amid".split()
)
PARTICLES = frozenset("together out up down off on in over away back through".split())
QUESTION_WORDS = frozenset("what which who whom whose when where why how whether".split())
MODALS = frozenset("can could may might must shall should will would ca wo 'd ’d 'll ’ll".split())
BE = frozenset("be is are was were am been being 's ’s 're ’re 'm ’m".split())
HAVE = frozenset("have has had having 've ’ve".split())
DO = frozenset("do does did".split())
JOINERS = frozenset("and or but nor & then".split())
SUBORDINATORS = frozenset("if when whenever while although though because unless once whereas so".split())
NEGATIONS = frozenset("not n't n’t never".split())
ADVERBS = frozenset(
    "also just only even still now too very quite rather really please kindly always often usually ever most more less well here "
    "today yesterday soon again further together instead perhaps maybe however therefore first firstly secondly lastly ok okay hi "
    "hello thus ago already yet almost once twice never so then sometimes later".split()
)
CLOSED = (
    DETERMINERS | PRONOUNS | PREPOSITIONS | QUESTION_WORDS | MODALS | BE | HAVE | DO | JOINERS | SUBORDINATORS | NEGATIONS | ADVERBS
)
# Readings that the lexicon lists but that instructions hardly ever mean.
NEVER_VERB = frozenset(
    "patient patients people blood child skin bone bones food water body side type age case cases best better single second first "
    "upper other two three four five ten heart brain neck chest ear eye eyes nose knee shoulder hand hands leg foot mouth head breast finger doctor doctors nurse nurses parent parents key pain fever days day year "
    "years time way ways information evidence question medicine medicines drug drugs father mother man woman nerve clinical "
    "short long brief good detailed simple plain common main likely total medical own same new old further daily".split()
)
NEVER_NOUN = frozenset(
    "following given using based considering best likely most least able good different common main short brief simple plain single "
    "detailed new old clinical medical such own same possible important specific potential next treat explain describe back".split()
)
# What instructions begin with: such a word before a noun is a verb, even where it may be a noun, too.
INSTRUCTION_VERBS = frozenset(
    "act advise abridge analyze analyse answer apply argue arrange assess assume break build calculate categorize change check choose cite "
    "classify comment compare compile complete compose compute condense conduct continue consider construct contrast convert correct counsel create "
    "critique debate decide deduce define demonstrate derive describe design detail determine develop devise diagnose diagram "
    "differentiate discuss distinguish document draft draw edit educate elaborate estimate evaluate examine expand explain explore "
    "extract fill find flag formulate generate give group guide help highlight identify illustrate imagine indicate infer inform "
    "interpret investigate judge justify label list locate make map mark match mention name narrate offer order organize outline paraphrase "
    "perform pick plan point predict prepare present prioritize produce propose prove provide question rank rate read reason recall recast recommend "
    "refute rephrase report respond restate review revise reword rewrite role-play score select shorten show simplify simulate solve sort "
    "specify state suggest summarize summarise support suppose take tell test trace translate turn use verify walk write".split()
)
COMMON_VERBS = INSTRUCTION_VERBS | frozenset(
    "ask avoid bring buy call click come contact drop eat enjoy follow forget get go hear hold hop join keep leave look love mix move note pay "
    "put remember reply run save say see send share sign start stay stop support talk think throw try use visit wait wash watch work".split()
)


@cache
def parts(word: str) -> dict[str, str]:
    """The lemma of a lower-case word for each part of speech that it may have; an unknown word may be a noun.

    >>> parts("symptoms"), parts("summarises"), parts("the")
    ({'NOUN': 'symptom'}, {'VERB': 'summarize'}, {})
    """
    if word in CLOSED or not word[0].isalpha():
        return {}
    if word[0].isupper():
        return {"NOUN": _named(word)}
    found = _listed(word) or (_hyphenated(word) if "-" in word or "/" in word else _guessed(word))
    if word in NEVER_VERB:
        found = {part: lemma for part, lemma in found.items() if part != "VERB"}
    if word in NEVER_NOUN:
        found = {part: lemma for part, lemma in found.items() if part != "NOUN"}
    return found


def _named(word: str) -> str:
    """A name or abbreviation in lower case, in the singular where the lexicon has it."""
    return _listed(word.lower()).get("NOUN", word.lower())


def _listed(word: str) -> dict[str, str]:
    """What the lexicon says."""
    from lemminflect import getAllLemmas

    found = {part: lemmas[0] for part, lemmas in getAllLemmas(word).items() if part in ("NOUN", "VERB", "ADJ", "ADV")}
    verb = "lay" if word == "lay" else found.get("VERB")
    return found | ({"VERB": american(verb)} if verb else {})


def american(verb: str) -> str:
    """One spelling of a verb, so that its counts are not split: -ise and -yse become -ize and -yze where that is a verb, too."""
    from lemminflect import getAllLemmas

    other = verb[:-2] + "ze" if verb.endswith(("ise", "yse")) else verb
    return other if "VERB" in getAllLemmas(other) else verb


def _hyphenated(word: str) -> dict[str, str]:
    """A compound is what its last part is; with a participle (evidence-based) or an age (year-old) at its end, an adjective."""
    last = re.split(r"[-/]", word)[-1]
    found = _listed(last) if last and last not in CLOSED else {}
    if last.endswith(("ed", "ing", "old", "wide", "free", "term")) or "ADJ" in found:
        return {"ADJ": word}
    start = word[: -len(last)] if last else word
    return {part: start + lemma for part, lemma in found.items() if part in ("NOUN", "VERB")} or {"NOUN": word}


def _guessed(word: str) -> dict[str, str]:
    """An unknown word by its ending; else a noun, such as a drug's name."""
    from lemminflect import getAllLemmasOOV

    if word.endswith("ly"):
        return {"ADV": word}
    noun = {"NOUN": getAllLemmasOOV(word, upos="NOUN").get("NOUN", (word,))[0]}
    return {"ADJ": word} | noun if word.endswith(("al", "ic", "ous", "ive", "able", "ible", "ary", "less", "ful")) else noun


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text; "Dr. Smith" and "e.g. in" do not end one.

    >>> sentences("Dr. Lee sees a child. What is next?")
    ['Dr. Lee sees a child.', 'What is next?']
    """
    found: list[str] = []
    for piece in SENTENCE_END.split(text):
        if found and ABBREVIATED.search(found[-1]):
            found[-1] += " " + piece
        elif piece.strip():
            found.append(piece.strip())
    return found


def tokens(sentence: str) -> list[str]:
    """Words in lower case, but names and abbreviations as they are; clitics apart, and punctuation.

    >>> tokens("What's a low-dose CT? I don't know.")
    ['what', "'s", 'a', 'low-dose', 'CT', '?', 'i', 'do', "n't", 'know', '.']
    """
    found = TOKEN.findall(sentence.replace("cannot", "can not"))
    shouts = sentence.isupper()
    return [token if not shouts and _is_name(token, last) else token.lower() for last, token in zip(["", *found], found)]


def _is_name(token: str, last: str) -> bool:
    """Whether a word is an abbreviation (CT, ACE), or has a capital although no sentence or quotation begins with it."""
    if token.lower() in CLOSED or not token[0].isupper():
        return False
    return token[1:2].isupper() or (last[:1].islower() or last[:1].isdigit())
