"""Reading which option a reply ends on, for replies as models really write them; and the scores that follow from it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

LETTERS = "ABCDEFGHIJKLMNOP"
THOUGHT = re.compile(
    r"<think>.*?(?:</think>|\Z)|<reasoning>.*?(?:</reasoning>|\Z)", re.DOTALL | re.IGNORECASE
)
MARKS = re.compile(r"\\(?:boxed|text|mathrm)\b|[{}*_`$\[\]]+")
SAID = (
    r"(?:answer|option|choice|diagnosis)(?:\s+(?:to|for)\s+(?:this|the)\s+question)?\s*(?:is|would be|should be|must be|:|=|-|–)+\s*"
    r"(?:(?:most likely|therefore|clearly|probably|the|option|choice|answer|letter)\b\s*:?\s*)*"
    r"|(?:choose|select|pick|go with|conclude)\s+(?:option|choice|answer)?\s*"
    r"|\b(?:option|choice)\s+(?=\(?[A-P]\)?\s+(?:is|would be)\s+(?:the\s+)?(?:correct|right|best))"
    r"|(?:정답|답)\s*(?:은|는)?\s*[:：]?\s*|答案\s*(?:是|为)?\s*[:：]?\s*"
)
STATED = re.compile(
    rf"(?:{SAID})\(?\s*([A-Pa-p])\s*(?:\)|[.,:;!。，]|$|\n|(?=\s*[가-힣是])|(?P<more>\s+\S+))",
    re.IGNORECASE | re.MULTILINE,
)
ALSO = re.compile(
    r"^\s*[).,]?\s*(?:(?:or|and|OR|AND|/|,|및|또는)\s*\(?([A-P])\b|(?:or|and|/)\s*\(?([a-p])\)?[\s.!]*$)",
    re.MULTILINE,
)
ALONE = re.compile(r"^\W*(?:(?:option|choice|answer)\W+)?\(?([A-Pa-p])\)?\W*$", re.IGNORECASE)
LEADING = re.compile(r"^\W*(?:\(([A-Pa-p])\)|([A-P])\s*[.):]|([a-p])\s*[.)])", re.MULTILINE)
BRACKETED = re.compile(r"\(([A-P])\)")
AFTER = {
    "because",
    "since",
    "as",
    "which",
    "and",
    "due",
    "given",
    "-",
    "–",
    "—",
    "(",
    "is",
    "for",
    "based",
    "according",
}


def extract_choice(reply: str, options: Sequence[str]) -> int | None:
    """The option that a reply ends on, by its letter or by its words; None for a refusal, for two options, or for none.

    >>> four = ["Asthma", "Gout", "Scurvy", "Mumps"]
    >>> [extract_choice(reply, four) for reply in ("The answer is (C).", "**B**", "It is A or B.", "a patient with gout")]
    [2, 1, None, 1]
    """
    text = plain(reply)
    letters = LETTERS[: len(options)]
    stated = _stated(text, letters)
    if stated:
        return letters.index(stated[-1]) if len(stated[-1]) == 1 else None
    lines = [line for line in text.splitlines() if line.strip()]
    for line in (lines[-1:] + lines[:1]) if lines else []:
        if (alone := ALONE.match(line)) and alone[1].upper() in letters:
            return letters.index(alone[1].upper())
    leading = {
        found.upper()
        for match in LEADING.findall(text)
        for found in match
        if found and found.upper() in letters
    }
    if len(leading) == 1 and LEADING.match(text):
        return letters.index(leading.pop())
    bracketed = {found for found in BRACKETED.findall(text) if found in letters}
    return (
        letters.index(bracketed.pop())
        if len(bracketed) == 1
        else None
        if bracketed or len(leading) > 1
        else extract_word(text, options)
    )


def extract_word(reply: str, options: Sequence[str]) -> int | None:
    """The option whose words a reply ends on: after "the answer is", else at its start, else the only one that it names.

    >>> [extract_word(reply, ["yes", "no", "maybe"]) for reply in ("Yes, it does.", "No evidence. The answer is maybe.", "Unsure.")]
    [0, 2, None]
    """
    text = plain(reply).lower()
    words = [re.escape(option.strip().rstrip(".").lower()) for option in options]
    one = "|".join(sorted(words, key=len, reverse=True))
    said = re.findall(
        rf"(?:answer|conclusion|decision)\s*(?:is|:|would be)+\s*[\"'(]*(?:[a-p]\s*[.)]\s*)?({one})(?!\w)",
        text,
    )
    begins = re.match(rf"^\W*({one})(?!\w)", text)
    named = [n for n, word in enumerate(words) if re.search(rf"(?<!\w){word}(?!\w)", text)]
    found = said[-1] if said else begins[1] if begins and min(map(len, options)) < 6 else ""
    if found:
        return words.index(re.escape(found))
    return named[0] if len(named) == 1 and len(text) < 400 else None


def plain(reply: str) -> str:
    """A reply without hidden thoughts and without marks of Markdown or LaTeX."""
    return MARKS.sub("", THOUGHT.sub("", reply)).strip()


def _stated(text: str, letters: str) -> list[str]:
    """The letters after "the answer is" and its like, in order; two at once ("A or B") stand together."""
    found = []
    for match in STATED.finditer(text):
        letter, more = match[1], (match["more"] or "").strip()
        if letter.upper() not in letters or (more and not _is_letter(letter, more)):
            continue
        also = ALSO.match(text[match.end(1) :])
        second = (also[1] or also[2]).upper() if also else ""
        found.append(
            letter.upper() + (second if second in letters and second != letter.upper() else "")
        )
    return found


def _is_letter(letter: str, more: str) -> bool:
    """Whether a letter before more words is an option ("B because") and no article ("a beta blocker", "A patient")."""
    goes_on = more.lower().strip("(") in AFTER or more in ("or", "/") or not more[0].isalnum()
    return goes_on or (letter.isupper() and letter != "A" and letter != "I")


def score_letter(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The harness's hook for options with letters: accuracy, and the share of replies that could not be read."""
    return _scored(extract_choice(results[0], doc["options"]), doc["answer"])


def score_word(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The harness's hook for options that are words, such as yes, no and maybe."""
    return _scored(extract_word(results[0], doc["options"]), doc["answer"])


def score_exact(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The harness's hook for free targets: what stands after the last "the answer is" must equal the target."""
    said = extract_exact(results[0])
    return {"acc": float(said == _bare(doc["target"])), "unread": float(said is None)}


def extract_exact(reply: str) -> str | None:
    """What stands after the last "the answer is".

    >>> extract_exact("So the answer is (B)."), extract_exact("Hence the answer is: True"), extract_exact("I pass.")
    ('b', 'true', None)
    """
    *before, last = re.split(r"answer\s*(?:is|:)+\s*", plain(reply), flags=re.IGNORECASE)
    return _bare(last.partition("\n")[0]) if before else None


def score_summary(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The harness's hook for summaries: ROUGE-L F1 to the written one, without stemming."""
    return {"rougeL": rouge_l(results[0], doc["target"])}


def rouge_l(text: str, target: str) -> float:
    """ROUGE-L F1 with the tokens of `rouge_score`.

    >>> rouge_l("who makes cetirizine", "Who manufactures cetirizine?").__round__(2)
    0.67
    """
    from rouge_score.rouge_scorer import RougeScorer

    return float(RougeScorer(["rougeL"], use_stemmer=False).score(target, text)["rougeL"].fmeasure)


def _scored(found: int | None, answer: int) -> dict[str, float]:
    return {"acc": float(found == answer), "unread": float(found is None)}


def _bare(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().strip("().\"' ").lower()
