"""Fine-tuning: prompts, dataset checks, LoRA on TRL, held-out loss."""

from medinstruct.llm.local import load_tokenizer
from medinstruct.training import preferences
from medinstruct.training.config import adapters, estimate_memory, settings, training_file
from medinstruct.training.examples import dataset_hash, message, prompt, split, survey
from medinstruct.training.preference_trainer import on_tokens, tune_preferences
from medinstruct.training.trainer import finetune_lora
