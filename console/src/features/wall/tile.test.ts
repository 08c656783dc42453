import { describe, expect, it } from 'vitest'
import type { View } from '@/media/watching'
import type { Camera } from '@/wire/types'
import { isStale, speech } from './tile'

const NOW = 1_000_000
const HUB = 5_000_000 // the hub's clock is another
const view = (over: Partial<View>): View => ({ phase: 'connecting', reason: null, retryAt: null, lastFrameAt: null, firstFrameMs: null, stats: null, ...over })
const camera = (over: Partial<Camera>): Camera => ({ id: 'c', state: 'live', reason: null, retry_at: null, ...over }) as Camera
const say = (v: Partial<View>, c?: Partial<Camera>) => speech(view(v), c && camera(c), NOW, HUB)

describe('speech', () => {
  it('is silent while live, whatever the hub last said', () => {
    expect(say({ phase: 'live' }, { state: 'failed', reason: 'source.lost' })).toEqual({ kind: 'silent' })
  })

  it('says how far it is behind', () => {
    const stats = { delay: 4_700 } as NonNullable<View['stats']>
    expect(say({ phase: 'live', stats })).toEqual({ kind: 'late', seconds: 5 })
    expect(say({ phase: 'live', stats: { ...stats, delay: 900 } })).toEqual({ kind: 'silent' })
  })

  it('does not promise a picture of a source that the hub calls frozen', () => {
    expect(say({ lastFrameAt: 1 }, { state: 'frozen' })).toEqual({ kind: 'lost', reason: 'player.no_frames', retry: null })
  })

  it('counts the seconds of a frozen picture', () => {
    expect(say({ phase: 'frozen', lastFrameAt: NOW - 8_200 })).toEqual({ kind: 'frozen', seconds: 8 })
  })

  it('says that it connects', () => {
    expect(say({}, { state: 'connecting' })).toEqual({ kind: 'connecting' })
    expect(say({})).toEqual({ kind: 'connecting' })
  })

  it('gives the reason of the source before its first picture, with the hub’s own time', () => {
    expect(say({}, { state: 'failed', reason: 'source.unreachable', retry_at: HUB + 11_400 })).toEqual({
      kind: 'no_first', reason: 'source.unreachable', retry: 12,
    })
  })

  it('prefers the reason of the source to ours', () => {
    expect(say({ phase: 'lost', reason: 'player.no_frames', lastFrameAt: 1, retryAt: NOW + 3_000 }, { state: 'failed', reason: 'source.lost' })).toEqual({
      kind: 'lost', reason: 'source.lost', retry: 3,
    })
  })

  it('gives our own reason while the source is well', () => {
    expect(say({ phase: 'lost', reason: 'player.connection', retryAt: NOW + 1_500 }, { state: 'live' })).toEqual({
      kind: 'no_first', reason: 'player.connection', retry: 2,
    })
  })

  it('keeps a refusal of the hub even when the source failed as well', () => {
    expect(say({ phase: 'lost', reason: 'right.missing' }, { state: 'failed', reason: 'source.lost' })).toEqual({
      kind: 'no_first', reason: 'right.missing', retry: null,
    })
  })

  it('never counts below zero', () => {
    expect(say({ phase: 'lost', reason: 'relay.none', retryAt: NOW - 500 })).toMatchObject({ retry: 0 })
  })
})

describe('isStale', () => {
  it.each(['idle', 'connecting', 'frozen', 'lost'] as const)('%s is not shown as live', (phase) => {
    expect(isStale(view({ phase }))).toBe(true)
  })

  it('only live is live', () => {
    expect(isStale(view({ phase: 'live' }))).toBe(false)
  })
})
