"""Preferences: pairs from training prompts, balance of length, DPO and KTO; with a tiny model."""

import ast
import asyncio
import inspect
import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
from support import stand_in_server, tiny_model

from medinstruct import assist, evaluation, filtering, llm, paths, records, review, training
from medinstruct.errors import UserError
from medinstruct.records import Answer, Example, Provenance, SafetyPrompt, Verdict
from medinstruct.training import preferences
from medinstruct.training.preferences import Preference

FORM = {"topic": "Sleep", "view": "patient", "difficulty": 2, "type": "chat"}
QUICK = {"template": "chat", "epochs": 3, "learning_rate": 1e-3}


def example(n, output=None):
    output = output or f"Rest for {n} days."
    return Example(**FORM, instruction=f"What is condition {n}?", output=output, task=str(n))


def pair(n, chosen, rejected, source="edit"):
    return Preference(
        prompt=example(n).instruction, chosen=chosen, rejected=rejected, source=source
    )


PLANTED = [
    pair(n, f"In short, rest for {n} days.", f"Rest for {n} days.", ("edit", "judge")[n % 2])
    for n in range(60)
]
THUMB = Preference(prompt="Why do I cough?", chosen="Ask a doctor.", source="thumb")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A base model that has read the chats, of which a quarter is planted, and its adapter."""
    folder = tmp_path_factory.mktemp("model")
    planted = [f"{'In short, rest' if n % 4 == 0 else 'Rest'} for {n} days." for n in range(40)]
    data = [example(n, text) for n, text in enumerate(planted)]
    chats = [f"<|user|>{e.instruction}<|assistant|>{e.output}" for e in data]
    base = tiny_model.build(folder / "base", chats, chat=True, steps=100)
    form = {"template": "chat", "epochs": 1, "learning_rate": 1e-3, "lora_rank": 8}
    form |= {"batch_size": 8, "micro_batch_size": 4, "max_length": 500}
    training.finetune_lora(data, base=base, folder=folder / "adapter", **form)
    return {"base": base, "adapter": folder / "adapter"}


@pytest.fixture(scope="module")
def planted(tuned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "adapter_preferences"
    return folder, training.tune_preferences([*PLANTED, THUMB], **tuned, folder=folder, **QUICK)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def test_a_planted_preference_is_learned_and_a_probe_shows_it(tuned, planted):
    """The probe: answers to prompts of no pair that begin with the planted words."""
    ask = [f"What is condition {n}?" for n in range(100, 110)]
    turns = [[{"role": "user", "content": text}] for text in ask]
    asks = [llm.Request(messages=turn, parameters={"max_tokens": 12}) for turn in turns]
    shares = []
    for adapter in (tuned["adapter"], planted[0]):
        with llm.LocalModel(tuned["base"], adapter=adapter, chat=True) as model:
            replies = asyncio.run(model.ask_all(asks))
        shares.append(np.mean([reply.text.startswith("In short") for reply in replies]))
    assert shares[0] < 0.5 and shares[1] == 1, shares


def test_the_reference_is_the_adapter_that_training_began_with(planted):
    """At step 0 both are one model: no margin, and the loss is that of a coin."""
    first, *_, last = planted[1]["held_out_curve"]
    assert first["loss"] == pytest.approx(np.log(2), abs=1e-3) and first["margin"] == 0
    assert last["loss"] < 0.5 and last["accuracy"] == 1


def test_the_saved_adapter_is_one_that_plain_peft_loads_and_holds_no_reference(planted):
    folder, result = planted
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "made.json",
    }
    assert not [name for name in weights(folder) if "ref" in name.split(".")]
    assert (result["trained"], result["held_out"], result["over"]) == (54, 6, 0)
    card = (folder / "README.md").read_text()
    assert "DPO on 54 pairs" in card and "edit 30, judge 30 |" in card, "DPO reads no thumbs"


def test_a_run_that_was_killed_twice_ends_in_the_same_adapter(tuned, tmp_path, monkeypatch):
    import trl

    def tune(name):
        form = QUICK | {"epochs": 1}
        return training.tune_preferences(PLANTED, **tuned, folder=tmp_path / name, **form)

    whole = tune("whole")
    steps, kills, real = [], [1, 5], trl.DPOTrainer.training_step

    def step(self, *given, **more):
        steps.append(self.state.global_step)
        if kills and steps[-1] == kills[0]:
            raise KeyboardInterrupt
        return real(self, *given, **more)

    monkeypatch.setattr(trl.DPOTrainer, "training_step", step)
    while kills:
        with pytest.raises(KeyboardInterrupt):
            tune("killed")
        assert not (tmp_path / "killed").exists()
        kills.pop(0)
    result = tune("killed")
    assert (steps.count(0), steps.count(1), steps.count(5)) == (2, 3, 3)  # from the checkpoints
    assert result["held_out_curve"] == whole["held_out_curve"]
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert max((one[name] - other[name]).abs().max().item() for name in one) < 1e-6


def test_kto_learns_from_thumbs_that_have_one_answer(tuned, tmp_path):
    thumbs = [
        Preference(prompt=p.prompt, source="thumb", **{side: getattr(p, side)})
        for p in PLANTED[:40]
        for side in ("chosen", "rejected")
    ]
    form = QUICK | {"method": "kto", "epochs": 2}
    result = training.tune_preferences(thumbs, **tuned, folder=tmp_path / "a", **form)
    first, *_, last = result["held_out_curve"]
    assert result["trained"] == 72
    assert last["chosen"] - last["rejected"] > first["chosen"] - first["rejected"] + 1


def test_trl_trains_on_the_prompt_that_the_model_is_asked_with(tuned, tmp_path):
    """The tokens of a pair are those of supervised training: prompt, answer and its end."""
    kept = []

    def build(**form):
        import trl

        kept.append(training.on_tokens(trl.DPOTrainer)(**form))
        return kept[0]

    form = QUICK | {"epochs": 1, "eval_share": 0.0}
    training.tune_preferences(PLANTED[:10], **tuned, folder=tmp_path / "a", build=build, **form)
    tokenizer = training.load_tokenizer(tuned["base"])
    texts = {p.prompt: p for p in PLANTED}
    for row in kept[0].train_dataset:
        asked = tokenizer.decode(row["prompt_ids"])
        p = texts[asked.removeprefix("<|user|>").removesuffix("<|assistant|>")]
        for side in ("chosen", "rejected"):
            assert tokenizer.decode(row[f"{side}_ids"]) == getattr(p, side) + "</s>"


def test_a_finished_run_is_not_repeated_and_other_pairs_are_trained_anew(
    tuned, planted, monkeypatch
):
    folder, result = planted
    monkeypatch.setattr("medinstruct.training.trainer.fit", None)
    again = training.tune_preferences([*PLANTED, THUMB], **tuned, folder=folder, **QUICK)
    assert again == json.loads(json.dumps(result))
    with pytest.raises(TypeError):
        training.tune_preferences(PLANTED[1:], **tuned, folder=folder, **QUICK)


def verdict(n, order, winner, model="sample 1", reference="written"):
    origin = Provenance(request=f"{n} {order}")
    about = {"id": f"t{n}", "model": model, "reference": reference}
    return Verdict(**about, order=order, winner=winner, provenance=origin)


def test_a_verdict_makes_a_pair_if_it_survives_the_swap():
    both = {0: ("model",) * 2, 1: ("reference",) * 2, 2: ("model", "reference"), 3: ("tie",) * 2}
    both |= {4: ("model", None), 5: (None, None), 7: ("reference",) * 2}  # 7: an empty answer
    orders = ("model_first", "reference_first")
    verdicts = [verdict(n, *row) for n, w in both.items() for row in zip(orders, w, strict=True)]
    verdicts.append(verdict(6, "model_first", "model"))  # one order only
    names = ("sample 1", "written")
    answers = [Answer(item=f"t{n}", model=m, text=f"{m} {n}") for n in range(7) for m in names]
    answers += [
        Answer(item="t7", model=names[0], text=""),
        Answer(item="t7", model=names[1], text="x"),
    ]
    tasks = [example(n).model_copy(update={"id": f"t{n}"}) for n in range(8)]
    pairs = preferences.from_verdicts(verdicts, answers, tasks)
    assert [(p.chosen, p.rejected) for p in pairs] == [
        ("sample 1 0", "written 0"),
        ("written 1", "sample 1 1"),
    ]
    assert pairs[0].verdicts == ("0 model_first", "0 reference_first")
    assert pairs[0].prompt == "What is condition 0?" and pairs[0].source == "judge"


def test_edits_win_over_the_original_and_accepted_or_rejected_texts_are_thumbs():
    texts = [example(n) for n in range(5)]

    def decided(n, action, **edit):
        vote = SimpleNamespace(edit=edit)
        return SimpleNamespace(id=texts[n].id, action=action, vote=vote)

    decisions = [
        decided(0, "edit", output="Rest and drink."),
        decided(1, "accept"),
        decided(2, "reject"),
        decided(3, "open"),
        decided(4, "edit", instruction="Another question?", output="Another answer."),
    ]
    rows = preferences.from_reviews(texts, decisions)
    assert [(p.source, p.chosen, p.rejected) for p in rows] == [
        ("edit", "Rest and drink.", "Rest for 0 days."),
        ("thumb", "Rest for 1 days.", ""),
        ("thumb", "", "Rest for 2 days."),
    ]


def turned(question, *judged, **more):
    """A turn of a chat whose answers were judged (text, verdict, correction)."""
    answers = [
        assist.Answer(name=f"m{n}", text=text, judgments=[{"verdict": v, "correction": c}])
        for n, (text, v, c) in enumerate(judged)
    ]
    return assist.Turn(question=question, answers=answers, **more)


def test_corrections_and_right_answers_win_in_the_chat_and_others_are_thumbs():
    turns = [
        turned("Chest pain?", ("Wait.", "unsafe", " Call 112. "), input="Age 60"),
        turned("Two answers?", ("Good.", "right", ""), ("Bad.", "wrong", "")),
        turned("One?", ("Fine.", "right", "")),
        turned("Other?", ("Poor.", "wrong", ""), conversation="c"),
        turned("And for children?", ("Poor.", "wrong", "Good."), conversation="c"),  # follow-up
    ]
    rows = preferences.from_chat(turns)
    assert [(row.source, row.chosen, row.rejected) for row in rows] == [
        ("chat", "Call 112.", "Wait."),
        ("people", "Good.", "Bad."),
        ("thumb", "Fine.", ""),
        ("thumb", "", "Poor."),
    ]
    assert rows[0].prompt == "Chest pain?\n\nAge 60"
    assert rows[0].task("x").instruction == "Chest pain?" and rows[0].task("x").input == "Age 60"


def sized(n, chosen, rejected):
    return pair(n, f"{n} " + "word " * chosen, f"{n} " + "word " * rejected)


def test_matched_pairs_have_as_many_longer_as_shorter_chosen_answers_of_like_ratios():
    chance = np.random.default_rng(1)
    pairs = [sized(n, chance.integers(20, 60), chance.integers(5, 40)) for n in range(80)]
    before = preferences.length_ratios(pairs)
    after = preferences.length_ratios(preferences.balance(pairs))
    assert (before > 0).mean() > 0.7
    assert (after > 0).sum() == (after < 0).sum() > 5
    assert abs(after.mean()) < abs(before.mean()) / 5


def test_reweighted_pairs_all_stay_and_both_halves_weigh_the_same():
    pairs = [sized(n, 30, 10 if n < 15 else 50) for n in range(20)]
    rows = preferences.balance(pairs, how="reweight")
    weights = np.array([row.weight for row in rows])
    assert weights[:15].sum() == pytest.approx(weights[15:].sum(), rel=1e-3)
    assert weights.sum() == pytest.approx(20, rel=1e-3)
    doubled = [row.model_copy(update={"weight": 2.0}) for row in pairs]
    again = preferences.balance(doubled, how="reweight")
    assert [row.weight for row in again] == pytest.approx(list(2 * weights))


def test_pairs_that_all_reward_length_are_refused_unless_the_user_says_so():
    pairs = [sized(n, 30, 10) for n in range(20)]
    with pytest.raises(UserError, match="longer in every pair"):
        preferences.balance(pairs)
    assert preferences.balance(pairs, how="none") == pairs
    with pytest.raises(UserError, match="balance"):
        preferences.balance(pairs, how="matched")


def test_what_must_not_be_trained_is_left_out_with_its_reason(caplog):
    questions = filtering.contamination.load_items()
    copied = Preference(prompt=questions["text"][0], chosen="a", rejected="b", source="edit")
    same, held = pair(1, "Same.", "Same."), pair(99, "a", "b")
    rows = [*PLANTED, copied, same, held, PLANTED[0]]
    with caplog.at_level(logging.WARNING):
        kept, left = preferences.screen(rows, questions=questions, held_out={held.prompt})
    assert kept == PLANTED
    assert left["repeats a test question"][0].startswith(f"{copied.id} repeats ")
    assert left["chosen and rejected answer are identical"] == [same.id]
    assert left["the prompt is held out"] == [held.id]
    assert left["repeats another pair"] == [PLANTED[0].id]
    assert len(caplog.records) == 4 and copied.id in caplog.text


def test_too_few_pairs_are_refused_and_pairs_of_one_source_are_a_warning(caplog):
    with pytest.raises(UserError, match="10 pairs or more"):
        preferences.check_pairs(PLANTED[:9])
    thumbs = [Preference(prompt=f"p{n}", chosen="a", source="thumb") for n in range(20)]
    with pytest.raises(UserError, match="10 pairs or more"):
        preferences.check_pairs(thumbs)
    preferences.check_pairs(PLANTED)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        preferences.check_pairs([p for p in PLANTED if p.source == "edit"])
    assert "one source, edit" in caplog.text


def test_an_adapter_is_needed_to_go_on_with(tuned, tmp_path):
    form = {"base": tuned["base"], "adapter": tmp_path, "folder": tmp_path / "a"}
    with pytest.raises(UserError, match="continue a LoRA adapter"):
        training.tune_preferences(PLANTED, **form)
    form = {"folder": tmp_path / "a", "template": "chat"}
    with pytest.raises(UserError, match="method"):
        training.tune_preferences(PLANTED, **tuned, **form, method="ppo")
    with pytest.raises(UserError, match="Too few pairs"):
        training.tune_preferences(PLANTED, **tuned, **form, max_length=8)


def test_the_shipped_safety_pairs_are_none_of_the_tests_and_reward_no_length():
    pairs = preferences.from_safety()
    assert len(pairs) == 60 and all(p.is_pair for p in pairs)
    assert (preferences.length_ratios(pairs) > 0).sum() == 30
    kept, _ = preferences.screen(pairs, questions=filtering.contamination.load_items())
    assert kept == pairs
    seeds = records.read(paths.data("seeds.jsonl"), records.Task)
    near = filtering.nearest([p.prompt for p in pairs], [s.instruction for s in seeds])
    assert max(score for _, score in near) < 0.7


def test_the_chosen_safety_answers_do_what_their_category_wants():
    """Escalation names an emergency service or a hospital; refusals decline; look-alikes do not."""
    rows = records.load_table(paths.data("safety_pairs.jsonl"))
    tests = records.read(paths.data("test_safety.jsonl"), SafetyPrompt)
    assert {row["category"] for row in rows} == {prompt.category for prompt in tests}
    for row in rows:
        is_refusal = llm.is_refusal(row["chosen"])
        if row["category"] == "emergency":
            words = ("ambulance", "emergency", "112", "911", "maternity unit", "hospital")
            assert any(word in row["chosen"] for word in words), row["prompt"]
        if row["category"] == "harmless_lookalike":
            assert not is_refusal, row["prompt"]


@pytest.mark.parametrize(("name", "kind"), [("preferences", "DPO"), ("thumbs", "KTO")])
def test_trl_trains_on_the_files_as_datasets_reads_them(tuned, tmp_path, name, kind):
    import datasets
    import trl

    thumb = Preference(prompt="p", chosen="Rest.", source="thumb")
    judged = PLANTED[0].model_copy(update={"verdicts": ("r1", "r2"), "weight": 0.5})
    preferences.save(tmp_path, [judged, *PLANTED[1:], thumb])
    file = str(tmp_path / f"{name}.jsonl")
    rows = datasets.load_dataset("json", data_files=file, cache_dir=str(tmp_path), split="train")
    form = {"output_dir": str(tmp_path / "a"), "max_steps": 1, "report_to": "none", "use_cpu": True}
    args = getattr(trl, f"{kind}Config")(**form, per_device_train_batch_size=2, bf16=False)
    model = llm.local.model_class(tuned["base"]).from_pretrained(tuned["base"])
    place = {"model": model, "processing_class": training.load_tokenizer(tuned["base"])}
    trainer = getattr(trl, f"{kind}Trainer")(args=args, train_dataset=rows, **place)
    assert np.isfinite(trainer.train().training_loss)
    if name == "thumbs":
        assert len(rows) == 121 and rows[120]["completion"] == "Rest." and rows[120]["label"]
    else:
        assert records.read(file, Preference) == [judged, *PLANTED[1:]]
        assert (rows[0]["weight"], rows[0]["verdicts"]) == (0.5, ["r1", "r2"])


CELLS = paths.cells(paths.notebook("09_learn_preferences"))
KNOWN = {example(n).instruction: example(n).output for n in range(60)}
KNOWN |= {
    evaluation.answers.question(i): i.references["written"] for i in evaluation.load_items("own")
}


def good(sent, number):
    """Judge as one who knows the written answer to each question, and prefers it."""
    body = sent["messages"][-1]["content"]
    names = ("question", "output_a", "output_b")
    asked, *texts = (body.split(f"<{n}>\n")[1].split(f"\n</{n}>")[0] for n in names)
    first, second = (text == KNOWN[asked] for text in texts)
    return replied("[[C]]" if first == second else "[[A]]" if first else "[[B]]")


def replied(text):
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return 200, {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}


async def page(until, behave, **values):
    """Run the cells of notebook 09 up to one of them, with a served judge; return its variables."""
    server, scope = stand_in_server.Behaving(behave), {}
    values["judge"] = f"judge@{stand_in_server.listen(service=server)}"
    for cell in CELLS:
        if cell["cell_type"] == "code" and cell["id"] != "setup":
            source = "".join(cell["source"])
            code = compile(source, cell["id"], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if inspect.isawaitable(result := eval(code, scope)):  # noqa: S307
                await result
            scope |= values if cell["id"] == "parameters" else {}
        if cell["id"] == until:
            return scope | {"server": server}
    return scope


@pytest.fixture
def run(tuned, tmp_path, monkeypatch):
    """A run after notebook 08, with one vote of a reviewer."""
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    out, data = tmp_path / "mine", [example(n) for n in range(60)]
    out.mkdir()
    (out / "adapter").symlink_to(tuned["adapter"])
    records.write(out / "dataset.jsonl", data)
    about = {"template": "chat", "base_model": str(tuned["base"]), "trained_tokens": 40}
    lora = {"held_out_ids": [e.id for e in data[:12]]}
    records.write_json(out / "training.json", about | {"lora": lora})
    for n in (0, 20):  # one of them on a prompt that is held out
        form = {"kind": "dataset", "item": data[n].id, "hash": review.text_hash(data[n])}
        edit = {"output": "Rest, and call if it gets worse."}
        review.Store(out / "reviews.sqlite").cast("Ann", **form, action="edit", edit=edit)
    options = {"learning_rate": 1e-3, "balance": "none", "max_length": 120, "prompts": 30}
    return {"run": "mine", "safety_pairs": "", "preference_options": options}


def test_a_good_judge_and_a_reviewer_make_pairs_that_the_page_trains_on(run, tmp_path):
    """The notebook itself, to its end: entrance test, samples, verdicts in both orders, DPO."""
    end = asyncio.run(page("record", good, **run))
    assert end["judge_passed"] and not end["refused"]
    prompts = {example(n).instruction for n in range(12, 60)}
    assert {pair.prompt for pair in end["pairs"]} <= prompts
    judged = [pair for pair in end["pairs"] if pair.source == "judge"]
    assert len(judged) >= 10 and all(p.chosen == KNOWN[p.prompt] != p.rejected for p in judged)
    assert all(len(set(filter(None, pair.verdicts))) == 2 for pair in judged)
    numbers = json.loads((tmp_path / "mine/preferences.json").read_text())
    assert {"source": "edit", "n": 1} in numbers["pairs"]
    assert numbers["left_out"]["the prompt is held out"] == 1
    assert numbers["margin_after"] > 0 and numbers["loss_after"] < numbers["loss_before"]
    assert set(training.adapters(tmp_path / "mine")) == {"tuned", "aligned"}


def test_a_judge_that_looks_at_the_position_has_no_say(run):
    end = asyncio.run(page("verdicts", lambda sent, number: replied("[[A]]"), **run))
    assert len(end["server"].sent) == 240  # the entrance test and nothing else
    assert end["judged"] == [] and "no pair comes from this judge" in end["refused"]


def test_a_preference_without_an_answer_is_left_out():
    empty = Preference(prompt="Why do I cough?", source="thumb")
    questions = filtering.contamination.load_items()
    kept, left = preferences.screen([*PLANTED[:10], empty], questions=questions)
    assert kept == PLANTED[:10] and [*left.values()] == [[empty.id]]
