import { describe, expect, it } from 'vitest'
import { guard, homeOf, NAV } from './router'
import type { Right } from './wire/types'

const nobody = { me: null, can: () => false }
function person(...rights: Right[]): { me: object; can: (right: Right) => boolean } {
  return { me: {}, can: (right) => rights.includes(right) }
}

describe('guard', () => {
  it('sends a stranger to the sign-in page and remembers the way', () => {
    expect(guard({ name: 'orders', fullPath: '/orders', meta: { right: 'order.read' } }, nobody)).toEqual({ name: 'login', query: { to: '/orders' } })
    expect(guard({ name: 'home', fullPath: '/', meta: {} }, nobody)).toEqual({ name: 'login' })
    expect(guard({ name: 'login', fullPath: '/login', meta: { open: true } }, nobody)).toBe(true)
  })

  it('lets pass who has the right', () => {
    expect(guard({ name: 'orders', fullPath: '/orders', meta: { right: 'order.read' } }, person('order.read'))).toBe(true)
    expect(guard({ name: 'tour', fullPath: '/tour', meta: {} }, person())).toBe(true)
  })

  it('shows the first page of their own to who lacks the right', () => {
    expect(guard({ name: 'users', fullPath: '/users', meta: { right: 'user.manage' } }, person('order.read'))).toEqual({ name: 'orders' })
  })

  it('has a home for every role', () => {
    expect(homeOf(person('camera.watch', 'order.read').can)).toBe('wall')
    expect(homeOf(person('log.read', 'system.read').can)).toBe('log')
    expect(homeOf(person('user.manage', 'system.read').can)).toBe('users')
    expect(homeOf(person().can)).toBe('tour')
    expect(homeOf(person('conference.join', 'order.read', 'order.answer').can)).toBe('orders')
    expect(homeOf(person('incident.read', 'order.read', 'drill.read').can)).toBe('drills')
  })

  it('never sends anybody round in circles', () => {
    for (const item of NAV) expect(guard({ name: 'home', fullPath: '/', meta: {} }, person(item.right))).toEqual({ name: homeOf(person(item.right).can) })
  })
})
