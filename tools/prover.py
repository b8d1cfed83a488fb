"""Runs halmos with two cheat codes of forge that it lacks: `recordLogs` and `getRecordedLogs`.

Needs .venv-prove, and what tools/prove.py built. The arguments are those of halmos. The logs are those of the check's
own calls, of any depth, that did not revert, since its last `recordLogs`.
"""

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import halmos.__main__ as prover
from halmos.bytevec import ByteVec
from halmos.cheatcodes import hevm_cheat_code
from halmos.sevm import CallContext, EventLog

RECORD, RECORDED = 0x41AF2F52, 0x191553A4
WORD = 32
others = hevm_cheat_code.handle


def handle(sevm, ex, arg, stack):
    """Answer the two cheat codes and leave all others to halmos."""
    selector = bytes(arg[:4].unwrap()) if isinstance(arg[:4].unwrap(), bytes) else b""
    if selector == RECORD.to_bytes(4):
        return ByteVec()
    if selector == RECORDED.to_bytes(4):
        return encoded(list(recorded(ex.context.trace)))
    return others(sevm, ex, arg, stack)


def recorded(trace: list) -> Iterator[EventLog]:
    """Yield the logs since the last recordLogs in this call."""
    starts = [place for place, item in enumerate(trace) if is_record(item)]
    yield from logs(trace[starts[-1] :] if starts else [])


def is_record(item: object) -> bool:
    """Return whether this is a call of recordLogs."""
    if not isinstance(item, CallContext) or item.message.data is None or len(item.message.data) != 4:
        return False
    return item.message.data.unwrap() == RECORD.to_bytes(4)


def logs(trace: list) -> Iterator[EventLog]:
    """Yield the logs in a trace and, at their places, those of the calls in it that succeeded."""
    for item in trace:
        if isinstance(item, EventLog):
            yield item
        elif isinstance(item, CallContext) and item.output.error is None:
            yield from logs(item.trace)


def encoded(entries: list[EventLog]) -> ByteVec:
    """Return the ABI's encoding of `(bytes32[] topics, bytes data, address emitter)[]`."""
    tails = [entry(item) for item in entries]
    answer = words(WORD, len(tails))
    offset = WORD * len(tails)
    for tail in tails:
        answer.append(offset.to_bytes(WORD))
        offset += len(tail)
    for tail in tails:
        answer.append(tail)
    return answer


def entry(item: EventLog) -> ByteVec:
    """Return the encoding of one log."""
    data = item.data if item.data is not None else ByteVec()
    answer = words(3 * WORD, (4 + len(item.topics)) * WORD)
    answer.append(ByteVec(bytes(12)))
    answer.append(item.address)
    answer.append(len(item.topics).to_bytes(WORD))
    for topic in item.topics:
        answer.append(topic)
    answer.append(len(data).to_bytes(WORD))
    answer.append(data)
    answer.append(bytes(-len(data) % WORD))
    return answer


def words(*numbers: int) -> ByteVec:
    """Return these numbers as 32 bytes each."""
    return ByteVec(b"".join(number.to_bytes(WORD) for number in numbers))


hevm_cheat_code.handle = staticmethod(handle)
prover.subprocess = SimpleNamespace(run=lambda _: SimpleNamespace(returncode=0))  # it would build once more

if __name__ == "__main__":
    sys.exit(prover.main())
