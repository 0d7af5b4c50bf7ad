"""Limner's running batch against one request at a time and batches of whole requests.

``python -m bench.step_batching [tiny|middle|sd15] [places] [--requests 20]``: the same networks,
the same requests at the same times, three servers: diffusers' UNet, processors and scheduler on one
request after the other; the same on requests that wait for like ones in a window; Limner's
denoiser. Requests come at random (Poisson) at shares of what the first server can do.

On a CPU time is this process's own CPU time, and nobody waits in earnest: a server that has nothing
to do is moved on to the next arrival. So others on the machine change little. On a GPU time is the
clock's, Limner's network is compiled as a server's is, and its requests come from threads of their
own. Knows denoisers; knows no prompt, no VAE and no HTTP.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor

from bench.networks import TOKENS, Twins, twins
from limner.diffusion.denoiser.denoiser import Denoiser
from limner.diffusion.denoiser.job import Job, Work
from limner.diffusion.denoiser.network import Network
from limner.diffusion.machine import name_of
from limner.diffusion.sampling import Condition, Task, constant, noise
from limner.diffusion.schedules import ddim, dpm_2m, euler
from limner.diffusion.text import Said

SIZES = {"tiny": (64, 64), "middle": (128, 128), "sd15": (512, 512)}
SAMPLERS = {"ddim": ddim, "dpm_2m": dpm_2m, "euler": euler}
LOADS = (0.5, 0.8, 0.95)
REQUESTS = 20
#: A window is as long as this share of the mean request.
WINDOW = 0.5
#: Requests that one batch of whole requests takes.
MOST = 4
GUIDANCE = 7.5


@dataclass(frozen=True)
class Asked:
    """A request. ``at``: seconds after the first."""

    at: float
    sampler: str
    steps: int
    seed: int


class Clock:
    """CPU seconds of this process, or the clock's where the work is a GPU's, without idle ones."""

    def __init__(self, device: torch.device) -> None:
        self._read = time.process_time if device.type == "cpu" else time.perf_counter
        self._began = self._read()
        self._skipped = 0.0

    def now(self) -> float:
        return self._read() - self._began + self._skipped

    def skip_to(self, moment: float) -> None:
        """Be idle until then, in no time."""
        self._skipped += max(0.0, moment - self.now())


class Words:
    """What all requests say: the arithmetic is the same whatever it is."""

    def __init__(self, pair: Twins) -> None:
        generator = torch.Generator().manual_seed(0)
        like = {"device": pair.stock.device, "dtype": pair.stock.dtype}

        def numbers(rows: int) -> Tensor:
            return torch.randn(1, rows, pair.width, generator=generator).to(**like)

        self.text, self.tokens = (numbers(77), numbers(77)), (numbers(TOKENS), numbers(TOKENS))


class Servers:
    """Three ways to serve the same requests; each returns every request's latency."""

    def __init__(self, pair: Twins, size: tuple[int, int], places: int | None) -> None:
        self._pair, self._size = pair, size
        self._words = Words(pair)
        self._device = pair.stock.device
        self._ours = Denoiser() if places is None else Denoiser(lambda *_: places)

    def one_at_a_time(self, requests: Sequence[Asked]) -> list[float]:
        clock = Clock(self._device)
        ended: list[float] = []
        for request in requests:
            clock.skip_to(request.at)
            self._stock([request])
            ended.append(clock.now() - request.at)
        return ended

    def whole_requests(self, requests: Sequence[Asked], window: float) -> list[float]:
        """Like requests that come within a window after the first, or wait by its end."""
        clock = Clock(self._device)
        waiting, latencies = list(requests), dict[int, float]()
        while waiting:
            first = waiting[0]
            clock.skip_to(first.at)
            kind = first.sampler, first.steps
            until = max(clock.now(), first.at + window)
            like = [each for each in waiting if (each.sampler, each.steps) == kind]
            batch = [each for each in like if each.at <= until][:MOST]
            clock.skip_to(batch[-1].at if len(batch) == MOST else until)
            self._stock(batch)
            for each in batch:
                waiting.remove(each)
                latencies[each.seed] = clock.now() - each.at
        return [latencies[each.seed] for each in requests]

    def limner(self, requests: Sequence[Asked]) -> list[float]:
        """Arrivals are let in, and ends are seen, before each call of the UNet."""
        if self._device.type == "cuda":
            return self.live(requests)
        clock = Clock(self._device)
        waiting, running = list(requests), dict[Asked, Job]()
        ended: dict[Asked, float] = {}

        def look(*_: Any) -> None:
            for request, job in list(running.items()):
                if job.over:
                    ended[request] = clock.now() - request.at
                    del running[request]
            while waiting and waiting[0].at <= clock.now():
                request = waiting.pop(0)
                running[request] = self._ours.begin(self._work(request), [request.seed])

        hook = self._pair.network.net.conv_in.register_forward_pre_hook(look)
        while len(ended) < len(requests):
            if not running:
                clock.skip_to(waiting[0].at)
                look()
            for job in list(running.values()):
                for _ in job.follow():
                    pass
            look()
        hook.remove()
        return [ended[request] for request in requests]

    def live(self, requests: Sequence[Asked]) -> list[float]:
        """In earnest, because a recorded call has no inside in which to let anybody in."""
        began, latencies = time.perf_counter(), dict[int, float]()

        def ask(request: Asked) -> None:
            time.sleep(max(0.0, began + request.at - time.perf_counter()))
            for _ in self._ours.draw(self._work(request), [request.seed]):
                pass
            latencies[request.seed] = time.perf_counter() - began - request.at

        threads = [threading.Thread(target=ask, args=(each,)) for each in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [latencies[each.seed] for each in requests]

    def _work(self, request: Asked) -> Work:
        (negative, positive), (none, face) = self._words.text, self._words.tokens
        conditions = (
            Condition(Said(positive, None), (face,)),
            Condition(Said(negative, None), (none,)),
        )
        task = Task(*conditions, GUIDANCE, (constant(1.0),), self._size, request.steps)
        return Work(self._pair.network, SAMPLERS[request.sampler], task)

    @torch.inference_mode()
    def _stock(self, requests: Sequence[Asked]) -> Tensor:
        """As diffusers' pipeline loops: rows of one kind, one scheduler object."""
        scheduler = SAMPLERS[requests[0].sampler]()
        scheduler.set_timesteps(requests[0].steps)
        drawn = [latent for latent, _ in noise([each.seed for each in requests], self._size)]
        stock = self._pair.stock
        latent = torch.cat(drawn).to(stock.device) * scheduler.init_noise_sigma
        text, tokens = (
            torch.cat([each.repeat(len(requests), 1, 1) for each in pair])
            for pair in (self._words.text, self._words.tokens)
        )
        for timestep in scheduler.timesteps:
            given = scheduler.scale_model_input(torch.cat([latent] * 2), timestep).to(stock.dtype)
            answer = stock(
                given,
                timestep,
                encoder_hidden_states=text,
                added_cond_kwargs={"image_embeds": [tokens]},
                return_dict=False,
            )[0].float()
            negative, positive = answer.chunk(2)
            guided = negative + GUIDANCE * (positive - negative)
            latent = scheduler.step(guided, timestep, latent).prev_sample
        return latent.cpu()


def arrivals(rate: float, seed: int, number: int = REQUESTS) -> list[Asked]:
    """Poisson, and of mixed samplers and steps."""
    chance, at = random.Random(seed), 0.0
    asked: list[Asked] = []
    for each in range(number):
        sampler, steps = chance.choice(sorted(SAMPLERS)), chance.choice([3, 6, 12])
        asked.append(Asked(at, sampler, steps, each))
        at += chance.expovariate(rate)
    return asked


def warmed(servers: Servers, number: int) -> float:
    """Seconds of the mean request alone, once all that is compiled is."""
    everything = arrivals(1e9, 0, number)
    servers.one_at_a_time(everything[:4])
    servers.limner(everything[:4])
    return max(servers.one_at_a_time(everything)) / number


def measured(servers: Servers, alone: float, number: int) -> Iterator[tuple[str, list[str]]]:
    """Each server's requests a second, and latencies as multiples of ``alone``."""
    kinds: dict[str, Callable[[Sequence[Asked]], list[float]]] = {
        "one at a time": servers.one_at_a_time,
        "whole requests": lambda asked: servers.whole_requests(asked, WINDOW * alone),
        "Limner": servers.limner,
    }
    for name, serve in kinds.items():
        rate = number / max(serve(arrivals(1e9, 0, number)))
        cells = [f"{rate * alone:.2f}"]
        for load in LOADS:
            latencies = [each / alone for each in serve(arrivals(load / alone, 1, number))]
            cells.append(f"{median(latencies):.2f} / {quantiles(latencies, n=20)[-1]:.2f}")
        yield name, cells


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    said = argparse.ArgumentParser(
        prog="python -m bench.step_batching", description=str(__doc__).partition("\n")[0]
    )
    said.add_argument("network", nargs="?", choices=sorted(SIZES), default="tiny")
    said.add_argument("places", nargs="?", type=int, help="in one call; left out: as served")
    said.add_argument("--requests", type=int, default=REQUESTS, help="at least 2")
    return said


def main() -> None:
    """Measure one network and print it, a server as soon as it is known."""
    told = parser().parse_args()
    name, places, number = str(told.network), told.places, int(told.requests)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    torch.set_num_threads(1)
    pair = twins(name, device, dtype)
    if device.type == "cuda":
        made = Network(copy.deepcopy(pair.network.net), compiled=True)
        pair = dataclasses.replace(pair, network=made)
    servers = Servers(pair, SIZES[name], places)
    alone = warmed(servers, number)
    print(
        f"{time.strftime('%Y-%m-%d')}, {name} network, {name_of(device)}, {dtype}, places in a"
        f" call: {places or 'as served'}; {number} requests, of which the mean one alone takes"
        f" {alone:.3f} s. Latency ÷ that: p50 / p95.\n"
    )
    loads = "".join(f" {load:.0%} load |" for load in LOADS)
    print(f"| server | requests a second × that, all at once |{loads}")
    print("|" + (2 + len(LOADS)) * "---|", flush=True)
    for server, cells in measured(servers, alone, number):
        print(f"| {' | '.join([server, *cells])} |", flush=True)
    print(f"\nLoad of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
