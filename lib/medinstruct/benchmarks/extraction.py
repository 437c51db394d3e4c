"""Extraction: the option that a free reply ends on, and the metrics computed from it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from medinstruct import paths
from medinstruct.llm.messages import split_thought

LETTERS = "ABCDEFGHIJKLMNOP"
RULES = paths.load("reply_patterns")
STATED = re.compile(f"(?:{'|'.join(RULES['cues'])}){RULES['letter']}", re.IGNORECASE | re.MULTILINE)
ALSO = re.compile(RULES["also"])


def extract_choice(reply: str, options: Sequence[str]) -> int | None:
    """Return the option that a reply ends on, by letter or words; None for several or none."""
    text, letters = plain(reply), LETTERS[: len(options)]
    if stated := _stated(text, letters):
        return letters.index(stated[-1]) if len(stated[-1]) == 1 else None
    lines = [line for line in text.splitlines() if line.strip()]
    for line in lines[-1:] + lines[:1]:
        if (alone := re.match(RULES["alone"], line)) and alone[1].upper() in letters:
            return letters.index(alone[1].upper())
    starts = "".join(map("".join, re.findall(RULES["leading"], text)))
    leading = set(starts.upper()) & set(letters)
    if len(leading) == 1 and re.match(RULES["leading"], re.sub(r"\A\W*\n", "", text)):
        return letters.index(*leading)
    bracketed = set(re.findall(RULES["bracketed"], text)) & set(letters)
    if len(bracketed) == 1:
        return letters.index(*bracketed)
    return None if bracketed or len(leading) > 1 else extract_word(text, options)


def extract_word(reply: str, options: Sequence[str]) -> int | None:
    """Return the option whose words follow "the answer is", start the reply, or stand alone."""
    text = plain(reply).lower()
    words = [re.escape(option.strip().rstrip(".").lower()) for option in options]
    any_word = f"({'|'.join(sorted(words, key=len, reverse=True))})(?!\\w)"
    if stated := re.findall(RULES["word_cue"] + any_word, text):
        return words.index(re.escape(stated[-1]))
    if (first := re.match(rf"^\W*{any_word}", text)) and min(map(len, options)) < 6:
        return words.index(re.escape(first[1]))
    named = [n for n, word in enumerate(words) if re.search(rf"(?<!\w){word}(?!\w)", text)]
    return named[0] if len(named) == 1 and len(text) < 400 else None


def plain(reply: str) -> str:
    """Return a reply without its thoughts and without marks of Markdown or LaTeX."""
    return re.sub(RULES["marks"], "", split_thought(reply)[0] or "").strip()


def _stated(text: str, letters: str) -> list[str]:
    """Return the letters after phrases such as "the answer is"; "A or B" is one entry, AB."""
    stated = []
    for match in STATED.finditer(text):
        letter, more = match[1], (match["more"] or "").strip()
        goes_on = more.lower().strip("(") in [*RULES["goes_on"].split(), "or", "/", ""]
        is_option = letter.isupper() and letter not in "AI"  # no article, as in "a drug"
        if letter.upper() not in letters or not (goes_on or is_option or not more[0].isalnum()):
            continue
        also = ALSO.match(text, match.end(1))
        second = (also[1] or also[2]).upper() if also else ""
        is_other = second in letters and second != letter.upper()
        stated.append(letter.upper() + (second if is_other else ""))
    return stated


def extract_exact(reply: str, *, brackets: bool = False) -> str | None:
    """Return the text after the last "the answer is", or its `brackets`, or None."""
    text = (split_thought(reply)[0] or "") if brackets else plain(reply)
    *before, last = re.split(RULES["answer_cue"], text)
    return _bare(last.partition("\n")[0], brackets) if before else None


def _bare(text: str, brackets: bool = False) -> str:
    text = "".join(re.findall(r"[][(){}<>]", text)) if brackets else " ".join(text.split())
    return text if brackets else text.strip("().\"' ").lower()


def score_letter(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score options with letters: accuracy, and the share of unreadable replies."""
    return _scores(extract_choice(results[0], doc["options"]), doc["answer"])


def score_word(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score options that are words, such as yes, no and maybe."""
    return _scores(extract_word(results[0], doc["options"]), doc["answer"])


def score_exact(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score the text after the last "the answer is"; brackets count in a target without letters."""
    brackets = not re.search(r"\w", doc["target"])
    return _scores(extract_exact(results[0], brackets=brackets), _bare(doc["target"], brackets))


def _scores(answer: int | str | None, right: int | str) -> dict[str, float]:
    return {"acc": float(answer == right), "unread": float(answer is None)}


def score_pattern(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score a reply without its thoughts by the target, a regular expression; case is ignored."""
    reply = (split_thought(results[0])[0] or "").strip()
    return {"acc": float(bool(re.search(f"(?ims){doc['target']}", reply)))}


def score_rules(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score a reply by the harness's rules of IFEval: 1 if it keeps all of its prompt's."""
    from lm_eval.tasks.ifeval.utils import process_results

    rules = json.loads(doc["target"]) | {"key": doc["id"], "prompt": doc["question"]}
    scores = process_results(rules, [split_thought(results[0])[0] or ""])
    return {"acc": float(scores["prompt_level_strict_acc"])}


def score_summary(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score a summary by ROUGE-L F1 to the reference, without stemming."""
    return {"rougeL": rouge_l(split_thought(results[0])[0] or "", doc["target"])}


def rouge_l(text: str, target: str) -> float:
    """Return ROUGE-L F1 with the tokens of `rouge_score`."""
    from rouge_score.rouge_scorer import RougeScorer

    return float(RougeScorer(["rougeL"], use_stemmer=False).score(target, text)["rougeL"].fmeasure)
