"""Base models of today's families load, are estimated, tuned and asked: tiny random ones of each."""

import asyncio
import gc
import http.server
import json
import shutil
import threading
import weakref

import pytest
from support import tiny_models

from medinstruct import llm, paths, training
from medinstruct.errors import UserError
from medinstruct.llm import local
from medinstruct.records import Example

QUICK = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 4, "micro_batch_size": 4}
QUICK |= {"lora_rank": 4, "max_length": 400}
MIXTURES = ("qwen3_moe", "mixtral", "gpt_oss", "qwen3_5_moe")
WITH_IMAGES = ("gemma3", "qwen3_5", "qwen3_5_moe")
FAMILIES = ("gemma3", "qwen3_5", *MIXTURES)


def examples(count):
    labels = {"topic": "Sleep", "view": "patient", "difficulty": 2, "type": "chat", "input": ""}
    texts = [(f"What is {n}?", f"Rest {n}.") for n in range(count)]
    return [Example(**labels, instruction=i, output=o, task=o) for i, o in texts]


def requests(count, **more):
    texts = [training.prompt(f"What is {'it ' * n}?") for n in range(count)]
    turns = [[{"role": "user", "content": text}] for text in texts]
    return [llm.Request(messages=turn, parameters={"max_tokens": 6} | more) for turn in turns]


def ask(model, asked):
    return [reply.text for reply in asyncio.run(model.ask_all(asked))]


@pytest.fixture(scope="module", params=FAMILIES)
def tuned(request, tmp_path_factory):
    """Family, base model, adapter and result."""
    folder = tmp_path_factory.mktemp(request.param)
    base = tiny_models.save(request.param, folder / "base")
    result = training.finetune_lora(examples(8), base=base, folder=folder / "adapter", **QUICK)
    return request.param, base, folder / "adapter", result


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return tiny_models.save("llama", tmp_path_factory.mktemp("llama") / "base")


def test_a_family_is_estimated_tuned_and_answers_otherwise_with_its_adapter(tuned):
    _, base, adapter, result = tuned
    memory = training.estimate_memory(base, **QUICK)
    assert memory["optimizer"] * 1024**3 == pytest.approx(8 * result["trainable"])
    assert memory["weights"] * 1024**3 == pytest.approx(4 * result["parameters"])
    assert result["eval_after"] < result["eval_before"]
    model = llm.LocalModel(base, adapter=adapter)
    together = ask(model.views["tuned"], requests(4))
    assert (
        together != ask(model.views["base"], requests(4)) == ask(llm.LocalModel(base), requests(4))
    )
    assert together == [ask(model.views["tuned"], [request])[0] for request in requests(4)]


def test_experts_are_adapted_and_towers_for_images_are_not(tuned):
    from safetensors.torch import load_file

    family, _, adapter, _ = tuned
    weights = load_file(adapter / "adapter_model.safetensors")
    changed = [name for name, part in weights.items() if "lora_B" in name and part.abs().max() > 0]
    assert {"experts" in name for name in weights} == {family in MIXTURES, False}
    assert any("experts" in name for name in changed) == (family in MIXTURES)
    assert len(changed) == len(weights) / 2, "a pair that no text trains"
    assert any("language_model" in name for name in weights) == (family in WITH_IMAGES)
    targets = json.loads((adapter / "adapter_config.json").read_text())["target_parameters"] or []
    assert targets == sorted(targets) and bool(targets) == (family in MIXTURES)


def test_an_adapter_of_another_class_of_the_same_model_is_refused(tmp_path):
    """The text-only class has other module names: PEFT would warn, and answer as the base does."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = tiny_models.save("qwen3_5", tmp_path / "base")
    text_only = AutoModelForCausalLM.from_pretrained(base)
    form = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(text_only, form).save_pretrained(tmp_path / "a")
    with pytest.raises(UserError, match="missing adapter keys"):
        llm.LocalModel(base, adapter=tmp_path / "a")


def test_dropout_is_refused_for_experts_in_the_words_of_peft(tmp_path):
    base = tiny_models.save("qwen3_moe", tmp_path / "base")
    place = {"base": base, "folder": tmp_path / "a"}
    with pytest.raises(UserError, match="lora_dropout != 0"):
        training.finetune_lora(examples(8), **place, **QUICK, lora_dropout=0.1)


def test_a_model_that_cannot_be_outlined_is_not_estimated_but_trained(
    llama, tmp_path, monkeypatch, caplog
):
    import transformers

    def fail(*given, **more):
        raise RuntimeError("unsupported scalarType")

    with monkeypatch.context() as patch:
        patch.setattr(transformers.LlamaForCausalLM, "_from_config", fail)
        assert training.estimate_memory(llama) == {}
        assert "not estimated" in caplog.text and "unsupported scalarType" in caplog.text
        place = {"base": llama, "folder": tmp_path / "a"}
        assert training.finetune_lora(examples(8), **place, **QUICK)["steps"] == 2
    assert training.estimate_memory(llama)


def test_the_trained_model_is_collected(llama, tmp_path, monkeypatch):
    import trl

    kept = []

    class Watched(trl.SFTTrainer):
        def __init__(self, *given, **more):
            super().__init__(*given, **more)
            weights = [
                next(self.model.parameters()),
                next(iter(self.model.get_input_embeddings().parameters())),
            ]
            kept.extend(map(weakref.ref, [self.model, *weights]))

    monkeypatch.setattr(trl, "SFTTrainer", Watched)
    gc.disable()
    try:
        training.finetune_lora(examples(8), base=llama, folder=tmp_path / "a", **QUICK)
        assert len(kept) == 3 and [reference() for reference in kept] == [None] * 3
    finally:
        gc.enable()


@pytest.mark.parametrize("major, name", [(7, "float16"), (8, "bfloat16")])
def test_a_gpu_that_only_emulates_bfloat16_computes_in_float16(monkeypatch, major, name):
    import torch

    def supported(including_emulation=True):
        return including_emulation or major >= 8

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert local.precision() == name
    users = [path.name for path in paths.PACKAGE.rglob("*.py") if "bf16_supp" in path.read_text()]
    assert users == ["local.py"]


def test_the_sampling_settings_of_a_release_change_no_answer(llama, tmp_path):
    folder = tmp_path / "release"
    shutil.copytree(llama, folder)
    plain = llm.LocalModel(llama)
    settings = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 1, "temperature": 0.1}
    settings |= {"do_sample": True, "top_k": 1, "min_new_tokens": 9, "length_penalty": 2.0}
    settings |= {"eos_token_id": [2, 5], "suppress_tokens": [4, 6, 7, 8]}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    released = llm.LocalModel(folder)
    for more in ({"max_tokens": 40}, {"max_tokens": 40, "temperature": 1.0}):
        asked = requests(3, **more)
        keys = [plain.key(request) for request in asked]
        prompts = [plain._prompt(request) for request in asked]
        rows = [model._generate(prompts, asked[0], keys) for model in (plain, released)]
        assert [row["text"] for row in rows[0]] == [row["text"] for row in rows[1]]
    with released.network() as network:
        assert network.generation_config.eos_token_id == [2, 5]


def test_a_gated_model_says_where_to_accept_its_license(monkeypatch):
    from huggingface_hub import constants

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET
        log_message = print

    hub = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{hub.server_port}"
    path = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", path)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    try:
        with pytest.raises(UserError, match="gated") as error:
            training.load_tokenizer("google/medgemma-0b-test")
    finally:
        hub.shutdown()
    assert "https://huggingface.co/google/medgemma-0b-test" in error.value.do
    assert "license" in error.value.do and "hf auth login" in error.value.do
