"""Fine-tuning: the template, the demo's tiny student, and LoRA with loss on the response alone."""

from medinstruct.training.lora import finetune_lora, loss_mask
from medinstruct.training.student import build_student
from medinstruct.training.templates import prompt

__all__ = ["build_student", "finetune_lora", "loss_mask", "prompt"]
