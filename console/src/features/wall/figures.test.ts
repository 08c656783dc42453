import { expect, it } from 'vitest'
import type { View } from '@/media/watching'
import type { Camera } from '@/wire/types'
import { figuresOf, transcoded } from './figures'

const STATS = { framesDecoded: 9, fps: 24.6, width: 640, height: 360, codec: 'H264', kbps: 812, rtt: 4, delay: 52, loss: 0.0123, layer: { at: 1, of: 2 } }
const VIEW: View = { phase: 'live', reason: null, retryAt: null, lastFrameAt: 1, firstFrameMs: 140, stats: STATS }
const camera = (given: Partial<Camera>): Camera => ({ transcoded: false, ...given }) as Camera
const value = (view: View, label: string, of = camera({})) => figuresOf(view, of).find((one) => one.label === label)

it('says what was measured, and what was not', () => {
  expect(value(VIEW, 'wall.figure_size')?.value).toEqual({ n: '640 × 360' })
  expect(value(VIEW, 'wall.figure_rate')?.value).toEqual({ n: 812 })
  expect(value(VIEW, 'wall.loss')?.value).toEqual({ n: 1.2 })
  expect(value(VIEW, 'wall.figure_layer')).toMatchObject({ word: 'wall.figure_layer_of', value: { at: 1, of: 2 } })
  expect(value({ ...VIEW, stats: { ...STATS, layer: null } }, 'wall.figure_layer')?.word).toBe('wall.figure_layer_one')
  const unmeasured = figuresOf({ ...VIEW, stats: null, firstFrameMs: null }, camera({}))
  expect(unmeasured.every((one) => one.value === null)).toBe(true)
})

it('calls transcoded what this viewer gets, not what the camera sends', () => {
  expect(transcoded(VIEW, camera({ transcoded: true }))).toBe(true)
  expect(transcoded({ ...VIEW, stats: { ...STATS, codec: 'H265' } }, camera({ transcoded: true }))).toBe(false)
  expect(transcoded(VIEW, camera({}))).toBe(false)
})
