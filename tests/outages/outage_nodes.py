"""Nodes stand still, disagree, stop becoming final, or are away; the process that serves does not sweep."""

import time

from tests.outages.world import Recovery, World

RETURN_SECONDS = 45.0  # a node that failed is asked again after 30 s
UNDISTURBED_SECONDS = 20.0
SMALL_CENTS, LARGE_CENTS = 500, 20_000
LAG_SECONDS = 8  # more than "a few seconds" behind the other node


def outage_node_stands_still(world: World) -> Recovery:
    """The first of two nodes answers as of an old block: quotes and credits follow the second."""
    with world.started(nodes=2) as scene:
        web, _ = scene.start()
        first, *others = scene.bills(web, *[SMALL_CENTS] * 3)
        scene.pay_all([first])
        scene.seconds_until_credited([first], time.monotonic())
        second = scene.bill(web, first.customer, SMALL_CENTS, before=first.balance)
        scene.faulty[0].stand_still()
        time.sleep(world.lasting(75, LAG_SECONDS))
        scene.pay_all([second])
        third = scene.bill(web, first.customer, SMALL_CENTS, before=second.balance)
        hashes = scene.pay_all([third, *others])  # reverts if the quote has a used sequence
        since = time.monotonic()
        with scene.observe(web, hashes) as observer:
            seconds = scene.seconds_until_credited([third, *others], since)
    return Recovery(seconds, UNDISTURBED_SECONDS, observer.payers, observer.readiness)


def outage_node_away_small(world: World) -> Recovery:
    """One of two nodes is away: small quoted payments are credited on the other's word, whatever their depth."""
    with world.started(nodes=2) as scene:
        web = scene.stack.serve(SWEEP="off")
        final, fresh = scene.bills(web, SMALL_CENTS, SMALL_CENTS)
        scene.nodes[1].refuse()
        [tx_hash] = scene.pay_all([final])
        scene.wait_until_final(tx_hash)
        fresh_hashes = scene.pay_all([fresh])
        since = time.monotonic()
        scene.stack.sweeper()
        with scene.observe(web, [tx_hash, *fresh_hashes]) as observer:
            seconds = scene.seconds_until_credited([final, fresh], since)
    return Recovery(seconds, UNDISTURBED_SECONDS, observer.payers, observer.readiness)


def outage_node_away_large(world: World) -> Recovery:
    """One of two nodes is away: a large and a plain payment wait for it, and say so."""
    with world.started(nodes=2) as scene:
        web, _ = scene.start()
        bills = [scene.plain_bill(web), *scene.bills(web, LARGE_CENTS)]
        scene.nodes[1].refuse()
        hashes = scene.pay_all(bills)
        scene.wait_until_final(hashes[-1])
        with scene.observe(web, hashes) as observer:
            time.sleep(world.lasting(60, 8))
        assert not any(map(scene.is_credited, bills))
        since = time.monotonic()
        scene.nodes[1].restore()
        seconds = scene.seconds_until_credited(bills, since)
    unsaid = observer.unsaid("confirming: node_unavailable")
    return Recovery(seconds, RETURN_SECONDS, observer.payers, observer.readiness, unsaid)


def outage_nodes_disagree(world: World) -> Recovery:
    """Two nodes show different payments: a large payment waits for their agreement."""
    with world.started(nodes=2) as scene:
        web, _ = scene.start()
        bills = scene.bills(web, LARGE_CENTS)
        scene.faulty[1].disagree()
        hashes = scene.pay_all(bills)
        scene.wait_until_final(hashes[0])
        with scene.observe(web, hashes) as observer:
            time.sleep(world.lasting(60, 8))
        assert not scene.is_credited(bills[0])
        scene.faulty[1].recover()
        seconds = scene.seconds_until_credited(bills, time.monotonic())
    unsaid = observer.unsaid("confirming: node_disagreement")
    return Recovery(seconds, RETURN_SECONDS, observer.payers, observer.readiness, unsaid)


def outage_finality_stalls(world: World) -> Recovery:
    """`safe` and `finalized` stand still for more than an hour of the chain's time, and move on."""
    with world.started(timestamp=int(time.time()) - 2 * 3600) as scene:
        scene.faulty[0].stall_finality()
        scene.stack.chain.advance(2 * 3600)
        time.sleep(2)
        web, _ = scene.start()
        bills = scene.bills(web, LARGE_CENTS)
        hashes = scene.pay_all(bills)
        scene.wait_until_final(hashes[0])
        with scene.observe(web, hashes) as observer:
            time.sleep(world.lasting(40, 5))
        scene.faulty[0].recover()
        seconds = scene.seconds_until_credited(bills, time.monotonic())
    unsaid = observer.unsaid("confirming: finality_stalled")
    return Recovery(seconds, RETURN_SECONDS, observer.payers, observer.readiness, unsaid)


def outage_nodes_away(world: World) -> Recovery:
    """No node answers; payments are made meanwhile."""
    with world.started(nodes=2) as scene:
        web, _ = scene.start()
        bills = scene.bills(web, *[SMALL_CENTS] * 3)
        for node in scene.nodes:
            node.refuse()
        with scene.observe(web, scene.pay_all(bills)[:1]) as observer:
            time.sleep(world.lasting(60, 5))
        since = time.monotonic()
        for node in scene.nodes:
            node.restore()
        seconds = scene.seconds_until_credited(bills, since)
    unsaid = observer.unsaid("not ready (chain")
    return Recovery(seconds, RETURN_SECONDS, observer.payers, observer.readiness, unsaid)
