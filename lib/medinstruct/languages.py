"""Languages: shares of a mix, the language of a text, sentences for prompts, names of labels."""

import re
from functools import cache, lru_cache
from itertools import permutations
from typing import Any

from medinstruct import paths
from medinstruct.errors import UserError

_RULES = paths.load("languages")
NAMES: dict[str, str] = _RULES["names"]
_SCRIPTS = {code: re.compile(signs) for code, signs in _RULES["scripts"].items()}
MOST_SIGNS = 500  # of a text that are spelled out: enough to tell, a third of the time
ENGLISH = frozenset(_RULES["english"].split())
_WORD = re.compile(r"[^\W\d_]+")
_SHARE = re.compile(r"\s*(\w+)(?:[\s:]+(0?\.\d*[1-9]\d*|1(?:\.0*)?))?\s*")
_PAIRS = permutations(NAMES, 2)  # language written, language asked for
DRIFTS = {f"in {NAMES[a]}, asked for {NAMES[b]}": (b, a) for a, b in _PAIRS}  # by reason
_SENTENCE = re.compile(_RULES["sentence"])


def shares(text: str) -> dict[str, float]:
    """Return the share of each language of a mix.

    >>> shares("en 0.7, ko 0.3"), shares("ko")
    ({'en': 0.7, 'ko': 0.3}, {'ko': 1.0})
    """
    parts = [_SHARE.fullmatch(part) for part in text.split(",")]
    sizes = {m[1]: float(m[2] or 1 / len(parts)) for m in parts if m and m[1] in NAMES}
    if len(sizes) < len(parts) or abs(sum(sizes.values()) - 1) > 0.01:
        do = f'Write "ko", or shares that add up to 1, "en 0.7, ko 0.3". Known: {", ".join(NAMES)}.'
        raise UserError("`languages` is not a mix of languages.", got=repr(text), do=do)
    return sizes


@lru_cache(maxsize=400_000)
def detect(text: str) -> str:
    """Return the ISO code of a text's language; "" where it is too short or too mixed to tell.

    >>> [detect(text) for text in ("acute cholecystitis로 lap. chole 시행함", "Take one tablet.", "B.")]
    ['ko', 'en', '']
    """
    counts = {code: len(signs.findall(text)) for code, signs in _SCRIPTS.items()}
    letters, signs = sum(map(str.isalpha, text)), sum(counts.values())
    share = signs / max(letters, 1)
    if share < _RULES["least_share"]:
        words = _WORD.findall(text[:MOST_SIGNS].lower())
        if letters < _RULES["least_letters"]:
            return ""
        if sum(word in ENGLISH for word in words) > _RULES["english_share"] * len(words):
            return "en"
        code, confidence = _identifier().classify(text[:MOST_SIGNS])
        return code if confidence >= _RULES["least_confidence"] else ""
    is_mixed = share < _RULES["most_share"] and _SENTENCE.search(text)
    if is_mixed or signs < _RULES["least_signs"]:
        return ""
    if counts["ko"] >= _RULES["one_script"] * signs:
        return "ko"
    if counts["ko"] > (1 - _RULES["one_script"]) * signs:
        return ""
    return "ja" if counts["ja"] >= _RULES["kana_share"] * (signs - counts["ko"]) else "zh"


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # 2 seconds

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([*NAMES])
    return identifier


def drifted(asked: str, text: str) -> str:
    """Return the reason why a text is in another language than asked for; "" where it is not.

    >>> drifted("ko", "Take one tablet twice a day."), drifted("", "Take one tablet twice a day.")
    ('in English, asked for Korean', '')
    """
    code = detect(text) if asked else ""
    return f"in {NAMES[code]}, asked for {NAMES[asked]}" if code not in ("", asked) else ""


def sentence(language: str, part: str) -> str:
    """Return what a prompt adds for a language; "" for English and for an unknown language.

    `part` is tasks, responses, judge or grader.
    """
    if language not in NAMES or language == "en":
        return ""
    folder = NAMES[language].lower()
    own = paths.load(f"{folder}/prompts") if paths.data(f"{folder}/prompts.yaml").exists() else {}
    return own.get(part) or _RULES["sentences"][part].format(name=NAMES[language])


def spoken(text: str, language: str, part: str) -> str:
    """Return a prompt with its `sentence` for a language, on a line of its own."""
    added = sentence(language, part)
    return f"{text}\n{added}" if added else text


def label_name(axis: str, label: object, language: str) -> str:
    """Return the name of a canonical label in a language, or the label where it has none there.

    >>> label_name("type", "chat", "ko"), label_name("type", "chat", "en")
    ('대화', 'chat')
    """
    return str(paths.load("label_names").get(axis, {}).get(label, {}).get(language, label))
