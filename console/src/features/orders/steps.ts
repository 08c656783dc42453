/** What an order's record says about its six stations, its limits and its place in a list. Pure. */
import type { Order, OrderState } from '@/wire/types'

export const STATIONS = ['issued', 'delivered', 'signed', 'feedback', 'reviewed', 'closed'] as const
export type Station = (typeof STATIONS)[number]

export interface StationView {
  station: Station
  mark: 'done' | 'now' | 'todo' | 'returned'
  at: number | null // ms; null when not reached, or passed without a record
  by: string | null
  took: number | null // ms since the last recorded station
  late: boolean
}

// How many stations are behind an order in this state. `returned` stands before its second feedback.
const REACHED: Readonly<Record<OrderState, number>> = {
  issued: 1,
  delivered: 2,
  signed: 3,
  returned: 3,
  feedback: 4,
  reviewed: 5,
  closed: 6,
}

/** The six stations in order; each carries its last time, and the time since the last station that has one. */
export function stations(order: Order): StationView[] {
  const reached = REACHED[order.state]
  let before: number | null = null
  return STATIONS.map((station, place) => {
    const again = order.state === 'returned' && station === 'feedback'
    const step = order.steps.findLast((one) => one.state === (again ? 'returned' : station))
    const done = place < reached
    const at = (done || again) && step ? step.at : null
    const took = at !== null && before !== null ? Math.max(0, at - before) : null
    if (at !== null) before = at
    const mark = again ? 'returned' : done ? 'done' : place === reached ? 'now' : 'todo'
    return { station, mark, at, by: at === null ? null : (step?.by_name ?? null), took, late: late(order, station) }
  })
}

function late(order: Order, station: Station): boolean {
  if (station === 'signed') return order.sign_overdue
  if (station === 'feedback') return order.feedback_overdue
  return false
}

export interface Due {
  step: 'sign' | 'feedback'
  at: number // ms
  left: number // ms; negative when late
}

/** The limit that runs now, or null when the unit owes nothing. */
export function due(order: Order, now: number): Due | null {
  if (order.state === 'issued' || order.state === 'delivered') {
    return { step: 'sign', at: order.sign_due_at, left: order.sign_due_at - now }
  }
  // after the first feedback the limit is met; what was returned is done again without a new one
  if (order.state === 'signed') {
    return { step: 'feedback', at: order.feedback_due_at, left: order.feedback_due_at - now }
  }
  return null
}

export function isLate(order: Order, now: number): boolean {
  const running = due(order, now)
  return running !== null && running.left < 0
}

export type Group = 'overdue' | 'waiting' | 'working' | 'review' | 'done'
export const COMMANDER_GROUPS: readonly Group[] = ['overdue', 'review', 'waiting', 'working', 'done']

export function commanderGroup(order: Order, now: number): Group {
  if (order.state === 'closed') return 'done'
  if (isLate(order, now)) return 'overdue'
  if (order.state === 'feedback' || order.state === 'reviewed') return 'review'
  return order.state === 'issued' || order.state === 'delivered' ? 'waiting' : 'working'
}

export type UnitGroup = 'sign' | 'hand' | 'answered' | 'done'
export const UNIT_GROUPS: readonly UnitGroup[] = ['sign', 'hand', 'answered', 'done']

export function unitGroup(order: Order): UnitGroup {
  switch (order.state) {
    case 'issued':
    case 'delivered':
      return 'sign'
    case 'signed':
    case 'returned':
      return 'hand'
    case 'feedback':
    case 'reviewed':
      return 'answered'
    case 'closed':
      return 'done'
  }
}

/** Nearest limit first; what owes nothing, newest first. */
export function byUrgency(now: number): (a: Order, b: Order) => number {
  return (a, b) => {
    const [left, right] = [due(a, now), due(b, now)]
    if (left && right) return left.at - right.at
    if (left || right) return left ? -1 : 1
    return b.issued_at - a.issued_at
  }
}

export function grouped<G extends string>(
  orders: readonly Order[],
  groups: readonly G[],
  of: (order: Order) => G,
  now: number,
): { group: G; orders: Order[] }[] {
  return groups
    .map((group) => ({ group, orders: orders.filter((order) => of(order) === group).sort(byUrgency(now)) }))
    .filter((section) => section.orders.length > 0)
}

/** Why the feedback that is to be given anew was sent back; '' when none is. */
export function returnedWith(order: Order): string {
  if (order.state !== 'returned') return ''
  return order.steps.findLast((step) => step.state === 'returned')?.comment ?? ''
}

export interface Said {
  id: string
  kind: 'feedback' | 'returned' | 'reviewed'
  at: number
  by: string | null
  text: string
  picture: string | null
}

/** What was reported and what was said to it, newest first. */
export function said(order: Order): Said[] {
  const reports = order.feedback.map<Said>((one) => ({ ...one, kind: 'feedback', by: one.by_name }))
  const reviews = order.steps.flatMap<Said>(({ state, at, by_name, comment }, place) =>
    state === 'returned' || state === 'reviewed'
      ? [{ id: `step-${String(place)}`, kind: state, at, by: by_name, text: comment, picture: null }]
      : [],
  )
  return [...reports, ...reviews].sort((a, b) => b.at - a.at)
}
