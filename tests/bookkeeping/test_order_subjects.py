"""What an order can be about."""

from stateless_billing.bookkeeping.order_subjects import OrderSubject, WalletSubject
from stateless_billing.domain import order_rules
from tests.fakes.factories import WALLET, payment


def test_a_wallet_is_never_taken_for_a_payment() -> None:
    wallet: OrderSubject = WalletSubject(WALLET)
    about_a_payment: OrderSubject = payment()
    assert wallet.identity == f"wallet:{WALLET}"
    assert about_a_payment.identity.split(":")[0].isdigit()
    assert order_rules.WALLET_PREFIX not in about_a_payment.identity


def test_orders_about_a_wallet_are_searched_from_the_beginning() -> None:
    assert WalletSubject(WALLET).time == 0
