import { describe, expect, it } from 'vitest'
import { newPassword, SHORTEST, USERNAME } from './password'

describe('a first password', () => {
  it('has four groups of letters that cannot be mistaken for each other', () => {
    const password = newPassword()
    expect(password).toMatch(/^[a-zA-Z2-9]{5}(-[a-zA-Z2-9]{5}){3}$/)
    expect(password).not.toMatch(/[0O1lI]/)
    expect(password.length).toBeGreaterThanOrEqual(SHORTEST)
  })

  it('is another one each time', () => {
    expect(new Set(Array.from({ length: 50 }, () => newPassword())).size).toBe(50)
  })

  it('throws away bytes that would make some letters likelier', () => {
    let calls = 0
    const password = newPassword((bytes) => {
      calls += 1
      return bytes.fill(calls === 1 ? 255 : 0)
    })
    expect(calls).toBe(2)
    expect(password).toBe('aaaaa-aaaaa-aaaaa-aaaaa')
  })
})

describe('a username', () => {
  it.each(['ab', 'wang.qiang', '0x', 'a-b_c'])('%s is one', (name) => {
    expect(USERNAME.test(name)).toBe(true)
  })

  it.each(['a', 'Wang', '-a', '王强', 'a b', `a${'b'.repeat(64)}`])('%s is none', (name) => {
    expect(USERNAME.test(name)).toBe(false)
  })
})
