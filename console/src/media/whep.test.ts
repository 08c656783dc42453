import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Backoff } from '@/wire/backoff'
import { ApiError } from '@/wire/http'
import { movePlayers, WhepPlayer } from './whep'

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

class FakePeer {
  static made: FakePeer[] = []
  iceConnectionState = 'new'
  connectionState = 'new'
  localDescription: { sdp: string } | null = null
  remote = ''
  closed = false
  frames = 0
  packets = 0
  alive = true // the relay sends reports
  directions: string[] = []
  ontrack: ((event: { track: { kind: string } }) => void) | null = null
  oniceconnectionstatechange: (() => void) | null = null
  onconnectionstatechange: (() => void) | null = null

  constructor() {
    FakePeer.made.push(this)
  }
  addTransceiver(kind: string, init: { direction: string }): void {
    this.directions.push(`${kind} ${init.direction}`)
  }
  setLocalDescription(): Promise<void> {
    this.localDescription = { sdp: 'offer' }
    return Promise.resolve()
  }
  setRemoteDescription(answer: { sdp: string }): Promise<void> {
    this.remote = answer.sdp
    return Promise.resolve()
  }
  getStats(): Promise<Map<string, unknown>> {
    if (this.alive) this.packets += 1
    return Promise.resolve(
      new Map<string, unknown>([
        ['in', { id: 'in', type: 'inbound-rtp', kind: 'video', framesDecoded: this.frames }],
        ['t', { id: 't', type: 'transport', packetsReceived: this.packets }],
      ]),
    )
  }
  close(): void {
    this.closed = true
  }
  readonly transport: { state: string; onstatechange: (() => void) | null } = { state: 'connected', onstatechange: null }
  getReceivers(): { transport: object }[] {
    return [{ transport: this.transport }]
  }
  getSenders(): { transport: object }[] {
    return []
  }
}

const ended: (string | null)[] = []
const posted: string[] = []
let refuse: ApiError[] = []
let session = 0

function player(): WhepPlayer {
  return new WhepPlayer({
    url: '/whep/cameras/cam-1',
    backoff: new Backoff(1_000, 8_000, () => 0.5),
    ice: () => Promise.resolve(),
    connect: () => new FakePeer() as unknown as RTCPeerConnection,
    post: (url, offer) => {
      posted.push(`${url} ${offer}`)
      const error = refuse.shift()
      if (error) return Promise.reject(error)
      session += 1
      return Promise.resolve({ answer: 'answer', session: `/whep/sessions/${String(session)}` })
    },
    end: (which) => ended.push(which),
  })
}

function peer(): FakePeer {
  const last = FakePeer.made.at(-1)
  if (!last) throw new Error('no connection was made')
  return last
}

/** Let time pass with `fps` pictures a second. */
async function play(seconds: number, fps = 25): Promise<void> {
  for (let tick = 0; tick < seconds * 2; tick += 1) {
    peer().frames += fps / 2
    await vi.advanceTimersByTimeAsync(500)
  }
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('MediaStream', FakeStream)
  FakePeer.made = []
  ended.length = 0
  posted.length = 0
  refuse = []
  session = 0
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('WhepPlayer', () => {
  it('offers to receive, takes the answer, and is live with the first picture', async () => {
    const one = player()
    one.start()
    await vi.advanceTimersByTimeAsync(0)
    expect(peer().directions).toEqual(['video recvonly'])
    expect(posted).toEqual(['/whep/cameras/cam-1 offer'])
    expect(peer().remote).toBe('answer')
    expect(one.view.phase).toBe('connecting')
    await play(1)
    expect(one.view.phase).toBe('live')
    expect(one.view.firstFrameMs).toBe(1_000)
    one.stop()
  })

  it('says frozen, then lost, when pictures stop, and connects anew', async () => {
    const one = player()
    one.start()
    await play(2)
    await play(2, 0)
    expect(one.view.phase).toBe('frozen')
    await play(3.5, 0)
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'player.no_frames' })
    expect(one.view.lastFrameAt).not.toBeNull()
    expect(ended).toContain('/whep/sessions/1')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(FakePeer.made).toHaveLength(2)
    await play(1)
    expect(one.view.phase).toBe('live')
    one.stop()
  })

  it('goes on showing the old session while a draining relay hands it over', async () => {
    const one = player()
    one.start()
    await play(2)
    const old = peer()
    movePlayers('7', 'drain') // somebody else's
    movePlayers('1', 'drain')
    movePlayers('1', 'drain') // told twice
    await vi.advanceTimersByTimeAsync(500)
    expect(FakePeer.made).toHaveLength(2)
    expect(old.closed).toBe(false)
    expect(ended).toEqual([])
    peer().frames = 1
    await vi.advanceTimersByTimeAsync(200)
    expect(old.closed).toBe(true)
    expect(ended).toEqual(['/whep/sessions/1'])
    await play(2)
    expect(one.view.phase).toBe('live')
    one.stop()
    expect(ended).toEqual(['/whep/sessions/1', '/whep/sessions/2'])
  })

  it('keeps the old session when its successor shows nothing, and ends both when stopped meanwhile', async () => {
    const one = player()
    one.start()
    await play(2)
    const old = peer()
    movePlayers('1', 'drain')
    await vi.advanceTimersByTimeAsync(0)
    for (let tick = 0; tick < 18; tick += 1) {
      old.frames += 12
      await vi.advanceTimersByTimeAsync(500)
    }
    expect(ended).toEqual(['/whep/sessions/2'])
    expect(old.closed).toBe(false)
    expect(one.view.phase).toBe('live')
    movePlayers('1', 'drain')
    await vi.advanceTimersByTimeAsync(0)
    one.stop()
    await vi.advanceTimersByTimeAsync(200)
    expect(FakePeer.made.every((each) => each.closed)).toBe(true)
    expect(ended).toEqual(['/whep/sessions/2', '/whep/sessions/1', '/whep/sessions/3'])
  })

  it('asks again at once when its relay is lost', async () => {
    const one = player()
    one.start()
    await play(2)
    movePlayers('1', 'lost')
    await vi.advanceTimersByTimeAsync(0)
    expect(FakePeer.made).toHaveLength(2)
    expect(ended).toEqual(['/whep/sessions/1'])
    await play(1)
    expect(one.view.phase).toBe('live')
    one.stop()
  })

  it('connects anew at once when the relay itself is gone', async () => {
    const one = player()
    one.start()
    await play(4)
    peer().alive = false
    await play(1.5, 0)
    expect(one.view.phase).toBe('frozen')
    await play(0.5, 0)
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'player.no_frames' })
    one.stop()
  })

  it('does not call a burst of old pictures live', async () => {
    const one = player()
    one.start()
    await play(4)
    await play(2.5, 0)
    expect(one.view.phase).toBe('frozen')
    await play(0.5, 64)
    expect(one.view.phase).toBe('frozen')
    await play(0.5, 0)
    expect(one.view.phase).toBe('frozen')
    one.stop()
  })

  it('thaws when pictures come again', async () => {
    const one = player()
    one.start()
    await play(2)
    await play(2, 0)
    expect(one.view.phase).toBe('frozen')
    await play(2)
    expect(one.view.phase).toBe('live')
    expect(FakePeer.made).toHaveLength(1)
    one.stop()
  })

  it('gives up waiting for a first picture after 10 s', async () => {
    const one = player()
    one.start()
    await play(10.5, 0)
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'player.no_first_frame', lastFrameAt: null })
    one.stop()
  })

  it('names the reason of the hub and tries again with growing pauses', async () => {
    refuse = [1, 2].map(() => new ApiError({ id: 'source.unreachable', message: '', status: 503 }))
    const one = player()
    one.start()
    await vi.advanceTimersByTimeAsync(0)
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'source.unreachable', retryAt: Date.now() + 1_000 })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(one.view.retryAt).toBe(Date.now() + 2_000)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(one.view.phase).toBe('connecting')
    one.stop()
  })

  it.each([401, 403, 404])('does not ask again after %d', async (status) => {
    refuse = [new ApiError({ id: 'x', message: '', status })]
    const one = player()
    one.start()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(one.view).toMatchObject({ phase: 'lost', retryAt: null })
    expect(FakePeer.made).toHaveLength(1)
    one.stop()
  })

  it('connects anew when ICE fails', async () => {
    const one = player()
    one.start()
    await play(1)
    peer().iceConnectionState = 'failed'
    peer().oniceconnectionstatechange?.()
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'player.connection' })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(FakePeer.made).toHaveLength(2)
    one.stop()
  })

  it.each(['closed', 'failed'])('knows by the transport (%s) that the relay ended it, and asks anew', async (state) => {
    const one = player()
    one.start()
    await play(1)
    peer().transport.state = state
    peer().transport.onstatechange?.()
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'player.connection' })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(FakePeer.made).toHaveLength(2)
    one.stop()
  })

  it('does not wait when told that the source is back', async () => {
    refuse = [new ApiError({ id: 'source.lost', message: '', status: 503 })]
    const one = player()
    one.start()
    await vi.advanceTimersByTimeAsync(0)
    one.retryNow()
    expect(one.view.phase).toBe('connecting')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(FakePeer.made).toHaveLength(2) // the pause that was skipped does not fire as well
    one.stop()
  })

  it('ends its session when stopped, also when the answer is still on its way', async () => {
    const one = player()
    one.start()
    for (let turn = 0; turn < 2; turn += 1) await Promise.resolve() // TURN servers, then the offer goes out
    one.stop()
    await vi.advanceTimersByTimeAsync(0)
    expect(ended).toContain('/whep/sessions/1')
    expect(peer().closed).toBe(true)
    expect(one.view.phase).toBe('idle')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(FakePeer.made).toHaveLength(1)
  })

  it('may be started again', async () => {
    const one = player()
    one.start()
    await play(1)
    one.stop()
    one.start()
    await play(1)
    expect(one.view.phase).toBe('live')
    expect(ended.filter(Boolean)).toEqual(['/whep/sessions/1'])
    one.stop()
  })

  it('keeps one track of a kind', () => {
    const one = player()
    one.start()
    peer().ontrack?.({ track: { kind: 'video' } })
    peer().ontrack?.({ track: { kind: 'video' } })
    expect(one.stream.getTracks()).toHaveLength(1)
    one.stop()
  })
})
