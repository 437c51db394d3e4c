"""An exported model gets the prompt of training from every program, or the export says why not."""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from support import parity_script as parity
from support import tiny_model

from medinstruct import llm, records, training
from medinstruct.errors import UserError
from medinstruct.pipeline import export
from medinstruct.records import Example

TEMPLATES = sorted(
    Path(importlib.util.find_spec("trl").origin).with_name("chat_templates").glob("*.jinja")
)
TASK = {
    "task": "t1",
    "type": "open Q&A",
    "topic": "Pulmonology",
    "view": "patient",
    "difficulty": 1,
}
TURNS = [
    {"role": "user", "content": 'Why {{x}} or {{ "y" }}?\n\n ""a'},
    {"role": "assistant", "content": "Yes, é."},
    {"role": "user", "content": "And then?"},
]
CHATS = [TURNS[:1], TURNS, [{"role": "system", "content": "Be brief."}, *TURNS]]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tiny_model.build(tmp_path_factory.mktemp("model") / "student", steps=0)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def prompts(tokenizer):
    """The prompt of each of TRL's chat templates, and of Alpaca's, by name."""
    made = {"alpaca": export.prompt_of(tokenizer, template="alpaca")}
    for file in TEMPLATES:
        tokenizer.chat_template = file.read_text(encoding="utf-8")
        made[file.stem] = export.prompt_of(tokenizer, template="chat")
        for chat in CHATS:
            assert made[file.stem].render(chat) == llm.render_chat(tokenizer, chat)[0], file.stem
    tokenizer.chat_template = None
    return made


def test_the_exported_chat_template_writes_the_prompt_of_training(prompts, tokenizer):
    for name, prompt in prompts.items():
        tokenizer.chat_template = export.jinja_template(prompt)
        form = {"tokenize": False, "add_generation_prompt": True}
        for chat in CHATS:
            assert tokenizer.apply_chat_template(chat, **form) == prompt.render(chat), name
        ended = tokenizer.apply_chat_template(TURNS[:2], tokenize=False)
        assert ended.endswith(TURNS[1]["content"] + prompt.end), name
    assert prompts["alpaca"].render(CHATS[0]).startswith("<s>Below is an instruction")


def test_the_modelfile_writes_it_byte_by_byte_in_ollamas_language(prompts):
    """Rendered by a reader of the few words that we write, and by Go where it is installed."""
    asked, expected = [], []
    for prompt in prompts.values():
        text = export.modelfile(prompt)
        template = re.search(r'TEMPLATE """(.*?)"""\n', text, re.DOTALL)[1]
        for chat in CHATS:
            system = chat[0]["content"] if chat[0]["role"] == "system" else ""
            rows = [{k.capitalize(): v for k, v in turn.items()} for turn in chat]
            asked.append({"Template": template, "System": system, "Messages": rows})
            expected.append(prompt.render(chat).removeprefix(prompt.bos))
    assert [rendered(**row) for row in asked] == expected
    if go := shutil.which("go"):
        program = Path(__file__).parent / "support" / "render_template.go"
        form = {"input": json.dumps(asked), "capture_output": True, "text": True, "check": True}
        assert json.loads(subprocess.run([go, "run", program], **form).stdout) == expected


def rendered(Template, System, Messages):  # noqa: N803
    """The text of a Go template of the kind that `modelfile` writes."""
    tokens, place = re.split(r"{{ (.*?) }}", Template), 0

    def block(message, rest, is_on):
        """Render up to the block's end, and leave `place` there."""
        nonlocal place
        text = ""
        while place < len(tokens):
            literal, words = place % 2 == 0, tokens[place]
            place += 1
            if literal:
                text += words if is_on else ""
            elif words.startswith(("end", "else")):
                return text, words
            elif words.startswith("range"):
                begin = place
                for n, row in enumerate(Messages):
                    place = begin
                    text += block(row, Messages[n:], is_on)[0]
            elif words.startswith("if"):
                is_done = False
                while words != "end":
                    holds = not words.startswith(("if", "else if")) or true(words, message, rest)
                    part, words = block(message, rest, is_on and holds and not is_done)
                    text, is_done = text + part, is_done or holds
            elif is_on:
                values = {".System": System, ".Content": message and message["Content"]}
                text += values[words] if words in values else json.loads(words)
        return text, "end"

    def true(words, message, rest):
        checks = {
            ".System": bool(System),
            'eq .Role "user"': message and message["Role"] == "user",
            'eq .Role "assistant"': message and message["Role"] == "assistant",
            "eq (len (slice $.Messages $i)) 1": rest and len(rest) == 1,
            "not (eq (len (slice $.Messages $i)) 1)": rest and len(rest) != 1,
        }
        return checks[re.sub("^(else )?if ", "", words)]

    return block(None, None, True)[0]


def test_an_answer_stops_where_its_turn_ends(prompts):
    stops = {name: prompt.stops for name, prompt in prompts.items()}
    assert all(stops.values()) and all(all(marks) for marks in stops.values())
    assert stops["qwen3"][0] == "<|im_end|>" and stops["llama3"][0] == "<|eot_id|>"
    assert "\n### Instruction" in stops["alpaca"]
    text = export.modelfile(prompts["alpaca"], folder="merged", context=2048)
    assert 'PARAMETER stop "\n### Instruction"' in text and "PARAMETER num_ctx 2048" in text


def test_a_template_that_counts_turns_is_refused_for_ollama(tokenizer, monkeypatch):
    counting = "{% for m in messages %}[{{ loop.index }}]{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", counting)
    with pytest.raises(UserError, match="more than text around turns(.|\n)*--jinja"):
        export.prompt_of(tokenizer, template="chat")


@pytest.mark.parametrize(
    "settings, line",
    [
        ({"r": 12}, "--max-lora-rank 16 --lora-modules tuned=adapter"),
        ({"r": 40}, "--max-lora-rank 64"),
        ({"r": 8, "target_parameters": ["experts.down"]}, "cannot serve adapters of experts"),
        ({"r": 600}, "a rank above 512"),
    ],
)
def test_the_line_for_vllm_serves_the_adapter_or_says_why_it_cannot(tmp_path, settings, line):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(settings))
    command, reason = export.vllm_line(tmp_path, base="base", name="tuned")
    assert line in command + reason and bool(command) != bool(reason)


@pytest.mark.parametrize("scaling", ["default", "llama3"])
def test_a_merged_folder_has_the_names_that_older_programs_read(tmp_path, scaling):
    """transformers 4 takes 10,000 for a rotary base that it does not see."""
    from transformers import AutoConfig

    rotary = {"rope_type": scaling, "rope_theta": 5e5}
    if scaling == "llama3":
        sizes = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
        rotary |= {"factor": 8.0, "original_max_position_embeddings": 1024, **sizes}
    shape = {"model_type": "llama", "rope_parameters": rotary, "max_position_embeddings": 8192}
    (tmp_path / "config.json").write_text(json.dumps(shape))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend"}')
    before = AutoConfig.from_pretrained(tmp_path).to_dict()
    export._name_as_before(tmp_path)
    old = json.loads((tmp_path / "config.json").read_text())
    assert old["rope_theta"] == 5e5
    assert old["rope_scaling"] == (rotary if scaling == "llama3" else None)
    assert "Fast" in (tmp_path / "tokenizer_config.json").read_text()
    assert AutoConfig.from_pretrained(tmp_path).to_dict() == before


def test_an_export_replaces_no_folder_of_others(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    with pytest.raises(UserError, match="no such run"):
        export.export("none")
    (tmp_path / "untrained").mkdir()
    with pytest.raises(UserError, match=r"training\.json"):
        export.export("untrained")
    run = tmp_path / "run"
    (run / "adapter").mkdir(parents=True)
    (run / "training.json").write_text('{"base_model": "smollm2", "template": "chat"}')
    with pytest.raises(UserError, match=r"no such model(.|\n)*best(.|\n)*tuned"):
        export.export("run", model="best")
    (run / "mine").mkdir()
    (run / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        export.export("run", to=str(run / "mine"))
    assert (run / "mine" / "notes.txt").read_text() == "mine"
    older = run / "export" / "tuned"
    older.mkdir(parents=True)
    for name in ("export.json", "README.md", "tuned.gguf"):  # the last as the card says
        (older / name).write_text("{}")
    with pytest.raises(UserError, match=r"holds other files(.|\n)*tuned\.gguf in"):
        export.export("run")
    assert (older / "tuned.gguf").exists()


@pytest.mark.parametrize("template", ["chat", "alpaca"])
def test_the_exported_dataset_is_read_by_other_programs(tmp_path, template, monkeypatch):
    """`datasets` and TRL's CLI themselves; LLaMA-Factory and Axolotl by their documented schema."""
    import datasets
    from trl import DatasetMixtureConfig
    from trl.scripts.utils import get_dataset

    run = tmp_path / "run"
    run.mkdir()
    example = Example(**TASK, instruction="Why?", input="Cough.", output="A cold.")
    records.write(run / "dataset.jsonl", [example])
    pair = {"prompt": "Why?", "chosen": "A cold.", "rejected": "No."}
    (run / "preferences.jsonl").write_text(json.dumps(pair) + "\n")
    folder = tmp_path / "export" / "dataset"
    folder.mkdir(parents=True)
    (folder.parent / "adapter").mkdir()
    (folder.parent / "adapter/adapter_config.json").write_text('{"r": 4, "lora_alpha": 8}')
    export.write_dataset(folder, run, base="base", trained={"template": template})
    files = str(folder / "train.jsonl")
    (row,) = datasets.load_dataset("json", data_files=files, split="train")
    assert (row["instruction"], row["input"], row["output"]) == ("Why?", "Cough.", "A cold.")
    monkeypatch.chdir(folder)
    trl = yaml.safe_load((folder / "trl.yaml").read_text())
    (row,) = get_dataset(DatasetMixtureConfig(datasets=trl["datasets"]))["train"]
    asked = training.prompt("Why?", "Cough.") if template == "alpaca" else "Why?\n\nCough."
    texts = [part if template == "alpaca" else part[0]["content"] for part in row.values()]
    assert set(row) == {"prompt", "completion"} and set(texts) == {asked, "A cold."}
    assert trl["lora_r"] == 4 and trl["model_name_or_path"] == "base"
    info = json.loads((folder / "dataset_info.json").read_text())
    for entry in info.values():
        first = json.loads((folder / entry["file_name"]).read_text().splitlines()[0])
        assert set(entry["columns"].values()) <= set(first)
    entry, row = info["medinstruct"], json.loads((folder / "train.jsonl").read_text())
    tags = entry.get("tags")
    turns = (
        [turn[tags["content_tag"]] for turn in row[entry["columns"]["messages"]]] if tags else []
    )
    assert (turns or [row[entry["columns"][key]] for key in ("prompt", "response")]) == [
        asked,
        "A cold.",
    ]
    assert info["medinstruct_preferences"]["ranking"] is True
    (axolotl,) = yaml.safe_load((folder / "axolotl.yaml").read_text())["datasets"]
    assert axolotl["type"] == ("alpaca" if template == "alpaca" else "chat_template")
    assert (folder / axolotl["path"]).exists()
    (run / "preferences.jsonl").unlink()
    export.write_dataset(folder, run, base="base", trained={"template": template})
    assert set(json.loads((folder / "dataset_info.json").read_text())) == {"medinstruct"}


def test_a_tie_in_one_answer_hides_no_fault_in_another():
    """The reference has two best tokens in the first answer, and one in the second."""
    torch = pytest.importorskip("torch", reason="no torch")
    replies = {parity.ADAPTER: ["a b", "a b"], "server": ["a c", "x b"]}
    answers = {
        route: [llm.Reply(key="", model="m", text=text, finish_reason="stop") for text in texts]
        for route, texts in replies.items()
    }
    tie, sure = torch.tensor([[-0.7, -0.7]] * 3), torch.tensor([[-0.1, -3.1]] * 3)
    marks = {parity.ADAPTER: [(tie, tie[:2, :1]), (sure, sure[:2, :1])]}
    table = parity._table(answers, marks, SimpleNamespace(tokenize=str.split))
    row = table.loc["server"]
    assert (row["equal"], row["prompt"], row["token"], row["got"]) == (0, 1, 0, "x")
    assert row["gap"] == pytest.approx(3.0)


def test_a_push_shows_what_goes_and_sends_no_identifier(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDINSTRUCT_OUTPUTS", str(tmp_path))
    run, sent = tmp_path / "run", []
    adapter = run / "export" / "tuned" / "adapter"
    adapter.mkdir(parents=True)
    for file in ("adapter_config.json", "adapter_model.safetensors", "made.json", "../README.md"):
        (adapter / file).write_text("{}")
    for file in ("chat_template.jinja", "Modelfile"):
        (adapter.parent / file).write_text("")
    (run / "adapter").mkdir()
    (run / "adapter" / "adapter_model.safetensors").write_text("{}")
    made = json.dumps({"adapter": llm.fingerprint(run / "adapter")})
    (adapter.parent / "export.json").write_text(made)
    example = Example(**TASK, instruction="Why?", output="A cold.")
    records.write(run / "dataset.jsonl", [example])

    class Api:
        def create_repo(self, repo, *, private, **form):
            sent.append((repo, private))

        def create_commit(self, repo, operations, **form):
            sent.append([operation.path_in_repo for operation in operations])
            return SimpleNamespace(commit_url=f"https://hub.test/{repo}")

    monkeypatch.setattr(export, "HfApi", Api)
    shown = list(export.push("run", "me/data", dry_run=True))
    assert not sent and "would be uploaded to the private dataset me/data:" in shown[0]
    assert list(export.push("run", "me/data"))[-1].strip() == "https://hub.test/me/data-tuned"
    data, files = sent[1], sent[3]
    assert sent[::2] == [("me/data", True), ("me/data-tuned", True)]
    assert data == ["dataset.jsonl", "README.md"]
    assert "adapter_model.safetensors" in files and "made.json" not in files
    named = '{"prompt": "Call Dr. John Smith at 212-555-0147.", "chosen": "a", "rejected": "b"}'
    (run / "preferences.jsonl").write_text(named + "\n")
    with pytest.raises(UserError, match="may name people"):
        list(export.push("run", "me/data", dry_run=True))
    (run / "adapter" / "adapter_model.safetensors").write_text("trained anew")
    with pytest.raises(UserError, match="no export of its present adapter"):
        list(export.push("run", "me/data", dry_run=True))
