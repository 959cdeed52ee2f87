"""Send a message in a session, or receive and process it: `python kafka_client.py aiokafka send`.

The broker is librdkafka's for tests. It speaks Kafka's protocol on a real socket and runs in the process of the
sender, which prints its address. The consumer prints the headers of the message as JSON.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import confluent_kafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from model import ask
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.instrumentation.aiokafka.utils import _aiokafka_getter
from opentelemetry.propagate import extract

from helicone_otel import session, step

TOPIC = "trips"
Headers = list[tuple[str, bytes]]


def confluent_send(broker: str) -> None:
    """Send a message with confluent-kafka."""
    producer = confluent_kafka.Producer({"bootstrap.servers": broker})
    with session("Trips", id="s-1"), step("plan"):
        producer.produce(TOPIC, b"7")
    producer.flush(20)


def confluent_receive(broker: str) -> Headers:
    """Receive a message with confluent-kafka."""
    settings = {"bootstrap.servers": broker, "group.id": "g", "auto.offset.reset": "earliest"}
    consumer = confluent_kafka.Consumer(settings)
    consumer.subscribe([TOPIC])
    message = consumer.poll(30)
    headers = message.headers()
    consumer.close()
    return headers


async def aiokafka_send(broker: str) -> None:
    """Send a message with aiokafka."""
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        with session("Trips", id="s-1"), step("plan"):
            await producer.send_and_wait(TOPIC, value=b"7")


async def aiokafka_receive(broker: str) -> Headers:
    """Receive a message with aiokafka."""
    async with AIOKafkaConsumer(TOPIC, bootstrap_servers=broker, auto_offset_reset="earliest") as consumer:
        message = await asyncio.wait_for(consumer.getone(), timeout=30)
    return list(message.headers)


def send(client: str) -> None:
    """Send, print the address of the broker, and wait for SIGTERM."""
    cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1})
    broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    address = f"{broker.host}:{broker.port}"
    if client == "confluent":
        confluent_send(address)
    else:
        asyncio.run(aiokafka_send(address))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print(f"broker={address}", flush=True)
    signal.pause()


def receive(client: str, broker: str) -> None:
    """Receive and process the message. Consumers extract the Context and make the span themselves."""
    headers = confluent_receive(broker) if client == "confluent" else asyncio.run(aiokafka_receive(broker))
    token = attach(extract(headers, getter=_aiokafka_getter))
    tracer = trace.get_tracer("consumer")
    with tracer.start_as_current_span("trips process", kind=trace.SpanKind.CONSUMER):
        with tracer.start_as_current_span("book"):
            ask("Which hotel?")
    detach(token)
    print(json.dumps([(name, value.decode()) for name, value in headers]))


if __name__ == "__main__":
    if sys.argv[2] == "send":
        send(sys.argv[1])
    else:
        receive(sys.argv[1], sys.argv[3])
