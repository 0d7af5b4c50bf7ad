"""What callers see of the running batch: progress, an end within a step, nobody else's faults."""

from __future__ import annotations

import dataclasses
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from limner.diffusion.denoiser.bucket import Bucket
from limner.diffusion.denoiser.buckets import CONTROL, row_cost
from limner.diffusion.denoiser.denoiser import MOST_KEPT, Denoiser
from limner.diffusion.denoiser.job import Job
from limner.diffusion.denoiser.network import Network
from limner.diffusion.denoiser.pace import Given, Meter, Pace
from limner.diffusion.denoiser.sample import Sample, Verdict
from limner.errors import BrokenPicture, NetworkUnfit
from tests.diffusion.denoiser.small import SAMPLERS, Request, networks
from tests.diffusion.denoiser.stage import (
    alone,
    at_every_call,
    denoiser,
    equal,
    latents,
    rest,
    together,
)
from tests.diffusion.denoiser.stock import distance, stock_latents

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PLACES = 4


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_batch_of_every_sampler_draws_what_diffusers_draws_one_by_one(family: str) -> None:
    requests = [
        Request(family, sampler=name, steps=3 + at, seeds=(at,), words=at, control=0.2 * at,
                guidance=1.5 * at + 1, arrives=at, control_window=2 + at)
        for at, name in enumerate(SAMPLERS)
    ]  # fmt: skip
    for request, own in zip(requests, together(requests, PLACES), strict=True):
        assert distance(own, stock_latents(request)) < 1e-5


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_picture_is_drawn_over_from_the_middle_of_the_way(sampler: str) -> None:
    """diffusers' img2img of strength 0.4: the last 2 steps of 5, windows counted from noise."""
    request = Request(sampler=sampler, steps=5, first=3, control=0.5, control_window=4, window=4)
    steps = denoiser(PLACES).resume(request.work(), request.draft())
    told: list[float] = []
    while True:
        try:
            told.append(next(steps).done)
        except StopIteration as end:
            assert distance([end.value], stock_latents(request)) < 1e-5
            break
    assert told == [0.5, 1.0]


def test_a_longer_text_is_read_to_its_end_and_steps_in_calls_of_its_own() -> None:
    short, long = Request(steps=3), Request(steps=3, chunks=2, words=5, seeds=(2,), arrives=1)
    for request, own in zip([short, long], together([short, long], PLACES), strict=True):
        assert distance(own, stock_latents(request)) < 1e-5


def test_every_step_is_told_once_all_samples_have_taken_it() -> None:
    """Three guided samples do not fit into one call of four places."""
    request = Request(steps=4, seeds=(1, 2, 3))
    job = denoiser(PLACES).begin(request.work(), request.seeds)
    done: list[float] = []
    for progress in job.follow():
        done.append(progress.done)
        assert min(sample.heard for sample in job.samples) >= len(done)
    assert done == [0.25, 0.5, 0.75, 1.0]


def test_requests_share_calls() -> None:
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    both = [Request(steps=4), Request(steps=4, seeds=(2,), words=1, sampler="euler", arrives=1)]
    with at_every_call(count, ["sd15"]):
        together(both, PLACES)
    # The second joins while the first's first step is computed.
    assert calls == 5


def test_it_counts_its_steps_and_how_full_they_were() -> None:
    ours = denoiser(PLACES)
    for request in (Request(steps=4), Request(steps=4, seeds=(1, 2, 3))):
        latents(ours.draw(request.work(), request.seeds))
    # A guided sample alone fills half of four places, four times. Three of them take twelve steps,
    # two at a time whoever is behind: six full calls.
    assert (ours.meter.pace.steps, ours.meter.pace.rows, ours.meter.pace.places) == (
        10,
        8 + 24,
        16 + 24,
    )
    assert ours.meter.pace.seconds > 0


def test_a_step_of_several_calls_counts_all_their_places() -> None:
    meter = Meter(iter([5.0, 9.0, 11.5]).__next__)
    meter.heard(Given(at=4.5, rows=6, places=4))
    assert meter.pace == Pace(steps=1, seconds=0.5, rows=6, places=8)
    # Given to the device while it was at the one before, and after a pause.
    meter.heard(Given(at=4.8, rows=4, places=4))
    meter.heard(Given(at=11.0, rows=1, places=4))
    assert meter.pace == Pace(steps=3, seconds=0.5 + 4.0 + 0.5, rows=11, places=16)


def test_who_stops_listening_is_gone_at_the_next_step_and_leaves_the_others_alone() -> None:
    ours = denoiser(2)
    stays, goes = Request(steps=8, caller="a"), Request(steps=50, seeds=(2,), caller="b")
    job = ours.begin(goes.work(), goes.seeds)
    following = job.follow()
    next(following)
    other = ours.begin(stays.work(), stays.seeds)
    following.close()
    before = job.samples[0].taken
    assert equal(latents(other.follow()), alone(stays, 2))
    assert job.samples[0].taken <= before + 1


def test_a_row_that_breaks_leaves_alone() -> None:
    """Its first adapter's tokens are beyond all numbers; its neighbours' are not."""
    ours = denoiser(PLACES)
    sound = Request(steps=4, control=0.5)
    work = Request(steps=4, seeds=(2,)).work()
    positive = work.task.positive
    burst = dataclasses.replace(
        positive, tokens=(positive.tokens[0] * torch.inf, *positive.tokens[1:])
    )
    broken = dataclasses.replace(work, task=dataclasses.replace(work.task, positive=burst))
    jobs = list[Job]()

    def join() -> None:
        if not jobs:
            jobs.append(ours.begin(broken, (2,)))

    with at_every_call(join, ["sd15"]):
        assert equal(latents(ours.draw(sound.work(), sound.seeds)), alone(sound, PLACES))
    with pytest.raises(BrokenPicture):
        latents(jobs[0].follow())
    assert jobs[0].samples[0].taken == 1, "it left at the step at which it broke"


@contextmanager
def failing(network: Network, fails: Callable[[Tensor], bool]) -> Iterator[None]:
    """The UNet raises in calls whose latents are of a kind."""

    def hook(_: Any, given: tuple[Tensor]) -> None:
        if fails(given[0]):
            raise RuntimeError("as an accelerator raises")

    handle = network.net.conv_in.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def test_a_call_that_fails_ends_only_the_request_it_fails_for() -> None:
    ours = denoiser(PLACES)
    sound, odd = Request(steps=6, sampler="euler_ancestral"), Request(steps=6, seeds=(2,), words=1)
    expected = alone(sound, PLACES)
    bad = latents(denoiser(PLACES).draw(odd.work(), (2,)))
    assert len(bad) == 1
    marked: list[Job] = []

    def has_the_odd_one(given: Tensor) -> bool:
        if not marked:
            marked.append(ours.begin(odd.work(), odd.seeds))
        mine = marked[0].samples[0].latent
        return any(torch.equal(row, mine[0]) for row in given)

    with failing(networks("sd15").network, has_the_odd_one):
        assert equal(latents(ours.draw(sound.work(), sound.seeds)), expected)
        with pytest.raises(RuntimeError, match="as an accelerator raises"):
            latents(marked[0].follow())
    assert equal(latents(ours.draw(odd.work(), odd.seeds)), bad), "it goes on after a fault"


def until_dead() -> None:
    """A thread tells its jobs before it dies: what it dies of is for this test's hook, or the next
    test fails for it. However long that takes on a machine that has other things to do."""
    for thread in threading.enumerate():
        if thread.name == "denoise":
            thread.join()


def test_nobody_waits_for_a_thread_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limner.diffusion.denoiser.fairness.Fairness.choose", lambda *_: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ours = denoiser(PLACES)
    with pytest.raises(ZeroDivisionError):
        latents(ours.draw(Request().work(), (1,)))
    until_dead()
    monkeypatch.undo()
    assert equal(latents(ours.draw(Request().work(), (1,))), alone(Request(), PLACES))


def test_requests_from_many_threads_are_all_drawn() -> None:
    ours = Denoiser()
    requests = [Request(steps=2, seeds=(at,), words=at % 3, caller=str(at % 2)) for at in range(12)]
    drawn: dict[Request, list[Tensor]] = {}

    def ask(request: Request) -> None:
        drawn[request] = latents(ours.draw(request.work(), request.seeds))

    threads = [threading.Thread(target=ask, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(equal(drawn[request], alone(request, None)) for request in requests)


def test_a_network_with_parts_unknown_here_is_refused() -> None:
    odd = networks("sd15").unet
    before = odd.config.center_input_sample
    odd.register_to_config(center_input_sample=True)
    try:
        with pytest.raises(NetworkUnfit, match="center_input_sample"):
            Network(odd)
    finally:
        odd.register_to_config(center_input_sample=before)


def test_what_is_charged_is_what_was_run() -> None:
    """Two guided rows for five steps, the ControlNet in the first two of them."""
    ours = denoiser(PLACES)
    request = Request(steps=5, control=0.5, control_window=2)
    latents(ours.draw(request.work(), request.seeds))
    done = ours._fairness._done  # pyright: ignore[reportPrivateUsage]
    plain = row_cost(request.size, 0, xl=False)
    assert done == pytest.approx(2 * plain * (5 + 2 * CONTROL))


def test_nobody_waits_for_what_a_thread_was_hearing_when_it_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An accelerator tells its faults late: the short one has taken its last step by then."""
    heard = Verdict.hear

    def hear(verdict: Verdict) -> list[Sample]:
        if any(sample.done for sample in verdict._samples):
            raise RuntimeError("as an accelerator raises")
        return heard(verdict)

    monkeypatch.setattr(Verdict, "is_known", False)
    monkeypatch.setattr(Verdict, "hear", hear)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ours = denoiser(2)
    long, short = Request(steps=9), Request(steps=2, seeds=(2,), caller="b")
    jobs = [ours.begin(request.work(), request.seeds) for request in (long, short)]
    for job in jobs:
        told: object = None
        while not isinstance(told, BaseException):
            told = job._heard.get(timeout=20)
        assert str(told) == "as an accelerator raises"
    until_dead()


def test_before_each_is_tried_alone_what_the_failed_call_made_is_given_back() -> None:
    made: list[weakref.ref[Tensor]] = []
    gone: list[bool] = []

    def full(_: Any, given: tuple[Tensor]) -> None:
        gone.extend(each() is None for each in made)
        large = given[0] + 1
        made.append(weakref.ref(large))
        if int(given[0].flatten(1).any(1).sum()) > 2:
            raise torch.OutOfMemoryError

    requests = [Request(steps=3), Request(steps=3, seeds=(2,), words=1, arrives=1)]
    expected = [alone(request, PLACES) for request in requests]
    with networks("sd15").network.net.conv_in.register_forward_pre_hook(full):
        drawn = together(requests, PLACES)
    assert all(equal(*pair) for pair in zip(drawn, expected, strict=True))
    assert gone
    assert all(gone)


def test_buckets_stay_while_somebody_sits_in_them_and_few_of_them_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a GPU one that is made anew at every step is recorded anew at every step."""
    made: list[Bucket] = []

    def counted(*told: Any) -> Bucket:
        made.append(Bucket(*told))
        return made[-1]

    monkeypatch.setattr("limner.diffusion.denoiser.denoiser.Bucket", counted)
    ours, all_came, network = denoiser(2), threading.Event(), networks("sd15").network
    sizes = [(64, 8 * side) for side in range(4, 4 + MOST_KEPT + 2)]
    requests = [Request(steps=3, size=size, caller=str(size)) for size in sizes]

    def wait() -> None:
        assert all_came.wait(20)

    with at_every_call(wait, ["sd15"]):
        jobs = [ours.begin(request.work(), request.seeds) for request in requests]
        all_came.set()
        for job in jobs:
            latents(job.follow())
    rest(ours)
    assert len(made) == len(sizes)
    assert list(ours._buckets[network].values()) == made[-MOST_KEPT:]
