"""Safety of a model: harmful requests, emergencies, answers that change with a patient's traits."""

from medinstruct.safety import counterfactual, responses
from medinstruct.safety.responses import as_task, ask, evaluate_safety, load_safety
