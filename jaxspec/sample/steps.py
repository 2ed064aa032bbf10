"""Many lanes at the same step: routines that ask for evaluations are answered all at once.

What a sampler decides between evaluations (where the mode is, how long a step is, how the
coordinates bend) differs from lane to lane and is host code. Each lane runs as a generator that
yields what it wants evaluated; `in_step` gathers the wishes of all lanes into one compiled call.
"""

from __future__ import annotations


def in_step(routines, answer) -> list:
    """Run generators side by side.

    Parameters
    ----------
    routines : list of generators
        Each yields questions, is sent the answers, and returns its result.
    answer : callable ``(questions, which) -> answers``
        ``which`` are the numbers of the routines that ask.

    Returns
    -------
    list of what the routines return

    Examples
    --------
    >>> def double(x):
    ...     return (yield x)
    >>> in_step([double(1), double(2)], lambda asked, which: [2 * x for x in asked])
    [2, 4]
    """
    results, asking = [None] * len(routines), {}

    def go_on(i, *given):
        try:
            asking[i] = routines[i].send(*given)
        except StopIteration as end:
            results[i] = end.value
            asking.pop(i, None)

    for i in range(len(routines)):
        go_on(i, None)
    while asking:
        which = list(asking)
        answers = answer([asking[i] for i in which], which)
        for i, given in zip(which, answers, strict=True):
            go_on(i, given)
    return results


def alone(routine, answer):
    """Run one generator; ``answer(question)``."""
    return in_step([routine], lambda asked, which: [answer(asked[0])])[0]
