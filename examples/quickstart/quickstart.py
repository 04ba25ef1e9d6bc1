from mneme_lambda import Mneme

def call_model(messages):  # a stand-in: call OpenAI, Anthropic, Bedrock or any function here
    return f"An answer to: {messages[-1]['content']}"

with Mneme("http://127.0.0.1:3000", namespace="support") as cache:
    for question in ["How do I reset my password?", "how do I  RESET my password?", "How can I reset my password?"]:
        messages = [{"role": "user", "content": question}]
        answer = cache.get_or_call(messages, lambda: call_model(messages), context={"model": "small"}, ttl=86_400)
        print(f"{answer.source:5} {answer.text}")
