import { describe, expect, it } from 'vitest'
import { checkDevice, checkPlatform, passwordOf } from './form'
import { catalogOf, deviceTone, platformTone, troubleOf } from './state'

describe('troubleOf', () => {
  const base = { state: 'offline' as const, reason: 'gb28181.heartbeat_lost', failure: null, failed_at: null, registered_at: 100 }
  it('is the reason of a device that went away', () => {
    expect(troubleOf(base)).toBe('gb28181.heartbeat_lost')
  })
  it('is the refusal when that came after the last good registration', () => {
    expect(troubleOf({ ...base, failure: 'gb28181.password_wrong', failed_at: 200 })).toBe('gb28181.password_wrong')
    expect(troubleOf({ ...base, failure: 'gb28181.password_wrong', failed_at: 50 })).toBe('gb28181.heartbeat_lost')
  })
  it('is nothing while all is well', () => {
    expect(troubleOf({ ...base, state: 'online' })).toBeNull()
  })
})

describe('catalogOf', () => {
  const base = { catalog_done: false, catalog_received: 0, catalog_expected: null, catalog_missing: 0, catalog_at: null }
  it.each([
    [base, 'never', null],
    [{ ...base, catalog_done: true }, 'never', null],
    [{ ...base, catalog_done: true, catalog_at: 1 }, 'done', 1],
    [{ ...base, catalog_at: 1 }, 'running', null],
    [{ ...base, catalog_received: 4, catalog_expected: 16 }, 'running', 0.25],
    [{ ...base, catalog_received: 40, catalog_expected: 16 }, 'running', 1],
    [{ ...base, catalog_done: true, catalog_received: 16, catalog_expected: 16 }, 'done', 1],
    [{ ...base, catalog_done: true, catalog_received: 14, catalog_expected: 16, catalog_missing: 2 }, 'missing', 1],
  ] as const)('%o is %s', (device, phase, ratio) => {
    expect(catalogOf(device)).toEqual({ phase, ratio })
  })
})

describe('tones', () => {
  it('are quiet for what is switched off', () => {
    expect(deviceTone({ state: 'offline', enabled: false })).toBe('quiet')
    expect(deviceTone({ state: 'online', enabled: true }, false)).toBe('quiet')
    expect(platformTone({ state: 'refused', enabled: false })).toBe('quiet')
    expect([deviceTone({ state: 'online', enabled: true }), platformTone({ state: 'registering', enabled: true })]).toEqual(['good', 'busy'])
  })
})

describe('forms', () => {
  it('name every field that is wrong', () => {
    expect(Object.keys(checkDevice({ id: '123', name: ' ', unit: '' }))).toEqual(['id', 'name', 'unit'])
    expect(checkDevice({ id: '34020000001180000001', name: '东门', unit: 'u' })).toEqual({})
    expect(Object.keys(checkPlatform({ id: '', name: '', domain: '34', host: 'a b', local_id: 'x' }))).toEqual(['id', 'name', 'domain', 'host', 'local_id'])
  })

  it('send a password only when one was chosen', () => {
    expect([passwordOf('keep', 'x'), passwordOf('own', 'x'), passwordOf('domain', 'x')]).toEqual([{}, { password: 'x' }, { password: '' }])
  })
})
