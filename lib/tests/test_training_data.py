"""What is refused before training, how long it is said to take, and what does not go together."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinstruct import paths, training
from medinstruct.errors import UserError
from medinstruct.records import Example
from medinstruct.training import batches, data, fit, forecast, templates
from medinstruct.training.fit import Hardware

CPU = Hardware("CPU", memory=16)
T4 = Hardware("Tesla T4", memory=14.7)
A100 = Hardware("NVIDIA A100-SXM4-80GB", memory=79, bf16=True)
H100 = Hardware("NVIDIA H100 80GB HBM3", memory=79, bf16=True, flash=True)


@pytest.fixture(scope="module")
def tokenizer():
    from medinstruct.training import student

    return student._tokenizer(
        ["Rest and fluids help with cough and fever.", templates.prompt("a", "b")],
        size=400,
        max_length=64,
    )


def llama(layers=32, hidden=4096, vocab=32000, inner=11008, heads=32):
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
    )


def example(number=0, **fields):
    labels = {
        "type": "chat",
        "topic": "Sleep",
        "view": "patient",
        "difficulty": 2,
        "task": str(number),
    }
    return Example(
        **labels | {"instruction": f"What is condition {number}?", "output": "Rest."} | fields
    )


def test_examples_that_are_too_long_are_listed_and_left_out_refused_or_cut(tokenizer):
    short, long = example(1), example(2, output="Rest and fluids help. " * 60)
    most = {"tokenizer": tokenizer, "max_length": 120}
    left = training.survey([short, long], **most)
    assert left.over == [long.id] and [row.id for row in left.rows] == [short.id]
    with pytest.raises(UserError, match=long.id):
        training.survey([short, long], **most, over_length="refuse")
    cut = training.survey([short, long], **most, over_length="cut").rows[1]
    assert len(cut.ids) == 120 and cut.ids[-1] != tokenizer.eos_token_id


def test_empty_and_unfinished_answers_and_control_tokens_are_refused_with_their_ids(tokenizer):
    empty = Example.model_construct(**vars(example(1)) | {"output": " "})
    with pytest.raises(UserError, match=empty.id):
        training.survey([empty], tokenizer=tokenizer)
    cut = example(
        2, output="She should be seen today because the swelling of the left leg could be a"
    )
    with pytest.raises(UserError, match=f"cut off(.|\n)*{cut.id}"):
        training.survey([cut], tokenizer=tokenizer)
    assert training.survey(
        [cut, example(1)], tokenizer=tokenizer, unfinished="drop"
    ).unfinished == [cut.id]
    with pytest.raises(UserError, match="control token"):
        training.survey([example(3, instruction="What is </s> in this text?")], tokenizer=tokenizer)


def test_answers_cut_at_300_tokens_are_told_from_whole_ones(real_data):
    """The reference answers of two models were cut at 300 tokens, those of the other two hardly ever."""
    share = {}
    for name in ("gpt-4", "gpt-3.5-turbo", "claude-2", "text-davinci-003"):
        lines = (
            (real_data / f"alpacare/reference_outputs/{name}/iCliniq_output.jsonl")
            .read_text()
            .splitlines()
        )
        texts = [row.get("output") or row.get("response") for row in map(json.loads, lines)]
        share[name] = sum(map(training.is_unfinished, texts)) / len(texts)
    assert max(share["claude-2"], share["text-davinci-003"]) < 0.01
    assert share["gpt-3.5-turbo"] > 0.1 and share["gpt-4"] > 0.15


def test_the_demo_has_no_answer_that_looks_unfinished():
    rows = [
        json.loads(line)
        for line in (paths.root() / "outputs/demo/dataset.jsonl").read_text().splitlines()
    ]
    assert not [row["id"] for row in rows if training.is_unfinished(row["output"])]


def test_held_out_examples_are_spread_over_the_types_and_the_training_share_keeps_them(tokenizer):
    kinds = ["chat", "summarization", "rewrite", "classification"]
    rows = training.survey(
        [example(n, type=kinds[n % 4]) for n in range(80)], tokenizer=tokenizer
    ).rows
    trained, held = training.split(rows, share=0.1, seed=1)
    assert len(held) == 8 and {data.kind(row) for row in held} == {data.kind(row) for row in rows}
    assert not {row.id for row in trained} & {row.id for row in held}
    part, same = training.split(rows, share=0.1, seed=1, train_share=0.25)
    assert same == held and part == trained[:18]


class Merging:
    """A tokenizer in which a newline and a following letter are one token, as some have."""

    eos_token_id, chat_template, name_or_path = 0, None, "merging"

    def __call__(self, texts, **more):
        return {"input_ids": [[ord(c) for c in t.replace("\nR", "Я")] for t in texts]}


def test_a_token_over_the_border_never_changes_the_tokens_of_the_prompt():
    (row,) = templates.encode([example(1)], tokenizer=Merging())
    asked = Merging()([training.prompt(example(1).instruction)])["input_ids"][0]
    assert row.ids[: row.start] == asked and row.ids[-1] == 0


def test_the_chat_template_of_a_model_is_trained_from_the_answer_to_the_end_of_its_turn(tokenizer):
    from copy import deepcopy

    chat = deepcopy(tokenizer)
    chat.chat_template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    (row,) = templates.encode([example(1, input="DNA")], tokenizer=chat, template="chat")
    assert chat.decode(row.ids[row.start :]) == "Rest.</s>"
    asked = training.asked("What is condition 1?", "DNA", tokenizer=chat, template="chat")
    assert (
        chat(asked, add_special_tokens=False)["input_ids"] == row.ids[: row.start]
        and "\n\nDNA" in asked
    )
    with pytest.raises(UserError, match="no chat template"):
        templates.encode([example(1)], tokenizer=tokenizer, template="chat")


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=300), st.integers(1, 16), st.integers(0, 3)
)
def test_an_epoch_reads_each_example_once_the_longest_first_and_repeats_by_seed(
    lengths, size, epoch
):
    def order():
        return list(
            batches.Order(lengths, batch_size=size, seed=7, by_length=True, epoch=lambda: epoch)
        )

    assert sorted(order()) == list(range(len(lengths))) and order() == order()
    whole = len(lengths) // size
    if whole and len(lengths) <= size * batches.SORTED_OVER:
        assert max(lengths) in [lengths[n] for n in order()[:size]]


def test_like_lengths_together_waste_less_and_epochs_differ():
    lengths = random.Random(1).choices(range(20, 500), k=400)
    sort, plain = (
        batches.Order(lengths, batch_size=8, seed=1, by_length=by) for by in (True, False)
    )
    assert (
        batches.padding(lengths, list(sort), batch_size=8)
        < 0.05
        < 0.3
        < batches.padding(lengths, list(plain), batch_size=8)
    )
    assert list(sort) != list(
        batches.Order(lengths, batch_size=8, seed=1, by_length=True, epoch=lambda: 1)
    )


SIZES = {"batch_size": 128, "micro_batch_size": 0, "max_length": 1024}


@pytest.mark.parametrize(
    ("hardware", "precision", "quantization", "batching"),
    [
        (CPU, "float32", "none", "sorted"),
        (T4, "float16", "4bit", "sorted"),
        (A100, "bfloat16", "none", "sorted"),
        (H100, "bfloat16", "none", "padding_free"),
    ],
)
def test_a_machine_gets_what_suits_it_with_a_reason(hardware, precision, quantization, batching):
    found = fit.propose(hardware, llama(), **SIZES, quantization="auto")
    assert [found[n].value for n in ("precision", "quantization", "batching")] == [
        precision,
        quantization,
        batching,
    ]
    assert (
        all(choice.why for choice in found.values()) and 128 % found["micro_batch_size"].value == 0
    )


@pytest.mark.parametrize(
    ("hardware", "given", "reason"),
    [
        (T4, {"precision": "bfloat16"}, "no bfloat16"),
        (CPU, {"quantization": "4bit"}, "CUDA"),
        (CPU, {"precision": "float16"}, "needs a GPU"),
        (A100, {"quantization": "4bit", "method": "full"}, "cannot be trained"),
        (A100, {"kernels": "liger_loss"}, "second fused loss"),
        (A100, {"method": "full", "lora_kind": "dora"}, "no adapter"),
        (CPU, {"batching": "pakced"}, "not known"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_reason(hardware, given, reason):
    with pytest.raises(UserError, match=reason):
        fit.propose(hardware, llama(), **SIZES | {"micro_batch_size": 4} | given)


def test_packed_documents_do_not_see_each_other_or_packing_is_refused():
    from transformers import LlamaForCausalLM, MambaConfig, MambaForCausalLM

    assert batches.keeps_apart(LlamaForCausalLM(llama(2, 32, 300, 64, 2))) < 1e-5
    with pytest.raises(UserError, match="mixes the examples"):
        batches.keeps_apart(
            MambaForCausalLM(MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2))
        )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_memory_forecast_is_what_a_real_forward_pass_keeps(precision):
    """Bytes held for the backward pass on a CPU, with the adapters in float32 and autocast where it is bfloat16: within 10 %."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    config, dtype = llama(4, 128, 2000, 384, 4), getattr(torch, precision)
    model = LlamaForCausalLM._from_config(config, dtype=dtype)
    model = get_peft_model(
        model, LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    own, kept = {v.untyped_storage()._cdata for v in [*model.parameters(), *model.buffers()]}, {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept.update({} if storage._cdata in own else {storage._cdata: storage})
        return tensor

    mixed = torch.autocast(
        "cpu", torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False
    )
    with mixed, torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        model.get_base_model().model(
            input_ids=torch.ones(2, 512, dtype=torch.long), use_cache=False
        )
    real = sum(storage.nbytes() for storage in kept.values()) / forecast.GB
    said = forecast.memory(config, micro_batch_size=2, max_length=512, precision=precision)[
        "activations"
    ]
    assert said == pytest.approx(real, rel=0.1)


def test_the_forecast_counts_the_parameters_of_llama_7b_and_names_the_smallest_change():
    assert forecast.parameters(llama(), lora_rank=16) == (6_738_415_616, 39_976_960)
    room = {"micro_batch_size": 4, "max_length": 1024, "precision": "float16"}
    assert "4bit" in forecast.smallest_change(llama(), available=14.7, **room)
    assert forecast.smallest_change(llama(), available=40, **room) == "Set micro_batch_size: 2."
    assert "smaller base model" in forecast.smallest_change(llama(), available=2, **room)


def test_the_loss_mask_microscope_escapes_what_models_wrote(tokenizer):
    page = training.microscope(
        [example(1, output="<script>alert(1)</script> & rest.")], tokenizer=tokenizer
    )
    assert "<script>" not in page and "tokens are trained" in page and "&lt;" in page


def test_shipped_launch_configurations_load():
    from accelerate.commands.config.config_args import load_config_from_file

    found = {
        path.stem: load_config_from_file(str(path))
        for path in (paths.root() / "params/accelerate").glob("*.yaml")
    }
    kinds = {
        name: str(config.distributed_type).rpartition(".")[2] for name, config in found.items()
    }
    assert kinds == {"cpu": "MULTI_CPU", "ddp": "MULTI_GPU", "fsdp": "FSDP", "zero3": "DEEPSPEED"}


def test_what_people_left_of_the_dataset_is_what_is_learned_where_they_reviewed(tmp_path):
    from medinstruct.training import data

    assert data.source(tmp_path).name == "dataset.jsonl"
    (tmp_path / "dataset.reviewed.jsonl").write_text("")
    assert (
        data.source(tmp_path).name == "dataset.reviewed.jsonl"
        and data.source(tmp_path, "dataset").name == "dataset.jsonl"
    )
    with pytest.raises(UserError, match="names what is learned"):
        data.source(tmp_path, "review")
