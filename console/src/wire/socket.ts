// The live line to the hub: hello, ping every few seconds, reconnect with back-off. No framework in here.
import { Backoff } from './backoff'
import { Emitter } from './emitter'
import { parseServer, type ClientMessage, type MessageOf, type ServerType } from './messages'

export type LinkState = 'off' | 'connecting' | 'open' | 'waiting'

export type SocketEvents = { [K in ServerType]: MessageOf<K> } & {
  state: LinkState
  ready: MessageOf<'hello'> // after each (re)connect: what may have been missed must be fetched again
  rtt: number // ms
  clock: number // ms to add to Date.now() for the hub's time
}

export interface SocketOptions {
  url?: () => string
  open?: (url: string) => WebSocket
  now?: () => number
  pingEvery?: number // ms
  deadAfter?: number // ms without any message: the line is taken for dead
  backoff?: Backoff
}

const ENDED = new Set(['signed_out', 'expired', 'revoked'])

export function socketUrl(location: Pick<Location, 'protocol' | 'host'> = window.location): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`
}

export class HubSocket extends Emitter<SocketEvents> {
  state: LinkState = 'off'
  private socket: WebSocket | null = null
  private pings = new Map<number, number>()
  private count = 0
  private heard = 0
  private wanted = false
  private retry: ReturnType<typeof setTimeout> | undefined
  private beat: ReturnType<typeof setInterval> | undefined
  private readonly options: Required<SocketOptions>

  constructor(options: SocketOptions = {}) {
    super()
    this.options = {
      url: () => socketUrl(),
      open: (url) => new WebSocket(url),
      now: () => Date.now(),
      pingEvery: 3_000,
      deadAfter: 8_000,
      backoff: new Backoff(500, 10_000),
      ...options,
    }
  }

  start(): void {
    if (this.wanted) return
    this.wanted = true
    this.connect()
  }

  stop(): void {
    this.wanted = false
    clearTimeout(this.retry)
    this.drop()
    this.become('off')
  }

  /** Send now; answers false when the line is down (nothing is queued: state is asked for again on return). */
  send(message: ClientMessage): boolean {
    if (this.state !== 'open' || !this.socket) return false
    this.socket.send(JSON.stringify(message))
    return true
  }

  private connect(): void {
    this.become('connecting')
    const socket = this.options.open(this.options.url())
    this.socket = socket
    this.heard = this.options.now()
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (this.socket === socket) this.take(event.data)
    }
    socket.onclose = () => {
      if (this.socket === socket) this.lost()
    }
    socket.onerror = () => {
      if (this.socket === socket) this.lost()
    }
    this.beat = setInterval(() => {
      this.tick()
    }, this.options.pingEvery)
  }

  private tick(): void {
    const now = this.options.now()
    if (now - this.heard > this.options.deadAfter) {
      this.lost()
      return
    }
    if (this.state === 'open') this.ping(now)
  }

  private ping(now: number): void {
    this.count += 1
    if (this.pings.size > 8) this.pings.clear()
    this.pings.set(this.count, now)
    this.send({ type: 'ping', n: this.count })
  }

  private take(data: unknown): void {
    const message = parseServer(data)
    this.heard = this.options.now()
    if (!message) return
    if (message.type === 'hello') {
      this.options.backoff.reset()
      this.emit('clock', message.now - this.heard)
      this.become('open')
      this.ping(this.heard)
    } else if (message.type === 'pong') {
      this.measure(message)
    }
    this.emit(message.type, message as never)
    if (message.type === 'hello') this.emit('ready', message)
    if (message.type === 'bye' && ENDED.has(message.reason)) this.stop()
  }

  private measure(pong: MessageOf<'pong'>): void {
    const sent = this.pings.get(pong.n)
    if (sent === undefined) return
    this.pings.delete(pong.n)
    const rtt = this.heard - sent
    this.emit('rtt', rtt)
    this.emit('clock', pong.now + rtt / 2 - this.heard)
  }

  private lost(): void {
    this.drop()
    if (!this.wanted) return
    this.become('waiting')
    this.retry = setTimeout(() => {
      this.connect()
    }, this.options.backoff.next())
  }

  private drop(): void {
    clearInterval(this.beat)
    this.pings.clear()
    const socket = this.socket
    this.socket = null
    if (socket && socket.readyState <= 1) socket.close()
  }

  private become(state: LinkState): void {
    if (this.state === state) return
    this.state = state
    this.emit('state', state)
  }
}
