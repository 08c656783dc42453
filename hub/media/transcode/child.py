"""The transcoding process: units in on standard input, units out on standard output, one after the other.

It ends when the relay closes the pipe, also by dying. What a camera sends is decoded nowhere else in a relay, so a
decoder that crashes on it takes this process along and no viewer of another stream.
"""

import os
import resource
import signal
import sys
import time
from typing import Final

import av

from hub.media.transcode.sound import SoundJob
from hub.media.transcode.video import Failed, VideoJob
from hub.media.transcode.wire import KEYFRAME, SKIP, Decoder, Message, Plan, Received, message

NICE: Final = 5  # forwarding comes first
CHUNK: Final = 1 << 18
MAX_MEMORY: Final = 3 * 2**30
MAX_JOBS: Final = 256


class Jobs:
    """All of this process's; bytes in, bytes out."""

    def __init__(self) -> None:
        self._jobs: dict[int, VideoJob | SoundJob] = {}
        self._cpu = time.process_time_ns()

    def handle(self, got: Received) -> bytes:
        """The answer to one message."""
        try:
            return self._handle(got)
        except Failed as error:
            why = str(error)
        except Exception as error:  # whatever a library raises belongs to this job alone
            why = f"{type(error).__name__}: {error}"
        self._jobs.pop(got.job, None)
        return message(Message.FAILED, got.job, why.encode()[:300])

    def _handle(self, got: Received) -> bytes:
        job = self._jobs.get(got.job)
        match got.kind:
            case Message.OPEN if len(self._jobs) < MAX_JOBS:
                plan = Plan.from_bytes(got.body)
                self._jobs[got.job] = SoundJob() if plan.codec == "aac" else VideoJob(plan)
            case Message.UNIT if job is not None:
                return self._unit(job, got)
            case Message.KEY if isinstance(job, VideoJob):
                job.want_key()
            case Message.CLOSE:
                self._jobs.pop(got.job, None)
        return b""

    def _unit(self, job: VideoJob | SoundJob, got: Received) -> bytes:
        if isinstance(job, VideoJob):
            made = job.unit(got.body, got.pts, skip=bool(got.flags & SKIP))
        else:
            made = job.unit(got.body, got.pts)
        out = [message(Message.UNIT, got.job, data, flags=KEYFRAME * key, pts=pts) for pts, key, data in made]
        before, self._cpu = self._cpu, time.process_time_ns()
        return b"".join(out) + message(Message.DONE, got.job, pts=(self._cpu - before) // 1_000)


def main() -> None:
    """Until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the relay's: it closes the pipe
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))  # what a camera claims of its pictures costs this
    av.logging.set_level(None)
    jobs, decoder = Jobs(), Decoder()
    source, sink = sys.stdin.fileno(), sys.stdout.fileno()
    try:
        while data := os.read(source, CHUNK):
            for got in decoder.feed(data):
                left = memoryview(jobs.handle(got))
                while left:
                    left = left[os.write(sink, left) :]
    except BrokenPipeError:
        return


if __name__ == "__main__":
    main()
