"""A LangGraph agent with a tool. Its thread is its session: this file does not mention helicone-otel."""

import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"Sunny in {city}, 24 degrees"


model = ChatOpenAI(
    model="gpt-5.4-mini",
    default_headers={"Helicone-Auth": f"Bearer {os.environ['HELICONE_API_KEY']}"},
)
agent = create_agent(model, [get_weather], name="weather_agent", checkpointer=InMemorySaver())
thread = {"configurable": {"thread_id": "trip-42"}}

for question in ("What is the weather in Porto?", "And what should I pack?"):
    result = agent.invoke({"messages": [("user", question)]}, thread)
    print(result["messages"][-1].content)
