import { createPinia, setActivePinia } from 'pinia'
import { nextTick } from 'vue'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Me } from '@/wire/types'
import { useSession } from './session'
import { neighbour, recall, useWall } from './wall'

const ME = { id: 'usr-1', rights: [] } as unknown as Me

function wallOf(me: Me = ME): ReturnType<typeof useWall> {
  setActivePinia(createPinia())
  useSession().me = me
  return useWall()
}

beforeEach(() => {
  localStorage.clear()
})

describe('recall', () => {
  it.each([null, '', '{', '3', '{"layout":5,"tiles":[]}', '{"layout":4}'])('answers null for %s', (text) => {
    expect(recall(text)).toBeNull()
  })

  it('fills up and cleans what was stored', () => {
    expect(recall('{"layout":9,"tiles":["cam-1",7,null],"tree":false}')).toEqual({
      layout: 9, tiles: ['cam-1', null, null, null, null, null, null, null, null], tree: false, alerts: true,
    })
  })
})

describe('neighbour', () => {
  it.each<[1 | 4 | 6 | 9, number, number, number, number]>([
    [1, 0, 1, 0, 0],
    [4, 0, 1, 0, 1],
    [4, 0, 0, 1, 2],
    [4, 3, 1, 0, 3],
    [9, 4, 0, -1, 1],
    [9, 4, -1, 0, 3],
    [6, 0, 1, 0, 1],
    [6, 0, 0, 1, 3],
    [6, 1, -1, 0, 0],
    [6, 5, 0, -1, 2],
  ])('layout %d, tile %d, (%d, %d): tile %d', (layout, from, dx, dy, to) => {
    expect(neighbour(layout, from, dx, dy)).toBe(to)
  })

  it('reaches every tile of every layout by arrows', () => {
    for (const layout of [1, 4, 6, 9] as const) {
      const seen = new Set([0])
      for (let round = 0; round < 9; round += 1) {
        for (const at of [...seen]) for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) seen.add(neighbour(layout, at, dx, dy))
      }
      expect(seen.size).toBe(layout)
    }
  })
})

describe('useWall', () => {
  it('fills tile after tile', () => {
    const wall = wallOf()
    for (const camera of ['a', 'b', 'c', 'd']) wall.putNext(camera)
    expect(wall.visible).toEqual(['a', 'b', 'c', 'd'])
    expect(wall.selected).toBe(0)
    wall.putNext('e')
    expect(wall.visible).toEqual(['e', 'b', 'c', 'd'])
  })

  it('moves a camera that is on the wall instead of showing it twice', () => {
    const wall = wallOf()
    wall.put('a', 0)
    wall.put('a', 3)
    expect(wall.visible).toEqual([null, null, null, 'a'])
  })

  it('shows a camera where it is already, else on an empty tile, else on the selected one', () => {
    const wall = wallOf()
    wall.put('a', 1)
    wall.show('a')
    expect(wall.selected).toBe(1)
    wall.show('b')
    expect(wall.visible[0]).toBe('b')
    wall.put('c', 2)
    wall.put('d', 3)
    wall.select(2)
    wall.show('e')
    expect(wall.visible).toEqual(['b', 'a', 'e', 'd'])
  })

  it('swaps two tiles', () => {
    const wall = wallOf()
    wall.put('a', 0)
    wall.swap(0, 2)
    expect(wall.visible).toEqual([null, null, 'a', null])
    expect(wall.selected).toBe(2)
  })

  it('keeps the selection within a smaller layout, and the other cameras for a larger one', () => {
    const wall = wallOf()
    wall.setLayout(9)
    wall.put('i', 8)
    wall.select(8)
    wall.setLayout(1)
    expect(wall.selected).toBe(0)
    wall.setLayout(9)
    expect(wall.visible[8]).toBe('i')
  })

  it('remembers per person', async () => {
    const wall = wallOf()
    wall.setLayout(9)
    wall.put('a', 4)
    wall.fold('tree')
    await nextTick()
    const again = wallOf()
    expect([again.layout, again.visible[4], again.tree]).toEqual([9, 'a', false])
    const other = wallOf({ ...ME, id: 'usr-2' })
    expect([other.layout, other.visible[4], other.tree]).toEqual([4, undefined, true])
  })

  it('shows the only camera of a department alone', () => {
    const wall = wallOf()
    wall.fill(['a'])
    expect([wall.layout, wall.visible]).toEqual([1, ['a']])
  })

  it('fills a fresh wall once, and never one that was used', () => {
    const wall = wallOf()
    wall.fill(['a', 'b'])
    expect(wall.visible).toEqual(['a', 'b', null, null])
    wall.clearAll()
    wall.fill(['c'])
    expect(wall.visible).toEqual([null, null, null, null])
  })
})
