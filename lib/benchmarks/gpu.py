"""Training and generation on one GPU in ten minutes, without a hub: `python lib/benchmarks/gpu.py [--small] [--minutes 9]`.

Random weights in the shapes of SmolLM2-1.7B and Llama-2-7B are built on the device and trained as the library trains, on
random tokens of realistic lengths (log-normal, median 300, at most 1,024). A row says how many tokens a second (padding not
counted), how that compares with the first row of its kind and shape, which share of the card's dense 16-bit matrix rate it is, and the
peak of memory beside our rule of thumb. Where flash-attn, liger-kernel, bitsandbytes or vllm is missing, its row says so.

Share of the matrix rate (MFU) = tokens a second * FLOPs a token / peak. FLOPs a token = 4 N + 2 t + 12 L d s, with N parameters
in matrices (an embedding that is only looked up left out), t of them trained (their own gradient: full fine-tuning 6 N), L layers of width
d, and s the mean length of the sequence a token is in (attention as in PaLM, appendix B). Recomputed activations do not count.

--small takes tiny shapes on a CPU, so that a test keeps this file running. Not measured yet: no GPU was at hand.
"""

import argparse
import importlib.util
import json
import random
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pandas as pd

from medinstruct import llm, training
from medinstruct.llm.local import free_memory
from medinstruct.training import config

SHAPES = {
    "1.7B": {
        "vocab_size": 49_152,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 24,
        "num_attention_heads": 32,
        "tie_word_embeddings": True,
    },
    "7B": {
        "vocab_size": 32_000,
        "hidden_size": 4096,
        "intermediate_size": 11_008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
}
TINY = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
# Dense bfloat16 (T4: float16) matrix rate in TFLOPS without sparsity, from NVIDIA's data sheets; the longest name that fits.
PEAKS = {
    "B200": 2250,
    "H200": 989,
    "GH200": 989,
    "H100": 989,
    "H100 PCIe": 756,
    "A100": 312,
    "L40": 181,
    "L40S": 362,
    "L4": 121,
    "A10": 125,
    "A10G": 70,
    "T4": 65,
    "4090": 165,
}
# part: (settings of the library, changes to TRL's arguments, package that it needs)
WAYS = {
    "LoRA, sorted": ({}, {}, ""),
    "LoRA, TRL's defaults": (
        {},
        {"train_sampling_strategy": "random", "gradient_checkpointing": True},
        "",
    ),
    "LoRA, random order": ({}, {"train_sampling_strategy": "random"}, ""),
    "LoRA, padding_free": (
        {},
        {"padding_free": True, "max_length": None, "attn_implementation": "flash_attention_2"},
        "flash_attn",
    ),
    "LoRA, Liger kernels": ({}, {"use_liger_kernel": True}, "liger_kernel"),
    "LoRA, checkpointing": ({"gradient_checkpointing": True}, {}, ""),
    "QLoRA, sorted": ({"load_in_4bit": True}, {}, "bitsandbytes"),
    "full, sorted": ({"lora_rank": 0}, {}, ""),
}
WARM_UP = 2  # steps that are not timed


def main(arguments: list[str] | None = None) -> list[dict]:
    """Run all parts within the time, print the table, write the JSON file, and return its rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="tiny shapes, also on a CPU")
    parser.add_argument("--minutes", type=float, default=9.0, help="for everything")
    parser.add_argument("--seconds", type=float, default=12.0, help="timed in each part")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds of a part at most")
    parser.add_argument("--only", default="", help="pattern of the parts to run")
    parser.add_argument("--out", default="gpu.json", help="file for the rows")
    chosen = parser.parse_args(arguments)
    ends, rows = time.monotonic() + 60 * chosen.minutes, []
    shapes = {"tiny": TINY} if chosen.small else SHAPES
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 20e9
    with tempfile.TemporaryDirectory(dir=memory if roomy else None) as folder:
        for shape, fields in shapes.items():
            place, parts = Path(folder) / "base", {}
            for name, way in WAYS.items():
                if shape != "7B" or "full" not in name:  # AdamW of 7B parameters takes 108 GB
                    parts[name] = train, (place, shape, *way, chosen)
            parts["generation"] = generate, (place, chosen)
            parts["generation, vLLM"] = generate_by_vllm, (place, chosen)
            parts = {name: part for name, part in parts.items() if re.search(chosen.only, name)}
            built = limited(build, (place, fields), "build", ends, 2 * chosen.limit)
            if "note" not in built[0]:
                for name, (part, given) in parts.items():
                    made = limited(part, given, name, ends, chosen.limit)
                    rows += [{"shape": shape} | row for row in made]
                    show(rows[-len(made) :])
            shutil.rmtree(place, ignore_errors=True)
    rows = compared(rows)
    about = {"device": config.device(), "machine": config.machine(), "peak_tflops": peak()}
    about["versions"] = {name: version(name) for name in ("torch", "transformers", "trl", "peft")}
    Path(chosen.out).write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")
    print(f"\n{about['machine']}, {about['versions']}\n")
    table = pd.DataFrame(rows).convert_dtypes().astype(object)
    print(table.where(table.notna(), "").to_string(index=False))
    return rows


def limited(part, given: tuple, name: str, ends: float, limit: float) -> list[dict]:
    """Return the rows of a part; one with a note where it fails or takes longer than its limit."""
    left = min(limit, ends - time.monotonic())
    if left < 1:
        return [{"part": name, "note": "no time left"}]

    def stop(*_):
        raise TimeoutError(f"stopped after {left:.0f} s")

    start, before = time.monotonic(), signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, left)
    try:
        made = part(*given)
        return [{"part": name} | row for row in made]
    except Exception as error:  # a part that fails leaves the others their time
        note = " ".join(str(error).split())[:150] or type(error).__name__
        return [{"part": name, "note": note}]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        free_memory()
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)


def build(folder: Path, fields: dict) -> list[dict]:
    """Save random weights of a Llama, made on the device, with a tokenizer of numbered words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2}
    words |= {f"w{n}": n for n in range(3, fields["vocab_size"])}
    built = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    built.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=built, **names).save_pretrained(folder)
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    shape = LlamaConfig(**fields, **ids, max_position_embeddings=2048)
    precision = getattr(torch, llm.local.precision())
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        torch.manual_seed(1)
        LlamaForCausalLM._from_config(shape, dtype=precision).save_pretrained(folder)
    return [{}]


def examples(size: int, count: int = 2000, longest: int = 1024) -> list[dict]:
    """Return examples of random tokens; the first four tenths of each are a prompt."""
    chance = random.Random(1)
    lengths = [round(chance.lognormvariate(5.7, 0.5)) for _ in range(count)]
    lengths = [min(max(length, 16), longest) for length in lengths]
    rows = [[chance.randrange(3, size) for _ in range(length)] for length in lengths]
    masks = [4 * len(row) // 10 for row in rows]
    pairs = zip(rows, masks, strict=True)
    return [{"input_ids": row, "labels": [-100] * mask + row[mask:]} for row, mask in pairs]


def train(
    place: Path, shape: str, settings: dict, changes: dict, package: str, chosen
) -> list[dict]:
    """Train with the library's settings for some seconds; return speed, share of peak, memory."""
    import torch
    from datasets import Dataset, disable_progress_bars
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    require(package)
    disable_progress_bars()
    size = 4 if shape == "7B" else 8
    longest = 64 if chosen.small else 1024
    same = {"batch_size": size, "micro_batch_size": size, "max_length": longest}
    values = config.complete(same | settings)
    more = {"auto_find_batch_size": True, "model_init_kwargs": config.weight_arguments(values)}
    args = config.trainer_arguments(SFTConfig, place.with_name("draft"), values, **more)
    changes = dict(changes)
    if attention := changes.pop("attn_implementation", ""):
        args.model_init_kwargs["attn_implementation"] = attention
    for name, value in ({"save_strategy": "no", "max_steps": 100_000} | changes).items():
        setattr(args, name, value)
    tokenizer = training.load_tokenizer(place)
    rows = examples(len(tokenizer), longest=longest)
    clock = {"tokens": 0, "steps": 0}

    class Timed(SFTTrainer):
        def training_step(self, model, inputs, *given, **more):
            masks = inputs.get("attention_mask", inputs["input_ids"])
            tokens = int(masks.sum()) if masks is not inputs["input_ids"] else masks.numel()
            loss = super().training_step(model, inputs, *given, **more)
            synchronize()
            clock["steps"] += 1
            if clock["steps"] <= WARM_UP:
                clock["start"] = time.monotonic()
            else:
                clock["tokens"] += tokens
                clock["end"] = time.monotonic()
            return loss

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    form = {"train_dataset": Dataset.from_list(rows), "processing_class": tokenizer}
    trainer = Timed(str(place), args, **form, peft_config=config.lora_config(values))
    training.trainer.score_responses(trainer)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(stopping(clock, chosen.seconds))
    trainer.train()
    if values["lora_rank"]:
        trainer.model.save_pretrained(place.with_name("adapter"))
    speed = clock["tokens"] / (clock["end"] - clock["start"])
    trained = trainer.model.num_parameters(only_trainable=True)
    flops = flops_per_token(place, trained, rows)
    row = {"tokens_a_second": round(speed), "steps": clock["steps"] - WARM_UP}
    row |= {"tflops": round(speed * flops / 1e12, 3), "micro_batch": trainer.state.train_batch_size}
    if peak():
        row["share_of_peak"] = round(speed * flops / 1e12 / peak(), 3)
    if torch.cuda.is_available():
        row["peak_gb"] = round(torch.cuda.max_memory_reserved() / config.GB, 1)
    estimate = training.estimate_memory(place, **same | settings)
    return [row | {"estimated_gb": round(sum(estimate.values()), 3)}]


def stopping(clock: dict, seconds: float):
    """Return a callback that ends the training once its seconds are over."""
    from transformers import TrainerCallback

    class Stopping(TrainerCallback):
        def on_step_end(self, args, state, control, **more):
            is_over = clock.get("end", 0) - clock.get("start", 0) > seconds
            control.should_training_stop = "end" in clock and is_over

    return Stopping()


def flops_per_token(place: Path, trained: int, rows: list[dict]) -> float:
    """Return the FLOPs of forward and backward pass a token; see above."""
    model = config.outline(place)
    shape, lengths = model.config, [len(row["input_ids"]) for row in rows]
    looked_up = 0 if shape.tie_word_embeddings else shape.vocab_size * shape.hidden_size
    mean = sum(length**2 for length in lengths) / sum(lengths)
    attention = 12 * shape.num_hidden_layers * shape.hidden_size * mean
    return 4 * (model.num_parameters() - looked_up) + 2 * trained + attention


def generate(place: Path, chosen) -> list[dict]:
    """Answer prompts of 200 tokens in batches of 32, with the adapter off and on."""
    import asyncio

    room, count = (4, 8) if chosen.small else (128, 32)
    adapter = place.with_name("adapter")
    form = {"adapter": adapter if adapter.exists() else "", "batch_size": 32}
    rows = []
    with llm.LocalModel(place, **form) as model:
        views = {"adapter off": model.views["base"]}
        views |= {"adapter on": model.views["tuned"]} if adapter.exists() else {}
        for name, view in views.items():
            asyncio.run(view.ask_all(prompts(2, 4, "warm-up")))
            synchronize()
            before, start = view.usage["completion_tokens"], time.monotonic()
            asyncio.run(view.ask_all(prompts(count, room, "timed")))
            synchronize()
            tokens, seconds = view.usage["completion_tokens"] - before, time.monotonic() - start
            rows.append({"part": f"generation, {name}", "tokens_a_second": round(tokens / seconds)})
    return rows


def prompts(count: int, room: int, salt: str) -> list[llm.Request]:
    """Return requests of 200 random words, different ones for each salt."""
    chance = random.Random(salt)
    texts = [" ".join(f"w{chance.randrange(3, 400)}" for _ in range(200)) for _ in range(count)]
    turns = [[{"role": "user", "content": text}] for text in texts]
    return [llm.Request(messages=turn, parameters={"max_tokens": room}) for turn in turns]


def generate_by_vllm(place: Path, chosen) -> list[dict]:
    """Answer the same prompts with vLLM, without and with the adapter (untried: no GPU was at hand)."""
    require("vllm")
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    adapter, texts = place.with_name("adapter"), prompts(64, 128, "timed")
    texts = [request.messages[0]["content"] for request in texts]
    engine = LLM(str(place), enable_lora=True, gpu_memory_utilization=0.6, max_model_len=1024)
    ways = {"adapter off": None, "adapter on": LoRARequest("tuned", 1, str(adapter))}
    plan, rows = SamplingParams(temperature=0, max_tokens=128), []
    for name, lora in ways.items():
        engine.generate(texts[:4], plan, lora_request=lora)
        start = time.monotonic()
        outputs = engine.generate(texts, plan, lora_request=lora)
        tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
        speed = round(tokens / (time.monotonic() - start))
        rows.append({"part": f"vLLM, {name}", "tokens_a_second": speed})
    return rows


def compared(rows: list[dict]) -> list[dict]:
    """Return the rows with the ratio of their speed to the first row of their kind and shape."""
    first: dict[tuple, float] = {}
    for row in rows:
        kind = row["shape"], "generation" if "adapter o" in row["part"] else "training"
        if speed := row.get("tokens_a_second"):
            row["ratio"] = round(speed / first.setdefault(kind, speed), 2)
    return rows


def show(rows: list[dict]) -> None:
    """Print rows as they come."""
    for row in rows:
        print("  " + ", ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def peak() -> float:
    """Return the card's dense 16-bit matrix rate in TFLOPS; 0 where it is not known."""
    names = [name for name in PEAKS if name.lower() in config.device().lower()]
    return PEAKS[max(names, key=len)] if names else 0


def require(package: str) -> None:
    """Raise where a package is missing."""
    if package and not importlib.util.find_spec(package):
        raise ImportError(f"not measured: {package} is not installed")


def synchronize() -> None:
    """Wait for the GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def version(package: str) -> str:
    """Return a package's version."""
    from importlib.metadata import version as version_of

    return version_of(package)


if __name__ == "__main__":
    main()
