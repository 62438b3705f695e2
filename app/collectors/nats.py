"""NATS JetStream: pipeline = as configured, table = stream, connector = durable consumer.

Needs the permission to request ``$JS.API.STREAM.INFO.*``, ``$JS.API.CONSUMER.INFO.*.*`` and, for consumers with a
filter, ``$JS.API.STREAM.MSG.GET.*``.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from app.collectors.config import NatsConfig
from app.collectors.source import Found, Measurement, TransportError
from app.domain.connector import StreamPosition
from app.domain.names import Address
from app.domain.position import MAX_OFFSET, Position

_TIMEOUT_SECONDS = 2
_NO_MESSAGE_FOUND = 10037  # JetStream's error code

Answer = dict[str, Any]
Ask = Callable[[str, Answer], Awaitable[Answer]]
"""Sends a request to JetStream's API, by its subject after ``$JS.API.``; raises JetStreamError and NatsError."""


class JetStreamError(Exception):
    """JetStream has answered that it cannot."""

    def __init__(self, error: Answer) -> None:
        super().__init__(error.get("description", "error without a description"))
        self.code = error.get("err_code")


async def measure_consumer(ask: Ask, stream: str, consumer: str) -> Measurement:
    """Looks at a stream and then at a consumer of it, whose acknowledgements say what has been processed.

    The order matters: whatever is in the stream when it is looked at counts as received, so its state must not be
    newer than what is said to be completed. The times of creation are taken as JetStream writes them (nats-py cuts
    nanoseconds): they are the identity of both, either of which can be made again under its old name.
    """
    stream_info = await ask(f"STREAM.INFO.{stream}", {})
    info = await ask(f"CONSUMER.INFO.{stream}.{consumer}", {})
    if info["config"].get("ack_policy") == "none":
        raise JetStreamError({"description": "the consumer acknowledges nothing: what it has processed is not known"})
    last = stream_info["state"]["last_seq"]
    floor = info["ack_floor"]["stream_seq"]
    completed = last if floor >= last or await _is_at_end(ask, stream, consumer, last, info) else floor
    return Measurement(
        position=StreamPosition(
            epoch=f"{stream_info['created']}/{info['created']}",
            received=Position.parse(last + 1),
            completed=Position.parse(completed + 1),
        ),
        total_records=last,
        buffered_records=_count(info["num_pending"] + info["num_ack_pending"]),
        paused=info.get("paused", False),
        trouble=_trouble(info),
    )


def _count(value: int) -> int:
    """The value, if the record can hold it; raises ValueError. JetStream counts in 64 bits, without a sign."""
    if not 0 <= value <= MAX_OFFSET:
        raise ValueError("no such count")
    return value


def _trouble(info: Answer) -> str | None:
    """That messages below the last one delivered will neither be acknowledged nor delivered again, if it is so."""
    if info["num_ack_pending"] or info["ack_floor"]["stream_seq"] >= info["delivered"]["stream_seq"]:
        return None
    return "messages were given up, after max_deliver deliveries, and count as processed"


async def _is_at_end(ask: Ask, stream: str, consumer: str, last: int, info: Answer) -> bool:
    """Whether all up to sequence ``last`` that is meant for the consumer has been delivered and acknowledged.

    That nothing is pending proves nothing: the server counts a new message as pending some time after it has stored
    it, and where the stream is replicated the consumer's server may not even have it yet. What was delivered is a
    fact. What lies between that and ``last`` is for others, or deleted, if the stream's leader finds no message there
    that passes the consumer's filter.
    """
    if info["num_ack_pending"]:
        return False
    delivered = info["delivered"]["stream_seq"]
    if delivered >= last:
        return True
    if info["num_pending"]:
        return False
    config = info["config"]
    filters = config.get("filter_subjects") or [config.get("filter_subject") or ">"]
    following = [await _next_message(ask, stream, delivered + 1, subject) for subject in filters]
    if any(sequence is not None and sequence <= last for sequence in following):
        return False
    # A message may have been delivered and then deleted since the consumer was looked at.
    again = await ask(f"CONSUMER.INFO.{stream}.{consumer}", {})
    return bool(again["delivered"]["stream_seq"] == delivered and not again["num_ack_pending"])


async def _next_message(ask: Ask, stream: str, sequence: int, subject: str) -> int | None:
    """The sequence of the first message at or after ``sequence`` that the subject matches; None: there is none."""
    try:
        answer = await ask(f"STREAM.MSG.GET.{stream}", {"seq": sequence, "next_by_subj": subject})
    except JetStreamError as error:
        if error.code == _NO_MESSAGE_FOUND:
            return None
        raise
    return int(answer["message"]["seq"])


class NatsJetStream:
    """A source: one JetStream account, reached over one connection that is made when it is needed."""

    tag = "nats"

    def __init__(self, config: NatsConfig) -> None:
        self._config = config
        self._targets = {connector.address: connector for connector in config.connectors}
        self._client: Client | None = None
        self._complaint: Exception | None = None  # the newest of the client's own

    async def measure(self, addresses: Sequence[Address]) -> Mapping[Address, Found]:
        """Looks at all the consumers at the same time."""
        try:
            client = await self._connected()
        except (NatsError, OSError, TimeoutError) as error:
            await self.close()
            return dict.fromkeys(addresses, self._failure(self._complaint or error))
        found = await asyncio.gather(*(self._measure(client, address) for address in addresses))
        return dict(zip(addresses, found, strict=True))

    async def close(self) -> None:
        """Closes the connection, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(NatsError, OSError, TimeoutError):
                await client.close()

    async def _measure(self, client: Client, address: Address) -> Found:
        target = self._targets[address]
        try:
            return await measure_consumer(_asking(client), target.stream, target.consumer)
        except (JetStreamError, NatsError, OSError, TimeoutError) as error:
            return self._failure(error)
        except (KeyError, TypeError, ValueError):
            return self._failure(ValueError("the answer is not JetStream's"))

    async def _connected(self) -> Client:
        """The connection. One attempt: trying again, and when, is the loop's business."""
        if self._client is None or not self._client.is_connected:
            await self.close()
            self._complaint = None
            self._client = Client()
            await self._client.connect(
                list(self._config.servers),
                name="tidemark",
                error_cb=self._complain,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=_TIMEOUT_SECONDS,
                ping_interval=5,  # seconds; two without an answer are the end of the connection
                user=self._config.user,
                password=self._config.password,
                token=self._config.token,
            )
        return self._client

    async def _complain(self, error: Exception) -> None:
        self._complaint = error

    def _failure(self, error: Exception) -> TransportError:
        servers = ", ".join(_without_credentials(server) for server in self._config.servers)
        return TransportError(f"{servers}: {str(error) or type(error).__name__}")


def _asking(client: Client) -> Ask:
    async def ask(subject: str, body: Answer) -> Answer:
        payload = json.dumps(body).encode() if body else b""
        message = await client.request(f"$JS.API.{subject}", payload, timeout=_TIMEOUT_SECONDS)
        answer: Answer = json.loads(message.data)
        if "error" in answer:
            raise JetStreamError(answer["error"])
        return answer

    return ask


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
