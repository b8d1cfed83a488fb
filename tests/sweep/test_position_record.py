"""PositionRecord: what is written, when, and what happens if the nodes or Stripe do not go along."""

from typing import Any, cast

import pytest

from stateless_billing.bookkeeping.records import OpenPayments
from stateless_billing.stripe.errors import StripeFailure, StripeUnavailable
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from stateless_billing.sweep.position_record import PositionRecord
from tests.fakes.factories import CHAIN_ID, GATEWAY, FakeClock, payment

pytestmark = pytest.mark.anyio

SWEPT = f"swept:{CHAIN_ID}:{GATEWAY[2:10]}"
OPEN_INDEX = f"open:{CHAIN_ID}:{GATEWAY[2:10]}:1"


class FakeGateway:
    """What the record reads of a gateway."""

    chain_id = CHAIN_ID
    address = GATEWAY
    address_prefix = GATEWAY[2:10]


class FakeStores:
    """The nodes' verdict and the service record."""

    def __init__(self) -> None:
        self.agreed: bool | None = True
        self.failure: StripeFailure | None = None
        self.written: list[dict[str, str]] = []
        self.asked: list[dict[int, int]] = []

    async def nodes_agree(
        self, gateway: object, blocks: dict[int, int], sequences: object, ends: object
    ) -> bool | None:
        """Answer as told."""
        self.asked.append(dict(blocks))
        return self.agreed

    async def update(self, values: dict[str, str]) -> None:
        """Store values, or fail as told."""
        if self.failure:
            raise self.failure
        self.written.append(values)


class Scene:
    """A checkpoint at index 1 with one open payment, resumed from the record."""

    def __init__(self) -> None:
        gateway = cast("Any", FakeGateway())
        recorded = OpenPayments(causes={1: "over_limit"})
        self.checkpoint = GatewayCheckpoint(gateway, 2, recorded.copy(), (2, recorded))
        self.stores = FakeStores()
        self.clock = FakeClock()
        self.record = PositionRecord(cast("Any", self.stores), cast("Any", self.stores), self.clock, self.roll_back)
        self.record.resume({SWEPT: "2", OPEN_INDEX: "over_limit"})

    async def roll_back(self, checkpoint: GatewayCheckpoint) -> None:
        """Roll back; no work is in progress here."""
        checkpoint.rollback()

    async def write(self, *, force: bool = False) -> bool:
        """Write the checkpoint if it is due."""
        return await self.record.write([self.checkpoint], force=force)

    def pass_all(self) -> None:
        """Credit the open payment and the next one."""
        for index in (1, 2):
            self.checkpoint.close(index, payment(sequence=index, block=100 + index))
        self.checkpoint.advance()


async def test_the_position_is_written_once_a_minute_and_removes_the_keys_of_closed_payments() -> None:
    scene = Scene()
    assert await scene.write(force=True)
    assert not scene.stores.written, "nothing changed"
    scene.pass_all()
    assert await scene.write(force=True)
    assert scene.stores.written == [{SWEPT: "3", OPEN_INDEX: ""}]
    assert scene.stores.asked == [{1: 101, 2: 102}]
    scene.checkpoint.close(3, payment(sequence=3))
    scene.checkpoint.advance()
    scene.clock.wait(59)
    assert await scene.write()
    assert len(scene.stores.written) == 1
    scene.clock.wait(1)
    assert await scene.write()
    assert scene.stores.written[1:] == [{SWEPT: "4"}]


async def test_nodes_that_disagree_put_the_checkpoint_back_to_the_record() -> None:
    scene = Scene()
    scene.pass_all()
    scene.stores.agreed = False
    assert not await scene.write(force=True)
    assert (scene.checkpoint.swept, scene.checkpoint.open.causes) == (2, {1: "over_limit"})
    assert not scene.stores.written


async def test_too_few_nodes_leave_the_record_and_the_checkpoint_as_they_are() -> None:
    scene = Scene()
    scene.pass_all()
    scene.stores.agreed = None
    assert not await scene.write(force=True)
    assert (scene.checkpoint.swept, scene.stores.written) == (3, [])


async def test_a_write_that_fails_is_repeated_with_the_same_values() -> None:
    scene = Scene()
    scene.pass_all()
    scene.stores.failure = StripeUnavailable("no answer")
    assert await scene.write(force=True)
    scene.stores.failure = None
    assert await scene.write(force=True)
    assert scene.stores.written == [{SWEPT: "3", OPEN_INDEX: ""}]
    assert scene.stores.asked == [{1: 101, 2: 102}] * 2, "what was not written is asked about again"
