import { describe, expect, it } from 'vitest'
import { i18n } from '@/i18n'
import type { EventItem } from '@/wire/types'
import { earlier, type Fetch, headOf, WINDOW } from './pages'
import { kindWord, KINDS, type Names, sentence, type Translate } from './sentences'

const names: Names = {
  unit: (id) => ({ 'dept-police': '公安局', 'dept-water': '水利局' })[id] ?? id,
  unitName: '公安局',
  byName: '王强',
  role: (role) => role,
  time: () => '14:07:35',
  camera: () => '人民广场东',
}

const DATA: Record<string, unknown> = {
  by: 'user-1', username: 'wang', method: 'password', address: '10.0.0.8', name: '东门', scheme: 'rtsp', role: 'auditor',
  conference: null, camera: 'camera-1', rule: 'rule-1', rule_kind: 'crowd', enabled: true, params: {}, severity: 'major', score: 0.87,
  count: 9, model: 'm', demonstration: true, title: '人员聚集', text: '核实', units: ['dept-police', 'dept-water'], member: 'member-1',
  number: 7, sign_due_at: 1, feedback_due_at: 2, step: 'sign', due_at: 3, accepted: true, scenario: 'crowd', inject: 'exit',
  points: '87.5', of: '100', version: '0.1', node: 'relay-1', run: 'run-1',
}

describe.each(['zh-CN', 'en'] as const)('sentences in %s', (language) => {
  const t: Translate = (key, params) => i18n.global.t(key, params ?? {}, { locale: language })

  it.each(KINDS)('%s is a sentence without raw keys, holes or data', (kind) => {
    const text = sentence(t, { kind, ref: 'ref-1', data: DATA }, names)
    expect(text).not.toMatch(/log\.|[{}]|undefined|null|\[object/)
    expect(text.length).toBeGreaterThan(3)
    expect(kindWord(t, kind)).not.toContain('.')
  })

  it('names an unknown kind instead of failing', () => {
    expect(sentence(t, { kind: 'weather.changed', ref: '', data: {} }, names)).toBe('weather.changed')
  })
})

describe('a sentence', () => {
  const t: Translate = (key, params) => i18n.global.t(key, params ?? {}, { locale: 'zh-CN' })
  const say = (kind: string, data: Record<string, unknown> | null, more: Partial<Names> = {}) =>
    sentence(t, { kind, ref: 'x', data }, { ...names, ...more })

  it('gives the reason where there is one', () => {
    expect(say('alert.dismissed', { by: 'u', reason: '误报' })).toBe('王强排除告警，理由：误报')
    expect(say('alert.acknowledged', { by: 'u', reason: '' })).toBe('王强确认告警')
  })

  it('tells an accepted review from a returned one, and both limits apart', () => {
    expect(say('order.reviewed', { by: 'u', accepted: false, comment: '缺照片' })).toContain('退回')
    expect(say('order.reviewed', { by: 'u', accepted: true })).toContain('通过')
    expect(say('order.overdue', { step: 'feedback', due_at: 1 })).toContain('反馈时限')
  })

  it("gives the hub's own reasons in the reader's language, and a person's as they were written", () => {
    expect(say('conference.ended', { by: 'system', reason: 'everybody left' }, { byName: null })).toBe('系统结束会商，理由：所有人都已离开')
    expect(say('conference.ended', { by: 'u', reason: 'ended by the host' })).not.toContain('ended')
    expect(say('alert.dismissed', { by: 'u', reason: 'lost' })).toContain('lost')
  })

  it('says that content was erased', () => {
    expect(say('order.feedback', null)).toContain('清除')
  })

  it('calls the hub itself the system, and a person without a name by id', () => {
    expect(say('conference.ended', { by: 'system' }, { byName: null })).toBe('系统结束会商')
    expect(sentence((key, params) => i18n.global.t(key, params ?? {}, { locale: 'en' }), { kind: 'conference.ended', ref: 'x', data: { by: 'system' } }, { ...names, byName: '系统' })).not.toContain('系统')
    expect(say('conference.ended', { by: 'user-9' }, { byName: null })).toBe('用户 user-9结束会商')
  })
})

describe('reading the log backwards', () => {
  function logOf(count: number, kindOf: (seq: number) => string = () => 'order.issued'): { fetch: Fetch; asked: number[] } {
    const asked: number[] = []
    const all = Array.from({ length: count }, (_, place): EventItem => {
      const seq = place + 1
      return { seq, kind: kindOf(seq), at: seq, unit: '', ref: '', by_name: null, data: {} }
    })
    const fetch: Fetch = ({ after, limit, kind }) => {
      asked.push(after)
      const items = all.filter((item) => item.seq > after && (!kind || item.kind === kind)).slice(0, limit)
      const next = items.length === limit ? (items.at(-1)?.seq ?? after) : Math.max(count, after)
      return Promise.resolve({ items, next })
    }
    return { fetch, asked }
  }

  it('finds the head without reading the log', async () => {
    expect(await headOf(logOf(12_345).fetch)).toBe(12_345)
  })

  it('gives every event once, newest first, down to the first', async () => {
    const { fetch } = logOf(2_500)
    let before = 2_501
    const seen: number[] = []
    for (let page = 0; page < 5 && before > 1; page += 1) {
      const got = await earlier(fetch, {}, before)
      seen.push(...got.items.map((item) => item.seq))
      before = got.from + 1
    }
    expect(seen).toEqual(Array.from({ length: 2_500 }, (_, place) => 2_500 - place))
  })

  it('goes on through windows without a match, and stops at the beginning', async () => {
    const { fetch, asked } = logOf(5_000, (seq) => (seq === 3 ? 'drill.started' : 'order.issued'))
    const got = await earlier(fetch, { kind: 'drill.started' }, 5_001)
    expect(got.items.map((item) => item.seq)).toEqual([3])
    expect(got.from).toBe(0)
    expect(asked).toHaveLength(5_000 / WINDOW)
  })

  it('stops after a bounded number of windows', async () => {
    const { fetch, asked } = logOf(100_000)
    const got = await earlier(fetch, { kind: 'nothing.here' }, 100_001)
    expect(got.items).toEqual([])
    expect(asked).toHaveLength(20)
    expect(got.from).toBe(80_000)
  })
})

describe('sentences of GB/T 28181', () => {
  const t: Translate = (key, params) => i18n.global.t(key, params ?? {}, { locale: 'zh-CN' })
  const say = (kind: string, ref: string, data: Record<string, unknown>) => sentence(t, { kind, ref, data }, names)

  it('say in words what a hand on the camera did', () => {
    expect(say('camera.controlled', 'c', { by: 'u', what: 'preset' })).toBe('王强操控摄像机 人民广场东（预置位）')
    expect(say('camera.controlled', 'c', { by: 'u', what: 'levitate' })).toContain('levitate')
  })

  it('give the span of a recording as times', () => {
    expect(say('camera.played_back', 'c', { by: 'u', start: 1, end: 2 })).toContain('14:07:35 至 14:07:35')
  })

  it('tell a change of a device from one of how devices register', () => {
    expect(say('device.changed', '34020000001180000001', { by: 'u', fields: ['media', 'password'] })).toBe('王强修改设备 34020000001180000001：媒体方式、密码')
    expect(say('device.changed', 'gb28181', { by: 'u', fields: ['accept_unknown'] })).toBe('王强修改国标接入：未登记设备')
  })
})
