import { describe, expect, it } from 'vitest'
import { fileName, ratioOf, sizeOf } from './download'

describe('ratioOf', () => {
  it('goes by bytes and by time at fourfold speed, whichever is less: devices lie about their files', () => {
    expect(ratioOf(50, 800, 100, 3_600)).toBe(0.5)
    expect(ratioOf(99, 90, 100, 3_600)).toBe(0.1)
    expect(ratioOf(1, 90, null, 3_600)).toBe(0.1)
  })

  it('never says that all is there, and nothing before anything came', () => {
    expect(ratioOf(500, 9, 100, 10)).toBe(0.99)
    expect(ratioOf(0, 90, null, 3_600)).toBeNull()
  })
})

describe('sizeOf', () => {
  it.each([[0, '0 B'], [1_023, '1023 B'], [1_536, '1.5 KB'], [5 * 1024 ** 2, '5.0 MB'], [3 * 1024 ** 4, '3072.0 GB']])('%i is %s', (bytes, words) => {
    expect(sizeOf(bytes)).toBe(words)
  })
})

describe('fileName', () => {
  it('holds nothing that a file system refuses', () => {
    const at = new Date(2026, 10, 21, 14, 7, 35).getTime() / 1000
    expect(fileName('东门/球机: 1 "a"', at)).toBe('东门_球机_1_a_-20261121-140735.ts')
    expect(fileName('', at)).toBe('camera-20261121-140735.ts')
  })
})
