"""Two lines to see every call: nothing in this program logs by hand.

Two questions are answered at the same time, each streamed, each in a run of its own. Looking up the
notes is a step, and so is the answer, which has the call of the model below it.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    python auto_instrument.py
"""

import asyncio
import os

import openai
import watchllm

watchllm.auto_instrument()

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")
NOTES = {"token": "A token is a piece of text.", "refund": "Refunds take five days."}


@watchllm.step("look up the notes", "tool_call")
def look_up(question: str) -> str:
    """Return the notes about the words of a question."""
    return " ".join(note for word, note in NOTES.items() if word in question)


@watchllm.step("answer", "output")
async def answer(client: openai.AsyncOpenAI, question: str, notes: str) -> str:
    """Ask the model, and read its answer as it comes."""
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": f"Use these notes: {notes}"},
            {"role": "user", "content": question},
        ],
        max_tokens=60,
        stream=True,
        stream_options={"include_usage": True},  # else a stream of chat tells no tokens
    )
    words = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    return "".join(words)


@watchllm.trace(tags=["support"])  # each call is a run
async def support(client: openai.AsyncOpenAI, question: str) -> None:
    """Answer one question."""
    said = await answer(client, question, look_up(question))
    print(f"> {question}\n{said}\n")


async def main() -> None:
    """Answer two questions at the same time."""
    async with openai.AsyncOpenAI() as client:
        questions = ("What is a token?", "When is a refund paid?")
        await asyncio.gather(*(support(client, question) for question in questions))


if __name__ == "__main__":
    asyncio.run(main())
    watchllm.get_client().close()
