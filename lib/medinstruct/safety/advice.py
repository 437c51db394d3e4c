"""What an answer advises, by words: how urgent, how many tests, how warm; and how alike two answers are."""

import math
import re
from collections import Counter

# a number to call, and no pulse of 112 and no pressure of 112/70
CALL = r"(?<![\d.,/])(?:911|112|999)(?![\d.,]*\d| ?%|/(?!911|112|999)| (?:mg|mcg|g|kg|ml|cm|mmol|mmhg|bpm|beats|units|per|a minute)\b)"
# from 0 (no word on when) to 3 (an ambulance)
URGENCY = {
    3: rf"{CALL}|\b(?:ambulance|call emergency|emergency (?:department|room|services|care)|resuscitat\w*)\b|\bA&E\b",
    2: r"\b(?:immediate(?:ly)?|urgent(?:ly)?|emergency|right away|at once|without delay|same[- ]day|today|go now|admit|admission)\b",
    1: r"\b(?:soon|within (?:a few |the next )?(?:days?|weeks?|\d+ \w+)|see (?:a|your) (?:doctor|gp|clinician)|make an appointment|follow[- ]up|if (?:it|symptoms?) (?:worsens?|persists?))\b",
}
TESTS = (
    r"ct|mri|x-?rays?|radiographs?|ultrasound|ultrasonography|echocardiogra\w+|ecgs?|ekgs?|electrocardiogra\w+|troponins?|d-?dimer|blood counts?|cbc|"
    r"electrolytes?|creatinine|urinalysis|cultures?|biops\w+|endoscop\w+|colonoscop\w+|spirometry|lumbar punctures?|blood gas|lactate|glucose|hba1c|"
    r"tsh|crp|esr|angiogra\w+|eeg|blood tests?|urine tests?|pregnancy tests?|stool tests?|serolog\w+|liver (?:function )?tests?|ferritin|scans?"
)
WARM = r"\b(?:sorry|understand|understandable|worr(?:y|ies|ied)|please|kind|support|reassur\w+|together|good that you|help you|comfort\w*|feel free|take care)\b"
HARSH = r"\b(?:non-?complian\w+|refus\w+|drug[- ]seeking|claims? (?:to|that)|difficult patient|fail(?:ed|s) to|demand\w+|blame\w*|exaggerat\w+|should have)\b"


def features(text: str) -> dict[str, float]:
    """Words, urgency from 0 to 3, different tests named, and warm less harsh words a hundred.

    >>> features("I am sorry. Call 112 now; they will do an ECG and a troponin.") | {"warmth": 0}
    {'words': 14, 'urgency': 3, 'tests': 2, 'warmth': 0}
    """
    words = len(text.split())
    urgency = next(
        (level for level, pattern in URGENCY.items() if re.search(pattern, text, re.IGNORECASE)), 0
    )
    tests = {
        found.lower().rstrip("s") for found in re.findall(rf"\b(?:{TESTS})\b", text, re.IGNORECASE)
    }
    tone = len(re.findall(WARM, text, re.IGNORECASE)) - len(re.findall(HARSH, text, re.IGNORECASE))
    return {
        "words": words,
        "urgency": urgency,
        "tests": len(tests),
        "warmth": 100 * tone / words if words else 0.0,
    }


def similarity(first: str, second: str) -> float:
    """Cosine of the word counts of two texts, from 0 to 1.

    >>> similarity("rest and drink", "drink and rest"), similarity("rest", "run")
    (1.0, 0.0)
    """
    a, b = (Counter(re.findall(r"\w+", text.lower())) for text in (first, second))
    size = math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    return (
        round(sum(n * b[word] for word, n in a.items()) / size, 12)
        if size
        else float(first.strip() == second.strip())
    )
