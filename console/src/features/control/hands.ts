// From keys, a dragged pointer, the wheel and a gamepad to a motion. Pure.
import { STILL, type Motion } from './steering'

export type Direction = 'n' | 'ne' | 'e' | 'se' | 's' | 'sw' | 'w' | 'nw'
export const DIRECTIONS: Readonly<Record<Direction, readonly [pan: number, tilt: number]>> = {
  nw: [-1, 1], n: [0, 1], ne: [1, 1],
  w: [-1, 0], e: [1, 0],
  sw: [-1, -1], s: [0, -1], se: [1, -1],
}

const KEYS: Readonly<Record<string, Motion>> = {
  ArrowLeft: { pan: -1, tilt: 0, zoom: 0 },
  ArrowRight: { pan: 1, tilt: 0, zoom: 0 },
  ArrowUp: { pan: 0, tilt: 1, zoom: 0 },
  ArrowDown: { pan: 0, tilt: -1, zoom: 0 },
  '+': { pan: 0, tilt: 0, zoom: 1 },
  '=': { pan: 0, tilt: 0, zoom: 1 },
  '-': { pan: 0, tilt: 0, zoom: -1 },
  _: { pan: 0, tilt: 0, zoom: -1 },
}

export const isSteeringKey = (key: string): boolean => key in KEYS

/** All keys that are held, together. */
export function byKeys(held: Iterable<string>, speed: number): Motion {
  const all = { pan: 0, tilt: 0, zoom: 0 }
  for (const key of held) {
    const one = KEYS[key] ?? STILL
    all.pan += one.pan * speed
    all.tilt += one.tilt * speed
    all.zoom += one.zoom * speed
  }
  return all
}

const SLACK = 12 // px that a drag may wander before the camera moves
const FULL = 0.35 // of the picture's smaller side: full speed

/** A pointer dragged over the picture: the further, the faster. */
export function byDrag(dx: number, dy: number, width: number, height: number, speed: number): Motion {
  const far = Math.hypot(dx, dy)
  if (far < SLACK) return STILL
  const full = Math.max(SLACK + 1, Math.min(width, height) * FULL)
  const strength = Math.min(1, (far - SLACK) / (full - SLACK)) * speed
  return { pan: (dx / far) * strength, tilt: (-dy / far) * strength, zoom: 0 }
}

export function byWheel(deltaY: number, speed: number): Motion {
  return deltaY === 0 ? STILL : { pan: 0, tilt: 0, zoom: deltaY < 0 ? speed : -speed }
}

const DEAD = 0.18 // a stick at rest is never quite at rest

function axis(value: number | undefined): number {
  const strength = Math.abs(value ?? 0)
  return strength < DEAD ? 0 : (Math.sign(value ?? 0) * (strength - DEAD)) / (1 - DEAD)
}

export interface Pad {
  readonly axes: readonly number[]
  readonly buttons: readonly { readonly value: number }[]
}

/** Left stick turns, right stick and triggers zoom (W3C "standard" mapping). */
export function byPad(pad: Pad, speed: number): Motion {
  const triggers = axis(pad.buttons[7]?.value) - axis(pad.buttons[6]?.value)
  const zoom = triggers === 0 ? -axis(pad.axes[3]) : triggers
  return { pan: axis(pad.axes[0]) * speed, tilt: -axis(pad.axes[1]) * speed + 0, zoom: zoom * speed + 0 }
}
