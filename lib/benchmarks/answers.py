"""How fast a local model answers many prompts, beside one by one: `python lib/benchmarks/answers.py [prompts]`.

Both ways decode greedily in float32 with the same room; the share of equal answers is shown beside the ratio.
"""

import asyncio
import sys
import time

from medinstruct import evaluation, llm, training

ROOM = 96


def main(count: int) -> None:
    """Tokens a second of wall and CPU time for both ways."""
    items = evaluation.load_items("own", limit=count)
    texts = [training.message(item.instruction, item.input) for item in items]
    asked = [
        llm.Request(messages=[{"role": "user", "content": text}], parameters={"max_tokens": ROOM})
        for text in texts
    ]
    found = {}
    for size in (1, 32):
        model = llm.LocalModel(llm.model_folder("smollm2"), chat=True, batch_size=size)
        wall, cpu = time.perf_counter(), time.process_time()
        replies = asyncio.run(model.ask_all(asked))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        tokens = sum(reply.completion_tokens for reply in replies)
        found[size] = ([reply.text for reply in replies], tokens / wall, tokens / cpu)
        print(
            f"batches of {size:2}: {tokens:,} tokens, {tokens / wall:,.0f} a second, {tokens / cpu:,.0f} a CPU second",
            flush=True,
        )
    same = sum(one == many for one, many in zip(found[1][0], found[32][0], strict=True)) / len(
        texts
    )
    print(
        f"{found[32][1] / found[1][1]:.1f} times as fast by the clock, {found[32][2] / found[1][2]:.1f} in CPU time; {same:.0%} equal"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
