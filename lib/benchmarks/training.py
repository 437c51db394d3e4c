"""Training speed and quality of LoRA: `python lib/benchmarks/training.py speed|ranks|forgetting`.

speed       tokens a CPU second on the demo's dataset: our loss, TRL's own, plain batches, checkpointing
ranks       held-out loss of LoRA of several ranks and of full fine-tuning after the same steps
forgetting  score on general questions before and after a short training, without and with replay
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from medinstruct import benchmarks, llm, params, paths, records, training
from medinstruct.records import Example

WAYS = {
    "grouped by length": {},
    "the same with TRL's loss": {},
    "plain batches": {"train_sampling_strategy": "random"},
    "grouped, checkpointing": {"gradient_checkpointing": True},
}
RATES = {"lora": (5e-4, 1e-3), "full": (5e-5, 1e-4)}


def dataset(count: int) -> list[Example]:
    """Return `count` of the demo's examples in a fixed random order."""
    examples = records.read(paths.root() / "outputs" / "demo" / "dataset.jsonl", Example)
    return random.Random(1).sample(examples, count)


def speed(count: int = 128) -> None:
    """Print tokens a CPU second of one pass over the same examples, and the ratio to the first."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    common = {"per_device_train_batch_size": 4, "num_train_epochs": 1, "max_length": 1024}
    common |= {"use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no"}
    common |= {"disable_tqdm": True, "dataloader_pin_memory": False}
    common |= {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"}
    with tempfile.TemporaryDirectory() as folder:
        base = llm.model_folder("smollm2")
        tokenizer = training.load_tokenizer(base)
        rows = training.survey(dataset(count), tokenizer=tokenizer).rows
        tokens = sum(len(row.ids) for row in rows)
        ids = [
            {"input_ids": row.ids, "labels": [-100] * row.start + row.ids[row.start :]}
            for row in rows
        ]
        speeds: list[float] = []
        for name, way in WAYS.items():
            trainer = SFTTrainer(
                model=base,
                args=SFTConfig(output_dir=folder, **common | way),
                train_dataset=Dataset.from_list(ids),
                processing_class=tokenizer,
                peft_config=LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"),
            )
            if "TRL" not in name:
                training.trainer.score_responses(trainer)
            start = time.process_time()
            trainer.train()
            speeds.append(tokens / (time.process_time() - start))
            ratio = f"{speeds[-1] / speeds[0]:.2f} of the first"
            print(f"{name:24} {speeds[-1]:8,.0f} tokens a CPU second, {ratio}", flush=True)


def ranks(base: str = "smollm2", sizes: str = "4,8,16,32,64") -> None:
    """Print the best held-out loss of each way over its learning rates; `base` is a model's name."""
    same = {"epochs": 1, "template": "chat", "micro_batch_size": 4, "max_length": 512}
    ways = {
        f"LoRA, rank {n}": {"lora_rank": n, "lora_alpha": 2 * n} for n in map(int, sizes.split(","))
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, way in (ways | {"full": {"lora_rank": 0}}).items():
            tried = []
            for rate in RATES["lora" if way["lora_rank"] else "full"]:
                place = {"base": llm.model_folder(base), "folder": Path(folder) / "adapter"}
                settings = same | way | {"learning_rate": rate}
                result = training.finetune_lora(dataset(160), **place, **settings)
                tried.append((result["eval_after"], rate, result))
            loss, rate, result = min(tried, key=lambda row: row[:2])
            losses = f"held-out loss {result['eval_before']:.3f} to {loss:.3f}"
            print(f"{name:16} {losses} in {result['steps']} steps at {rate:g}", flush=True)


def forgetting(count: str = "120", shares: str = "0,0.3") -> None:
    """Print general scores of SmolLM2 as it is and after the demo's training on `count` examples."""
    base, form = llm.model_folder("smollm2"), training.settings(params.merged("demo"))
    sets, adapters = benchmarks.load(["own_general_gen"]), {}
    with tempfile.TemporaryDirectory() as folder:
        for share in map(float, shares.split(",")):
            name, place = f"replay {share:.0%}", Path(folder) / f"{share}" / "adapter"
            settings = form | {"replay_share": share}
            result = training.finetune_lora(
                dataset(int(count)), base=base, folder=place, **settings
            )
            losses = f"held-out loss {result['eval_before']:.3f} to {result['eval_after']:.3f}"
            of = f"{result['examples']} examples, {result['replay']} of them general"
            print(f"{name:12} {losses}, {of}, {result['seconds']:.0f} s", flush=True)
            adapters[name] = place
        asked = {"template": form["template"], "max_tokens": 32, "folder": Path(folder) / "answers"}
        with llm.LocalModel(base, adapter=adapters) as model:
            results = benchmarks.run(sets, benchmarks.contestants(model), **asked)
    print(benchmarks.scores.score_table(sets, results)[["model", "n", "score", "low", "high"]])
    print(benchmarks.scores.paired(results).drop(columns=["task"]).round(3).to_string())


if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else "speed"
    {"speed": speed, "ranks": ranks, "forgetting": forgetting}[command](*sys.argv[2:])
