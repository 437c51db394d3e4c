"""TRL's SFTTrainer as it is used here: rows already tokenised, an order that can be resumed, a lean loss on a CPU."""

import math
import os
from pathlib import Path
from typing import Any

from medinstruct.errors import UserError
from medinstruct.training.batches import Order
from medinstruct.training.loading import hush
from medinstruct.training.student import quiet
from medinstruct.training.templates import Row


def arguments(folder: Path, *, steps: int, settings: dict[str, Any]) -> Any:
    """TRL's settings from ours; ten checkpoints a run (`checkpoints`), at most two of them kept."""
    from trl import SFTConfig

    hush()
    batching, precision = settings["batching"], settings["precision"]
    every = max(1, math.ceil(steps / settings["checkpoints"])) if settings["checkpoints"] else 0
    args = SFTConfig(
        output_dir=str(folder),
        num_train_epochs=settings["epochs"],
        max_steps=settings["max_steps"] or -1,
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=settings["warmup_ratio"],
        weight_decay=settings["weight_decay"],
        per_device_train_batch_size=settings["micro_batch_size"],
        gradient_accumulation_steps=settings["accumulation"],
        bf16=precision == "bfloat16",
        fp16=precision == "float16",
        max_length=settings["max_length"] if batching == "packed" else None,
        packing=batching == "packed",
        padding_free=batching == "padding_free",
        shuffle_dataset=False,
        gradient_checkpointing=settings["gradient_checkpointing"],
        neftune_noise_alpha=settings["neftune_alpha"] or None,
        use_liger_kernel=settings["kernels"] == "liger",
        torch_compile=settings["compiled"],
        save_strategy="steps" if every else "no",
        save_steps=every or 500,
        save_total_limit=2,
        logging_steps=max(1, steps // 25),
        seed=settings["seed"],
        report_to=settings["report_to"],
        disable_tqdm=True,
        dataloader_pin_memory=settings["is_gpu"],
        use_cpu=not settings["is_gpu"],
    )
    if "WORLD_SIZE" not in os.environ:
        args._n_gpu = min(
            1, args.n_gpu
        )  # without a launcher one GPU is used; TRL refuses nn.DataParallel
    return args


def build(
    model: Any,
    tokenizer: Any,
    rows: list[Row],
    args: Any,
    settings: dict[str, Any],
    callbacks: list[Any],
) -> Any:
    """The trainer, with an adapter on all linear layers unless all parameters are trained."""
    import datasets

    datasets.disable_progress_bars()
    data = datasets.Dataset.from_list(
        [{"input_ids": row.ids, "labels": row.labels} for row in rows]
    )
    lora = lora_config(settings) if settings["method"] == "lora" else None
    trainer = trainer_class()(
        model=model,
        args=args,
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=callbacks,
    )
    for value in trainer.model.parameters():
        if settings["precision"] == "float16" and value.requires_grad:
            value.data = (
                value.data.float()
            )  # TRL puts 4-bit adapters in bfloat16, which a T4's loss scaling cannot handle
    quiet(trainer)
    return trainer


def lora_config(settings: dict[str, Any]) -> Any:
    """LoRA, rsLoRA or DoRA on all linear layers but the head."""
    from peft import LoraConfig

    return LoraConfig(
        r=settings["lora_rank"],
        lora_alpha=settings["lora_alpha"],
        lora_dropout=settings["lora_dropout"],
        use_rslora=settings["lora_kind"] == "rslora",
        use_dora=settings["lora_kind"] == "dora",
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def accumulation(batch_size: int, micro_batch_size: int, processes: int) -> int:
    """How many micro-batches make a step, so that the global batch is the same on any number of devices.

    >>> accumulation(16, 8, 1), accumulation(16, 8, 2), accumulation(128, 4, 4)
    (2, 1, 8)
    """
    if batch_size % (micro_batch_size * processes):
        do = "Choose a batch_size that is a multiple of micro_batch_size times the number of processes."
        got = f"batch_size {batch_size}, micro_batch_size {micro_batch_size}, {processes} processes"
        raise UserError("The global batch cannot be shared out evenly.", got=got, do=do)
    return batch_size // (micro_batch_size * processes)


def trainer_class() -> Any:
    """SFTTrainer with two methods of its own: the order of the rows, and the loss on a CPU."""
    from trl import SFTTrainer

    class Trainer(SFTTrainer):
        by_length = True

        def _get_train_sampler(self, train_dataset: Any = None) -> Order:
            data = self.train_dataset if train_dataset is None else train_dataset
            size = (
                self.args.train_batch_size
                * self.args.gradient_accumulation_steps
                * self.args.world_size
            )
            lengths = [len(ids) for ids in data["input_ids"]]
            return Order(
                lengths,
                batch_size=size,
                seed=self.args.seed,
                by_length=self.by_length,
                epoch=self.epoch_now,
            )

        def epoch_now(self) -> int:
            """The epoch under way, from the steps that are done: right after a resume, too."""
            steps = max(
                1,
                math.ceil(
                    len(self.train_dataset) / (self.args.train_batch_size * self.args.world_size)
                ),
            )
            a_epoch = max(1, math.ceil(steps / self.args.gradient_accumulation_steps))
            return self.state.global_step // a_epoch

        def compute_loss(
            self,
            model: Any,
            inputs: Any,
            return_outputs: bool = False,
            num_items_in_batch: Any = None,
        ) -> Any:
            if not self.args.use_cpu or return_outputs:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            loss = summed_loss(model, inputs) / num_items_in_batch
            return loss * self.accelerator.num_processes  # the processes' gradients are averaged

    return Trainer


def summed_loss(model: Any, inputs: dict[str, Any]) -> Any:
    """The loss over the trained tokens, in nats; only where one is predicted, the head makes logits.

    Without a GPU, TRL's fused head scores every position of prompt and padding too, forward and again backward. Padding on
    the right needs no mask where attention looks back only, and attention without a mask is the faster one.
    """
    import torch

    wanted = torch.nn.functional.pad(inputs["labels"][:, 1:], (0, 1), value=-100)
    counts = wanted != -100
    inner = model.module if hasattr(model, "module") else model
    head = inner.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, given: (given[0][counts],))
    try:
        given = {
            name: value
            for name, value in inputs.items()
            if name not in ("labels", "attention_mask")
        } | {"use_cache": False}
        logits = model(**given).logits
    finally:
        hook.remove()
    return torch.nn.functional.cross_entropy(logits.float(), wanted[counts], reduction="sum")
