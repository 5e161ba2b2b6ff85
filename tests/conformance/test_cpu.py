"""CPU follows memory: as a weight among those that want it, or with `cpu = strict` as a ceiling. Initialisation has full speed."""

import concurrent.futures

import pytest

pytestmark = pytest.mark.alone

SPIN = """
import time

def spin(seconds):
    end, used = time.monotonic() + seconds, time.process_time()
    while time.monotonic() < end:
        pass
    return (time.process_time() - used) / seconds

INIT = spin(1)

def handler(event, context):
    return [INIT, spin(event)]
"""


@pytest.mark.seconds(120)
def test_a_ceiling_in_proportion_to_memory_but_not_for_initialisation(another_daemon, aws_of):
    """1,769 MB are one processor: 128 MB are 7 % of one."""
    functions = aws_of(another_daemon("--cpu", "strict")).functions()
    small = functions.make(SPIN, MemorySize=128, Timeout=30)
    init, share = functions.call(small, 3)
    assert share <= 0.15, share
    assert init > 2 * share, "initialisation was held to the ceiling, too"
    larger = functions.make(SPIN, MemorySize=512, Timeout=30)
    _, four_times = functions.call(larger, 3)
    assert 1.5 * share < four_times <= 0.45, (share, four_times)


@pytest.mark.seconds(120)
def test_a_weight_counts_only_when_others_want_the_processor(functions):
    small = functions.make(SPIN, MemorySize=128, Timeout=30)
    large = functions.make(SPIN, MemorySize=1769, Timeout=30)
    with concurrent.futures.ThreadPoolExecutor(7) as pool:
        warm = [pool.submit(functions.call, large, 1) for _ in range(6)] + [pool.submit(functions.call, small, 1)]
        [one.result() for one in warm]
        busy = [pool.submit(functions.call, large, 4) for _ in range(6)] + [pool.submit(functions.call, small, 4)]
        *of_large, of_small = [one.result()[1] for one in busy]
    assert of_small < min(of_large), (of_small, of_large)
    alone = functions.call(small, 2)[1]
    assert alone > 2 * of_small, "nobody else wanted the processor"
