import { describe, expect, it } from 'vitest'
import type { Order, OrderState, OrderStep } from '@/wire/types'
import { megabytes, MOST_BYTES, wrongPicture } from './picture'
import { byUrgency, commanderGroup, due, grouped, isLate, returnedWith, said, STATIONS, stations, UNIT_GROUPS, unitGroup } from './steps'

const T = 1_000_000

function order(state: OrderState, steps: OrderStep[] = [], more: Partial<Order> = {}): Order {
  return {
    id: `order-${state}`,
    number: 1,
    incident: 'incident-1',
    incident_title: 'x',
    unit: 'dept-police',
    unit_name: '公安局',
    text: 'x',
    state,
    issued_by: '王',
    issued_at: T,
    sign_due_at: T + 180_000,
    feedback_due_at: T + 900_000,
    sign_overdue: false,
    feedback_overdue: false,
    steps,
    feedback: [],
    run: null,
    ...more,
  }
}

const step = (state: OrderState, at: number, comment = ''): OrderStep => ({ state, at, by_name: '李', comment })

describe('what was said to an order', () => {
  const steps = [step('feedback', T + 2), step('returned', T + 9, '补一张现场照片')]
  const report = { id: 'fb-1', at: T + 2, by_name: '王', text: '已到场', picture: null }

  it('tells the unit why its feedback was sent back, as long as that stands', () => {
    expect(returnedWith(order('returned', steps))).toBe('补一张现场照片')
    expect(returnedWith(order('feedback', [...steps, step('feedback', T + 20)]))).toBe('')
  })

  it('lists reports and reviews together, newest first', () => {
    const lines = said(order('returned', steps, { feedback: [report] }))
    expect(lines.map((line) => [line.kind, line.text])).toEqual([['returned', '补一张现场照片'], ['feedback', '已到场']])
  })
})

describe('stations of an order', () => {
  it('are always the same six, whatever the state', () => {
    expect(stations(order('issued')).map((view) => view.station)).toEqual([...STATIONS])
  })

  it('carry the time since the station before', () => {
    const views = stations(order('signed', [step('issued', T), step('delivered', T + 2_000), step('signed', T + 42_000)]))
    expect(views.map((view) => view.mark)).toEqual(['done', 'done', 'done', 'now', 'todo', 'todo'])
    expect(views.map((view) => view.took)).toEqual([null, 2_000, 40_000, null, null, null])
  })

  it('pass a station without a record and measure from the last one that has one', () => {
    const views = stations(order('signed', [step('issued', T), step('signed', T + 30_000)]))
    expect(views[1]).toMatchObject({ mark: 'done', at: null, took: null })
    expect(views[2]).toMatchObject({ mark: 'done', took: 30_000 })
  })

  it('say that feedback was returned, and when', () => {
    const steps = [step('issued', T), step('signed', T + 1), step('feedback', T + 2), step('returned', T + 9)]
    expect(stations(order('returned', steps))[3]).toMatchObject({ mark: 'returned', at: T + 9 })
  })

  it('show the latest feedback after it was returned once', () => {
    const steps = [step('issued', T), step('feedback', T + 2), step('returned', T + 9), step('feedback', T + 20)]
    expect(stations(order('feedback', steps))[3]).toMatchObject({ mark: 'done', at: T + 20 })
  })

  it('mark the station whose limit passed', () => {
    const views = stations(order('signed', [], { sign_overdue: true }))
    expect(views.filter((view) => view.late).map((view) => view.station)).toEqual(['signed'])
  })
})

describe('the limit that runs', () => {
  it('is signing until it is signed for, then feedback, then none', () => {
    expect(due(order('issued'), T)).toMatchObject({ step: 'sign', left: 180_000 })
    expect(due(order('delivered'), T)?.step).toBe('sign')
    expect(due(order('signed'), T)).toMatchObject({ step: 'feedback', left: 900_000 })
    for (const state of ['feedback', 'returned', 'reviewed', 'closed'] as const) expect(due(order(state), T)).toBeNull()
  })

  it('is late only after it, not at it', () => {
    expect(isLate(order('issued'), T + 180_000)).toBe(false)
    expect(isLate(order('issued'), T + 180_001)).toBe(true)
  })
})

describe('lists of orders', () => {
  it('put the late on top for the commander, and the nearest limit first', () => {
    const late = order('issued', [], { id: 'late', sign_due_at: T - 1 })
    const soon = order('signed', [], { id: 'soon', feedback_due_at: T + 5 })
    const open = order('signed', [], { id: 'open', feedback_due_at: T + 50 })
    const sections = grouped([open, soon, late], ['overdue', 'working'], (one) => commanderGroup(one, T), T)
    expect(sections.map((section) => [section.group, section.orders.map((one) => one.id)])).toEqual([
      ['overdue', ['late']],
      ['working', ['soon', 'open']],
    ])
  })

  it('never call a closed order late', () => {
    expect(commanderGroup(order('closed', [], { sign_due_at: 0, feedback_due_at: 0 }), T)).toBe('done')
  })

  it('give a department every order exactly once', () => {
    const states: OrderState[] = ['issued', 'delivered', 'signed', 'feedback', 'returned', 'reviewed', 'closed']
    const sections = grouped(states.map((state) => order(state)), UNIT_GROUPS, unitGroup, T)
    expect(sections.flatMap((section) => section.orders)).toHaveLength(states.length)
  })

  it('put what owes nothing behind what does', () => {
    expect([order('reviewed'), order('issued')].sort(byUrgency(T)).map((one) => one.state)).toEqual(['issued', 'reviewed'])
  })
})

describe('a picture for feedback', () => {
  it('is refused by kind, emptiness and size, before it is sent', () => {
    expect(wrongPicture({ type: 'image/gif', size: 10 })).toBe('wrongType')
    expect(wrongPicture({ type: 'image/jpeg', size: 0 })).toBe('empty')
    expect(wrongPicture({ type: 'image/png', size: MOST_BYTES + 1 })).toBe('tooBig')
    expect(wrongPicture({ type: 'image/webp', size: MOST_BYTES })).toBeNull()
    expect(megabytes(MOST_BYTES)).toBe('10.0')
  })
})
