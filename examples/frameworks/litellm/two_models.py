"""One question to two models through LiteLLM, each call logged.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and the keys of the providers set (OPENAI_API_KEY,
ANTHROPIC_API_KEY); LITELLM_MODELS names other models:

    pip install 'watchllm[litellm]'
    python two_models.py
"""

import os

import litellm
import watchllm
from watchllm.integrations.litellm import WatchLLMLogger

litellm.callbacks = [WatchLLMLogger()]

MODELS = os.environ.get("LITELLM_MODELS", "openai/gpt-4o,anthropic/claude-sonnet-5")

with watchllm.trace(user_id="ada", tags=["comparison"]):
    for model in MODELS.split(","):
        answer = litellm.completion(
            model=model, messages=[{"role": "user", "content": "What is a token?"}]
        )
        print(f"{model}: {answer.choices[0].message.content}")
