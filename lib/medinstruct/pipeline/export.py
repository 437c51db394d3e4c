"""Export: merged model, adapter, chat template, Modelfile, card; the same prompt everywhere."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import yaml
from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, ModelCardData

from medinstruct import audits, evaluation, llm, models, paths, records, report, training
from medinstruct.errors import UserError
from medinstruct.llm import local
from medinstruct.records import Example

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM takes for --max-lora-rank
ROLES = ("system", "user", "assistant", "user", "assistant", "user")
CHAT = [{"role": role, "content": f"⟦{n}⟧"} for n, role in enumerate(ROLES)]
FILES = {"merged", "adapter", "chat_template.jinja", "Modelfile", "dataset"}
FILES |= {"export.json", "parity.json", "README.md"}
Turns = list[dict[str, str]]
SIGNS = ("block_start", "block_end", "variable_start", "variable_end")  # others than of templates
SIGNS = {f"{k}_string": sign for k, sign in zip(SIGNS, ("<%", "%>", "<<", ">>"), strict=True)}
FORMS = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, **SIGNS)
FORMS.loader = jinja2.FileSystemLoader(paths.data(""))


class Prompt(NamedTuple):
    """The text around the turns of a chat, as training wrote it; see data/chat_template.j2."""

    bos: str
    start: str
    system: str
    after_system: str
    between: str
    next: str
    generate: str
    end: str
    stops: tuple[str, ...]

    def render(self, turns: Turns) -> str:
        """Return a chat up to its answer, as the exported templates write it."""
        form = {"messages": turns, "add_generation_prompt": True}
        return jinja2.Template(jinja_template(self)).render(form)


def prompt_of(tokenizer: Any, *, template: str) -> Prompt:
    """Return the text around turns, read off chats that are rendered as for training.

    Raises where a template does more than put text around turns, such as counting them.
    """
    eos, added = tokenizer.eos_token, tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id
    added = tokenizer.bos_token if added else ""  # by the tokenizer itself, and so by a server
    if template == "alpaca":
        start, _, after = training.prompt("\0").partition("\0")
        block = f"{eos}\n\n### Instruction:\n"
        stops = tuple(dict.fromkeys((eos, block.strip(), *evaluation.answers.ALPACA_STOPS)))
        return Prompt(added, start, "", f"\n\n{start}", after, block, after, eos, stops)
    s, u, a, v, *_ = (turn["content"] for turn in CHAT)
    render = partial(llm.render_chat, tokenizer)
    (first, end), (whole, _), (led, _) = (render(part) for part in (CHAT[1:2], CHAT[1:4], CHAT[:2]))
    bos = added if first.startswith(added) else ""
    start, _, generate = first.removeprefix(bos).partition(u)
    between, next = (whole.partition(x)[2].partition(y)[0] for x, y in ((u, a), (a, v)))
    system, _, rest = led.removeprefix(bos).partition(s)
    marks = (end.partition(eos)[0].strip(), eos, next.strip())
    stops = tuple(dict.fromkeys(filter(None, marks)))
    after, about = rest.partition(u)[0], (between, next, generate, end)
    made = Prompt(bos, start, system, after, *about, stops)
    if any(made.render(CHAT[m:n]) != render(CHAT[m:n])[0] for m in (0, 1) for n in (2, 4, 6)):
        do = "Serve the merged folder by vLLM, or a GGUF file with llama.cpp's --jinja."
        what = "The chat template is more than text around turns; a Modelfile cannot express it."
        raise UserError(what, got=Path(tokenizer.name_or_path).name, do=do)
    return made


def jinja_template(prompt: Prompt) -> str:
    """Return the chat template for transformers, vLLM and llama.cpp's --jinja."""
    texts = {name: json.dumps(text) for name, text in prompt._asdict().items()}
    return FORMS.get_template("chat_template.j2").render(texts).strip()


def modelfile(prompt: Prompt, *, folder: str = ".", context: int = 0) -> str:
    """Return Ollama's Modelfile: its Go template writes the text of training, without the BOS.

    Ollama adds the token that begins a text itself, where the tokenizer says so. Its quotation
    marks hold line breaks as they are and know no escapes.
    """
    if any('"""' in part for part in prompt[:-1]):
        raise UserError('A Modelfile cannot contain """.', do="Choose another template.")
    texts = {name: str(text).replace("{{", '{{ "{{" }}') for name, text in prompt._asdict().items()}
    texts |= {"stops": prompt.stops, "folder": folder, "context": context}
    return FORMS.get_template("modelfile.j2").render(texts)


def vllm_line(folder: Path, *, base: str, name: str) -> tuple[str, str]:
    """Return the command that serves base and adapter by vLLM, or "" and why it cannot."""
    settings = paths.read_json(folder / "adapter" / "adapter_config.json")
    if not settings:
        return f"vllm serve merged --served-model-name {name}", ""
    rank = next((size for size in RANKS if size >= settings["r"]), 0)
    if settings.get("target_parameters") or not rank:
        reason = f"vLLM cannot serve adapters of experts, or of a rank above {RANKS[-1]}"
        return "", f"{reason}: serve the merged folder."
    line = f"vllm serve {base} --enable-lora --max-lora-rank {rank}"
    return f"{line} --lora-modules {name}=adapter --chat-template chat_template.jinja", ""


def export(run: str, *, to: str = "", model: str = "") -> list[str]:
    """Write a run's tuned model for other programs; return lines to print.

    The folder is outputs/<run>/export/<model>, or `to`, and gets merged/ (bfloat16), adapter/,
    chat_template.jinja, Modelfile, dataset/, export.json and README.md. `model` is tuned
    or aligned; empty takes the last one trained. An older export is replaced whole, but not
    where it holds files of others, such as a GGUF file.
    """
    out = paths.outputs(run)
    trained = paths.read_json(out / "training.json")
    if not trained:
        raise paths.missing(out / "training.json", run=run) if out.is_dir() else paths.no_run(run)
    adapters = training.adapters(out)
    name = model or [*adapters][-1]
    if name not in adapters:
        do = f"Choose {' or '.join(adapters)}."
        raise UserError("The run has no such model.", got=name, do=do)
    target = Path(to) if to else out / "export" / name
    held = {path.name for path in target.iterdir()} if target.exists() else set()
    if others := held - FILES if "export.json" in held else held:
        do = "Move them, or name an empty folder, or one that an export wrote."
        got = f"{', '.join(sorted(others))[:100]} in {target}"
        raise UserError("The folder holds other files.", got=got, do=do)
    target.parent.mkdir(parents=True, exist_ok=True)
    with paths.writing(target), tempfile.TemporaryDirectory(dir=target.parent) as place:
        draft = Path(place) / "export"
        lines = _write(draft, out, trained, adapters[name], name)
        draft.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    return [f"Exported {name} to {target}", *lines]


def _write(draft: Path, out: Path, trained: dict, adapter: Path, name: str) -> list[str]:
    """Write all files of an export; return the commands that serve it."""
    base = llm.model_folder(trained["base_model"])
    tokenizer = local.load_tokenizer(base)
    prompt = prompt_of(tokenizer, template=trained["template"])
    form = {"tokenize": False, "add_generation_prompt": True}
    own = tokenizer.chat_template and tokenizer.apply_chat_template(CHAT, **form)
    if own != prompt.render(CHAT):
        tokenizer.chat_template = jinja_template(prompt)
    _merge(base, adapter, draft / "merged")
    tokenizer.save_pretrained(draft / "merged")
    _name_as_before(draft / "merged")
    if (adapter / "adapter_config.json").exists():
        shutil.copytree(adapter, draft / "adapter", ignore=shutil.ignore_patterns("made.json"))
    records.write_text(draft / "chat_template.jinja", tokenizer.chat_template)
    room = paths.read_json(draft / "merged" / "config.json").get("max_position_embeddings", 0)
    records.write_text(draft / "Modelfile", modelfile(prompt, folder="merged", context=room))
    public = llm.public_name(base)
    line, reason = vllm_line(draft, base=public, name=name)
    made = {"run": out.name, "model": name, "adapter": local.fingerprint(adapter)}
    records.write_json(draft / "export.json", made)
    facts = {"base": Path(public).name if Path(public).is_dir() else public, "name": name}
    facts |= {"vllm": line.replace(public, facts["base"]), "reason": reason}
    facts |= {"trained": trained, "stops": prompt.stops}
    facts |= {"run": out.name, "has_adapter": (draft / "adapter").exists()}
    _write_card(draft, out, facts)
    (draft / "dataset").mkdir()
    write_dataset(draft / "dataset", out, base=facts["base"], trained=trained)
    return [line or reason, f"ollama create {name} -f Modelfile"]


def _merge(base: str, adapter: Path, folder: Path) -> None:
    """Save the weights with the adapter added to them, in bfloat16."""
    import torch

    with llm.LocalModel(base, adapter={"merged": adapter}) as model, model.network() as network:
        if hasattr(network, "merge_and_unload"):
            network = network.merge_and_unload()
        network.to(torch.bfloat16).save_pretrained(folder)
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)  # not only for its owner


def _name_as_before(folder: Path) -> None:
    """Add the names by which transformers 4 reads the rotary base and the tokenizer's class.

    Without them it takes 10,000 as the base, silently, and loads no tokenizer; vLLM and others
    installed it for long (vllm-project/vllm#42624, hiyouga/LlamaFactory#10310).
    """
    config, tokens = folder / "config.json", folder / "tokenizer_config.json"
    shape, form = paths.read_json(config), paths.read_json(tokens)
    rotary = shape.get("rope_parameters") or {}
    if "rope_theta" in rotary:  # else one for each kind of layer
        is_scaled = rotary.get("rope_type", "default") != "default"
        shape |= {"rope_theta": rotary["rope_theta"], "rope_scaling": rotary if is_scaled else None}
        records.write_json(config, shape)
    if form.get("tokenizer_class") == "TokenizersBackend":
        records.write_json(tokens, form | {"tokenizer_class": "PreTrainedTokenizerFast"})


def write_dataset(folder: Path, out: Path, *, base: str, trained: dict[str, Any]) -> None:
    """Write the dataset as LLaMA-Factory, Axolotl, TRL and `datasets` read it, with their settings.

    A row has instruction, input and output, and the same as prompt and completion, which are chats
    if a chat template was trained; preferences follow as prompt, chosen and rejected.
    """
    rows, is_chat = [], trained["template"] == "chat"
    for example in records.read(training.training_file(out), Example):
        asked = training.message(example.instruction, example.input)
        turns = [{"role": "user", "content": asked}]
        turns.append({"role": "assistant", "content": example.output})
        text = training.prompt(example.instruction, example.input)
        row = example.model_dump(include={"instruction", "input", "output"})
        pair = (turns[:1], turns[1:]) if is_chat else (text, example.output)
        rows.append(row | {"prompt": pair[0], "completion": pair[1], "messages": turns})
    lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    records.write_text(folder / "train.jsonl", lines)
    tools = paths.load("export")
    info = {"medinstruct": tools["llama_factory"][trained["template"]]}
    if (out / "preferences.jsonl").exists():
        shutil.copy(out / "preferences.jsonl", folder)
        info["medinstruct_preferences"] = tools["llama_factory"]["preferences"]
    records.write_json(folder / "dataset_info.json", info)
    lora = paths.read_json(folder.parent / "adapter/adapter_config.json")
    size = {"lora_r": lora["r"], "lora_alpha": lora["lora_alpha"]} if lora else {}
    for name in ("axolotl", "trl"):
        settings = {"base_model" if name == "axolotl" else "model_name_or_path": base}
        settings |= tools[name]["common"] | size | tools[name].get(trained["template"], {})
        text = yaml.safe_dump(settings, sort_keys=False)
        records.write_text(folder / f"{name}.yaml", f"{tools[name]['use']}\n{text}")


def _write_card(draft: Path, out: Path, facts: dict[str, Any]) -> None:
    """Write README.md: commands, license chain, data, measured results, the standing notice."""
    data = audits.dataset_facts(out, file=training.training_file(out).name)
    base = audits.cards.input_licenses(seeds="own", models=[facts["base"]])[-1]
    chain = [base._replace(what=f"the base model {facts['base']}")]
    numbers = report.read_numbers(report.read_run(out, reproducible=True))
    results = numbers[numbers["headline"].eq(True)]
    facts |= {"data": data, "licenses": chain + data["licenses"], "stand_in": models.STAND_IN}
    facts |= {"results": results.to_dict("records")}
    form = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    head = ModelCardData(base_model=facts["base"], tags=["medical"], **form)
    template = str(paths.data("export_card.md.j2"))
    card = ModelCard.from_template(head, template_path=template, **facts)
    records.write_text(draft / "README.md", f"{card}\n")


def push(run: str, repo: str, *, public: bool = False, dry_run: bool = False) -> Iterator[str]:
    """Upload dataset and card to `repo`, adapter and card to `repo`-<model>; yield the files.

    Nothing is uploaded if the data holds identifiers, or publicly if a license forbids it; with
    `dry_run` nothing is uploaded at all.
    """
    out = paths.outputs(run)
    name = [*training.adapters(out)][-1]
    place, data = out / "export" / name, training.training_file(out)
    facts = audits.dataset_facts(out, file=data.name)
    made = paths.read_json(place / "export.json").get("adapter")
    if not (place / "adapter").is_dir() or made != local.fingerprint(training.adapters(out)[name]):
        do = f"Run `python -m medinstruct export {run}` first."
        raise UserError("The run has no export of its present adapter.", got=place, do=do)
    audits.cards.check_release(out, facts, private=not public)
    card = audits.write_card(out, facts, name=repo.rpartition("/")[2])
    pairs = [path for path in [out / "preferences.jsonl"] if path.exists()]
    own = [place / file for file in ("README.md", "chat_template.jinja", "Modelfile")]
    uploads = {("dataset", repo): [data, card, *pairs]}
    uploads["model", f"{repo}-{name}"] = [*own, *sorted((place / "adapter").glob("adapter_*"))]
    api = None if dry_run else HfApi()
    for (kind, target), files in uploads.items():
        seen = "public" if public else "private"
        yield f"{'would be uploaded' if dry_run else 'uploaded'} to the {seen} {kind} {target}:"
        yield from (f"  {file.name}  {file.stat().st_size:,} bytes  ({file})" for file in files)
        if api:
            api.create_repo(target, repo_type=kind, private=not public, exist_ok=True)
            added = [CommitOperationAdd(file.name, str(file)) for file in files]
            form = {"repo_type": kind, "commit_message": f"Upload run {out.name}"}
            yield f"  {api.create_commit(target, added, **form).commit_url}"
