"""The thread in which all denoising of one device happens, a step at a time.

Between two steps whoever is new joins, whoever is done or given up leaves, and it is decided whose
turn it is. What goes wrong with one request ends that request: a call that fails is made again for
each of its requests alone, which changes no bit of theirs, and numbers that are not finite leave
without the others. The thread lives while there is something to do.

Knows samples and turns; knows no prompt, no face, and of requests only whom they are for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from limner.diffusion.denoiser.bucket import Bucket
from limner.diffusion.denoiser.buckets import row_cost, rows_per_call
from limner.diffusion.denoiser.coefficients import Coefficients, coefficients
from limner.diffusion.denoiser.fairness import Fairness, Waiting
from limner.diffusion.denoiser.graphs import Recorder, at_once
from limner.diffusion.denoiser.job import Job, Work
from limner.diffusion.denoiser.network import Network
from limner.diffusion.denoiser.pace import Given, Meter
from limner.diffusion.denoiser.reading import rows_of
from limner.diffusion.denoiser.sample import Sample, Verdict, advance
from limner.diffusion.sampling import Draft, Progress, noise
from limner.errors import BrokenPicture

#: Rows in one call, for a device, a size (width, height) and the rows of one sample.
Rows = Callable[[torch.device, tuple[int, int], int], int]

#: Buckets of one network that stay when nobody sits in them.
MOST_KEPT = 4


class Shape(NamedTuple):
    """Of a call's tensors: the picture (width, height), how many tokens each row reads, and how
    many rows there is room for."""

    size: tuple[int, int]
    lengths: tuple[int, ...]
    places: int


@dataclass(eq=False, slots=True)
class _Live(Waiting):
    """A sample that waits for its next step."""

    sample: Sample
    job: Job
    shape: Shape


@dataclass(frozen=True, eq=False, slots=True)
class _Taken:
    """A step that the device may still be at. ``jobs``: each sample's."""

    jobs: Sequence[Job]
    samples: Sequence[Sample]
    verdict: Verdict
    given: Given


class Denoiser:
    """One device's. Safe to use from several threads; their requests share its steps."""

    def __init__(self, rows: Rows = rows_per_call) -> None:
        self.meter = Meter()
        self._rows = rows
        self._fairness = Fairness()
        self._live: list[_Live] = []
        self._taken: list[_Taken] = []
        self._buckets: WeakKeyDictionary[Network, OrderedDict[Shape, Bucket]] = WeakKeyDictionary()
        self._recorder = Recorder()
        self._arrived: list[Job] = []
        #: Let in and not over, even where no step of theirs is left but what it came to.
        self._jobs: list[Job] = []
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        #: Held by whoever decodes or encodes a picture on this device, while steps go on: one at a
        #: time, since memory is planned for one.
        self.decoding = threading.Lock()

    def draw(self, work: Work, seeds: Sequence[int]) -> Generator[Progress, None, list[Tensor]]:
        """Yield after each step; return fp32 latents [1, 4, h, w] on the CPU for each seed.

        Closing it gives the work up within a step. Raises BrokenPicture where the numbers stop
        being finite, and what the network raises.
        """
        return (yield from self.begin(work, seeds).follow())

    def resume(self, work: Work, draft: Draft) -> Generator[Progress, None, Tensor]:
        """Draw over what is there: yield after each step, return latents.

        The steps are the schedule's last, with the numbers they have in it: SDEdit (Meng et al.
        2021, arXiv 2108.01073), of the strength 1 - first / steps. Raises as :meth:`draw` does.
        """
        table = coefficients(work.scheduler, work.task.steps, draft.first)
        own, fresh = table.laid_over
        latent = (own * draft.latent.double() + fresh * draft.noise.double()).float()
        # A sampler that draws noise on the way goes on with that of a seed of its own.
        generator = torch.Generator("cpu").manual_seed(draft.first)
        job = self._admit(work, table, [(latent, generator)])
        return (yield from job.follow())[0]

    def begin(self, work: Work, seeds: Sequence[int]) -> Job:
        """Let a picture for each seed into the running batch."""
        table = coefficients(work.scheduler, work.task.steps)
        starts = [(table.start * drawn, after) for drawn, after in noise(seeds, work.task.size)]
        return self._admit(work, table, starts)

    def _admit(
        self, work: Work, table: Coefficients, starts: Sequence[tuple[Tensor, torch.Generator]]
    ) -> Job:
        """Read what is read at every step, here and now; the thread has better things to do."""
        rows = rows_of(work.network, work.task)
        samples: list[Sample] = []
        for latent, generator in starts:
            here = latent.to(work.network.net.device)
            samples.append(Sample(work.task, table, rows, here, generator, torch.zeros_like(here)))
        job = Job(work, samples)
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="denoise")
                thread.start()
                self._thread = thread
            self._arrived.append(job)
        return job

    def _run(self) -> None:
        """Step until there is nothing left to do."""
        try:
            with torch.inference_mode():
                while self._joined():
                    self._step()
        except BaseException as fault:
            # Nobody may wait for ever for a thread that is gone.
            with self._lock:
                self._thread = None
                for job in (*self._jobs, *self._arrived):
                    job.fail(fault)
                self._live, self._taken, self._jobs, self._arrived = [], [], [], []
            raise

    def _joined(self) -> bool:
        """Let in who is new, and out who is done; tell whether anybody is left."""
        with self._lock:
            new = [job for job in self._arrived if not job.over]
            self._jobs = [*(job for job in self._jobs if not job.over), *new]
            self._arrived = []
            self._live = [each for each in self._live if not each.job.over and not each.sample.done]
            for job in new:
                self._live += self._seated(job)
            self._empty_buckets()
            if not self._live:
                # Who was given up just now may have been what the others' last step waited for.
                self._hear_all()
                self._thread = None
            return bool(self._live)

    def _empty_buckets(self) -> None:
        """Of buckets that nobody sits in, few are kept, those used last, and nothing in them."""
        used = {each.company for each in self._live}
        for network, kept in self._buckets.items():
            free = [shape for shape in kept if (network, shape) not in used]
            for shape in free:
                kept[shape].clear()
            for shape in free[:-MOST_KEPT]:
                del kept[shape]

    def _seated(self, job: Job) -> list[_Live]:
        work, network = job.work, job.work.network
        first = job.samples[0]
        rows = len(first.rows_at(first.step))
        shape = self._shape(work, rows, len(first.rows))
        company = network, shape
        steps = range(first.step, first.step + len(first.table))
        costs = [_cost(first, step, xl=network.xl) for step in steps]
        busy = {each.caller for each in self._live}
        due = self._fairness.arrive(work.caller, sum(costs) * len(job.samples), busy)
        return [
            _Live(work.caller, due, company, rows, costs[0], 0, sample, job, shape)
            for sample in job.samples
        ]

    def _step(self) -> None:
        """Whose turn it is, and who fills up the call, take a step."""
        chosen = self._fairness.choose(self._live, lambda each: each.shape.places)
        self._fairness.charge(chosen)
        before, self._taken = self._taken, []
        self._take(chosen)
        # The device is at this step: what the one before came to is heard meanwhile.
        for taken in before:
            self._hear(taken)
        left = any(not each.sample.done and not each.job.over for each in self._live)
        if not left or all(taken.verdict.is_known for taken in self._taken):
            self._hear_all()

    def _take(self, chosen: Sequence[_Live]) -> None:
        """A step; one that fails is taken by each of its jobs alone, whose fault it is then."""
        jobs = list(dict.fromkeys(each.job for each in chosen))
        try:
            self._advance(chosen)
        except Exception as fault:  # noqa: BLE001 - it is raised again where the request is drawn
            if len(jobs) == 1:
                jobs[0].fail(fault)
                return
        else:
            return
        # Not before the fault is gone: its frames hold all that the failed call had made.
        for job in jobs:
            self._take([each for each in chosen if each.job is job])

    def _advance(self, chosen: Sequence[_Live]) -> None:
        """Compute the samples' rows, as many calls as they need, and take the step."""
        began = self.meter.clock()
        samples = [each.sample for each in chosen]
        asked = [row for sample in samples for row in sample.asked()]
        places, bucket = chosen[0].shape.places, self._bucket(chosen[0])
        predicted: list[Tensor] = []
        for first in range(0, len(asked), places):
            predicted += bucket(asked[first : first + places])
        answers = iter(predicted)
        predictions = [[next(answers) for _ in range(each.rows)] for each in chosen]
        verdict = advance(samples, predictions)
        for each in chosen:
            each.taken += 1
            if not each.sample.done:
                self._make_ready(each)
        given = Given(began, len(asked), places)
        self._taken.append(_Taken([each.job for each in chosen], samples, verdict, given))

    def _make_ready(self, each: _Live) -> None:
        """What its next step asks for: at what cost and, where guidance begins or rests, how many
        rows in whose company."""
        sample, work = each.sample, each.job.work
        each.cost = _cost(sample, sample.step, xl=work.network.xl)
        rows = len(sample.rows_at(sample.step))
        if rows != each.rows:
            each.rows = rows
            each.shape = self._shape(work, rows, len(sample.rows))
            each.company = work.network, each.shape

    def _hear_all(self) -> None:
        while self._taken:
            self._hear(self._taken.pop(0))

    def _hear(self, step: _Taken) -> None:
        """Tell the jobs what their step came to."""
        broken = step.verdict.hear()
        self.meter.heard(step.given)
        for job, sample in zip(step.jobs, step.samples, strict=True):
            if sample in broken:
                job.fail(BrokenPicture("The UNet's numbers are not finite."))
        for job in dict.fromkeys(step.jobs):
            if not job.over:
                job.tell()

    def _bucket(self, each: _Live) -> Bucket:
        """Its company's, and the next's: on a GPU the first call is recorded for seconds."""
        network, shape = each.job.work.network, each.shape
        kept = self._buckets.setdefault(network, OrderedDict())
        if shape not in kept:
            calls = self._recorder.recordings() if network.recorded else at_once
            kept[shape] = Bucket(network, shape.places, calls)
        kept.move_to_end(shape)
        return kept[shape]

    def _shape(self, work: Work, rows: int, own: int) -> Shape:
        """Every tensor of a call has one shape: who says more keeps other company, and so does who
        asks for ``rows`` of its ``own`` only.

        Those have calls of so much fewer places: else a step without guidance would cost somebody
        who is alone as much as one with it. It is the same number at any load, as all others are.
        """
        task = work.task
        read = task.positive.said.states, *task.positive.tokens
        places = max(1, self._rows(work.network.net.device, task.size, own) * rows // own)
        return Shape(task.size, tuple(each.shape[1] for each in read), places)


def _cost(sample: Sample, step: int, *, xl: bool) -> float:
    """TFLOP of a sample's step: a ControlNet whose window is closed is not run, nor charged."""
    task = sample.task
    heard = sum(bool(control.at(step)) for control in task.controls)
    return len(sample.rows_at(step)) * row_cost(task.size, heard, xl=xl)
