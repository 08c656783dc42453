import { describe, expect, it } from 'vitest'
import { known } from '@/i18n'
import { deviceAlarm } from './deviceAlarm'

const alarm = (model: string) => deviceAlarm({ kind: 'device_alarm', model })

describe('deviceAlarm', () => {
  it('is nothing for an alert of a detection rule', () => {
    expect(deviceAlarm({ kind: 'crowd', model: 'yolo11n' })).toBeNull()
  })

  it('names the type where the standard has one, and keeps the words of the device', () => {
    expect(alarm('GB/T 28181 5/6 东门越界')).toEqual({ words: 'alerts.device.type_5_6', said: '东门越界' })
  })

  it.each([['GB/T 28181 4/-', '4'], ['GB/T 28181 5/99 x', '5'], ['GB/T 28181 0/-', '7'], ['something else', '7'], ['', '7']])('%s falls back to the method', (model, method) => {
    expect(alarm(model)?.words).toBe(`alerts.device.method_${method}`)
  })

  it('has words for every method and type', () => {
    const pairs = Object.entries({ 2: 5, 5: 12, 6: 2 }).flatMap(([method, types]) => Array.from({ length: types }, (_, at) => `${method}/${String(at + 1)}`))
    const methods = [1, 2, 3, 4, 5, 6, 7].map((method) => `${String(method)}/-`)
    const missing = [...pairs, ...methods].filter((code) => !known(alarm(`GB/T 28181 ${code}`)?.words ?? ''))
    expect(missing).toEqual([])
  })
})
