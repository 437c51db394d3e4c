"""Cues lose no match: a pattern whose cues are missing from a text does not match in it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinstruct import audits, cues, paths
from medinstruct.filtering import content_rules
from medinstruct.llm import messages

PATTERNS = [
    r"[Mm]rs?\.? [A-Z]",
    r"\b(?:aged? \d\d|years? old)\b",
    r"(?i:mrn|no\.)[:#]?\s*\d{2,4}",
    r"a*b+(?:cd){2}|[^\d]x|[^x]\dy",
    r"(?:foo|ba[rz])(?=\d)[\d-]+?(?:Straße)?",
    r"(?:ä|Ö)?ren(?:en)*(?!s)",
    r"[0-9a]{3}[가나]|(?:x|y){0,2}z",
    messages.OPEN.pattern,
    messages.CLOSE.pattern,
]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(st.data())
def test_every_text_that_a_pattern_matches_holds_its_cues_and_digits(pattern, data):
    text = data.draw(st.from_regex(pattern))
    compiled = re.compile(pattern)
    assert compiled.search(text) and cues.possible([compiled], text) == [compiled]
    assert cues.search(compiled, text).span() == compiled.search(text).span()


def test_the_patterns_of_the_audits_lose_no_match_on_our_texts():
    rules = [p for rule in content_rules.rules().values() for p in rule["pattern"].values()]
    tables = [*audits.phi.rules().values(), rules, audits.texts._groups()]
    patterns = [pattern for table in tables for pattern in table]
    rows = [row for code in ("en", "ko", "de", "es") for row in audits.phi.phi_snippets("", code)]
    texts = [row["text"] for row in rows]
    texts += [rule["example"] for rule in paths.load("risk_flags").values()]
    texts += ["A 72-year-old Black woman without insurance", "흑인 여자, 44살", "72/F"]
    for text in texts:
        possible = set(cues.possible(patterns, text))
        assert len(possible) < len(patterns) / 2
        assert not [p.pattern for p in patterns if p not in possible and p.search(text)]


@pytest.mark.parametrize("word", ["thınk", "THİNK", "reaſoning"])
def test_letters_whose_lower_case_is_no_ascii_make_no_mark(word):
    """Ignoring case, `i` also matches ı, whose lower case has no i: the cue would be missed."""
    assert not messages.OPEN.search(f"<{word}>") and not messages.CLOSE.search(f"</{word}>")
    assert messages.split_thought(text := f"<{word}>a</{word}>Rest.") == (text, "")
