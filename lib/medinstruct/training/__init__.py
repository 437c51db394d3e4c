"""Fine-tuning: templates, the survey of the data, the demo's tiny student, LoRA with its plan, and what comes after."""

from medinstruct.training.after import merge, stop_gate
from medinstruct.training.card import dataset_hash
from medinstruct.training.data import Survey, is_unfinished, loss_mask, source, split, survey
from medinstruct.training.loading import load_tokenizer
from medinstruct.training.lora import finetune_lora
from medinstruct.training.planning import Plan, plan, settings
from medinstruct.training.show import microscope
from medinstruct.training.student import build_student
from medinstruct.training.templates import asked, prompt

__all__ = [
    "Plan",
    "Survey",
    "asked",
    "build_student",
    "dataset_hash",
    "finetune_lora",
    "is_unfinished",
    "load_tokenizer",
    "loss_mask",
    "merge",
    "microscope",
    "plan",
    "prompt",
    "settings",
    "source",
    "split",
    "stop_gate",
    "survey",
]
