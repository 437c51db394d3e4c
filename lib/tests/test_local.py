"""A model in this process answers as a served one does: the same whether alone or in a batch, kept, and gone when closed."""

import asyncio
import gc
import weakref
from pathlib import Path

import pytest
from support import tiny_model

from medinstruct import llm
from medinstruct.errors import UserError
from medinstruct.llm import local


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("model") / "student")


def requests(count, **parameters):
    texts = [f"Condition {n} causes " + "cough and " * (n % 4) for n in range(count)]
    return [
        llm.Request(
            messages=[{"role": "user", "content": t}], parameters={"max_tokens": 12} | parameters
        )
        for t in texts
    ]


def ask(model, asked):
    return asyncio.run(model.ask_all(asked))


def test_answers_in_a_batch_are_those_given_one_by_one(student):
    model = llm.LocalModel(student, batch_size=8)
    together = ask(model, requests(20))
    alone = [ask(llm.LocalModel(student), [request])[0] for request in requests(20)[:4]]
    assert [r.text for r in together[:4]] == [r.text for r in alone]
    assert len({r.prompt_tokens for r in together}) > 1 and all(
        r.completion_tokens <= 12 for r in together
    )


def test_a_killed_run_asks_only_for_what_is_missing(student, tmp_path, monkeypatch):
    model = llm.LocalModel(student, cache=tmp_path / "a.sqlite", batch_size=4)
    real, calls = local.LocalModel._generate, []

    def third_fails(self, prompts, *more):
        calls.append(len(prompts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, prompts, *more)

    monkeypatch.setattr(local.LocalModel, "_generate", third_fails)
    with pytest.raises(KeyboardInterrupt):
        ask(model, requests(12))
    again = llm.LocalModel(student, cache=tmp_path / "a.sqlite", batch_size=4)
    replies = ask(again, requests(12))
    assert again.usage["asked"] == 4 and again.usage["cached"] == 8
    assert [r.text for r in replies] == [r.text for r in ask(llm.LocalModel(student), requests(12))]


@pytest.mark.parametrize("copied", [0, 1e9], ids=["adapter switched", "adapter merged"])
def test_the_same_request_to_another_adapter_or_the_base_is_another_question(
    student, tmp_path, monkeypatch, copied
):
    import torch
    from peft import LoraConfig, get_peft_model

    with llm.LocalModel(student).network() as base:
        lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
        tuned = get_peft_model(base, lora)
    for seed in (1, 2):
        torch.manual_seed(seed)
        for value in tuned.parameters():
            if value.requires_grad:
                torch.nn.init.normal_(value)
        tuned.save_pretrained(tmp_path / str(seed))
    switched = [r.text for r in ask(llm.LocalModel(student, adapter=tmp_path / "1"), requests(3))]
    monkeypatch.setattr(local, "COPIED", copied)
    one = llm.LocalModel(student, adapter=tmp_path / "1")
    assert [r.text for r in ask(one, requests(3))] == switched
    keys = {view.key(requests(1)[0]) for view in (one.views["base"], one.views["tuned"])}
    keys.add(llm.LocalModel(student, adapter=tmp_path / "2").key(requests(1)[0]))
    assert len(keys) == 3
    plain = ask(llm.LocalModel(student), requests(3))
    assert [r.text for r in ask(one.views["base"], requests(3))] == [r.text for r in plain]
    assert [r.text for r in ask(one.views["tuned"], requests(3))] != [r.text for r in plain]
    both = llm.LocalModel(student, adapter={"tuned": tmp_path / "1", "aligned": tmp_path / "2"})
    assert [*both.views] == ["base", "tuned", "aligned"]
    answers = {name: [r.text for r in ask(v, requests(3))] for name, v in both.views.items()}
    alone = [r.text for r in ask(llm.LocalModel(student, adapter=tmp_path / "2"), requests(3))]
    assert answers == {"base": [r.text for r in plain], "tuned": switched, "aligned": alone}
    assert alone != switched


def test_an_answer_ends_at_a_stop_string_before_the_room_is_used(student):
    model = llm.LocalModel(student)
    (whole,) = ask(model, requests(1, max_tokens=40))
    mark = whole.text[8:11]
    (cut,) = ask(model, requests(1, max_tokens=40, stop=[mark]))
    assert cut.text == whole.text[: whole.text.index(mark)].strip() and cut.finish_reason == "stop"
    assert cut.completion_tokens < whole.completion_tokens


def test_samples_differ_and_repeat(student):
    model = llm.LocalModel(student)
    request = requests(1, temperature=1.5)[0]
    several = [request.model_copy(update={"sample": n}) for n in range(4)]
    first, second = ask(model, several), ask(llm.LocalModel(student), several)
    assert len({r.text for r in first}) > 1 and [r.text for r in first] == [r.text for r in second]


def test_a_sampled_answer_does_not_depend_on_the_batch_it_is_in(student):
    asked = requests(6, temperature=1.0, top_p=0.9)
    together = [reply.text for reply in ask(llm.LocalModel(student), asked)]
    alone = [ask(llm.LocalModel(student), [request])[0].text for request in reversed(asked)]
    assert together == alone[::-1] and len(set(together)) > 3


def test_sampling_follows_the_probabilities_of_the_model(student):
    import torch

    model = llm.LocalModel(student, batch_size=500)
    request = requests(1, temperature=1.0, max_tokens=1)[0]
    several = [request.model_copy(update={"sample": n}) for n in range(2000)]
    texts = [reply.text for reply in ask(model, several)]
    ids = model.tokenizer(request.messages[0]["content"], return_tensors="pt")
    with torch.no_grad(), model.network() as network:
        shares = network(**ids).logits[0, -1].softmax(-1)
    expected = {}
    for token, share in enumerate(shares.tolist()):
        text = model.tokenizer.decode([token], skip_special_tokens=True).strip()
        expected[text] = expected.get(text, 0) + share
    best = sorted(expected, key=expected.get)[-5:]
    assert all(abs(texts.count(text) / 2000 - expected[text]) < 0.04 for text in best)


def test_a_batch_that_does_not_fit_is_asked_in_halves(student, monkeypatch):
    import torch

    real = local.LocalModel._generate

    def narrow(self, prompts, *more):
        if len(prompts) > 3:
            raise torch.OutOfMemoryError("simulated")
        return real(self, prompts, *more)

    expected = [r.text for r in ask(llm.LocalModel(student), requests(10))]
    monkeypatch.setattr(local.LocalModel, "_generate", narrow)
    assert [r.text for r in ask(llm.LocalModel(student), requests(10))] == expected


def test_a_model_that_is_closed_leaves_no_memory_behind(student):
    with llm.LocalModel(student) as model:
        with model.network() as network:
            weights = weakref.ref(next(network.parameters()))
        del network
        ask(model, requests(2))
    gc.collect()
    assert weights() is None


def test_unknown_parameters_and_a_missing_template_are_refused(student):
    with pytest.raises(UserError, match="presence_penalty"):
        ask(llm.LocalModel(student), requests(1, presence_penalty=1.0))
    with pytest.raises(UserError, match="chat template"):
        ask(llm.LocalModel(student, chat=True), requests(1))


def test_any_end_token_that_the_model_names_ends_an_answer(student):
    model = llm.LocalModel(student)
    (whole,) = ask(model, requests(1, max_tokens=20))
    tokens = model.tokenizer(requests(1)[0].messages[0]["content"] + whole.text)["input_ids"]
    with model.network() as network:
        network.generation_config.eos_token_id = [model.tokenizer.eos_token_id, tokens[-4]]
    (cut,) = ask(model, requests(1, max_tokens=21))
    assert cut.finish_reason == "stop" and cut.completion_tokens < 21


def test_a_server_can_answer_instead(student, tmp_path):
    server = llm.Client(url="offline", model="offline-stand-in", cache=tmp_path / "c.sqlite")
    assert isinstance(ask(server, requests(1))[0], llm.Reply)
    assert isinstance(ask(llm.LocalModel(student), requests(1))[0], llm.Reply)
