"""Language models: an OpenAI-compatible server, the offline stand-in, or a local model."""

from medinstruct.llm.cache import Cache
from medinstruct.llm.client import Client, connect, forecast
from medinstruct.llm.local import LocalModel, fingerprint, load_pretrained
from medinstruct.llm.messages import Reply, Request, is_refusal, is_unfinished, render_chat
from medinstruct.llm.smollm2 import model_folder, public_name
