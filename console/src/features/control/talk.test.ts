import { describe, expect, it, vi } from 'vitest'
import { ApiError } from '@/wire/http'
import { step, Talk, type TalkEvent, type TalkPhase } from './talk'

const LEGAL: [TalkPhase, TalkEvent, TalkPhase][] = [
  ['off', 'start', 'asking'], ['off', 'stop', 'off'], ['asking', 'granted', 'calling'], ['asking', 'failed', 'failed'], ['asking', 'stop', 'off'],
  ['calling', 'heard', 'live'], ['calling', 'failed', 'failed'], ['calling', 'stop', 'off'], ['live', 'failed', 'failed'], ['live', 'stop', 'off'],
  ['failed', 'start', 'asking'], ['failed', 'stop', 'off'],
]

describe('the table', () => {
  it.each(LEGAL)('%s, %s: %s', (from, event, to) => {
    expect(step(from, event)).toBe(to)
  })
  const all = (['off', 'asking', 'calling', 'live', 'failed'] as const).flatMap((from) =>
    (['start', 'granted', 'heard', 'failed', 'stop'] as const).map((event) => [from, event] as const))
  it.each(all.filter(([from, event]) => !LEGAL.some((row) => row[0] === from && row[1] === event)))('%s refuses %s', (from, event) => {
    expect(() => step(from, event)).toThrow('not possible')
  })
})

function rig(over: { microphone?: () => Promise<MediaStream>; post?: () => Promise<{ answer: string; session: string }> } = {}) {
  const track = { stop: vi.fn(), onended: null as null | (() => void) }
  const stream = { getAudioTracks: () => [track], getTracks: () => [track] } as unknown as MediaStream
  const pc = {
    connectionState: 'new', onconnectionstatechange: null as null | (() => void), localDescription: { sdp: 'offer' }, close: vi.fn(),
    addTransceiver: vi.fn(), setLocalDescription: () => Promise.resolve(), setRemoteDescription: () => Promise.resolve(), getReceivers: () => [], getSenders: () => [],
  }
  const end = vi.fn()
  const talk = new Talk('/whip/cameras/c/talk', {
    microphone: over.microphone ?? (() => Promise.resolve(stream)), connect: () => pc as unknown as RTCPeerConnection, ice: () => Promise.resolve(),
    post: over.post ?? (() => Promise.resolve({ answer: 'answer', session: '/whip/sessions/s' })), end, now: () => 7,
  })
  const connected = (): void => {
    pc.connectionState = 'connected'
    pc.onconnectionstatechange?.()
  }
  return { talk, track, pc, end, connected }
}

describe('Talk', () => {
  it('asks for the microphone, calls the camera, and is live once it is connected', async () => {
    const { talk, connected } = rig()
    const phases: string[] = []
    talk.on('change', (view) => phases.push(view.phase))
    await talk.start()
    connected()
    expect(phases).toEqual(['asking', 'calling', 'live'])
    expect(talk.view.since).toBe(7)
  })

  it('lets go of the microphone and of the session when it stops', async () => {
    const { talk, track, pc, end, connected } = rig()
    await talk.start()
    connected()
    talk.stop()
    expect(talk.view.phase).toBe('off')
    expect(track.stop).toHaveBeenCalled()
    expect(pc.close).toHaveBeenCalled()
    expect(end).toHaveBeenCalledWith('/whip/sessions/s')
  })

  it('ends a session that comes after one has let go', async () => {
    let answer: (value: { answer: string; session: string }) => void = () => undefined
    const { talk, end } = rig({ post: () => new Promise((resolve) => (answer = resolve)) })
    const started = talk.start()
    await vi.waitFor(() => { expect(talk.view.phase).toBe('calling') })
    await Promise.resolve()
    talk.stop()
    answer({ answer: 'a', session: '/whip/sessions/late' })
    await started
    expect(end).toHaveBeenCalledWith('/whip/sessions/late')
    expect(talk.view.phase).toBe('off')
  })

  it.each([['NotAllowedError', 'control.mic.denied'], ['NotFoundError', 'control.mic.missing'], ['NotReadableError', 'control.mic.busy'], ['SecurityError', 'control.mic.insecure']])(
    '%s of the microphone is %s', async (name, reason) => {
      const { talk } = rig({ microphone: () => Promise.reject(new DOMException('x', name)) })
      await talk.start()
      expect(talk.view).toMatchObject({ phase: 'failed', reason })
    },
  )

  it('says why the hub refused, and closes the microphone', async () => {
    const { talk, track } = rig({ post: () => Promise.reject(new ApiError({ id: 'talk.busy', message: '', status: 409 })) })
    await talk.start()
    expect(talk.view).toMatchObject({ phase: 'failed', reason: 'talk.busy' })
    expect(track.stop).toHaveBeenCalled()
  })

  it('ends when the microphone is pulled out', async () => {
    const { talk, track, connected } = rig()
    await talk.start()
    connected()
    track.onended?.()
    expect(talk.view).toMatchObject({ phase: 'failed', reason: 'control.mic.lost' })
  })
})
