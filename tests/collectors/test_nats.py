"""Measuring at a real JetStream server; what only a cluster or a race would answer comes from a fake at the edge."""

import asyncio
import time
from typing import Any

import pytest

from app.collectors.nats import JetStreamError, NatsJetStream, measure_consumer
from app.collectors.source import Found, Measurement, TransportError
from app.domain.position import Position
from tests.collectors.jetstream import JetStreamServer, config, connected, consume, make, publish


def measure(url: str, consumer: str = "billing") -> Found:
    """One look at a consumer of the stream ``orders``."""
    (nats,) = config(url, consumers=(consumer,)).nats
    address = nats.connectors[0].address

    async def look() -> Found:
        source = NatsJetStream(nats)
        found = (await source.measure([address]))[address]
        await source.close()
        return found

    return asyncio.run(look())


def positions(found: Found) -> tuple[int, int]:
    """What was received and what was completed."""
    assert isinstance(found, Measurement)
    received, completed = found.position.received, found.position.completed
    assert completed is not None
    return received.offsets[""], completed.offsets[""]


def test_a_stream_without_messages(jetstream: JetStreamServer) -> None:
    asyncio.run(make(jetstream.url))
    assert positions(measure(jetstream.url)) == (1, 1)


def test_idle(jetstream: JetStreamServer) -> None:
    asyncio.run(make(jetstream.url))
    asyncio.run(publish(jetstream.url, *["orders.a"] * 3))
    asyncio.run(consume(jetstream.url, 3))
    found = measure(jetstream.url)
    assert positions(found) == (4, 4)
    assert isinstance(found, Measurement)
    assert (found.total_records, found.buffered_records, found.paused) == (3, 0, False)


def test_nothing_delivered_yet(jetstream: JetStreamServer) -> None:
    asyncio.run(make(jetstream.url))
    asyncio.run(publish(jetstream.url, *["orders.a"] * 3))
    found = measure(jetstream.url)
    assert positions(found) == (4, 1)
    assert isinstance(found, Measurement)
    assert (found.total_records, found.buffered_records) == (3, 3)


def test_delivered_and_in_part_acknowledged(jetstream: JetStreamServer) -> None:
    asyncio.run(make(jetstream.url))
    asyncio.run(publish(jetstream.url, *["orders.a"] * 4))
    asyncio.run(consume(jetstream.url, 3, leave=(2,)))
    found = measure(jetstream.url)
    assert positions(found) == (5, 2)
    assert isinstance(found, Measurement)
    assert found.buffered_records == 2


@pytest.mark.parametrize("filters", [("orders.mine",), ("orders.mine", "orders.also.>")], ids=["one", "two"])
def test_a_filter_leaves_others_messages_out(jetstream: JetStreamServer, filters: tuple[str, ...]) -> None:
    asyncio.run(make(jetstream.url, filters=filters))
    asyncio.run(publish(jetstream.url, "orders.theirs", "orders.theirs"))
    assert positions(measure(jetstream.url)) == (3, 3)
    asyncio.run(publish(jetstream.url, "orders.mine", "orders.theirs"))
    assert positions(measure(jetstream.url)) == (5, 1)
    asyncio.run(consume(jetstream.url, 1))
    assert positions(measure(jetstream.url)) == (5, 5)


def test_a_deleted_message_is_not_waited_for(jetstream: JetStreamServer) -> None:
    asyncio.run(make(jetstream.url))
    _, last = asyncio.run(publish(jetstream.url, "orders.a", "orders.a"))
    asyncio.run(consume(jetstream.url, 1))
    assert positions(measure(jetstream.url)) == (3, 2)

    async def delete() -> None:
        async with connected(jetstream.url) as js:
            await js.delete_msg("orders", last)

    asyncio.run(delete())
    assert positions(measure(jetstream.url)) == (3, 3)


def test_a_consumer_that_acknowledges_nothing_is_not_believed(jetstream: JetStreamServer) -> None:
    """Delivered is not processed: its tokens would be complete as soon as a message has left the server."""
    asyncio.run(make(jetstream.url, ack_policy="none"))
    asyncio.run(publish(jetstream.url, "orders.a"))
    found = measure(jetstream.url)
    assert isinstance(found, TransportError)
    assert "acknowledges nothing" in str(found)


def test_messages_given_up_count_as_processed_and_show(jetstream: JetStreamServer) -> None:
    asyncio.run(make(jetstream.url, max_deliver=1, ack_wait=0.2))
    asyncio.run(publish(jetstream.url, "orders.a", "orders.a"))
    asyncio.run(consume(jetstream.url, 2, leave=(1,)))
    deadline = time.monotonic() + 20
    while positions(found := measure(jetstream.url)) != (3, 3):
        assert time.monotonic() < deadline
    assert isinstance(found, Measurement)
    assert "given up" in (found.trouble or "")


def epoch(found: Found) -> str | None:
    assert isinstance(found, Measurement)
    return found.position.epoch


def test_the_epoch_outlives_the_server_but_neither_the_stream_nor_the_consumer(jetstream: JetStreamServer) -> None:
    async def remake(*, stream: bool) -> None:
        async with connected(jetstream.url) as js:
            await (js.delete_stream("orders") if stream else js.delete_consumer("orders", "billing"))
        await make(jetstream.url)

    asyncio.run(make(jetstream.url))
    epochs = [epoch(measure(jetstream.url))]
    jetstream.stop()
    jetstream.start()
    assert epoch(measure(jetstream.url)) == epochs[0]
    for stream in (False, True):
        asyncio.run(remake(stream=stream))
        epochs.append(epoch(measure(jetstream.url)))
    assert len(set(epochs)) == 3, epochs


class FakeApi:
    """JetStream's API as it answers in a cluster whose servers are not equally far, and in races."""

    def __init__(self, last: int, *, delivered: int, floor: int, messages: tuple[int, ...] = ()) -> None:
        self._last, self._delivered, self._floor, self._messages = last, delivered, floor, messages

    async def __call__(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        if subject == "STREAM.INFO.orders":
            return {"created": "2026-01-01T00:00:00.000000001Z", "state": {"last_seq": self._last}}
        if subject == "CONSUMER.INFO.orders.billing":
            return {
                "created": "2026-01-02T00:00:00.000000002Z",
                "config": {},
                "delivered": {"stream_seq": self._delivered},
                "ack_floor": {"stream_seq": self._floor},
                "num_pending": 0,  # all of them: nothing is pending, as far as the consumer's server knows
                "num_ack_pending": 0,
            }
        assert subject == "STREAM.MSG.GET.orders"
        following = [sequence for sequence in self._messages if sequence >= body["seq"]]
        if not following:
            raise JetStreamError({"err_code": 10037, "description": "no message found"})
        return {"message": {"seq": following[0]}}


FAKES = {
    "the consumer's server lags": (FakeApi(8, delivered=5, floor=5, messages=(6, 7, 8)), 6),
    "delivered to the end": (FakeApi(8, delivered=8, floor=8), 9),
    "delivered beyond the end": (FakeApi(8, delivered=9, floor=9), 9),
    "delivered to the end, floor not moved": (FakeApi(8, delivered=8, floor=3), 9),
    "the rest is not for this consumer": (FakeApi(8, delivered=5, floor=5), 9),
    "the next one came in later": (FakeApi(8, delivered=5, floor=5, messages=(9,)), 9),
}


@pytest.mark.parametrize(("api", "completed"), FAKES.values(), ids=FAKES.keys())
def test_that_nothing_is_pending_proves_nothing(api: FakeApi, completed: int) -> None:
    found = asyncio.run(measure_consumer(api, "orders", "billing"))
    assert found.position.received == Position({"": 9})
    assert found.position.completed == Position({"": completed})
    assert found.position.epoch == "2026-01-01T00:00:00.000000001Z/2026-01-02T00:00:00.000000002Z"


def failure(found: Found) -> str:
    assert isinstance(found, TransportError)
    return str(found)


@pytest.fixture
def stopped(jetstream: JetStreamServer) -> JetStreamServer:
    """A server that is not running."""
    jetstream.stop()
    return jetstream


def test_an_unreachable_server_is_told_without_credentials(stopped: JetStreamServer) -> None:
    message = failure(measure(stopped.url.replace("nats://", "nats://me:s3cret@")))
    assert message.startswith(f"{stopped.url}: ")
    assert "Connect call failed" in message
    assert "s3cret" not in message


def test_several_servers_are_tried(jetstream: JetStreamServer) -> None:
    asyncio.run(make(jetstream.url))
    assert positions(measure(f"nats://127.0.0.1:1,{jetstream.url}")) == (1, 1)


def test_missing_stream_and_missing_consumer(jetstream: JetStreamServer) -> None:
    assert "stream not found" in failure(measure(jetstream.url))
    asyncio.run(make(jetstream.url))
    assert "consumer not found" in failure(measure(jetstream.url, consumer="shipping"))


def test_a_source_finds_its_server_again(jetstream: JetStreamServer) -> None:
    (nats,) = config(jetstream.url).nats
    address = nats.connectors[0].address

    async def look() -> list[Found]:
        source = NatsJetStream(nats)
        before = await source.measure([address])
        jetstream.stop()
        meanwhile = await source.measure([address])
        jetstream.start()
        after = await source.measure([address])
        await source.close()
        return [before[address], meanwhile[address], after[address]]

    asyncio.run(make(jetstream.url))
    before, meanwhile, after = asyncio.run(look())
    assert isinstance(meanwhile, TransportError)
    assert before == after
