"""A chat with Gemini, logged by itself: whole, streamed, and with a function that the model calls.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and GEMINI_API_KEY set (GEMINI_MODEL and
GOOGLE_GEMINI_BASE_URL are honoured):

    pip install 'watchllm[google-genai]'
    python gemini_chat.py
"""

import os

import watchllm
from google import genai

MODEL = os.environ.get("GEMINI_MODEL", "gemini-2.5-flash")

watchllm.auto_instrument("google-genai")


@watchllm.step("weather", "tool_call")
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city} is sunny."


with watchllm.trace(user_id="ada", tags=["chat"]), genai.Client() as client:
    for chunk in client.models.generate_content_stream(model=MODEL, contents="What is a token?"):
        print(chunk.text or "", end="")
    chat = client.chats.create(model=MODEL, config={"tools": [weather]})
    print("\n" + (chat.send_message("How is the weather in Rome?").text or ""))

watchllm.get_client().close()
