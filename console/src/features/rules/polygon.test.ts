import { describe, expect, it } from 'vitest'
import { area, LEAST, MOST, moved, outline, type Point, regionOf, split, START, without } from './polygon'

const SQUARE: readonly Point[] = [[0, 0], [1, 0], [1, 1], [0, 1]]

describe('a region', () => {
  it('starts within the picture and with something inside', () => {
    expect(START.flat().every((value) => value >= 0 && value <= 1)).toBe(true)
    expect(area(START)).toBeGreaterThan(0.1)
  })

  it('keeps a corner that is dragged off within the picture', () => {
    expect(moved(SQUARE, 2, [1.4, -0.2])[2]).toEqual([1, 0])
    expect(moved(SQUARE, 2, [0.5, 0.25])[1]).toBe(SQUARE[1])
  })

  it('takes a new corner on any edge, the last one too, and stops at the limit', () => {
    expect(split(SQUARE, 3)).toEqual([...SQUARE, [0, 0.5]])
    let many: Point[] = [...SQUARE]
    for (let times = 0; times < 40; times += 1) many = split(many, 0)
    expect(many).toHaveLength(MOST)
  })

  it('never has fewer than three corners', () => {
    let few: Point[] = [...SQUARE]
    for (let times = 0; times < 5; times += 1) few = without(few, 0)
    expect(few).toHaveLength(LEAST)
  })

  it('knows how much lies inside, whichever way round', () => {
    expect(area(SQUARE)).toBe(1)
    expect(area([...SQUARE].reverse())).toBe(1)
    expect(area([[0, 0], [1, 0], [0.5, 0]])).toBe(0)
  })

  it('is read from what the hub keeps, and anything else is none', () => {
    expect(regionOf({ polygon: [[0, 0.5], [1, 0]], confidence: 0.4 })).toEqual([[0, 0.5], [1, 0]])
    expect(regionOf({ persons: 3 })).toEqual([])
    expect(regionOf({ polygon: ['x', [1], [0, 'y']] })).toEqual([])
  })

  it('is drawn in per cent', () => {
    expect(outline([[0, 0.5], [1, 0.25]])).toBe('0,50 100,25')
  })
})
