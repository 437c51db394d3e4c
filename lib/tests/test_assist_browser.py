"""The chat in a real JupyterLab and a real browser: asked, stopped, edited, compared, corrected, found again; hostile text is text."""

import json
import re

import nbformat
import pytest
from test_jupyterlab import browser, jupyterlab, run_all  # noqa: F401 (browser is a fixture)

from medinstruct import assist, review, training

PROSE = [f"Condition {n} causes cough and fever. It is treated with rest and fluids." for n in range(30)]
SOURCE = """
import asyncio

from medinstruct import assist, llm, paths

HOSTILE = (
    "<script>window.hacked = 'script'</script><img src=x onerror=\\"window.hacked = 'img'\\">"
    "![x](javascript:window.hacked='md')\\x1b[31mred <b>bold</b> 850 mg"
)

class Rigged(llm.Client):
    def stream(self, request, *, keep=True):
        asked = request.messages[-1]["content"]
        words = ("A long answer. " * 6667).split(" ") if "long" in asked else HOSTILE.split(" ")
        words = "Ask for Mr. Oskar Trell.".split(" ") if "whom" in asked else words
        def reply(text, end="stopped"):
            return llm.Reply(key="k", text=text, finish_reason=end, model="rigged")
        async def start(stream):
            for n, word in enumerate(words):
                stream.put(word if not n else " " + word)
                if n % 500 == 0:
                    await asyncio.sleep(0.01)
            return reply(" ".join(words), "stop")
        return llm.Stream(start, reply)

out = paths.outputs("talk")
model = llm.LocalModel(out / "student", adapter=out / "adapter")
stand_in = llm.Client(url="offline?pace=0.05&cut=0", model="offline-stand-in")
rigged = Rigged(url="offline", model="rigged")

1

assist.chat({"base": model, "tuned": model, "stand-in": stand_in, "rigged": rigged}, folder=out, settings={"max_tokens": 30})
"""
