"""Words that a careful reader should look at: none of these flags is the truth, each is a reason to look.

Abbreviations and dose writing after ISMP's list of error-prone abbreviations; daily limits are the usual adult ones of textbooks.
"""

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from medinstruct import labels, stats
from medinstruct.llm import is_refusal
from medinstruct.safety.advice import CALL

ABSOLUTE = r"\b(?:always safe|completely safe|perfectly safe|totally safe|no side effects?|no risks?(?: at all)?|risk-free|guarantee[sd]?|100 ?%(?! (?:oxygen|o2|fio2))|never causes?|cures? (?:all|every|completely)|certainly cure[sd]?|will definitely|there is no danger|no need to (?:see|call|ask) (?:a|your) doctor)\b"
UNITS = r"(?<![\d.])\.\d+ ?(?:mg|g|mcg|ml|mL|units?)\b|\b\d+\.0 ?(?:mg|g|mcg|units?)\b|\b\d+ ?(?:U|IU|µg|ug|cc)\b|\b(?:MS ?O4|MgSO4|QD|QOD)\b|\b\d{4,} ?(?:mg|mcg)\b(?!/)"
CAUTION = r"\b(?:contraindicat\w+|must not be (?:given|taken|used|combined)|do not (?:give|take|use|combine)|avoid in|teratogen\w+|interact\w* with|boxed warning)\b"
ALARM = r"\b(?:chest (?:pain|pressure)|shortness of breath|breathless\w*|stiff neck|worst headache|cough(?:ing)? (?:up )?blood|vomit\w* blood|black stools?|suicid\w+|weakness (?:of|on) one side|faint\w*|unconscious\w*|seizures?|swelling of the (?:lips|tongue|face)|severe (?:belly|abdominal) pain)\b"
ADVICE = rf"{CALL}|\b(?:ambulance|emergency|urgent\w*|immediate\w*|at once|right away|see (?:a|your) (?:doctor|clinician|gp)|call (?:a|your|the) (?:doctor|clinic|midwife|practice)|seek (?:care|help|medical)|hospital|medical help|get help)\b"
END = re.compile(r"[.!?:)\]\"'”’*`]$|```$|\|$")
ANSWER_IS = re.compile(r"\bthe (?:correct |right |best |final )?answer is\b", re.IGNORECASE)
MACHINE = re.compile(
    r"\bas an? (?:AI|artificial intelligence|language model)\b|\blanguage model\b|\bI (?:cannot|can't|can ?not) provide medical advice\b",
    re.IGNORECASE,
)
DOSE = r"([1-9]\d{0,2}(?:,\d{3})+|\d+(?:[.,]\d+)?) ?(mcg|mg|g)\b"  # 1,500 is a thousand and a half, 1,5 is one and a half
# drug -> the most milligrams a day that an adult usually gets
MOST_A_DAY = {
    "paracetamol": 4000,
    "acetaminophen": 4000,
    "ibuprofen": 3200,
    "metformin": 3000,
    "amlodipine": 10,
    "lisinopril": 80,
    "atorvastatin": 80,
    "simvastatin": 40,
    "levothyroxine": 0.3,
    "methotrexate": 30,
    "digoxin": 0.5,
    "colchicine": 2.4,
    "apixaban": 20,
    "omeprazole": 120,
    "sertraline": 200,
    "citalopram": 40,
    "prednisone": 200,
    "prednisolone": 200,
    "naproxen": 1500,
    "tramadol": 400,
}
FLAGS = {
    "absolute claim": "words that promise too much",
    "dose or unit": "a dose written as slips are written, or above the usual daily limit",
    "missing red flag": "alarming signs in a text for patients, and no word on help",
    "contraindication": "words on what must not be given: right or wrong, worth a look",
    "truncated": "no end of a sentence at the end",
    "answer is": "“the answer is” where there is nothing to choose",
    "refusal": "declines to answer",
    "machine speaks": "speaks of being a machine",
}
CHOICE = (
    "multiple-choice Q&A",
    "USMLE-style Q&A",
    "single-hop reasoning",
    "multiple-hop reasoning",
    "classification",
)


def risks(example: Any) -> dict[str, str]:
    """The flags of one example (instruction, input, output, type, view), each with the words that raised it.

    >>> from medinstruct.records import Example
    >>> e = Example(task="", type="chat", topic="", view="patient", difficulty=1, instruction="?", output="It is completely safe. Take .5 mg")
    >>> risks(e)
    {'absolute claim': 'completely safe', 'dose or unit': '.5 mg', 'truncated': 'completely safe. Take .5 mg'}
    """
    text, kind = example.output.strip(), labels.canonical("type", example.type)
    found = {
        "absolute claim": _first(ABSOLUTE, text),
        "dose or unit": _first(UNITS, text, flags=0) or _above(text),
        "missing red flag": _missing(example, text),
        "contraindication": _first(CAUTION, text),
        "truncated": text[-27:] if not END.search(text) else "",
        "answer is": _first(ANSWER_IS.pattern, text) if kind not in CHOICE else "",
        "refusal": text[:80] if is_refusal(text) else "",
        "machine speaks": _first(MACHINE.pattern, text),
    }
    return {name: words for name, words in found.items() if words}


def flagged(examples: Iterable[Any]) -> pd.DataFrame:
    """One row a flag of an example: its id, the flag, the words, and the answer, for human eyes."""
    rows = [
        (one.id, flag, words, one.instruction, one.output)
        for one in examples
        for flag, words in risks(one).items()
    ]
    return pd.DataFrame(rows, columns=["id", "flag", "words", "instruction", "output"])


def flag_rates(flags: pd.DataFrame, *, n: int) -> pd.DataFrame:
    """One row a flag: how many of `n` examples have it, the share with Wilson's interval, and what it means."""
    counts = flags["flag"].value_counts()
    rows = {
        name: stats.wilson(int(counts.get(name, 0)), n)._asdict() | {"means": means}
        for name, means in FLAGS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("flag")


def _first(pattern: str, text: str, *, flags: int = re.IGNORECASE) -> str:
    found = re.search(pattern, text, flags)
    return found.group() if found else ""


def _missing(example: Any, text: str) -> str:
    exam = labels.canonical("type", example.type) not in ("open Q&A", "chat", "text generation")
    if labels.canonical("view", example.view) != "patient/public" or exam:
        return ""
    asked = f"{example.instruction} {example.input}"
    return _first(ALARM, asked) if not re.search(ADVICE, text, re.IGNORECASE) else ""


def _above(text: str) -> str:
    """The first dose of a known drug above what is usual a day; the dose must follow the name within a few words."""
    lowered = text.lower()
    for drug, most in MOST_A_DAY.items():
        if drug not in lowered:  # twenty patterns over every answer were half of the audit's time
            continue
        for match in re.finditer(rf"\b{drug}\b[^.;\n]{{0,25}}?{DOSE}(?!/)", text, re.IGNORECASE):
            number = re.sub(r",(?=\d{3})", "", match[1]) if match[1][0] != "0" else match[1]
            if (
                float(number.replace(",", "."))
                * {"mcg": 0.001, "mg": 1, "g": 1000}[match[2].lower()]
                > most
            ):
                return match.group()
    return ""
