"""Labels: raw labels of real teachers are counted by the right name, or by none and listed."""

from itertools import product
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medinstruct import diversity, labels, records
from medinstruct.offline.knowledge import conditions

TABLE = Path(__file__).parent / "support" / "labels.yaml"
PARTS = yaml.load(TABLE.read_text(encoding="utf-8"), yaml.CSafeLoader)
EXAMPLES = [
    (kind, raw, None if name == "none" else name)
    for part in PARTS.values()
    for kind, names in part.items()
    for name, group in names.items()
    for raw in group
]


def frame(rows):
    """Rows as the table that `diversity.load` makes of a file with them."""
    return diversity.coverage._counted([diversity.coverage._fields(row, "a row") for row in rows])


@pytest.mark.parametrize(("part", "kind"), product(PARTS, ("type", "topic", "view", "style")))
def test_a_label_counts_by_its_words_and_not_by_letters_inside_them(part, kind):
    wrong = {
        raw: (name, given)
        for name, group in PARTS[part][kind].items()
        for raw in group
        if (given := labels.canonical(kind, raw)) != (None if name == "none" else name)
    }
    assert not wrong


def test_the_examples_are_many_and_cover_every_name():
    assert len(set(EXAMPLES)) == len(EXAMPLES) >= 400
    for kind in ("type", "topic", "view", "style"):
        names = {name for of, _, name in EXAMPLES if of == kind}
        assert names == {*labels.VALUES[kind], None}


@given(st.sampled_from(EXAMPLES), st.sampled_from(["{}", " {} ", "“{}”", "{}.", "*{}*"]))
def test_case_blanks_and_quotes_do_not_matter(example, form):
    kind, raw, name = example
    assert labels.canonical(kind, form.format(raw.upper())) == name
    assert labels.canonical(kind, form.format(raw.lower().replace(" ", "  "))) == name


@given(st.sampled_from(EXAMPLES), st.text("bcdfgqxz", min_size=1, max_size=3))
def test_a_word_inside_a_longer_word_is_no_match(example, letters):
    kind, raw, _ = example
    word = raw.split()[-1]
    if word.isalpha() and word.isascii():
        assert labels.canonical(kind, f"q{letters}{word}") is None


def test_a_condition_counts_for_its_specialty_or_a_neighbor():
    """The 96 conditions of the offline teacher were filed by hand, some under a setting."""
    right = [labels.canonical("topic", c.name) == c.specialty for c in conditions()]
    assert sum(right) >= 0.8 * len(right)
    assert all(labels.canonical("topic", c.name) for c in conditions())


@pytest.mark.parametrize("raw", ["3", 3, 3.0, " 3 ", "Level 3", "3/5"])
def test_a_level_of_difficulty_is_read_in_its_usual_forms(raw):
    assert labels.canonical("difficulty", raw) == 3


@pytest.mark.parametrize("raw", ["0", "6", "3.5", "33", "13/5", "hard", ""])
def test_what_is_no_level_is_none(raw):
    assert labels.canonical("difficulty", raw) is None


def test_an_unknown_kind_of_label_is_an_error():
    with pytest.raises(ValueError, match="type, topic, view, difficulty, style"):
        labels.canonical("tone", "warm")


def test_labels_that_no_rule_matches_are_listed_with_their_counts():
    rows = [{"instruction": "Why?", "type": "chat", "topic": topic} for topic in ("", "Gardening")]
    listed = diversity.coverage.unmatched(frame([*rows, rows[1]]))
    assert listed.to_dict("records") == [{"label": "topic", "as written": "Gardening", "tasks": 2}]
    assert diversity.coverage.unmatched(frame(rows[:1])).empty


def test_every_label_of_the_published_seeds_has_a_name(real_data):
    table = frame(records.load_table(real_data / "alpacare" / "med_seed.json"))
    assert diversity.coverage.unmatched(table).empty and len(table) == 167
