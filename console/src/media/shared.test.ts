import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Backoff } from '@/wire/backoff'
import { Emitter } from '@/wire/emitter'
import { SharedPlayer, type Player } from './shared'
import type { Screens } from './screens'
import type { SharedTrack, Subscriber, Wish } from './subscriber'
import type { View } from './watching'

class FakeStream {
  tracks: { kind: string }[] = []
  getTracks(): { kind: string }[] {
    return [...this.tracks]
  }
  addTrack(track: { kind: string }): void {
    this.tracks.push(track)
  }
  removeTrack(track: { kind: string }): void {
    this.tracks = this.tracks.filter((one) => one !== track)
  }
}

type Seen = (entries: { isIntersecting: boolean }[]) => void
const sizes: (() => void)[] = []
const places: Seen[] = []
class FakeSize {
  constructor(told: () => void) {
    sizes.push(told)
  }
  readonly observe = vi.fn()
  readonly disconnect = vi.fn()
}
class FakePlace {
  constructor(told: Seen) {
    places.push(told)
  }
  readonly observe = vi.fn()
  readonly disconnect = vi.fn()
}

class FakeTrack extends Emitter<{ change: SharedTrack }> {
  state = 'asked'
  error: string | null = null
  layer: { at: number; of: number } | null = null
  tracks: MediaStreamTrack[] = []
  closed = false
  looks: [number | null, boolean][] = []
  report: Record<string, unknown> = {}
  constructor(
    readonly wish: Wish,
    public visible: boolean,
  ) {
    super()
  }
  look(width: number | null, visible: boolean): void {
    this.visible = visible
    this.looks.push([width, visible])
  }
  close(): void {
    this.closed = true
  }
  getStats(): Promise<Map<string, unknown> | null> {
    return Promise.resolve(new Map([['in', { id: 'in', type: 'inbound-rtp', kind: 'video', ...this.report }]]))
  }
  become(state: string, error: string | null, kinds: string[] = []): void {
    this.state = state
    this.error = error
    if (kinds.length > 0) this.tracks = kinds.map((kind) => ({ kind }) as MediaStreamTrack)
    this.emit('change', this as never)
  }
}

interface Screen {
  video: HTMLVideoElement
  shows: (rtp: number) => void
}

function screen(width: number): Screen {
  let next: ((now: number, frame: { rtpTimestamp: number }) => void) | null = null
  const video = { clientWidth: width, srcObject: null, cancelVideoFrameCallback: () => { next = null }, requestVideoFrameCallback: (call: typeof next) => {
    next = call
    return 1
  } }
  return { video: video as unknown as HTMLVideoElement, shows: (rtp) => next?.(0, { rtpTimestamp: rtp }) }
}

let opened: FakeTrack[]
let alone: { url: string; screens: Screens; player: Emitter<{ change: View }> & { stopped: boolean } }[]
let usable: boolean
let up: boolean

function player(wish: Wish = { camera: 'cam-1' }): SharedPlayer {
  const subscriber = {
    get usable() {
      return usable
    },
    get up() {
      return up
    },
    open: (what: Wish, visible: boolean) => {
      const track = new FakeTrack(what, visible)
      opened.push(track)
      return track
    },
  }
  return new SharedPlayer({
    subscriber: subscriber as unknown as Subscriber,
    wish,
    backoff: new Backoff(1_000, 8_000, () => 0.5),
    whep: (url, screens) => {
      const made = Object.assign(new Emitter<{ change: View }>(), {
        stopped: false, start: () => undefined, retryNow: () => undefined, stop() { this.stopped = true },
      })
      alone.push({ url, screens, player: made })
      return made as unknown as Player
    },
  })
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('MediaStream', FakeStream)
  vi.stubGlobal('ResizeObserver', FakeSize)
  vi.stubGlobal('IntersectionObserver', FakePlace)
  opened = []
  alone = []
  usable = true
  up = true
  sizes.length = 0
  places.length = 0
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const last = () => opened.at(-1)?.looks.at(-1)

describe('a picture of the one connection', () => {
  it('is wanted by nobody until an element shows it, and no more when none does', () => {
    const one = player()
    one.start()
    expect(opened[0]?.visible).toBe(false)
    const leave = one.show(screen(320).video)
    expect(last()).toEqual([320, true])
    leave()
    expect(last()).toEqual([null, false])
    one.stop()
  })

  it('is wanted as wide as the widest element that can be seen', () => {
    const one = player()
    one.start()
    one.show(screen(200).video)
    const leave = one.show(screen(900).video)
    expect(last()).toEqual([900, true])
    places[1]?.([{ isIntersecting: false }])
    expect(last()).toEqual([200, true])
    places[1]?.([{ isIntersecting: true }])
    leave()
    expect(last()).toEqual([200, true])
    places[0]?.([{ isIntersecting: false }])
    expect(last()).toEqual([null, false])
    one.stop()
  })

  it('follows the width of its element', () => {
    const one = player()
    one.start()
    const tile = screen(200)
    one.show(tile.video)
    Object.assign(tile.video, { clientWidth: 640 })
    sizes[0]?.()
    expect(last()).toEqual([640, true])
    one.stop()
  })

  it('is live with its first frame and frozen when they stop; what nobody sees is neither frozen nor lost', async () => {
    const one = player()
    one.start()
    const tile = screen(200)
    const leave = one.show(tile.video)
    opened[0]?.become('live', null, ['video', 'audio'])
    expect(one.stream.getTracks()).toHaveLength(2)
    expect(tile.video.srcObject).toBe(one.stream)
    await vi.advanceTimersByTimeAsync(400)
    tile.shows(9_000)
    expect(one.view).toMatchObject({ phase: 'live', firstFrameMs: 400 })
    await vi.advanceTimersByTimeAsync(2_000)
    expect(one.view.phase).toBe('frozen')
    leave()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(one.view.phase).toBe('frozen')
    one.show(tile.video)
    await vi.advanceTimersByTimeAsync(500)
    tile.shows(9_000 + 90 * 62_500)
    expect(one.view.phase).toBe('live')
    one.stop()
  })

  it('tries again after a failure that may pass, and not after one that does not', async () => {
    const one = player()
    one.start()
    opened[0]?.become('refused', 'relay.none')
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'relay.none' })
    expect(opened[0]?.closed).toBe(true)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(opened).toHaveLength(2)
    opened[1]?.become('refused', 'camera.unknown')
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'camera.unknown', retryAt: null })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(opened).toHaveLength(2)
    one.stop()
  })

  it.each(['relay.elsewhere', 'sdp.no_codec', 'media.too_many_tracks'])('goes alone by WHEP upon %s, on the same elements', (error) => {
    const one = player({ conference: 'c', member: 'm' })
    one.start()
    const tile = screen(200)
    one.show(tile.video)
    opened[0]?.become('refused', error)
    expect(opened[0]?.closed).toBe(true)
    expect(alone[0]?.url).toBe('/whep/conferences/c/members/m')
    expect(alone[0]?.screens.stream).toBe(one.stream)
    alone[0]?.player.emit('change', { ...one.view, phase: 'live' })
    expect(one.view.phase).toBe('live')
    one.stop()
    expect(alone[0]?.player.stopped).toBe(true)
    expect(one.view.phase).toBe('idle')
  })

  it('waits a moment for the line of a page that was just opened, and goes alone when it does not come', async () => {
    up = false
    const one = player()
    one.start()
    expect(opened).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1_900)
    expect(alone).toEqual([])
    await vi.advanceTimersByTimeAsync(200)
    expect(alone).toHaveLength(1)
    one.stop()
  })

  it('goes alone where there is no line, or no room', () => {
    usable = false
    const one = player()
    one.start()
    expect(opened).toEqual([])
    expect(alone).toHaveLength(1)
    one.stop()
  })

  it('has figures of its own picture: rate, loss, size, and the layer; a section used anew counts anew', async () => {
    const one = player()
    one.start()
    one.show(screen(200).video)
    const track = opened[0]
    track?.become('live', null, ['video'])
    Object.assign(track ?? {}, { layer: { at: 1, of: 2 } })
    const report = (given: Record<string, unknown>) => Object.assign(track ?? {}, { report: given })
    report({ ssrc: 7, bytesReceived: 100_000, packetsReceived: 100, packetsLost: 0, framesDecoded: 10, frameWidth: 320, frameHeight: 180 })
    await vi.advanceTimersByTimeAsync(1_000)
    report({ ssrc: 7, bytesReceived: 225_000, packetsReceived: 190, packetsLost: 10, framesDecoded: 35, frameWidth: 320, frameHeight: 180 })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(one.view.stats).toMatchObject({ kbps: 1_000, loss: 0.1, width: 320, height: 180, layer: { at: 1, of: 2 } })
    report({ ssrc: 8, bytesReceived: 5_000, packetsReceived: 5, packetsLost: 0, framesDecoded: 2, frameWidth: 1_280, frameHeight: 720 })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(one.view.stats).toMatchObject({ kbps: null, loss: 0, width: 1_280 })
    one.stop()
  })
})
