import { expect, it } from 'vitest'
import { reveal } from './reveal'

const ROW = 28

it.each([
  ['above: its upper edge is at the top', 280, 100, 280 / 28 - 5, 140],
  ['below: its lower edge is at the bottom', 0, 100, 10, 11 * ROW - 100],
  ['seen whole: nothing moves', 28, 100, 2, 28],
])('scrolls to a row that is %s', (_, from, height, row, to) => {
  const box = document.createElement('div')
  Object.defineProperty(box, 'clientHeight', { value: height })
  box.scrollTop = from
  reveal(box, row * ROW, ROW)
  expect(box.scrollTop).toBe(to)
})
