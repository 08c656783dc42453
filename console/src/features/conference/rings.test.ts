import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { ClientMessage, MessageOf, RingMessage } from '@/wire/messages'
import { useRings } from './rings'

type Handler = (value: unknown) => void

// the line, by hand: what was sent, whether it is up, and messages as they come
const line = vi.hoisted(() => ({
  up: true,
  sent: [] as unknown[],
  handlers: new Map<string, ((value: unknown) => void)[]>(),
}))
vi.mock('@/state/link', () => ({
  useLink: () => ({
    on: (name: string, handler: Handler) => {
      line.handlers.set(name, [...(line.handlers.get(name) ?? []), handler])
      return () => undefined
    },
    send: (message: ClientMessage) => {
      if (line.up) line.sent.push(message)
      return line.up
    },
  }),
}))
vi.mock('@/ui/toast', () => ({ toast: { info: vi.fn() } }))

function hear(name: string, value: unknown): void {
  for (const handler of line.handlers.get(name) ?? []) handler(value)
}

function ring(conference: string): RingMessage {
  return {
    type: 'ring', conference, member: `m-${conference}`, title: conference, caller: '赵', caller_unit: '如意市', incident: null, run: null,
    until: 50_000,
  }
}

function ended(conference: string, reason: MessageOf<'ring.ended'>['reason']): MessageOf<'ring.ended'> {
  return { type: 'ring.ended', conference, reason }
}

beforeEach(() => {
  line.up = true
  line.sent = []
  line.handlers.clear()
  setActivePinia(createPinia())
})

describe('rings', () => {
  it('say once that the terminal rings', () => {
    const rings = useRings()
    hear('ring', ring('a'))
    rings.shown('a')
    rings.shown('a')
    expect(line.sent).toEqual([{ type: 'call.ringing', conference: 'a' }])
  })

  it('say it again after the line was lost, since the hub may have forgotten', () => {
    const rings = useRings()
    hear('ring', ring('a'))
    rings.shown('a')
    hear('ready', {})
    expect(line.sent).toHaveLength(2)
  })

  it('keep an answer that was given while the line was down, and do not ring for it again', () => {
    const rings = useRings()
    hear('ring', ring('a'))
    line.up = false
    rings.answer('a', true)
    hear('ring', ring('a'))
    expect(rings.current).toBeNull()
    line.up = true
    hear('ready', {})
    expect(line.sent).toEqual([{ type: 'call.answer', conference: 'a', accept: true }])
  })

  it('stop when somebody else answered, and leave the next call ringing', () => {
    const rings = useRings()
    hear('ring', ring('a'))
    hear('ring', ring('b'))
    hear('ring.ended', ended('a', 'answered_elsewhere'))
    expect(rings.current?.conference).toBe('b')
  })

  it('do not ring twice for one call', () => {
    const rings = useRings()
    hear('ring', ring('a'))
    hear('ring', ring('a'))
    expect(rings.items).toHaveLength(1)
  })

  it('forget a call whose limit is well past, even if nobody said that it ended', () => {
    const rings = useRings()
    hear('ring', ring('a'))
    rings.expire(51_000)
    expect(rings.current).not.toBeNull()
    rings.expire(53_001)
    expect(rings.current).toBeNull()
  })
})
