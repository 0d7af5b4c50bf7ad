"""The thread in which all denoising of one device happens, a step at a time.

Between two steps whoever is new joins, whoever is done or given up leaves, and it is decided whose
turn it is. What goes wrong with one request ends that request: a call that fails is made again for
each of its requests alone, which changes no bit of theirs, and numbers that are not finite leave
without the others. The thread lives while there is something to do.

Knows samples and turns; knows no prompt, no face, and of requests only whom they are for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor

from limner.diffusion.denoiser.bucket import Bucket
from limner.diffusion.denoiser.buckets import row_cost, rows_per_call
from limner.diffusion.denoiser.coefficients import Coefficients, coefficients
from limner.diffusion.denoiser.network import Network
from limner.diffusion.denoiser.pace import Pace
from limner.diffusion.denoiser.reading import rows_of
from limner.diffusion.denoiser.sample import Sample, advance
from limner.diffusion.denoiser.turns import Turns, Waiting
from limner.diffusion.sampling import Draft, Progress, Task, noise
from limner.errors import BrokenPicture

#: A step that all samples have taken, the latents in the end, or what went wrong.
Heard = Progress | list[Tensor] | BaseException

Rows = Callable[[torch.device, tuple[int, int]], int]


@dataclass(frozen=True, eq=False)
class Work:
    """What a picture is drawn with. ``scheduler`` makes a fresh diffusers scheduler.

    ``caller``: whose share of the device it uses.
    """

    network: Network
    scheduler: Callable[[], Any]
    task: Task
    caller: str = ""


@dataclass(eq=False, slots=True)
class Job:
    """One request's samples on their way, and what is heard of them."""

    work: Work
    samples: Sequence[Sample]
    #: Nobody waits for it any more: it is done, has failed, or was given up.
    over: bool = False
    _told: int = 0
    _heard: SimpleQueue[Heard] = field(default_factory=SimpleQueue[Heard])

    def follow(self) -> Generator[Progress, None, list[Tensor]]:
        """Yield when all samples have taken a step; return their fp32 latents.

        Closing it gives the job up within a step. Raises what went wrong with it.
        """
        try:
            while True:
                match self._heard.get():
                    case Progress() as progress:
                        yield progress
                    case BaseException() as fault:
                        raise fault
                    case latents:
                        return latents
        finally:
            self.over = True

    def tell(self) -> None:
        """Tell what is new. For the denoiser."""
        first = self.samples[0]
        while self._told < min(sample.taken for sample in self.samples):
            self._told += 1
            self._heard.put(Progress(self._told / len(first.table), first.picture.cpu()))
        if all(sample.done for sample in self.samples):
            self._heard.put([sample.latent.cpu() for sample in self.samples])
            self.over = True

    def fail(self, fault: BaseException) -> None:
        """Tell that there will be no picture. For the denoiser."""
        self._heard.put(fault)
        self.over = True


@dataclass(eq=False, slots=True)
class _Live(Waiting):
    """A sample that waits for its next step."""

    sample: Sample
    job: Job


class Denoiser:
    """One device's. Safe to use from several threads; their requests share its steps."""

    def __init__(self, rows: Rows = rows_per_call) -> None:
        """``rows``: in one call, for a device and a size (width, height)."""
        #: What it has done so far.
        self.pace = Pace()
        self._rows = rows
        self._turns = Turns()
        self._live: list[_Live] = []
        self._buckets: dict[Hashable, Bucket] = {}
        self._arrived: list[Job] = []
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

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
            self._arrived.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="denoise")
                self._thread.start()
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
                for job in {each.job for each in self._live} | set(self._arrived):
                    job.fail(fault)
                self._live, self._arrived = [], []
            raise

    def _joined(self) -> bool:
        """Let in who is new, and out who is done; tell whether anybody is left."""
        with self._lock:
            self._live = [each for each in self._live if not each.job.over and not each.sample.done]
            for job in self._arrived:
                if not job.over:
                    self._live += self._seated(job)
            self._arrived = []
            used = {each.company for each in self._live}
            self._buckets = {key: self._buckets[key] for key in self._buckets if key in used}
            if not self._live:
                self._thread = None
            return bool(self._live)

    def _seated(self, job: Job) -> list[_Live]:
        work, task = job.work, job.work.task
        network = work.network
        # Every tensor of a call has one shape: a longer text is another company.
        lengths = tuple(
            each.shape[1] for each in (task.positive.said.states, *task.positive.tokens)
        )
        company = (network, task.size, lengths)
        rows, steps = len(job.samples[0].rows), len(job.samples[0].table)
        cost = rows * row_cost(task.size, len(task.controls), xl=network.xl)
        busy = {each.caller for each in self._live}
        due = self._turns.arrive(work.caller, cost * steps * len(job.samples), busy)
        return [
            _Live(work.caller, due, company, rows, cost, 0, sample, job) for sample in job.samples
        ]

    def _step(self) -> None:
        """Whose turn it is, and who fills up the call, take a step."""
        chosen = self._turns.choose(self._live, self._places)
        self._turns.charge(chosen)
        try:
            self._advance(chosen)
        except Exception as fault:  # noqa: BLE001 - it is raised again where the request is drawn
            jobs = list(dict.fromkeys(each.job for each in chosen))
            if len(jobs) == 1:
                jobs[0].fail(fault)
                return
            for job in jobs:
                self._alone([each for each in chosen if each.job is job])

    def _alone(self, chosen: Sequence[_Live]) -> None:
        """A step of one job's samples; its fault is its own."""
        try:
            self._advance(chosen)
        except Exception as fault:  # noqa: BLE001 - it is raised again where the request is drawn
            chosen[0].job.fail(fault)

    def _advance(self, chosen: Sequence[_Live]) -> None:
        """Compute the samples' rows, as many calls as they need, and take the step."""
        began = time.perf_counter()
        samples = [each.sample for each in chosen]
        asked = [row for sample in samples for row in sample.asked()]
        places, company = self._places(chosen[0]), chosen[0].company
        if company not in self._buckets:
            self._buckets[company] = Bucket(chosen[0].job.work.network, places)
        predicted: list[Tensor] = []
        for first in range(0, len(asked), places):
            predicted += self._buckets[company](asked[first : first + places])
        answers = iter(predicted)
        broken = advance(samples, [[next(answers) for _ in sample.rows] for sample in samples])
        for each in chosen:
            each.taken += 1
            if each.sample in broken:
                each.job.fail(BrokenPicture("The UNet's numbers are not finite."))
        for job in {each.job for each in chosen}:
            if not job.over:
                job.tell()
        self.pace = self.pace.after(time.perf_counter() - began, len(asked), places)

    def _places(self, each: _Live) -> int:
        work = each.job.work
        return self._rows(work.network.net.device, work.task.size)
