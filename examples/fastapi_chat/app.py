"""A chat over HTTP whose answers come from the cache where it has them.

Usage: MNEME_URL=http://127.0.0.1:3000 uvicorn app:app --app-dir examples/fastapi_chat

    curl -s http://127.0.0.1:8000/chat -H 'content-type: application/json' \
        -d '{"messages": [{"role": "user", "content": "How do I reset my password?"}]}'
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel, Field

from mneme_lambda import AsyncMneme, Completion

MODEL = "small"
SYSTEM = {"role": "system", "content": "Answer in one sentence."}
# An answer of the shop stays right for a day.
TTL_SECS = 86_400


class Message(BaseModel):
    role: Literal["user", "assistant"]
    content: str = Field(min_length=1, max_length=8_000)


class Chat(BaseModel):
    messages: list[Message] = Field(min_length=1, max_length=50)
    personal: bool = False


class Reply(BaseModel):
    text: str
    source: Literal["cache", "model"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # On AWS: AsyncMneme("https://….execute-api.….amazonaws.com", auth=Iam(), …)
    async with AsyncMneme(os.environ["MNEME_URL"], namespace="chat", timeout=2) as cache:
        app.state.cache = cache
        yield


app = FastAPI(lifespan=lifespan)


def the_cache(request: Request) -> AsyncMneme:
    cache: AsyncMneme = request.app.state.cache
    return cache


@app.post("/chat")
async def chat(chat: Chat, cache: Annotated[AsyncMneme, Depends(the_cache)]) -> Reply:
    messages = [SYSTEM, *(message.model_dump() for message in chat.messages)]
    if chat.personal:
        # Another user who asks the same must not read this answer.
        return Reply(text=(await call_model(messages)).text, source="model")
    answer = await cache.get_or_call(
        messages, lambda: call_model(messages), context={"model": MODEL, "temperature": 0}, ttl=TTL_SECS
    )
    return Reply(text=answer.text, source=answer.source)


async def call_model(messages: list[dict[str, str]]) -> Completion:
    """A stand-in for your model. A client of OpenAI or Anthropic returns objects that need no conversion."""
    question = messages[-1]["content"]
    if "poem" in question:
        return Completion("Roses are red, violets", refused="the model reached its limit of tokens")
    return Completion(f"An answer to: {question}")
