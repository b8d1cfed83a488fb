"""Whether a quote was paid: never `void` or `open` on a doubtful word, whichever node lags or lies."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from msgspec import structs

from chain.errors import ChainError
from chain.payment import Payment, customer_id_to_bytes32
from chain.signatures import Quote, Signer
from stateless_billing.domain.errors import ProblemError
from stateless_billing.payers.quote_statuses import Word, decide
from stateless_billing.payers.responses import QuoteStatusResponse
from stateless_billing.services.container import Services
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import (
    BLOCK_SECONDS,
    CHAIN_ID,
    CUSTOMER,
    GATEWAY,
    OTHER_GATEWAY,
    START,
    WALLET,
    block,
    payment,
    tx_hash,
)
from tests.fakes.in_process_service import (
    BEGIN,
    FINALITY,
    NOW_BLOCK,
    LoopClock,
    NodesLine,
    StripeLine,
    Town,
)

KEY = "11" * 32
SIGNER = Signer(KEY, CHAIN_ID)
STRANGER = Signer("22" * 32, CHAIN_ID)
QUOTE = Quote(WALLET, 0, 9_000 * 10**18, 5_000, BEGIN + 60)
FINALITY_SECONDS = FINALITY * BLOCK_SECONDS
PAID = payment(block=NOW_BLOCK)
OTHERS = payment(block=NOW_BLOCK, amount=1)
NOW = block(5_000).time


def town_of(*paid: Payment, nodes: int = 1) -> Town:
    """Create a town whose nodes know the wallet's customer and our signer."""
    town = Town(paid)
    town.nodes = [FakeNode(paid) for _ in range(nodes)]
    for node in town.nodes:
        node.views |= {
            "customerOf": int.from_bytes(customer_id_to_bytes32(CUSTOMER)),
            "signer": int(SIGNER.address, 16),
        }
    return town


async def status(services: Services, quote: Quote = QUOTE, signer: Signer = SIGNER) -> QuoteStatusResponse:
    """Ask for the status of a quote."""
    return await services.quote_statuses().find(GATEWAY, quote, signer.quote(GATEWAY, quote))


def states_of(town: Town, *waits: float, quote: Quote = QUOTE) -> list[str]:
    """Ask after each of these waits in seconds."""
    states: list[str] = []

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=KEY)
        for wait in waits:
            await asyncio.sleep(wait)
            try:
                states.append((await status(services, quote)).state)
            except ChainError:
                states.append("chain_unavailable")

    town.run(scenario())
    return states


def stop_at(node: FakeNode, number: int) -> None:
    """Let a node show no block after this one."""
    known = [paid for paid in node.payments if paid.block <= number]
    node.payments = known
    node.lies["eth_getBlockByNumber"] = lambda raw: header(min(int(raw["number"], 16), number)) if raw else raw


def header(number: int) -> dict[str, str]:
    """Return a block header as a node shows it."""
    return {"number": hex(number), "hash": block(number).hash, "timestamp": hex(block(number).time)}


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_unpaid_quote_is_open_then_undecided_then_void(nodes: int) -> None:
    town = town_of(nodes=nodes)
    assert states_of(town, 0, 50, 20, FINALITY_SECONDS - 30, 40) == ["open", "open", "undecided", "undecided", "void"]


def test_void_needs_a_final_block_after_the_deadline() -> None:
    word = Word(block(5_000), block(4_000), None)
    deadline = block(4_000).time
    for late, state in ((-1, "void"), (0, "undecided"), (1, "undecided")):
        answer = decide(replace(QUOTE, deadline=deadline + late), [word, word], NOW, 2)
        assert answer == QuoteStatusResponse(state=state, payment=None)  # type: ignore[arg-type]


def test_wallet_that_is_not_registered_has_paid_nothing() -> None:
    town = town_of()
    town.nodes[0].views["customerOf"] = 0
    assert states_of(town, 0, 70, FINALITY_SECONDS) == ["open", "undecided", "void"]
    assert "paymentCount" not in [function for _, function in town.nodes[0].viewed]


def test_paid_quote_names_its_payment_and_when_it_is_final() -> None:
    town = town_of(PAID, nodes=2)

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=KEY)
        answer = await status(services)
        assert answer.state == "paid"
        assert answer.payment
        assert (answer.payment.tx_hash, answer.payment.ordinal) == (PAID.tx_hash, 0)
        assert (answer.payment.block, answer.payment.time, answer.payment.final) == (NOW_BLOCK, PAID.time, False)
        await asyncio.sleep(FINALITY_SECONDS + 10)
        later = await status(services)
        assert later.payment
        assert later.payment.final

    town.run(scenario())


@pytest.mark.parametrize(
    "other",
    [
        OTHERS,
        structs.replace(OTHERS, amount=QUOTE.amount, cents=0),
        structs.replace(PAID, wallet="0x" + "99" * 20),
        structs.replace(PAID, block=NOW_BLOCK, time=QUOTE.deadline + 1),
    ],
)
def test_another_payment_with_the_sequence_supersedes(other: Payment) -> None:
    words = [Word(block(NOW_BLOCK + 60), block(NOW_BLOCK), other)] * 2
    assert decide(QUOTE, words, BEGIN, 2) == QuoteStatusResponse(state="superseded", payment=None)


def test_other_payments_of_the_customer_do_not_supersede() -> None:
    quote = replace(QUOTE, sequence=1)
    assert states_of(town_of(PAID), 0, 70, quote=quote) == ["open", "undecided"]


MOVED_TO = "cus_Bob1"


def move(town: Town) -> None:
    """Let the contract's owner give the wallet to another customer."""
    for node in town.nodes:
        node.views["customerOf"] = int.from_bytes(customer_id_to_bytes32(MOVED_TO))


@pytest.mark.parametrize("nodes", [1, 2])
def test_wallet_that_was_moved_after_it_paid_has_paid(nodes: int) -> None:
    town = town_of(PAID, nodes=nodes)
    move(town)
    assert states_of(town, 0, 70, FINALITY_SECONDS) == ["open", "paid", "paid"]
    others = payment(block=NOW_BLOCK, customer_id=MOVED_TO, wallet="0x" + "99" * 20, tx_hash=tx_hash(2), log_index=9)
    town = town_of(PAID, others, nodes=nodes)
    move(town)
    assert states_of(town, 0, 70, FINALITY_SECONDS) == ["paid"] * 3, "another's payment has the sequence now"


@pytest.mark.parametrize(
    "changes",
    [
        {"wallet": "0x" + "99" * 20},
        {"sequence": 1},
        {"amount": 1},
        {"cents": 1},
        {"block": NOW_BLOCK + 31},
        {"block": NOW_BLOCK - 361},
    ],
)
def test_other_payments_of_that_time_prove_nothing(changes: dict[str, Any]) -> None:
    other = payment(**{"block": NOW_BLOCK} | changes)
    before = payment(block=50, sequence=0, amount=3, tx_hash=tx_hash(3)) if other.sequence else None
    town = town_of(*[paid for paid in (before, other) if paid])
    move(town)
    assert states_of(town, 70, FINALITY_SECONDS) == ["undecided", "void"]


@pytest.mark.parametrize(("what", "lie"), {"totalPayments": 2, "paymentBlocks": [], "eth_getLogs": []}.items())
def test_void_needs_all_payments_of_that_time(what: str, lie: Any) -> None:
    town = town_of(PAID)
    move(town)
    town.nodes[0].lies[what] = lambda _: lie
    assert states_of(town, 70, FINALITY_SECONDS) == ["chain_unavailable"] * 2
    town = town_of(PAID, nodes=2)
    move(town)
    town.nodes[1].lies[what] = lambda _: lie
    assert states_of(town, 70, FINALITY_SECONDS) == ["paid", "paid"]
    town.nodes[0].payments = []
    assert states_of(town, 70, FINALITY_SECONDS) == ["undecided", "undecided"]


def busy(count: int, *, at: int = NOW_BLOCK - 1) -> list[Payment]:
    """Return plain payments of others, ten a block, the last of them in block `at`."""
    return [
        payment(
            customer_id=f"cus_O{n}",
            wallet="0x" + "33" * 20,
            cents=0,
            tx_hash=tx_hash(100 + n),
            log_index=n % 10,
            block=at - (count - 1) // 10 + n // 10,
        )
        for n in range(count)
    ]


def test_a_busy_quarter_of_an_hour_hides_no_status() -> None:
    others = busy(2_500)
    assert states_of(town_of(*others), 0, 70, FINALITY_SECONDS) == ["open", "undecided", "void"]
    for at in (NOW_BLOCK, NOW_BLOCK - 200):
        paid = payment(block=at, log_index=77)
        town = town_of(*sorted([*others, paid], key=lambda each: (each.block, each.log_index)))
        move(town)
        assert states_of(town, 70, FINALITY_SECONDS) == ["paid", "paid"]


def test_the_search_ends_where_the_payment_is_found() -> None:
    town = town_of(*busy(2_500), PAID)
    move(town)
    assert states_of(town, 70) == ["paid"]
    assert town.nodes[0].asked.count("eth_getLogs") < 60


def test_an_open_quote_costs_no_search() -> None:
    town = town_of(PAID)
    assert states_of(town, 0, quote=replace(QUOTE, sequence=1)) == ["open"]
    assert not {"totalPayments", "paymentBlocks"} & {function for _, function in town.nodes[0].viewed}


def test_void_is_not_said_by_one_of_two_nodes() -> None:
    town = town_of(nodes=2)
    stop_at(town.nodes[1], NOW_BLOCK)
    assert states_of(town, 70, FINALITY_SECONDS) == ["undecided", "undecided"]


def test_node_that_lags_never_hides_a_payment() -> None:
    town = town_of(PAID, nodes=2)
    for node in reversed(town.nodes):
        stop_at(node, NOW_BLOCK - 5)
        assert states_of(town, 5) == ["paid"]
        node.lies.clear()
        node.payments = [PAID]


def test_nodes_that_stand_still_say_nothing_of_what_is_missing() -> None:
    town = town_of(nodes=2)
    town.lag = 61
    assert states_of(town, 0, 70) == ["chain_unavailable", "undecided"]


@pytest.mark.parametrize("silent", [0, 1])
def test_one_node_of_two_that_answers_does_not_decide(silent: int) -> None:
    town = town_of(nodes=2)
    town.nodes[silent].lies["eth_getBlockByNumber"] = lambda _: []
    assert states_of(town, 0, 70, FINALITY_SECONDS) == ["chain_unavailable", "undecided", "undecided"]
    town = town_of(PAID, nodes=2)
    town.nodes[silent].lies["eth_getBlockByNumber"] = lambda _: []
    assert states_of(town, 0, FINALITY_SECONDS + 10) == ["paid", "paid"]


@pytest.mark.parametrize("liar", [0, 1])
def test_node_that_hides_a_payment_leaves_a_doubt(liar: int) -> None:
    town = town_of(PAID, nodes=2)
    town.nodes[liar].payments = []
    assert states_of(town, 5, 70, FINALITY_SECONDS) == ["chain_unavailable", "undecided", "undecided"]


def test_node_that_invents_a_final_block_voids_nothing() -> None:
    town = town_of(nodes=2)
    latest = NOW_BLOCK + 40

    def lie(raw: Any) -> Any:
        return header(latest + 30) if raw and int(raw["number"], 16) < NOW_BLOCK - 100 else raw

    town.nodes[0].lies["eth_getBlockByNumber"] = lie
    assert states_of(town, 80) == ["undecided"]


def test_the_chains_own_time_decides() -> None:
    ahead = Word(block(5_000 + 100), block(5_000 + 90), None)
    quote = replace(QUOTE, deadline=NOW)
    assert decide(quote, [ahead, ahead], NOW, 2) == QuoteStatusResponse(state="void", payment=None)
    behind = Word(block(5_000), block(4_000), None)
    assert decide(quote, [ahead, behind], NOW, 2) == QuoteStatusResponse(state="undecided", payment=None)


def test_two_nodes_outvote_one() -> None:
    head, final = block(NOW_BLOCK + 3_000), block(NOW_BLOCK + 2_000)
    now = head.time
    has, hides = Word(head, final, PAID), Word(head, final, None)
    paid = decide(QUOTE, [hides, has, has], now, 2)
    assert paid
    assert paid.payment
    assert paid.payment.final
    assert decide(QUOTE, [hides, hides, has], now, 2) is None, "a payment that one node shows is never ruled out"


def test_chain_that_cannot_be_read_is_no_status() -> None:
    town = town_of(nodes=2)
    for node in town.nodes:
        node.lies["customerOf"] = lambda _: [1, 2, 3]
    assert states_of(town, 0, 2_000) == ["chain_unavailable", "chain_unavailable"]


def test_signature_is_checked_against_our_signer_and_the_gateways() -> None:
    town = town_of()

    async def refused(services: Services, gateway: str, quote: Quote, signature: bytes) -> None:
        with pytest.raises(ProblemError) as caught:
            await services.quote_statuses().find(gateway, quote, signature)
        assert caught.value.code == "invalid_input"

    async def scenario() -> None:
        services, signature = town.process(SIGNER_KEY=KEY), SIGNER.quote(GATEWAY, QUOTE)
        await refused(services, OTHER_GATEWAY, QUOTE, SIGNER.quote(OTHER_GATEWAY, QUOTE))
        await refused(services, GATEWAY, QUOTE, SIGNER.quote(OTHER_GATEWAY, QUOTE))
        for name in ("sequence", "amount", "cents", "deadline"):
            await refused(services, GATEWAY, replace(QUOTE, **{name: getattr(QUOTE, name) + 1}), signature)
        assert "eth_getBlockByNumber" not in town.nodes[0].asked, "what is not ours costs no reading"
        await refused(services, GATEWAY, QUOTE, STRANGER.quote(GATEWAY, QUOTE))
        town.nodes[0].views["signer"] = int(STRANGER.address, 16)
        assert (await status(services, signer=STRANGER)).state == "open", "of a gateway with an older signer"
        assert (await status(services)).state == "open", "of a new signer before its gateway has it"
        assert not town.stripe.log.rows, "Stripe is not asked"

    town.run(scenario())


def test_too_many_at_a_time_are_refused() -> None:
    town = town_of()

    async def scenario() -> None:
        statuses = town.process(SIGNER_KEY=KEY).quote_statuses()
        signature = SIGNER.quote(GATEWAY, QUOTE)
        statuses._limiter._capacity = 3
        answers = await asyncio.gather(
            *(statuses.find(GATEWAY, QUOTE, signature) for _ in range(9)), return_exceptions=True
        )
        refusals = [answer for answer in answers if isinstance(answer, ProblemError)]
        assert refusals
        assert {refusal.code for refusal in refusals} == {"busy"}

    town.run(scenario())


def test_the_fakes_fit() -> None:
    assert (START + NOW_BLOCK * BLOCK_SECONDS, tx_hash(1)) == (BEGIN, PAID.tx_hash)


class Slow(NodesLine):
    """Answers each question just before the time for one is over."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Respond late."""
        await asyncio.sleep(3.9)
        return await super().handle_async_request(request)


def test_a_node_that_answers_slowly_is_not_waited_for_without_end() -> None:
    town = town_of(PAID)
    settings = town.process(SIGNER_KEY=KEY).settings

    async def scenario() -> None:
        services = Services(settings, LoopClock(), Slow(town), lambda: StripeLine(town))
        began = asyncio.get_running_loop().time()
        with pytest.raises(ChainError, match="did not tell"):
            await status(services)
        assert asyncio.get_running_loop().time() - began < 20

    town.run(scenario())
