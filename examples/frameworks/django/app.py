"""A Django app in one file that asks a model; each request is a run.

Run it with WATCHLLM_API_KEY, WATCHLLM_PROJECT_ID and OPENAI_API_KEY set (OPENAI_BASE_URL and
OPENAI_MODEL are honoured):

    pip install watchllm openai django
    python app.py runserver 8000
    curl -H "x-run-id: my-run" "http://127.0.0.1:8000/ask?question=What+is+machine+learning%3F"
"""

import os
import sys

import openai
import watchllm
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o")

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=["watchllm.integrations.django.WatchLLMMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY", "only-for-this-example"),
    WATCHLLM={"tags": ["web"]},
)

watchllm.auto_instrument()
client = openai.OpenAI()


def ask(request: HttpRequest) -> HttpResponse:
    """Answer a question."""
    completion = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": request.GET["question"]}]
    )
    return HttpResponse(completion.choices[0].message.content or "", content_type="text/plain")


urlpatterns = [path("ask", ask)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
