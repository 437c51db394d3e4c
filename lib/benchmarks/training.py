"""How fast training is beside others, and whether LoRA loses anything: `python lib/benchmarks/training.py speed|ranks|gpu`.

speed  tokens a CPU second on the demo's dataset: the published recipe, TRL's defaults, TRL without checkpointing, ours
ranks  held-out loss of LoRA with ranks 4 to 64 beside full fine-tuning, after the same number of steps
gpu    a 7B Llama with random weights in bf16: padding, sorted, padding-free, fused, compiled; needs a CUDA GPU
"""

import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from medinstruct import llm, paths, records, training
from medinstruct.records import Example
from medinstruct.training import loading, planning, trainer, watch
from medinstruct.training.templates import Row

COUNT, BATCH, LENGTH = 128, 8, 1024  # the published maximum length
LADDER: dict[str, dict[str, Any]] = {
    "padding": {"batching": "padded"},
    "sorted": {"batching": "sorted"},
    "padding-free": {"batching": "padding_free"},
    "packed": {"batching": "packed"},
    "packed, Liger kernels": {"batching": "packed", "kernels": "liger"},
    "packed, compiled": {"batching": "packed", "compiled": True},
}


def student(folder: Path) -> Path:
    """A model of the demo's size, hardly trained: only its shape and its tokenizer matter."""
    training.build_student(llm.stand_in_prose()[:40], folder=folder / "student", epochs=1)
    return folder / "student"


def dataset() -> list[Example]:
    """The demo's examples, in the order of a seed."""
    found = records.read(paths.root() / "outputs" / "demo" / "dataset.jsonl", Example)
    return random.Random(1).sample(found, len(found))


def speed() -> None:
    """One pass over the same rows by each way, twice in turn; the better of the two counts, in tokens a CPU second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = student(folder)
        tokenizer = training.load_tokenizer(base)
        rows = training.survey(dataset(), tokenizer=tokenizer, max_length=LENGTH).rows[:COUNT]
        tokens = sum(len(row.ids) for row in rows)
        plain = partial(trl, gradient_checkpointing=False)
        ways = {
            "published recipe": published,
            "TRL defaults": trl,
            "TRL, no checkpointing": plain,
            "ours": ours,
        }
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(2):
            for way, run in ways.items():
                model = loading.load_model(base, precision="float32")
                found[way].append(tokens / run(model, tokenizer, rows, folder))
        rates = {way: max(values) for way, values in found.items()}
        print(
            f"{len(rows)} rows of up to {LENGTH} tokens ({tokens:,} in all), batches of {BATCH}, LoRA of rank 16, float32"
        )
        for way, rate in rates.items():
            print(
                f"{way:24} {rate:8,.0f} tokens a CPU second   ours is {rates['ours'] / rate:.2f} times as fast"
            )


def published(model: Any, tokenizer: Any, rows: list[Row], folder: Path) -> float:
    """Random batches padded to their longest, the loss of the model itself over logits at every position."""
    from peft import get_peft_model
    from transformers import Trainer, TrainingArguments

    settings = planning.DEFAULTS
    tuned = get_peft_model(model, trainer.lora_config(settings))
    args = TrainingArguments(per_device_train_batch_size=BATCH, **_common(folder))
    data = [{"row": row} for row in rows]
    pad = tokenizer.pad_token_id

    def collate(parts: list[dict[str, Row]]) -> dict[str, Any]:
        return watch.padded([part["row"] for part in parts], pad=pad, device="cpu")

    return _timed(Trainer(model=tuned, args=args, train_dataset=data, data_collator=collate))


def trl(model: Any, tokenizer: Any, rows: list[Row], folder: Path, **more: Any) -> float:
    """SFTTrainer as it comes, in float32; its defaults switch gradient checkpointing on."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    data = Dataset.from_list([{"input_ids": row.ids, "labels": row.labels} for row in rows])
    args = SFTConfig(
        per_device_train_batch_size=BATCH, bf16=False, max_length=LENGTH, **_common(folder), **more
    )
    lora = trainer.lora_config(planning.DEFAULTS)
    return _timed(
        SFTTrainer(
            model=model, args=args, train_dataset=data, processing_class=tokenizer, peft_config=lora
        )
    )


def ours(model: Any, tokenizer: Any, rows: list[Row], folder: Path) -> float:
    """What `finetune_lora` runs on a CPU."""
    settings = planning.DEFAULTS | {
        "epochs": 1,
        "batch_size": BATCH,
        "micro_batch_size": BATCH,
        "accumulation": 1,
    }
    settings |= {
        "precision": "float32",
        "batching": "sorted",
        "gradient_checkpointing": False,
        "is_gpu": False,
        "checkpoints": 0,
    }
    args = trainer.arguments(folder / "x", steps=len(rows) // BATCH, settings=settings)
    return _timed(trainer.build(model, tokenizer, rows, args, settings, []))


def _common(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "x"),
        "num_train_epochs": 1,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "logging_steps": 100,
        "remove_unused_columns": False,
    }


def _timed(sft: Any) -> float:
    """CPU seconds of the training loop."""
    from medinstruct.training.student import quiet

    quiet(sft)
    start = time.process_time()
    sft.train()
    return time.process_time() - start


def ranks(
    base: str = "",
    sizes: str = "4,8,16,32,64",
    lora_rates: str = "5e-3,1e-2",
    full_rates: str = "1e-3,2e-3",
) -> None:
    """Each way at some learning rates, the best of which counts; steps and data are the same. `base` is a model's folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not base:
            training.build_student(llm.stand_in_prose(), folder=folder / "student")
        same = {
            "epochs": 2,
            "batch_size": BATCH,
            "micro_batch_size": BATCH,
            "max_length": 512,
            "live": False,
            "checkpoints": 0,
        }
        ways: dict[str, dict[str, Any]] = {
            f"LoRA, rank {n}": {"lora_rank": n, "lora_alpha": 2 * n}
            for n in map(int, sizes.split(","))
        }
        for way, more in (ways | {"full": {"method": "full"}}).items():
            tried = {}
            for rate in map(float, (full_rates if way == "full" else lora_rates).split(",")):
                settings = same | more | {"learning_rate": rate}
                tried[rate] = training.finetune_lora(
                    dataset()[:160],
                    base=base or folder / "student",
                    folder=folder / "a",
                    **settings,
                )
            rate, best = min(tried.items(), key=lambda pair: pair[1]["eval_after"])
            print(
                f"{way:16} held-out loss {best['eval_before']:.3f} to {best['eval_after']:.3f} in {best['steps']} steps at "
                f"{rate:g}, {best['trainable']:,} parameters trained",
                flush=True,
            )


def gpu() -> None:
    """The ladder on one GPU; without one, the rows stay unmeasured."""
    import torch

    if not torch.cuda.is_available():
        for rung in LADDER:
            print(f"{rung:24} not measured (no CUDA GPU here)")
        return
    rate = matrix_rate()
    print(
        f"{torch.cuda.get_device_name(0)}: {rate / 1e12:.0f} TFLOP/s in a bf16 matrix product of 8,192"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = training.load_tokenizer(student(folder))
        rows = training.survey(dataset(), tokenizer=tokenizer, max_length=1024).rows
        tokens = sum(len(row.ids) for row in rows)
        for rung, more in LADDER.items():
            torch.cuda.reset_peak_memory_stats()
            settings = planning.DEFAULTS | {
                "epochs": 1,
                "batch_size": 16,
                "micro_batch_size": 8,
                "accumulation": 2,
            }
            settings |= {
                "precision": "bfloat16",
                "gradient_checkpointing": False,
                "is_gpu": True,
                "checkpoints": 0,
            } | more
            parameters, seconds = llama_pass(tokenizer, rows, settings, folder)
            share = (
                4 * parameters * tokens / seconds / rate
            )  # forward and backward, no gradients of the base
            memory = torch.cuda.max_memory_allocated() / 1024**3
            print(
                f"{rung:24} {tokens / seconds:8,.0f} tokens/s, {share:.0%} of the matrix rate, {memory:.1f} GB",
                flush=True,
            )


def llama_pass(
    tokenizer: Any, rows: list[Row], settings: dict[str, Any], folder: Path
) -> tuple[int, float]:
    """Parameters of the model, and seconds of one pass over the rows; the model is gone afterwards."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("cuda"):
        model = LlamaForCausalLM._from_config(LlamaConfig(), dtype=torch.bfloat16)
    args = trainer.arguments(folder / "x", steps=len(rows) // 16, settings=settings)
    sft = trainer.build(model, tokenizer, rows, args, settings, [])
    sft.by_length = settings["batching"] == "sorted"
    start = time.perf_counter()
    sft.train()
    return model.num_parameters(), time.perf_counter() - start


def matrix_rate(size: int = 8192) -> float:
    """FLOP a second of this GPU in a large bf16 matrix product."""
    import torch

    first = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    for _ in range(3):
        first @ first
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        first @ first
    torch.cuda.synchronize()
    return 20 * 2 * size**3 / (time.perf_counter() - start)


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else "speed"
    {"speed": speed, "ranks": ranks, "gpu": gpu}[wanted](*sys.argv[2:])
