"""Plan a trip: two calls of a model and one of a tool, in one session."""

import os

from openai import OpenAI

from helicone_otel import configure, session, step, tool

configure()
client = OpenAI(default_headers={"Helicone-Auth": f"Bearer {os.environ['HELICONE_API_KEY']}"})


@tool(content=True)
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"Sunny in {city}, 24 degrees"


def ask(question: str) -> str:
    """Return the model's answer."""
    messages = [{"role": "user", "content": question}]
    answer = client.chat.completions.create(model="gpt-5.4-mini", messages=messages)
    return answer.choices[0].message.content or ""


with session("Trip Planning") as trip:
    with step("research"):
        weather = get_weather("Porto")
        sights = ask("Name three sights in Porto.")
    with step("plan"):
        print(ask(f"Plan a day in Porto. Weather: {weather}. Sights: {sights}"))

print("session:", trip.id)
