"""The chat without a browser: answers that grow and can be stopped, what is kept and what is asked about first, the loop closed."""

import asyncio
import functools
import json
import multiprocessing
import time
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import stand_in_server, tiny_model

from medinstruct import assist, audits, llm, records, review
from medinstruct.assist import Answer, Guard, Session, Transcripts, Turn
from medinstruct.errors import UserError
from medinstruct.llm.messages import settled
from medinstruct.records import Example

ASK = llm.Request(
    messages=[
        {
            "role": "user",
            "content": "Type: open Q&A\nView: nurse\nInstruction: What is asthma and how is it treated?",
        }
    ],
    parameters={"max_tokens": 500},
)
NAMED = "Mrs. Anna Weber, MRN 00482913, asks what helps against asthma."


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model.build(folder / "student")
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    tuned = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder / "student"),
        LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False),
    )
    tuned.save_pretrained(folder / "adapter")
    return folder


@pytest.fixture(scope="module")
def model(student):
    return llm.LocalModel(student / "student", adapter=student / "adapter")


def client(pace=0.0, **more):
    return llm.Client(url=f"offline?pace={pace}&cut=0", model="offline-stand-in", **more)


def local(text="Condition 3 causes", **parameters):
    return llm.Request(
        messages=[{"role": "user", "content": text}], parameters={"max_tokens": 40} | parameters
    )


async def read(stream, *, stop_after=0):
    """The pieces of a stream and its reply; it is closed once it has so many characters."""
    pieces = []
    async for item in stream:
        if isinstance(item, llm.Reply):
            return pieces, item
        pieces.append(item)
        if 0 < stop_after <= len("".join(pieces)):
            await stream.aclose()
    return pieces, None


def test_a_streamed_answer_equals_the_one_asked_for_at_once_and_is_not_cached():
    async def both():
        asked = client()
        pieces, reply = await read(asked.stream(ASK))
        return pieces, reply, (await client().ask_all([ASK]))[0], asked

    pieces, reply, fresh, asked = asyncio.run(both())
    assert len(pieces) > 20 and "".join(pieces) == reply.text == fresh.text
    assert not asked.cache.keys() and asked.usage["asked"] == 1
    assert asked.usage["completion_tokens"] == fresh.completion_tokens


@pytest.mark.parametrize("stop", [[], ["treated"], ["\n### Instruction"]])
def test_a_local_model_streams_what_it_answers_at_once_as_base_and_as_tuned(model, stop):
    async def both(tuned):
        view = model.views["tuned"] if tuned else model.views["base"]
        pieces, reply = await read(view.stream(local(stop=stop)))
        return "".join(pieces), reply, (await view.ask_all([local(stop=stop)]))[0]

    found = [asyncio.run(both(tuned)) for tuned in (False, True)]
    assert all(
        text == reply.text == whole.text and reply.finish_reason == whole.finish_reason
        for text, reply, whole in found
    )
    assert found[0][1].text != found[1][1].text and found[0][1].key != found[1][1].key


def test_base_and_tuned_asked_at_the_same_moment_do_not_mix(model):
    async def together():
        streams = [
            read(view.stream(local())) for view in (model.views["tuned"], model.views["base"]) * 2
        ]
        return [reply.text for _, reply in await asyncio.gather(*streams)]

    told = asyncio.run(together())
    alone = [
        asyncio.run(view.ask_all([local()]))[0].text
        for view in (model.views["tuned"], model.views["base"])
    ]
    assert told == alone * 2


def test_stopping_a_local_model_ends_it_within_two_tokens_and_keeps_nothing(model):
    with model.views["tuned"].network() as inner:
        pass
    seen, real = [], inner.forward

    @functools.wraps(real)
    def counted(*given, **more):
        seen.append(time.monotonic())
        time.sleep(0.02)
        return real(*given, **more)

    async def stopped():
        stream = model.views["tuned"].stream(local(max_tokens=400))
        await anext(stream)
        await stream.aclose()
        at = len(seen)
        await asyncio.sleep(0.3)
        return at, len(seen) - at, model.cache.keys()

    inner.forward = counted
    try:
        before = model.cache.keys()
        at, more, keys = asyncio.run(stopped())
    finally:
        del inner.forward
    assert 0 < at < 20 and more <= 2 and keys == before


def test_a_stopped_or_cancelled_answer_is_counted_but_not_kept_as_whole():
    async def stopped(how):
        asked = client(pace=0.01, usd_per_mtok=(1, 1), budget_usd=1.0)
        if how == "stop":
            pieces, _ = await read(asked.stream(ASK), stop_after=40)
            assert 40 <= len("".join(pieces)) < 80
        else:
            reading = asyncio.create_task(read(asked.stream(ASK)))
            await asyncio.sleep(0.2)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return asked

    for how in ("stop", "cancel"):
        asked = asyncio.run(stopped(how))
        assert not asked.cache.keys() and asked.usage["usd"] > 0
        assert asked.usage["asked"] == 1 and asked.reserved == pytest.approx(0)


def test_a_stream_never_passes_the_budget():
    asked = client(usd_per_mtok=(1, 1), budget_usd=6e-4)

    async def many():
        for n in range(9):
            await read(asked.stream(ASK.model_copy(update={"sample": n})))

    with pytest.raises(UserError, match="budget"):
        asyncio.run(many())
    assert 0 < asked.usage["usd"] <= 6e-4


def test_the_stand_in_streams_over_a_socket_and_a_reader_who_hangs_up_gets_no_more():
    async def talk():
        faults = stand_in_server.Faults(pace=0.01)
        asked = llm.Client(url=stand_in_server.listen(faults=faults), model="m")
        whole, _ = await read(asked.stream(ASK))
        events = faults.seen["events"]
        await read(asked.stream(ASK.model_copy(update={"sample": 1})), stop_after=30)
        await asyncio.sleep(0.3)
        return whole, events, faults.seen["events"] - events

    whole, events, after = asyncio.run(talk())
    assert len(whole) > 20 and events > len(whole) and after < events / 2


def test_a_server_that_refuses_the_option_for_usage_is_asked_without_it(caplog):
    async def talk():
        service = stand_in_server.Service(refused=("stream_options",))
        url = stand_in_server.listen(service=service, faults=stand_in_server.Faults(pace=0))
        asked = llm.Client(url=url, model="m")
        return await read(asked.stream(ASK))

    _, reply = asyncio.run(talk())
    assert reply.text and reply.completion_tokens > 0 and "stream_options" in caplog.text


@given(st.text(), st.lists(st.text(min_size=1, max_size=12), max_size=3))
def test_what_is_shown_early_is_never_taken_back(text, stop):
    cuts = [text.index(mark) for mark in stop if mark in text]
    whole = (text[: min(cuts)] if cuts else text).strip()
    assert all(
        whole.startswith(settled(text[:n], stop))
        for n in range(len(text) + 1)
        if not {"\ufffd", "\x00"} & set(text)
    )


# what is saved


def turn(n=1, conversation="c", **more):
    answer = Answer(name="tuned", text=f"answer {n}", model="student", finish_reason="stop")
    more = {"question": f"question {n}", "answers": [answer]} | more
    return Turn(id=f"t{n}", conversation=conversation, at="2026-01-01T00:00:00Z", **more)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_saved_turns_are_read_back_unchanged(tmp_path_factory, texts):
    transcripts = Transcripts(tmp_path_factory.mktemp("t"))
    turns = [turn(n, question=text) for n, text in enumerate(texts)]
    for row in turns:
        transcripts.add(row)
    assert transcripts.turns() == Transcripts(transcripts.path.parent).turns() == turns


def test_a_transcript_of_version_1_is_read(tmp_path):
    line = '{"id":"t1","conversation":"c","at":"x","question":"q","answers":[{"name":"base","text":"a","samples":["b"]}]}'
    (tmp_path / "transcripts.jsonl").write_text(line + "\n")
    (row,) = Transcripts(tmp_path).turns()
    assert (row.question, row.answers[0].text, row.saved) == ("q", "a", "yes")


def test_an_edited_turn_takes_the_place_of_the_old_one_and_of_what_followed_and_the_file_keeps_all(
    tmp_path,
):
    kept = Transcripts(tmp_path)
    for one in (turn(1), turn(2), turn(3), turn(9, "other"), turn(4, replaces="t2")):
        kept.add(one)
    assert [one.id for one in kept.last_conversation()] == ["t1", "t4"]
    assert len(kept.turns()) == 5


def test_a_line_that_a_crash_has_torn_costs_only_itself(tmp_path):
    kept = Transcripts(tmp_path)
    kept.add(turn(1))
    with kept.path.open("ab") as file:
        file.write(b'{"id":"t2","conver')
    kept.add(turn(3))
    assert [one.id for one in kept.turns()] == ["t1", "t3"]


def add_many(folder, name):
    kept = Transcripts(folder)
    for n in range(60):
        kept.add(turn(f"{name}{n}", question="x" * 20_000))


def test_two_kernels_write_into_one_run(tmp_path):
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=add_many, args=(tmp_path, name)) for name in "ab"]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(Transcripts(tmp_path).turns()) == 120


# what is asked about first


@settings(deadline=None)
@given(st.sampled_from(audits.phi.phi_snippets()))
def test_a_masked_text_holds_nothing_more_to_mask_of_what_was_found(snippet):
    guard, masked = Guard(), []
    words = [hit.text for hit in guard.find(snippet["text"])]
    guard.check("question", [snippet["text"]], lambda decision, texts, words: masked.extend(texts))
    guard.decide("mask")
    assert all(word not in masked[0] or len(word) < 4 for word in words)


def talked(folder, model, *messages, told=None, reviewer="A. B.", **more):
    """A talk that has done what the messages ask, each to its end, and what it told the page."""
    told = [] if told is None else told

    async def run():
        talk = Session(
            model if isinstance(model, dict) else {"tuned": model},
            folder=folder,
            send=told.append,
            reviewer=reviewer,
            **more,
        )
        for message in messages:
            message = message(talk) if callable(message) else message
            talk.act({"models": list(talk.models), **message})
            while talk.running and not message.get("go_on"):
                await asyncio.sleep(0.01)
        return talk

    return asyncio.run(run())


def disk(folder):
    """Every byte under a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("decision", ["mask", "none", "kept", "back"])
def test_a_question_with_a_name_waits_and_nothing_of_it_is_on_the_disk_or_sent_before_the_answer(
    tmp_path, decision
):
    asked = client(cache=tmp_path / "answers.sqlite")
    talk = talked(tmp_path, asked, {"act": "ask", "text": NAMED})
    assert talk.guard.pending["what"] == "question" and {"Anna Weber", "00482913"} <= {
        text for _, text in talk.guard.pending["hits"]
    }
    assert b"Weber" not in disk(tmp_path) and asked.usage["asked"] == 0 and not talk.turns
    talk = talked(
        tmp_path, asked, {"act": "ask", "text": NAMED}, {"act": "decide", "decision": decision}
    )
    kept, whole = Transcripts(tmp_path).turns(), disk(tmp_path)
    assert len(kept) == (decision in ("mask", "kept")) and (b"Weber" in whole) == (
        decision == "kept"
    )
    assert asked.usage["asked"] == (decision != "back") and not asked.cache.keys()
    if decision == "mask":
        assert (
            kept[0].question == "Mrs. [name], MRN [record], asks what helps against asthma."
            and kept[0].privacy == "masked"
        )
    if decision == "kept":
        again = talked(
            tmp_path, asked, {"act": "ask", "text": NAMED}
        )  # the decision holds in a new kernel as well
        assert again.guard.pending is None and kept[0].privacy == "no identifier"


class Says(llm.Client):
    """A client that says one text."""

    def __init__(self, text):
        super().__init__(url="offline", model="m")
        self.text = text

    async def stream(self, request):
        yield self.text
        yield llm.Reply(key="k", text=self.text, finish_reason="stop", model="m")


def test_a_name_in_an_answer_or_in_a_correction_is_asked_about_as_well(tmp_path):
    model = Says("Ask Mr. Oskar Trell about it.")
    talk = talked(tmp_path, model, {"act": "ask", "text": "Who knows?"})
    assert (
        talk.guard.pending["what"] == "answer"
        and b"Trell" not in disk(tmp_path)
        and talk.turns[0].saved == "asks"
    )
    wrong = {
        "act": "judge",
        "name": "tuned",
        "verdict": "wrong",
        "correction": "Ask Dr. Vera Lindqvist.",
    }
    steps = [
        {"act": "ask", "text": "Who knows?"},
        {"act": "decide", "decision": "mask"},
        lambda talk: wrong | {"turn": talk.turns[0].id},
    ]
    talk = talked(tmp_path, model, *steps)
    assert Transcripts(tmp_path).turns()[0].answers[0].text == "Ask Mr. [name] about it."
    assert talk.guard.pending["what"] == "correction" and b"Lindqvist" not in disk(tmp_path)
    talk.act({"act": "decide", "decision": "mask"})
    assert b"Lindqvist" not in disk(tmp_path) and b"Ask Dr. [name]." in disk(tmp_path)


def test_a_secret_of_a_turn_that_is_not_kept_does_not_come_back_through_a_later_one(tmp_path):
    model = Says("It was Weber, was it not? Anna Weber.")
    steps = [
        {"act": "ask", "text": NAMED},
        {"act": "decide", "decision": "none"},
        {"act": "ask", "text": "And then?"},
    ]
    talk = talked(tmp_path, model, *steps)
    assert (
        talk.turns[0].saved == "never"
        and talk.guard.pending["what"] == "answer"
        and b"Weber" not in disk(tmp_path)
    )


def test_a_full_disk_is_reported_and_later_turns_are_saved(tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    sent = []
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        session = talked(tmp_path, Says("Rest."), {"act": "ask", "text": "What helps?"}, told=sent)
        assert session.turns[0].saved == "no" and "NOT saved" in sent[-1]["view"]["error"]
    (tmp_path / "transcripts.jsonl").unlink()
    talked(tmp_path, Says("Rest."), {"act": "ask", "text": "What helps?"})
    assert len(Transcripts(tmp_path).turns()) == 1


# a talk


def test_base_and_tuned_answer_one_question_and_each_says_what_it_is(tmp_path, model):
    sent, before = [], model.cache.keys()
    views = {
        "base": model.views["base"],
        "mine": model.views["tuned"],
    }  # what a model is does not hang on its name
    ask = {"act": "ask", "text": "What helps?"}
    form = {"settings": {"max_tokens": 25}, "dataset": "529d"}
    session = talked(tmp_path, views, ask, told=sent, **form)
    base, mine = session.turns[0].answers
    assert base.text != mine.text and (base.data, mine.data) == ("", "529d")
    assert "without adapter" in base.model and "with its adapter" in mine.model
    assert "no earlier turns" in mine.model and base.finish_reason in ("stop", "length")
    assert Transcripts(tmp_path).turns()[0].answers[1].text == mine.text
    pieces = [row["text"] for row in sent if row["event"] == "piece" and row["name"] == "mine"]
    assert review.visible(mine.text).startswith("".join(pieces))  # the adapter writes at random
    assert model.cache.keys() == before


def test_the_notice_and_the_emergency_line_go_with_every_page(tmp_path):
    sent = []
    talked(
        tmp_path, Says("Nothing to worry about."), {"act": "ask", "text": "Is it safe?"}, told=sent
    )
    views = [row["view"] for row in sent if row["event"] == "view"]
    assert views and all("112" in view["emergency"] and view["notice"] for view in views)
    page = assist.open_chat({}, folder=tmp_path)._repr_html_()
    assert assist.EMERGENCY in page and assist.NOTICE in page
    empty = assist.open_chat({}, folder=tmp_path / "empty")._repr_html_()
    assert assist.EMERGENCY in empty


def test_stop_ends_every_model_and_says_so(tmp_path, model):
    steps = [{"act": "ask", "text": "What is asthma?", "go_on": True}, {"act": "stop"}]
    talk = talked(
        tmp_path,
        {"stand-in": client(pace=0.2), "base": model.views["base"], "tuned": model.views["tuned"]},
        *steps,
        settings={"max_tokens": 2000},
    )
    assert {answer.finish_reason for answer in talk.turns[0].answers} == {"stopped"}
    assert not talk.running


def test_numbers_and_drugs_are_marked_unless_an_earlier_question_holds_them(tmp_path):
    ask = [
        {"act": "ask", "text": text} for text in ("What helps?", "I take 850 mg metformin.", "So?")
    ]
    session = talked(tmp_path, Says("Take 850 mg of metformin."), *ask)
    marked = [
        [mark.kind for mark in turn["answers"][0]["marks"]] for turn in session.view()["turns"]
    ]
    assert marked == [["number", "drug"], [], []]
    session.turns[2].answers[0].reads_history = False  # as for a model without a chat template
    marks = session.view()["turns"][2]["answers"][0]["marks"]
    assert [mark.kind for mark in marks] == ["number", "drug"]


def test_an_edited_question_goes_on_from_its_place_with_what_stood_before_it(tmp_path):
    seen = []

    class Hears(Says):
        def stream(self, request):
            seen.append([message["content"] for message in request.messages])
            return super().stream(request)

    ask = [{"act": "ask", "text": text} for text in ("First?", "Second?", "Third?")]
    again = [lambda talk: {"act": "ask", "text": "Second, better?", "replaces": talk.turns[1].id}]
    talk = talked(tmp_path, Hears("Yes."), *ask, *again)
    assert [live.question for live in talk.turns] == ["First?", "Second, better?"]
    assert seen[-1] == ["First?", "Yes.", "Second, better?"]
    assert [live.question for live in talked(tmp_path, Says("")).turns] == [
        "First?",
        "Second, better?",
    ]  # a new kernel goes on


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": " "},
        {"text": "x" * 20_001},
        {"text": "a", "models": ["nobody"]},
        {"text": "a", "settings": {"temperature": "hot"}},
        {"act": "none"},
    ],
)
def test_what_cannot_be_asked_is_told_in_one_message(tmp_path, wrong):
    told = []
    talk = talked(tmp_path, Says("Yes."), {"act": "ask"} | wrong, told=told)
    assert told[-1]["view"]["error"] and not talk.turns


def test_an_answer_that_fails_is_told_and_the_other_one_stands(tmp_path, monkeypatch):
    monkeypatch.setattr("medinstruct.llm.retry.FIRST_RETRIES", 0)
    gone = llm.Client(url="http://127.0.0.1:9/v1", model="m")
    talk = talked(
        tmp_path, {"gone": gone, "here": Says("Rest.")}, {"act": "ask", "text": "What helps?"}
    )
    assert "gave no answer" in talk.turns[0].answers[0].error and talk.turns[0].saved == "yes"
    assert [said.name for said in Transcripts(tmp_path).turns()[0].answers] == ["here"]


# the loop closes


def test_a_correction_made_in_the_chat_is_in_the_next_version_of_the_dataset(tmp_path):
    old = Example(
        type="chat",
        topic="Cardiology",
        view="patient",
        difficulty=1,
        instruction="Q?",
        task="t",
        output="A.",
    )
    records.write(tmp_path / "dataset.jsonl", [old])
    judge = {
        "act": "judge",
        "name": "tuned",
        "verdict": "unsafe",
        "comment": "no dose",
        "correction": "Rest, and see a doctor if it lasts.",
    }
    steps = [
        {"act": "ask", "text": "What helps against a cold?"},
        lambda talk: judge | {"turn": talk.turns[0].id},
    ]
    talk = talked(tmp_path, Says("Take 5 g of it."), *steps)
    judged = talk.view()["turns"][0]["answers"][0]["judgments"]
    assert judged[0]["correction"] == judge["correction"]
    with closing(review.Store(tmp_path / "reviews.sqlite")) as store:
        after, _ = review.apply_votes(
            records.read(tmp_path / "dataset.jsonl", Example),
            store.votes("dataset"),
            chat=store.votes("chat"),
        )
        vote = store.votes("chat")[0]
    records.write(tmp_path / "dataset.reviewed.jsonl", after)
    rows = records.read(tmp_path / "dataset.reviewed.jsonl", Example)
    assert [row.output for row in rows] == ["A.", judge["correction"]] and rows[
        1
    ].instruction == "What helps against a cold?"
    assert rows[1].provenance.source == "chat; edited in review" and rows[1].provenance.parents == (
        vote.item,
    )
    assert (vote.harm, vote.action) == (2, "edit") and "A. B." not in json.dumps(
        [row.model_dump() for row in rows]
    )


@pytest.mark.parametrize(
    "verdicts, joined",
    [
        (["right"], 1),
        (["wrong"], 0),
        (["unsafe"], 0),
        (["right", "wrong"], 0),
        (["right", "right"], 1),
    ],
)
def test_only_what_people_agree_on_joins_the_dataset(tmp_path, verdicts, joined):
    with closing(review.Store(tmp_path / "reviews.sqlite")) as store:
        for n, verdict in enumerate(verdicts):
            form = {"verdict": verdict, "correction": "", "comment": ""}
            assist.judge(store, f"reader {n}", turn(), turn().answers[0], **form)
        found, changes = review.apply_votes([], [], chat=store.votes("chat"))
    assert len(found) == joined and len(changes) == 1


def test_a_turn_that_is_not_kept_cannot_be_judged(tmp_path):
    judge = {"act": "judge", "name": "tuned", "verdict": "right"}
    steps = [
        {"act": "ask", "text": NAMED},
        {"act": "decide", "decision": "none"},
        lambda talk: judge | {"turn": talk.turns[0].id},
    ]
    talk = talked(tmp_path, Says("Rest."), *steps)
    assert "not saved" in talk.error and not (tmp_path / "reviews.sqlite").exists()


# in print, and as a widget


def test_hostile_text_in_a_static_page_is_text(tmp_path):
    hostile = "<script>alert(1)</script> ![x](javascript:alert(1)) \x1b[31mred"
    talked(tmp_path, Says(hostile), {"act": "ask", "text": f"What helps? {hostile}"})
    page = assist.open_chat({"tuned": Says("")}, folder=tmp_path)._repr_html_()
    assert "<script" not in page and page.count("&lt;script&gt;") == 2 and "␛[31m" in page


def test_a_worked_case_is_shown_without_asking_again(tmp_path):
    case = assist.load_cases("decision")[0]
    turns = asyncio.run(assist.consult([case], {"tuned": client()}, template="chat"))
    html = assist.open_chat({}, folder=tmp_path, example=turns)._repr_html_()
    assert "An example" in html and "Decision support" in html
    assert case[0].question[:40] in html


def test_no_text_is_in_the_state_that_a_notebook_saves_and_no_name_goes_to_the_page(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("medinstruct.plotting.display.live", lambda: True)
    models = {"tuned": Says("Rest, said the model.")}
    who = {"reviewer": "Dr. Maria Beispiel"}
    widget = assist.open_chat(models, folder=tmp_path, **who)
    session, sent = widget.session, []
    session.send = sent.append

    async def ask():
        session.act({"act": "ask", "text": "What helps?", "models": ["tuned"]})
        while session.running:
            await asyncio.sleep(0.01)

    asyncio.run(ask())
    session.act({"act": "judge", "turn": session.turns[0].id, "name": "tuned", "verdict": "right"})
    state = {name: value for name, value in widget.get_state().items() if not name.startswith("_")}
    assert "Rest" not in json.dumps(state, default=str)
    assert "Beispiel" not in json.dumps(sent) and "Rest, said" in json.dumps(sent)


def test_the_page_knows_no_way_to_html():
    from medinstruct import paths

    source = paths.data("chat_panel.js").read_text()
    code = "\n".join(line for line in source.split("\n") if not line.startswith("//"))
    assert not any(
        way in code
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "localStorage",
        )
    )
