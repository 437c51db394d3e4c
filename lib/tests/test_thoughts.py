"""A thought is parted from its answer once, in every spelling, and reaches nothing that reads answers."""

import json
from collections import Counter
from types import SimpleNamespace as Namespace

import pytest
import tokenizers
import transformers
from hypothesis import given
from hypothesis import strategies as st

from medinstruct import evaluation, llm, records, report
from medinstruct.benchmarks import extraction
from medinstruct.llm.messages import (
    add_chunk,
    answer_of,
    begun,
    normalize,
    rest,
    settled,
    split_thought,
    streamed,
)

THOUGHT, ANSWER = "Gout? Or a septic joint? Then (B).", "Aspirate the joint, then rest it."
SPELLINGS = [
    "<think>\n{}\n</think>\n\n{}",
    "{}\n</think>\n\n{}",  # the template opened it
    "<thinking>{}</thinking>{}",
    "<thought>{}</thought>{}",
    "<Reasoning>{}</Reasoning>\n{}",
    "<seed:think>{}</seed:think>{}",
    "[THINK]{}[/THINK]{}",
    "◁think▷{}◁/think▷{}",
    "<|begin_of_thought|>{}<|end_of_thought|><|begin_of_solution|>{}<|end_of_solution|>",
    "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "<|channel>thought\n{}<channel|>{}",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
    "analysis{}assistantfinal{}",
    "<think>{}</think>\n<answer>{}</answer>",
]
OPENED = [text for text in SPELLINGS if not text.startswith("{}")]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_answer_is_parted_from_its_thought_in_every_spelling(spelling):
    assert split_thought(spelling.format(THOUGHT, ANSWER)) == (ANSWER, THOUGHT)
    assert split_thought(ANSWER) == (ANSWER, "")


@pytest.mark.parametrize("spelling", OPENED)
def test_a_thought_that_was_cut_is_no_answer_but_a_lack_of_room(spelling):
    cut = spelling.format(THOUGHT, "{").partition("joint?")[0]
    answer = normalize({"text": cut, "finish_reason": "stop"})
    assert (
        answer["text"] == ""
        and answer["finish_reason"] == "length"
        and "Gout?" in answer["thought"]
    )


def test_a_thought_may_quote_its_own_marks_and_an_answer_may_have_several_thoughts():
    quoted = "<think>They ask for </think> as a tag.</think>Rest."
    assert split_thought(quoted)[0] == "Rest."
    assert split_thought("<think>a</think>Rest.<think>b</think> Ice.") == (
        "Rest. Ice.",
        "a\n\nb",
    )
    assert split_thought("Is p < 0.05? See [1].") == ("Is p < 0.05? See [1].", "")


@given(st.text("abc<>[/]think analysis", max_size=60))
def test_parting_twice_changes_nothing(text):
    once = normalize({"text": text, "finish_reason": "stop"})
    if not split_thought(once["text"])[1]:  # a mark may arise where a thought was cut out
        assert normalize(once) == once


def completion(message, finish="stop", **usage):
    usage = {"prompt_tokens": 9, "completion_tokens": 100, "total_tokens": 109} | usage
    choice = {"message": message, "finish_reason": finish}
    return {"choices": [choice], "usage": usage, "model": "m"}


REQUEST = llm.Request(messages=[])
PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}]


@pytest.mark.parametrize(
    "message",
    [
        {"content": ANSWER, "reasoning_content": THOUGHT},
        {"content": ANSWER, "reasoning": THOUGHT},
        {"content": [*PARTS, {"type": "text", "text": ANSWER}]},
        {"content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": ANSWER}]},
        {"content": f"<think>{THOUGHT}</think>{ANSWER}"},
    ],
)
def test_a_thought_in_a_field_of_its_own_or_among_parts_is_kept_apart_and_counted(message):
    answer = answer_of(completion(message), REQUEST)
    assert (answer["text"], answer["thought"]) == (ANSWER, THOUGHT)
    assert answer["reasoning_tokens"] == round(100 * len(THOUGHT) / len(THOUGHT + ANSWER))


def test_reported_thoughts_are_counted_and_those_outside_of_the_completion_are_paid_for():
    details = {"reasoning_tokens": 80}
    reported = answer_of(completion({"content": "A"}, completion_tokens_details=details), REQUEST)
    assert (reported["reasoning_tokens"], reported["completion_tokens"]) == (80, 100)
    hidden = answer_of(
        completion({"content": "A"}, total_tokens=429), REQUEST
    )  # as Gemini and Grok count
    assert (hidden["reasoning_tokens"], hidden["completion_tokens"]) == (320, 420)


@pytest.mark.parametrize("spelling", OPENED)
def test_a_streamed_thought_is_never_shown_wherever_its_marks_are_broken(spelling):
    text = spelling.format(THOUGHT, ANSWER)
    for size in (1, 3, 7):
        sent, grown = "", ""
        for start in range(0, len(text), size):
            grown += text[start : start + size]
            sent += rest(settled(grown), sent)
        sent += rest(split_thought(grown)[0], sent)
        assert sent == ANSWER


def test_chunks_bring_thoughts_in_fields_and_parts():
    answer = begun()
    deltas = [{"reasoning": "Gout"}, {"reasoning": "?"}, {"content": PARTS}, {"content": "Rest."}]
    for delta in deltas:
        add_chunk(answer, {"choices": [{"delta": delta, "finish_reason": None}], "model": "m"}, "")
    answer = streamed(answer, REQUEST)
    assert answer["text"] == "Rest." and answer["thought"] == f"Gout?\n\n{THOUGHT}"


def test_a_long_stream_is_read_in_linear_time_and_shown_piece_by_piece(monkeypatch):
    """By what is read, not by the clock; some servers count the tokens in each chunk."""
    read, real = [], settled
    count = lambda text, stop: read.append(len(text)) or real(text, stop)  # noqa: E731
    monkeypatch.setattr("medinstruct.llm.messages.settled", count)
    answer, sent, longest = begun(), "", 0
    for n in range(4000):
        row = {"choices": [{"delta": {"content": f"{n:03} "}}], "usage": {"completion_tokens": n}}
        sent += (piece := add_chunk(answer, row, sent))
        longest = max(longest, len(piece) / len(sent)) if n > 100 else 0
    text = streamed(answer, REQUEST)["text"]
    assert sum(read) < 250 * len(text) and longest < 0.02
    assert text.startswith(sent) and len(sent) > 0.99 * len(text)


def test_files_of_answers_and_of_verdicts_lose_their_thoughts(tmp_path):
    item = evaluation.load_items("own", limit=1)[0]
    rows = [{"item": item.id, "output": f"<think>{THOUGHT}</think>{ANSWER}"}]
    records.write_text(tmp_path / "a.jsonl", json.dumps(rows[0]))
    (answer,) = evaluation.load_answers({"m": str(tmp_path / "a.jsonl")}, [item])
    assert answer.text == ANSWER
    row = {"id": item.id, "order": "model_first", "reply": "<think>Output (a)</think>Output (b)"}
    row |= {"judge": "j", "model": "m", "reference": "r"}
    (tmp_path / "v.jsonl").write_text(json.dumps(row))
    (verdict,) = evaluation.verdicts.load_verdicts(str(tmp_path / "v.jsonl"))
    assert verdict.winner == "reference" and verdict.reply == "Output (b)"


def test_a_benchmark_reads_the_letter_after_the_thought():
    options = ["Asthma", "Gout", "Scurvy", "Mumps"]
    reply = "so the answer is (A) if wheeze.\n</think>\n\nB"  # the template opened the thought
    assert extraction.extract_choice(reply, options) == 1
    assert extraction.extract_choice("<think>Perhaps the answer is A, or", options) is None


def test_the_report_shows_the_tokens_of_thoughts(tmp_path):
    cache = llm.Cache(tmp_path / "answers.sqlite")
    row = {"text": ANSWER, "finish_reason": "stop", "model": "m", "prompt_tokens": 9}
    row |= {"completion_tokens": 100, "reasoning_tokens": 80}
    request = llm.Request(messages=[])
    cache.put("a", request, row, usd=0.5)
    cache.put("b", request, {k: v for k, v in row.items() if k != "reasoning_tokens"})
    table = report.results.cost(Namespace(folder=tmp_path))
    assert table.loc["m", "tokens of thoughts"] == 80 and table.loc["m", "completion tokens"] == 200


def test_a_local_model_whose_marks_are_special_tokens_is_parted_as_well():
    words = ["[THINK]", "[/THINK]", "</s>", "Gout", "Rest", "[UNK]"]
    table = tokenizers.models.WordLevel(
        {word: n for n, word in enumerate(words)}, unk_token="[UNK]"
    )
    special = {"additional_special_tokens": words[:2], "eos_token": "</s>"}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(table), **special
    )
    model = llm.LocalModel.__new__(llm.LocalModel)
    model.tokenizer, model.name, model.usage = tokenizer, "m", Counter()
    answer = model._read([0, 3, 1, 4, 2], 5, {2}, [])
    assert (answer["text"], answer["thought"], answer["finish_reason"]) == ("Rest", "Gout", "stop")
    cut = model._read([0, 3, 3], 5, {2}, [])
    assert cut["text"] == "" and cut["finish_reason"] == "length"
    assert model._read([4, 2], 5, {2}, [])["text"] == "Rest"
