"""A chain of LangChain whose model asks the cache first.

Usage: MNEME_URL=http://127.0.0.1:3000 python examples/langchain_chain/chain.py
"""

import os
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate

from mneme_lambda import Mneme
from mneme_lambda.langchain import MnemeCache


class StandIn(BaseChatModel):
    """A stand-in for your model, such as ChatOpenAI or ChatBedrockConverse, which take `cache=` as well."""

    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "stand-in"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.calls += 1
        answer = AIMessage(f"An answer to: {messages[-1].content}", response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=answer)])


def main() -> None:
    # On AWS: Mneme("https://….execute-api.….amazonaws.com", auth=Iam(), …)
    with Mneme(os.environ["MNEME_URL"], namespace="chain", timeout=2) as client:
        model = StandIn(cache=MnemeCache(client, ttl=86_400))
        prompt = ChatPromptTemplate.from_messages([("system", "You support {product}."), ("human", "{question}")])
        chain = prompt | model | StrOutputParser()
        for product, question in [
            ("the shop", "How do I reset my password?"),
            ("the shop", "how do I  RESET my password?"),
            ("the shop", "How can I reset my password?"),
            ("the bank", "How do I reset my password?"),
        ]:
            before = model.calls
            text = chain.invoke({"product": product, "question": question})
            print(f"{'cache' if model.calls == before else 'model'} {product}: {text}")
        print(f"{client.counts.hits} hits, {client.counts.misses} misses, {client.counts.errors} errors")


if __name__ == "__main__":
    main()
