// Speaking to a camera by WHIP: one microphone, one session, no second try by itself - who speaks must know that it ends.
// No framework; `on('change')` tells what a button must show.
import { endSession, exchange, type Exchanged } from '@/media/exchange'
import { withIceServers } from '@/media/ice'
import { whenTransportEnds } from '@/media/transport'
import { Emitter } from '@/wire/emitter'
import { ApiError } from '@/wire/http'

export type TalkPhase = 'off' | 'asking' | 'calling' | 'live' | 'failed'
export type TalkEvent = 'start' | 'granted' | 'heard' | 'failed' | 'stop'

const NEXT: Readonly<Record<TalkPhase, Partial<Record<TalkEvent, TalkPhase>>>> = {
  off: { start: 'asking', stop: 'off' },
  asking: { granted: 'calling', failed: 'failed', stop: 'off' },
  calling: { heard: 'live', failed: 'failed', stop: 'off' },
  live: { failed: 'failed', stop: 'off' },
  failed: { start: 'asking', stop: 'off' },
}

/** The phase after an event. Throws on a move that the table does not hold. */
export function step(phase: TalkPhase, event: TalkEvent): TalkPhase {
  const after = NEXT[phase][event]
  if (after === undefined) throw new Error(`talk: ${event} is not possible in ${phase}`)
  return after
}

export interface TalkView {
  phase: TalkPhase
  reason: string | null // error id, or control.mic.…, or player.connection
  since: number | null // ms, local clock
}

const TROUBLES: Readonly<Record<string, string>> = {
  NotAllowedError: 'control.mic.denied',
  SecurityError: 'control.mic.insecure',
  NotFoundError: 'control.mic.missing',
  OverconstrainedError: 'control.mic.missing',
  NotReadableError: 'control.mic.busy',
  AbortError: 'control.mic.busy',
}
export const MICROPHONE: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 }
const CONNECT_WITHIN = 15_000 // ms: a device takes seconds to call back for the sound

export interface TalkOptions {
  microphone?: () => Promise<MediaStream>
  connect?: () => RTCPeerConnection
  ice?: (pc: RTCPeerConnection) => Promise<void>
  post?: (url: string, offer: string, signal: AbortSignal) => Promise<Exchanged>
  end?: (session: string | null) => void
  now?: () => number
}

async function openMicrophone(): Promise<MediaStream> {
  const media = navigator.mediaDevices as MediaDevices | undefined // missing from insecure pages, whatever its type says
  if (!window.isSecureContext || !media) throw new DOMException('insecure', 'SecurityError')
  return media.getUserMedia({ audio: MICROPHONE, video: false })
}

export class Talk extends Emitter<{ change: TalkView }> {
  view: TalkView = { phase: 'off', reason: null, since: null }
  stream: MediaStream | null = null
  private pc: RTCPeerConnection | null = null
  private session: string | null = null
  private abort: AbortController | null = null
  private limit: ReturnType<typeof setTimeout> | undefined
  private readonly options: Required<TalkOptions>

  constructor(private readonly url: string, options: TalkOptions = {}) {
    super()
    this.options = {
      microphone: openMicrophone,
      connect: () => new RTCPeerConnection({ bundlePolicy: 'max-bundle' }),
      ice: withIceServers,
      post: exchange,
      end: endSession,
      now: () => Date.now(),
      ...options,
    }
  }

  /** Ask for the microphone, then for the camera's ear. Never throws: see `view`. */
  async start(): Promise<void> {
    if (this.view.phase !== 'off' && this.view.phase !== 'failed') return
    const abort = (this.abort = new AbortController())
    this.move('start')
    try {
      const stream = await this.options.microphone()
      if (this.abort !== abort) {
        stopTracks(stream)
        return
      }
      this.stream = stream
      this.move('granted')
      await this.call(stream, abort)
    } catch (error) {
      if (this.abort === abort) this.fail(reasonOf(error))
    }
  }

  stop(): void {
    this.close()
    this.move('stop')
  }

  private async call(stream: MediaStream, abort: AbortController): Promise<void> {
    const pc = (this.pc = this.options.connect())
    const [track] = stream.getAudioTracks()
    if (!track) throw new DOMException('no track', 'NotFoundError')
    track.onended = () => {
      if (this.pc === pc) this.fail('control.mic.lost')
    }
    pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] })
    this.limit = setTimeout(() => {
      if (this.pc === pc) this.fail('player.connection')
    }, CONNECT_WITHIN)
    pc.onconnectionstatechange = () => {
      if (this.pc !== pc) return
      if (pc.connectionState === 'connected' && this.view.phase === 'calling') {
        clearTimeout(this.limit)
        this.move('heard')
      } else if (pc.connectionState === 'failed') this.fail('player.connection')
    }
    await this.options.ice(pc)
    if (this.pc !== pc) return
    await pc.setLocalDescription()
    const { answer, session } = await this.options.post(this.url, pc.localDescription?.sdp ?? '', abort.signal)
    if (this.pc !== pc) {
      this.options.end(session)
      return
    }
    this.session = session
    await pc.setRemoteDescription({ type: 'answer', sdp: answer })
    whenTransportEnds(pc, () => {
      if (this.pc === pc) this.fail('gb28181.bye')
    })
  }

  private fail(reason: string): void {
    this.close()
    this.move('failed', reason)
  }

  private close(): void {
    clearTimeout(this.limit)
    this.abort?.abort()
    this.abort = null
    this.pc?.close()
    this.pc = null
    stopTracks(this.stream)
    this.stream = null
    this.options.end(this.session)
    this.session = null
  }

  private move(event: TalkEvent, reason: string | null = null): void {
    const phase = step(this.view.phase, event)
    this.view = { phase, reason, since: phase === 'live' ? this.options.now() : null }
    this.emit('change', this.view)
  }
}

function stopTracks(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop()
}

function reasonOf(error: unknown): string {
  if (error instanceof ApiError) return error.id
  return TROUBLES[error instanceof Error ? error.name : ''] ?? 'player.connection'
}
