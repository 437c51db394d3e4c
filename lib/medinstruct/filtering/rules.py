"""Content rules: why a task is of no use although it is new. Each can be switched off by its name."""

import re
from collections.abc import Callable, Collection

from medinstruct import labels
from medinstruct.errors import UserError
from medinstruct.filtering.words import unicode_tokens
from medinstruct.records import Task

TEXT = (
    r"(?:text|passage|paragraphs?|sentences?|statements?|abstract|article|report|notes?|summary|message|email|letter|vignette|"
    r"dialogue|conversation|transcript|excerpts?|extract|scenario|case|list|options|choices|questions?|information|data|findings|"
    r"description|results|study|symptoms|terms|conditions|diseases|drugs|medications|advice|instructions|input)"
)
REFERS = re.compile(
    rf"\b(?:(?:the|this|these|that|those) (?:\w+ ){{0,2}}(?:{TEXT})? ?\b(?:below|provided|given|above)\b|"
    rf"(?:following|given|provided|attached|below) (?:[\w-]+ ){{0,3}}?{TEXT}\b|from (?:the )?(?:provided|given) \w+|"
    rf"(?:summarize|rewrite|rephrase|simplify|classify|translate|shorten|paraphrase) (?:this|these) (?:[\w-]+ ){{0,3}}?{TEXT}\b)",
    re.I,
)
INLINE = re.compile(r"(?:[:\n–—]|\s-\s|[\"“'‘(])\s*(?:[^\s:]+\s+){4}")
OPTION = re.compile(r"(?:^|[\s(\[,;])([A-Ea-e1-5])\s?[.):\]]\s*(?=\S)", re.M)
PLACEHOLDER = re.compile(
    r"^\W*(?:(?:an?|the|any|some)\s+)?(?:[\w'’-]+\s+){0,3}?\d+\s*(?:-|–|to|\s)\s*(?:\d+[\s-]*)?words?\b.{0,60}"
    r"\b(?:describ|about|on|of|detail|outlin|discuss|explain|from|with|contain)|"
    r"[\[<{]\s*(?:insert|your|patient|input|text|case|report|provide|details?|name)\b[^\]>}]{0,80}[\]>}]|"
    r"\b(?:insert|place|paste) (?:\w+ ){0,4}here\b|\blorem ipsum\b|"
    r"^\W*(?:the )?(?:input|text|passage|case|report|article) (?:will be|would be|is to be|should be|to be|could be) ",
    re.I,
)
MEDIA = r"(?:images?|pictures?|photos?|photographs?|figures?|graphs?|charts?|diagrams?|videos?|audio|recordings?|files?|pdfs?|spreadsheets?|links?|urls?|websites?|web ?pages?)"
WORDS_ABOUT = r"(?!\s+(?:reports?|findings?|descriptions?|shows?|results?|of the heart))"
OUTSIDE = re.compile(
    rf"\b(?:attached|accompanying|uploaded|following|provided|given|enclosed|shown|displayed) (?:[\w-]+ ){{0,2}}?{MEDIA}\b{WORDS_ABOUT}|"
    rf"\b(?:in|from|at|to|see|using) (?:the|this|these|that) (?:[\w-]+ )?{MEDIA} (?:below|above|attached|provided|shown)|"
    rf"\b{MEDIA} (?:attached|uploaded|(?:shown |given |provided )?(?:below|above))\b|"
    rf"\b(?:look at|watch|open|download|upload) (?:the|this|these|that) (?:[\w-]+ )?{MEDIA}\b|"
    r"https?://|\bwww\.\w|\b(?:search|browse) the (?:web|internet)\b",
    re.I,
)
STEMS = r"""patien clinic medic diseas symptom diagnos treat therap health hospital doctor physician nurs surg pharma drug dose dosing
dosag disorder syndrome infect vaccin virus viral bacter fung parasit cancer tumor tumour malign chemo radiolog x-ray mri ultraso
blood cardi heart vein arter vascul lung pulmon respir breath asthma kidney renal liver hepat gastr bowel intestin stomach abdom
brain neuro nerve nervous\ssystem seizure stroke spinal spine muscle muscul bone fractur joint arthr skin derm rash eye ocular retin
vision visual hearing dent tooth teeth pregnan birth obstet gyn fetal neonat infant baby pediatr geriatr menopaus menstru fertil
sexual contracept condom pill hormon endocr thyroid adrenal gland diabet insulin glucose glyc metabol nutri diet vitamin obes allerg
immun antibod genes genet genom chromosom autosom inherit mutation dna rna protein enzym hered cells cellular tissue organs anatom
physiol patho histol biops biochem laborator epidem outbreak pandem screening prognos mortal morbid chronic acute pain painful ache
headache fever cough nausea vomit diarrh wound injur trauma burns bleed hemo haem anemi anaemi psych mental anxi depress schizo
addict alcohol smok sleep insomn stress suicid dement alzheim parkinson autis adhd rehab disab palliat hospice intensive\scare icu
emergency ambulan resuscit anesth anaesth toxic poison overdose inject tablet prescri side\seffect adverse contraindic placebo
clinical\strial cohort hiv aids covid sepsis septic tubercul malaria influenza flu bmi caregiv telemed bioeth prophyla transplant
donor hygien electrolyt sodium potassium lipid cholest hypertens hypotens edema oedema ulcer hernia lymph spleen pancrea bladder
urin pee prostat testic testis erect ejacul uter ovar vagin penis breast cervic placent eclamp aspirin circulat ards blocker
myasthen rabies bite tapeworm worm swell swollen itch sprain ankle knee leg calf claudic limb shoulder elbow wrist hip neck throat
nose chest tongue digest fasting antibiot antidot opioid morphin laxativ naloxon acetaminophen paracetamol ibuprofen dengue mosquito sunscreen
sunburn menses genital herpes bedside sweat iron exercis weight lower\sback back\spain my\speriods body hurt
mammogr analges gangren aort catheter valve cesar caesar mitochond primary\scare preterm epidur operat orthop carcin lesion implant
biomark comorbid lapar endosc resect stent thromb embol ischem ischaem infarct fibros inflamm steroid serum plasma plaque dizz faint fatigue tired swallow refeed arrhythm qrs p\swave concuss vertigo
pneumoth mole moles lump mouth feet foot hand\swash weak numb tingl paraly balance pulse"""
ENDS = """itis osis oses emia aemia ectomy otomy ostomy ologist opathy algia plasty oscopy cardiogram mammogram angiogram cillin mycin
statin olol sartan azole mab tinib prazole gliptin gliflozin oma uria plegia phasia rrhea rrhage megaly penia cytes azepam triptan"""
LONG, SHORT = (
    [stem for stem in STEMS.split() if (len(stem) > 5) is is_long] for is_long in (True, False)
)
MEDICAL = re.compile(
    rf"{'|'.join(LONG)}|\b(?:{'|'.join(SHORT)})|(?:{'|'.join(ENDS.split())})s?\b", re.I
)


def too_short(task: Task) -> bool:
    """Fewer than three words with the input, so that nothing is asked; punctuation has none."""
    return len(unicode_tokens(f"{task.instruction} {task.input}")) < 3


def too_long(task: Task) -> bool:
    """An instruction of over 200 words or an input of over 1,000: a reply that ran together."""
    return len(unicode_tokens(task.instruction)) > 200 or len(unicode_tokens(task.input)) > 1000


def missing_input(task: Task) -> bool:
    """The instruction refers to a text that is neither in the input nor in itself."""
    return (
        not task.input
        and bool(REFERS.search(task.instruction))
        and not INLINE.search(task.instruction)
    )


def missing_options(task: Task) -> bool:
    """A multiple-choice or USMLE-style task without two options."""
    if labels.canonical("type", task.type) not in ("multiple-choice Q&A", "USMLE-style Q&A"):
        return False
    text = f"{task.instruction}\n{task.input}"
    lettered = {mark.upper() for mark in OPTION.findall(text)}
    listed = (
        max((part.count("\n") for part in task.input.strip().split("?")), default=0) >= 2
        or len(re.findall(r"[,;]\s", text.rpartition("?")[2])) >= 2
    )
    return len(lettered) < 2 and not listed


def placeholder_input(task: Task) -> bool:
    """An input that describes a text in place of giving it, such as "a 150-word case report describing a rash"."""
    return (
        bool(task.input)
        and bool(PLACEHOLDER.search(task.input[:400]))
        and len(unicode_tokens(task.input)) < 60
    )


def image_or_file(task: Task) -> bool:
    """It needs an image, a file or the internet."""
    return bool(OUTSIDE.search(task.instruction) or OUTSIDE.search(task.input))


def not_medical(task: Task) -> bool:
    """No medical word in the instruction or the input; a short text is believed if its topic is a medical one."""
    text = f"{task.instruction} {task.input}"
    believed = labels.canonical("topic", task.topic) is not None and len(text.split()) < 40
    return not believed and not MEDICAL.search(text)


RULES: dict[str, Callable[[Task], bool]] = {
    rule.__name__: rule
    for rule in (
        too_short,
        too_long,
        missing_input,
        missing_options,
        placeholder_input,
        image_or_file,
        not_medical,
    )
}


def rules_on(off: str | Collection[str] = "") -> dict[str, Callable[[Task], bool]]:
    """The rules without those that are switched off, given by name (comma separated)."""
    names = [
        name.strip() for name in (off.split(",") if isinstance(off, str) else off) if name.strip()
    ]
    if unknown := [name for name in names if name not in RULES]:
        raise UserError(
            "There is no such rule to switch off.",
            got=", ".join(unknown),
            do=f"Rules: {', '.join(RULES)}.",
        )
    return {name: rule for name, rule in RULES.items() if name not in names}


def broken(task: Task, *, off: str | Collection[str] = "") -> list[str]:
    """The names of the rules that a task breaks.

    >>> def task(text, kind="chat", **more):
    ...     return Task(type=kind, topic="x", view="x", difficulty=1, instruction=text, **more)
    >>> broken(task("Summarize the following abstract on asthma."))
    ['missing_input']
    >>> broken(task("Pick the drug for asthma.", "multiple choice", input="Which one?")), broken(task("Write a poem on trains."))
    (['missing_options'], ['not_medical'])
    """
    return [name for name, rule in rules_on(off).items() if rule(task)]
