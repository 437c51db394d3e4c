"""Loss on a CPU: logits only where a token of the response is predicted."""

from types import MethodType
from typing import Any


def score_responses(trainer: Any) -> None:
    """Give TRL's SFTTrainer this loss on a CPU; elsewhere it keeps its own.

    Without Triton, TRL 1.16 computes the logits of prompts and padding too.
    """

    def compute_loss(self, model: Any, inputs: Any, return_outputs=False, num_items_in_batch=None):
        if return_outputs or self.aux_loss_enabled:
            return type(self).compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
        losses = response_losses(model, inputs)
        count = len(losses) if num_items_in_batch is None else num_items_in_batch
        processes = 1 if num_items_in_batch is None else self.accelerator.num_processes
        return losses.sum() / max(count, 1) * processes  # the processes' gradients are averaged

    if trainer.args.use_cpu:
        trainer.compute_loss = MethodType(compute_loss, trainer)


def response_losses(model: Any, inputs: dict[str, Any]) -> Any:
    """Return the loss of each trained token, in nats."""
    from torch.nn.functional import cross_entropy, pad

    targets = pad(inputs["labels"][:, 1:], (0, 1), value=-100)
    is_trained = targets != -100
    head = getattr(model, "module", model).get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, hidden: (hidden[0][is_trained],))
    try:  # padding on the right needs no attention mask, and is faster without one
        logits = model(input_ids=inputs["input_ids"], use_cache=False).logits
    finally:
        hook.remove()
    return cross_entropy(logits.float(), targets[is_trained], reduction="none")
