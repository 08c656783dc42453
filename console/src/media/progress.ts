// Does the picture move on in its own time? A relay may send old frames again (a viewer that hears nothing asks for
// a key frame); those are decoded like any other, but their timestamps hardly advance. Pure.

const CLOCK = 90 // RTP ticks a millisecond of video (RFC 6184 §8.2.1)
const RUN_GAP = 1_000 // ms without a frame end a run
const RUN_ENOUGH = 100 // ms of media time that a run must cover to count as moving
const JUMP_SHARE = 0.5 // of the pause: a source that went on meanwhile comes back with so much more media time

/** Signed distance of two 32-bit RTP timestamps in ms. */
export function mediaMs(from: number, to: number): number {
  return ((to - from) | 0) / CLOCK
}

export class Progress {
  private last: { at: number; rtp: number } | null = null
  private start = 0 // RTP time at which the present run began
  private moving = true // the very first run needs no proof: its first frame is the newest there is

  /** A frame with this RTP timestamp was shown at `at` (ms). Answers whether the picture moves on. */
  push(at: number, rtp: number): boolean {
    const { last } = this
    this.last = { at, rtp }
    if (!last) {
      this.start = rtp
      return true
    }
    const pause = at - last.at
    if (pause > RUN_GAP) {
      this.start = rtp
      this.moving = mediaMs(last.rtp, rtp) >= pause * JUMP_SHARE
    } else if (!this.moving) {
      this.moving = mediaMs(this.start, rtp) >= RUN_ENOUGH
    }
    return this.moving
  }

  reset(): void {
    this.last = null
    this.moving = true
  }
}
