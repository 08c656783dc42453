import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Backoff } from './backoff'
import { HubSocket, socketUrl, type LinkState } from './socket'

class FakeSocket {
  static made: FakeSocket[] = []
  readyState = 1
  sent: { type: string; n?: number }[] = []
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: (() => void) | null = null
  onerror: (() => void) | null = null
  closed = false

  constructor(readonly url: string) {
    FakeSocket.made.push(this)
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as { type: string })
  }

  close(): void {
    this.closed = true
    this.readyState = 3
  }

  says(message: unknown): void {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) })
  }
}

const HELLO = { type: 'hello', now: 1_000_500, seq: 1, user: {} }

function latest(): FakeSocket {
  const socket = FakeSocket.made.at(-1)
  if (!socket) throw new Error('no socket was made')
  return socket
}

function made(): { hub: HubSocket; states: LinkState[] } {
  const hub = new HubSocket({
    url: () => 'ws://x/ws',
    open: (url) => new FakeSocket(url) as unknown as WebSocket,
    pingEvery: 1_000,
    deadAfter: 3_000,
    backoff: new Backoff(100, 400, () => 0.5),
  })
  const states: LinkState[] = []
  hub.on('state', (state) => states.push(state))
  return { hub, states }
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
  FakeSocket.made = []
})
afterEach(() => {
  vi.useRealTimers()
})

describe('HubSocket', () => {
  it('chooses the scheme of the page', () => {
    expect(socketUrl({ protocol: 'https:', host: 'hub:8800' })).toBe('wss://hub:8800/ws')
    expect(socketUrl({ protocol: 'http:', host: 'hub:8800' })).toBe('ws://hub:8800/ws')
  })

  it('is open after hello, not before', () => {
    const { hub, states } = made()
    const ready = vi.fn()
    hub.on('ready', ready)
    hub.start()
    expect(hub.send({ type: 'ping', n: 1 })).toBe(false)
    latest().says(HELLO)
    expect(states).toEqual(['connecting', 'open'])
    expect(ready).toHaveBeenCalledOnce()
    expect(hub.send({ type: 'order.received', order: 'ord-1' })).toBe(true)
    hub.stop()
  })

  it('measures the way and the clock from a pong', () => {
    const { hub } = made()
    const rtt: number[] = []
    const clock: number[] = []
    hub.on('rtt', (ms) => rtt.push(ms))
    hub.on('clock', (ms) => clock.push(ms))
    hub.start()
    latest().says(HELLO)
    const ping = latest().sent.find((one) => one.type === 'ping')
    vi.advanceTimersByTime(40)
    latest().says({ type: 'pong', n: ping?.n, now: 1_000_520 })
    expect(rtt).toEqual([40])
    expect(clock).toEqual([500, 500])
    hub.stop()
  })

  it('ignores a pong that it never asked for', () => {
    const { hub } = made()
    const rtt = vi.fn()
    hub.on('rtt', rtt)
    hub.start()
    latest().says(HELLO)
    latest().says({ type: 'pong', n: 999, now: 1 })
    expect(rtt).not.toHaveBeenCalled()
    hub.stop()
  })

  it('comes back with growing pauses and says ready again', () => {
    const { hub, states } = made()
    const ready = vi.fn()
    hub.on('ready', ready)
    hub.start()
    latest().says(HELLO)
    latest().onclose?.()
    expect(hub.state).toBe('waiting')
    vi.advanceTimersByTime(99)
    expect(FakeSocket.made).toHaveLength(1)
    vi.advanceTimersByTime(1)
    expect(FakeSocket.made).toHaveLength(2)
    latest().onerror?.()
    vi.advanceTimersByTime(199)
    expect(FakeSocket.made).toHaveLength(2)
    vi.advanceTimersByTime(1)
    latest().says(HELLO)
    expect(ready).toHaveBeenCalledTimes(2)
    expect(states).toEqual(['connecting', 'open', 'waiting', 'connecting', 'waiting', 'connecting', 'open'])
    hub.stop()
  })

  it('takes a silent line for dead', () => {
    const { hub } = made()
    hub.start()
    latest().says(HELLO)
    const first = latest()
    vi.advanceTimersByTime(4_200)
    expect(first.closed).toBe(true)
    expect(FakeSocket.made.length).toBeGreaterThan(1)
    hub.stop()
  })

  it('keeps a line that speaks', () => {
    const { hub } = made()
    hub.start()
    latest().says(HELLO)
    for (let second = 0; second < 10; second += 1) {
      vi.advanceTimersByTime(1_000)
      const ping = latest().sent.at(-1)
      latest().says({ type: 'pong', n: ping?.n, now: 1 })
    }
    expect(FakeSocket.made).toHaveLength(1)
    hub.stop()
  })

  it.each(['signed_out', 'expired', 'revoked'])('does not come back after bye %s', (reason) => {
    const { hub } = made()
    hub.start()
    latest().says(HELLO)
    latest().says({ type: 'bye', reason })
    latest().onclose?.()
    vi.advanceTimersByTime(60_000)
    expect(FakeSocket.made).toHaveLength(1)
    expect(hub.state).toBe('off')
  })

  it('comes back after bye shutting_down', () => {
    const { hub } = made()
    hub.start()
    latest().says(HELLO)
    latest().says({ type: 'bye', reason: 'shutting_down' })
    latest().onclose?.()
    vi.advanceTimersByTime(100)
    expect(FakeSocket.made).toHaveLength(2)
    hub.stop()
  })

  it('does nothing with frames of an old line or of another version', () => {
    const { hub } = made()
    const event = vi.fn()
    hub.on('event', event)
    hub.start()
    const old = latest()
    old.says(HELLO)
    old.says('{"type":"from.the.future"}')
    old.onclose?.()
    old.says({ type: 'event', seq: 1, kind: 'a.b', at: 1, unit: 'u', ref: 'r', data: null })
    expect(event).not.toHaveBeenCalled()
    hub.stop()
  })

  it('takes a handler off', () => {
    const { hub } = made()
    const event = vi.fn()
    const off = hub.on('presence', event)
    hub.start()
    latest().says(HELLO)
    latest().says({ type: 'presence', units: {} })
    off()
    latest().says({ type: 'presence', units: {} })
    expect(event).toHaveBeenCalledOnce()
    hub.stop()
  })
})
