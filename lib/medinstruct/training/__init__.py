"""Fine-tuning: prompts, dataset checks, LoRA on TRL, held-out loss, export."""

from medinstruct.training.base_model import estimate_memory, load_tokenizer
from medinstruct.training.config import settings
from medinstruct.training.examples import (
    dataset_hash,
    message,
    prompt,
    split,
    survey,
    training_file,
)
from medinstruct.training.export import merge
from medinstruct.training.tiny_model import build_student
from medinstruct.training.trainer import finetune_lora
