"""Patterns for what can name a person: our own rules, which need no model; after the eighteen identifiers of HIPAA's Safe Harbor."""

import re
from functools import cache

MONTH = r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
DAY = r"(?:[12]\d|3[01]|0?[1-9])"
NUMBER = r"(?:1[0-2]|0?[1-9])"
YEAR = r"(?:(?:19|20)\d\d)"
# One part of a name: "Brannagh", "Okonjo-Bell", "K.", "van".
PART = r"(?:[A-ZÀ-Þ](?:\.|['’]?[A-ZÀ-Þ]?[a-zß-ÿ]+(?:[-'’][A-ZÀ-Þ][a-zß-ÿ]+)*))"
NAME = rf"{PART}(?:,?[ \t]+(?:(?:van|von|de|der|den|da|al|bin)[ \t]+)*{PART}){{0,3}}"
LOW = r"(?:[a-z]{3,}(?:-[a-z]{2,})?)"
FULL = rf"{PART}(?:[ \t]+(?:(?:van|von|de|der|den|da|al|bin)[ \t]+)*{PART}){{1,3}}"
TITLE = r"(?:Mrs|Mr|Ms|Miss|Mx|Dr|Prof|Professor|Nurse|Sister)"
WHO = (
    r"(?:[Pp]atient(?:['’]s)?(?:[ \t]+[Nn]ame)?|[Pp]t|[Nn]ame(?:[ \t]+of[ \t]+(?:the[ \t]+)?patient)?|[Nn]ext of kin|[Pp]hysician|[Dd]octor|[Cc]aregiver|"
    r"[Cc]arer|[Cc]ontact|[Mm]other|[Ff]ather|[Ss]on|[Dd]aughter|[Ww]ife|[Hh]usband|[Pp]artner|[Nn]eighbour|[Nn]eighbor|[Ff]riend|[Bb]rother|[Ss]igned|[Ww]itness)"
)
STREET = r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Court|Ct|Boulevard|Blvd|Close|Terrace|Way|Place|Pl|Square|Row|Crescent|Parkway|Highway)"
CODE = r"(?=[A-Za-z-]{0,4}[ \t]?\d)[A-Za-z]{0,4}[-/.]?\d(?:[A-Za-z0-9]|[-/](?=[A-Za-z0-9])){2,}"
GAP = r"(?:[ \t]+(?:no|number|nr)\b\.?|[ \t]*#)?[ \t]*[:#]?[ \t]*"

ORDINAL = (
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|"
    "eighteenth|nineteenth|twentieth|twenty-[a-z]+|thirtieth|thirty-first"
)
DIGIT = r"(?:oh|zero|one|two|three|four|five|six|seven|eight|nine|(?:double|triple)[ \t]+(?:oh|zero|one|two|three|four|five|six|seven|eight|nine))"

RULES: dict[str, tuple[str, ...]] = {
    "name": (
        rf"\b(?:mr|mrs|ms|dr|MR|MRS|MS|DR)\.?[ \t]+(?P<hit>(?!(?:can|is|in|was|or|and|has|may|means?|with|for|patients?)\b){LOW}(?:[ \t]+of)?)(?=[ \t]+(?:wants|has|had|is|was|says|asks|came|needs|lives|called)\b)",
        rf"\bDr\.?[ \t]+(?P<hit>(?:al|el|bin|van|von|de)[- ]{PART})",
        r"(?P<hit>\b[A-ZÀ-Þ]{3,}[ \t]+[A-ZÀ-Þ]{3,})\b(?=,?[ \t]+(?:\d{1,3}[ \t]?[MF]\b|(?:fe)?male\b|MRN\b|DOB\b))",
        rf"\b(?:[Tt]hanks|[Kk]ind regards|[Bb]est regards|[Rr]egards|[Ss]incerely|[Ss]igned),[ \t]*\n?[ \t]*(?P<hit>{NAME})(?=[ \t.]*(?:\n|$))",
        rf"\b(?:[Ii]t['’]s|[Tt]his is)[ \t]+(?P<hit>{PART})(?=,|[ \t]+again\b|[ \t]+(?:here|calling)\b)",
        rf"\b(?:[Rr]oom-?mate|[Ll]odger|[Ll]andlady|[Aa]unt|[Uu]ncle|[Cc]ousin|[Cc]olleague),?[ \t]+(?P<hit>{FULL})",
        rf"\b(?:[Bb]ed|[Rr]oom)[ \t]+\d+[a-z]?,?(?:[ \t]+is)?[ \t]+(?P<hit>{PART}[ \t]+[A-Z]\.)",
        rf"(?:^|(?<=[.!?][ \t]))(?P<hit>{FULL})(?=[ \t]+(?:asks|wonders|wants|needs|signed|takes)\b)",
        rf"(?:^|(?<=[.!?][ \t]))(?P<hit>[OD]['’]{PART})(?=,)",
        rf"\b{TITLE}\b\.?[ \t]+(?P<hit>{NAME})",
        rf"\b{WHO}[ \t]*[:,]?[ \t]+(?P<hit>{FULL})",
        rf"\b{WHO}[ \t]*:[ \t]*(?P<hit>{PART},?[ \t]+{PART})",
        rf"\b(?:[Mm]y name is|I am|I['’]m|[Ss]poke (?:with|to)|[Ii]nterviewed|[Aa]sk for|[Ss]een by)[ \t]+(?P<hit>{FULL})",
        rf"(?P<hit>{FULL})(?:,[ \t]+\d{{1,3}},|,[ \t]+(?:RN|MD|DO|NP)\b|[ \t]+(?:says|said|denies|reports|complains|was brought|was seen|came)\b)",
    ),
    "date": (
        rf"\b(?:[Bb]orn|[Oo]nset(?:[ \t]+was)?|[Dd]iagnosed|[Aa]dmitted|[Oo]perated|[Dd]ied|[Ss]een)(?:[ \t]+in)?[ \t]+(?P<hit>{MONTH}[ \t]+{YEAR})\b",
        rf"\b(?P<hit>[Tt]he[ \t]+(?:{ORDINAL})[ \t]+of[ \t]+{MONTH})\b",
        r"\b(?:[Oo]n|[Ss]ince|[Ff]rom|[Uu]ntil|[Aa]gain on)[ \t]+(?P<hit>(?:[12]\d|3[01]|0?[1-9])\.(?:1[0-2]|0?[1-9])\.)(?!\d)",
        r"(?i:\bd\.?o\.?b\.?)[ \t]*:?[ \t]*(?P<hit>(?:19|20)\d{6})(?!\d)",
        rf"\b(?P<hit>{DAY}(?:st|nd|rd|th)?[- \t]+{MONTH}(?:[-, \t]+{YEAR})?)\b",
        rf"\b(?P<hit>{MONTH}[ \t]+{DAY}(?:st|nd|rd|th)?(?:,?[ \t]+{YEAR})?)\b(?!\d)",
        rf"(?<![\d./-])(?P<hit>{YEAR}([-/.]){NUMBER}\2{DAY})(?![\d/-])",
        rf"(?<![\d./-])(?P<hit>(?:{DAY}([-/.]){NUMBER}|{NUMBER}([-/.]){DAY})(?:\2|\3)(?:{YEAR}|\d\d))(?![\d/-])",
    ),
    "phone": (
        r"(?i:\b(?:phone|tel|telephone|call|ring|text|fax|mobile)\b)[^\n\d]{0,12}(?P<hit>\d{7})(?!\d)",
        rf"(?i:\b(?:phone|number|call|ring|text)\b)[^\n]{{0,12}}?\b(?P<hit>{DIGIT}(?:,?[ \t]+{DIGIT}){{4,}})\b",
        r"(?<![\w+])(?P<hit>\+\d{1,3}(?:[ .-]?\(?\d{2,5}\)?){2,4})(?![\d-])",
        r"(?<![\w+])(?P<hit>\(\d{3}\)[ .-]?\d{3}[ .-]\d{4})(?!\d)",
        r"(?<![\w+.-])(?P<hit>\d{3}[ .-]\d{3}[ .-]\d{4}|0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4})(?![\d-])",
        r"(?i:\b(?:phone|tel|telephone|call|ring|text|fax|mobile|number|ward|reach)\b)[^\n\d]{0,30}(?P<hit>\d{3}-\d{4})(?![\d-])",
    ),
    "email": (
        r"(?<![\w.+-])(?P<hit>[\w.+-]{1,64}[ \t]+\(?(?:at)\)?[ \t]+\w+(?:[ \t]+\(?dot\)?[ \t]+\w+)+)",
        r"(?<![\w.+-])(?P<hit>[\w.+-]{1,64}@[\w-]{1,80}(?:\.[\w-]{1,80}){1,8})",
    ),
    "url": (
        r"(?<![@\w./])(?P<hit>(?:[a-z0-9-]{1,60}\.){1,6}(?:com|org|net|edu|gov|io|uk|de)/[^\s<>\"')\]]*[^\s<>\"')\].,;])",
        r"(?P<hit>(?:https?://|www\.)[^\s<>\"')\]]+[^\s<>\"')\].,;])",
    ),
    "record": (
        r"(?i:\b(?:file|chart|record)\b)(?:[ \t]+(?:is|was|no\.?))?[ \t]+(?P<hit>[A-Z]{1,3}/\d{2,6}(?:/[A-Z0-9]+)?)",
        rf"(?i:\b(?:MRN|medical record|hospital|chart|record|patient id|case|accession|encounter|specimen|registration|reg\.)){GAP}(?P<hit>{CODE})",
    ),
    "id": (
        r"(?<![\d-])(?P<hit>\d{3}-\d{2}-\d{4})(?![\d-])",
        r"(?i:\b(?:SSN|social security|NHS|passport|policy|insurance id|member id|medicare|medicaid|health card|license plate|licence plate|"
        r"licen[cs]e|account|serial|ID)\b(?:[ \t]+(?:number|no\.?|id|address))?)[ \t]*[:#]?[ \t]*(?P<hit>(?=[A-Z0-9 -]*\d)[A-Z0-9]{1,4}(?:[ -]?[A-Z0-9]+){1,7})",
        r"(?<![\d.])(?P<hit>(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d))(?![\d.])",
    ),
    "address": (
        rf"\b(?P<hit>\d{{1,5}}[a-z]?[ \t]+(?:[NSEW]\.[ \t]+)?(?:[A-Z][\w'’.-]*[ \t]+){{1,3}}{STREET}\b\.?)",
        r"\b(?P<hit>(?:P\.?O\.? Box|Postfach)[ \t]+\d+)",
    ),
    "age": (
        r"\b(?:is|was|turned|turns|aged?)[ \t]+(?P<hit>ninety(?:-(?:one|two|three|four|five|six|seven|eight|nine))?)\b(?!-year|[ \t]+(?:percent|minutes|days|mg))",
        r"\b(?P<hit>(?:9\d|1[01]\d)[- ](?:years?[- ]old|y/?o)\b)",
        r"\b(?P<hit>(?:aged?|age of)[ \t]+(?:9\d|1[01]\d))\b",
    ),
}
# A capitalised word that is no person although it stands where a name could.
NOT_NAMES = re.compile(
    r"\b(?:disease|syndrome|sign|score|test|scale|criteria|lymphoma|sarcoma|study|trial|catheter|Clinic|Hospital|Association|Department|Organization|Society|"
    r"University|Google|Health|Doctor|Mom|Okay|Ok|Yes|No|Oh|Thank|Thanks|What|Is|Alright|Hello|Hi|Heart|Foundation|January|February|March|April|June|July|August|September|October|November|December)\b"
)


@cache
def compiled(kind: str) -> tuple[re.Pattern[str], ...]:
    """The patterns of one kind of identifier."""
    return tuple(re.compile(rule) for rule in RULES[kind])
