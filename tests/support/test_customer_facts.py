"""What tells customers apart, also while the chain or the customer is gone."""

from chain.errors import NodeError
from chain.payment import customer_id_to_bytes32
from stateless_billing.support.customer_facts import CustomerReader
from tests.fakes.factories import CUSTOMER, WALLET, payment, tx_hash
from tests.fakes.in_process_service import SERVICE, Town


def test_facts_name_the_payments_and_whose_the_wallet_is_on_the_chain() -> None:
    town = Town([payment(block=200), payment(block=201, sequence=1, tx_hash=tx_hash(2))])
    town.set_metadata(CUSTOMER, {"wallet_address": WALLET, "gateway_payments": "off"})
    town.nodes[0].views["customerOf"] = int.from_bytes(customer_id_to_bytes32("cus_Other"))

    async def scenario() -> None:
        services = town.process()
        reader = CustomerReader(services.stripe, services.gateways)
        facts = await reader.read(CUSTOMER)
        assert facts is not None
        assert (facts.payments, facts.wallets, facts.last_activity) == (2, (WALLET,), None)
        assert facts.elsewhere == {WALLET: "cus_Other"}
        assert facts.obstacle == "not_payable"
        town.nodes[0].views["customerOf"] = int.from_bytes(customer_id_to_bytes32(CUSTOMER))
        own = await reader.read(CUSTOMER)
        assert own is not None
        assert not own.elsewhere
        assert (await reader.read("cus_Nobody"), await reader.read(SERVICE)) == (None, None)

    town.run(scenario())


def test_without_the_chain_the_rest_is_read() -> None:
    town = Town([payment(block=200)])
    town.set_metadata(CUSTOMER, {"wallet_address": WALLET})

    def fail(_: object) -> object:
        raise NodeError("down")

    town.nodes[0].lies["eth_call"] = fail

    async def scenario() -> None:
        services = town.process()
        reader = CustomerReader(services.stripe, services.gateways)
        facts = await reader.read(CUSTOMER)
        assert facts is not None
        assert (facts.payments, facts.owners, facts.wallets) == (None, {}, (WALLET,))
        assert await reader.find_owners([WALLET]) is None

    town.run(scenario())


def test_a_deleted_customer_is_read_with_its_payments() -> None:
    town = Town([payment(block=200)])
    town.customer(CUSTOMER).deleted = True

    async def scenario() -> None:
        services = town.process()
        facts = await CustomerReader(services.stripe, services.gateways).read(CUSTOMER)
        assert facts is not None
        assert (facts.customer.deleted, facts.payments, facts.last_activity) == (True, 1, None)

    town.run(scenario())
