"""A research agent of three steps: search, analysis, summary.

Each step is logged with its input and output, and the two that ask the model are logged as prompt
calls too, all under one run. The search reads research_corpus.md, which stands beside this file.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    python research_agent.py
    python research_agent.py "heat pumps"
"""

import asyncio
import os
import re
import sys
import time
from pathlib import Path

import openai
from watchllm import Status, StepType, WatchLLMClient, trace

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")
CORPUS = Path(__file__).with_name("research_corpus.md")

watchllm = WatchLLMClient()


def milliseconds_since(start: float) -> int:
    """Return the milliseconds since a reading of time.perf_counter()."""
    return int((time.perf_counter() - start) * 1000)


def search(topic: str, limit: int = 3) -> "list[str]":
    """Return the paragraphs of the corpus that share the most words with the topic."""
    words = set(re.findall(r"\w+", topic.lower()))
    paragraphs = [
        text for text in CORPUS.read_text("utf-8").strip().split("\n\n") if text[0] != "#"
    ]
    ranked = sorted(
        paragraphs,
        key=lambda text: len(words & set(re.findall(r"\w+", text.lower()))),
        reverse=True,
    )
    return ranked[:limit]


async def ask(client: openai.AsyncOpenAI, run_id: str, prompt: str) -> str:
    """Ask the model, and log the prompt call."""
    start = time.perf_counter()
    completion = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": prompt}], max_tokens=120
    )
    response = completion.choices[0].message.content or ""
    usage = completion.usage
    watchllm.log_prompt_call(
        run_id=run_id,
        prompt=prompt,
        model=completion.model,
        response=response,
        tokens_input=usage.prompt_tokens if usage else None,
        tokens_output=usage.completion_tokens if usage else None,
        latency_ms=milliseconds_since(start),
        status=Status.SUCCESS,
    )
    return response


async def run_research_agent(topic: str) -> str:
    """Search, analyse, summarise; log each step, or the error that ended the run."""
    with trace(tags=["agent", "research"]) as run_id:
        try:
            async with openai.AsyncOpenAI() as client:
                start = time.perf_counter()
                research = search(topic)
                watchllm.log_agent_step(
                    run_id=run_id,
                    step_number=1,
                    step_name="Search",
                    step_type=StepType.TOOL_CALL,
                    input_data={"query": topic},
                    output_data={"results": research},
                    latency_ms=milliseconds_since(start),
                )

                start = time.perf_counter()
                findings = "\n".join(research)
                analysis = await ask(
                    client, run_id, f"Analyse these findings on {topic}:\n{findings}"
                )
                watchllm.log_agent_step(
                    run_id=run_id,
                    step_number=2,
                    step_name="Analysis",
                    step_type=StepType.REASONING,
                    input_data={"research": research},
                    output_data={"analysis": analysis},
                    reasoning="Compare the findings before they are summarised",
                    latency_ms=milliseconds_since(start),
                )

                start = time.perf_counter()
                summary = await ask(client, run_id, f"Summarise in two sentences:\n{analysis}")
                watchllm.log_agent_step(
                    run_id=run_id,
                    step_number=3,
                    step_name="Summary",
                    step_type=StepType.OUTPUT,
                    input_data={"analysis": analysis},
                    output_data={"summary": summary},
                    latency_ms=milliseconds_since(start),
                )
                return summary
        except Exception as error:
            watchllm.log_error(run_id=run_id, error=error, context={"topic": topic})
            raise


if __name__ == "__main__":
    with watchllm:
        topic = " ".join(sys.argv[1:]) or "climate change solutions"
        print(asyncio.run(run_research_agent(topic)))
        watchllm.flush()  # waits for the server; close() alone would give up after two seconds
