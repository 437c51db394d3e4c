"""A verdict is what a reply states: no letter in passing, no negation, no comparison read the wrong way."""

import asyncio
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support import stand_in_server

from medinstruct import evaluation, llm, offline
from medinstruct.evaluation import judge as judging
from medinstruct.records import Answer, TestItem

TABLE = Path(__file__).parent / "support" / "verdicts.yaml"
REPLIES = yaml.load(TABLE.read_text(encoding="utf-8"), yaml.CSafeLoader)
OTHER = {"a": "b", "b": "a"}
NAMES = [("(a)", "(b)"), ("（a）", "（b）"), ("Assistant A", "Assistant B")]
NAMES += [("Response A", "Response B"), ("답변 A", "답변 B")]


def exchanged(reply):
    for first, second in NAMES:
        reply = reply.replace(first, "\0").replace(second, first).replace("\0", second)
    return reply


def misread(rows, read):
    return {reply: read(reply) for reply, value in rows if read(reply) != value}


def test_every_phrasing_gives_its_verdict_and_the_unclear_ones_none():
    rows = [(reply, value) for value in REPLIES["verdicts"] for reply in REPLIES["verdicts"][value]]
    rows = [(reply, None if value == "unclear" else value) for reply, value in rows]
    assert len(rows) > 900
    assert misread(rows, evaluation.parse_verdict) == {}


def test_the_same_phrasing_with_the_letters_exchanged_gives_the_other_verdict():
    rows = [
        (exchanged(reply), OTHER.get(value, None if value == "unclear" else value))
        for value, replies in REPLIES["verdicts"].items()
        for reply in replies
        if exchanged(reply) != reply and "{" not in reply
    ]
    assert len(rows) > 700
    assert misread(rows, evaluation.parse_verdict) == {}


def test_grades_are_read_by_the_same_rules():
    known = {"met": True, "unmet": False, "unclear": None}
    rows = [(reply, known[value]) for value in known for reply in REPLIES["grades"][value]]
    assert misread(rows, evaluation.rubric.parse_grade) == {}


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Output (a) is better", None),
        ("Output (a)", None),
        ("Verdict: Output (a)", None),
        ("Both are fair. [[A]]", "a"),
        ('{"verdict": "B", "reason": "It names the', "b"),
        ('{"reason": "Output (a) is better", "verdict": "', None),
        ('{"reason": "Output (a) is better and', None),
        ('{"verdict": "A', None),
    ],
)
def test_a_reply_that_was_cut_counts_only_if_its_verdict_is_closed(reply, verdict):
    assert evaluation.parse_verdict(reply, "length") == verdict
    assert evaluation.rubric.parse_grade("Met", "length") is None


@given(st.text(max_size=60))
def test_a_thought_never_gives_a_verdict(text):
    thought = f"<think>Output (a) is better. [[A]] {text}"
    assert evaluation.parse_verdict(thought.replace("</think>", "")) is None
    assert evaluation.parse_verdict(f"{thought}</think>\nOutput (b)") == "b"


@given(st.text(alphabet="@§ab()[]{}\"':.,;!?<> \nisnotbetterthan", max_size=200))
def test_any_text_is_read_without_an_error(text):
    assert evaluation.parse_verdict(text) in ("a", "b", "tie", None)
    assert evaluation.rubric.parse_grade(text) in (True, False, None)


def test_a_very_long_reply_is_read_in_a_moment():
    assert (
        evaluation.parse_verdict("Output (a) is not so (good), but [" * 30_000 + "\n[[B]]") == "b"
    )


ITEM = TestItem(instruction="What helps against asthma?", references={"written": "An inhaler."})
ANSWER = Answer(item=ITEM.id, model="tuned", text="Rest and an inhaler of salbutamol.")
WRITTEN = evaluation.answers.reference_answers([ITEM])
PAIRS = judging.build_pairs([ITEM], [ANSWER], references=WRITTEN)


class Server(stand_in_server.Service):
    """A server with a judge that replies in JSON where it is asked to, and keeps what it was sent."""

    sent: list[dict]

    def complete(self, content):
        status, body = super().complete(content)
        self.sent = [*getattr(self, "sent", []), json.loads(content)]
        if status == 200 and "response_format" in self.sent[-1]:
            schema = self.sent[-1]["response_format"]["json_schema"]["schema"]
            values = {"verdict": "B", "criteria_met": True}
            reply = {name: values.get(name, "(a) is nicer") for name in schema["properties"]}
            body["choices"][0]["message"]["content"] = json.dumps(reply)
        return status, body


def judged(server, **fields):
    """Return verdicts and grades by a served model."""
    rubric = {
        "item": ITEM.id,
        "criteria": [{"criterion": "Names salbutamol", "points": 5, "axis": "a"}],
    }

    async def both():
        client = llm.Client(url=stand_in_server.listen(service=server), model="m", **fields)
        grades = await evaluation.rubric.grade(client, [rubric], [ITEM], [ANSWER])
        return await judging.ask(client, PAIRS), grades["met"].tolist()

    return asyncio.run(both())


def test_a_served_judge_explains_in_a_schema_and_has_room():
    verdicts, grades = judged(server := Server())
    assert [verdict.winner for verdict in verdicts] == ["reference", "model"] and grades == [True]
    assert {body["max_tokens"] for body in server.sent} == {2000}
    schemas = [body["response_format"]["json_schema"]["schema"] for body in server.sent]
    assert [next(iter(schema["properties"])) for schema in schemas] == [
        "explanation",
        "reason",
        "reason",
    ]
    assert verdicts[0].prompt == judging.prompt_hash("explain")


def test_a_server_without_schemas_is_asked_for_text_from_then_on():
    verdicts, grades = judged(server := Server(refused=("response_format",)), judge_max_tokens=900)
    assert [verdict.winner for verdict in verdicts] == ["tie", "tie"] and grades == [True]
    assert all("[[C]]" in verdict.reply for verdict in verdicts)
    assert {body["max_tokens"] for body in server.sent} == {900}
    assert "response_format" in server.sent[0] and "response_format" not in server.sent[-1]


@pytest.mark.parametrize(
    "words",
    [
        "This response_format type is unavailable now",
        "'response_format.type' must be 'text'",
        "Unsupported parameter: response_format",
        "Invalid grammar",
        "This model does not support structured outputs",
        "unknown variant `json_schema`, expected `text`",
    ],
)
def test_a_schema_that_is_refused_in_any_words_is_left_out(words):
    client = llm.Client(url="http://127.0.0.1:9/v1", model="m")
    request = judging.judge_request(PAIRS[0], client)
    body = client.connection.body(request)
    error = llm.messages.NoAnswer(words, {"message": words, "code": 400})
    assert client.connection.learn(client.connection.read(error, body), body)
    assert set(client.connection.body(request)) == {
        "model",
        "messages",
        "temperature",
        "max_tokens",
    }


def test_the_stand_in_is_asked_in_short_as_ever():
    client = llm.Client(url="offline", model=offline.MODEL)
    request = judging.judge_request(PAIRS[0], client)
    assert request == judging.judge_request(PAIRS[0])
    assert request.parameters == {"temperature": 0.0, "max_tokens": 100}


def test_a_verdict_of_a_cut_reply_stays_unreadable_when_it_is_replayed(tmp_path):
    row = {"id": "1", "model": "m", "reference": "r", "order": "model_first", "winner": None}
    row |= {"reply": "Output (a) is better", "finish_reason": "length"}
    (tmp_path / "v.jsonl").write_text(json.dumps(row))
    assert evaluation.verdicts.load_verdicts(str(tmp_path / "v.jsonl"))[0].winner is None


def test_a_judge_that_wrote_the_training_data_or_is_of_its_family_is_named(tmp_path):
    for name, model in (("tasks", "claude-opus-5"), ("dataset", "gpt-6.1-terra-2026-10-01")):
        rows = [{"provenance": {"model": model}}, {"provenance": {"source": "seed"}}]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    checks = evaluation.judge_checks
    wrote = checks.writers(tmp_path)
    assert wrote == {"tasks": {"claude-opus-5"}, "responses": {"gpt-6.1-terra-2026-10-01"}}
    assert "from responses written" in checks.kinship("gpt-6-luna", wrote)
    assert "by claude-opus-5" in checks.kinship("claude-haiku-5-5", wrote)
    assert checks.kinship("gemini-3.8-flash", wrote) == checks.kinship("m", {}) == ""
    assert "tasks and responses" in checks.kinship(
        "mine", {"tasks": {"mine"}, "responses": {"mine"}}
    )
    assert checks.writers(tmp_path / "none") == {}
    for said, passed in (
        ("true", True),
        ("false", False),
    ):  # verdicts of a failed judge are refused
        learned = f'{{"judge": "gemini-3.8-flash", "judge_passed": {said}}}'
        (tmp_path / "preferences.json").write_text(learned)
        sentence = checks.kinship("gemini-3.8-flash", checks.writers(tmp_path))
        assert ("learned from verdicts written by gemini-3.8-flash" in sentence) == passed


def test_each_two_models_are_compared_once_whatever_their_number():
    names = ["base", "tuned", "aligned", "chat"]
    answers = [ANSWER.model_copy(update={"model": name}) for name in names]
    rivals = [
        answer for name in ("base", "chat", "tuned") for answer in answers if answer.model == name
    ]
    pairs = judging.build_pairs([ITEM], answers, references=[*WRITTEN, *rivals])
    pairs = [(pair.answer.model, pair.reference.model) for pair in pairs][::2]
    assert [pair for pair in pairs if pair[1] == "written"] == [(name, "written") for name in names]
    among = [
        "tuned base",
        "tuned chat",
        "aligned base",
        "aligned chat",
        "aligned tuned",
        "chat base",
    ]
    assert [" ".join(pair) for pair in pairs if pair[1] != "written"] == among
    assert evaluation.answers.last_trained(names) == "aligned"
    assert evaluation.answers.last_trained(["base", "tuned", "chat"]) == "tuned"
    assert evaluation.answers.last_trained(["base", "chat"]) == "chat"


def test_models_are_compared_on_the_same_references_and_not_on_each_other():
    rows = [(m, r) for m in ("base", "tuned", "aligned") for r in ("written", "base", "tuned")]
    verdicts = [
        {"id": f"{n}", "model": m, "reference": r, "order": order, "winner": "tie"}
        for n in range(3)
        for m, r in rows
        for order in evaluation.verdicts.ORDERS
        if (m, r) not in (("base", "base"), ("base", "tuned"), ("tuned", "tuned"))
    ]
    table = evaluation.win_rate.compare(verdicts)
    assert list(table["reference"]) == ["written"] * 3


def test_the_bias_panel_knows_who_wrote_the_training_data():
    verdicts = asyncio.run(judging.ask(llm.Client(url="offline", model=offline.MODEL), PAIRS))
    kin = [
        evaluation.judge_checks.bias_panel(verdicts, [ANSWER, *WRITTEN], **origins)["kin"].item()
        for origins in ({}, {"tuned": ["smollm2", offline.MODEL]}, {"tuned": ["smollm2"]})
    ]
    assert kin == ["", "model", ""]
