"""The rate line stays in its box and runs left to right in whole numbers."""

from random import Random

from stateless_billing.pricing.rates import IMPLAUSIBLE, Sample
from stateless_billing.web.operators.rate_chart import HEIGHT, WIDTH, create_line
from tests.fakes.factories import START

CENT = 10**16


def test_fewer_than_two_prices_give_no_line() -> None:
    absurd = Sample(START + 60, IMPLAUSIBLE)
    for samples in ([], [Sample(START, CENT)], [Sample(START, CENT), absurd], [absurd, absurd]):
        assert create_line(samples) is None
    assert create_line([Sample(START, CENT), Sample(START, 2 * CENT)]) is None


def test_a_rising_price_goes_from_the_lower_left_to_the_upper_right() -> None:
    drawn = create_line([Sample(START, CENT), Sample(START + 60, 2 * CENT), Sample(START + 120, 3 * CENT)])
    assert drawn
    assert drawn.points == f"0,{HEIGHT} {WIDTH // 2},{HEIGHT // 2} {WIDTH},0"
    assert (drawn.lowest, drawn.highest) == (CENT, 3 * CENT)
    assert (drawn.first.time, drawn.last.time) == (START, START + 120)


def test_a_constant_price_is_a_line_in_the_middle() -> None:
    drawn = create_line([Sample(START, CENT), Sample(START + 60, CENT)])
    assert drawn
    assert drawn.points == f"0,{HEIGHT // 2} {WIDTH},{HEIGHT // 2}"


def test_the_line_stays_in_its_box() -> None:
    seed = Random().randrange(2**32)
    print(f"seed {seed}")
    random = Random(seed)
    for _ in range(200):
        times = sorted(random.sample(range(START, START + 86_400), random.randint(2, 300)))
        prices = [random.choice([1, CENT, 10**24, random.randrange(1, 10**20), IMPLAUSIBLE]) for _ in times]
        drawn = create_line([Sample(*pair) for pair in zip(times, prices, strict=True)])
        if drawn is None:
            continue
        points = [tuple(map(int, point.split(","))) for point in drawn.points.split()]
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
